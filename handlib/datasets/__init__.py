"""One reader per data set: official files on disk -> samples in the vocabulary, and nothing else.

To add a data set: write ``handlib/datasets/<name>.py`` with a class that derives from `base.Reader`, a function
``reader(root, split, ...)`` that makes one, ``splits(root)``, ``variant(...)`` where options change what is in a split,
and ``prepare(root)`` where something must be made of the official files first; then name it here.
"""

import importlib
import inspect

from handlib import inputs
from handlib.files import InputError, require_known

FOLDERS = {  # where each data set lies below a data root
    "interhand": "InterHand",
    "oakink": "OakInk",
    "ho3d": "HO3D",
    "freihand": "FreiHAND",
    "dexycb": "DexYCB",
    "mscoco": "MSCOCO",
    "ehf": "EHF",
    "ubody": "UBody",
    "agora": "AGORA",
    "human36m": "Human36M",
    "mpii": "MPII",
    "mpi_inf_3dhp": "MPI_INF_3DHP",
    "pw3d": "PW3D",
}
# Of whole people; the others are of hands.
PEOPLE = ("mscoco", "ehf", "agora", "ubody", "human36m", "mpii", "mpi_inf_3dhp", "pw3d")
_MODULES = {name: f"handlib.datasets.{name}" for name in FOLDERS}


def names():
    """Data sets that can be read."""
    return sorted(_MODULES)


def read(name, root, split, **options):
    """A reader (see `base.Reader`): iterate over it for samples.

    name: one of `names()`; root: the data set's folder in its official layout; split: one of the data set's splits;
    options: the reader's own. Raises InputError for an unknown name, split or option, and for files that are missing
    or damaged.
    """
    make = _module(name).reader
    inputs.note("tree", root)
    return make(root, split, **_used(name, make, options))


def splits(name, root, **options):
    """The official splits that are in ``root``, in their usual order; none of them overlap. InputError for none.

    options: the reader's; what decides which lists count (OakInk's ``mode``) is used.
    """
    return _module(name).splits(root, **_used(name, _module(name).splits, options))


def prepare(name, root, bodies=None):
    """Make the files that are read and of which the official ones are only the source: UBody's pictures, of its videos;
    AGORA's annotations, of its data frames, and its crops, of the large pictures.

    bodies: folder of the licensed models that this takes (None: the free ones). What is there already stays; run again
    after a kill, it goes on. Returns a DataFrame of what was done, None where a data set needs nothing of the kind.
    Raises InputError as the tool does.
    """
    make = getattr(_module(name), "prepare", None)
    return make(root, bodies) if make else None


def variant(name, **options):
    """What tells two packs of one data set and split apart, by the reader's options: "default", "subject_multiview", …
    of OakInk; empty for a data set that has one way of splitting alone.
    """
    find = getattr(_module(name), "variant", None)
    return find(**_used(name, find, options)) if find else ""


def _used(name, function, options):
    """Those of a reader's options that ``function`` takes; InputError for one that the reader does not know."""
    known = list(inspect.signature(_module(name).reader).parameters)[2:]
    require_known(options, known, f"data set '{name}'", "option")
    return {key: value for key, value in options.items() if key in inspect.signature(function).parameters}


def _module(name):
    if name not in _MODULES:
        raise InputError("data set", f"'{name}' is not known", f"use one of: {', '.join(names())}", field="name")
    return importlib.import_module(_MODULES[name])
