"""InterNet, the baseline of InterHand2.6M (Moon et al., ECCV 2020): ResNet-50 and a volume of 64^3 cells per joint.

Joints are in INTERHAND42 order; coordinates live in the 64-box of ``net.input``.
"""

import torch
from torch import nn

from handlib import geometry
from handlib.networks import checkpoints
from handlib.networks.base import KeyTable, Network
from handlib.networks.blocks import heads, losses
from handlib.networks.blocks.resnet import ResNet

JOINTS_PER_HAND, CELLS = 21, 64
SIGMA, PEAK = 2.5, 255.0  # of the target volume, in cells and in its values

KEYS = {
    "backbone.": "backbone_net.resnet.",
    "enlarge.0.": "pose_net.joint_deconv_1.",
    "enlarge.1.": "pose_net.joint_deconv_2.",
    "volume.0.": "pose_net.joint_conv_1.0.",
    "volume.1.": "pose_net.joint_conv_2.0.",
    "root_depth.": "pose_net.root_fc.",
    "hand_type.": "pose_net.hand_fc.",
}


class InterNet(Network):
    """(B, 3, 256, 256) RGB in 0..1 -> dict, float32:

    ``joint_coord`` (B, 42, 3): x, y, z of the highest cell of each volume, whole numbers; ``rel_root_depth`` (B, 1)
    left wrist minus right wrist, from ``root_heatmap1d`` (B, 64); ``hand_type_logits`` and ``hand_type_sigmoid`` (B, 2)
    for (right, left); ``joint_heatmap3d`` (B, 42, 64, 64, 64) by depth, row and column.
    """

    name = "internet"
    input = geometry.HandPairInput()
    keys = KeyTable(KEYS)
    signature = {
        "pose_net.joint_deconv_1.0.weight": (2048, 256, 4, 4),
        "pose_net.joint_conv_2.0.weight": (JOINTS_PER_HAND * CELLS, 256, 1, 1),
    }

    def __init__(self):
        super().__init__()
        self.backbone = ResNet()
        self.enlarge = nn.ModuleList(heads.enlarging(2048, 3) for _ in "rl")
        self.volume = nn.ModuleList(nn.Conv2d(256, JOINTS_PER_HAND * CELLS, 1) for _ in "rl")
        self.root_depth = heads.linear_head(2048, 512, CELLS)
        self.hand_type = heads.linear_head(2048, 512, 2)
        for part in (self.enlarge, self.volume, self.root_depth, self.hand_type):
            part.apply(heads.initialise)

    def forward(self, images, stages=False):
        layers = self.backbone(self.prepared(images))
        raised = [enlarge(layers[-1]) for enlarge in self.enlarge]
        volumes = [
            volume(x).unflatten(1, (JOINTS_PER_HAND, CELLS)) for volume, x in zip(self.volume, raised, strict=True)
        ]
        volumes = torch.cat(volumes, 1)
        pooled = layers[-1].mean((2, 3))
        root, hand_type = self.root_depth(pooled), heads.full_precision(self.hand_type(pooled))
        out = {
            "joint_coord": highest_cell(volumes),
            "joint_heatmap3d": volumes,
            "root_heatmap1d": heads.full_precision(root),
            "rel_root_depth": heads.expected_index(root),
            "hand_type_logits": hand_type,
            "hand_type_sigmoid": hand_type.sigmoid(),
        }
        if stages:
            out |= {f"layer{i + 1}": x for i, x in enumerate(layers)} | {
                f"deconv_{i + 1}": x for i, x in enumerate(raised)
            }
        return out

    def loss(self, out, targets):
        """The three published terms and their sum, ``total``.

        Targets: joint_coord (B, 42, 3), joint_valid (B, 42), rel_root_depth and root_valid (B, 1), hand_type (B, 2),
        hand_type_valid (B,).
        """
        volumes = heads.full_precision(out["joint_heatmap3d"])
        difference = (volumes - target_volume(targets["joint_coord"].to(volumes.dtype))).square()
        terms = {
            "joint_heatmap": (difference.mean((2, 3, 4)) * targets["joint_valid"]).mean(),
            "rel_root_depth": losses.root_depth(out, targets),
            "hand_type": losses.hand_type(out, targets),
        }
        return terms | {"total": sum(terms.values())}

    def load_backbone(self, file):
        """Fill the ResNet-50 from torchvision's ImageNet file; returns the names not used (the classifier's)."""
        return checkpoints.load_backbone(self.backbone, file)


def highest_cell(volumes):
    """(B, J, D, H, W) -> (B, J, 3): x, y, z of the highest value."""
    depth, rows, columns = volumes.shape[2:]
    cell = volumes.flatten(2).argmax(2)
    place = cell % columns, cell // columns % rows, cell // (columns * rows)
    return torch.stack(place, 2).float()


def target_volume(joints):
    """(B, J, 3) x, y, z -> (B, J, 64, 64, 64) Gaussian, 255 at the joint; cell k lies at coordinate k."""
    cells = torch.arange(CELLS, device=joints.device)
    x, y, z = torch.exp(-0.5 * ((cells - joints[..., None]) / SIGMA) ** 2).unbind(2)
    return PEAK * z[:, :, :, None, None] * y[:, :, None, :, None] * x[:, :, None, None, :]
