"""UBody's demo data: official layout, pictures cut from its videos, read back with the published intervals."""

import json

import cv2
import numpy as np
import pytest

from handlib import body_joints, datasets
from handlib.datasets import ubody_videos
from handlib.demo import ubody
from handlib.files import InputError

NOSE = body_joints.SMPLX137.joints.index("Nose")


@pytest.fixture(scope="module")
def data(tmp_path_factory, outlined):
    return ubody.make(tmp_path_factory.mktemp("demo") / "UBody", frames=5, processes=1, show_progress=False)


def test_the_published_intervals_leave_samples_in_every_scene(data):
    for split, least in (("train", 5), ("test", 1)):
        reader = datasets.read("ubody", data, split)
        samples = list(reader)
        assert {sample["scene"] for sample in samples} == set(ubody.SCENES) and not reader.skipped
        for scene in ubody.SCENES:
            assert sum(sample["scene"] == scene for sample in samples) >= least
        for sample in samples:
            assert cv2.imread(sample["image_path"]).shape[:2] == (sample["height"], sample["width"]) == ubody.SIZE
            assert sample["smplx_valid"][0] and sample["sequence"].endswith("S1" if split == "train" else "S2")
    inter = datasets.read("ubody", data, "test", test_list="inter", every=1)
    assert {sample["scene"] for sample in inter} == {"SignLanguage"}


def test_both_people_of_a_picture_have_their_turn(data):
    reader = datasets.read("ubody", data, "train", scenes=["Interview"])
    noses = [sample["person_joints_img"][NOSE, 0] for sample in reader]
    assert min(noses) < ubody.SIZE[1] / 2 < max(noses)


def test_the_boxes_of_hands_are_read_as_the_hands(data):
    told = json.loads((data / "annotations/SignLanguage/keypoint_annotation.json").read_text())["annotations"]
    for sample in datasets.read("ubody", data, "train", scenes=["SignLanguage"], every=1):
        assert told[sample["person"] - 1]["id"] == sample["person"]
        for side, row in (("left", 0), ("right", 1)):
            if sample["part_bbox_valid"][row]:
                low, size = np.split(sample[f"{side[0]}hand_bbox"], 2)
                assert (low > -0.01).all() and (low + size < np.array(ubody.SIZE[::-1]) + 0.01).all()


def test_pictures_are_cut_from_the_videos(data, tmp_path):
    """What lies in images/ is what cutting the videos again gives."""
    assert ubody_videos.cut(data).remark.tolist() == ["was there"] * 4
    (tmp_path / "videos").symlink_to(data / "videos")
    table = ubody_videos.cut(tmp_path)
    assert table.pictures.tolist() == [50] * 4 and not table.remark.any()
    for path in (tmp_path / "images").rglob("*.png"):
        assert path.read_bytes() == (data / path.relative_to(tmp_path)).read_bytes()


def test_people_move(data):
    one, *_, last = datasets.read("ubody", data, "train", scenes=["SignLanguage"])
    assert np.abs(one["smplx_pose"] - last["smplx_pose"]).max() > 0.3
    np.testing.assert_array_equal(one["smplx_shape"], last["smplx_shape"])


def test_too_few_frames_are_refused(tmp_path):
    with pytest.raises(InputError, match="too few"):
        ubody.make(tmp_path / "x", frames=4)
