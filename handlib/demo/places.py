"""Where people of demo pictures are: floors, walls, streets, seats, as `scene.Thing`. The floor is at y = 0 (down)."""

import numpy as np

from handlib.demo.materials import Solid, Zone
from handlib.demo.scene import Thing

_BOX = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
_BOX_FACES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6],
                       [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]])  # fmt: skip


def box(low, high, material, far=True):
    """A box between two corners (3,) m; its corners are its own, so that its edges are sharp."""
    corners = np.asarray(low) + _BOX * (np.asarray(high) - np.asarray(low))
    verts = corners[_BOX_FACES].reshape(-1, 3)
    return Thing(verts, np.arange(36).reshape(-1, 3), verts.copy(), material, far)


def seat(rng, bottom):
    """A stool or a box for somebody whose buttocks' middle and lowest height are ``bottom`` (3,)."""
    half = rng.uniform(0.17, 0.24)
    colour = rng.uniform(0.05, 0.5, 3) * rng.uniform(0.4, 1)
    x, y, z = bottom
    return box((x - half, y, z - half * 0.8), (x + half, 0.0, z + half * 1.2), Solid(colour, streaks=0.15), far=False)


def room(rng, look):
    """Floor, back wall with a skirting board, pictures or windows, and a cupboard or two."""
    depth, wide = rng.uniform(1.3, 3.5), 14.0
    wall, floor = look.palette[0] * 0.6 + 0.2, look.palette[1] * 0.3 + 0.06
    wood = rng.random() < 0.6
    if wood:
        floor = np.array([0.30, 0.17, 0.08]) * rng.uniform(0.4, 1.2)
    zones = [Zone(np.array([-wide, -0.10, -99]), np.array([wide, 0.1, 99]), wall * 0.3 + 0.45)]
    for left in np.arange(-4, 4, 1.9) + rng.uniform(-0.4, 0.4):
        if rng.random() < 0.55:
            zones += _frame(rng, left, look)
    ground = Solid(floor, streaks=0.3 if wood else 0.08, fibre=(40, 1, 1.0) if wood else (30, 30, 30), sharpness=30)
    things = [
        box((-wide, 0, -16), (wide, 0.2, depth), ground),
        box((-wide, -6, depth), (wide, 0.2, depth + 0.2), Solid(wall, tuple(zones), reflectance=0.02)),
    ]
    for _ in range(rng.integers(0, 3)):
        x, width, height = rng.uniform(-3, 3), rng.uniform(0.4, 1.2), rng.uniform(0.5, 2.0)
        colour = look.palette[rng.integers(len(look.palette))] * rng.uniform(0.3, 0.9)
        things.append(
            box((x, -height, depth - rng.uniform(0.3, 0.5)), (x + width, 0, depth), Solid(colour, streaks=0.2))
        )
    return things


def _frame(rng, left, look):
    """A picture or a window on a wall."""
    width, height, low = rng.uniform(0.5, 1.2), rng.uniform(0.5, 1.2), rng.uniform(1.1, 1.5)
    rim = 0.04
    edge = look.palette[2] * 0.5 if rng.random() < 0.5 else np.full(3, 0.7)
    inner = np.array([0.75, 0.85, 0.95]) if rng.random() < 0.5 else look.palette[3] * rng.uniform(0.5, 1)

    def make(by, colour):
        return Zone(
            np.array([left + by, -low - height + by, -99]), np.array([left + width - by, -low - by, 99]), colour
        )

    return [make(0.0, edge), make(rim, inner)]


def outside(rng, look):
    """Ground to the horizon, and houses or hedges far back."""
    grass = rng.random() < 0.5
    colour = np.array([0.10, 0.17, 0.05]) if grass else np.full(3, rng.uniform(0.12, 0.3))
    ground = Solid(colour * rng.uniform(0.7, 1.3), streaks=0.35 if grass else 0.12, fibre=(25, 25, 25), sharpness=8,
                   reflectance=0.01)  # fmt: skip
    things, x = [box((-80, 0, -40), (80, 0.2, 90), ground)], -30.0
    back = rng.uniform(9, 18)
    while x < 30:
        width = rng.uniform(3, 8)
        if rng.random() < 0.8:
            hedge = rng.random() < 0.4
            tall = rng.uniform(1.2, 3) if hedge else rng.uniform(4, 10)
            paint = np.array([0.05, 0.10, 0.03]) if hedge else look.palette[rng.integers(5)] * 0.5 + 0.1
            zones = () if hedge else tuple(_windows(rng, x, width, tall))
            front = Solid(paint, zones, streaks=0.4 if hedge else 0.05, fibre=(6, 6, 6))
            things.append(box((x, -tall, back), (x + width, 0, back + 4), front))
        x += width + rng.uniform(0, 2)
    return things


def _windows(rng, x, width, tall):
    glass = np.array([0.10, 0.13, 0.17])
    for column in np.arange(x + 0.6, x + width - 1.1, 1.7):
        for row in np.arange(1.0, tall - 1.5, 2.6):
            yield Zone(
                np.array([column, -row - 1.4, -99]), np.array([column + 0.9, -row, 99]), glass * rng.uniform(0.5, 2)
            )
