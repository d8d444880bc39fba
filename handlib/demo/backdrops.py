"""Backdrops for demo pictures: linear RGB light, (h, w, 3) float32, made from a seed alone."""

import cv2
import numpy as np

KINDS = ("studio", "paper", "room")
_GLOW = 90  # px; a lamp's light reaches no further
_COARSE = 4  # what is out of focus is drawn at this fraction of the picture's size


def draw(kind, size, palette, seed):
    """One backdrop of the given kind; ``palette`` (P, 3) linear RGB is what the pictures of one place have in
    common.
    """
    rng = np.random.default_rng(seed)
    return {"studio": _studio, "paper": _paper, "room": _room}[kind](size, np.asarray(palette, np.float32), rng)


def palette(kind, rng):
    """Five colours that go together: neighbours of one hue and one accent; dark for a studio, light for paper."""
    hue = rng.random()
    hues = (hue + np.array([0, 0.03, -0.04, 0.07, rng.choice([0.42, 0.5, 0.58])])) % 1
    saturation = rng.uniform({"studio": 0.2, "paper": 0.10, "room": 0.15}[kind], 0.5, 5)
    value = rng.uniform(*{"studio": (0.05, 0.16), "paper": (0.45, 0.85), "room": (0.25, 0.85)}[kind], 5)
    hsv = np.stack([hues * 360, saturation, value], 1).astype(np.float32)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0] ** 2.2


def _grid(size):
    """Coordinates with the picture's centre at 0 and its longer half-side at 1."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return (x - width / 2) / (max(size) / 2), (y - height / 2) / (max(size) / 2)


def _cloud(size, rng, cells=4, octaves=4):
    """Smooth noise in 0..1."""
    height, width = size
    total, weight = np.zeros(size, np.float32), 0.0
    for octave in range(octaves):
        n = cells * 2**octave
        layer = rng.random((n + 3, n + 3), np.float32)
        total += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
        weight += 2.0**-octave
    return np.clip(total / weight, 0, 1)


def _disc(radius):
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def _paper(size, colours, rng):
    """A roll of coloured paper, lit by a soft spot."""
    x, y = _grid(size)
    cx, cy = rng.uniform(-0.35, 0.35, 2)
    spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(0.8, 1.6))
    sweep = 1 / (1 + np.exp(-(y - rng.uniform(0.25, 0.6)) * 9))  # where the paper bends from wall to table
    light = (0.28 + 0.75 * spot) * (1 - 0.22 * sweep)
    return light[..., None] * colours[0] * (0.97 + 0.06 * _cloud(size, rng)[..., None])


def _studio(size, colours, rng):
    """A dark capture dome: small lamps with a glow and faint rays, a hint of the wall."""
    height, width = size
    x, y = _grid(size)
    wall = (0.10 + 0.5 * _cloud(size, rng, 2, 3) ** 2)[..., None] * colours[0] * np.exp(-(x**2 + y**2))[..., None]
    lamps = np.zeros((*size, 3), np.float32)
    step = rng.uniform(95, 150)
    turn = rng.uniform(-0.3, 0.3)
    for i in range(-6, 7):
        for j in range(-6, 7):
            if rng.random() < 0.35:
                continue
            u, v = (np.array([i, j]) + rng.uniform(-0.12, 0.12, 2)) * step
            cx = width / 2 + np.cos(turn) * u - np.sin(turn) * v
            cy = height / 2 + np.sin(turn) * u + np.cos(turn) * v
            if -20 < cx < width + 20 and -20 < cy < height + 20:
                _add_lamp(lamps, cx, cy, rng)
    return wall + lamps


def _add_lamp(picture, cx, cy, rng):
    low = np.maximum(np.array([cy, cx]).astype(int) - _GLOW, 0)
    picture = picture[low[0] : int(cy) + _GLOW, low[1] : int(cx) + _GLOW]
    y, x = np.mgrid[low[0] : low[0] + picture.shape[0], low[1] : low[1] + picture.shape[1]].astype(np.float32)
    dx, dy = x - cx, y - cy
    distance = np.hypot(dx, dy)
    angle = np.arctan2(dy, dx)
    rays = np.abs(np.cos(angle * 4 + rng.uniform(0, 3))) ** 40 * np.exp(-distance / 5) * 0.4
    glow = np.clip(5.0 - distance, 0, 1) * 2 + np.exp(-distance / 4) * 0.35 + rays
    tint = np.array([1.0, 0.93, 0.82], np.float32) + rng.uniform(-0.06, 0.06, 3).astype(np.float32)
    picture += (rng.uniform(0.35, 0.9) * glow)[..., None] * tint


def _room(size, colours, rng):
    """A room far out of focus: wall, floor, furniture, a window, small lamps that become discs."""
    height, width = (side // _COARSE + 1 for side in size)
    x, y = _grid((height, width))
    floor = 1 / (1 + np.exp(-(y - rng.uniform(0.1, 0.5)) * 30))
    picture = (1 - floor[..., None]) * colours[0] + floor[..., None] * colours[1] * 0.5
    picture = picture * (0.75 + 0.3 * _cloud((height, width), rng)[..., None] - 0.15 * y[..., None])
    for _ in range(rng.integers(5, 10)):
        _furniture(picture, colours, rng)
    if rng.random() < 0.6:
        _window(picture, rng)
    for _ in range(rng.integers(0, 9)):
        point = rng.uniform((0, 0), (width, 0.6 * height)).astype(int)
        warm = np.array([1.0, rng.uniform(0.6, 0.95), rng.uniform(0.3, 0.8)]) * rng.uniform(4, 12)
        cv2.circle(picture, point.tolist(), 1, warm.tolist(), -1)
    picture = cv2.filter2D(picture, -1, _disc(rng.uniform(3.5, 7)), borderType=cv2.BORDER_REFLECT)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.8)
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_CUBIC).clip(0)


def _furniture(picture, colours, rng):
    height, width = picture.shape[:2]
    centre = rng.uniform((0, 0.2 * height), (width, height))
    span = rng.uniform((0.06 * width, 0.08 * height), (0.3 * width, 0.5 * height))
    corners = cv2.boxPoints((centre.tolist(), span.tolist(), float(rng.normal(0, 4))))
    colour = colours[rng.integers(len(colours))] * rng.uniform(0.35, 1.2)
    cv2.fillConvexPoly(picture, corners.astype(np.int32), colour.tolist())


def _window(picture, rng):
    height, width = picture.shape[:2]
    x, w = rng.uniform(-0.1, 0.8) * width, rng.uniform(0.15, 0.35) * width
    y, h = rng.uniform(-0.3, 0.1) * height, rng.uniform(0.3, 0.7) * height
    light = np.array([0.85, 0.95, 1.05]) * rng.uniform(0.55, 1.0)
    for pane in range(2):
        left = int(x + pane * w * 0.53)
        cv2.rectangle(picture, (left, int(y)), (int(left + 0.45 * w), int(y + h)), light.tolist(), -1)
