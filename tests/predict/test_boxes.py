import json

import numpy as np
import predictor_toys
import pytest
import torch

from handlib import bodies, geometry
from handlib.files import InputError
from handlib.fitting import poses
from handlib.predict import PERSON, BoxFile, boxes, detector_names, from_keypoints, overlaps, sides_of, without_doubles

SIZE = (640, 480)


@pytest.mark.parametrize(
    "box, named",
    [
        ((0.2, 0.3, 0.1, 0.2), "fractions"),
        ((700, 100, 50, 50), "outside"),
        ((-90, 100, 50, 50), "outside"),
        ((100, 100, 0, 50), "no area"),
        ((100, 100, -20, 50), "no area"),
        ((100, np.nan, 20, 50), "finite"),
        ((0, 0, 256, 256), "crop"),
        ((400, 300, 620, 460), "corners"),
    ],
)
def test_unusable_boxes_are_named_or_left_out(box, named):
    given, sides = [(100, 80, 60, 70), box], ["right", "left"]
    with pytest.raises(InputError, match=f"box 1.*{named}"):
        boxes.checked(given, sides, SIZE)
    found = boxes.checked(given, sides, SIZE, skip=True)
    assert len(found) == 1 and found.numbers.tolist() == [0] and found.side.tolist() == [0]
    assert found.skipped[0][0] == 1 and named in found.skipped[0][1]


@pytest.mark.parametrize("box", [(-30, -20, 90, 90), (600, 440, 90, 90), (0, 0, 640, 480), (10, 10, 256, 256)])
def test_boxes_that_hang_out_or_are_large_are_taken(box):
    assert boxes.reason(box, SIZE) == ""


def test_sides_are_words_or_numbers_and_must_be_said():
    assert boxes.numbered("left", 2).tolist() == [1, 1]
    assert boxes.numbered(["right", 1, "L"], 3).tolist() == [0, 1, 1]
    assert boxes.numbered(np.array([0, 1]), 2).tolist() == [0, 1]
    for bad in (None, ["right"], "both", [0, 2]):
        with pytest.raises(InputError, match="sides"):
            boxes.numbered(bad, 2)


def test_overlap_and_doubles():
    given = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [1, 0, 10, 10], [0.5, 0, 10, 10], [50, 50, 10, 10]], float)
    assert overlaps(given[:1], given[:2])[0] == pytest.approx([1, 1 / 3])
    # 2 is a double of 0; 3 is nearly 0 and said to be of the other side; 1 overlaps by a third only
    kept = without_doubles(given, np.array([0, 0, 0, 1, 1]), np.array([0.9, 0.5, 0.95, 0.3, np.nan]))
    assert kept.tolist() == [2, 1, 4]
    assert without_doubles(given[:2], [0, 1]).tolist() == [0, 1]


def test_a_detector_is_a_callable_and_its_doubles_are_reported():
    def detector(image):
        return [[10, 10, 50, 50], [12, 10, 50, 50], [300, 200, 40, 0]], ["right", "right", "left"], [0.6, 0.9, 0.8]

    found = boxes.detected(detector, None, SIZE)
    assert found.boxes.tolist() == [[12, 10, 50, 50]] and found.score.tolist() == [0.9]
    assert sorted(number for number, _ in found.skipped) == [0, 2]
    as_dict = boxes.detected(lambda image: {"boxes": [[1, 2, 30, 40]], "sides": ["left"]}, None, SIZE)
    assert as_dict.side.tolist() == [1] and np.isnan(as_dict.score).all()
    assert len(boxes.detected(lambda image: (np.zeros((0, 4)), [], []), None, SIZE)) == 0
    with pytest.raises(InputError, match="detector"):
        boxes.detected(lambda image: 3, None, SIZE)


def test_detectors_of_ones_own_go_by_module_and_name(tmp_path):
    assert detector_names.load("predictor_toys:picture") is predictor_toys.picture
    for name, named in (
        ("nobody", "mediapipe"),
        ("predictor_toys:nothing", "cannot be had"),
        ("no_module:x", "no_module"),
    ):
        with pytest.raises(InputError, match=named):
            detector_names.load(name)
    with pytest.raises(InputError, match="wheel"):
        detector_names.load("mediapipe", tmp_path)


@pytest.fixture(scope="module")
def seen():
    """Twelve plausible bent hands seen by a camera, every other one a left hand: pixels (12, 21, 2), sides, K."""
    layer, generator = bodies.load(None, "mano_right"), torch.Generator().manual_seed(2)
    pose = torch.cat([0.8 * torch.randn(12, 3, generator=generator).double(), poses.of(layer).sample(12, generator)], 1)
    out = layer(pose=pose, mean_added=True, transl=torch.tensor([0.03, -0.02, 0.5]))
    joints = bodies.joints21(out["verts"], out["joints"]).double().numpy()
    joints[1::2, :, 0] *= -1
    K = geometry.intrinsics((700.0, 700.0), (320.0, 240.0))
    return geometry.project(joints, K), np.arange(12) % 2, K, layer


def test_boxes_of_keypoints_are_tight(seen):
    pixels, sides, *_ = seen
    found, side, score = from_keypoints(pixels, sides)
    np.testing.assert_allclose(found[:, :2], pixels.min(1))
    np.testing.assert_allclose(found[:, :2] + found[:, 2:], pixels.max(1))
    assert side.tolist() == sides.tolist() and np.isnan(score).all()
    sure = np.concatenate([pixels[:1], np.full((1, 21, 1), 0.8)], 2)
    sure[0, 3] = (5000, 5000, 0.01)
    box, _, score = from_keypoints(sure, "right")
    assert box[0, 2] < 640 and score == pytest.approx(0.8)
    with pytest.raises(InputError, match="hands \\[0\\]"):
        from_keypoints(np.full((1, 21, 2), np.nan), "left")


