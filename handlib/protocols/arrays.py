"""Checking the arrays that a caller hands to a protocol: every refusal names the field, the row and the mend."""

import contextlib
import contextvars
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


def refuse(bad, where, field, problem, mend):
    """InputError naming the first row in which ``bad`` (N, …) is true."""
    rows = np.flatnonzero(bad.any(tuple(range(1, bad.ndim))))
    if rows.size:
        raise InputError(where, f"row {first_row() + rows[0]} {problem}", mend, field=field)


def refuse_nan(array, where, field, mend, counts=True):
    """InputError naming the first row of ``array`` that holds NaN or infinity where ``counts`` is true."""
    refuse(counts & ~np.isfinite(array), where, field, "holds NaN or infinity", mend)


_FIRST_ROW = contextvars.ContextVar("first_row", default=0)


@contextlib.contextmanager
def rows_from(start):
    """While it holds, the rows at hand are ``start`` and what follows: for messages, when arrays come in chunks."""
    token = _FIRST_ROW.set(start)
    try:
        yield
    finally:
        _FIRST_ROW.reset(token)


def first_row():
    """The number of the first row at hand."""
    return _FIRST_ROW.get()
