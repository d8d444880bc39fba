import json
import pickle
import shutil

import ho3d_tree
import numpy as np
import pytest
import torch

from handlib import bodies, crops, datasets, fields, geometry, packs, safe_pickle
from handlib.crops.mano import draw_mano
from handlib.datasets import ho3d_files
from handlib.datasets.ho3d_check import compare_with_derived
from handlib.files import InputError

FLIP = np.array([1.0, -1.0, -1.0])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return ho3d_tree.build(tmp_path_factory.mktemp("ho3d") / "HO3D", truth=True)


@pytest.fixture
def tree(whole, tmp_path):
    """A copy to be damaged."""
    return shutil.copytree(whole, tmp_path / "HO3D")


def test_samples_are_in_the_vocabulary(whole):
    for split in ("train", "evaluation"):
        reader = datasets.read("ho3d", whole, split)
        samples = list(reader)
        assert not reader.skipped and len(samples) == len(reader)
        for sample in samples:
            assert set(sample) - set(fields.SAMPLE) == {"image_path"} and sample["hands"] == "right"
    assert [sample["key"] for sample in samples] == [f"evaluation/{name}" for name in ho3d_tree.EVALUATION]
    assert [sample["image_id"] for sample in samples] == [0, 1, 2] and samples[2]["camera"] == "3"
    assert datasets.splits("ho3d", whole) == ["train", "evaluation"]


def test_opengl_becomes_the_camera_frame(whole):
    found, sample = ho3d_tree.annotation("train", 2), datasets.read("ho3d", whole, "train")[2]
    np.testing.assert_allclose(sample["joints_cam"][0], found["handJoints3D"][ho3d_tree.TO_HOUSE] * FLIP)
    pixels = geometry.project(sample["joints_cam"][0], sample["K"], eps=0.0)
    box = np.concatenate([pixels.min(0), np.ptp(pixels, axis=0)])
    np.testing.assert_allclose(sample["bbox"], box, atol=1e-4)
    assert sample["bbox_tight"] and sample["mano_valid"].all() and sample["object"] == "006_mustard_bottle"
    np.testing.assert_allclose(sample["object_pose"][:3, 3], found["objTrans"] * FLIP, atol=1e-6)
    np.testing.assert_allclose(sample["object_pose"][3], [0, 0, 0, 1])


def test_the_pose_makes_the_same_hand_in_the_camera_frame(whole):
    found, sample = ho3d_tree.annotation("train", 0), datasets.read("ho3d", whole, "train")[0]
    layer = bodies.load(None, "mano_right", dtype=torch.float64)
    verts = []
    for pose in (found["handPose"], sample["pose_flat"][0].astype(float)):
        out = layer(pose=torch.tensor(pose), mean_added=True, shape=torch.tensor(found["handBeta"]))
        verts.append((out["verts"] - out["joints"][0]).numpy())
    np.testing.assert_allclose(verts[1], verts[0] * FLIP, atol=1e-6)


def test_truth_of_the_evaluation_split(whole, tree):
    joints, verts = ho3d_tree.truths()
    sample = datasets.read("ho3d", whole, "evaluation")[1]
    np.testing.assert_allclose(sample["joints_cam"][0], joints[1][ho3d_tree.TO_HOUSE] * FLIP)
    np.testing.assert_allclose(sample["verts_cam"][0], verts[1] * FLIP, atol=1e-7)
    assert sample["joints_valid"].all() and not sample["mano_valid"].any() and not sample["bbox_tight"]
    assert sample["bbox"].tolist() == [300, 210, 120, 141]
    for name in ho3d_files.Truth.FILES:
        (tree / name).unlink()
    reader = datasets.read("ho3d", tree, "evaluation")
    blind = reader[1]
    assert blind["joints_valid"][0].tolist() == [True] + 20 * [False] and "verts_cam" not in blind
    np.testing.assert_allclose(blind["joints_cam"][0, 0], joints[1, 0] * FLIP)
    assert not blind["joints_cam"][0, 1:].any() and "only the wrists are known" in reader.notes[0]


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda xyz, verts: (xyz[:2], verts), "evaluation_xyz.json: has 2 entries, evaluation.txt has 3"),
        (lambda xyz, verts: (xyz[::-1], verts), "mm off the annotated one(?s:.)*this version"),
        (lambda xyz, verts: (xyz, verts[:, :77]), r"evaluation_verts.json: field '\[0\]': is not 778 points"),
        (lambda xyz, verts: (xyz, None), "evaluation_verts.json: is missing beside evaluation_xyz.json"),
    ],
)
def test_a_wrong_truth_is_refused(tree, damage, message):
    for name, points in zip(ho3d_files.Truth.FILES, damage(*ho3d_tree.truths()), strict=True):
        (tree / name).unlink() if points is None else (tree / name).write_text(json.dumps(points.tolist()))
    with pytest.raises(InputError, match=message):
        list(datasets.read("ho3d", tree, "evaluation"))


