"""DIGIT (Fan et al., 3DV 2021, "Learning to Disambiguate Strongly Interacting Hands via Probabilistic Per-Pixel
Part Segmentation").

Two hands in 2.5D from one crop. Joints are in INTERHAND42 order; coordinates live in the 64-box of ``net.input``
(`handlib.geometry.lift_25d` takes them to the camera's frame).
"""

import torch
from torch import nn
from torch.nn import functional as F

from handlib import fields, geometry
from handlib.networks import checkpoints
from handlib.networks.base import KeyTable, Network
from handlib.networks.blocks import heads, losses
from handlib.networks.blocks.hrnet import HRNet
from handlib.networks.blocks.unet import UNet, double_conv, enlarge

JOINTS, PARTS, FEATURES, PART_FEATURES = 42, 33, 32, 512
BONES = torch.tensor(fields.INTERHAND42.bones).T  # (2, 40): child, parent

KEYS = {
    "backbone.": "pose_reg.backbone.",
    "part_features.": "pose_reg.hand_segm.segm_head.upsampler.up1.conv.double_conv.",
    "part_classes.": "pose_reg.hand_segm.segm_head.segm_net.double_conv.",
    "part_encoder.": "pose_reg.conv_segm_feat.",
    "merge.inc.": "pose_reg.merge_layer.inc.double_conv.",
    **{f"merge.down.{i}.": f"pose_reg.merge_layer.down{i + 1}.maxpool_conv.1.double_conv." for i in range(3)},
    **{f"merge.up.{i}.": f"pose_reg.merge_layer.up{i + 1}.conv.double_conv." for i in range(3)},
    "merge.outc.": "pose_reg.merge_layer.outc.conv.",
    "heatmaps.": "pose_reg.conv_hm.",
    "depthmaps.": "pose_reg.conv_depth.",
    "head.": "pose_reg.conv_head.",
    "root_depth.": "pose_reg.root_fc.",
    "hand_type.": "pose_reg.hand_fc.",
}


