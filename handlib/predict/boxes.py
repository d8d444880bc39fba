"""Boxes of hands and persons, always x, y, width, height in pixels of the picture as shown: checked, from keypoints,
from a detector, without doubles.
"""

import dataclasses

import numpy as np

from handlib import geometry
from handlib.files import InputError
from handlib.predict.subjects import HAND, SIDES

SAME, OTHER = 0.5, 0.8  # overlap above which two boxes are one hand: said to be of one side, of either side
SEEN = 0.3  # confidence from which a keypoint counts
_FEWEST = 3
_MEND = "give x, y, width, height in pixels of the whole picture"


@dataclasses.dataclass(frozen=True, eq=False)
class Boxes:
    """Hands or persons of one picture: boxes (N, 4) float64 x, y, w, h; side (N,) int8 of hands, 0 right, 1 left, of
    persons 0; score (N,), NaN where none; numbers (N,): their places in what was given; skipped: (place, why) of those
    left out.
    """

    boxes: np.ndarray
    side: np.ndarray
    score: np.ndarray
    numbers: np.ndarray
    skipped: tuple = ()

    def __len__(self):
        return len(self.side)


def checked(boxes, sides, size, name="picture", scores=None, crop=(256, 256), skip=False, subject=HAND):
    """What a caller gives -> `Boxes`.

    boxes (N, 4) or (4,); sides: "right", "left", 0, 1, or one of these for each box, of persons None; size (w, h) of
    the picture; crop: the network's input size, by which boxes in the crop's pixels are recognised. A box that cannot
    be used raises InputError, or is left out with its reason where ``skip`` says so; arrays of the wrong shape always
    raise.
    """
    boxes = np.atleast_2d(_numbers(boxes, name, "boxes")) if np.size(boxes) else np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(name, f"have shape {boxes.shape}", "give (N, 4): x, y, width, height", "boxes")
    side = numbered(sides, len(boxes), name, subject)
    score = np.full(len(boxes), np.nan) if scores is None else _numbers(scores, name, "scores").reshape(-1)
    if len(score) != len(boxes):
        raise InputError(name, f"are {len(score)} for {len(boxes)} boxes", "give one for each box", "scores")
    reasons = [reason(box, size, crop) for box in boxes]
    if not skip:
        for number, why in enumerate(reasons):
            if why:
                raise InputError(name, f"box {number}, {boxes[number].tolist()}, {why}", _MEND, "boxes")
    kept = np.array([place for place, why in enumerate(reasons) if not why], int)
    skipped = tuple((place, why) for place, why in enumerate(reasons) if why)
    return Boxes(boxes[kept], side[kept], score[kept], kept, skipped)


def none(why):
    """`Boxes` of a picture without any, for one reason (its place is -1)."""
    return Boxes(np.zeros((0, 4)), np.zeros(0, np.int8), np.zeros(0), np.zeros(0, int), ((-1, why),))


def reason(box, size, crop=(256, 256)):
    """Why a box cannot be used in a picture of ``size``; "" when it can."""
    (x, y, w, h), (width, height) = (float(value) for value in box), size
    if not np.isfinite((x, y, w, h)).all():
        return "is not finite"
    if w <= 0 or h <= 0:
        return "has no area"
    if x + w <= 0 or y + h <= 0 or (min(w, h) > 2 and geometry.inside_box(box, width, height) is None):
        return f"lies outside the picture of {width} x {height} pixels"
    if max(abs(x), abs(y), w, h) <= 1 and min(width, height) > 8:
        return "is given in fractions of the picture: multiply by its width and height"
    if w <= 2 or h <= 2:
        return "is smaller than three pixels"
    if (x, y) == (0, 0) and (w, h) == tuple(crop) and (width, height) != tuple(crop):
        return "is the network's whole crop, not a place in the picture: carry it back through the crop's inverse"
    if w > x >= 0 and h > y >= 0 and (x + w / 2 > width or y + h / 2 > height) and w <= width and h <= height:
        return "has its middle outside the picture; the numbers look like corners x1, y1, x2, y2"
    return ""


def numbered(sides, count, name="picture", subject=HAND):
    """(count,) int8 of "right"/"left"/0/1, one for all or one each; of persons 0, and none may be given. InputError
    otherwise.
    """
    if not subject.sided:
        if sides is not None:
            raise InputError(name, f"are given, and {subject.plural} have none", "leave them out", "sides")
        return np.zeros(count, np.int8)
    mend = "say 'right' or 'left' (or 0, 1) for each box, or once for all"
    if sides is None:
        if count:
            raise InputError(name, "are not said", mend, "sides")
        return np.zeros(0, np.int8)
    given = [sides] * count if isinstance(sides, str | int | np.integer) else list(np.asarray(sides).reshape(-1))
    if len(given) != count:
        raise InputError(name, f"are {len(given)} for {count} boxes", mend, "sides")
    known = {"right": 0, "left": 1, "r": 0, "l": 1, "0": 0, "1": 1, "0.0": 0, "1.0": 1}
    words = [str(value).strip().lower() for value in given]
    for word in words:
        if word not in known:
            raise InputError(name, f"'{word}' is no side", mend, "sides")
    return np.array([known[word] for word in words], np.int8)


