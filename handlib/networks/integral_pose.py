"""Integral Pose (Sun et al., ECCV 2018, "Integral Human Pose Regression") as OakInk's benchmark trained it.

ResNet-50, two deconvolutions and a volume of 28^3 cells per joint, normalised by a sigmoid and not by a soft-max.
"""

import torch
from torch import nn
from torch.nn import functional as F

from handlib import geometry
from handlib.networks.base import KeyTable
from handlib.networks.blocks import heads
from handlib.networks.one_hand import FrozenBackbone

JOINTS, CELLS, LOSS_WEIGHT = 21, 28, 100.0

KEYS = {"backbone.": "backbone.", "enlarge.": "pose_head.deconv_layers.", "volume.": "pose_head.final_layer."}


class IntegralPose(FrozenBackbone):
    """(B, 3, 224, 224) RGB in 0..1 -> dict, float32:

    ``joints_uvd`` (B, 21, 3), between 0 and 27/28: cell k of an axis lies at k/28, without half a cell's shift;
    ``confidence`` (B, 21), the value of the highest cell, 0..1. The root is joint 9.

    published: see `FrozenBackbone`, the only thing it changes here.
    """

    name = "integral_pose"
    input = geometry.HandInput(size=(224, 224), root=9)
    keys = KeyTable(KEYS)
    signature = {
        "pose_head.deconv_layers.0.weight": (2048, 256, 4, 4),
        "pose_head.final_layer.weight": (JOINTS * CELLS, 256, 1, 1),
    }

    def __init__(self, published=False, freeze=None):
        super().__init__(published, freeze)
        self.enlarge = heads.enlarging(2048, 2)
        self.volume = nn.Conv2d(256, JOINTS * CELLS, 1)
        self.enlarge.apply(heads.initialise)
        self.volume.apply(heads.initialise)

    def forward(self, images, stages=False):
        images = self.centred(images)
        stem = self.backbone.stem(images)
        layers = self.backbone.layers(stem)
        raised = self.enlarge(layers[-1])
        logits = self.volume(raised)
        out = decode(logits)
        if stages:
            share = volume_share(logits)
            out |= {"input": images, "stem_maxpool": stem, "deconv_out": raised, "logits": logits}
            out |= {f"layer{i + 1}": x for i, x in enumerate(layers)}
            out |= {"heatmap3d_bcdhw": share, "heatmap_d_marginal": share.sum((3, 4))}
        return out

    def loss(self, out, targets):
        """100 times the smooth L1 distance (beta 1) of uvd, as ``uvd`` and ``total``.

        Targets: joints_uvd (B, 21, 3), joints_valid (B, 21). What is not valid counts as zero in the mean over all.
        """
        return uvd_loss(out["joints_uvd"], targets["joints_uvd"], targets["joints_valid"])


def uvd_loss(joints, truth, valid):
    valid = valid[..., None]
    loss = F.smooth_l1_loss(joints * valid, truth * valid)
    return {"uvd": loss, "total": LOSS_WEIGHT * loss}


def volume_share(logits):
    """(B, 21 * 28, 28, 28), channel = joint * 28 + depth -> (B, 21, 28, 28, 28): depth, row, column; sum 1."""
    volume = heads.full_precision(logits).sigmoid().unflatten(1, (JOINTS, CELLS))
    return volume / (volume.sum((2, 3, 4), keepdim=True) + 1e-7)


def decode(logits):
    """Volumes as for `volume_share` -> joints_uvd (B, 21, 3) and confidence (B, 21)."""
    volume = heads.full_precision(logits).sigmoid().unflatten(1, (JOINTS, CELLS))
    flat = volume.sum(2)  # (B, J, row, column)
    depth, row, column = volume.sum((3, 4)), flat.sum(3), flat.sum(2)
    total = column.sum(2, keepdim=True) + 1e-7
    place = torch.arange(CELLS, device=logits.device, dtype=column.dtype) / CELLS
    uvd = torch.stack([column, row, depth], 2) @ place / total
    return {"joints_uvd": uvd, "confidence": volume.amax((2, 3, 4))}
