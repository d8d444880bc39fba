"""AGORA's images and people as its files hold them, checked: predicted persons, and rows of the ground truth."""

import collections
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from handlib.datasets import agora_frames as frames
from handlib.files import InputError
from handlib.metrics import as_array
from handlib.protocols.agora.errors import JOINTS, VERTICES
from handlib.protocols.agora.matching import joints_2d

TRUTH = ("isValid", "occlusion", "kid", "gt_joints_2d", "gt_joints_3d", "gt_verts")  # one entry per person
Person = collections.namedtuple("Person", "joints_2d joints verts params")
Image = collections.namedtuple("Image", "name valid occlusion kid joints_2d joints verts")


def person(given, where, model):
    """One predicted person, a mapping as in the official pickles -> Person.

    ``joints`` (at least J, 3) and ``verts`` (V, 3) in metres, or None where they follow from ``params``, which is then
    the mapping itself. Leading axes of 1 are taken off. Raises InputError naming person and key.
    """
    if not isinstance(given, Mapping):
        raise InputError(where, f"is {type(given).__name__}, not a mapping", "give a dict as in the official pickles")
    if "joints" not in given:
        raise InputError(where, "is missing", f"add the 2D joints; there is: {', '.join(map(str, given))}", "joints")
    flat = joints_2d(as_array(given["joints"]), where, "joints")
    shapes = {"allSmplJoints3d": JOINTS[model], "verts": VERTICES[model]}
    points = {key: _points(given, key, count, where) for key, count in shapes.items()}
    lacking = [key for key, array in points.items() if array is None]
    if lacking and not isinstance(given.get("params"), Mapping):
        mend = "give 'verts' and 'allSmplJoints3d', or 'params'"
        raise InputError(where, "is missing", mend, field=lacking[0])
    return Person(flat, points["allSmplJoints3d"], points["verts"], given if lacking else None)


def _points(given, key, count, where):
    """(count, 3) metres (of the joints the first ``count``), None where the key is absent."""
    if key not in given:
        return None
    array = as_array(given[key]).squeeze()
    rows = array.shape[0] if array.ndim else 0
    fits = array.ndim == 2 and array.shape[1] == 3 and (rows == count or (key == "allSmplJoints3d" and rows > count))
    if not fits or array.dtype.kind not in "fiu":
        mend = f"give ({count}, 3) numbers, metres in the camera frame"
        raise InputError(where, f"has shape {array.shape} of {array.dtype}", mend, field=key)
    return finite(array[:count], where, key)


def finite(array, where, key):
    """``array``; InputError when it holds NaN or infinity."""
    if not np.isfinite(array).all():
        raise InputError(where, "holds NaN or infinity", "see why there is no number, or leave the person out", key)
    return array


def image(row, model):
    """One row of the ground truth, a mapping -> Image, its lists as arrays. Raises InputError naming image and key."""
    where = f"truth, image '{row.get('imgPath', '?')}'"
    for key in ("imgPath", *TRUTH):
        if key not in row:
            mend = f"use the data frame 'with SMPL joints and vertices' or with SMPL-X ones; there is: {', '.join(row)}"
            raise InputError(where, "is missing", mend, field=key)
    people = len(row["isValid"])
    for key in TRUTH:
        if len(row[key]) != people:
            problem = f"has {len(row[key])} entries for {people} people"
            raise InputError(where, problem, "give every person one", field=key)
    flat = [joints_2d(as_array(joints), where, "gt_joints_2d") for joints in row["gt_joints_2d"]]
    valid, occlusion = _flags(row["isValid"]), np.asarray(row["occlusion"], np.float64)
    finite(occlusion[valid], where, "occlusion")  # of the others it does not matter
    return Image(
        str(row["imgPath"]), valid, occlusion, _flags(row["kid"]), flat,
        [_true(points, JOINTS[model], where, "gt_joints_3d") for points in row["gt_joints_3d"]],
        [_true(points, VERTICES[model], where, "gt_verts") for points in row["gt_verts"]],
    )  # fmt: skip


def _flags(values):
    return np.array([bool(value) for value in values], bool)


def _true(points, count, where, key):
    """As given: it is looked at only where the person is matched."""
    array = as_array(points)
    rows = count if key == "gt_verts" else len(array)
    if array.ndim != 2 or array.shape[1] != 3 or len(array) != rows or rows < count:
        raise InputError(where, f"has shape {array.shape}", f"give ({count}, 3) metres of this body model", field=key)
    return array[:count]


def rows(truth):
    """Every row of the ground truth: of a list of mappings, one mapping, a pandas DataFrame, a mapping of columns, or
    an official pickled data frame (a file, a folder of them, or a list of files; read one after the other).
    """
    if isinstance(truth, (str, Path)):
        truth = frames.files(truth)
    if hasattr(truth, "columns") and hasattr(truth, "iterrows"):
        truth = {name: truth[name].tolist() for name in truth.columns}
    if isinstance(truth, Mapping):
        if isinstance(truth.get("imgPath"), str):
            truth = [truth]
        else:
            yield from frames.of_columns(truth, "truth")
            return
    if not isinstance(truth, Iterable):
        raise InputError("truth", f"is {type(truth).__name__}", "give rows, a data frame or its file")
    for row in truth:
        if isinstance(row, (str, Path)):
            yield from frames.of_columns(frames.read(row), row)
        elif isinstance(row, Mapping) or hasattr(row, "to_dict"):
            yield row if isinstance(row, Mapping) else row.to_dict()
        else:
            raise InputError("truth", f"holds {type(row).__name__}", "give a mapping for every image")


def images(predictions):
    """Predictions as a mapping image name -> list of persons: as given, or a submission's folder or zip, read image by
    image.
    """
    if isinstance(predictions, (str, Path)):
        from handlib.submissions import agora

        return agora.read(predictions)
    if not isinstance(predictions, Mapping):
        mend = "give {image name: [person, ...]}, or the submission's folder or zip"
        raise InputError("predictions", f"is {type(predictions).__name__}, not a mapping", mend)
    return predictions


def named(predictions, name):
    """What the predictions call the image ``name`` (they may leave ``.png`` out); None where they lack it."""
    return next((known for known in (name, name.rpartition(".")[0]) if known and known in predictions), None)


def of_image(predictions, name):
    """The persons predicted for the image called ``name``, none where it is not among them."""
    known = named(predictions, name)
    return [] if known is None else list(predictions[known])
