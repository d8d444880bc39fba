"""Where a fit begins, in closed form: the palm by Procrustes, each bone by the smallest turn onto its observed way."""

import math

import roma
import torch

from handlib import fields

PALM = (0, 1, 5, 9, 13, 17)  # wrist and the fingers' bases, which move little against each other
_OTHERS = 0.01  # weight of the other joints in the palm's place: it decides only where the palm's joints are missing
_VIEWS = 32
_HOUSE = fields.reorder(fields.HAND21, fields.MANO16).tolist()  # where MANO's joints stand among the 21


def from_points(kinematics, fingers, points, weights):
    """Rotations (N, 16, 3, 3), each relative to its parent, that lay the model's bones along the observed ones.

    fingers (15, 3, 3): the pose whose twist about the bones is kept; points (N, 21, 3), zeros where weights (N, 21)
    are 0. A bone with a missing end keeps the pose given.
    """
    rest = _joints(kinematics, torch.eye(3, dtype=points.dtype, device=points.device).expand(15, 3, 3))
    posed = _joints(kinematics, fingers)
    share = weights.new_full((21,), _OTHERS)
    share[list(PALM)] = 1
    root = _procrustes(posed.expand_as(points), points, weights * share)
    local, turns = [root], [root]
    for joint in range(1, 16):
        parent = turns[fields.MANO16.parents[joint]]
        here = _HOUSE[joint]
        bone, seen = rest[here + 1] - rest[here], points[:, here + 1] - points[:, here]
        turned = parent @ fingers[joint - 1]
        both = (weights[:, here] > 0) & (weights[:, here + 1] > 0)
        swing = _swing((turned @ bone), torch.where(both[:, None], seen, turned @ bone))
        turns.append(swing @ turned)
        local.append(parent.mT @ turns[-1])
    return torch.stack(local, 1)


def from_rays(kinematics, fingers, rays, weights, count):
    """The ``count`` likeliest places of the hand in a given pose, seen along rays (N, 21, 2) = (x / z, y / z).

    Each of some views from all around is fitted by turn, scale and shift in the picture, as if the hand were far away.
    Returns rotations (count, N, 16, 3, 3) and translations (count, N, 3), the best first.
    """
    posed = _joints(kinematics, fingers)
    views = _views(rays)
    seen = (posed @ views.mT)[..., :2]  # (V, 21, 2)
    share = weights.new_full((21,), 0.25)
    share[list(PALM)] = 1
    share = weights * share
    share = share / share.sum(1, keepdim=True)
    middle = (share[..., None] * rays).sum(1)
    centre = torch.einsum("nj,vjx->nvx", share, seen)
    a = torch.view_as_complex((seen[None] - centre[:, :, None]).contiguous())  # (N, V, 21)
    b = torch.view_as_complex((rays - middle[:, None]).contiguous())[:, None]
    share = share[:, None]
    ratio = (share * a.conj() * b).sum(-1) / (share * a.abs().square()).sum(-1)
    error = (share * (b - ratio[..., None] * a).abs().square()).sum(-1)
    best = error.topk(count, largest=False).indices.T  # (count, N)
    rows = torch.arange(len(rays), device=rays.device)
    ratio, turned = ratio[rows, best], torch.zeros(count, len(rays), 3, dtype=rays.dtype, device=rays.device)
    turned[..., 2] = ratio.angle()
    root = roma.rotvec_to_rotmat(turned) @ views[best]
    depth = 1 / ratio.abs().clamp(min=1e-3)
    target = torch.cat([middle.expand(count, -1, -1), torch.ones_like(middle[:, :1]).expand(count, -1, -1)], -1)
    weighted = (share[:, 0, :, None] * posed).sum(1)  # (N, 3)
    shift = target * depth[..., None] - (root @ weighted[..., None]).squeeze(-1)
    return torch.cat([root[:, :, None], fingers.expand(count, len(rays), -1, -1, -1)], 2), shift


def _joints(kinematics, fingers):
    """(21, 3): the mean hand's, its wrist unturned."""
    rotations = torch.cat([torch.eye(3, dtype=fingers.dtype, device=fingers.device)[None], fingers])
    return kinematics(rotations[None], rotations.new_zeros(1, kinematics.shape_size))[0]


def _procrustes(points, targets, weights):
    """The proper rotation (N, 3, 3) that best turns centred points (N, P, 3) onto centred targets."""
    weights = (weights / weights.sum(1, keepdim=True))[..., None]
    points, targets = (values - (weights * values).sum(1, keepdim=True) for values in (points, targets))
    return roma.special_procrustes((weights * targets).mT @ points)


def _swing(start, end):
    """The smallest rotations (N, 3, 3) of directions (N, 3) onto others; none for opposite ones or without length."""
    start, end = (torch.nn.functional.normalize(way, dim=-1) for way in (start, end))
    real = 1 + (start * end).sum(-1, keepdim=True)
    quaternion = torch.cat([torch.linalg.cross(start, end), real], -1)
    none = quaternion.new_tensor([0, 0, 0, 1.0])
    return roma.unitquat_to_rotmat(torch.nn.functional.normalize(torch.where(real > 1e-6, quaternion, none), dim=-1))


def _views(like):
    """Rotations (V, 3, 3) that bring directions evenly spread over the sphere to the camera's axis."""
    number = torch.arange(_VIEWS, dtype=like.dtype, device=like.device) + 0.5
    z = 1 - 2 * number / _VIEWS
    around = math.pi * (1 + 5**0.5) * number
    ways = torch.stack([(1 - z * z).sqrt() * around.cos(), (1 - z * z).sqrt() * around.sin(), z], 1)
    return _swing(ways, torch.tensor([0, 0, 1.0], dtype=like.dtype, device=like.device).expand_as(ways))
