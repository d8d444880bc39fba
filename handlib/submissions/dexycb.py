"""DexYCB's result file for hand pose: a line per image, its index in the toolkit's data set of the split, then x, y, z
of 21 joints in **mm**, 64 numbers with commas between them.

Camera frame (x right, y down, z forward); joints wrist, thumb, index, middle, ring, little, each base to tip. The
index counts all frames of the split, also those without a hand. The toolkit stops at a line with another count of
numbers (a blank one too) and at a needed index that is missing; it ignores other indices, and of a repeated one takes
the last line.
"""

import io

import numpy as np
import pyarrow as pa
from pyarrow import csv

from handlib import fields
from handlib.files import InputError, require, write_atomic
from handlib.protocols import arrays
from handlib.submissions import batches, frames
from handlib.submissions.problems import NOTE, REJECTED, Problem, of_entries, rejected

NUMBERS = 64
LARGEST = 2 << 30  # bytes: five times what every frame of the data set would need
FRAME = frames.Frame(fields.DEXYCB21, opengl=False, per_metre=1000)
_NAMES = ("joint_3d", "pred_mm")
_HOUSE = "joints_cam"
_LISTED = 20  # bad lines that are named
_COLUMNS = ["id", *(f"n{number}" for number in range(63))]
_ARROW_ONLY = (b"x", b"X", b"(")  # in numbers that Arrow reads and Python does not


def write(predictions, path, frame=None, decimals=None):
    """Write predictions as a result file -> number of lines. Streamed; the file appears whole or not at all.

    predictions: a mapping, or an iterable of such batches: ``id`` (N,) the images' indices; and ``joint_3d``
    (N, 21, 3), also ``pred_mm``, mm as in the file, or the house's ``joints_cam``, metres. frame: "official" or "house"
    says which it is whatever the name. decimals: round to so many; None writes numbers that read back equal. Raises
    InputError naming the row of a NaN, and an index that is there twice.
    """
    seen = set()
    with write_atomic(path) as temporary, open(temporary, "wb") as out:
        for start, batch in batches.batches(predictions, ("id", _HOUSE, *_NAMES)):
            ids = arrays.take(batch, batches.WHERE, "id", (None,))
            if ids.dtype.kind not in "iu":
                raise InputError(batches.WHERE, f"holds {ids.dtype}", "give the images' whole numbers", field="id")
            joints = batches.points(batch, start, FRAME, _NAMES, _HOUSE, 21, frame)
            repeated = [one for one in ids.tolist() if one in seen or seen.add(one)]
            if repeated:
                raise InputError(batches.WHERE, f"index {repeated[0]} is there twice", "give each once", field="id")
            out.write(_text(ids, joints.reshape(-1, 63), decimals))
    return len(seen)


def _text(ids, numbers, decimals):
    numbers = numbers if decimals is None else np.round(numbers, decimals)
    sink = pa.BufferOutputStream()
    csv.write_csv(pa.table([ids, *numbers.T], names=_COLUMNS), sink, csv.WriteOptions(include_header=False))
    return sink.getvalue().to_pybytes()


def read(path, ids=None):
    """A result file, by the toolkit's rules -> indices (N,) int64, joints (N, 21, 3) float64 mm.

    Rows in the file's order, of a repeated index the last; with ``ids`` their rows in their order, others left out.
    Raises InputError naming the line that the toolkit stops at, or the index of ``ids`` that is missing.
    """
    found, joints, wrong = _parsed(_bytes(path))
    if wrong:
        raise InputError(path, wrong[0].text, f"a line is {NUMBERS} numbers: index, then x, y, z of 21 joints")
    rows = _last_of_each(found)
    if ids is not None:
        place = {index: row for row, index in enumerate(found.tolist())}
        missing = [index for index in np.asarray(ids).tolist() if index not in place]
        if missing:
            text = f"lacks index {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
            raise InputError(path, text, "predict every image asked for")
        rows = np.array([place[index] for index in np.asarray(ids).tolist()], int)
    return found[rows], joints[rows]


def _last_of_each(ids):
    """Places of the last line of each index, in the file's order."""
    _, from_the_end = np.unique(ids[::-1], return_index=True)
    return np.sort(len(ids) - 1 - from_the_end)


