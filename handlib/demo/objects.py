"""Simple things to hold: solids put together from parts, their meshes and what they look like. Imports no torch.

An object's own frame: metres, z the way it stands up, the origin in the middle of its bounding box.
"""

import dataclasses
import functools

import numpy as np

from handlib.demo.arms import tube
from handlib.demo.materials import Solid, Zone

_AROUND = 72  # points around what is round
_INF = 9.0  # m; beyond every object


@dataclasses.dataclass(frozen=True)
class Lathe:
    """A solid of revolution about an upright axis: ``profile`` (N, 2) of radius and height, m, from the axis at the
    bottom, outside all the way round, to the axis again; ``centre``: x and y of the axis.
    """

    profile: np.ndarray
    centre: tuple = (0.0, 0.0)

    def mesh(self):
        radius, height = self.profile[1:-1].T
        angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
        ring = np.stack([np.cos(angle), np.sin(angle)], 1)
        verts = np.concatenate(
            [radius[:, None, None] * ring, np.broadcast_to(height[:, None, None], (len(height), _AROUND, 1))], 2
        )
        grid = np.arange(len(radius) * _AROUND).reshape(len(radius), _AROUND)
        a, b, c, d = grid[:-1], np.roll(grid[:-1], -1, 1), grid[1:], np.roll(grid[1:], -1, 1)
        poles = np.array([[0, 0, self.profile[0, 1]], [0, 0, self.profile[-1, 1]]])
        first, last = np.full(_AROUND, grid.size), np.full(_AROUND, grid.size + 1)
        faces = [np.stack(corners, -1).reshape(-1, 3) for corners in ((a, b, c), (b, d, c))]
        faces += [np.stack([first, b[0], a[0]], 1), np.stack([last, c[-1], d[-1]], 1)]
        verts = np.concatenate([verts.reshape(-1, 3), poles]) + [*self.centre, 0]
        return verts, np.concatenate(faces)

    def moved(self, shift):
        return Lathe(self.profile + [0, shift[2]], (self.centre[0] + shift[0], self.centre[1] + shift[1]))


@dataclasses.dataclass(frozen=True)
class Block:
    """A box with rounded edges: half sizes (3,), the edges' radius, and where its middle is; m."""

    half: np.ndarray
    radius: float
    centre: np.ndarray

    def mesh(self, steps=4):
        # A cube's sides are mapped to the sphere of its edges' radius and its octants pulled apart: flat between them.
        turn = np.linspace(0, np.pi / 4, steps)
        place = np.concatenate([-turn[::-1], turn])
        sign = np.repeat([-1.0, 1.0], steps)
        s, t = (part.ravel() for part in np.meshgrid(np.tan(place), np.tan(place), indexing="ij"))
        u, v = (part.ravel() for part in np.meshgrid(sign, sign, indexing="ij"))
        grid = np.arange(len(s)).reshape(2 * steps, 2 * steps)
        a, b, c, d = (part.ravel() for part in (grid[:-1, :-1], grid[1:, :-1], grid[:-1, 1:], grid[1:, 1:]))
        quads = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
        verts, faces = [], []
        for axis in range(3):
            for way in (1.0, -1.0):
                out, octant = np.empty((2, len(s), 3))
                out[:, axis], out[:, (axis + 1) % 3], out[:, (axis + 2) % 3] = way, s, t
                octant[:, axis], octant[:, (axis + 1) % 3], octant[:, (axis + 2) % 3] = way, u, v
                out /= np.linalg.norm(out, axis=1, keepdims=True)
                faces.append((quads if way > 0 else quads[:, ::-1]) + sum(map(len, verts)))
                verts.append(self.centre + self.radius * out + octant * (np.asarray(self.half) - self.radius))
        verts, faces = np.concatenate(verts), np.concatenate(faces)
        _, first, same = np.unique(verts.round(7), axis=0, return_index=True, return_inverse=True)
        return verts[first], same.ravel()[faces]

    def moved(self, shift):
        return dataclasses.replace(self, centre=self.centre + shift)