def test_the_side_is_guessed_from_how_hands_bend(seen):
    pixels, sides, K, layer = seen
    found, sure = sides_of(pixels, K, layer)
    assert (found == sides).mean() >= 10 / 12 and (sure >= 0.5).all()
    assert (found == sides)[sure > 0.95].all() and (sure > 0.95).sum() >= 4
    with pytest.raises(InputError, match="sides"):
        from_keypoints(pixels)


def test_files_of_boxes(tmp_path, seen):
    pixels, _, K, layer = seen
    points = [None if n == 4 else [*xy, 0.9] for n, xy in enumerate(pixels[0].tolist())]
    points = [[np.nan] * 3 if point is None else point for point in points]
    content = {
        "sub/a.jpg": [{"box": [10, 20, 30, 40], "side": "left", "score": 0.5}, {"keypoints": pixels[0].tolist()}],
        "7": [],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    file = BoxFile(tmp_path / "boxes.json")
    found, sides, scores = file.of("sub/a.jpg", 0, K, layer)
    assert found[0].tolist() == [10, 20, 30, 40] and sides.tolist()[0] == 1 and scores[0] == 0.5
    np.testing.assert_allclose(found[1, :2], pixels[0].min(0))
    assert file.of("other.jpg", 0) is None and [len(part) for part in file.of("000007", 7)] == [0, 0, 0]
    file.require_used(["a.jpg", "sub/a.jpg"])
    with pytest.raises(InputError, match="no picture of the source"):
        file.require_used(["b.jpg"])
    (tmp_path / "boxes.csv").write_text("name,x,y,w,h,side,score\na.jpg,1,2,3,4,right,\na.jpg,5,6,7,8,,0.25\n")
    found, sides, scores = BoxFile(tmp_path / "boxes.csv").of("sub/a.jpg", 0, side="left")
    assert found.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]] and sides.tolist() == [0, 1] and scores[1] == 0.25
    with pytest.raises(InputError, match="side"):
        BoxFile(tmp_path / "boxes.csv").of("a.jpg", 0)


@pytest.mark.parametrize(
    "name, text, named",
    [
        ("a.json", "[1, 2]", "object"),
        ("a.json", '{"a.jpg": [{"side": "left"}]}', "either a box or keypoints"),
        ("a.json", '{"a.jpg": [{"box": [1, 2, 3], "side": "left"}]}', "no box"),
        ("a.json", '{"a.jpg": [{"keypoints": [[1, 2]]}]}', "1 keypoints"),
        ("a.json", '{"a.jpg": [', "not whole"),
        ("a.csv", "name,x,y,w\n", "lacks h, side"),
        ("a.csv", "name,x,y,w,h,side\na.jpg,1,2,,4,left\n", "line 2"),
        ("a.txt", "", "'.txt'"),
    ],
)
def test_files_that_are_no_boxes_are_refused(tmp_path, name, text, named):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=named):
        BoxFile(tmp_path / name)


def test_keypoints_of_persons(tmp_path):
    points = np.zeros((17, 3))
    points[:, :2], points[:, 2] = np.random.default_rng(0).uniform(100, 200, (17, 2)), 2
    points[3] = 0  # as COCO says of what is not annotated
    box, side, score = from_keypoints(points, subject=PERSON)
    tight = points[points[:, 2] > 0, :2]
    np.testing.assert_allclose(box[0, 2:], 1.2 * np.ptp(tight, axis=0))
    np.testing.assert_allclose(box[0, :2] + box[0, 2:] / 2, (tight.min(0) + tight.max(0)) / 2)
    assert side.tolist() == [0] and score[0] == 2
    with pytest.raises(InputError, match="17 or 133"):
        from_keypoints(np.zeros((1, 21, 3)), subject=PERSON)
    content = {"a.jpg": [{"box": [1, 2, 30, 40]}, {"keypoints": points.tolist(), "score": 0.5}], "b.jpg": []}
    (tmp_path / "a.json").write_text(json.dumps(content))
    found, sides, scores = BoxFile(tmp_path / "a.json", PERSON).of("a.jpg", 0)
    assert sides is None and found[0].tolist() == [1, 2, 30, 40] and scores.tolist()[1] == 0.5
    np.testing.assert_allclose(found[1], box[0])
    (tmp_path / "b.csv").write_text("name,x,y,w,h\na.jpg,1,2,30,40\n")
    assert BoxFile(tmp_path / "b.csv", PERSON).of("a.jpg", 0)[0].tolist() == [[1, 2, 30, 40]]
    (tmp_path / "c.json").write_text(json.dumps({"a.jpg": [{"box": [1, 2, 30, 40], "side": "left"}]}))
    with pytest.raises(InputError, match="persons have none"):
        BoxFile(tmp_path / "c.json", PERSON).of("a.jpg", 0)


@pytest.mark.parametrize("change", [{"bbox": [1, 2, 3]}, {"image_id": 9}, {"bbox": None}])
def test_coco_files_that_are_not_whole_are_refused(tmp_path, change):
    one = {"image_id": 1, "bbox": [1, 2, 30, 40]}
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [one]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert len(BoxFile(tmp_path / "a.json", PERSON).of("a.jpg", 0)[0]) == 1
    (tmp_path / "a.json").write_text(json.dumps(content | {"annotations": [one | change]}))
    with pytest.raises(InputError, match="COCO"):
        BoxFile(tmp_path / "a.json", PERSON)
