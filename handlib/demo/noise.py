"""Smooth random fields in three dimensions."""

import numpy as np


class Noise:
    """Smooth noise in 3D: a periodic lattice of random values, read with smoothed trilinear weights."""

    def __init__(self, seed, cells=32, channels=1):
        self._cells = cells
        self._lattice = np.random.default_rng(seed).standard_normal((cells**3, channels)).astype(np.float32)

    def __call__(self, points):
        """points (N, 3) in lattice cells -> (N, channels), about unit variance at the lattice points."""
        floor = np.floor(points)
        part = (points - floor).astype(np.float32)
        part = part * part * (3 - 2 * part)
        base = floor.astype(np.int64) % self._cells
        step = (base + 1) % self._cells
        total = np.zeros((len(points), self._lattice.shape[1]), np.float32)
        for corner in range(8):
            index, weight = 0, np.ones(len(points), np.float32)
            for axis in range(3):
                far = corner >> axis & 1
                index = index * self._cells + (step if far else base)[:, axis]
                weight = weight * (part[:, axis] if far else 1 - part[:, axis])
            total += weight[:, None] * self._lattice[index]
        return total

    def blocks(self, points):
        """The same field without blending, many times faster: for what is finer than a pixel."""
        cell = np.floor(points).astype(np.int64) % self._cells
        return self._lattice[(cell[:, 0] * self._cells + cell[:, 1]) * self._cells + cell[:, 2]]
