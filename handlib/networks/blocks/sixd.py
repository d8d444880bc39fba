"""Rotations in six numbers (Zhou et al., CVPR 2019) as Pose2Pose, Hand4Whole and OSX write them.

The six are a 3 x 2 matrix row by row, so that the first axis is numbers 0, 2, 4 and the second 1, 3, 5
(`mano_head.sixd_to_rotmat` has one axis after the other).
"""

import torch
from torch.nn import functional as F

from handlib.networks.blocks.heads import full_precision

_EPS = 1e-6


def rotvec(sixd, published=False):
    """(..., 6 n) -> (..., 3 n) axis-angle, radians, angles up to pi; six zeros give (0, pi, 0).

    published: where there are just three rotations in all, the third axis is made as the published call makes it, by a
    cross product over the rotations instead of over x, y, z (all three are then wrong).
    """
    axes = full_precision(sixd).reshape(-1, 3, 2)
    first = F.normalize(axes[..., 0], dim=1)
    second = axes[..., 1] - (first * axes[..., 1]).sum(1, keepdim=True) * first
    second = F.normalize(second, dim=1)
    third = torch.linalg.cross(first, second, dim=0 if published and len(axes) == 3 else 1)
    quaternion = _quaternion(torch.stack([first, second, third], 2))
    return _angle_axis(quaternion).reshape(*sixd.shape[:-1], -1)


def _quaternion(m):
    """(N, 3, 3) -> (N, 4), x y z w. Of four ways the one is taken whose root is of 1 or more, also of no rotation."""
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = m.flatten(1).unbind(1)
    ways = torch.stack([
        torch.stack([1 + m00 - m11 - m22, m01 + m10, m20 + m02, m21 - m12], 1),
        torch.stack([m01 + m10, 1 - m00 + m11 - m22, m12 + m21, m02 - m20], 1),
        torch.stack([m20 + m02, m12 + m21, 1 - m00 - m11 + m22, m10 - m01], 1),
        torch.stack([m21 - m12, m02 - m20, m10 - m01, 1 + m00 + m11 + m22], 1),
    ], 1)  # fmt: skip
    way = torch.where(m22 < _EPS, torch.where(m00 > m11, 0, 1), torch.where(m00 < -m11, 2, 3))
    chosen = ways.gather(1, way[:, None, None].expand(-1, 1, 4))[:, 0]
    return chosen / (2 * chosen.gather(1, way[:, None]).sqrt())


def _angle_axis(quaternion):
    """(N, 4), x y z w of any length -> (N, 3), angles from 0 to pi."""
    vector, cosine = quaternion.split((3, 1), 1)
    back = cosine < 0
    vector, cosine = torch.where(back, -vector, vector), torch.where(back, -cosine, cosine)
    square = vector.square().sum(1, keepdim=True)
    small = square < _EPS**2
    sine = torch.where(small, torch.ones_like(square), square).sqrt()
    return vector * torch.where(small, 2 * torch.ones_like(sine), 2 * torch.atan2(sine, cosine) / sine)
