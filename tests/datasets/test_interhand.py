import json
import shutil

import interhand_tree
import numpy as np
import pytest

from handlib import datasets, fields
from handlib.datasets import interhand_files
from handlib.files import InputError
from handlib.verify import Skip, interhand_data
from handlib.verify.reference import shipped


@pytest.fixture
def tree(tmp_path):
    """The annotations alone (cheap), to be damaged."""
    shutil.copytree(shipped("interhand").path("fixture"), tmp_path / "InterHand", copy_function=shutil.copyfile)
    return tmp_path / "InterHand"


def edit(tree, kind, change, split="val"):
    interhand_tree.edit(interhand_tree.annotations(tree, split, kind), change)


def first_frame(joints):
    capture = next(iter(joints.values()))
    return next(iter(capture.values()))


def test_order_names_and_units(tree):
    reader = datasets.read("interhand", tree, "val")
    samples = list(reader)
    assert [sample["hands"] == "interacting" for sample in samples] == [False] * 3 + [True] * 3
    assert len({sample["key"] for sample in samples}) == len(reader) == 6
    assert reader.skipped == []
    for sample in samples:
        assert sample["key"].startswith("val/Capture")
        assert 0.3 < sample["joints_cam"][..., 2].min() and sample["joints_cam"][..., 2].max() < 3  # metres
        assert 0.3 < sample["root_depth_est"].min() < 3
        assert sample["hands"] == {(1, 0): "right", (0, 1): "left", (1, 1): "interacting"}[tuple(sample["hand_type"])]
        known = {name for name in sample if name in fields.SAMPLE}
        assert set(sample) - known == {"image_path"}


def test_train_has_no_estimates(tree):
    sample = next(iter(datasets.read("interhand", tree, "train")))
    assert np.isnan(sample["bbox_est"]).all() and np.isnan(sample["root_depth_est"]).all()


def test_reduced_splits_keep_the_published_pictures():
    results = list(interhand_data.check_splits(_few_cases()))
    assert sum(isinstance(result, Skip) for result in results) == 1  # tinytrain
    assert not [result for result in results if not isinstance(result, Skip) and not result.ok]


class _few_cases:
    """The smallest population of splits.json; the large ones take seconds and run under `handlib verify`."""

    def json(self, name):
        cases = shipped("interhand").json(name)["cases"]
        smallest = min(case["population"] for case in cases)
        return {"cases": [case for case in cases if case["population"] == smallest]}


@pytest.mark.parametrize("split", ["tinytrain", "validation"])
def test_unknown_split(tree, split):
    with pytest.raises(InputError, match=f"(?s)no split '{split}'.*smallval") as caught:
        datasets.read("interhand", tree, split)
    assert ("full training set" in str(caught.value)) == (split == "tinytrain")


def test_mini_of_too_few(tree):
    with pytest.raises(InputError, match="keeps 1000 pictures, 'val' has only 6"):
        datasets.read("interhand", tree, "minival")


def test_small_is_a_subset_in_official_order(tree):
    whole = [sample["key"] for sample in datasets.read("interhand", tree, "test")]
    small = [sample["key"] for sample in datasets.read("interhand", tree, "smalltest")]
    assert len(small) == 2 and set(small) < set(whole)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("interhands", ".", "val", {}), "use one of: .*interhand"),
        (("interhand", ".", "val", {"body": 1}), "'body'.*no such option(?s:.*)bodies"),
        (("interhand", "/nowhere", "val", {}), "does not exist"),
    ],
)
def test_wrong_arguments(arguments, message):
    name, root, split, options = arguments
    with pytest.raises(InputError, match=f"(?s){message}"):
        datasets.read(name, root, split, **options)


def test_wrong_source(tree):
    with pytest.raises(InputError, match="'official' or 'digit'"):
        datasets.read("interhand", tree, "val", source="pickle")


