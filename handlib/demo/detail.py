"""Nails, creases and blotches of the free hand's skin: colours from where a point lies on the hand at rest."""

import cv2
import numpy as np

from handlib.demo.noise import Noise

_PALM_MAP = (0.00025, 512, np.array([0.02, 0.0]))  # m per pixel, pixels, centre (x, z) of the map of palm lines
# Palm lines in the plane of the resting hand, (x, z) in m; MANO's frame: fingers -x, thumb +z, back of the hand +y.
_LINES = {
    "heart": [(0.021, -0.050), (0.016, -0.030), (0.011, -0.012), (0.004, 0.004), (-0.006, 0.014), (-0.016, 0.018)],
    "head": [(0.004, 0.046), (0.012, 0.034), (0.021, 0.018), (0.030, 0.000), (0.038, -0.018), (0.044, -0.030)],
    "life": [(0.004, 0.046), (0.014, 0.037), (0.028, 0.025), (0.045, 0.015), (0.062, 0.010), (0.080, 0.011)],
    "wrist": [(0.101, -0.030), (0.103, -0.010), (0.103, 0.010), (0.100, 0.030)],
    "wrist2": [(0.108, -0.030), (0.110, -0.010), (0.110, 0.010), (0.107, 0.030)],
}
_PALE = np.array([0.60, 0.36, 0.27], np.float32)  # what the palms of all tones come close to
_NAIL = np.array([0.72, 0.46, 0.38], np.float32)
_NAIL_EDGE = np.array([0.78, 0.70, 0.62], np.float32)
_NAIL_TINT = np.array([1.10, 0.97, 0.97], np.float32)
_BLOOD, _FLUSH = np.array([[0.5, -0.2, -0.2], [0.10, -0.10, -0.08]], np.float32)
_LINE = np.array([0.75, 1.0, 1.05], np.float32)  # how much of each colour a crease takes away


class Detail:
    """The right hand's surface pattern. ``joints`` (16, 3) at rest in MANO's order, ``verts`` (V, 3), ``finger``
    (V,) 0..4 or -1.
    """

    def __init__(self, joints, verts, finger):
        self._joints = np.asarray(joints, np.float32)
        self._tips, self._back = [], []
        for number in range(5):
            own = verts[finger == number]
            last = self._joints[3 + 3 * number]
            axis = last - self._joints[2 + 3 * number]
            axis /= np.linalg.norm(axis)
            tip = own[((own - last) @ axis).argmax()]
            self._tips.append(last + axis * ((tip - last) @ axis))
            self._back.append(_back_of(own, last, axis, flat=number == 4))
        self._palm_lines = _palm_lines()
        self._noise = Noise(3, channels=3)

    def at_rest(self, verts, normals, fingers):
        """What ``paint`` needs of the resting hand and arm at each vertex: verts and normals (V, 3), fingers (F <=
        V, 5) -> (V, 7).

        Columns: the place in metres; 1 on the back of the hand to -1 on its inside; three of coarse blotches.
        """
        fingers = np.pad(fingers, ((0, len(normals) - len(fingers)), (0, 0)))
        palm = 1 - fingers.sum(1, keepdims=True)
        facing = (normals * (palm * [0, 1.0, 0] + fingers @ np.stack(self._back))).sum(1, keepdims=True)
        return np.concatenate([verts, facing, self._noise(verts * 90)], 1).astype(np.float32)

    def paint(self, at_rest, finger, tone, mottling):
        """Points as of ``at_rest`` (N, 7) and their finger numbers -> albedo (N, 3), relief (N, 3), gloss (N,)."""
        points, facing, coarse = at_rest[:, :3], at_rest[:, 3], at_rest[:, 4:]
        palmar = _step(-facing, 0.05, 0.6)[:, None]
        tone = np.asarray(tone, np.float32)
        pale = 0.42 * tone + 0.58 * np.minimum(_PALE, tone * 3.2 + 0.02)
        albedo = (1 - palmar) * tone + palmar * pale
        fine = self._noise(points * 450)
        pattern = 1 + mottling * (coarse[:, :1] + 0.5 * fine[:, :1] + _BLOOD * coarse[:, 1:2])
        gloss = 1 + 0.15 * fine[:, 0]
        flush = np.zeros(len(points), np.float32)
        for number in range(5):
            own = np.flatnonzero(finger == number)
            lines, red = self._creases(points[own], facing[own], 0.0006 * coarse[own, 2], number)
            pattern[own] *= 1 - lines[:, None] * _LINE
            flush[own] += red
        pattern *= 1 - self._palm(points, facing)[:, None] * _LINE
        albedo = albedo * pattern * (1 + flush[:, None] * _FLUSH)
        for number in range(5):
            own = np.flatnonzero(finger == number)
            albedo[own], gloss[own] = self._nail(points[own], facing[own], number, albedo[own], gloss[own])
        return np.clip(albedo, 0.004, 0.95), 0.02 * fine + 0.015 * coarse, gloss

    def _creases(self, points, facing, wobble, number):
        """How dark the bending creases make each point of a finger, and how red: (N,), (N,)."""
        dark, red = np.zeros((2, len(points)), np.float32)
        inner, outer = _step(-facing, 0.1, 0.6), _step(facing, 0.25, 0.8)
        for part in (1, 2):
            joint, nxt = self._joints[3 * number + 1 + part], self._ends(number, part)
            axis = (nxt - joint) / np.linalg.norm(nxt - joint)
            along = (points - joint) @ axis + wobble
            dark += inner * 0.30 * _bump(along, 0.0007) + inner * 0.14 * _bump(along - 0.0024, 0.0006)
            for shift in (-0.0045, -0.0022, 0.0, 0.0022, 0.0045):
                dark += outer * (0.16 if part == 1 else 0.10) * _bump(along - shift, 0.0005)
            red += outer * 0.7 * _bump(along, 0.006)
        base, nxt = self._joints[3 * number + 1], self._joints[3 * number + 2]
        axis = (nxt - base) / np.linalg.norm(nxt - base)
        along = (points - base) @ axis - 0.47 * np.linalg.norm(nxt - base) + wobble
        if number != 4:
            dark += inner * (0.28 * _bump(along, 0.0008) + 0.12 * _bump(along + 0.0026, 0.0006))
        last = self._joints[3 * number + 3]
        reach = np.linalg.norm(self._tips[number] - last)
        red += 0.8 * inner * _step(np.linalg.norm(points - last, axis=1) / reach, 0.3, 1.0)
        return dark, red

    def _ends(self, number, part):
        return self._tips[number] if part == 2 else self._joints[3 * number + 2 + part]

    def _palm(self, points, facing):
        scale, side, centre = _PALM_MAP
        at = (points[:, [0, 2]] - centre) / scale + side / 2
        columns, rows = at.astype(np.float32).T
        starts = range(0, len(rows), 30000)  # OpenCV's remap takes no more than 32767 rows
        parts = [
            cv2.remap(self._palm_lines, columns[i : i + 30000, None], rows[i : i + 30000, None], cv2.INTER_LINEAR)[:, 0]
            for i in starts
        ]
        drawn = np.concatenate([np.zeros(0, np.float32), *parts])
        return drawn * _step(-facing, 0.1, 0.5)

    def _nail(self, points, facing, number, albedo, gloss):
        last, tip, back = self._joints[3 * number + 3], self._tips[number], self._back[number]
        axis = tip - last
        length = np.linalg.norm(axis)
        axis /= length
        s = ((points - last) @ axis) / length
        c = (points - last) @ np.cross(axis, back) / (0.0068 if number == 4 else 0.0044 if number == 2 else 0.0052)
        inside = np.abs((s - 0.72) / 0.24) ** 3 + np.abs(c) ** 3.5
        plate = _step(1.0 - inside, 0.0, 0.25) * _step(facing, 0.15, 0.45)
        rim = np.exp(-(((inside - 1.15) / 0.35) ** 2)) * _step(facing, 0.15, 0.5)
        moon = np.exp(-(((s - 0.52) / 0.05) ** 2) - (c / 0.55) ** 2)
        free = _step(s, 0.89, 0.93)
        bed = 0.68 * albedo * _NAIL_TINT + 0.32 * np.minimum(_NAIL, albedo * 2.5 + 0.05)
        bed = bed * (1 + 0.15 * moon[:, None])
        bed += 0.25 * free[:, None] * (_NAIL_EDGE - bed)
        albedo = albedo * (1 - 0.22 * rim[:, None])
        return albedo * (1 - plate[:, None]) + bed * plate[:, None], gloss * (1 - plate) + 2.6 * plate


