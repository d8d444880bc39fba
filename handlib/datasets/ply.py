"""Vertices of PLY files, in the order of the file: text, or binary of either byte order."""

import re

import numpy as np

from handlib.datasets.numbers import LARGEST
from handlib.files import InputError, require_file

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_LONGEST = 1 << 16  # bytes of a header
_COUNT = re.compile(r"\d{1,9}", re.ASCII)
_MEND = "copy or download it again"


def vertices(path, mend="put the official file there"):
    """x, y, z of a file's vertices: (N, 3) float32. Raises InputError for a file that is missing, cut or no PLY."""
    data = require_file(path, mend).read_bytes()
    start = data.find(b"end_header", 0, _LONGEST)
    if not data.startswith(b"ply") or start < 0:
        raise InputError(path, "is no PLY file", _MEND)
    body = data[data.find(b"\n", start) + 1 :]
    order, count, properties = _header(path, data[:start].decode("latin1").splitlines())
    names = [name for name, _ in properties]
    if not {"x", "y", "z"} <= set(names):
        raise InputError(path, "has no x, y, z of its vertices", _MEND, "header")
    try:
        if not order:
            rows = np.array([line.split() for line in body.splitlines()[:count]], np.float64)
            found = rows[:, [names.index(axis) for axis in "xyz"]].reshape(count, 3)
        else:
            table = np.frombuffer(body, np.dtype([(name, order + kind) for name, kind in properties]), count)
            found = np.stack([table[axis] for axis in "xyz"], -1)
    except (ValueError, IndexError) as error:
        raise InputError(path, f"is cut or damaged: not {count} whole vertices", _MEND) from error
    if not (np.abs(found) <= LARGEST).all():
        raise InputError(path, "holds numbers that are not finite", _MEND, "vertices")
    return found.astype(np.float32)


def _header(path, lines):
    """Byte order ("" for text), number of vertices and their [(name, type)]; vertices must come first."""
    order, count, properties, element = None, None, [], None
    for words in (line.split()[:5] + [""] * 3 for line in lines):
        if words[:1] == ["format"]:
            order = _ORDERS.get(words[1])
        elif words[:1] == ["element"]:
            element = words[1]
            if count is None and element != "vertex":
                break
            count = int(words[2]) if element == "vertex" and _COUNT.fullmatch(words[2]) else count
        elif words[:1] == ["property"] and element == "vertex":
            properties.append((words[2], _TYPES.get(words[1])))
    if order is None or not count or any(kind is None for _, kind in properties):
        raise InputError(path, "has a header that is not known", "write it with vertices first, as numbers", "header")
    return order, count, properties