def test_the_pictures_tell_the_version(whole, tmp_path):
    assert datasets.read("ho3d", whole, "train").facts["version"] == "v2"
    newer = ho3d_tree.build(tmp_path / "repository" / "data", ending=".jpg")
    reader = datasets.read("ho3d", newer.parent, "evaluation")
    assert reader.facts["version"] == "v3" and reader[0]["image_path"].endswith("evaluation/SM1/rgb/0001.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds neither train/ nor evaluation/"):
        datasets.read("ho3d", tmp_path / "empty", "train")
    for name in ho3d_tree.TRAIN:
        shutil.rmtree(newer / "train" / name.split("/")[0], ignore_errors=True)
    with pytest.raises(InputError, match="ABF10/rgb/0000.png: is missing, and so is every sequence's first"):
        datasets.read("ho3d", newer, "train")


def test_what_cannot_be_used_is_skipped_and_counted(tree):
    def change(name, **values):
        path = ho3d_tree.meta(tree, "train", name)
        path.write_bytes(pickle.dumps(ho3d_tree.annotation("train", 0) | values))

    change("ABF10/0000", handJoints3D=None)
    change("ABF11/0000", handPose=np.full(48, np.nan))
    change("MC1/0003", handBeta=np.zeros(9))
    ho3d_tree.meta(tree, "train", "MC1/0007").write_bytes(b"\x80\x02}q")
    change("SS2/0012", handJoints3D=np.array([[5.0, 0, -0.5]]).repeat(21, 0) + 0.01 * np.arange(21)[:, None])
    reader = datasets.read("ho3d", tree, "train")
    assert not list(reader)
    reasons = ["frame has no hand annotation", "annotation is not finite", "annotation has another shape"]
    reasons += ["annotation cannot be read", "hand has no place in the picture"]
    assert [skip.reason for skip in reader.skipped] == reasons
    ho3d_tree.meta(tree, "train", "MC1/0003").unlink()
    found = ho3d_tree.annotation("train", 0)
    del found["camMat"]
    ho3d_tree.meta(tree, "train", "SS2/0012").write_bytes(pickle.dumps(found))
    list(reader)
    assert [skip.reason for skip in reader.skipped][2::2] == ["annotation is missing", "annotation lacks a member"]


def test_a_pickle_that_would_run_something_is_refused(tree):
    ho3d_tree.meta(tree, "train", "MC1/0003").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(safe_pickle.Refused, match="os.system"):
        list(datasets.read("ho3d", tree, "train"))


def test_a_list_with_another_line_is_refused(tree):
    (tree / "train.txt").write_text("MC1/0003\n../MC1/0007\n")
    with pytest.raises(InputError, match="train.txt: line 2, '../MC1/0007', is not <sequence>/<frame>"):
        datasets.read("ho3d", tree, "train")


def test_own_splits_keep_captures_together(whole):
    every = [sample["key"] for sample in datasets.read("ho3d", whole, "train")]
    for held_out, held in (((), {"train/SS2/0012"}), (("ABF1",), {"train/ABF10/0000", "train/ABF11/0000"})):
        parts = [
            [sample["key"] for sample in datasets.read("ho3d", whole, split, held_out=held_out)]
            for split in ("train_part", "val")
        ]
        assert set(parts[1]) == held and sorted(parts[0] + parts[1]) == sorted(every)
    with pytest.raises(InputError, match="no such capture(?s:.)*ABF1, MC1, SS2"):
        datasets.read("ho3d", whole, "val", held_out=["ABF10"])
    with pytest.raises(InputError, match="no such split(?s:.)*train_part, val"):
        datasets.read("ho3d", whole, "test")


