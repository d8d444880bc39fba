"""Part labels of a hand mesh, derived from the skinning weights of whatever model is loaded.

House labels are MANO joints: a vertex or face has the label of the joint that moves it most (0 the palm, 1..15 the
phalanges in MANO's order). DIGIT (Fan et al., 3DV 2021) numbers the same 16 parts in its own order; its part masks hold
``label + 1`` for right hands and ``label + 17`` for left ones, 0 where there is no hand.
"""

import json

import numpy as np

from handlib.files import InputError, read_json

# DIGIT's label k is the part that this MANO joint moves.
DIGIT_JOINTS = (10, 2, 7, 4, 6, 12, 9, 13, 0, 14, 1, 3, 15, 8, 5, 11)
CLASSES = 1 + 2 * len(DIGIT_JOINTS)
_LABEL_OF_JOINT = np.argsort(DIGIT_JOINTS)


def vertex_labels(weights):
    """House label (V,) of every vertex from skinning weights (V, 16)."""
    return np.asarray(weights).argmax(1)


def face_labels(weights, faces):
    """House label (F,) of every face: the joint with the largest weight summed over its three corners."""
    return np.asarray(weights)[np.asarray(faces)].sum(1).argmax(1)


def face_labels_from_corners(labels, faces):
    """Label (F,) of every face from labels (V,) of the vertices: two corners outvote the third, else the first."""
    first, second, third = np.asarray(labels)[np.asarray(faces)].T
    return np.where(second == third, second, first)


def digit_classes(labels, side):
    """House labels -> class ids of DIGIT's part masks (uint8): 1..16 for "right", 17..32 for "left"."""
    return (_LABEL_OF_JOINT[np.asarray(labels)] + {"right": 1, "left": 17}[side]).astype(np.uint8)


def flip_classes(mask):
    """Class ids of a mirrored picture: right and left hand exchange, the background stays."""
    mask = np.asarray(mask)
    half = len(DIGIT_JOINTS)
    exchanged = np.where(mask > half, mask - half, mask + half)
    return np.where(mask == 0, 0, exchanged).astype(mask.dtype)


def read_published(path, vertices=778):
    """House labels (vertices,) from DIGIT's published list ``vertex_segments_right_seal.json``, for those who have it.

    The file is a JSON list of one DIGIT label per vertex; the 779th, of the vertex that closes the wrist, is left out.
    Raises InputError when the file holds anything else.
    """
    labels = read_json(path, "it is vertex_segments_right_seal.json of the DIGIT repository")
    mend = f"give the published list: {vertices} or {vertices + 1} integers from 0 to {len(DIGIT_JOINTS) - 1}"
    if not isinstance(labels, list) or len(labels) not in (vertices, vertices + 1):
        found = f"a list of {len(labels)}" if isinstance(labels, list) else type(labels).__name__
        raise InputError(path, f"holds {found}, not one label per vertex", mend)
    for number, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < len(DIGIT_JOINTS):
            raise InputError(path, f"entry {number} is {json.dumps(label)[:80]}", mend)
    return np.array(DIGIT_JOINTS)[labels[:vertices]]
