"""Packs of free hands as HO-3D's, DexYCB's and FreiHAND's readers give them; a network that answers with the truth."""

import numpy as np
import pandas as pd
import torch

from handlib import bodies, geometry

K = geometry.intrinsics((600, 610), (320, 240))
FACTS = {
    "ho3d": {"version": "v2", "split": "evaluation", "options": {"source": "annotations"}},
    "dexycb": {
        "version": "2021 release",
        "split": "test",
        "setup": "s0",
        "official_ids": True,
        "options": {"setup": "s0"},
    },
    "freihand": {"version": "2", "split": "evaluation", "options": {}},
}
COLUMNS = "key hands object subject camera sequence image_id".split()


def sample(number, side=0, hidden=False):
    """A hand with its parameters alone; ``hidden``: as HO-3D's evaluation, where the wrist is all that is known."""
    rng = np.random.default_rng(number)
    layer = bodies.load("free", ("mano_right", "mano_left")[side])
    pose, shape = 0.2 * rng.standard_normal(48), 0.5 * rng.standard_normal(10)
    made = layer(pose=torch.tensor(pose), shape=torch.tensor(shape), mean_added=False)
    joints = bodies.joints21(made["verts"], made["joints"]).double().numpy()
    place = np.array([0.02 * number, 0.01, 0.6]) - joints[0]
    joints, verts = joints + place, made["verts"].numpy() + place
    bbox = geometry.tight_box(geometry.project(joints, K))
    known = (np.arange(21) == 0) if hidden else np.ones(21, bool)
    return {
        "key": f"evaluation/A/{number:04d}", "hands": ("right", "left")[side], "object": "can", "subject": number % 2,
        "camera": "0", "sequence": f"A{number // 2}", "image_id": number, "width": 640, "height": 480,
        "side": np.array([side], np.int8), "hand_type": np.ones(1, bool), "mano_valid": np.array([not hidden]),
        "joints_cam": np.where(known[:, None], joints, 0)[None], "joints_valid": known[None],
        "pose_from_mean": pose[None] * (not hidden), "shape": shape[None] * (not hidden), "K": K, "bbox": bbox,
        "bbox_tight": np.bool_(not hidden), "image": np.full((480, 640, 3), 90, np.uint8),
        "made": (joints, verts),
    }  # fmt: skip


class Pack:
    """As an opened pack."""

    def __init__(self, dataset, count=4, hidden=False, fits_of="handlib free hand", folder=None, **facts):
        sides = [number % 2 if dataset == "dexycb" else 0 for number in range(count)]
        self.samples = [sample(number, side, hidden) for number, side in enumerate(sides)]
        self.made = [one.pop("made") for one in self.samples]
        self.folder = folder
        self.manifest = {"dataset": dataset, "hash": "1", "fits_of": fits_of, "listed": count, "samples": count,
                         "skipped": {"reasons": {}}, "arrays": {}} | FACTS[dataset] | facts  # fmt: skip
        self.index = pd.DataFrame({name: [one[name] for one in self.samples] for name in COLUMNS})

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, place):
        return dict(self.samples[place]) | {"index": place}

    def array(self, name):
        return np.stack([one[name] for one in self.samples])


class Oracle(torch.nn.Module):
    """Answers with a pack's true hands in order, mirrored where they are left ones, elsewhere, ``off`` metres away."""

    name, input = "handoccnet", geometry.ManoInput()

    def __init__(self, pack, off=(0, 0, 0)):
        super().__init__()
        self.layer, self.pack, self.off, self.next = bodies.load("free", "mano_right"), pack, off, 0

    def forward(self, images):
        rows = range(self.next, self.next + len(images))
        self.next += len(images)
        out = {"joints": [], "verts": []}
        for row in rows:
            sign = [-1, 1, 1] if self.pack.samples[row]["side"][0] else [1, 1, 1]
            joints, verts = (points * sign - 0.3 for points in self.pack.made[row])
            joints, verts = joints.copy(), verts + np.array(self.off)
            joints[1:] += self.off
            out["joints"].append(joints)
            out["verts"].append(verts)
        return {name: torch.tensor(np.stack(points), dtype=torch.float32) for name, points in out.items()}
