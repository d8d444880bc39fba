import json

import cv2
import numpy as np
import pytest

from handlib import datasets, fields, geometry, packs
from handlib.datasets import freihand
from handlib.datasets.base import Skip
from handlib.files import InputError

HANDS = 3
K = np.array([[480.0, 0, 112], [0, 470.0, 110], [0, 0, 1]])


def _write(root, split, name, rows):
    (root / f"{split}_{name}.json").write_text(json.dumps(np.asarray(rows).tolist()))


def _hands(seed):
    draw = np.random.default_rng(seed)
    joints = draw.uniform(-0.07, 0.07, (HANDS, 21, 3)) + [0, 0, 0.7]
    verts = draw.uniform(-0.08, 0.08, (HANDS, 778, 3)) + [0, 0, 0.7]
    return {"xyz": joints, "verts": verts, "mano": draw.normal(size=(HANDS, 1, 61))}


@pytest.fixture
def tree(tmp_path):
    """Three training hands with four backgrounds, three of the evaluation with hidden truth."""
    root = tmp_path / "FreiHAND"
    for split, pictures, seed in (("training", 4 * HANDS, 0), ("evaluation", HANDS, 1)):
        (root / split / "rgb").mkdir(parents=True)
        _write(root, split, "K", [K] * HANDS)
        if split == "training":
            for name, rows in _hands(seed).items():
                _write(root, split, name, rows)
        for number in range(pictures):
            picture = np.full((224, 224, 3), 10 * number, np.uint8)
            cv2.imwrite(str(root / split / "rgb" / f"{number:08d}.jpg"), picture)
    _write(root, "evaluation", "scale", [0.03] * HANDS)
    return root


def test_every_hand_is_there_with_each_background(tree):
    reader = datasets.read("freihand", tree, "training")
    samples = list(reader)
    assert [sample["image_id"] for sample in samples] == list(range(12)) and reader.skipped == []
    assert [sample["background"] for sample in samples[::3]] == ["gs", "hom", "sample", "auto"]
    assert [sample["frame"] for sample in samples] == [0, 1, 2] * 4
    for sample in samples:
        assert set(sample) - set(fields.SAMPLE) == {"image_path"}
    np.testing.assert_array_equal(samples[10]["joints_cam"], samples[1]["joints_cam"])
    assert samples[10]["image_path"].endswith("training/rgb/00000010.jpg")


def test_a_sample_is_what_the_lists_say(tree):
    given = _hands(0)
    sample = datasets.read("freihand", tree, "training", backgrounds="hom")[2]
    assert sample["key"] == "training/00000005" and sample["hands"] == "right" and not sample["side"].any()
    np.testing.assert_allclose(sample["joints_cam"][0], given["xyz"][2], atol=0)
    np.testing.assert_allclose(sample["verts_cam"][0], given["verts"][2], atol=1e-7)
    np.testing.assert_array_equal(sample["pose_from_mean"][0], given["mano"][2, 0, :48])
    np.testing.assert_array_equal(sample["shape"][0], given["mano"][2, 0, 48:58])
    pixels = given["xyz"][2] @ K.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    np.testing.assert_allclose(sample["bbox"], [*pixels.min(0), *np.ptp(pixels, 0)], rtol=1e-4)
    assert sample["bbox_tight"] and sample["joints_valid"].all() and sample["mano_valid"].all()


def test_hidden_truth_is_not_made_up(tree):
    reader = datasets.read("freihand", tree, "evaluation")
    samples = list(reader)
    assert len(samples) == HANDS and "evaluation_xyz.json is absent" in reader.notes
    for sample in samples:
        assert not sample["joints_valid"].any() and not sample["mano_valid"].any() and not sample["bbox_tight"]
        assert not sample["joints_cam"].any() and "verts_cam" not in sample
        square = geometry.mano_square(sample["bbox"], False, 224, 224)
        np.testing.assert_allclose(square, [0, 0, 224, 224], atol=1.6)  # the crop shows the picture


