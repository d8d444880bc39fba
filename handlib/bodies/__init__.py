"""Body models: reading the official files, skinning layers, and the free models that stand in where there are none.

``load(FILE_OR_FOLDER, name)`` makes a layer; ``names()`` says which there are. A model's own module is imported on use.
"""

import importlib

from handlib import inputs
from handlib.files import InputError

_MODELS = {"mano_left": "mano", "mano_right": "mano"}
_MODELS |= {f"{kind}_{g}": "smplx" for kind in ("smplx", "smpl", "flame") for g in ("neutral", "male", "female")}
_FUNCTIONS = {"joints21": "mano", "fit_error": "mano"}


def names():
    """The body models that ``load`` knows."""
    return sorted(_MODELS)


def load(path, name, **options):
    """A skinning layer (torch module).

    Arguments: ``path``, the official file, a folder that holds it (there, in mano/, models/mano/ or bodies/mano/),
    or None or "free" for the free hand or body that the package carries (``layer.is_free``, ``layer.source`` say so);
    ``name``: one of ``names()``. Options: ``dtype`` (torch.float32); of MANO ``fix_left_shapedirs``
    (True), whether the known sign error of MANO_LEFT.pkl is put right (``layer.corrections`` says whether it was), and
    ``part_labels``, a file of DIGIT's published vertex labels (default: labels from the skinning weights); of the other
    models ``shapes`` and ``expressions`` (10 each), how many of the file's directions the layer takes.
    Raises InputError when the file is missing, is not what it should be, or is damaged; there is no silent fall-back.
    """
    if name not in _MODELS:
        raise InputError("bodies.load", f"there is no body model '{name}'", f"one of: {', '.join(names())}", "name")
    if path is not None and str(path) != "free":
        inputs.note("tree", path)
    return importlib.import_module(f"handlib.bodies.{_MODELS[name]}").load(path, name, **options)


def __getattr__(name):
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"handlib.bodies.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'handlib.bodies' has no attribute {name!r}")