@pytest.mark.parametrize("kind", ["data", "camera", "joint_3d"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_whole_files_missing_or_cut(tree, kind, damage):
    path = interhand_tree.annotations(tree, "val", kind)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="does not exist" if damage == "missing" else "not whole JSON") as caught:
        datasets.read("interhand", tree, "val")
    assert caught.value.file == path and caught.value.mend


@pytest.mark.parametrize(
    "change, field, problem",
    [
        (lambda data: data["images"][2].pop("camera"), r"images\[2\]", "lacks 'camera'"),
        (lambda data: data["annotations"][1].pop("bbox"), r"annotations\[1\]", "lacks 'bbox'"),
        (lambda data: data["annotations"].pop(), "id", "do not go together"),
        (lambda data: data["annotations"].reverse(), "id", "do not go together"),
        (lambda data: data["annotations"][0].update(hand_type="both"), "hand_type", "unknown hand type both"),
        (lambda data: data["annotations"][0].update(bbox=[1, 2, 3]), "bbox", "wrong values"),
        (lambda data: data["annotations"][0].update(bbox=["a", 0, 1, 1]), "bbox", "wrong values"),
        (lambda data: [note["joint_valid"].pop() for note in data["annotations"]], "joint_valid", "42 values"),
        (lambda data: data.update(images=[], annotations=[]), "images", "holds no records"),
        (lambda data: [rows.append(rows[0]) for rows in data.values()], "images.id", "same id"),
    ],
)
def test_damaged_records_name_the_field(tree, change, field, problem):
    edit(tree, "data", change)
    with pytest.raises(InputError, match=problem) as caught:
        datasets.read("interhand", tree, "val")
    assert caught.value.file.name == "InterHand2.6M_val_data.json"
    assert __import__("re").search(field, caught.value.field)


def drop_camera(data):
    for group in next(iter(data.values())).values():
        group.pop("400008")


def spoil_focal(data):
    next(iter(data.values()))["focal"]["400008"] = [float("nan"), 1]


@pytest.mark.parametrize(
    "kind, change, reason",
    [
        ("camera", drop_camera, "camera is not in the camera file"),
        ("camera", spoil_focal, "camera is not finite"),
        ("joint_3d", lambda data: next(iter(data.values())).pop("2041"), "frame is not in the joint file"),
        ("data", lambda data: data["annotations"][0].update(bbox=[5, 5, 0, 10]), "box is empty or not finite"),
    ],
)  # fmt: skip
def test_single_samples_are_skipped_with_a_reason(tree, kind, change, reason):
    edit(tree, kind, change)
    reader = datasets.read("interhand", tree, "val")
    kept = list(reader)
    assert kept and len(kept) + len(reader.skipped) == len(reader) == 6
    assert {skip.reason for skip in reader.skipped} == {reason}
    assert len(list(reader)) == len(kept) and len(kept) + len(reader.skipped) == 6  # counted anew each time


def test_nan_joints(tree):
    """Marked valid in the picture: the sample is skipped. Marked invalid: made finite and left invalid."""
    image = json.loads(interhand_tree.annotations(tree, "val", "data").read_text())["images"][0]
    place = str(image["capture"]), str(image["frame_idx"])

    def spoil(joints):
        joints[place[0]][place[1]]["world_coord"][3] = [float("nan")] * 3

    edit(tree, "joint_3d", spoil)
    reader = datasets.read("interhand", tree, "val")
    list(reader)
    assert [skip.reason for skip in reader.skipped] == ["joints are not finite"]

    def unmark(data):
        data["annotations"][0]["joint_valid"][3] = [0]

    edit(tree, "data", unmark)
    reader = datasets.read("interhand", tree, "val")
    sample = next(sample for sample in reader if sample["image_id"] == image["id"])
    assert not reader.skipped
    assert np.isfinite(sample["joints_cam"]).all()
    assert not sample["joints_valid"][0, 1] and not sample["joints3d_valid"][0, 1]  # base of the right thumb


def test_early_joint_files(tree):
    """The bare 42 x 3 list under the frame gives the same coordinates."""
    expected = [sample["joints_cam"] for sample in datasets.read("interhand", tree, "val")]

    def strip(joints):
        for frames in joints.values():
            for frame, value in frames.items():
                frames[frame] = value["world_coord"]

    edit(tree, "joint_3d", strip)
    samples = list(datasets.read("interhand", tree, "val"))
    assert all(np.array_equal(sample["joints_cam"], want) for sample, want in zip(samples, expected, strict=True))
    assert all(sample["joints3d_valid"].all() for sample in samples)


def test_camera_agrees_with_the_joints(tree):
    """x_cam = cam_rot (x_world - cam_pos), all in metres."""
    frames = interhand_files.read_joints(interhand_tree.annotations(tree, "val", "joint_3d"))
    for sample in datasets.read("interhand", tree, "val"):
        world = frames.get(str(sample["capture"]), str(sample["frame"]))["joints_mm"] / 1000
        camera = (world - sample["cam_pos"]) @ sample["cam_rot"].T
        assert np.abs(camera - sample["joints_cam"]).max() < 1e-6


def fit(seed):
    values = np.random.default_rng(seed).uniform(-0.3, 0.3, 61).tolist()
    return {"pose": values[:48], "shape": values[48:58], "trans": values[58:]}


def test_fits(tree):
    sample = next(iter(datasets.read("interhand", tree, "val")))
    capture, frame = str(sample["capture"]), str(sample["frame"])
    broken = fit(1)
    broken["pose"][5] = float("nan")
    path = interhand_tree.annotations(tree, "val", "MANO_NeuralAnnot")
    path.write_text(json.dumps({capture: {frame: {"right": fit(0), "left": broken}}}))
    reader = datasets.read("interhand", tree, "val")
    samples = list(reader)
    with_fit = [sample for sample in samples if (str(sample["capture"]), str(sample["frame"])) == (capture, frame)]
    for sample in with_fit:
        assert sample["mano_valid"].tolist() == [True, False]
        assert sample["pose_from_mean"][0].tolist() == fit(0)["pose"]
        assert sample["transl_world"][0].tolist() == fit(0)["trans"]  # metres already
        assert not sample["pose_from_mean"][1].any()
    assert not any(sample["mano_valid"].any() for sample in samples if sample not in with_fit or sample is None)
    assert any("no part masks" in note for note in reader.notes)  # there are fits, but no MANO files


def test_free_hand_is_not_drawn_over_fits_of_mano(tree):
    interhand_tree.annotations(tree, "val", "MANO_NeuralAnnot").write_text("{}")
    with pytest.raises(InputError, match="free hand would be wrong"):
        datasets.read("interhand", tree, "val", bodies="free")


def test_absent_files_are_noted(tree):
    (tree / "rootnet_output/rootnet_interhand2.6m_output_val.json").unlink()
    (tree / "annotations/skeleton.txt").unlink()
    notes = "\n".join(datasets.read("interhand", tree, "val").notes)
    for name in ("skeleton.txt", "MANO_NeuralAnnot", "rootnet_interhand2.6m_output_val.json"):
        assert name in notes


def test_rootnet_entries(tree):
    path = tree / "rootnet_output/rootnet_interhand2.6m_output_val.json"
    entries = json.loads(path.read_text())
    kept = {entry["annot_id"]: entry for entry in entries[1:]}
    path.write_text(json.dumps(entries[1:]))
    reader = datasets.read("interhand", tree, "val")
    assert any("1 of 6 pictures have no entry" in note for note in reader.notes)
    for sample in reader:
        entry = kept.get(sample["image_id"])
        if entry is None:
            assert np.isnan(sample["bbox_est"]).all()
        else:
            assert np.allclose(sample["bbox_est"], entry["bbox"])
            assert np.allclose(sample["root_depth_est"] * 1000, entry["abs_depth"])
    with pytest.raises(InputError, match="does not exist"):
        datasets.read("interhand", tree, "val", rootnet=tree / "other.json")


def test_another_skeleton_is_refused(tree):
    path = tree / "annotations/skeleton.txt"
    path.write_text(path.read_text().replace("r_thumb4 0 1", "r_wrist 0 1"))
    with pytest.raises(InputError, match="r_thumb4"):
        datasets.read("interhand", tree, "val")


def test_subjects(tree):
    (tree / "annotations/subject.txt").write_text("# id directory gender\n0 Capture0 female\n")
    assert datasets.read("interhand", tree, "val").facts["subjects"] == [["0", "Capture0", "female"]]


def test_real_frames(real_data):
    reader = datasets.read("interhand", real_data / "InterHand", "test")
    samples = list(reader)
    assert len(samples) == 4 and not reader.skipped
    for sample in samples:
        pixels = interhand_data.geometry.project(sample["joints_cam"], sample["K"])[sample["joints_valid"]]
        x, y, w, h = sample["bbox"]
        assert (pixels >= (x, y)).all() and (pixels <= (x + w, y + h)).all()
        assert len(reader.complete(sample)["image"]) > 1000