class Digit(Network):
    """(B, 3, 256, 256) RGB in 0..1, not normalised further -> dict, float32:

    ``joint_coord`` (B, 42, 3) = ``joint_xy`` (B, 42, 2) and ``zval`` (B, 42) in the 64-box; ``rel_root_depth`` (B, 1)
    left wrist minus right wrist in the same units as z, from ``root_heatmap1d`` (B, 64); ``hand_type_logits`` and
    ``hand_type_sigmoid`` (B, 2) for (right, left); ``segm_logits`` (B, 33, 128, 128) for background, 16 right parts, 16
    left parts.
    """

    name = "digit"
    input = geometry.HandPairInput()
    keys = KeyTable(KEYS)
    signature = {
        "pose_reg.conv_hm.weight": (JOINTS, FEATURES + PART_FEATURES, 1, 1),
        "pose_reg.conv_segm_feat.2.weight": (PART_FEATURES, 64, 3, 3),
    }

    def __init__(self):
        super().__init__()
        channels = FEATURES + PART_FEATURES
        self.backbone = HRNet(FEATURES)
        self.part_features = double_conv(FEATURES, FEATURES // 2, 64)
        self.part_classes = double_conv(64, PARTS, PARTS)[:4]  # ends with the second convolution
        self.part_encoder = nn.Sequential(*conv_relu(PARTS, 64), *conv_relu(64, PART_FEATURES), nn.MaxPool2d(2))
        self.merge = UNet(channels, channels)
        self.heatmaps = nn.Conv2d(channels, JOINTS, 1)
        self.depthmaps = nn.Conv2d(channels, JOINTS, 1)
        self.head = nn.Sequential(
            *conv_relu(channels, 64), *conv_relu(64, 128), nn.MaxPool2d(2),
            *conv_relu(128, 256), *conv_relu(256, 512), nn.MaxPool2d(2),
            *conv_relu(512, 512), *conv_relu(512, 512), nn.MaxPool2d(2),
        )  # fmt: skip
        self.root_depth = heads.linear_head(512, 512, self.input.heatmap)
        self.hand_type = heads.linear_head(512, 512, 2)

    def forward(self, images, stages=False):
        named = {}
        keep = named.__setitem__ if stages else lambda name, tensor: None
        features = self.backbone(self.prepared(images), keep)
        keep("backbone", features)
        part_features = self.part_features(enlarge(features))
        keep("segm_up", part_features)
        part_logits = self.part_classes(part_features)
        encoded = self.part_encoder(part_logits)
        keep("segm_feat", encoded)
        merged = self.merge(torch.cat([features, encoded], 1), lambda name, tensor: keep(f"merge_{name}", tensor))
        keep("merge", merged)
        heatmaps, depthmaps, head = self.heatmaps(merged), self.depthmaps(merged), self.head(merged)
        keep("hm_2d", heatmaps)
        keep("hm_depth", depthmaps)
        keep("head_feat", head)
        probability = heads.spatial_softmax(heatmaps)
        keep("hm_norm", probability)
        pooled = head.mean((2, 3))
        hand_type = heads.full_precision(self.hand_type(pooled))
        named |= decode(probability, depthmaps, self.root_depth(pooled))
        return named | {
            "hand_type_logits": hand_type,
            "hand_type_sigmoid": hand_type.sigmoid(),
            "segm_logits": part_logits,
        }

    def loss(self, out, targets):
        """The five published terms and their plain sum, ``total``; units of the 64-box.

        Targets: joint_coord (B, 42, 3), joint_valid (B, 42), rel_root_depth and root_valid (B, 1), hand_type (B, 2),
        hand_type_valid (B,), segm (B, 128, 128) classes, segm_valid (B,). What is not valid counts as zero in means
        over everything.
        """
        joints, truth, valid = out["joint_coord"], targets["joint_coord"], targets["joint_valid"]
        terms = {
            "loss_joint": ((joints - truth).abs() * valid[..., None]).mean(),
            "loss_rel_root_depth": losses.root_depth(out, targets),
            "loss_hand_type": losses.hand_type(out, targets),
            "loss_segm": 10 * segmentation_loss(out["segm_logits"], targets["segm"], targets["segm_valid"]),
            "loss_bone": 0.1 * bone_loss(joints, truth, valid),
        }
        return terms | {"total": sum(terms.values())}

    def load_backbone(self, file):
        """Fill the HRNet-W32 from its ImageNet classification file (hrnet_w32-36af842e, .pth or .pt).

        Only names of the backbone's own parts are used, and not the last fusion's lower outputs, which DIGIT lacks; of
        the others none may be missing. Returns the names that were not used.
        """
        lower = tuple(f"stage4.2.fuse_layers.{branch}." for branch in (1, 2, 3))
        return checkpoints.load_backbone(self.backbone, file, unused=lower)


def conv_relu(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)


def decode(probability, depthmaps, root_logits):
    """Read joints off probability and depth maps (B, J, h, w), and the root depth off logits (B, N).

    Gives joint_xy, zval, joint_coord, root_heatmap1d and rel_root_depth, as named in `Digit`.
    x and y are the expected column and row plus 0.5, z the depth map's mean under the heat map; the root depth is the
    expected bin, without 0.5.
    """
    xy = heads.expected_cell(probability) + 0.5
    z = (probability * depthmaps).sum((2, 3))
    return {
        "joint_xy": xy,
        "zval": z,
        "joint_coord": torch.cat([xy, z[..., None]], 2),
        "root_heatmap1d": heads.full_precision(root_logits),
        "rel_root_depth": heads.expected_index(root_logits),
    }


def segmentation_loss(logits, classes, valid):
    entropy = F.cross_entropy(heads.full_precision(logits), classes.long(), reduction="none")
    return (entropy * valid[:, None, None]).mean()


def bone_loss(joints, truth, valid):
    """Squared differences of child-minus-parent vectors; the published loss adds the means of the two hands."""
    child, parent = BONES.to(joints.device)
    difference = (joints[:, child] - joints[:, parent]) - (truth[:, child] - truth[:, parent])
    squares = difference.square() * (valid[:, child] * valid[:, parent])[..., None]
    return 2 * squares.mean()  # both hands have 20 bones
