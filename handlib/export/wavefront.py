"""Hands as Wavefront OBJ: plain meshes with normals, which every tool reads."""

from pathlib import Path

import numpy as np

from handlib.export.axes import signs
from handlib.files import InputError, write_text
from handlib.render import vertex_normals

SIDES = ("right", "left")


def obj(prediction, path, axes="house", separate=False):
    """Write the hands of a picture; returns the paths written.

    prediction: `handlib.predict.Prediction`; axes: "house" (x right, y down, z forward: the camera's frame) or "y_up"
    (as modelling tools have it); separate: a file for each hand, <name>_<number>_<side>.obj, instead of one with an
    object for each. Metres, 6 decimals. Raises InputError without hands.
    """
    path, turn = Path(path), signs(axes, path)
    if not len(prediction.side):
        raise InputError(path, "there is no hand to write", "give boxes that hold hands", field="hands")
    names = [f"{number}_{SIDES[int(side)]}" for number, side in enumerate(prediction.side)]
    heads = (
        f"# handlib {prediction.name}\n# metres, axes: {axes}; camera at the origin; intrinsics {prediction.K_source}\n"
    )
    parts, start = [], 1
    for hand, side in enumerate(prediction.side):
        parts.append(_object(prediction.verts_cam[hand] * turn, prediction.faces(side), names[hand], start))
        start += 0 if separate else len(prediction.verts_cam[hand])
    if not separate:
        write_text(path, heads + "".join(parts))
        return [path]
    paths = [path.with_name(f"{path.stem}_{name}{path.suffix or '.obj'}") for name in names]
    for one, part in zip(paths, parts, strict=True):
        write_text(one, heads + part)
    return paths


def _object(verts, faces, name, start):
    corners = np.asarray(faces) + start
    lines = [f"o hand_{name}"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in verts]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertex_normals(verts, faces)]
    lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in corners]
    return "\n".join(lines) + "\n"
