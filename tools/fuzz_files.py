"""Targets of `fuzz` outside the data sets: body models, checkpoints, predictions, submissions, pictures, recipes …"""

import numpy as np
from fuzz import Target

from handlib import bodies
from handlib.bodies import free


def finite(**arrays):
    """AssertionError naming the first array that holds NaN or infinity."""
    for name, array in arrays.items():
        assert np.isfinite(np.asarray(array, np.float64)).all(), f"{name} is not finite"


def _read_mano(folder):
    layer = bodies.load(folder / "mano" / "MANO_LEFT.pkl", "mano_left")
    out = layer(pose=np.full(48, 0.1), shape=np.ones(layer.shape_size), mean_added=False)
    assert out["verts"].shape == (778, 3) and out["joints"].shape == (16, 3)
    finite(**{name: value.numpy() for name, value in out.items()})


TARGETS = [Target("mano_pkl", free.write_official, _read_mano)]
