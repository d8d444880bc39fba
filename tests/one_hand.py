"""Samples of a one-hand data set in the vocabulary, from the free hand: joints, mesh and pose agree; and their pack."""

import numpy as np
import pandas as pd
import torch

from handlib import bodies, geometry

K = np.array([[600.0, 0, 424], [0, 610, 240], [0, 0, 1]])
ARRAYS = "side hand_type mano_valid joints_cam joints_valid verts_cam pose_flat shape K bbox window reach".split()


def sample(number, intent="hold", whole=False):
    """A right hand in a picture of 848 x 480, of which a window about the hand is kept."""
    rng = np.random.default_rng(number)
    layer = bodies.load("free", "mano_right")
    pose = np.concatenate([0.6 * rng.standard_normal(3), layer.hands_mean.numpy() + 0.15 * rng.standard_normal(45)])
    shape = 0.5 * rng.standard_normal(10)
    transl = np.array([0.05 * rng.standard_normal(), 0.03 * rng.standard_normal(), 0.7])
    given = {name: torch.tensor(value[None], dtype=torch.float32) for name, value in
             (("pose", pose), ("shape", shape), ("transl", transl))}  # fmt: skip
    out = layer(**given, mean_added=True)
    joints = bodies.joints21(out["verts"], out["joints"])[0].double().numpy()
    pixels = geometry.project(joints, K)
    low, size = pixels.min(0), np.ptp(pixels, axis=0)
    corner = np.array([0, 0]) if whole else (low - 60).clip(0).astype(int)
    end = np.array([848, 480]) if whole else (low + size + 60).astype(int).clip(None, (848, 480))
    return {
        "key": f"D{number:05d}_0002_0001__0__7__{number % 4}", "hands": "right", "object": f"D{number % 2:05d}",
        "intent": intent, "subject": number % 3, "camera": f"view{number % 4}", "sequence": f"seq{number // 2}",
        "side": np.zeros(1, np.int8), "hand_type": np.ones(1, bool), "mano_valid": np.ones(1, bool),
        "joints_cam": joints[None], "joints_valid": np.ones((1, 21), bool),
        "verts_cam": out["verts"].numpy(), "pose_flat": pose[None].astype(np.float32), "shape": shape[None],
        "K": K, "bbox": np.float32([*low, *size]), "width": 848, "height": 480,
        "window": np.array([*corner, *(end - corner)], np.int32),
        "reach": np.float32(np.inf if whole else 0.5 * np.linalg.norm(size) + 40),
        "image": rng.integers(0, 255, (*(end - corner)[::-1], 3), np.uint8),
    }  # fmt: skip


class Pack:
    """As an opened pack of OakInk's demo data."""

    def __init__(self, count=4, split="test", mode="default", fits_of="handlib free hand", folder=None, **options):
        self.samples = [sample(number, ("hold", "use")[number % 2], **options) for number in range(count)]
        self.folder = folder
        self.manifest = {
            "dataset": "oakink", "split": split, "hash": "1", "fits_of": fits_of, "options": {"mode": mode},
            "arrays": dict.fromkeys(ARRAYS), "images": ["image"],
        }  # fmt: skip
        columns = "key hands object intent subject camera sequence".split()
        self.index = pd.DataFrame({name: [each[name] for each in self.samples] for name in columns})

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, place):
        return dict(self.samples[place]) | {"index": place}

    def array(self, name):
        if name not in ARRAYS:
            raise KeyError(name)
        return np.stack([each[name] for each in self.samples])
