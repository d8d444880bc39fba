"""SMPL fits of NeuralAnnot (Moon et al., 2022), from which body-only Pose2Pose learns.

Their "smpl_param" is "pose" 72, "shape" 10, "trans" 3. The published code stops at a person without one; here such a
person has its joints alone.
"""

import numpy as np

from handlib import geometry
from handlib.datasets import coco, people, studio
from handlib.datasets.json_stream import items
from handlib.datasets.rows import Rows
from handlib.files import InputError

_FIT, _CAMERA = {"pose": (24, 3), "shape": (10,), "trans": (3,)}, {"focal": (2,), "princpt": (2,)}


class SmplFits(Rows):
    """SMPL fits by key, with the methods of `people.Fits`: the samples' SMPL-X fits are not valid."""

    def __init__(self):
        super().__init__(_FIT | _CAMERA)

    def camera(self, key):
        """K (3, 3) of a fit that has one of its own, else None."""
        own = self[key] if key in self else None
        return (
            None if own is None or np.isnan(own["focal"]).any() else geometry.intrinsics(own["focal"], own["princpt"])
        )

    def fields(self, key, said=None, turn=None, shift=None, without=None):
        """The fields of a sample; zeros, not valid, for a key without a fit. turn (3, 3), shift (3,) m: of a fit in a
        world's frame, x_camera = turn @ x_world + shift.
        """
        own = self[key] if key in self else {name: np.zeros(shape) for name, shape in _FIT.items()}
        pose, transl, world = own["pose"].astype(np.float32), own["trans"], np.eye(3)
        if turn is not None and key in self:
            world = np.asarray(turn, np.float64)
            pose[0], transl = people.turned(pose[0], world), world @ transl + shift
        return people.no_fit() | {
            "smpl_pose": pose,
            "smpl_shape": own["shape"].astype(np.float32),
            "smpl_transl": transl.astype(np.float32),
            "smpl_world": world,
            "smpl_valid": np.bool_(key in self),
        }


def read(path, wanted):
    """A file {key: {smpl_param, cam_param}} -> `SmplFits` of the keys ``wanted``, whole numbers. Raises InputError."""
    fits = SmplFits()
    for key, item in items(path, coco.MEND):
        number = int(key) if isinstance(key, str) and key.isdigit() else None
        if number is None or not isinstance(item, dict):
            raise InputError(path, f"{str(key)[:40]!r} is no annotation's number with its fit", coco.MEND)
        if number in wanted:
            members = {name: (item.get("smpl_param"), f"{key}.smpl_param") for name in _FIT}
            members |= {name: (item.get("cam_param"), f"{key}.cam_param") for name in _CAMERA}
            fits.add(number, path, members)
    return fits


def read_nested(path, wanted, mend):
    """`SmplFits` of a file nested three deep, by (first, second, third); see `studio`."""
    fits = SmplFits()
    for key, value in studio.nested(path, wanted, mend):
        fits.add(key, path, {name: (value, "/".join(key)) for name in _FIT})
    return fits
