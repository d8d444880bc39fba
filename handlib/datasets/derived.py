"""Annotation files that others derived from a data set (COCO's layout: ``images`` and ``annotations``), and how far
they are from the originals.

Published code often needs such a file and comes without its recipe. `read` takes one as arrays; `compare` says, field
by field, whether it holds what the original release says.
"""

import array
import dataclasses
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from handlib import fields
from handlib.datasets.base import Skip
from handlib.datasets.json_stream import items
from handlib.files import InputError, progress

MEND = "use the published file, unchanged; or read the original release, which needs no such file"
_NAMED = 20  # frames that a comparison names


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
    number, name, size = item.get("id"), item.get("file_name"), [item.get("width"), item.get("height")]
    parts = name.replace("\\", "/").split("/") if isinstance(name, str) else [""]
    if type(number) is not int or {"", "..", "."} & set(parts) or "\0" in name:
        raise InputError(path, f"{str(item)[:120]} has no number or no path below the data", MEND, "images")
    if not all(type(side) is int and side > 0 for side in size):
        raise InputError(path, f"picture {number} has size {size}", MEND, "images")
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
            if type(item.get(name)) is not int:
                raise InputError(self.path, "is no whole number", MEND, f"{where}.{name}")
        own = {name: self._values(item, name, shape, where) for name, shape in self._shapes.items()}
        said = {name: item.get(name) for name in self._known}
        for name, value in said.items():
            if value not in self._known[name]:
                raise InputError(
                    self.path, f"is {value!r}", f"one of {', '.join(self._known[name])}", f"{where}.{name}"
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
        try:
            found = np.array(value, np.float64)
        except (TypeError, ValueError):
            found = np.array(np.nan)
        if found.ndim == len(shape) and found.shape[-1] > shape[-1] and len(shape) > 1:
            found = found[..., : shape[-1]]
        if found.shape != tuple(shape) or not np.isfinite(found).all():
            raise InputError(self.path, f"is not {list(shape)} finite numbers", MEND, f"{where}.{name}")
        return np.ascontiguousarray(found)

    def arrays(self):
        return {name: np.frombuffer(self._flat[name]).reshape(-1, *shape) for name, shape in self._shapes.items()}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How a derived file and the originals differ.

    compared: frames in both; largest: {field: (largest difference, the frame's key)}, in the field's unit, of poses the
    angle between global orientations and the difference of the other values, whichever is larger; absent: frames of the
    originals that the derived file lacks, extra: frames of the derived file that the originals do not have or that
    cannot be used there, each a count and the first keys; different: {field: count} of other values that are not equal;
    left_out: fields that one of the two does not have.
    """

    compared: int
    largest: dict
    different: dict
    absent: tuple
    extra: tuple
    left_out: tuple

    def rows(self):
        """[(what, figure, unit, frame)] for printing."""
        rows = [("frames in both", self.compared, "", "")]
        for name, (count, first) in (("only in the originals", self.absent), ("only derived", self.extra)):
            rows.append((name, count, "", first[0] if first else ""))
        rows += [(name, value, fields.SAMPLE[name].unit, key) for name, (value, key) in self.largest.items()]
        return rows + [(f"{name} differs", count, "", "") for name, count in self.different.items()]

    def __str__(self):
        return "\n".join(f"{name:24}{figure:>14.6g} {unit:4} {key}".rstrip() for name, figure, unit, key in self.rows())


def compare(derived, original, numbers, words=("hands",), show_progress=True):
    """`Comparison` of two readers whose keys are the same for the same frame; every frame of both is read, no pictures.

    numbers, words: fields to compare; one that only one of them has is left out and named, and so is a pose or shape of
    a hand that has none (``mano_valid``).
    """
    places = {}
    for place in range(len(derived)):
        places[derived.light(place)["key"]] = place
    largest, different = {}, dict.fromkeys(words, 0)
    absent, compared, left_out = [], 0, set()
    total = range(len(original))
    for place in progress(total, desc="comparing with the originals", disable=not show_progress, unit="frame"):
        try:
            mine = original[place]
        except Skip:
            continue
        if mine["key"] not in places:
            absent.append(mine["key"])
            continue
        theirs = derived[places.pop(mine["key"])]
        compared += 1
        for name in numbers:
            if not _has(mine, name) or not _has(theirs, name):
                left_out.add(name)
                continue
            difference = _difference(name, mine[name], theirs[name])
            if name not in largest or difference > largest[name][0]:
                largest[name] = difference, mine["key"]
        for name in words:
            different[name] += mine[name] != theirs[name]
    extra = sorted(places)
    parts = ((len(absent), tuple(absent[:_NAMED])), (len(extra), tuple(extra[:_NAMED])))
    return Comparison(compared, largest, different, *parts, tuple(sorted(left_out)))


def _has(sample, name):
    fitted = name.startswith("pose") or name == "shape"
    return name in sample and (not fitted or bool(np.asarray(sample.get("mano_valid", True)).all()))


def _difference(name, mine, theirs):
    mine, theirs = (np.asarray(one, np.float64) for one in (mine, theirs))
    if mine.shape != theirs.shape:
        return float("inf")
    plain = np.abs(mine - theirs)
    if not name.startswith("pose"):
        return float(plain.max(initial=0))
    turns = [Rotation.from_rotvec(one[..., :3].reshape(-1, 3)) for one in (mine, theirs)]
    return float(max((turns[0].inv() * turns[1]).magnitude().max(), plain[..., 3:].max()))
