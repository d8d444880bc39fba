"""Which way is up in a file: the house's camera frame or what modelling tools take."""

import numpy as np

from handlib.files import InputError

AXES = {
    "house": np.array([1.0, 1.0, 1.0]),  # x right, y down, z forward: the camera's frame of all of handlib
    "y_up": np.array([1.0, -1.0, -1.0]),  # x right, y up, z towards the viewer: Blender's OBJ and glTF readers, Maya
}


def signs(axes, file):
    """What the house's coordinates are multiplied with, (3,): a half turn about x, no mirroring."""
    if axes not in AXES:
        raise InputError(file, f"there are no axes {axes!r}", f"one of: {', '.join(AXES)}", field="axes")
    return AXES[axes]
