"""Hand detectors: anything that is called with a picture and answers boxes, sides and scores.

A detector takes a picture (h, w, 3) uint8 RGB and returns ``boxes`` (N, 4) float32 x, y, w, h in its pixels, ``sides``
(N,) int8 (0 right, 1 left) and ``scores`` (N,) float32 in 0..1, the surest first. Any callable of that form will do.

`MediaPipeHands` runs MediaPipe's two models (Zhang et al., "MediaPipe Hands", 2020; Apache 2.0) with OpenCV, which is
installed anyway. MediaPipe itself is not: its versions that bring the models along (up to 0.10.21) ask for a protobuf
older than TensorBoard's, the later ones bring no models. So its wheel serves as the file that the models are in; one
command fetches it, on any system, and installs nothing: `FETCH`.
"""

import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np

from handlib.files import InputError, require
from handlib.predict.boxes import overlaps, without_doubles
from handlib.predict.subjects import HAND

FETCH = (
    "pip download mediapipe==0.10.21 --no-deps --only-binary :all: --python-version 3.11 "
    "--platform manylinux_2_28_x86_64 -d data/checkpoints"
)
_FILES = {"palm": "palm_detection_full.tflite", "hand": "hand_landmark_full.tflite"}
_MEND = f"fetch MediaPipe's wheel: {FETCH}"
_LARGEST = 1 << 26  # bytes of a model: the largest has 7 million
_PALM, _HAND = 192, 224  # sides of the models' inputs in pixels
_GRIDS = ((24, 2), (12, 6))  # cells a side of the palm model's grids, and answers for each cell
_WRIST, _MIDDLE = 0, 2  # of the palm's seven points: they say which way it points
_UP, _ENLARGE = 0.5, 2.6  # from palm to hand: moved by so much of the palm's side, and so many times as large


