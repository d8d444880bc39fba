import numpy as np
import pytest

from handlib import runs
from handlib.files import InputError
from handlib.predict import PERSON, boxes, detector_names, detectors, person_detectors

MODELS = runs.from_root("data/checkpoints")
PEOPLE = {0: (150, 100, 40), 1: (420, 220, 70)}  # red and green ones: middle and half height


def _picture():
    """Two people, as rectangles of their colour, twice as high as wide."""
    image = np.zeros((320, 560, 3), np.uint8)
    for channel, (x, y, half) in PEOPLE.items():
        image[y - half : y + half, x - half // 2 : x + half // 2, channel] = 200
    return image


def _model(network, crop, wanted):
    """Sees the colour of which there is most, where it is not cut off."""
    marks, channel = np.zeros((39, 5), np.float32), int(crop[..., :2].sum((0, 1)).argmax())
    y, x = np.nonzero(crop[..., channel] > 100)
    if len(x) < 40:
        return marks.ravel()[None], np.array([[0.01]])
    corners = np.array([(x[i], y[j]) for i in (x.argmin(), x.argmax()) for j in (y.argmin(), y.argmax())])
    marks[:33, :2] = np.tile(corners, (9, 1))[:33]
    marks[33, :2], marks[:, 4] = (corners.min(0) + corners.max(0)) / 2, 9
    marks[34, :2] = marks[33, :2] + [0, 0.55 * np.ptp(y)]
    marks[20, :2], marks[20, 4] = 250, -9  # one that is not there, out of the way
    return marks.ravel()[None], np.array([[0.9 if 20 < np.ptp(y) < 250 else 0.35]])


@pytest.fixture
def detector(monkeypatch):
    made = person_detectors.MediaPipePersons.__new__(person_detectors.MediaPipePersons)
    made.score, made.zoom, made.network = 0.5, (1.5, 2.5), None
    monkeypatch.setattr(detectors, "forward", _model)
    return made


def test_everyone_has_one_box_about_their_landmarks(detector):
    found, sides, scores = detector(_picture())
    assert sides is None and np.allclose(scores, 0.9) and found.dtype == np.float32
    order = found[:, 0].argsort()
    for box, (x, y, half) in zip(found[order], PEOPLE.values(), strict=True):
        np.testing.assert_allclose(box[:2] + box[2:] / 2, [x, y], atol=3)
        np.testing.assert_allclose(box[2:], PERSON.margin * np.array([half, 2 * half]), atol=6)
    usable = boxes.detected(detector, _picture(), (560, 320), subject=PERSON)
    assert len(usable) == 2 and usable.skipped == ()


def test_nobody_is_found_where_nobody_is(detector):
    found, _, scores = detector(np.zeros((90, 120, 3), np.uint8))
    assert found.shape == (0, 4) and scores.shape == (0,)
    with pytest.raises(InputError, match="uint8, RGB"):
        detector(np.zeros((90, 120, 3)))


def test_squares_cover_the_picture():
    found = np.array(person_detectors.squares(640, 400, (1.5, 2.5)))
    assert found[0].tolist() == [320, 200, 640] and len(found) == 1 + 2 + 4 * 3
    covered = np.zeros((400, 640), bool)
    for x, y, side in found[3:]:
        covered[int(y - side / 2) : int(y + side / 2), int(x - side / 2) : int(x + side / 2)] = True
    assert covered.all()


def test_parts_of_a_person_go():
    given = np.array([[0, 0, 100, 200], [10, 10, 40, 80], [80, 0, 100, 200], [60, 0, 50, 90]], float)
    kept = person_detectors.without_parts(given, np.array([0, 1, 2, 3]))
    assert kept.tolist() == [0, 2], "the fourth is two thirds of the first's and half of the third's"


def test_by_name(tmp_path):
    with pytest.raises(InputError, match="pose_landmark_full"):
        detector_names.load("mediapipe", tmp_path, PERSON)
    with pytest.raises(InputError, match="of persons"):
        detector_names.load("nobody", subject=PERSON)


def test_photographs(real_data):
    """With MediaPipe's own model, where its wheel is at hand."""
    if not list(MODELS.glob("mediapipe-*.whl")):
        pytest.skip(f"MediaPipe's wheel is not there: {detectors.FETCH}")
    from handlib import predict

    detector = person_detectors.MediaPipePersons(MODELS)
    image = predict.read(real_data / "MSCOCO" / "images" / "val2017" / "000000000785.jpg").image
    found, _, scores = detector(image)
    assert len(found) == 1 and boxes.overlaps(found, [[281, 45, 219, 347]])[0, 0] > 0.7 and scores[0] > 0.9
