"""Part masks of MANO fits: 33 classes as in DIGIT, 0 background, 1..16 the right hand's parts, 17..32 the left
hand's.
"""

import functools
import hashlib

import numpy as np

from handlib import geometry
from handlib.bodies import parts

_HANDS = ("mano_right", "mano_left")


def fingerprint(bodies):
    """What decides how the masks look, as plain values. ``bodies``: a folder with the MANO files, "free", or None."""
    return {name: _hash(_layer(bodies, name)) for name in _HANDS} if bodies else None


def _hash(layer):
    """SHA-256 of the model's arrays (not of its file: the same hand may come as .pkl or .npz)."""
    digest = hashlib.sha256()
    for name, array in sorted(layer.named_buffers()):
        digest.update(name.encode() + array.numpy().tobytes())
    return digest.hexdigest()


def render(sample, bodies):
    """uint8 (h, w) part classes of a sample's MANO fits, seen by its camera; both hands share one depth buffer."""
    from handlib import render as raycast  # embree, and torch in the layer: only where masks are made

    meshes = []
    for side in np.flatnonzero(sample["mano_valid"]):
        verts, (loops, faces, classes) = posed(bodies, sample, side), _surface(bodies, _HANDS[side])
        verts = np.concatenate([verts, *(verts[loop].mean(0, keepdims=True) for loop in loops)])
        meshes.append(raycast.Mesh(verts, faces, classes))
    return raycast.part_mask(meshes, sample["K"], (sample["height"], sample["width"]))


def posed(bodies, sample, side):
    """Vertices (778, 3) of a sample's fit (``side`` 0 right, 1 left), metres in the camera's frame."""
    import torch

    pose, shape, transl = (torch.as_tensor(sample[name][side]) for name in ("pose_from_mean", "shape", "transl_world"))
    with torch.no_grad():
        out = _layer(bodies, _HANDS[side])(pose=pose, shape=shape, transl=transl, mean_added=False)
    return geometry.world_to_camera(out["verts"].numpy(), sample["cam_rot"], sample["cam_pos"])


@functools.lru_cache(maxsize=4)
def _layer(bodies, name):
    import torch

    from handlib import bodies as body_models

    return body_models.load(bodies, name, dtype=torch.float64)


@functools.lru_cache(maxsize=4)
def _surface(bodies, name):
    """What no pose changes: the wrist's ring(s) of vertices, the closed mesh's faces, and a class for each of these.

    The seal's faces come last (`handlib.render.seal`) and belong to the palm, MANO's joint 0.
    """
    from handlib import render as raycast

    layer = _layer(bodies, name)
    open_faces, classes = layer.faces.numpy(), layer.part_classes("faces")
    _, faces = raycast.seal(np.zeros((len(layer.weights), 3)), open_faces)
    palm = parts.digit_classes(np.zeros(len(faces) - len(open_faces), int), layer.side)
    return raycast.boundary_loops(open_faces), faces, np.concatenate([classes, palm])
