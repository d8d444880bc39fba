import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from handlib import runs
from handlib.files import InputError
from handlib.predict import boxes as boxes_
from handlib.predict import detectors
from handlib.verify.reference import SHIPPED

PHOTOS = SHIPPED.parents[2] / "shared" / "real" / "photos"
MODELS = runs.from_root("data/checkpoints")


@pytest.fixture
def detector(monkeypatch):
    """The detector with models of its own: a palm is a red patch that points to the green one; the first landmark is
    the blue patch, seen in the crop.
    """
    made = detectors.MediaPipeHands.__new__(detectors.MediaPipeHands)
    made.score, made.zoom, made.palm, made.hand, made.anchors = 0.5, (1,), "palm", "hand", detectors._anchors()
    monkeypatch.setattr(detectors, "forward", lambda network, crop, wanted: _MODELS[network](crop))
    return made


def _patch(crop, channel):
    """The middle of what is of one colour, or None."""
    crop = crop.astype(int)
    places = np.argwhere(crop[..., channel] - np.delete(crop, channel, -1).max(-1) > 120)
    return places.mean(0)[::-1] if len(places) else None


def _palm_model(crop):
    raw, logits = np.zeros((2016, 18), np.float32), np.full((2016, 1), -9, np.float32)
    wrist, middle = _patch(crop, 0), _patch(crop, 1)
    if wrist is not None and middle is not None:
        anchors = 192 * detectors._anchors()
        near = np.argsort(np.linalg.norm(anchors - (wrist + 0.5), axis=1))[:3]  # three answers for one palm
        for place in near:
            raw[place, :2] = wrist + 0.5 - anchors[place]
            raw[place, 2:4] = 2 * np.linalg.norm(middle - wrist)
            raw[place, 4:6] = wrist + 0.5 - anchors[place]
            raw[place, 8:10] = middle + 0.5 - anchors[place]
        logits[near] = 3
    return raw, logits


def _hand_model(crop):
    blue = _patch(crop, 2)
    marks = np.full((1, 63), 112.0) if blue is None else np.tile([*blue, 0], 21)[None]
    _hand_model.crop = crop
    return marks, np.array([[0.9]]), np.array([[0.1 if blue is None else 0.8]])


_MODELS = {"palm": _palm_model, "hand": _hand_model}


def _picture(width, height, **patches):
    picture = np.full((height, width, 3), 60, np.uint8)
    for (x, y), colour in zip(patches.values(), np.eye(3, dtype=int) * 195 + 60, strict=False):
        cv2.circle(picture, (x, y), 9, colour.tolist(), -1)
    return picture


@pytest.mark.parametrize("width, height", [(640, 480), (300, 520)])
@pytest.mark.parametrize("middle", [(150, 120), (210, 180), (150, 240), (105, 200)])
def test_places_come_back_to_the_picture(detector, width, height, middle):
    picture = _picture(width, height, wrist=(150, 180), middle=middle, tip=(170, 150))
    marks, sides, scores = detector.landmarks(picture)
    assert len(marks) == 1, "answers for one palm become one"
    np.testing.assert_allclose(marks[0], np.tile([170, 150], (21, 1)), atol=1.5)
    assert sides.tolist() == [0] and sides.dtype == np.int8 and scores[0] == np.float32(0.8)


def test_the_crop_is_turned_so_that_the_hand_points_up(detector):
    detector.landmarks(_picture(640, 480, wrist=(250, 180), middle=(310, 180), tip=(330, 180)))
    wrist, middle, tip = (_patch(_hand_model.crop, channel) for channel in range(3))
    assert middle[1] < wrist[1] - 20 and tip[1] < middle[1]
    np.testing.assert_allclose([middle[0], tip[0]], wrist[0], atol=1.5)
    assert 112 < wrist[1] < 224, "the crop reaches from behind the wrist to beyond the fingers"


def test_what_is_no_hand_is_left_out(detector):
    boxes, sides, scores = detector(_picture(400, 300, wrist=(150, 180), middle=(150, 120)))  # no landmarks
    assert boxes.shape == (0, 4) and sides.shape == scores.shape == (0,)
    boxes, sides, scores = detector(np.zeros((40, 30, 3), np.uint8))
    assert boxes.shape == (0, 4) and boxes.dtype == np.float32


def test_squares_cover_the_picture():
    for width, height in ((848, 565), (300, 1200), (500, 500)):
        seen = np.zeros((height, width), int)
        for x, y, side in detectors.squares(width, height, (1,)):
            seen[max(y, 0) : y + side, max(x, 0) : x + side] += 1
        assert seen.min() >= (1 if width == height else 2)
    assert detectors.squares(500, 500, (1,)) == [(0, 0, 500)], "the same square once"


def test_overlap_and_distinct():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [30, 30, 4, 4], [0, 1, 10, 10], [3, 3, 0, 0]], float)
    np.testing.assert_allclose(boxes_.overlaps(boxes[:1], boxes)[0], [1, 1 / 3, 0, 9 / 11, 0])
    assert boxes_.without_doubles(boxes[:4], None, np.array([0.5, 0.6, 0.1, 0.9]), 0.5).tolist() == [3, 1, 2]
    assert boxes_.without_doubles(np.zeros((0, 4))).tolist() == []


def test_missing_and_wrong_models(tmp_path):
    with pytest.raises(InputError, match="does not exist(?s:.)*pip download mediapipe==0.10.21"):
        detectors.MediaPipeHands(tmp_path / "nothing.whl")
    with pytest.raises(InputError, match="holds neither palm_detection_full.tflite and hand_landmark_full.tflite"):
        detectors.MediaPipeHands(tmp_path)
    later = tmp_path / "mediapipe-1.2.2-py3-none-any.whl"
    with zipfile.ZipFile(later, "w") as archive:
        archive.writestr("mediapipe/__init__.py", "")
    with pytest.raises(InputError, match="does not bring palm_detection_full"):
        detectors.MediaPipeHands(tmp_path)
    later.write_bytes(b"PK")
    with pytest.raises(InputError, match="no whole wheel"):
        detectors.MediaPipeHands(later)
    for name in ("palm_detection_full.tflite", "hand_landmark_full.tflite"):
        (tmp_path / name).write_bytes(b"no model")
    with pytest.raises(InputError, match="OpenCV cannot read"):
        detectors.MediaPipeHands(tmp_path)


@pytest.mark.parametrize("image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8)])
def test_only_colour_pictures(detector, image):
    with pytest.raises(InputError, match="give a picture"):
        detector(image)


@pytest.mark.skipif(
    not PHOTOS.is_dir() or not list(Path(MODELS).glob("mediapipe-*.whl")),
    reason="needs photographs and MediaPipe's wheel",
)
def test_on_photographs():
    """Boxes within 20 pixels of what MediaPipe 0.10.14 itself finds in the first photograph."""
    detector = detectors.MediaPipeHands(MODELS)
    boxes, sides, scores = detector(cv2.imread(str(PHOTOS / "test1.jpg"))[..., ::-1].copy())
    assert sides.tolist() == [0, 0] and scores.min() > 0.9
    theirs = np.array([[264, 164, 110, 165], [377, 291, 113, 135]])
    assert np.abs(boxes[np.argsort(boxes[:, 0])] - theirs).max() < 20
