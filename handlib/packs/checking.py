"""Whether a pack, which may come from anywhere, holds what its manifest says, and no more than a pack may.

Nothing is taken on trust that memory is given for or a file opened by: names, lengths, types and shapes are looked at
first. That the figures themselves are those of the data set only hashes tell: `Pack.check`.
"""

import math

import numpy as np

from handlib import fields, npz
from handlib.files import InputError, shown
from handlib.packs import layout, store

_MOST = 1 << 40  # samples
_MAY_LACK = frozenset(fields.MAY_LACK)


def require_sound(path, manifest):
    """InputError where a manifest lacks what reading a pack needs, or names what no pack has."""

    def need(holds, field):
        if not holds:
            raise InputError(path, f"is {shown(manifest.get(field))}", store.MEND, field)

    count = manifest.get("samples")
    need(_is_count(count), "samples")
    shards = manifest.get("shards")
    need(isinstance(shards, list) and all(map(_is_count, shards)) and sum(shards) == count, "shards")
    for field in ("dataset", "split"):
        need(isinstance(manifest.get(field), str), field)
    for field in ("options", "skipped"):
        need(isinstance(manifest.get(field), dict), field)
    images = manifest.get("images")
    need(isinstance(images, list) and all(_kind(name) == "image" for name in images), "images")
    need("image" in images or not images, "images")
    arrays, files = manifest.get("arrays"), manifest.get("files")
    need(isinstance(arrays, dict) and all(_fits(name, told) for name, told in arrays.items()), "arrays")
    need(isinstance(files, dict) and all(_is_file(name, told) for name, told in files.items()), "files")
    hands = {told["shape"][0] for name, told in arrays.items() if fields.SAMPLE[name].shape[:1] == ("H",)}
    need(len(hands) <= 1, "arrays")


def _is_count(value):
    return type(value) is int and 0 <= value < _MOST


def _kind(name):
    return fields.SAMPLE[name].kind if isinstance(name, str) and name in fields.SAMPLE else None


def _fits(name, told):
    """Whether what a manifest says of an array is what the vocabulary says."""
    if _kind(name) != "array" or not isinstance(told, dict) or told.get("dtype") != fields.SAMPLE[name].dtype:
        return False
    shape, wanted = told.get("shape"), fields.SAMPLE[name].shape
    same = isinstance(shape, list) and len(shape) == len(wanted) and all(map(_is_count, shape))
    return same and all(isinstance(size, str) or size == own for size, own in zip(wanted, shape, strict=True))


def _is_file(name, told):
    """Whether a file is one of a pack's folder, with its size and hash."""
    inside = not {"", ".", ".."} & set(name.split("/")) and not set("\\\0") & set(name)
    return inside and isinstance(told, dict) and _is_count(told.get("size")) and isinstance(told.get("sha256"), str)


def array(folder, manifest, name):
    """An array of a pack, (N, ...), read-only and memory-mapped. InputError where it is not what the manifest says."""
    path, told = folder / layout.ARRAYS / f"{name}.npy", manifest["arrays"][name]
    found = npz.read_array(path, store.MEND, mmap_mode="r").view(np.ndarray)
    shape = (manifest["samples"], *told["shape"])
    if found.dtype != np.dtype(told["dtype"]) or found.shape != shape:
        problem = f"holds {found.dtype}{found.shape}, its manifest says {told['dtype']}{shape}"
        raise InputError(path, problem, store.MEND, name)
    return found


def require_finite(folder, place, arrays):
    """InputError where a sample holds a figure that is not finite, in a field that says something."""
    for name, value in arrays.items():
        # A sum is finite only where all of it is; it takes a third of the time that looking at each figure does.
        if value.dtype.kind == "f" and not math.isfinite(np.add.reduce(value, axis=None)) and name not in _MAY_LACK:
            path = folder / layout.ARRAYS / f"{name}.npy"
            raise InputError(path, f"sample {place} is not finite", store.MEND, name)


def index(folder, manifest):
    """The index of a pack as an Arrow table. InputError for one that has other columns or rows than a pack's."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    from handlib.packs import assembly

    path = folder / layout.INDEX
    try:
        with parquet.ParquetFile(path) as file:
            names, rows = file.schema_arrow.names, file.metadata.num_rows
            if not all(_kind(name) == "index" for name in names) or not file.schema_arrow.equals(
                assembly.schema(names)
            ):
                raise TypeError(f"its columns are {', '.join(map(str, file.schema_arrow))}")
            if rows != manifest["samples"]:
                raise TypeError(f"it has {rows} rows, its manifest says {manifest['samples']}")
            unpacked = sum(file.metadata.row_group(n).total_byte_size for n in range(file.metadata.num_row_groups))
            if unpacked > (rows + 1) << 16:
                raise TypeError(f"its {rows} rows are said to take {unpacked} bytes")
            table = file.read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, LookupError, ValueError, TypeError) as error:
        raise InputError(path, f"cannot be read ({str(error).splitlines()[0][:200]})", store.MEND) from error
    require_whole(path, table)
    return table


def require_whole(path, columns):
    """InputError where a row of an Arrow table or batch lacks a value."""
    for name, column in zip(columns.schema.names, columns.columns, strict=True):
        if column.null_count:
            raise InputError(path, f"lacks {column.null_count} values", store.MEND, name)
