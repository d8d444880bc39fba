"""Annotation files that others derived from a data set (COCO's layout: ``images`` and ``annotations``), and how far
they are from the originals.

Published code often needs such a file and comes without its recipe. `read` takes one as arrays; `comparison` says,
field by field, whether it holds what the original release says.
"""

import array
import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from handlib.datasets import coco
from handlib.datasets import numbers as figures
from handlib.datasets.json_stream import items
from handlib.files import InputError, shown

MEND = "use the published file, unchanged; or read the original release, which needs no such file"


@dataclasses.dataclass(frozen=True)
class Table:
    """A derived file's annotations, in the order in which the published readers take them (N rows).

    ids, image_ids (N,) int64; file_names: list; sizes (N, 2) int64, width and height; numbers: {name: (N, ...)
    float64}; words: {name: list}.
    """

    path: Path
    ids: np.ndarray
    image_ids: np.ndarray
    file_names: list
    sizes: np.ndarray
    numbers: dict
    words: dict

    def __len__(self):
        return len(self.ids)


def read(path, numbers, words=None):
    """A COCO-like file -> `Table`; one annotation is in memory at a time, and the arrays.

    numbers: {name: shape}; a name is a member, or "member.member". Of rows longer than the shape's last number what is
    beyond is left out (pixels with a third value). words: {name: allowed values}. An annotation whose id was there
    before takes that one's place, as in the published readers. Raises InputError naming the annotation and its member.
    """
    pictures, rows = {}, _Rows(path, numbers, words or {})
    for name, item in items(path, MEND):
        if name == "images":
            _picture(path, item, pictures)
        elif name == "annotations":
            rows.add(item)
    if not rows.ids:
        raise InputError(path, "holds no annotations", MEND, "annotations")
    absent = [own for own in rows.image_ids if own not in pictures]
    if absent:
        raise InputError(path, f"has no picture with id {absent[0]}, which an annotation names", MEND, "images")
    found = [pictures[own] for own in rows.image_ids]
    return Table(
        Path(path),
        np.array(list(rows.ids), np.int64),
        np.array(rows.image_ids, np.int64),
        [name for name, _ in found],
        np.array([size for _, size in found], np.int64),
        rows.arrays(),
        rows.words,
    )


def _picture(path, item, pictures):
    item = item if isinstance(item, dict) else {}
    name, size = item.get("file_name"), [item.get("width"), item.get("height")]
    parts = name.replace("\\", "/").split("/") if isinstance(name, str) else [""]
    if {"", "..", "."} & set(parts) or not coco.is_name(name):
        raise InputError(path, f"{shown(item)} has no path below the data", MEND, "images")
    number = coco.whole(path, item, "id", f"images[{len(pictures)}]")
    if not all(type(side) is int and 0 < side < coco.LARGEST_SIDE for side in size):
        raise InputError(path, f"picture {number} has size {shown(size)}", MEND, "images")
    pictures[number] = "/".join(parts), size


class _Rows:
    """Annotations as they come in, as flat arrays of numbers."""

    def __init__(self, path, numbers, words):
        self.path, self._shapes, self._known = path, numbers, words
        self.ids, self.image_ids = {}, []
        self.words = {name: [] for name in words}
        self._flat = {name: array.array("d") for name in numbers}

    def add(self, item):
        item = item if isinstance(item, dict) else {}
        where = f"annotations[{len(self.ids)}]"
        for name in ("id", "image_id"):
            coco.whole(self.path, item, name, where)
        own = {name: self._values(item, name, shape, where) for name, shape in self._shapes.items()}
        said = {name: item.get(name) for name in self._known}
        for name, value in said.items():
            if value not in self._known[name]:
                raise InputError(
                    self.path, f"is {shown(value)}", f"one of {', '.join(self._known[name])}", f"{where}.{name}"
                )
        row = self.ids.setdefault(item["id"], len(self.ids))
        for flat, values in ((self._flat[name], own[name]) for name in own):
            flat[row * values.size : (row + 1) * values.size] = array.array("d", values.tobytes())
        for kept, value in ((self.image_ids, item["image_id"]), *((self.words[name], said[name]) for name in said)):
            kept[row : row + 1] = [value]

    def _values(self, item, name, shape, where):
        value = item
        for member in name.split("."):
            value = value.get(member) if isinstance(value, dict) else None
        found = figures.array(value, 2 * math.prod(shape))
        if found is None or (name.endswith("focal") and not figures.is_focal(found)):
            found = np.array(np.nan)
        if found.ndim == len(shape) and found.shape[-1] > shape[-1] and len(shape) > 1:
            found = found[..., : shape[-1]]
        if found.shape != tuple(shape) or not np.isfinite(found).all():
            raise InputError(self.path, f"is {shown(value)}, not {list(shape)} finite numbers", MEND, f"{where}.{name}")
        return np.ascontiguousarray(found)

    def arrays(self):
        return {name: np.frombuffer(self._flat[name]).reshape(-1, *shape) for name, shape in self._shapes.items()}


def comparison(theirs, official, found, bars):
    """How a derived file and the originals differ, as a DataFrame with a row per field.

    theirs, official: keys of the derived file's frames and of the originals', each in its order; found: {field: [(a
    frame's key, its largest difference)]}; bars: {field: (unit, the largest difference that is rounding)}. Rows
    "frames" and "order" say whether the file has the originals' frames, in their order. Columns: frames (compared),
    largest (difference), unit, at (the key of that frame), verdict.
    """
    rows = [*_lists(theirs, official), *_rows(found, bars)]
    return pd.DataFrame(rows, columns=("field", "frames", "largest", "unit", "at", "verdict")).set_index("field")


def _lists(theirs, official):
    mine, its = set(official), set(theirs)
    first = next((key for key in (*official, *theirs) if (key in mine) != (key in its)), "")
    only = f"{len(mine - its)} only in the originals, {len(its - mine)} only in the file"
    yield "frames", len(mine & its), len(mine ^ its), "", first, "the same" if mine == its else only
    ranks = {key: rank for rank, key in enumerate(official)}
    common = [key for key in theirs if key in ranks]
    swapped = [key for before, key in itertools.pairwise(common) if ranks[key] < ranks[before]]
    verdict = "another one" if swapped else "the originals'"
    yield "order", len(common), len(swapped), "", swapped[0] if swapped else "", verdict


def _rows(found, bars):
    for name, (unit, bar) in bars.items():
        if not found.get(name):
            continue
        key, largest = max(found[name], key=lambda one: one[1])
        off = sum(value > bar for _, value in found[name])
        verdict = "agrees" if not off else f"differs by more than {bar:g} in {off} frames"
        yield name, len(found[name]), float(largest), unit, key, verdict


def turned(one, other):
    """The angle (rad) between two global orientations, axis-angle (3,)."""
    return float((Rotation.from_rotvec(one).inv() * Rotation.from_rotvec(other)).magnitude())
