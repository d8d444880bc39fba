"""COCO's annotation files of persons, read one entry at a time: ``images`` and ``annotations``.

Every data set of whole bodies comes in this layout, each with members of its own.
"""

import dataclasses
import math

import numpy as np

from handlib.datasets import numbers as figures
from handlib.datasets.json_stream import items
from handlib.files import InputError, shown

MEND = "use the official file, unchanged; copy or download it again"
LARGEST_SIDE = 1 << 16  # pixels
_FOCAL = ("focal", "f")  # members that are focal lengths


@dataclasses.dataclass(frozen=True)
class Picture:
    """An entry of ``images``: ``name`` below the data set's folder of pictures, ``members`` as the file has them."""

    name: str
    width: int
    height: int
    members: dict


def read(path, take, names=("file_name",), sized=True, keep=None, empty=False, mend=MEND):
    """A file -> ({id: `Picture`}, {annotation's id: (its picture's id, what ``take`` gave)}), both in the file's order.

    take(annotation, where, place): called for every annotation that is an object with whole numbers ``id`` and
    ``image_id``; where: what errors call it; place: its number in the file, from 0. What it gives as None is left out.
    names: the members of a picture that hold paths, the first one is its name; sized: pictures have a width and
    height; keep(picture's members): False leaves a picture and its annotations out; empty: there may be nothing in it.
    A second annotation with one id takes the first one's place, as in COCO's own tools. Raises InputError for a file
    that is missing, cut, empty or odd, naming the entry.
    """
    pictures, rows, places, left_out = {}, {}, {}, set()
    for name, item in items(path, mend):
        if name == "images":
            number = whole(path, item, "id", f"images[{len(pictures)}]")
            if keep is not None and not keep(item):
                left_out.add(number)
                continue
            pictures[number] = _picture(path, item, number, names, sized)
        elif name == "annotations":
            where = f"annotations[{len(places)}]"
            own, image = (whole(path, item, member, where) for member in ("id", "image_id"))
            place = places.setdefault(own, len(places))
            taken = None if image in left_out else take(item, where, place)
            if taken is not None:
                rows[own] = image, taken
    if not (empty or pictures or places or left_out):
        raise InputError(path, "holds neither images nor annotations", mend)
    rows = {own: row for own, row in rows.items() if row[0] not in left_out}
    absent = next((image for image, _ in rows.values() if image not in pictures), None)
    if absent is not None:
        raise InputError(path, f"has no picture with id {absent}, which an annotation names", mend, "images")
    return pictures, rows


def _picture(path, item, number, names, sized):
    paths = [relative(path, item.get(name), f"images, id {number}, {name}") for name in names]
    sides = [item.get("width"), item.get("height")]
    if sized and not all(type(side) is int and 0 < side < LARGEST_SIDE for side in sides):
        raise InputError(path, f"picture {number} has size {shown(sides)}", MEND, "images")
    return Picture(paths[0], *(sides if sized else (0, 0)), item)


def relative(path, name, where):
    """``name`` as a path that stays below the data; a slash before it is dropped. InputError for another.

    Symbolic links below the data are followed wherever they lead: data sets are spread over disks by them.
    """
    parts = name.replace("\\", "/").lstrip("/").split("/") if isinstance(name, str) else [""]
    kept = [part for part in parts if part != "."]
    if not kept or {"", ".."} & set(kept) or not is_name(name):
        raise InputError(path, f"{shown(name)} is no path below the data", MEND, where)
    return "/".join(kept)


def is_name(name):
    """Whether text can name a file: no longer than a system's longest path, no NUL, nothing that has no bytes."""
    try:
        return len(name.encode()) < 4096 and "\0" not in name
    except UnicodeEncodeError:
        return False


def whole(path, item, name, where):
    """A member that must be a whole number. Raises InputError."""
    value = item.get(name) if isinstance(item, dict) else None
    if type(value) is not int or abs(value) >= 1 << 63:
        raise InputError(path, f"is {shown(value)}, no whole number", MEND, f"{where}.{name}")
    return value


def numbers(path, item, name, shape, where):
    """A member as float64 numbers of a shape (a list of as many is enough), focal lengths above 0. Raises
    InputError.
    """
    value, count = item.get(name) if isinstance(item, dict) else None, math.prod(shape)
    found = figures.array(value, count)
    if found is None or found.size != count:
        problem = f"is not {list(shape)} finite numbers up to {figures.LARGEST:g}"
        raise InputError(path, problem, MEND, f"{where}.{name}")
    if name in _FOCAL and not figures.is_focal(found):
        raise InputError(path, f"is {shown(value)}: no focal length", MEND, f"{where}.{name}")
    return found.reshape(shape)


def box(path, item, name, where):
    """A member as a box: (4,) float32 x, y, width, height, and whether it is written in whole numbers."""
    found = numbers(path, item, name, (4,), where)
    return found.astype(np.float32), all(type(value) is int for value in item[name])
