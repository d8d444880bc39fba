"""Networks for tests of the Predictor: no weights, but answers that depend on the crop and hang together."""

import numpy as np
import torch
from torch import nn

from handlib import bodies, geometry
from handlib.networks.base import Network
from handlib.networks.blocks import person as virtual


class ToyMano(Network):
    """Turns the hand by the crop's mean colours and says where its joints are seen: 0.5 of the crop is 9 cm."""

    name, input = "toy", geometry.ManoInput(size=(64, 64))

    def __init__(self):
        super().__init__()
        self.layer = bodies.load(None, "mano_right")
        self.calls, self.scale = [], nn.Parameter(torch.ones(1))

    def forward(self, images, stages=False):
        self.calls.append(len(images))
        left, right = (images[..., part].mean((2, 3)) for part in (slice(0, 32), slice(32, 64)))
        pose = torch.zeros(len(images), 48)
        pose[:, :3] = 3 * (left - right) + 0.3 * left
        pose[:, 3:9] = torch.cat([left, right], 1)
        shape = torch.cat([left, right, left[:, :1], right, left], 1)[:, :10]
        made = self.layer(pose=pose, shape=shape, mean_added=False)
        joints = bodies.joints21(made["verts"], made["joints"], "handoccnet")
        seen = 0.5 + (joints - joints[:, :1])[..., :2] * 5 / (1 + (joints - joints[:, :1])[..., 2:])
        return {"joints": joints, "verts": made["verts"], "joints_img": seen * self.scale, "pose_from_mean": pose,
                "shape": shape}  # fmt: skip


class ToyUvd(Network):
    """Answers the uvd that it is told."""

    name, input = "toy_uvd", geometry.HandInput(size=(64, 64), root=9)

    def __init__(self, uvd):
        super().__init__()
        self.uvd = nn.Parameter(torch.as_tensor(uvd, dtype=torch.float32))

    def forward(self, images, stages=False):
        return {"joints_uvd": self.uvd[: len(images)].detach()}


def picture(width=200, height=150, seed=0):
    """uint8 (h, w, 3): smooth colours and a little noise."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = [np.sin(2 * np.pi * (rng.random() * 2 * x + rng.random() * 2 * y + rng.random())) for _ in range(3)]
    return (127 + 100 * np.stack(waves, -1) + rng.uniform(-20, 20, (height, width, 3))).astype(np.uint8)


class ToyPerson(Network):
    """Bends a person by the crop's mean colours, before the virtual camera, and sees the joints where that has them."""

    name, input = "toy_person", geometry.PersonInput(size=(96, 128))

    def __init__(self):
        super().__init__()
        self.layer = bodies.load(None, "smplx_neutral")
        self.calls, self.scale = [], nn.Parameter(torch.ones(1))

    def forward(self, images, stages=False):
        self.calls.append(len(images))
        cells, count = torch.nn.functional.adaptive_avg_pool2d(images, (8, 8)).flatten(1) - 0.5, len(images)
        sizes = {"root_pose": 3, "body_pose": 63, "jaw_pose": 3, "lhand_pose": 45, "rhand_pose": 45}
        starts = np.cumsum([0, *sizes.values()])
        given = {
            name: 0.4 * cells[:, start : start + size]
            for (name, size), start in zip(sizes.items(), starts, strict=False)
        }
        given |= {"shape": cells[:, -10:], "expression": cells[:, -20:-10]}
        camera = torch.cat([0.2 * cells[:, :2], 0.5 + 0.1 * cells[:, 2:3]], 1)
        given["root_pose"] = given["root_pose"] + torch.tensor([np.pi, 0.0, 0.0])  # SMPL-X has y up
        transl = virtual.camera(camera) + torch.tensor([0.0, 0.3, 0.0])
        out = given | {"expr": given["expression"], "transl": transl}
        out |= virtual.smplx_answer(self.layer, given, transl, self.input.volume)
        out["joints_img"] = torch.cat([out["joints_proj"][:, :65] * self.scale, torch.zeros(count, 65, 1)], 2)
        boxes = {"lhand_bbox": (10.0, 20, 30, 30), "rhand_bbox": (40.0, 20, 30, 30), "face_bbox": (30.0, 0, 24, 24)}
        return out | {name: torch.tensor([box]).expand(count, 4) for name, box in boxes.items()}


def of_crops(predictor, image, boxes):
    """What the network itself says of the crops of right hands or persons."""
    seen = np.stack([predictor.reader.crop(image, box, 0, None)[0] for box in boxes])
    with torch.inference_mode():
        return predictor.net(torch.from_numpy(seen))
