"""Boxes, or keypoints, of many pictures in one file.

JSON: names of pictures (paths in the folder, or file names; frame numbers, from 0, of a video) to lists of hands:

    {"a.jpg": [{"box": [120, 80, 90, 110], "side": "right", "score": 0.9},
               {"keypoints": [[131, 92], ... 21 of them, or [x, y, confidence]], "side": "left"}],
     "b.jpg": []}

CSV: a line for each hand, with these names in its first line, ``score`` if there is one:

    name,x,y,w,h,side,score
    a.jpg,120,80,90,110,right,0.9

Boxes are x, y, width, height in pixels of the picture as shown; keypoints 21 in the order of fields.HAND21, null where
not seen. A hand with keypoints may lack its side: it is then guessed (`boxes.sides_of`).
"""

import csv
from pathlib import Path

import numpy as np

from handlib.files import InputError, read_json, require
from handlib.predict import boxes

_COLUMNS = ("name", "x", "y", "w", "h", "side")
_MEND = "see handlib.predict.box_files for the two forms"


class BoxFile:
    """``path``, ``hands``: {name: list of {"box" or "keypoints", "side", "score"}}."""

    def __init__(self, path):
        self.path = Path(path)
        reader = {".json": _read_json, ".csv": _read_csv}.get(self.path.suffix.lower())
        if reader is None:
            raise InputError(path, f"is a '{self.path.suffix}' file", "give boxes as .json or .csv")
        self.hands = {str(name): hands for name, hands in reader(require(self.path, _MEND)).items()}

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
        """(boxes (N, 4), sides (N,), scores (N,)) of a picture; None where the file does not name it.

        side: of hands that do not say theirs; where it is None, hands with keypoints are guessed by K and layer.
        """
        key = self.key_of(name, number)
        if key is None:
            return None
        found = [self._hand(hand, f"{key}, hand {place}", K, layer, side) for place, hand in enumerate(self.hands[key])]
        columns = zip(*found, strict=True) if found else ([], [], [])
        return tuple(np.array(column) for column in columns)

    def _hand(self, hand, where, K, layer, side):
        side, score = hand.get("side") or side, hand.get("score")
        score = np.nan if score is None else score
        if "keypoints" in hand:
            points = np.array([[np.nan, np.nan] if point is None else point for point in hand["keypoints"]], float)
            box, side, sure = boxes.from_keypoints(points, side, K, layer)
            return box[0], side[0], sure[0] if hand.get("score") is None else score
        if side is None:
            raise InputError(self.path, f"{where}: is missing", "say 'right' or 'left'", "side")
        return hand["box"], boxes.numbered(side, 1, self.path)[0], score


def _read_json(path):
    content = read_json(path, _MEND)
    if not isinstance(content, dict):
        raise InputError(path, "is no object with a picture's name to each list of hands", _MEND)
    for name, hands in content.items():
        if not isinstance(hands, list) or not all(isinstance(hand, dict) for hand in hands):
            raise InputError(path, "is not a list of hands", _MEND, name)
        for hand in hands:
            if ("box" in hand) == ("keypoints" in hand):
                raise InputError(path, "a hand needs either a box or keypoints", _MEND, name)
            if "box" in hand and np.shape(hand["box"]) != (4,):
                raise InputError(path, f"{hand['box']} is no box", "give [x, y, width, height]", name)
            if "keypoints" in hand and len(hand["keypoints"]) != 21:
                raise InputError(path, f"has {len(hand['keypoints'])} keypoints", "give 21, null where not seen", name)
    return content


def _read_csv(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise InputError(path, f"lacks {', '.join(missing)} in its first line", _MEND)
        hands = {}
        for row in rows:
            try:
                box = [float(row[name]) for name in "xywh"]
                score = float(row["score"]) if row.get("score") else None
            except (TypeError, ValueError) as error:
                raise InputError(path, f"line {rows.line_num} holds no box ({error})", _MEND) from error
            hands.setdefault(row["name"], []).append({"box": box, "side": row["side"], "score": score})
    return hands