def _back_of(verts, last, axis, flat):
    """Unit direction out of the back of a finger's end: up, or for the thumb the direction in which its end is
    thinnest.
    """
    up = np.array([0, 1.0, 0])
    if flat:
        end = verts[(verts - last) @ axis > 0.002]
        spread = end - end.mean(0)
        spread -= np.outer(spread @ axis, axis)
        _, vectors = np.linalg.eigh(spread.T @ spread)
        thin = vectors[:, 1]  # the smallest belongs to the axis itself
        up = thin * (np.sign(thin @ up) or 1)
    up = up - (up @ axis) * axis
    return (up / np.linalg.norm(up)).astype(np.float32)


def _palm_lines():
    """The map of palm lines: darkness (512, 512) float32, columns along x, rows along z."""
    scale, side, centre = _PALM_MAP
    fine = 4
    drawn = np.zeros((side * fine, side * fine), np.uint8)
    rng = np.random.default_rng(11)
    for name, points in _LINES.items():
        t = np.linspace(0, 1, len(points))
        smooth = np.stack([np.interp(np.linspace(0, 1, 60), t, axis) for axis in np.array(points).T], 1)
        for axis in range(2):
            smooth[:, axis] = np.convolve(np.pad(smooth[:, axis], 6, mode="edge"), np.ones(13) / 13, mode="valid")
        line = ((smooth - centre) / scale + side / 2) * fine
        line += rng.normal(0, 1.5, line.shape)
        thick = 9 if name in ("heart", "head", "life") else 6
        cv2.polylines(drawn, [line.round().astype(np.int32)], False, 255 if thick == 9 else 150, thick, cv2.LINE_AA)
    for _ in range(90):  # fine lines, mostly across the palm
        start, turn = rng.uniform((-0.01, -0.04), (0.08, 0.04)), rng.normal(0.4, 0.7)
        end = start + rng.uniform(0.004, 0.014) * np.array([np.sin(turn), np.cos(turn)])
        line = ((np.array([start, end]) - centre) / scale + side / 2) * fine
        cv2.polylines(drawn, [line.round().astype(np.int32)], False, int(rng.uniform(25, 60)), 4, cv2.LINE_AA)
    drawn = cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return 0.34 * cv2.GaussianBlur(drawn, (0, 0), 1.2) + 0.10 * cv2.GaussianBlur(drawn, (0, 0), 5)


def _bump(distance, width):
    return np.exp(-((distance / width) ** 2))


def _step(value, low, high):
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)