def test_the_later_release_of_the_truth(tree):
    for name, rows in _hands(1).items():
        _write(tree, "evaluation", name, rows)
    sample = datasets.read("freihand", tree, "evaluation")[1]
    np.testing.assert_allclose(sample["joints_cam"][0], _hands(1)["xyz"][1], atol=0)
    assert sample["bbox_tight"] and sample["joints_valid"].all() and sample["verts_cam"].shape == (1, 778, 3)


def test_without_vertices_and_flat_parameters(tree):
    (tree / "training_verts.json").unlink()
    _write(tree, "training", "mano", _hands(0)["mano"][:, 0])  # rows of 61 numbers without a list about them
    sample = datasets.read("freihand", tree, "training")[0]
    assert "verts_cam" not in sample and sample["mano_valid"].all()
    np.testing.assert_array_equal(sample["pose_from_mean"][0], _hands(0)["mano"][0, 0, :48])


def test_packed_and_read_back(tree, tmp_path):
    pack = datasets_pack(tree, tmp_path / "pack")
    assert len(pack) == 12 and pack.manifest["skipped"]["count"] == 0
    np.testing.assert_array_equal(pack.array("joints_cam")[4, 0], _hands(0)["xyz"][1])
    assert np.abs(pack[7]["image"].astype(int) - 70).max() <= 2
    assert datasets.splits("freihand", tree) == ["training", "evaluation"]
    assert packs.place("packs", "freihand", "training", backgrounds="gs").name == "freihand_gs_training"


def datasets_pack(tree, out):
    return packs.write("freihand", tree, "training", out, workers=0)


def test_odd_entries_are_skipped(tree):
    hands = _hands(0)
    hands["xyz"][1, 4, 2] = -0.1
    _write(tree, "training", "xyz", hands["xyz"])
    mano = hands["mano"].tolist()
    mano[2] = mano[2][0][:60]
    (tree / "training_mano.json").write_text(json.dumps(mano))
    reader = datasets.read("freihand", tree, "training", backgrounds="gs")
    assert [sample["frame"] for sample in reader] == [0]
    reasons = [skip.reason for skip in reader.skipped]
    assert reasons == ["hand is not in front of the camera", "annotation is not finite, or of another shape"]


def test_pictures_are_checked(tree):
    reader = datasets.read("freihand", tree, "training")
    (tree / "training" / "rgb" / "00000002.jpg").unlink()
    cv2.imwrite(str(tree / "training" / "rgb" / "00000001.jpg"), np.zeros((224, 220, 3), np.uint8))
    for index, reason in ((1, "another size"), (2, "missing")):
        with pytest.raises(Skip, match=reason):
            reader.complete(reader[index])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"split": "test"}, "no such split(?s:.)*training, evaluation"),
        ({"backgrounds": "green"}, "no such choice of backgrounds(?s:.)*gs, hom, sample, auto"),
    ],
)
def test_wrong_arguments(tree, options, message):
    with pytest.raises(InputError, match=message):
        datasets.read("freihand", tree, **{"split": "training", **options})


def test_lists_that_are_missing_or_do_not_match(tree, tmp_path):
    _write(tree, "training", "verts", _hands(0)["verts"][:2])
    with pytest.raises(InputError, match="training_verts.json.*has 2 entries, training_K.json has 3"):
        datasets.read("freihand", tree, "training")[0]
    (tree / "training_mano.json").unlink()
    with pytest.raises(InputError, match="training_mano.json: does not exist(?s:.)*FreiHAND_pub_v2"):
        datasets.read("freihand", tree, "training")
    with pytest.raises(InputError, match="neither training_K.json nor evaluation_K.json"):
        datasets.splits("freihand", tmp_path)


def test_a_list_is_read_once_unless_it_changes(tree, monkeypatch):
    opened = []
    read = freihand.json_stream.items
    monkeypatch.setattr(freihand.json_stream, "items", lambda path, mend: opened.append(path.name) or read(path, mend))
    for _ in range(2):
        datasets.read("freihand", tree, "training")[0]
    assert sorted(opened) == [f"training_{kind}.json" for kind in ("K", "mano", "verts", "xyz")]