@dataclasses.dataclass(frozen=True)
class Rod:
    """A bent round bar with round ends: its line (N, 3) and radius, m."""

    line: np.ndarray
    radius: float

    def mesh(self, points=20, steps=5):
        angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
        ring = np.stack([np.cos(angle), np.sin(angle)], 1) * self.radius
        turn = np.linspace(0.1, np.pi / 2, steps)
        ends = [self.line[0] - self.line[1], self.line[-1] - self.line[-2]]
        ends = [end / np.linalg.norm(end) for end in ends]
        cap = self.radius * np.cos(turn)[:, None]
        line = np.concatenate([self.line[0] + cap * ends[0], self.line[1:-1], (self.line[-1] + cap * ends[1])[::-1]])
        widths = np.concatenate([np.sin(turn), np.ones(len(self.line) - 2), np.sin(turn)[::-1]])
        along = np.abs(ends[0]).argmin()
        verts, faces = tube(line, np.eye(3)[along], widths[:, None, None] * ring)
        loops = np.arange(points), np.arange(points) + len(verts) - points
        tips = np.stack([line[0], line[-1]])
        fans = [
            np.stack([np.full(points, len(verts) + n), *pair], 1)
            for n, pair in enumerate(((np.roll(loops[0], -1), loops[0]), (loops[1], np.roll(loops[1], -1))))
        ]
        return np.concatenate([verts, tips]), np.concatenate([faces, *fans])

    def moved(self, shift):
        return dataclasses.replace(self, line=self.line + shift)


@dataclasses.dataclass(frozen=True)
class Object:
    """name: in words; parts: the solids whose union it is, and the same filled up to the rim, into which no finger
    is to go; verts (V, 3) m and faces (F, 3), outwards; look.
    """

    name: str
    parts: tuple
    filled: tuple
    verts: np.ndarray
    faces: np.ndarray
    look: Solid


def _object(name, parts, base, zones=(), **look):
    """Put parts together and move the middle of their bounding box to the origin; zones likewise."""
    verts = np.concatenate([part.mesh()[0] for part in parts])
    shift = -(verts.min(0) + verts.max(0)) / 2
    meshes = [part.moved(shift).mesh() for part in parts]
    starts = np.cumsum([0] + [len(own) for own, _ in meshes[:-1]])
    faces = np.concatenate([own + start for (_, own), start in zip(meshes, starts, strict=True)])
    zones = tuple(dataclasses.replace(zone, low=zone.low + shift, high=zone.high + shift) for zone in zones)
    solid = Solid(np.array(base), zones, **look)
    verts, parts = np.concatenate([own for own, _ in meshes]), tuple(part.moved(shift) for part in parts)
    return Object(name, parts, tuple(map(_filled, parts)), verts, faces, solid)


def _filled(part):
    """A lathe without the hollow that is open at the top."""
    if not isinstance(part, Lathe) or part.profile[:, 1].max() == part.profile[-1, 1]:
        return part
    top = part.profile[:, 1].argmax()
    return dataclasses.replace(part, profile=np.concatenate([part.profile[: top + 1], [[0, part.profile[top, 1]]]]))


