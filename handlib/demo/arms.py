"""What a hand model lacks for a picture: a finer skin, a forearm, a sleeve, a chest. For rendering only, never
annotated.
"""

import numpy as np

from handlib.render import vertex_normals

ROUNDING = 0.75  # share of Phong tessellation's bulge (Boubekeur and Alexa 2008 recommend 3/4)


class Refinement:
    """Splits every triangle of a mesh into four, ``levels`` times, and rounds the new vertices off by Phong
    tessellation.

    The given vertices stay where they are, so the outline stays the annotated mesh's within a fraction of a millimetre.
    """

    def __init__(self, faces, levels):
        self._levels = []
        faces, count = np.asarray(faces), int(np.max(faces)) + 1
        for _ in range(levels):
            edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
            pairs, middle = np.unique(edges, axis=0, return_inverse=True)
            ab, bc, ca = (middle.reshape(-1, 3) + count).T
            a, b, c = faces.T
            self._levels.append((faces, pairs))
            faces = np.concatenate([np.stack(new, 1) for new in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
            count += len(pairs)
        self.faces = faces

    def values(self, values):
        """Per-vertex values (V, D), blended linearly onto the new vertices."""
        for _, pairs in self._levels:
            values = np.concatenate([values, values[pairs].mean(1)])
        return values

    def verts(self, verts):
        """Vertices (V, 3), rounded."""
        for faces, pairs in self._levels:
            ends, normals = verts[pairs], vertex_normals(verts, faces)[pairs]
            middle = ends.mean(1)
            off = ((middle[:, None] - ends) * normals).sum(-1, keepdims=True) * normals
            verts = np.concatenate([verts, middle - ROUNDING * off.mean(1)])
        return verts


def _unit(vector):
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def spine(start, direction, arm, count, bend=0.07):
    """A line down an arm: ``count`` points from the wrist at ``start``, which it leaves along ``direction``, to the
    elbow, then as many to the shoulder. arm (2, 3): elbow, shoulder. Returns (2 * count - 1, 3)."""
    elbow, shoulder = arm
    t = np.linspace(0, 1, count)[:, None]
    knee = start + bend * _unit(direction)
    lower = (1 - t) ** 2 * start + 2 * t * (1 - t) * knee + t**2 * elbow
    line = np.concatenate([lower, elbow + t[1:] * (shoulder - elbow)])
    for _ in range(16):  # an elbow is no corner
        line[count // 2 : -1] = (line[count // 2 - 1 : -2] + 2 * line[count // 2 : -1] + line[count // 2 + 1 :]) / 4
    return line


def _frames(line, across):
    """Axes (N, 3) across a curve, carried along it without twist; the first is ``across`` made perpendicular."""
    along = _unit(np.gradient(line, axis=0))
    first = []
    for tangent in along:
        across = _unit(across - (across @ tangent) * tangent)
        first.append(across)
    first = np.array(first)
    return along, first, np.cross(along, first)


def tube(line, across, radii):
    """A tube around a line. radii (N, M, 2): ring points, offsets along the two cross axes. Verts (N*M, 3), faces
    outwards.
    """
    _, u, v = _frames(line, across)
    verts = line[:, None] + radii[..., :1] * u[:, None] + radii[..., 1:] * v[:, None]
    n, m = radii.shape[:2]
    grid = np.arange(n * m).reshape(n, m)
    a, b = grid[:-1], np.roll(grid[:-1], -1, 1)
    c, d = grid[1:], np.roll(grid[1:], -1, 1)
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    return verts.reshape(-1, 3), faces


def forearm(verts, ring, direction, line, across, growth):
    """Continue a hand beyond its wrist: vertices and faces to be put behind the hand's own (V, 3), and the half
    widths (N, 2).

    ring (M,): the hand's boundary against the direction of its faces; direction: out of the hand; line (N, 3)
    starts in the ring's centre; across: the broad direction of the wrist; growth (N,): widths relative to the wrist's.
    """
    along, u, v = _frames(line, across)
    rim = verts[ring] - line[0]
    flat = np.stack([rim @ u[0], rim @ v[0]], 1)
    angle = np.unwrap(np.arctan2(flat[:, 1], flat[:, 0]))
    half = np.abs(flat).max(0)
    half = half * np.linspace(1, [0.95, 1.15], len(line)) * growth[:, None]  # rounder towards the elbow
    blend = np.clip(np.linspace(0, 4, len(line)), 0, 1)[:, None, None]
    ellipse = np.stack([np.cos(angle), np.sin(angle)], 1) * half[:, None]
    radii = (1 - blend) * flat * growth[:, None, None] + blend * ellipse
    more, faces = tube(line, across, radii)
    lift = np.clip(1 - np.arange(len(line)) / 4, 0, 1)[:, None] * (rim @ _unit(direction))
    more = (more.reshape(len(line), -1, 3) + lift[..., None] * along[:, None])[1:]
    faces = np.where(faces < len(ring), ring[faces % len(ring)], faces - len(ring) + len(verts))
    return more.reshape(-1, 3), faces, half


def sleeve(line, across, half, cuff, rng):
    """A cloth tube over the arm from line point ``cuff`` on: verts, faces, and where each vertex lies on the cloth
    (V, 3) m.

    half (N, 2): the forearm's half widths; the upper arm keeps the last.
    """
    _, u, _ = _frames(line, across)
    half = np.concatenate([half, np.repeat(half[-1:], len(line) - len(half), 0)])[cuff:]
    line, across, points = line[cuff:], u[cuff], 36
    t = np.linspace(0, 1, len(line))[:, None]
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    folds = np.zeros((len(line), points))
    for _ in range(8):
        wave = np.cos(2 * np.pi * rng.uniform(2, 7) * t + rng.integers(-2, 3) * angle + rng.uniform(0, 6))
        folds += rng.uniform(0.2, 1.0) * wave**2 * np.clip(0.15 + 2 * t, 0, 1)
    radii = (half[:, None] + (0.004 + 0.0012 * folds + 0.010 * t)[..., None]) * ring
    along = _unit(line[1] - line[0])
    lip = line[0] + np.array([[0.014], [0.0008]]) * along  # the hem turns inwards, so that the cloth has a thickness
    inner = radii[0] - np.array([0.0038, 0.0012])[:, None, None] * ring
    line = np.concatenate([lip, line])
    verts, faces = tube(line, across, np.concatenate([inner, radii]))
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line[1:], axis=0), axis=1))])
    length = np.concatenate([length[:1], length])
    place = np.stack(np.broadcast_arrays(angle * half.mean(), length[:, None], 0.0), -1)
    return verts, faces, place.reshape(-1, 3)


