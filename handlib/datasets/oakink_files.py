"""OakInk-Image's annotation pickles: one file per sample and kind, with torch tensors inside some of them.

They are read by `handlib.safe_pickle`: nothing in them is run, and tensors come out as numpy arrays.
"""

import cv2
import numpy as np

from handlib.datasets import numbers, pickled_tensors
from handlib.datasets.base import Skip
from handlib.datasets.pickled import read_sample

KINDS = ("cam_intr", "hand_j", "hand_v", "obj_transf", "general_info")


def read(path, sample):
    """One pickle of ``sample``; raises as `read_sample`."""
    return read_sample(path, sample.stem, pickled_tensors.readers(path))


def array(name, value, shape, sample):
    """``value`` as a finite array of floating-point numbers. Raises Skip for another shape or kind."""
    kept = value if isinstance(value, np.ndarray) else np.array(None)
    if kept.dtype.kind != "f":
        raise Skip(sample.stem, "annotation has another shape", f"{name}: no array of numbers")
    numbers.member(sample.stem, name, kept, shape)
    return kept


def box(joints_2d):
    """The box (4,) float32 about (21, 2) float32 pixels; `handlib.crops.square` gives the published centre and side.

    Its width or height is moved by a last bit where the centre, which is cut to whole pixels, would come out otherwise.
    """
    low, high = joints_2d.min(0), joints_2d.max(0)
    size = high - low
    wanted = ((high + low) / np.float32(2)).astype(np.int64)
    for axis in range(2):
        for towards in (np.inf, -np.inf):
            width = np.nextafter(size[axis], np.float32(towards))
            if _middle(low[axis], size[axis]) != wanted[axis] and _middle(low[axis], width) == wanted[axis]:
                size[axis] = width
    return np.concatenate([low, size])


def _middle(low, size):
    return int((low + (low + size)) / np.float32(2))


def flat_pose(quaternions, cam_rot):
    """(16, 4) quaternions, real part first, wrist in the world frame -> (48,) float32 axis-angle, camera frame.

    The fingers' angles are 2 atan2(|imaginary|, real), as published: from pi to 2 pi where the real part is negative.
    """
    quaternions = np.asarray(quaternions, np.float64)
    imaginary = quaternions[:, 1:]
    length = np.linalg.norm(imaginary, axis=1, keepdims=True)
    angle = 2 * np.arctan2(length, quaternions[:, :1])
    vectors = np.where(length > 0, imaginary / np.maximum(length, 1e-300) * angle, 0.0)
    wrist = np.asarray(cam_rot, np.float64) @ cv2.Rodrigues(vectors[0])[0]
    vectors[0] = cv2.Rodrigues(wrist)[0].ravel()
    return vectors.ravel().astype(np.float32)
