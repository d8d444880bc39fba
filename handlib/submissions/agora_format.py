"""What the official AGORA format checker rejects, and with which error."""

import dataclasses
from collections.abc import Mapping

import numpy as np

POINTS = {"agora_smplx": {"verts": 10475, "allSmplJoints3d": 127}, "agora_smpl": {"verts": 6890, "allSmplJoints3d": 24}}
MATCHED = 24  # 2D joints
# name -> shape with vectors, shape with matrices; "n": the number of betas
PARAMETERS = {
    "agora_smplx": {
        "transl": ((1, 3), (1, 3)),
        "betas": ((1, "n"), (1, "n")),
        "expression": ((1, 10), (1, 10)),
        "global_orient": ((1, 3), (1, 1, 3, 3)),
        "body_pose": ((1, 63), (1, 21, 3, 3)),
        "left_hand_pose": ((1, 45), (1, 15, 3, 3)),
        "right_hand_pose": ((1, 45), (1, 15, 3, 3)),
        "leye_pose": ((1, 3), (1, 1, 3, 3)),
        "reye_pose": ((1, 3), (1, 1, 3, 3)),
        "jaw_pose": ((1, 3), (1, 1, 3, 3)),
    },
    "agora_smpl": {
        "transl": ((1, 3), (1, 3)),
        "betas": ((1, "n"), (1, "n")),
        "global_orient": ((1, 1, 3), (1, 1, 3, 3)),
        "body_pose": ((1, 23, 3), (1, 23, 3, 3)),
    },
}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Why a person is rejected. ``error``: what the official checker raises."""

    key: str
    problem: str
    mend: str
    error: str


def reject(person, server):
    """A person's dict -> Verdict, None when the official checker accepts it."""
    if "verts" in person and "allSmplJoints3d" in person:
        verdict = _points(person, server)
    elif "params" in person:
        verdict = _parameters(person, server)
    else:
        missing = "allSmplJoints3d" if "verts" in person else "verts"
        verdict = Verdict(missing, "is missing", "give verts and allSmplJoints3d, or params", "KeyError")
    return verdict or _joints(person, server)


def _points(person, server):
    for key, count in POINTS[server].items():
        array = person[key]
        if not isinstance(array, np.ndarray):
            return _no_array(key, array)
        shape = array.squeeze().shape
        more = key == "allSmplJoints3d" and len(shape) == 2 and shape[0] >= count and shape[1] == 3
        if shape != (count, 3) and not more:
            return Verdict(key, f"has shape {array.shape}", f"give ({count}, 3)", "ValueError")
    return None


def _parameters(person, server):
    params = person["params"]
    if not isinstance(params, Mapping):
        return Verdict("params", f"is {type(params).__name__}", "give a dict of arrays", "AttributeError")
    betas = np.shape(params.get("betas"))
    num_betas, verdict = _betas(person, betas, server)
    if verdict:
        return verdict
    for key in PARAMETERS[server]:
        if key not in params:
            return Verdict(key, "is missing from params", "add it", "AssertionError")
        if not isinstance(params[key], np.ndarray):
            return _no_array(key, params[key])
    vectors = bool(person.get("pose2rot", True))
    for key, forms in PARAMETERS[server].items():
        expected = tuple(num_betas if length == "n" else length for length in forms[0 if vectors else 1])
        if params[key].shape != expected:
            mend = f"give {expected}"
            if vectors and params[key].shape == forms[1]:
                mend += ", or say pose2rot False, as these are matrices"
            if key == "betas" and person.get("kid_flag"):
                mend += ", or say num_betas 11 beside kid_flag"
            return Verdict(key, f"has shape {params[key].shape}", mend, "ValueError")
    return None


def _betas(person, shape, server):
    """How many betas the checker asks for, or what it says of the flags."""
    kid, count = person.get("kid_flag", False), shape[1] if len(shape) > 1 else None
    gender = person.get("gender", "neutral")
    if server == "agora_smplx" and gender not in ("male", "female", "neutral"):
        return 0, Verdict("gender", f"is {gender!r}", "use male, female or neutral", "KeyError")
    if kid not in (True, False):
        return 0, Verdict("kid_flag", f"is {kid!r}", "use True or False", "KeyError")
    if kid and count != 11:
        return 0, Verdict("betas", f"has shape {shape} for a child", "give (1, 11)", "KeyError")
    if server == "agora_smpl":
        return 11 if kid else 10, None
    num_betas = person.get("num_betas", 10)
    if kid and "num_betas" in person and num_betas != 11:
        return 0, Verdict("num_betas", f"is {num_betas!r} for a child", "say 11", "ValueError")
    if num_betas not in range(10, 300):
        return 0, Verdict("num_betas", f"is {num_betas!r}", "use 10 to 299", "KeyError")
    return num_betas, None


def _joints(person, server):
    if "joints" not in person:
        return Verdict("joints", "is missing", "add the 2D joints (24, 2)", "AssertionError")
    joints = person["joints"]
    if not isinstance(joints, np.ndarray):
        return _no_array("joints", joints)
    shape = joints.squeeze().shape if server == "agora_smpl" else joints.shape  # only SMPL's lets an axis of 1 pass
    if len(shape) != 2 or shape[1] < 2 or shape[0] < MATCHED:
        mend = "give (24, 2), SMPL-X order" + (": without the leading axis" if len(shape) == 3 else "")
        return Verdict("joints", f"has shape {joints.shape}", mend, "ValueError")
    return None


def _no_array(key, value):
    return Verdict(key, f"is {type(value).__name__}", "give a numpy array", "TypeError")


def not_finite(person):
    """(key, problem) of every array with NaN or infinity."""
    for key, value in person.items():
        if isinstance(value, Mapping):
            yield from not_finite(value)
        elif isinstance(value, np.ndarray) and value.dtype.kind not in "fiub":
            yield key, f"holds {value.dtype}, not numbers"
        elif isinstance(value, np.ndarray) and not np.isfinite(value).all():
            yield key, "holds NaN or infinity"
