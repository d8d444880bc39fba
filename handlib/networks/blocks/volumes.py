"""Heat volumes of joints, and features where joints are (Moon et al., "Integral" soft-argmax as Pose2Pose uses it).

Places are in cells: x in 0..W-1, y in 0..H-1, z in 0..D-1 of a volume (D, H, W); cell k lies at k.
"""

import torch
from torch.nn import functional as F

from handlib.networks.blocks.heads import full_precision


def volume_softmax(logits):
    """(B, J, D, H, W) -> the same shape: soft-max over the cells of each joint, in at least float32."""
    return full_precision(logits).flatten(2).softmax(2).unflatten(2, logits.shape[2:])


def expected_place(probability):
    """(B, J, D, H, W) -> (B, J, 3): the mean x, y, z of each joint in cells."""
    axes = []
    for axis in (4, 3, 2):
        others = [other for other in (2, 3, 4) if other != axis]
        cells = torch.arange(probability.shape[axis], device=probability.device, dtype=probability.dtype)
        axes.append((probability.sum(others) * cells).sum(2))
    return torch.stack(axes, 2)


def at_places(features, places):
    """Features (B, C, h, w) at places (B, J, 2) x, y in cells -> (B, J, C): bilinear, zero outside."""
    features, places = full_precision(features), full_precision(places).to(features.device)
    h, w = features.shape[2:]
    grid = places / places.new_tensor([w - 1, h - 1]) * 2 - 1
    sampled = F.grid_sample(features, grid.to(features.dtype)[:, :, None], align_corners=True)
    return sampled[..., 0].transpose(1, 2)
