"""torch tensors inside plain pickles, read by `handlib.safe_pickle`: nothing in them is run; torch is not needed."""

import functools
import io
import math

import numpy as np

from handlib import safe_pickle

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_KINDS = {"Double": "f8", "Float": "f4", "Half": "f2", "Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1",
          "Byte": "u1", "Bool": "?"}  # fmt: skip


def readers(path):
    """The names by which torch tensors stand in a pickle, and what reads them: bytes only, to numpy arrays."""
    return {
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor": _tensor,
        "torch.storage._load_from_bytes": functools.partial(_storage, path),
    }


def _storage(path, raw):
    """The numbers (flat) of a storage that torch saved inside the pickle: five pickles, then the bytes.

    The pickles are a magic number, the format's version, what machine wrote it, a reference to the storage, its key.
    """
    if not isinstance(raw, bytes | bytearray):
        raise ValueError("a tensor in it stands on no bytes")
    stream, kinds = io.BytesIO(raw), {f"torch.{name}Storage": kind for name, kind in _KINDS.items()}
    magic, version, machine = (safe_pickle.load(stream, path) for _ in range(3))
    found = safe_pickle.load(stream, path, kinds, refer=lambda reference: reference)
    keys = safe_pickle.load(stream, path)
    if (magic, version) != (_MAGIC, _VERSION) or not machine.get("little_endian"):
        raise ValueError("a tensor in it is written in a way that is not known")
    _, kind, key, _, count, *view = found
    if keys != [key] or kind not in _KINDS.values() or any(view):
        raise ValueError("a tensor in it does not stand on one storage of numbers")
    if stream.read(8) != count.to_bytes(8, "little"):
        raise ValueError("a tensor's storage has another length than it says")
    return np.frombuffer(raw, np.dtype(kind).newbyteorder("<"), count, stream.tell())


def _tensor(flat, offset, size, stride, *ignored):
    """A view of a storage -> numpy array; ValueError for one that would look beyond it, or be larger than it."""
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if min(offset, *size, *stride, 0) < 0 or math.prod(size) > len(flat) or (math.prod(size) and last >= len(flat)):
        raise ValueError("a tensor in it reaches beyond its storage")
    steps = [step * flat.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(flat[offset:], size, steps).copy()