def from_keypoints(keypoints, sides=None, K=None, layer=None, subject=HAND):
    """Boxes (N, 4), sides (N,) int8 and scores (N,) from 2D keypoints.

    keypoints (N, 21, 2) or (21, 2) pixels, NaN where not seen, in HAND21 order; or (…, 3) with a confidence: those
    below 0.3 do not count. Of persons (subject) COCO's 17 or COCO-WholeBody's 133. sides: as in `checked`; None: found
    by `sides_of` with ``K`` and ``layer``. The box of a hand is tight, that of a person larger by ``subject.margin``.
    scores: mean confidence of the keypoints that count, NaN without any. Raises InputError for wrong shapes, and where
    fewer than three keypoints count.
    """
    points, seen, confidence = split(keypoints, subject)
    few = np.flatnonzero(seen.sum(1) < _FEWEST)
    if len(few):
        problem = f"of {subject.plural} {few.tolist()} fewer than {_FEWEST} count"
        raise InputError("keypoints", problem, "leave these out")
    known = np.where(seen[..., None], points, np.nan)
    low, high = np.nanmin(known, 1), np.nanmax(known, 1)
    middle, half = (low + high) / 2, subject.margin * (high - low) / 2
    if sides is None and subject.sided:
        sides = sides_of(keypoints, K, layer)[0]
    with np.errstate(invalid="ignore"):
        score = np.where(seen, confidence, 0).sum(1) / seen.sum(1)
    return np.concatenate([middle - half, 2 * half], 1), numbered(sides, len(low), "keypoints", subject), score


def split(keypoints, subject=HAND):
    """(N, P, 2) pixels, (N, P) bool: which count, (N, P) confidence (NaN where there is none)."""
    points = _numbers(keypoints, "keypoints", None)
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[1] not in subject.keypoints or points.shape[2] not in (2, 3):
        counts = " or ".join(map(str, subject.keypoints))
        mend = f"give (N, {counts}, 2), or (N, {counts}, 3) with confidence"
        raise InputError("keypoints", f"have shape {points.shape}", mend)
    confidence = points[..., 2] if points.shape[2] == 3 else np.full(points.shape[:2], np.nan)
    seen = np.isfinite(points[..., :2]).all(-1) & ~(confidence < SEEN)
    return points[..., :2], seen, confidence


def sides_of(keypoints, K, layer):
    """Which hands keypoints in a picture are: (N,) int8, 0 right, 1 left, and how sure, (N,) 0.5..1.

    Two dimensions do not say it: a right palm looks like the back of a left hand. What decides is how hands bend: both
    are fitted, and the likelier one is taken. An open hand seen from the front leaves it at 0.5; say the side where it
    is known. K (3, 3) of the picture, layer: a MANO layer.
    """
    import torch

    from handlib import fitting

    if K is None or layer is None:
        mend = "say the sides, or give K and a hand model by which they are guessed"
        raise InputError("keypoints", "do not say which hands they are", mend, "sides")
    points, seen, _ = split(keypoints)
    points = np.where(seen[..., None], points, np.nan)
    # as uncertain as detected keypoints are, a fiftieth of the hand, so that the pose's plausibility counts
    size = np.nanmax(points, 1) - np.nanmin(points, 1)
    weights = np.repeat(1 / np.clip(size.max(1, keepdims=True) / 50, 1e-3, None) ** 2, 21, 1)
    both = [
        fitting.fit(points, layer, K=K, weights=weights, noise=1.0, side=side, max_steps=40).objective for side in SIDES
    ]
    right, left = (value.double().cpu() for value in both)
    sure = torch.sigmoid((left - right) / 2).numpy()  # of a right hand: objectives are -2 log probabilities
    return (sure < 0.5).astype(np.int8), np.maximum(sure, 1 - sure)


# Detectors


def detected(detector, image, size, name="picture", crop=(256, 256), subject=HAND):
    """What a detector finds in a picture -> `Boxes`, the surest first, doubles and unusable ones left out with reason.

    detector: a callable; image uint8 (h, w, 3) RGB -> boxes (N, 4) x, y, w, h px, sides (N,), of persons None, and
    scores (N,) or None; or a dict of these names.
    """
    found = detector(image)
    if isinstance(found, dict):
        found = found.get("boxes"), found.get("sides"), found.get("scores")
    if not isinstance(found, tuple | list) or len(found) not in (2, 3):
        mend = "let it return boxes (N, 4), sides (N,) and scores (N,)"
        raise InputError(
            f"detector {getattr(detector, '__name__', type(detector).__name__)}", "gave other things", mend
        )
    boxes, sides, scores = (*found, None)[:3]
    usable = checked(boxes, sides, size, name, scores, crop, True, subject)
    kept = without_doubles(usable.boxes, usable.side, usable.score)
    doubles = np.setdiff1d(np.arange(len(usable)), kept)
    skipped = [(int(usable.numbers[place]), f"is another box of a {subject.noun} that has one") for place in doubles]
    rows = (getattr(usable, part)[kept] for part in ("boxes", "side", "score", "numbers"))
    return Boxes(*rows, skipped=(*usable.skipped, *skipped))


def overlaps(a, b):
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4), x, y, w, h."""
    a, b = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    common = (high - low).clip(0).prod(-1)
    return common / np.maximum(a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - common, 1e-12)


def without_doubles(boxes, side=None, score=None, same=SAME, other=OTHER):
    """Places of the boxes to keep, the surest first: none overlaps a surer one of its side by more than ``same``, or
    one of the other side by more than ``other`` (one hand taken for both). side None: all are of one. Unknown scores
    (NaN) come last, in order.
    """
    side = np.zeros(len(boxes)) if side is None else side
    boxes, side = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(side)
    score = np.full(len(boxes), np.nan) if score is None else np.asarray(score, np.float64)
    kept = []
    for place in np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable"):
        share = overlaps(boxes[place : place + 1], boxes[kept])[0] if kept else np.zeros(0)
        limit = np.where(side[kept] == side[place], same, other)
        if not (share > limit).any():
            kept.append(int(place))
    return np.array(kept, int)


def _numbers(values, name, field):
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, f"cannot be read as numbers ({error})", "give an array of numbers", field) from error
