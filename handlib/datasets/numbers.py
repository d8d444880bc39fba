"""Figures from annotation files, whatever stands there: arrays that may be counted with, or None.

A list may be text, a truth value, ragged, endless (in pickles and YAML one list can stand in itself many times over) or
hold figures that no data set has; numpy makes something of most of that.
"""

import math

import numpy as np

from handlib.datasets.base import Skip

LARGEST = 1e9  # of a pixel, a metre, an angle, a coefficient: beyond it products leave single precision
_UPRIGHT = 0.01  # of a rotation's rows: how far from orthonormal rounding may lead
NEAREST = 1e-3  # px; a focal length below it belongs to no camera


def array(value, most):
    """``value`` (a number, nested lists, an array) as float64 of whatever shape; None where it is not numbers alone,
    holds more than ``most`` of them, or one that is not finite or beyond `LARGEST`.
    """
    if _count(value, most) is None:
        return None
    try:
        found = np.asarray(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if found.dtype.kind not in "fiu" or found.size > most:
        return None
    found = found.astype(np.float64)
    return found if (np.abs(found) <= LARGEST).all() else None


def _count(value, most):
    """How many numbers stand in nested lists, by the first one of each; None for more than ``most``. Whoever makes an
    array looks no further than to where others are unlike the first.
    """
    count, depth = 1, 0
    while isinstance(value, list | tuple) and value:
        count, depth, value = count * len(value), depth + 1, value[0]
        if count > most or depth > 16:
            return None
    count *= value.size if isinstance(value, np.ndarray) else 1
    return count if count <= most else None


def fitting(value, shape):
    """As `array`, of a shape (None: any length, at most a million); None for another."""
    most = math.prod(1 << 20 if size is None else size for size in shape)
    found = array(value, most)
    if found is None or found.ndim != len(shape):
        return None
    return found if all(size in (None, own) for size, own in zip(shape, found.shape, strict=True)) else None


def member(key, name, value, shape, single=False):
    """A member of a sample's annotation, as float64 of ``shape``; (3, 1) and (1, 3) pass for (3,) where ``single``.
    Raises Skip where it is no array of numbers, has another shape, or is not finite.
    """
    found = np.asarray(value) if _count(value, 4 * math.prod(shape)) is not None else np.array(None)
    own = tuple(size for size in found.shape if size != 1) if single else found.shape
    if found.dtype.kind not in "fiu" or own != tuple(shape):
        what = "no array of numbers" if found.dtype.kind not in "fiu" else f"{found.dtype}{list(found.shape)}"
        raise Skip(key, "annotation has another shape", f"{name}: {what}, expected {list(shape)}")
    if not np.isfinite(found).all():
        raise Skip(key, "annotation is not finite", name)
    if (np.abs(found) > LARGEST).any():
        raise Skip(key, "annotation is beyond any measure", f"{name}: {np.abs(found).max():.3g}")
    return np.array(found, np.float64).reshape(shape)


def camera(key, name, value):
    """As `member`, intrinsics (3, 3). Raises Skip where they are no pinhole's."""
    K = member(key, name, value, (3, 3))
    if not is_camera(K):
        raise Skip(key, "camera cannot be", f"{name}: {np.round(K, 3).tolist()}")
    return K


def is_camera(K):
    """Whether K (3, 3) is a pinhole's intrinsics: focal lengths above 0, the last row 0, 0, 1."""
    return bool((np.diag(K)[:2] >= NEAREST).all() and (K[2] == (0, 0, 1)).all() and K[1, 0] == 0)


def is_focal(lengths):
    """Whether focal lengths in pixels are above 0."""
    return bool((np.asarray(lengths) >= NEAREST).all())


def is_rotation(matrix):
    """Whether (3, 3) is a rotation, but for rounding."""
    return bool(np.abs(matrix @ matrix.T - np.eye(3)).max() < _UPRIGHT and np.linalg.det(matrix) > 0)
