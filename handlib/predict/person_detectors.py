"""A detector of persons: called with a picture (h, w, 3) uint8 RGB, it answers boxes (N, 4) x, y, w, h in its pixels,
no sides (None), and scores (N,), the surest first. Any callable of that form will do.

`MediaPipePersons` looks for people with the landmark model of MediaPipe's pose solution ("BlazePose", Bazarevsky et
al., 2020; Apache 2.0), run by OpenCV; the file is in the same wheel as the models of hands (`detectors.FETCH`).
MediaPipe's own detector of persons cannot be had this way: OpenCV does not read its sparse weights.

On four pictures of COCO (val2017) with 12 people whose keypoints are annotated it finds 7, with a zoom of 4 besides 9,
and nobody who is not there (boxes that overlap by half or more); on portraits it takes arms and faces for people at
times. OpenCV's own detector of upright people (Dalal and Triggs, CVPR 2005) finds 1 of the 12 and is not offered.
"""

import cv2
import numpy as np

from handlib.files import InputError
from handlib.predict import detectors
from handlib.predict.boxes import overlaps, without_doubles
from handlib.predict.subjects import PERSON

_SIDE = 256  # of the landmark model's input, pixels
_MARKS = 33  # of its 39 points; the next two are the middle of the hips and a point on the circle about the person
_HIPS, _CIRCLE, _ROUND = 33, 34, 2.5  # the square's side in distances of these two, as published
_ENOUGH, _LIKELY = 6, 0.5  # landmarks that must be there, and from what on one is
_ROUNDS, _PROMISING = 2, 0.3  # how often a square is set anew, and what its score must be for that
_LARGEST, _SMALLEST = 2.5, 0.1  # times the square looked at: sizes of the next one
_NEAR = 0.2  # squares about one person: so much of their side apart at most, and so much larger
_INSIDE = 0.7  # of a smaller box in a larger one: a part of the same person


class MediaPipePersons:
    """Overlapping squares over the picture, each set anew about whom the model sees in it, twice; a box about the
    landmarks that are there, 1.2 times as large (`subjects.PERSON`).

    models: MediaPipe's wheel, or a folder that holds it or pose_landmark_full.tflite. score: what a person must reach.
    zoom: the squares' sides are the picture's longer side divided by each number. (1.5, 2.5, 4) finds smaller people,
    down to a sixth of that side, and takes three times as long, some 4 s of a processor. A person whose box is inside
    another's, and less than half as large, is taken for a part of them.

    Raises InputError where the model is missing or another one, and for a picture of another form.
    """

    subject = PERSON
    files = {"person": "pose_landmark_full.tflite"}

    def __init__(self, models, score=0.5, zoom=(1.5, 2.5)):
        self.score, self.zoom = score, tuple(zoom)
        text = detectors.read_models(models, self.files)["person"]
        self.network = detectors.network(models, self.files["person"], text)

    def __call__(self, image):
        image = _checked(image)
        known, boxes, scores = [], [], []
        for square in squares(image.shape[1], image.shape[0], self.zoom):
            found = self._person(image, square, known)
            if found is not None:
                for kept, one in zip((boxes, scores, known), found, strict=True):
                    kept.append(one)
        boxes, scores = np.array(boxes).reshape(-1, 4), np.array(scores)
        kept = without_parts(boxes, without_doubles(boxes, None, scores, 0.5))
        return boxes[kept].astype(np.float32), None, scores[kept].astype(np.float32)

    def _person(self, image, square, known):
        """Box (4,), score and last square of whom a square (x, y of its middle, side) leads to; None where that is
        nobody, or leads to one of the squares ``known``.
        """
        for turn in range(_ROUNDS + 1):
            points, there, score = self._landmarks(image, square)
            if score < (self.score if turn == _ROUNDS else min(_PROMISING, self.score)):
                return None
            if turn < _ROUNDS:
                side = _ROUND * np.linalg.norm(points[_CIRCLE] - points[_HIPS])
                if not _SMALLEST * square[2] < side < _LARGEST * square[2]:
                    return None
                square = (*points[_HIPS], side)
                if any(_same(square, other) for other in known):
                    return None
        seen = points[:_MARKS][there[:_MARKS] > _LIKELY]
        if len(seen) < _ENOUGH:
            return None
        low, high = seen.min(0), seen.max(0)
        middle, half = (low + high) / 2, PERSON.margin * (high - low) / 2
        return np.concatenate([middle - half, 2 * half]), score, square

    def _landmarks(self, image, square):
        """Points (39, 2) in the picture, how likely each is in it (39,), and how likely there is a person."""
        x, y, side = square
        scale = side / _SIDE
        corner = np.array([x, y]) - scale * (_SIDE - 1) / 2
        affine = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
        crop = cv2.warpAffine(image, affine, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        marks, score = detectors.forward(self.network, crop, ("Identity", "Identity_1"))
        marks = marks.reshape(39, 5)
        there = 1 / (1 + np.exp(-marks[:, 4].clip(-50, 50).astype(np.float64)))
        return marks[:, :2] * scale + corner, there, float(score.item())


def squares(width, height, zoom):
    """(x, y of the middle, side) of the squares to look at: one about the whole picture, then smaller ones over it, of
    which neighbours share half.
    """
    longer, result = max(width, height), [(width / 2, height / 2, max(width, height))]
    for factor in zoom:
        side = longer / factor
        x, y = (_middles(length, side) for length in (width, height))
        result += [(left, top, side) for top in y for left in x]
    return result


def _middles(length, side):
    if length <= side:
        return [length / 2]
    count = 1 + int(np.ceil((length - side) / (side / 2)))
    return np.linspace(side / 2, length - side / 2, count).tolist()


def _same(square, other):
    """Whether two squares are about one person."""
    apart = np.hypot(square[0] - other[0], square[1] - other[1]) / max(square[2], other[2])
    return apart < _NEAR and abs(np.log(square[2] / other[2])) < _NEAR


def without_parts(boxes, kept):
    """Of the places ``kept``, those whose box is not inside another one's that is more than twice as large."""
    chosen, areas = boxes[kept], boxes[kept, 2:].prod(1)
    share = overlaps(chosen, chosen)
    common = share * (areas[:, None] + areas) / (1 + share)
    part = (common > _INSIDE * areas[:, None]) & (areas[:, None] < areas / 2)
    return kept[~part.any(1)]


def _checked(image):
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        problem = f"is {image.dtype} {image.shape}"
        raise InputError("image", problem, "give a picture (h, w, 3) of uint8, RGB", field="image")
    return image
