"""Seeing: pure ``state -> figure`` functions, thin widgets over them, and static twins on disk.

``mesh`` the mesh inspector, ``browser`` the dataset browser, ``persons`` that of whole people, ``widgets`` these in a
notebook, ``static`` these as files, ``overview`` what a pack holds, ``figures`` the small matplotlib figures of
training and evaluation, ``errors`` pictures of errors, ``gallery`` frames that open in the inspector, ``frustum`` hands
before their picture in space, ``boxes`` drawn by hand, ``palette`` every colour. Of whole bodies: ``body``,
``body_page`` and ``body_static`` the inspector of errors, as a file, as pictures; ``whole_body`` and ``attention`` what
their networks look at.
"""

import importlib

_SUBMODULES = (
    "attention",
    "body",
    "body_page",
    "body_static",
    "boxes",
    "browser",
    "errors",
    "figures",
    "frustum",
    "gallery",
    "mesh",
    "overview",
    "palette",
    "persons",
    "static",
    "whole_body",
    "widgets",
)


def of(pack):
    """The module whose functions show a pack's samples: `browser` for hands, `persons` for whole people."""
    whole = pack.manifest.get("joint_order") == "smplx137"
    return importlib.import_module(f"{__name__}.{'persons' if whole else 'browser'}")


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(_SUBMODULES)}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES])
