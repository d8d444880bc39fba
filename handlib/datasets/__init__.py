"""One reader per data set: official files on disk -> samples in the vocabulary, and nothing else.

To add a data set: write ``handlib/datasets/<name>.py`` with a class that derives from `base.Reader`, and name it here.
"""

import importlib
import inspect
from pathlib import Path

from handlib.files import InputError, require_known

_READERS = {"interhand": "handlib.datasets.interhand:reader"}
FOLDERS = {"interhand": "InterHand"}  # where each data set lies below a data root


def names():
    """Data sets that can be read."""
    return sorted(_READERS)


def read(name, root, split, **options):
    """A reader (see `base.Reader`): iterate over it for samples.

    name: one of `names()`; root: the data set's folder in its official layout; split: one of the data set's splits;
    options: the reader's own. Raises InputError for an unknown name, split or option, and for files that are missing
    or damaged.
    """
    if name not in _READERS:
        raise InputError("data set", f"'{name}' is not known", f"use one of: {', '.join(names())}", field="name")
    module, reader = _READERS[name].split(":")
    reader = getattr(importlib.import_module(module), reader)
    known = list(inspect.signature(reader).parameters)[2:]
    require_known(options, known, f"data set '{name}'", "option")
    return reader(root, split, **options)


def splits(name, root):
    """The official splits whose annotations are in ``root``, in the order train, val, test. InputError when there are
    none.
    """
    found = [split for split in ("train", "val", "test") if (Path(root) / "annotations" / split).is_dir()]
    if not found:
        raise InputError(
            Path(root) / "annotations", "holds no train, val or test folder", f"put the files of '{name}' there"
        )
    return found
