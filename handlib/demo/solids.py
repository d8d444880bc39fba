"""How far points lie from the parts of an object: signed distances for torch, negative inside."""

import functools

import numpy as np
import torch

from handlib.demo.objects import Block, Lathe, Rod

_TINY = 1e-12  # m2; keeps square roots differentiable


def distance(parts, points):
    """Signed distance (..., N) m of points (..., N, 3) from the union of an object's parts; outside it is exact."""
    own = [_KINDS[type(part)](part, points) for part in parts]
    return torch.stack(own).amin(0)


_CELL, _BEYOND = 0.001, 0.1  # m: of the table of a lathe's distances, and how far it goes beyond the lathe


def _lathe(part, points):
    """The distance from the profile in the half plane of radius and height, read from a table of it."""
    table, low = _table(part.profile.tobytes())
    across = points[..., :2] - torch.as_tensor(part.centre, dtype=points.dtype)
    at = torch.stack([(across**2).sum(-1).add(_TINY).sqrt(), points[..., 2] - low], -1) / _CELL
    last = torch.tensor(table.shape, dtype=points.dtype) - 1.001
    at = torch.minimum(at.clamp(min=0), last)
    base = at.detach().floor()
    (s, t), (row, column) = (at - base).unbind(-1), base.long().unbind(-1)
    first = row * table.shape[1] + column
    a, b, c, d = (table.view(-1)[first + more] for more in (0, 1, table.shape[1], table.shape[1] + 1))
    return (a + t * (b - a)) * (1 - s) + (c + t * (d - c)) * s


@functools.cache
def _table(profile):
    """Signed distances at radius and height in steps of _CELL, and the lowest height."""
    profile = np.frombuffer(profile).reshape(-1, 2)
    low, high = profile[:, 1].min() - _BEYOND, profile[:, 1].max() + _BEYOND
    radius = np.arange(0, profile[:, 0].max() + _BEYOND, _CELL)
    height = np.arange(low, high, _CELL)
    nearest, crossed = np.full((len(radius), len(height)), np.inf), np.zeros((len(radius), len(height)), int)
    for start, end in zip(profile[:-1], profile[1:], strict=True):
        way = end - start
        u, v = radius[:, None] - start[0], height - start[1]
        t = np.clip((u * way[0] + v * way[1]) / (way @ way), 0, 1)
        nearest = np.minimum(nearest, np.hypot(u - t * way[0], v - t * way[1]))
        # Inside, the ray outwards along the radius meets the profile an odd number of times.
        level = (start[1] <= height) != (end[1] <= height)
        meets = start[0] + v / (way[1] or 1) * way[0]
        crossed += level & (meets > radius[:, None])
    return torch.tensor(np.where(crossed % 2, -nearest, nearest)), low


def _block(part, points):
    half, centre = (torch.as_tensor(value, dtype=points.dtype) for value in (part.half - part.radius, part.centre))
    off = (points - centre).abs() - half
    return (off.clamp(min=0) ** 2).sum(-1).add(_TINY).sqrt() + off.amax(-1).clamp(max=0) - part.radius


def _rod(part, points):
    line = torch.as_tensor(part.line, dtype=points.dtype)
    start, way = line[:-1], line[1:] - line[:-1]
    off = points[..., None, :] - start
    t = ((off * way).sum(-1) / (way * way).sum(-1)).clamp(0, 1)
    return ((off - t[..., None] * way) ** 2).sum(-1).amin(-1).add(_TINY).sqrt() - part.radius


_KINDS = {Lathe: _lathe, Block: _block, Rod: _rod}
