import json

import numpy as np
import pytest

from handlib import bodies, fields
from handlib.bodies import parts
from handlib.files import InputError, write_json


def test_labels_are_the_joints_that_move_a_vertex_most():
    weights = np.eye(16)[[0, 5, 5, 9]] * 0.6 + 0.025
    assert parts.vertex_labels(weights).tolist() == [0, 5, 5, 9]
    assert parts.face_labels(weights, [[0, 1, 2], [3, 0, 3]]).tolist() == [5, 9]


def test_face_labels_from_corners():
    labels = np.array([4, 4, 7, 9])
    assert parts.face_labels_from_corners(labels, [[0, 1, 2], [2, 0, 1], [2, 3, 0]]).tolist() == [4, 4, 7]


def test_digit_classes_name_the_same_parts():
    joints = np.arange(16)
    right, left = (parts.digit_classes(joints, side) for side in ("right", "left"))
    assert sorted(right) == list(range(1, 17)) and (left == right + 16).all()
    assert right.dtype == np.uint8
    named = dict(zip(fields.MANO16.joints, right.tolist(), strict=True))
    assert named["wrist"] == 9  # DIGIT's label 8 is the palm
    assert (named["ring1"], named["index2"], named["thumb3"]) == (1, 2, 13)
    mask = np.array([[0, *right], [0, *left]])
    np.testing.assert_array_equal(parts.flip_classes(mask), mask[::-1])


def test_the_published_list_is_read_and_used(tmp_path):
    """A list made up for the free hand, written as DIGIT's file is: its labels, the seal vertex last."""
    layer = bodies.load(None, "mano_left")
    changed = layer.part_labels().copy()
    changed[:10] = 15
    path = tmp_path / "vertex_segments_right_seal.json"
    write_json(path, [*(parts.digit_classes(changed, "right") - 1).tolist(), 8])
    np.testing.assert_array_equal(parts.read_published(path), changed)
    given = bodies.load(None, "mano_left", part_labels=path)
    np.testing.assert_array_equal(given.part_labels(), changed)
    np.testing.assert_array_equal(given.part_classes("vertices"), parts.digit_classes(changed, "left"))
    assert given.part_labels("faces").shape == (1538,)


@pytest.mark.parametrize(
    "content, problem",
    [
        ({"labels": []}, "holds dict"),
        ([8] * 700, "a list of 700"),
        ([8] * 778 + [16], "entry 778 is 16"),
        ([8, "8"] + [8] * 776, 'entry 1 is "8"'),
        ([True] + [8] * 777, "entry 0 is true"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path, content, problem):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=problem):
        parts.read_published(path)
