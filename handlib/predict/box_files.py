"""Boxes, or keypoints, of many pictures in one file.

JSON: names of pictures (paths in the folder, or file names; frame numbers, from 0, of a video) to lists of hands:

    {"a.jpg": [{"box": [120, 80, 90, 110], "side": "right", "score": 0.9},
               {"keypoints": [[131, 92], ... 21 of them, or [x, y, confidence]], "side": "left"}],
     "b.jpg": []}

CSV: a line for each hand, with these names in its first line, ``score`` if there is one:

    name,x,y,w,h,side,score
    a.jpg,120,80,90,110,right,0.9

Persons have no ``side``; their keypoints are COCO's 17 or COCO-WholeBody's 133. A JSON file in COCO's own form
({"images": [{"id", "file_name", ...}], "annotations": [{"image_id", "bbox", ...}]}) serves too: each ``bbox`` that is
no crowd, and of category 1 where there are categories.

Boxes are x, y, width, height in pixels of the picture as shown; a hand's keypoints 21 in the order of fields.HAND21,
null where not seen. A hand with keypoints may lack its side: it is then guessed (`boxes.sides_of`).
"""

import csv
import io
from pathlib import Path

import numpy as np

from handlib.files import InputError, read_json, read_text, require, shown
from handlib.predict import boxes
from handlib.predict.subjects import HAND

_MEND = "see handlib.predict.box_files for the forms"
_PERSON = 1  # COCO's category
_LARGEST = 10**9  # pixels, of whole numbers: they have no bound of their own


class BoxFile:
    """``path``, ``subject``, ``hands``: {name: list of {"box" or "keypoints", "side", "score"}}, of persons too."""

    def __init__(self, path, subject=HAND):
        self.path, self.subject = Path(path), subject
        reader = {".json": _read_json, ".csv": _read_csv}.get(self.path.suffix.lower())
        if reader is None:
            raise InputError(path, f"is a '{self.path.suffix}' file", "give boxes as .json or .csv")
        self.hands = {str(name): found for name, found in reader(require(self.path, _MEND), subject).items()}

    def key_of(self, name, number):
        """Under which name a picture stands in the file: its path in the source, its file name, or its number."""
        tried = (str(name), Path(str(name)).as_posix(), Path(str(name)).name, Path(str(name)).stem, str(number))
        return next((key for key in tried if key in self.hands), None)

    def require_used(self, names):
        """InputError when the file says something of none of these pictures (in their order)."""
        if self.hands and all(self.key_of(name, number) is None for number, name in enumerate(names)):
            have, lack = ", ".join(list(self.hands)[:3]), ", ".join(str(name) for name in names[:3])
            raise InputError(self.path, f"names {have}…, and no picture of the source ({lack}…)", _MEND)

    def of(self, name, number, K=None, layer=None, side=None):
        """(boxes (N, 4), sides (N,), of persons None, scores (N,)) of a picture; None where the file does not name it.

        side: of hands that do not say theirs; where it is None, hands with keypoints are guessed by K and layer.
        """
        key = self.key_of(name, number)
        if key is None:
            return None
        noun = self.subject.noun
        found = [self._one(one, f"{key}, {noun} {place}", K, layer, side) for place, one in enumerate(self.hands[key])]
        found, sides, scores = (np.array(column) for column in (zip(*found, strict=True) if found else ([], [], [])))
        return found, sides if self.subject.sided else None, scores

    def _one(self, one, where, K, layer, side):
        side, score = one.get("side") or side, one.get("score")
        score = np.nan if score is None else score
        if side is not None and not self.subject.sided:
            raise InputError(self.path, f"{where}: is given, and {self.subject.plural} have none", _MEND, "side")
        if "keypoints" in one:
            given = [point or [] for point in one["keypoints"]]
            width = max(2, *map(len, given))
            points = np.array([[*point, *[np.nan] * (width - len(point))] for point in given], float)
            try:
                box, side, sure = boxes.from_keypoints(points, side, K, layer, self.subject)
            except InputError as error:
                raise InputError(self.path, f"{where}: {error.problem}", error.mend, error.field) from error
            return box[0], side[0], sure[0] if one.get("score") is None else score
        if side is None and self.subject.sided:
            raise InputError(self.path, f"{where}: is missing", "say 'right' or 'left'", "side")
        return one["box"], boxes.numbered(side, 1, self.path, self.subject)[0], score


