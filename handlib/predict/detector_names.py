"""Detectors by name, for the command line.

A name is "mediapipe" (`detectors.MediaPipeHands`, of persons `person_detectors.MediaPipePersons`), or
``module:callable`` of one's own: uint8 (h, w, 3) RGB -> boxes (N, 4) x, y, w, h px, sides (N,), of persons None, and
scores (N,). A class is called first, without arguments, and makes such a callable.
"""

import importlib
import inspect
import sys

from handlib.files import InputError
from handlib.predict.subjects import HAND

NAMES = ("mediapipe",)
MODELS = "data/checkpoints"


def load(name, models=None, subject=HAND):
    """The detector of a name; models: MediaPipe's (None: `MODELS`). InputError when there is none of this name."""
    if name in NAMES:
        from handlib import runs
        from handlib.predict import detectors, person_detectors

        kind = detectors.MediaPipeHands if subject is HAND else person_detectors.MediaPipePersons
        return kind(models or runs.from_root(MODELS))
    module, colon, attribute = name.partition(":")
    if not colon:
        mend = f"known: {', '.join(NAMES)}; or give module:callable of your own"
        raise InputError("detector", f"there is no '{name}' of {subject.plural}", mend)
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: one's own module lies in the working directory
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError("detector", f"'{name}' cannot be had ({error})", "install it, or name another one") from error
    return found() if inspect.isclass(found) else found