# From the waist to the neck: height above the chest's middle, half width, half depth; metres.
_CHEST = np.array(
    [[-0.9, 0.16, 0.11], [-0.45, 0.15, 0.105], [-0.2, 0.165, 0.11], [0.02, 0.185, 0.12], [0.14, 0.19, 0.115],
     [0.21, 0.17, 0.095], [0.25, 0.12, 0.075], [0.275, 0.075, 0.065], [0.285, 0.06, 0.06]]
)  # fmt: skip


def chest(middle, rng):
    """A clothed upper body, upright (y is down) around ``middle`` (3,): verts, faces, and places on the cloth as in
    ``sleeve``.
    """
    rows, points = 44, 52
    height = np.linspace(_CHEST[0, 0], _CHEST[-1, 0], rows)
    width, depth = (np.interp(height, _CHEST[:, 0], column) for column in _CHEST[:, 1:].T)
    width, depth = (np.convolve(np.pad(part, 4, mode="edge"), np.ones(9) / 9, mode="valid") for part in (width, depth))
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    bulge = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.8  # flatter in front than an ellipse
    ring = np.stack([np.cos(angle) * width[:, None], bulge * depth[:, None]], -1)
    folds = np.zeros((rows, points))
    for _ in range(10):
        wave = np.cos(rng.integers(1, 7) * angle + rng.uniform(-30, 30) * height[:, None] + rng.uniform(0, 6))
        folds += rng.uniform(0.3, 1.0) * wave**2
    ring *= 1 + 0.008 * (folds * np.clip(1 - 2 * height, 0.2, 1.4)[:, None])[..., None]
    line = middle + np.stack([0 * height, -height, 0 * height], 1)
    verts, faces = tube(line, np.array([1.0, 0, 0]), ring)
    place = np.stack(np.broadcast_arrays(angle * 0.16, -height[:, None], 0.0), -1)
    return verts, faces, place.reshape(-1, 3)
