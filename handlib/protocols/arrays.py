"""Checking the arrays that a caller hands to a protocol: every refusal names the field, the row and the mend."""

from collections.abc import Mapping

import numpy as np

from handlib.files import InputError
from handlib.metrics import as_array


def take(arrays, where, field, shape, aliases=()):
    """``arrays[field]`` (or the first alias there) of the given shape, None standing for any length; neither copied
    nor converted.

    ``where`` names the mapping in messages ("predictions", "truth").
    """
    if not isinstance(arrays, Mapping):
        raise InputError(where, f"is {type(arrays).__name__}, not a mapping", "give a dict of named arrays")
    expected = str(tuple("N" if length is None else length for length in shape)).replace("'", "")
    name = next((name for name in (*aliases, field) if name in arrays), None)
    if name is None:
        have = ", ".join(sorted(map(str, arrays))) or "nothing"
        raise InputError(where, "is missing", f"add an array {expected}; there is: {have}", field=field)
    try:
        array = as_array(arrays[name])
    except ValueError as error:
        raise InputError(where, f"is not an array ({error})", f"give one array {expected}", field=name) from error
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        raise InputError(where, f"has shape {array.shape}", f"give it as {expected}", field=name)
    return array


def numbers(array, where, field):
    """``array`` as float64; InputError when it holds something else than numbers."""
    if array.dtype.kind not in "fiub":
        raise InputError(where, f"holds {array.dtype}, not numbers", "give an array of numbers", field=field)
    return array.astype(np.float64)


def refuse(bad, where, field, problem, mend, first_row=0):
    """InputError naming the first row in which ``bad`` (N, …) is true; rows count from ``first_row``."""
    rows = np.flatnonzero(bad.any(tuple(range(1, bad.ndim))))
    if rows.size:
        raise InputError(where, f"row {first_row + rows[0]} {problem}", mend, field=field)
