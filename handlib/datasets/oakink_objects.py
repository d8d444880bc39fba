"""OakInk-Image's scanned objects: image/obj/<object>.obj or .ply."""

import io

import numpy as np

from handlib.datasets.numbers import LARGEST
from handlib.files import InputError, require_file, shown

_AGAIN = "unpack OakInk's image/obj.zip again"

_CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])


def read(image, name):
    """Vertices (N, 3) float32 in metres and faces (F, 3) of object ``name`` below the folder ``image``.

    The vertices are shifted so that the middle of their bounding box is the origin, as ``object_pose`` expects.
    Raises InputError when there is no such object or its file is damaged.
    """
    import trimesh

    for path in (image / "obj" / f"{name}{ending}" for ending in (".obj", ".ply")):
        if not path.exists():
            continue
        try:
            data = io.BytesIO(require_file(path, _AGAIN).read_bytes())  # of a file it would open others that it names
            mesh = trimesh.load(data, file_type=path.suffix[1:], process=False, force="mesh")
            verts, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
        except Exception as error:  # a damaged file can raise almost anything
            raise InputError(path, f"cannot be read as a mesh ({shown(str(error))})", _AGAIN) from error
        if not len(verts) or not (np.abs(verts) <= LARGEST).all():
            raise InputError(path, "has no vertices, or some that are not finite", _AGAIN, "vertices")
        if len(faces) and not 0 <= faces.min() <= faces.max() < len(verts):
            raise InputError(path, f"has faces of other vertices than its {len(verts)}", _AGAIN, "faces")
        return (verts - (verts.min(0) + verts.max(0)) / 2).astype(np.float32), faces
    raise InputError(image / "obj", f"holds no {name}.obj or {name}.ply", "unpack OakInk's image/obj.zip there")


def corners(verts):
    """The 8 corners (8, 3) of the bounding box: around the low z, then around the high z."""
    return np.where(_CORNERS, verts.max(0), verts.min(0))


def posed(points, object_pose):
    """(N, 3) object points -> camera frame, by a sample's ``object_pose`` (4, 4)."""
    return points @ object_pose[:3, :3].T + object_pose[:3, 3]
