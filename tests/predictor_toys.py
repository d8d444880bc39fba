"""Networks for tests of the Predictor: no weights, but answers that depend on the crop and hang together."""

import numpy as np
import torch
from torch import nn

from handlib import bodies, geometry
from handlib.networks.base import Network


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