def check(path, ids=None, truth=None):
    """What the toolkit would stop at, and what it takes although the figures will be wrong -> [Problem].

    ids: the indices that are needed; truth: a mapping with ``joint_3d`` (N, 21, 3), metres, -1 where there is no hand,
    and ``id`` (N,): only its indices with a hand are needed then.
    """
    try:
        found, joints, wrong = _parsed(_bytes(path))
    except InputError as error:
        return rejected(error)
    numbers, counts = np.unique(found, return_counts=True)
    wrong += of_entries(NOTE, numbers[counts > 1], "there more than once: the last line counts", "index")
    last = _last_of_each(found)
    found, joints = found[last], joints[last]
    known = ids = None if ids is None else np.asarray(ids)
    if truth is not None:
        true = arrays.take(truth, "truth", "joint_3d", (None, 21, 3))
        hand = (true != -1).any((1, 2))
        known = arrays.take(truth, "truth", "id", (len(true),))
        ids, true = known[hand], true[hand]
    if ids is not None:
        wrong += of_entries(REJECTED, ids[~np.isin(ids, found)], "needed and not there", "index")
        wrong += of_entries(NOTE, found[~np.isin(found, known)], "not known: the toolkit ignores it", "index")
        needed = np.isin(found, ids)
        found, joints = found[needed], joints[needed]
    bad = ~np.isfinite(joints).all((1, 2))
    wrong += of_entries(REJECTED, found[bad], "holds NaN or infinity: every figure becomes NaN", "index")
    wrong += frames.problems(FRAME, joints, names=found)
    if truth is not None and len(found):
        place = {index: row for row, index in enumerate(ids.tolist())}
        true = true[[place[index] for index in found.tolist()]] * 1000.0
        wrong += frames.against_truth(FRAME, joints, true, found)
    return wrong


def _parsed(text):
    """Text -> indices (N,), joints (N, 21, 3), [Problem] of lines that the toolkit stops at."""
    unusual = text.startswith(b"\xef\xbb\xbf") or any(mark in text for mark in _ARROW_ONLY)
    numbers, wrong = (None if unusual else _fast(text)), []
    if numbers is None:
        numbers, wrong = _slow(text)
    if len(wrong) > _LISTED:
        wrong = [*wrong[:_LISTED], Problem(REJECTED, None, f"and {len(wrong) - _LISTED} more such lines")]
    return numbers[0], numbers[1].reshape(-1, 21, 3), wrong


def _bytes(path):
    path = require(path, "give a DexYCB result file")
    if not path.is_file() or path.stat().st_size > LARGEST:
        raise InputError(path, f"is no file of at most {LARGEST >> 20} MB", "give a DexYCB result file")
    return path.read_bytes()


def _fast(text):
    """Text -> (indices, (N, 63)); None where Arrow finds anything unusual."""
    if not text:
        return None
    try:
        table = csv.read_csv(
            pa.py_buffer(text),
            csv.ReadOptions(column_names=_COLUMNS),
            csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(
                column_types={name: pa.float64() for name in _COLUMNS} | {"id": pa.int64()}, null_values=[]
            ),
        )
    except pa.ArrowException:
        return None
    return table["id"].to_numpy(), np.stack([table[name].to_numpy() for name in _COLUMNS[1:]], 1)


def _slow(text):
    """Text -> ((indices, (N, 63)), [Problem of a line]): line by line, as the toolkit reads it."""
    ids, rows, wrong = [], [], []
    for number, line in enumerate(io.TextIOWrapper(io.BytesIO(text), "utf-8", errors="replace"), 1):
        parts = line.split(",")
        if len(parts) != NUMBERS:
            has = "is blank" if not line.strip() else f"has {len(parts)} numbers, not {NUMBERS}"
            wrong.append(Problem(REJECTED, number, f"line {number} {has}"))
            continue
        try:
            index, coordinates = int(parts[0]), [float(part) for part in parts[1:]]
        except ValueError as error:
            wrong.append(Problem(REJECTED, number, f"line {number}: {str(error)[:80]}"))
            continue
        ids.append(index)
        rows.append(coordinates)
    try:
        return (np.array(ids, np.int64), np.array(rows, np.float64).reshape(-1, 63)), wrong
    except OverflowError:
        wrong.append(Problem(REJECTED, None, "an index is too large to be one"))
        return (np.zeros(0, np.int64), np.zeros((0, 63))), wrong