def test_derived_files_give_the_same_samples(tree):
    ho3d_tree.derived(tree, mean=0.25, order=[3, 0, 1, 2, 4])
    reader = datasets.read("ho3d", tree, "train", source="derived")
    assert [sample["sequence"] for sample in reader] == ["MC1", "ABF10", "ABF11", "MC1", "SS2"]
    mine, its = datasets.read("ho3d", tree, "train")[3], reader[0]
    assert its["image_path"] == mine["image_path"] and its["image_id"] == 53 and "pose_flat" not in its
    np.testing.assert_allclose(its["joints_cam"], mine["joints_cam"])
    np.testing.assert_allclose(its["pose_from_mean"][:, 3:] + 0.25, mine["pose_flat"][:, 3:], atol=1e-6)
    np.testing.assert_allclose(its["bbox"], mine["bbox"], atol=1e-4)
    assert datasets.splits("ho3d", tree, source="derived") == ["train"]


def test_a_derived_file_is_compared_with_the_originals(tree):
    table = compare_with_derived(tree, ho3d_tree.derived(tree, mean=0.25))
    assert set(table.index) == {"frames", "order", "joints_cam", "K", "orientation", "fingers", "shape"}
    assert set(table["verdict"][2:]) == {"agrees"} and set(table["frames"]) == {5} and table["largest"].max() < 1e-6
    path = ho3d_tree.derived(tree, mean=0.25, order=[1, 0, 2, 3])
    raw = json.loads(path.read_text())
    raw["annotations"][2]["joints_coord_cam"][7][1] += 0.002
    path.write_text(json.dumps(raw))
    table = compare_with_derived(tree, path)
    assert (
        table.loc["joints_cam", "largest"] == pytest.approx(0.002) and table.loc["joints_cam", "at"] == "train/MC1/0003"
    )
    assert table.loc["frames", "at"] == "train/SS2/0012" and table.loc["order", "verdict"] == "another one"
    tested = ho3d_tree.derived(tree, "evaluation")
    table = compare_with_derived(tree, tested, "evaluation")
    assert {"joints_cam", "K", "bbox"} < set(table.index) and table["largest"].max() < 1e-4
    with pytest.raises(InputError, match="has no frame of train.txt"):
        path.write_text(path.read_text().replace("MC1/", "MC8/").replace("ABF1", "ABF7").replace("SS2", "SS7"))
        compare_with_derived(tree, path)


def test_crops_of_packed_windows_are_those_of_whole_pictures(tmp_path):
    """Also where the hand is at the picture's edge, so that its box is moved before it is cut out."""
    root = ho3d_tree.build(tmp_path / "HO3D", truth=True)
    rng = np.random.default_rng(0)
    for number, (name, x) in enumerate(zip(ho3d_tree.TRAIN, (0.0, -0.28, 0.3, -0.22, 0.1), strict=True)):
        found = ho3d_tree.annotation("train", number)
        found["handJoints3D"] = found["handJoints3D"] + [x, x / 2, 0]
        ho3d_tree.meta(root, "train", name).write_bytes(pickle.dumps(found))
    made = {}
    for pixels in ("whole", "reach"):
        for split in ("train", "evaluation"):
            folder = tmp_path / f"{split}_{pixels}"
            made[split, pixels] = packs.write("ho3d", root, split, folder, workers=0, pixels=pixels)
    draws = [draw_mano(rng) for _ in range(5)]
    for split in ("train", "evaluation"):
        whole, part = (made[split, pixels] for pixels in ("whole", "reach"))
        assert part.manifest["samples"] == len(whole) and np.isfinite(part.array("reach")).all()
        for index in range(len(whole)):
            for draw in [None, *(draws if split == "train" else [])]:
                one, other = (crops.mano_hand(pack[index], draw)["image"] for pack in (whole, part))
                np.testing.assert_array_equal(one, other)
