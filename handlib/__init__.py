"""handlib: hand and whole-body mesh recovery in one package (see README.md).

Submodules are imported when they are first named, so that ``import handlib`` stays quick and pulls in no torch.
"""

import importlib

__version__ = "0.1.0"

_SUBMODULES = (
    "alignment analysis bench bodies cluster confidence crops datasets demo doctor fields files fitting geometry "
    "metrics networks packs predict protocols recipes render runs submissions sweeps tables training verify "
    "viewer"
).split()


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"handlib.{name}")
    raise AttributeError(f"module 'handlib' has no attribute {name!r}; it has: {', '.join(_SUBMODULES)}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES])
