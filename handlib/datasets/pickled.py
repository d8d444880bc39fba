"""A sample's own annotation file, a pickle, that may be missing or damaged."""

import os

from handlib import safe_pickle
from handlib.datasets.base import Skip
from handlib.files import InputError

_LARGEST = 1 << 26  # bytes of one sample's annotation


def read_sample(path, key, extra=None):
    """What the pickle holds; ``extra`` as for `safe_pickle.read_pickle`. Raises Skip where it is missing or damaged,
    `safe_pickle.Refused` (an InputError that names the file and what it asks for) when it is not harmless.
    """
    try:
        if os.path.isfile(path) and os.path.getsize(path) > _LARGEST:
            raise InputError(path, "is larger than any annotation", "copy it again")
        return safe_pickle.read_pickle(path, extra)
    except safe_pickle.Refused:
        raise
    except (InputError, OSError) as error:
        place = "/".join(path.parts[-2:])
        if not os.path.exists(path):
            raise Skip(key, "annotation is missing", place) from error
        raise Skip(key, "annotation cannot be read", f"{place}: {getattr(error, 'problem', error)}") from error
