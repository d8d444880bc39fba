"""One reader per data set: official files on disk -> samples in the vocabulary, and nothing else.

To add a data set: write ``handlib/datasets/<name>.py`` with a class that derives from `base.Reader`, a function
``reader(root, split, ...)`` that makes one, and ``splits(root)``; then name it here.
"""

import importlib
import inspect

from handlib.files import InputError, require_known

_MODULES = {name: f"handlib.datasets.{name}" for name in ("interhand", "oakink")}
FOLDERS = {"interhand": "InterHand", "oakink": "OakInk"}  # where each data set lies below a data root


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
    known = list(inspect.signature(make).parameters)[2:]
    require_known(options, known, f"data set '{name}'", "option")
    return make(root, split, **options)


def splits(name, root, **options):
    """The official splits that are in ``root``, in their usual order; none of them overlap. InputError for none.

    options: what decides which lists count (OakInk's ``mode``).
    """
    find = _module(name).splits
    require_known(options, list(inspect.signature(find).parameters)[1:], f"splits of data set '{name}'", "option")
    return find(root, **options)


def _module(name):
    if name not in _MODULES:
        raise InputError("data set", f"'{name}' is not known", f"use one of: {', '.join(names())}", field="name")
    return importlib.import_module(_MODULES[name])
