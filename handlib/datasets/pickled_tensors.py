"""torch tensors inside plain pickles, read by `handlib.safe_pickle`: nothing in them is run."""

import functools
import io
import math
import pickle
import re

import numpy as np

from handlib import safe_pickle


def readers(path):
    """The names by which torch tensors stand in a pickle, and what reads them: bytes only, to numpy arrays."""
    return {
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor": _tensor,
        "torch.storage._load_from_bytes": functools.partial(_storage, path),
    }


def _storage(path, raw):
    """The storage that torch saved inside the pickle; torch reads it without running anything in it."""
    import torch

    try:
        storage = torch.load(io.BytesIO(bytes(raw)), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # its message is a page long
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        problem = f"asks, inside a tensor, for {asked[1] if asked else 'more than a tensor needs'}"
        raise safe_pickle.Refused(path, f"{problem}, which is not known to be harmless", safe_pickle.MEND) from error
    if not isinstance(storage, torch.storage.TypedStorage):
        raise ValueError(f"a tensor in it stands on {type(storage).__name__}, not on a typed storage")
    return storage


def _tensor(storage, offset, size, stride, *ignored):
    """A view of a storage -> numpy array; ValueError for one that would look beyond it, or be larger than it."""
    import torch

    flat = torch.empty(0, dtype=storage.dtype).set_(storage).numpy()
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if min(offset, *size, *stride, 0) < 0 or math.prod(size) > len(flat) or (math.prod(size) and last >= len(flat)):
        raise ValueError("a tensor in it reaches beyond its storage")
    steps = [step * flat.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(flat[offset:], size, steps).copy()
