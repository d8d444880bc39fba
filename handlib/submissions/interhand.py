"""InterHand2.6M: it has no server and no file; the test script hands four arrays to the data set's own evaluation.

So that predictions can be kept, sent and evaluated elsewhere, this writes those four arrays, a row per test item, into
one .npz or .json file: ``joint_coord`` (N, 42, 3) in the 64 x 64 x 64 box, ``rel_root_depth`` (N, 1) in 64 cells,
``hand_type`` (N, 2) probabilities of (right, left), ``inv_trans`` (N, 2, 3) from the 256 x 256 crop to the picture;
what `handlib.protocols.evaluate("interhand", ...)` takes. Joints in the official order (`handlib.fields.INTERHAND42`).
The rows are in the official reader's order: **all single-hand items first, then the interacting ones**, each in the
order of the annotations; so ``id``, where given, is kept beside them.
"""

import json
from pathlib import Path

import numpy as np

from handlib import npz
from handlib.files import InputError, read_json, require, write_atomic
from handlib.protocols import arrays
from handlib.submissions import batches
from handlib.submissions.problems import MISLEADING, REJECTED, Problem, of_entries, rejected

SHAPES = {"joint_coord": (42, 3), "rel_root_depth": (1,), "hand_type": (2,), "inv_trans": (2, 3)}
INTERACTING = (2, "interacting")
LARGEST = 8 << 30  # bytes; the largest split needs 0.8e9
_MEND = "write it anew: handlib.submissions.write makes such a file"
_NAMES = {name: ("pred_hand_type", name) if name == "hand_type" else (name,) for name in SHAPES}


def write(predictions, path, hand_type=None):
    """Write the four arrays to a .npz or a .json file -> number of rows; it appears whole or not at all.

    predictions: a mapping with the four arrays (`SHAPES`; ``hand_type`` also as ``pred_hand_type``) and, if wanted,
    ``id`` (N,), or an iterable of such batches (which are held in memory: 0.6 kB a row). hand_type (N,): the
    **annotated** types (0 right, 1 left, 2 interacting, or those names) of rows in annotation order: the rows are
    then put into the official order; without it they must be in it. Raises InputError naming field and row of a NaN.
    """
    parts = [_checked(batch, start) for start, batch in batches.batches(predictions, [*SHAPES, "pred_hand_type", "id"])]
    if not parts:
        raise InputError(batches.WHERE, "hold no samples", "give at least one")
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    count = len(whole["joint_coord"])
    if hand_type is not None:
        order = np.argsort(_interacting(hand_type, count), kind="stable")
        whole = {name: array[order] for name, array in whole.items()}
    if Path(path).suffix not in (".npz", ".json"):
        raise InputError(path, "is neither .npz nor .json", "choose one of these endings")
    with write_atomic(path) as temporary:
        if Path(path).suffix == ".npz":
            np.savez(temporary, **whole)
        else:
            temporary.write_text(json.dumps({name: array.tolist() for name, array in whole.items()}), encoding="utf-8")
    return count


def _checked(batch, start):
    count, part = None, {}
    for name, shape in SHAPES.items():
        array = arrays.take(batch, batches.WHERE, name, (count, *shape), _NAMES[name][:-1])
        with arrays.rows_from(start):
            given = arrays.numbers(array, batches.WHERE, name)
            arrays.refuse_nan(given, batches.WHERE, name, "see why the network gave no number here")
        count, part[name] = len(array), array
    return part | ({"id": arrays.take(batch, batches.WHERE, "id", (count,))} if "id" in batch else {})


def _interacting(hand_type, count):
    given = arrays.take({"hand_type": hand_type}, "truth", "hand_type", (count,))
    return np.array([one in INTERACTING for one in given.tolist()], bool)


