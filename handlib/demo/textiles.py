"""Cloth: its colours and the relief of its threads."""

import numpy as np

from handlib.demo.noise import Noise

_NOISE = Noise(5, channels=3)
_THREADS = np.array([1800, 1800, 1], np.float32)  # cells per metre


def weave(place, pattern, colours):
    """Points on the cloth (N, 3) m (around, along, 0) -> albedo (N, 3), relief (N, 3). pattern: plain, stripes or
    plaid.
    """
    around, along = place[:, 0], place[:, 1]
    colours = np.asarray(colours, np.float32)
    albedo = np.broadcast_to(colours[0], place.shape).copy()
    if pattern in ("stripes", "plaid"):
        albedo += _band(along, 0.022, 0.35)[:, None] * (colours[1] - albedo) * 0.85
    if pattern == "plaid":
        albedo += _band(around, 0.022, 0.35)[:, None] * (colours[1] - albedo) * 0.6
        albedo += np.maximum(_band(along + 0.011, 0.022, 0.06), _band(around + 0.011, 0.022, 0.06))[:, None] * (
            colours[2] * 1.3 - albedo
        )
    threads = _NOISE.blocks(place * _THREADS)
    worn = _NOISE(place * 60)[:, :1]
    return np.clip(albedo * (1 + 0.05 * threads[:, :1] + 0.05 * worn), 0.003, 0.9), 0.05 * threads


def _band(value, period, share):
    """1 within the first ``share`` of each period, soft by a tenth of a millimetre, else 0."""
    phase = np.abs((value / period) % 1 - 0.5) * period
    return np.clip(0.5 + (share * period / 2 - phase) / 2e-4, 0, 1)