class MediaPipeHands:
    """MediaPipe's palm detector, then its landmarks of each palm: a box about all 21 of them, the side, the score.

    models: MediaPipe's wheel, a folder that holds it or the two files palm_detection_full.tflite and
    hand_landmark_full.tflite (MediaPipe's installed folder is one). score: what a palm, and then a hand, must reach.
    zoom: the picture is looked at whole and in overlapping squares, of its shorter side divided by each number here.
    (1, 2) finds smaller hands and takes about six times as long as (1,), and takes feet for hands more often.

    Raises InputError where the models are missing or others than these, and for a picture of another form.
    """

    subject = HAND

    def __init__(self, models, score=0.5, zoom=(1,)):
        self.score, self.zoom = score, tuple(zoom)
        texts = read_models(models)
        self.palm, self.hand = (network(models, _FILES[name], texts[name]) for name in ("palm", "hand"))
        self.anchors = _anchors()

    def __call__(self, image):
        found = self.landmarks(image)
        boxes = [np.concatenate([points.min(0), np.ptp(points, axis=0)]) for points in found[0]]
        return np.array(boxes, np.float32).reshape(-1, 4), *found[1:]

    def landmarks(self, image):
        """-> landmarks (N, 21, 2) float32 pixels, HAND21 order; sides (N,) int8; scores (N,) float32."""
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise InputError(
                "image", f"is {image.dtype} {image.shape}", "give a picture (h, w, 3) of uint8, RGB", field="image"
            )
        palms = [self._palms(image, *square) for square in squares(image.shape[1], image.shape[0], self.zoom)]
        boxes, points, scores = (np.concatenate(part) for part in zip(*palms, strict=True))
        kept = without_doubles(boxes, None, scores, 0.3)
        hands = [self._hand(image, *_hand_square(boxes[place], points[place])) for place in kept]
        hands = [hand for hand in hands if hand[2] >= self.score]
        marks = np.array([hand[0] for hand in hands], np.float32).reshape(-1, 21, 2)
        sides, scores = (
            np.array([hand[1] for hand in hands], np.int8),
            np.array([hand[2] for hand in hands], np.float32),
        )
        boxes = np.concatenate([marks.min(1), np.ptp(marks, axis=1)], 1) if len(marks) else np.zeros((0, 4))
        kept = without_doubles(boxes, None, scores, 0.5)
        return marks[kept], sides[kept], scores[kept]

    def _palms(self, image, x, y, side):
        """Palms in one square of the picture: boxes (N, 4), seven points each (N, 7, 2), scores (N,); its pixels."""
        part = image[max(y, 0) : y + side, max(x, 0) : x + side]
        whole = cv2.copyMakeBorder(
            part, max(-y, 0), side - part.shape[0] - max(-y, 0), max(-x, 0), side - part.shape[1] - max(-x, 0), 0
        )
        shrunk = cv2.resize(whole, (_PALM, _PALM), interpolation=cv2.INTER_AREA if side > _PALM else cv2.INTER_LINEAR)
        raw, logits = forward(self.palm, shrunk, (18, 1))
        likely = logits[:, 0] > np.log(self.score / (1 - self.score))
        raw, anchors = raw[likely] / _PALM, self.anchors[likely]
        middle, size = raw[:, :2] + anchors, raw[:, 2:4]
        points = raw[:, 4:].reshape(-1, 7, 2) + anchors[:, None]
        boxes = np.concatenate([middle - size / 2, size], 1) * side + [x, y, 0, 0]
        scores = 1 / (1 + np.exp(-logits[likely, 0]))
        return _merged(boxes, points * side + [x, y], scores)

    def _hand(self, image, centre, side, angle):
        """Landmarks (21, 2) in the picture, side, score: of the hand in a turned square."""
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        out = turn * side / _HAND  # crop -> picture
        affine = np.column_stack([out, np.asarray(centre) - out @ np.full(2, (_HAND - 1) / 2)])
        crop = cv2.warpAffine(image, affine, (_HAND, _HAND), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        marks, right, score = forward(self.hand, crop, ("Identity", "Identity_2", "Identity_1"))
        return marks.reshape(21, 3)[:, :2] @ out.T + affine[:, 2], int(right.item() < 0.5), float(score.item())


def read_models(source, files=_FILES):
    """{name: bytes} of models from MediaPipe's wheel, or a folder; files: {name: file name}. InputError where they are
    not.
    """
    source = require(source, _MEND)
    if source.is_dir():
        found = {name: next(source.rglob(file), None) for name, file in files.items()}
        if all(found.values()):
            return {name: path.read_bytes() for name, path in found.items()}
        wheels = sorted(source.glob("mediapipe-*.whl"))
        if not wheels:
            raise InputError(source, f"holds neither {' and '.join(files.values())} nor MediaPipe's wheel", _MEND)
        source = wheels[0]
    try:
        with zipfile.ZipFile(source) as archive:
            names = {name: _named(archive, file) for name, file in files.items()}
            if not all(names.values()):
                problem = f"does not bring {' and '.join(files.values())}: later versions than 0.10.21 do not"
                raise InputError(source, problem, _MEND)
            for place in names.values():
                if (size := archive.getinfo(place).file_size) > _LARGEST:
                    raise InputError(source, f"'{place}' unpacks to {size} bytes", _MEND)
            return {name: archive.read(place) for name, place in names.items()}
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise InputError(source, f"is no whole wheel ({error})", _MEND) from error


def _named(archive, file):
    return next((name for name in archive.namelist() if Path(name).name == file), None)


def network(source, file, model):
    """The model of a file, from its bytes, for `forward`. InputError naming ``source`` where OpenCV cannot read it."""
    try:
        return cv2.dnn.readNetFromTFLite(np.frombuffer(model, np.uint8))
    except cv2.error as error:
        raise InputError(source, f"OpenCV cannot read its model '{file}'", _MEND) from error


def forward(network, crop, wanted):
    """Outputs by name, or by their last length, of a network for one picture (h, w, 3) uint8."""
    network.setInput(np.ascontiguousarray(crop.transpose(2, 0, 1)[None], np.float32) / 255)
    names = network.getUnconnectedOutLayersNames()
    outs = dict(zip(names, network.forward(names), strict=True))
    by_length = {out.shape[-1]: out[0] for out in outs.values()}
    return [outs[key] if isinstance(key, str) else by_length[key] for key in wanted]


def _anchors():
    """The palm model's places (2016, 2) in 0..1 x, y: the middles of the cells of its grids, row by row."""
    places = []
    for cells, answers in _GRIDS:
        middles = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(middles, middles, indexing="ij")
        places.append(np.stack([x, y], -1).reshape(-1, 2).repeat(answers, 0))
    return np.concatenate(places)


def squares(width, height, zoom):
    """(x, y, side) of the squares to look at: the whole picture in the middle of one, then smaller ones over it."""
    whole = max(width, height)
    result = [((width - whole) // 2, (height - whole) // 2, whole)]
    for factor in zoom:
        side = int(min(width, height) / factor)
        if side < _PALM or (side == width == height):
            continue
        x, y = (
            {round(place) for place in np.linspace(0, length - side, _count(length, side))}
            for length in (width, height)
        )
        result += [(left, top, side) for top in sorted(y) for left in sorted(x)]
    return result


def _count(length, side):
    """Squares along a picture's side, so that neighbours share at least a third."""
    return 1 + int(np.ceil((length - side) / (side * 2 / 3)))


def _hand_square(box, points):
    """The square about a hand from its palm: centre (2,), side, and the angle by which its up is turned."""
    wrist, middle = points[_WRIST], points[_MIDDLE]
    across, up = middle - wrist
    angle = np.arctan2(across, -up)
    centre = box[:2] + box[2:] / 2 + _UP * box[3] * np.array([np.sin(angle), -np.cos(angle)])
    return centre, _ENLARGE * box[2:].max(), angle


def _merged(boxes, points, scores):
    """Answers for one palm become one: the mean of those that overlap the surest, by their scores, as published."""
    result, left = [], np.argsort(-scores)
    while len(left):
        near = overlaps(boxes[left[:1]], boxes[left])[0] > 0.3
        near[0] = True
        group, left = left[near], left[~near]
        weights = scores[group] / scores[group].sum()
        result.append((weights @ boxes[group], np.tensordot(weights, points[group], 1), scores[group[0]]))
    boxes, points, scores = zip(*result, strict=True) if result else ((), (), ())
    return np.reshape(boxes, (-1, 4)), np.reshape(points, (-1, 7, 2)), np.array(scores, float)