def read(path):
    """The arrays as written: {name: array}. Raises InputError naming the field that is missing or misshapen."""
    path = require(path, "give the file that handlib.submissions.write made")
    if path.stat().st_size > LARGEST:
        raise InputError(path, "is too large to be such a file", _MEND)
    stored = npz.read(path, _MEND, (*SHAPES, "id")) if path.suffix == ".npz" else _from_json(path)
    count = None
    for name, shape in SHAPES.items():
        stored[name] = arrays.take(stored, path, name, (count, *shape))
        arrays.numbers(stored[name][:1], path, name)
        count = len(stored[name])
    return stored


def _from_json(path):
    stored = read_json(path)
    if not isinstance(stored, dict):
        raise InputError(path, f"holds {type(stored).__name__}, not named arrays", _MEND)
    return {name: stored[name] for name in (*SHAPES, "id") if name in stored}


def check(path, truth=None):
    """What the official evaluation would stop at, and what would make its figures wrong -> [Problem].

    truth: a mapping with ``hand_type`` (N,), the annotated types in the official order.
    """
    try:
        stored = read(path)
    except InputError as error:
        return rejected(error)
    values = {name: np.asarray(stored[name], np.float64) for name in SHAPES}
    wrong = []
    for name, array in values.items():
        bad = ~np.isfinite(array).all(tuple(range(1, array.ndim)))
        wrong += of_entries(REJECTED, np.flatnonzero(bad), f"{name} holds NaN or infinity: figures become NaN")
    if not len(values["hand_type"]):
        wrong.append(Problem(REJECTED, None, "there are no rows"))
    wrong += _ranges(values)
    if truth is not None:
        types = arrays.take(truth, "truth", "hand_type", (None,))
        if len(types) != len(values["hand_type"]):
            text = f"{len(values['hand_type'])} rows, the test set has {len(types)}"
            return [*wrong, Problem(REJECTED, None, text)]
        wrong += _order(values["hand_type"], _interacting(types, None))
    return wrong


def _ranges(values):
    """Units that cannot be right."""
    wrong = []
    likely = values["hand_type"]
    bad = ((likely < 0) | (likely > 1)).any(-1)
    text = "hand_type is no probability (0 to 1): put the logits through a sigmoid"
    wrong += of_entries(MISLEADING, np.flatnonzero(bad), text)
    cells = np.abs(values["joint_coord"])
    if len(cells) and np.median(cells) > 64:
        text = "joint_coord are not cells of the 64 x 64 x 64 box: pixels or millimetres were written"
        wrong.append(Problem(MISLEADING, None, text))
    elif len(cells) and cells.max() <= 2:
        text = "joint_coord are all within 2 cells: normalised or metric coordinates were written"
        wrong.append(Problem(MISLEADING, None, text))
    depth = np.abs(values["rel_root_depth"])
    if len(depth) and np.median(depth) > 64:
        text = "rel_root_depth is no cell of 64 (32 is no depth difference): millimetres were written"
        wrong.append(Problem(MISLEADING, None, text))
    flat = np.linalg.det(values["inv_trans"][..., :2]) if len(cells) else np.zeros(0)
    text = "inv_trans maps the crop to a line: it is no affine map to the picture"
    return wrong + of_entries(MISLEADING, np.flatnonzero(np.abs(flat) < 1e-12), text)


def _order(likely, interacting):
    """Single-hand items first, as the official reader has them."""
    late = np.flatnonzero(~interacting & (np.cumsum(interacting) > 0))
    if late.size:
        return of_entries(
            REJECTED, late[:1], "the truth is not in the official order: a single hand after interacting ones"
        )
    both = (likely > 0.5).all(-1)
    single, pairs = (
        both[~interacting].mean() if (~interacting).any() else 0,
        both[interacting].mean() if interacting.any() else 1,
    )
    if single > pairs:
        text = (
            "more single-hand items are predicted interacting than interacting ones: are the rows in annotation order?"
        )
        return [Problem(MISLEADING, None, text)]
    return []
