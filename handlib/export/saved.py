"""Everything of a prediction as one file, .json (to read, by any program) or .npz (small, exact), and back."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from handlib.files import InputError, read_json, require, shown, write_text
from handlib.predict.prediction import BY_SUBJECT, PART_BOXES, Prediction

FORMAT, VERSION = "handlib prediction", 1
_UNITS = {
    "size": "px: width, height", "K": "px", "boxes": "px: x, y, width, height", "joints_cam": "m, camera frame",
    "verts_cam": "m, camera frame", "joints_img": "px of the upright picture", "transl": "m, camera frame",
    "reprojection_px": "px",
}  # fmt: skip
_OF_SUBJECT = {
    "hand": {
        "pose_from_mean": "rad: axis-angle, global, then 15 joints from MANO's mean pose", "side": "0 right, 1 left",
        "shape": "MANO's coefficients", "right_faces": "of a left hand: each the other way round",
    },
    "person": {
        "pose_from_mean": "rad: axis-angle of skeleton_cam's joints, hands from the mean pose; taken apart below",
        "shape": "coefficients", "expression": "coefficients", "skeleton_cam": "m, camera frame",
        **dict.fromkeys(PART_BOXES, "px: x, y, width, height of what the network cut out"),
    },
}  # fmt: skip
_MEND = "give a file that export.parameters wrote"


def parameters(prediction, path):
    """Write every field of a `handlib.predict.Prediction`; returns the path.

    .json: one object, a field per line, with format, version, subject and units, of persons also the parts of the pose
    by their names; NaN is null. .npz: `Prediction.save`.
    """
    path = Path(path)
    if path.suffix == ".npz":
        prediction.save(path)
    elif path.suffix == ".json":
        noun = prediction.subject.noun
        content = {"format": FORMAT, "version": VERSION, "subject": noun, "units": _UNITS | _OF_SUBJECT[noun]}
        content |= {one.name: _plain(getattr(prediction, one.name)) for one in dataclasses.fields(prediction)}
        content |= {name: _plain(value) for name, value in getattr(prediction, "parameters", {}).items()}
        lines = (f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in content.items())
        write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
    else:
        raise InputError(path, "is no kind of file for parameters", "end it in .json or .npz")
    return path


def _plain(value):
    """Arrays as nested lists: float32 in as few digits as give it back, null where a number is NaN."""
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind != "f":
        return value.tolist()
    exact = value.astype(str).astype(float)
    return np.where(np.isnan(exact), None, exact.astype(object)).tolist()


def read_parameters(path):
    """What `parameters` wrote -> Prediction, with the numbers that were written (float64 from .json).

    Raises InputError naming the field for a file of another kind, another version, and what is missing or misshapen.
    """
    path = require(path, _MEND)
    if path.suffix == ".npz":
        return Prediction.load(path)
    content = read_json(path, _MEND)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(path, "is not a prediction of handlib", _MEND, field="format")
    if content.get("version") != VERSION:
        problem = f"is version {shown(content.get('version'))}, this handlib reads {VERSION}"
        raise InputError(path, problem, "read it with the handlib that wrote it", field="version")
    kind = BY_SUBJECT.get(str(content.get("subject", "hand")))
    if kind is None:
        raise InputError(path, f"is of {shown(content['subject'])}", f"one of: {', '.join(BY_SUBJECT)}", "subject")
    missing = [one.name for one in dataclasses.fields(kind) if one.name not in content]
    if missing:
        raise InputError(path, "is not there", _MEND, field=missing[0])
    arrays = {name: _array(content[name], name, kind, path) for name in kind.SHAPES}
    return kind.checked(content, arrays, path, _MEND)


def _array(value, name, kind, path):
    """A field as an array; one without rows gets the rest of its shape back, which an empty list has lost."""
    shape = kind.SHAPES[name]
    try:
        array = np.array(value, float)
        if name in kind.KINDS:
            whole = np.rint(array).astype(np.int64)
            if (whole != array).any():
                raise ValueError("not whole ones")
            array = whole
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(path, f"is no array of numbers ({error})"[:300], _MEND, field=name) from error
    if array.size == 0 and shape[0] == "N" and array.shape[:1] == (0,):
        return array.reshape(0, *(0 if isinstance(size, str) else size for size in shape[1:]))
    return array