def _read_json(path, subject):
    content = read_json(path, _MEND)
    if not isinstance(content, dict):
        raise InputError(path, f"is no object with a picture's name to each list of {subject.plural}", _MEND)
    if {"images", "annotations"} <= content.keys():
        return _read_coco(path, content)
    for name, found in content.items():
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise InputError(path, f"is not a list of {subject.plural}", _MEND, name)
        for one in found:
            _check(path, name, one, subject)
    return content


def _check(path, name, one, subject):
    if ("box" in one) == ("keypoints" in one):
        raise InputError(path, f"a {subject.noun} needs either a box or keypoints", _MEND, name)
    if "box" in one and not _numbers(one["box"], (4,)):
        raise InputError(path, f"{shown(one['box'])} is no box", "give [x, y, width, height]", name)
    points = one.get("keypoints", [None] * subject.keypoints[0])
    if not isinstance(points, list) or len(points) not in subject.keypoints:
        mend = f"give {' or '.join(map(str, subject.keypoints))}, null where not seen"
        count = len(points) if isinstance(points, list) else shown(points)
        raise InputError(path, f"has {count} keypoints", mend, name)
    for point in points:
        if point is not None and not _numbers(point, (2, 3)):
            raise InputError(path, f"{shown(point)} is no keypoint", "give [x, y], [x, y, confidence] or null", name)
    if not isinstance(one.get("side"), str | int | None):
        raise InputError(path, f"{shown(one['side'])} is no side", "say 'right' or 'left'", name)
    if one.get("score") is not None and not _numbers([one["score"]], (1,)):
        raise InputError(path, f"{shown(one['score'])} is no score", "give a number from 0 to 1", name)


def _numbers(value, counts):
    """Whether this is a list of so many numbers that a float can be."""
    return (
        isinstance(value, list)
        and len(value) in counts
        and all(type(one) is float or (type(one) is int and abs(one) <= _LARGEST) for one in value)
    )


def _read_coco(path, content):
    """{file name: [{"box", "score"}, …]}; pictures without any stand in it too."""
    try:
        names = {image["id"]: str(image["file_name"]) for image in content["images"]}
        found = {name: [] for name in names.values()}
        for one in content["annotations"]:
            if one.get("iscrowd") or one.get("category_id", _PERSON) != _PERSON:
                continue
            box = {"box": one["bbox"], "score": one.get("score")}
            if not _numbers(box["box"], (4,)) or not (box["score"] is None or _numbers([box["score"]], (1,))):
                raise ValueError(f"{shown(one)} has no box")
            found[names[one["image_id"]]].append(box)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"is not whole in COCO's form ({type(error).__name__}: {shown(str(error))})"
        raise InputError(path, problem, _MEND, "annotations") from error
    return found


def _read_csv(path, subject):
    columns = ("name", *"xywh", *(("side",) if subject.sided else ()))
    rows, hands = csv.DictReader(io.StringIO(read_text(path, _MEND).removeprefix("\ufeff"), newline="")), {}
    try:
        missing = [name for name in columns if name not in (rows.fieldnames or ())]
        if missing:
            raise InputError(path, f"lacks {', '.join(missing)} in its first line", _MEND)
        for row in rows:
            box = [float(row[name]) for name in "xywh"]
            score = float(row["score"]) if row.get("score") else None
            one = {"box": box, "side": row.get("side"), "score": score}
            _check(path, shown(row["name"]), one, subject)
            hands.setdefault(row["name"], []).append(one)
    except InputError:
        raise
    except (TypeError, ValueError, csv.Error) as error:
        raise InputError(path, f"line {rows.line_num} holds no box ({shown(str(error))})", _MEND) from error
    return hands