def _rounded(points, steps=4):
    """Profile points (radius, height, rounding) -> polyline with its corners rounded off."""
    points = np.asarray(points, float)
    out = [points[0, :2]]
    for before, corner, after in zip(points[:-2], points[1:-1], points[2:], strict=True):
        ends = []
        for other in (before, after):
            way = other[:2] - corner[:2]
            length = np.linalg.norm(way)
            ends.append(corner[:2] + way * min(corner[2], 0.49 * length) / length)
        t = np.linspace(0, 1, steps if corner[2] else 1)[:, None]
        out += list((1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * corner[:2] + t**2 * ends[1])
    return np.array([*out, points[-1, :2]])


def _between(low, high, colour, **more):
    """A zone all around between two heights."""
    return Zone(np.array([-_INF, -_INF, low]), np.array([_INF, _INF, high]), np.array(colour), **more)


def _bottle():
    profile = [(0, 0.004, 0), (0.026, 0.004, 0.004), (0.026, 0, 0.002), (0.031, 0, 0.005), (0.031, 0.165, 0.03),
               (0.013, 0.2, 0.02), (0.013, 0.215, 0.001), (0.015, 0.215, 0.001), (0.015, 0.238, 0.002),
               (0, 0.238, 0)]  # fmt: skip
    zones = [_between(0.045, 0.135, (0.86, 0.84, 0.78), gloss=0.35), _between(0.062, 0.1, (0.75, 0.16, 0.1), gloss=0.4),
             _between(0.215, 1, (0.85, 0.85, 0.86))]  # fmt: skip
    return _object("bottle", [Lathe(_rounded(profile))], (0.04, 0.22, 0.12), zones, reflectance=0.05, sharpness=160)


def _mug():
    profile = [(0, 0.003, 0), (0.03, 0.003, 0.003), (0.031, 0, 0.001), (0.036, 0.001, 0.004), (0.038, 0.09, 0.0015),
               (0.0345, 0.09, 0.0015), (0.0325, 0.006, 0.006), (0, 0.006, 0)]  # fmt: skip
    angle = np.linspace(-1.75, 1.75, 23)
    arc = np.stack([0.036 + 0.026 * np.cos(angle), 0 * angle, 0.047 + 0.03 * np.sin(angle)], 1)
    zones = [_between(0.068, 0.076, (0.1, 0.18, 0.42))]
    return _object("mug", [Lathe(_rounded(profile)), Rod(arc, 0.0052)], (0.8, 0.76, 0.68), zones, sharpness=260)


def _can():
    profile = [(0, 0.003, 0), (0.024, 0.003, 0.002), (0.025, 0, 0.001), (0.0305, 0.007, 0.004), (0.0305, 0.111, 0.004),
               (0.026, 0.118, 0.001), (0.025, 0.118, 0.001), (0.0245, 0.114, 0.001), (0, 0.114, 0)]  # fmt: skip
    metal = {"gloss": 1.0, "metal": True}
    zones = [_between(-1, 0.006, (0.7, 0.7, 0.7), **metal), _between(0.1115, 1, (0.7, 0.7, 0.7), **metal),
             _between(0.03, 0.036, (0.9, 0.85, 0.75)), _between(0.085, 0.091, (0.9, 0.85, 0.75))]  # fmt: skip
    return _object("can", [Lathe(_rounded(profile))], (0.62, 0.05, 0.05), zones, reflectance=0.09, sharpness=120)


def _box():
    half = np.array([0.026, 0.045, 0.08])
    low, high, paper = np.array([0.024, -0.032, -0.045]), np.array([1.0, 0.032, 0.05]), np.array([0.85, 0.8, 0.66])
    zones = [Zone(low, high, paper), Zone(np.array([-1.0, *low[1:]]), np.array([-0.024, *high[1:]]), paper)]
    zones += [_between(0.066, 1, (0.75, 0.55, 0.06)), _between(-1, -0.066, (0.75, 0.55, 0.06))]
    return _object("box", [Block(half, 0.0015, np.zeros(3))], (0.07, 0.2, 0.42), zones, reflectance=0.03, sharpness=40)


def _ball():
    angle = np.linspace(-np.pi / 2, np.pi / 2, 37)
    circle = 0.034 * np.stack([np.cos(angle), np.sin(angle)], 1)
    circle[[0, -1], 0] = 0
    zones = [_between(-0.0035, 0.0035, (0.88, 0.88, 0.82))]
    return _object("ball", [Lathe(circle)], (0.78, 0.2, 0.03), zones, reflectance=0.04, sharpness=30, roughness=0.05)


def _pen():
    profile = [(0, 0, 0), (0.0006, 0, 0), (0.0016, 0.012, 0), (0.0042, 0.028, 0.004), (0.0046, 0.034, 0.001),
               (0.0046, 0.139, 0.002), (0.0035, 0.142, 0.001), (0, 0.142, 0)]  # fmt: skip
    zones = [_between(-1, 0.013, (0.65, 0.65, 0.66), metal=True), _between(0.128, 1, (0.6, 0.6, 0.62), metal=True)]
    return _object("pen", [Lathe(_rounded(profile))], (0.05, 0.1, 0.5), zones, reflectance=0.06, sharpness=200)


def _screwdriver():
    profile = [(0, 0, 0), (0.0022, 0, 0.0005), (0.003, 0.008, 0.002), (0.003, 0.105, 0.001), (0.0085, 0.108, 0.003),
               (0.0105, 0.128, 0.01), (0.0145, 0.15, 0.02), (0.014, 0.195, 0.01), (0.0115, 0.211, 0.006),
               (0, 0.214, 0)]  # fmt: skip
    zones = [_between(-1, 0.1065, (0.62, 0.62, 0.64), metal=True), _between(0.1065, 0.124, (0.03, 0.03, 0.035))]
    zones += [_between(0.19, 1, (0.03, 0.03, 0.035))]
    return _object("screwdriver", [Lathe(_rounded(profile))], (0.8, 0.4, 0.02), zones, reflectance=0.06, sharpness=90)


def _bowl():
    profile = [(0, 0.004, 0), (0.024, 0.004, 0.003), (0.025, 0, 0.001), (0.03, 0, 0.004), (0.054, 0.02, 0.02),
               (0.065, 0.052, 0.0015), (0.0615, 0.052, 0.0015), (0.05, 0.023, 0.02), (0.024, 0.008, 0.01),
               (0, 0.008, 0)]  # fmt: skip
    zones = [_between(0.046, 1, (0.08, 0.3, 0.38))]
    return _object("bowl", [Lathe(_rounded(profile, 6))], (0.72, 0.7, 0.6), zones, sharpness=220)


def _hammer():
    handle = [(0, 0, 0), (0.0125, 0, 0.004), (0.014, 0.02, 0.02), (0.0125, 0.07, 0.03), (0.013, 0.1, 0.03),
              (0.0095, 0.15, 0.03), (0.009, 0.26, 0.002), (0, 0.262, 0)]  # fmt: skip
    # As long on either side: whoever turns it about z turns it about its handle.
    head = [Block(np.array([0.048, 0.0125, 0.0125]), 0.003, np.array([-0.003, 0, 0.243]))]
    head += [Block(np.array([0.006, 0.0155, 0.0155]), 0.002, np.array([0.045, 0, 0.243]))]
    zones = [_between(0.2265, 0.2595, (0.32, 0.32, 0.34), metal=True)]
    return _object(
        "hammer",
        [Lathe(_rounded(handle)), *head],
        (0.5, 0.27, 0.1),
        zones,
        reflectance=0.04,
        sharpness=50,
        streaks=0.16,
    )


_MAKERS = {"bottle": _bottle, "mug": _mug, "can": _can, "box": _box, "ball": _ball, "pen": _pen,
           "screwdriver": _screwdriver, "bowl": _bowl, "hammer": _hammer}  # fmt: skip
NAMES = tuple(_MAKERS)


@functools.cache
def make(name):
    """The object of that name, one of ``NAMES``."""
    return _MAKERS[name]()


_TABLES = (((0.45, 0.27, 0.13), 0.16), ((0.2, 0.1, 0.05), 0.2), ((0.55, 0.54, 0.52), 0.0), ((0.1, 0.11, 0.12), 0.0))


def table(kind):
    """A round table, its top at z 0; ``kind`` 0 to 3: light wood, dark wood, white, black."""
    colour, streaks = _TABLES[kind]
    profile = _rounded([(0, -0.7, 0), (0.04, -0.7, 0.01), (0.035, -0.03, 0.01), (0.36, -0.03, 0.005),
                        (0.38, -0.02, 0.005), (0.38, 0, 0.006), (0, 0, 0)])  # fmt: skip
    solid = Solid(np.array(colour), reflectance=0.03, sharpness=25, streaks=streaks, fibre=(9, 160, 160))
    part = Lathe(profile)
    return Object("table", (part,), (part,), *part.mesh(), solid)
