"""numpy's files, .npz and .npy, from anywhere: nothing in them is run, and no more memory is taken than they hold.

numpy believes the header of an array and takes the memory that it claims, and unpacks whatever it is given; what a
damaged file makes it raise is of a dozen kinds. Here all of it is an InputError that names file, array and mend.
"""

import math
import zipfile
from pathlib import Path

import numpy as np

from handlib.files import InputError, require_file

_KINDS = "biufcSU"  # numbers and text; objects are pickles
_MUCH, _RATIO = 1 << 30, 200  # what unpacks to more bytes than that, and to so many times the file, is a bomb


def read(path, mend, names=None, objects="refuse", most=None):
    """The arrays of a .npz -> {name: array}; only those of ``names`` that are there, where it is given.

    objects: "skip" leaves out arrays of Python objects instead of refusing the file; most: bytes that those arrays may
    take together, by default what no file but a bomb needs. Raises InputError when the file is
    missing, no whole .npz, or holds something else than arrays of numbers and text.
    """
    path = require_file(path, mend)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {one.filename.removesuffix(".npy"): one for one in archive.infolist()}
            wanted = members if names is None else {name: members[name] for name in names if name in members}
            _refuse_bomb(path, sum(one.file_size for one in wanted.values()), mend, most)
            return {
                name: array
                for name, one in wanted.items()
                if (array := _member(archive, one, path, mend, objects == "skip")) is not None
            }
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds at damage
        raise InputError(path, f"is no whole .npz of plain arrays ({_said(error)})", mend) from error


def read_array(path, mend, mmap_mode=None):
    """The array of a .npy. Raises InputError as `read`."""
    path = require_file(path, mend)
    try:
        with open(path, "rb") as file:
            _require_plain(file, path.stat().st_size)
        return np.load(path, mmap_mode, allow_pickle=False)
    except Exception as error:
        raise InputError(path, f"is no whole .npy of a plain array ({_said(error)})", mend) from error


def _member(archive, member, path, mend, skip):
    """One array; None for one of objects that is to be skipped."""
    name = member.filename.removesuffix(".npy")
    try:
        with archive.open(member) as stream:
            _require_plain(stream, member.file_size)
        with archive.open(member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except _Objects as error:
        if skip:
            return None
        raise InputError(path, str(error), mend, name) from error
    except Exception as error:
        raise InputError(path, f"is no whole plain array ({_said(error)})", mend, name) from error


class _Objects(ValueError):
    """An array of Python objects."""


def _require_plain(stream, size):
    """ValueError unless an array of numbers or text follows that is as long as its header says."""
    version = np.lib.format.read_magic(stream)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if header is None:
        raise ValueError(f"format {version} is not known")
    shape, _, dtype = header(stream)
    if dtype.hasobject:
        raise _Objects("holds Python objects, which could run code")
    if dtype.kind not in _KINDS:
        raise ValueError(f"arrays of {dtype} are not supported")
    claimed, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if min(shape, default=0) < 0 or claimed != there:
        raise ValueError(f"its header says shape {shape} of {dtype}, {claimed} bytes; there are {there}")


def _refuse_bomb(path, unpacked, mend, most):
    packed = Path(path).stat().st_size
    if unpacked > (most or max(_MUCH, _RATIO * packed)):
        raise InputError(path, f"unpacks from {packed} bytes to {unpacked}", mend)


def _said(error):
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
