"""How near two meshes can come to each other before they touch."""

import numpy as np

from handlib import render

_SKIN = 0.001  # m by which flesh gives way
_FAR, _STRIDE = 0.34, 0.015  # m
_RAYS = np.array([[0.61, 0.37, 0.70], [-0.52, 0.80, -0.29], [0.18, -0.55, -0.82]], np.float32)


class _Solid:
    """A closed mesh that tells which points lie inside it."""

    def __init__(self, verts, faces):
        verts, faces = render.seal(verts, faces)
        self._scene = render.Scene([(verts, faces)])
        corners = self._scene.verts[self._scene.faces]
        self._outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        self.surface = verts - _SKIN * render.vertex_normals(verts, faces)

    def holds(self, points):
        """Whether a ray from each point leaves through the inner side of the surface, for most of three rays."""
        votes = 0
        for ray in _RAYS:
            hits = self._scene.first(points, np.broadcast_to(ray, points.shape))
            votes = votes + ((hits.face >= 0) & (self._outward[hits.face] @ ray > 0))
        return votes >= 2


def apart(right, left, direction, faces):
    """The smallest distance (m) along ``direction`` at which ``left`` (V, 3), coming from afar, does not yet touch
    ``right``.

    faces: the right hand's; the left hand's are the same, rewound. Touching is less than a millimetre of one within
    the other.
    """
    solids = _Solid(right, faces), _Solid(left, np.asarray(faces)[:, ::-1])

    def touch(distance):
        shift = distance * direction
        return solids[0].holds(solids[1].surface + shift).any() or solids[1].holds(solids[0].surface - shift).any()

    distance = _FAR
    while distance > -_FAR and not touch(distance - _STRIDE):
        distance -= _STRIDE
    low, high = distance - _STRIDE, distance
    for _ in range(5):
        middle = (low + high) / 2
        low, high = (middle, high) if touch(middle) else (low, middle)
    return high


def overlap(one, other, faces):
    """Whether two hands of the same side, (V, 3) each, reach a millimetre or more into each other."""
    first, second = _Solid(one, faces), _Solid(other, faces)
    return bool(first.holds(second.surface).any() or second.holds(first.surface).any())
