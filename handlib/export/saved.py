"""Everything of a prediction as one file, .json (to read, by any program) or .npz (small, exact), and back."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from handlib.files import InputError, read_json, require, write_text

FORMAT, VERSION = "handlib prediction", 1
_UNITS = {
    "size": "px: width, height", "K": "px", "boxes": "px: x, y, width, height", "joints_cam": "m, camera frame",
    "verts_cam": "m, camera frame", "joints_img": "px of the upright picture", "transl": "m, camera frame",
    "pose_from_mean": "rad: axis-angle, global, then 15 joints from MANO's mean pose", "side": "0 right, 1 left",
    "shape": "MANO's coefficients", "reprojection_px": "px", "right_faces": "of a left hand: each the other way round",
}  # fmt: skip
_SHAPES = {
    "K": (3, 3), "side": ("N",), "boxes": ("N", 4), "joints_cam": ("N", 21, 3), "verts_cam": ("N", "V", 3),
    "joints_img": ("N", 21, 2), "pose_from_mean": ("N", 48), "shape": ("N", 10), "transl": ("N", 3),
    "reprojection_px": ("N",), "score": ("N",), "right_faces": ("F", 3),
}  # fmt: skip
_KINDS = {"side": np.int8, "right_faces": np.int64}
_MEND = "give a file that export.parameters wrote"


def parameters(prediction, path):
    """Write every field of a `handlib.predict.Prediction`; returns the path.

    .json: one object, a field per line, with format, version and units; NaN is null. .npz: `Prediction.save`.
    """
    path = Path(path)
    if path.suffix == ".npz":
        prediction.save(path)
    elif path.suffix == ".json":
        content = {"format": FORMAT, "version": VERSION, "units": _UNITS}
        content |= {one.name: _plain(getattr(prediction, one.name)) for one in dataclasses.fields(prediction)}
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
    from handlib.predict.prediction import Prediction

    path = require(path, _MEND)
    if path.suffix == ".npz":
        return Prediction.load(path)
    content = read_json(path, _MEND)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(path, "is not a prediction of handlib", _MEND, field="format")
    if content.get("version") != VERSION:
        problem = f"is version {content.get('version')}, this handlib reads {VERSION}"
        raise InputError(path, problem, "read it with the handlib that wrote it", field="version")
    missing = [one.name for one in dataclasses.fields(Prediction) if one.name not in content]
    if missing:
        raise InputError(path, "is not there", _MEND, field=missing[0])
    sizes = {"N": len(content["side"])}
    arrays = {name: _array(content[name], name, shape, sizes, path) for name, shape in _SHAPES.items()}
    words = {"name": str(content["name"]), "K_source": str(content["K_source"]), "size": tuple(content["size"])}
    return Prediction(**words, **arrays, skipped=tuple((number, why) for number, why in content["skipped"]))


def _array(value, name, shape, sizes, path):
    """A field as an array of its shape; letters stand for the first size met."""
    try:
        array = np.array(value, _KINDS.get(name, float))
    except (TypeError, ValueError) as error:
        raise InputError(path, f"is no array of numbers ({error})", _MEND, field=name) from error
    if array.size == 0 and shape[0] == "N":  # no hands: an empty list has lost the rest of its shape
        array = array.reshape(0, *(0 if isinstance(size, str) else size for size in shape[1:]))
    for want, got in zip(shape, array.shape, strict=False):
        want = sizes.setdefault(want, got) if isinstance(want, str) else want
        if want != got or array.ndim != len(shape):
            raise InputError(path, f"has shape {array.shape}, not {shape} of {sizes['N']} hands", _MEND, field=name)
    return array
