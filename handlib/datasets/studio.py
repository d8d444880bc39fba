"""What Human3.6M and MPI-INF-3DHP share: frames of calibrated cameras, joints and SMPL-X fits in a world's frame.

Files of joints and fits are nested three deep: {action: {part: {frame: …}}}, or subject and sequence likewise.
"""

import numpy as np

from handlib import geometry
from handlib.datasets import coco, people
from handlib.datasets.base import Skip
from handlib.datasets.json_stream import items
from handlib.datasets.numbers import is_rotation
from handlib.files import InputError


def nested(path, wanted, mend):
    """Yield (key, value) of a file for the keys (first, second, third), all text, that are in ``wanted``."""
    for first, inside in items(path, mend):
        if not isinstance(inside, dict) or not all(isinstance(one, dict) for one in inside.values()):
            raise InputError(path, "is not nested three deep", mend, str(first))
        for second, frames in inside.items():
            for third, value in frames.items():
                if (first, second, third) in wanted:
                    yield (first, second, third), value


def read_joints(path, wanted, count, mend):
    """{key: (J, 3) float32 m, world} of a file in millimetres. Raises InputError naming the entry."""
    found = {}
    for key, value in nested(path, wanted, mend):
        joints = coco.numbers(path, {"joints": value}, "joints", (count, 3), "/".join(key))
        found[key] = (joints / 1000).astype(np.float32)
    return found


def read_fits(path, wanted, mend):
    """`people.Fits` of a file by (first, second, third)."""
    fits = people.Fits()
    for key, value in nested(path, wanted, mend):
        fits.add(key, path, value, None, "/".join(key))
    return fits


def read_camera(path, item, where, focal="focal", centre="princpt"):
    """R (3, 3), t (3,) m and K (3, 3) of an entry in millimetres: x_camera = R @ x_world + t."""
    turn, shift = coco.numbers(path, item, "R", (3, 3), where), coco.numbers(path, item, "t", (3,), where) / 1000
    if not is_rotation(turn):
        raise InputError(path, "is no rotation", coco.MEND, f"{where}.R")
    return turn, shift, geometry.intrinsics(*(coco.numbers(path, item, name, (2,), where) for name in (focal, centre)))


def fields(key, joint_set, joints, camera, fits, place):
    """Joints, fit and camera of a frame as fields. Raises Skip without joints before the camera."""
    if joints is None:
        raise Skip(key, "there are no joints")
    turn, shift, K = camera
    there = joints @ turn.T + shift
    if (there[:, 2] <= 0).any():
        raise Skip(key, "joints are behind the camera", f"{there[:, 2].min():.3f} m")
    pixels = geometry.project(there, K, eps=0.0)
    out = people.joints(joint_set, pixels, np.ones(len(joint_set)), there)
    fit = fits.fields(place, turn=turn, shift=shift, without=people.BODY_ONLY)
    return out | fit | {"K": K} | people.part_boxes()
