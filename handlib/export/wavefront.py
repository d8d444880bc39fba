"""Hands and persons as Wavefront OBJ: plain meshes with normals, which every tool reads."""

from pathlib import Path

import numpy as np

from handlib.export.axes import signs
from handlib.files import InputError, write_text
from handlib.render import vertex_normals


def obj(prediction, path, axes="house", separate=False):
    """Write the hands or persons of a picture; returns the paths written.

    prediction: `handlib.predict.Prediction`; axes: "house" (x right, y down, z forward: the camera's frame) or "y_up"
    (as modelling tools have it); separate: a file for each, <name>_<number>_<label>.obj, instead of one with an object
    for each. Metres, 6 decimals. Raises InputError where there is none.
    """
    path, turn, subject = Path(path), signs(axes, path), prediction.subject
    if not len(prediction):
        problem, mend = f"there is no {subject.noun} to write", f"give boxes that hold {subject.plural}"
        raise InputError(path, problem, mend, field=subject.plural)
    head = f"# handlib {prediction.name}\n"
    head += f"# metres, axes: {axes}; camera at the origin; intrinsics {prediction.K_source}\n"
    parts, start = [], 1
    for number, label in enumerate(prediction.labels):
        name = f"{subject.noun}_{number}" + (f"_{label}" if subject.sided else "")
        parts.append(_object(prediction.verts_cam[number] * turn, prediction.faces_of(number), name, start))
        start += 0 if separate else len(prediction.verts_cam[number])
    if not separate:
        write_text(path, head + "".join(parts))
        return [path]
    labels = enumerate(prediction.labels)
    paths = [path.with_name(f"{path.stem}_{number}_{label}{path.suffix or '.obj'}") for number, label in labels]
    for one, part in zip(paths, parts, strict=True):
        write_text(one, head + part)
    return paths


def _object(verts, faces, name, start):
    corners = np.asarray(faces) + start
    lines = [f"o {name}"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in verts]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertex_normals(verts, faces)]
    lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in corners]
    return "\n".join(lines) + "\n"
