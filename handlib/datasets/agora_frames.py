"""AGORA's ground truth as it is offered, pickled pandas data frames, read without letting pandas run what they name."""

from collections.abc import Mapping
from pathlib import Path

from handlib import safe_pickle
from handlib.files import InputError, require

MEND = "get the camera data frames with SMPL-X or SMPL joints and vertices from https://agora.is.tue.mpg.de"
_PLACES = ("{}_SMPLX/SMPLX", "{}_SMPLX", "SMPLX", "Cam", "")  # as the archives unpack


def find(root, split):
    """(the folder of the data, the split's data frames below it in name order); (None, []) where there are none."""
    for folder in (Path(root) / "data", Path(root)):
        for place in _PLACES:
            found = sorted((folder / place.format(split)).glob(f"{split}_*.pkl"))
            if found:
                return folder, found
    return None, []


def files(path):
    """The data frames at ``path``: a .pkl file, or every one of a folder, in name order."""
    path = require(path, MEND)
    found = sorted(path.glob("*.pkl")) if path.is_dir() else [path]
    if not found:
        raise InputError(path, "holds no .pkl file", MEND)
    return found


def read(path):
    """A pickled data frame, by pandas 0.25 or newer -> {column: list}. Raises InputError when it is missing, damaged,
    or names anything but plain columns (a frame of one's own may be handed over as a DataFrame instead).
    """
    found = safe_pickle.read_pickle(path, _FRAME, MEND)
    if not isinstance(found, Mapping):
        raise InputError(path, f"holds {type(found).__name__}, not a data frame", MEND)
    return found


def of_columns(columns, where):
    """{column: values} -> a dict per row; InputError when the columns are not equally long."""
    lengths = {name: len(values) for name, values in columns.items()}
    odd = [name for name in lengths if lengths[name] != lengths.get("imgPath")]
    if odd:
        problem = f"has {lengths[odd[0]]} rows, imgPath {lengths.get('imgPath', 'is missing')}"
        raise InputError(where, problem, "give every column a row per image", field=odd[0])
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


_MOST = 10_000  # columns


# What a pickled frame names: the frame, its manager with blocks of equally typed columns, and the axes' indices.


def _columns_of_blocks(blocks, axes):
    names = _labels(axes[0])
    found = {}
    for block in blocks:
        places = block["mgr_locs"]
        places = range(*places.indices(len(names))) if isinstance(places, slice) else places
        for place, values in zip(places, block["values"], strict=True):
            found[place] = list(values)
    return {name: found[place] for place, name in enumerate(names)}


def _labels(index):
    if "data" not in index:
        numbers = range(index["start"], index["stop"], index["step"])
        if len(numbers) > _MOST:
            raise ValueError(f"a frame of {len(numbers)} columns")
        return list(numbers)
    return [str(name) for name in index["data"]]


class _Manager(safe_pickle.Deferred):
    """pandas' BlockManager; newer files call it with blocks and axes, older ones give it a state."""

    formula = staticmethod(_columns_of_blocks)

    def __init__(self, blocks=(), axes=()):
        self.state = {"blocks": list(blocks), "axes": axes}

    def __setstate__(self, state):
        self.state = state[3]["0.14.1"]


class _Frame(safe_pickle.Deferred):
    formula = staticmethod(lambda _mgr=None, _data=None: _data if _mgr is None else _mgr)


class _Name:
    """Stands for a class that is only ever an argument."""


def _block(values, placement, ndim):
    return {"values": values, "mgr_locs": placement}


def _index(kind, state):
    return state


_FRAME = {
    "pandas.DataFrame": _Frame,
    "pandas.core.frame.DataFrame": _Frame,
    "pandas.core.internals.managers.BlockManager": _Manager,
    "pandas.core.internals.BlockManager": _Manager,
    "pandas._libs.internals._unpickle_block": _block,
    "pandas.core.internals.blocks.new_block": _block,
    "pandas.core.indexes.base._new_Index": _index,
}
_FRAME |= {
    f"pandas{place}{name}": _Name
    for place in (".", ".core.indexes.base.", ".core.indexes.range.", ".core.indexes.numeric.")
    for name in ("Index", "RangeIndex", "Int64Index")
}
