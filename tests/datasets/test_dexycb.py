import dataclasses
import json
import pickle
import shutil

import dexycb_tree
import numpy as np
import pytest
import yaml

from handlib import datasets, fields, geometry, packs, protocols, submissions
from handlib.bodies import free
from handlib.datasets import dexycb_check, dexycb_files, dexycb_splits
from handlib.datasets.base import Skip
from handlib.files import InputError
from handlib.verify.reference import shipped


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return dexycb_tree.whole(tmp_path_factory.mktemp("dexycb") / "DexYCB")


@pytest.fixture
def tree(whole, tmp_path):
    """A copy to be damaged."""
    return shutil.copytree(whole, tmp_path / "DexYCB")


@pytest.fixture(scope="module")
def mano(tmp_path_factory):
    """Files that pass for MANO's: the PCA basis of either side is another one than the free hand's."""
    folder = tmp_path_factory.mktemp("bodies")
    for number, side in enumerate(dexycb_tree.SIDES):
        arrays = {name: value for name, value in free.arrays(side).items() if name != free.MARK}
        arrays["hands_components"] = np.linalg.qr(np.random.default_rng(number).normal(size=(45, 45)))[0]
        (folder / f"MANO_{side.upper()}.pkl").write_bytes(pickle.dumps(arrays))
    return folder


def _first(root, frame=1, serial=dexycb_splits.SERIALS[0], ending="labels_{:06d}.npz"):
    return root / dexycb_splits.SUBJECTS[0] / "20200709_140004" / serial / ending.format(frame)


def _meta_file(root, place=4):
    return root / dexycb_splits.SUBJECTS[0] / f"20200709_{140000 + place}" / "meta.yml"


# ------------------------------------------------------------------------------------------------- the lists


def test_setups_are_the_toolkits():
    """Sequences by subject and place, as the toolkit's own lists count them; splits share nothing and leave no rest."""
    counts = {"s0": (800, 40, 160), "s1": (700, 100, 200), "s2": (1000, 1000, 1000), "s3": (750, 100, 150)}
    for setup, expected in counts.items():
        parts = [dexycb_splits.piece(setup, split) for split in dexycb_splits.SPLITS]
        assert tuple(len(part.subjects) * len(part.sequences) for part in parts) == expected
        cells = [{(a, b, c) for a in part.subjects for b in part.serials for c in part.sequences} for part in parts]
        assert not cells[0] & cells[1] and not cells[2] & (cells[0] | cells[1])
        assert len(set.union(*cells)) == 10 * 8 * 100
    assert dexycb_splits.piece("s0", "test").sequences[:2] == (4, 9)
    assert dexycb_splits.piece("s3", "val").sequences[:6] == (15, 16, 17, 18, 19, 95)
    assert dexycb_splits.piece("s2", "val").serials == (6,)
    for wrong, field in ((("s4", "train"), "setup"), (("s0", "all"), "split")):
        with pytest.raises(InputError, match=f"no {field}"):
            dexycb_splits.piece(*wrong)


def test_images_are_in_the_toolkits_order():
    """Its own example: image 999 of s0's training is frame 53 of camera 932122060861 in the second sequence."""

    class Some:
        def __init__(self, frames):
            self.frames = frames

    sequences = [Some(72), Some(74), Some(0), Some(3)]
    listing = dexycb_splits.Listing(sequences, range(8))
    sequence, camera, frame = listing[999]
    assert (sequence, dexycb_splits.SERIALS[camera], frame) == (sequences[1], "932122060861", 53)
    naive = [(one, camera, frame) for one in sequences for camera in range(8) for frame in range(one.frames)]
    assert [tuple(listing[index]) for index in range(len(listing))] == naive
    with pytest.raises(IndexError):
        listing[len(listing)]


def test_listing_opens_no_labels(tmp_path):
    """600,000 images without one file of their own."""
    dexycb_tree.calibration(tmp_path)
    for place in range(100):
        meta = dexycb_tree.meta("left", 750)
        dexycb_tree.dump(tmp_path / dexycb_splits.SUBJECTS[0] / f"20200709_{place:06d}" / "meta.yml", meta)
    reader = datasets.read("dexycb", tmp_path, "train", setup="s1")
    assert len(reader) == 600_000
    last = reader.light(len(reader) - 1)
    assert last["key"] == "20200709-subject-01/20200709_000099/932122062010/000749" and last["image_id"] == 599_999
    with pytest.raises(Skip, match="annotation is missing"):
        reader[17]


def test_which_splits_there_are(whole):
    assert datasets.splits("dexycb", whole) == ["train", "val", "test"]
    assert datasets.splits("dexycb", whole, setup="s1") == ["train"]
    assert datasets.variant("dexycb", setup="s2") == "s2" and datasets.variant("dexycb") == "s0"
    assert datasets.variant("dexycb", source="derived") == "s0_derived"


def test_numbers_are_official_only_where_nothing_before_is_missing(whole, tree):
    train = datasets.read("dexycb", whole, "train")  # of subjects 1 to 10; 2 is missing
    assert not train.facts["official_ids"] and any("not the official numbers" in note for note in train.notes)
    val = datasets.read("dexycb", whole, "val")  # of subjects 1 and 2
    assert val.facts["official_ids"] and any("20200813-subject-02" in note for note in val.notes)
    assert datasets.read("dexycb", whole, "test").facts["official_ids"]  # of subjects 3 to 10: none before 3
    shutil.rmtree(tree / dexycb_splits.SUBJECTS[0] / "20200709_140050")
    with pytest.raises(InputError, match="holds 99 sequences, not 100(?s:.)*a subject is all there"):
        datasets.read("dexycb", tree, "val")


# ------------------------------------------------------------------------------------------------ the samples


def test_samples_are_in_the_vocabulary(whole, mano):
    reader = datasets.read("dexycb", whole, "val", bodies=mano)
    samples = list(reader)
    assert len(reader) == 20 * 8 * dexycb_tree.FRAMES and len(samples) == 2 * (8 * dexycb_tree.FRAMES - 1)
    assert {skip.reason for skip in reader.skipped} == {"no hand in the picture", "annotation is missing"}
    assert [sample["image_id"] for sample in samples[:3]] == [1, 2, 3]  # 0 has no hand and counts
    for sample in samples:
        assert set(sample) - set(fields.SAMPLE) == {"image_path"}
        left = sample["hands"] == "left"
        assert sample["side"].tolist() == [int(left)] and sample["mano_valid"].all()
        labels = np.load(sample["image_path"].replace("color", "labels").replace("jpg", "npz"))
        np.testing.assert_array_equal(sample["joints_cam"], labels["joint_3d"])
        components = dexycb_files.components(mano, dexycb_tree.SIDES[left])[1]
        expected = labels["pose_m"][0, 3:48] @ components
        np.testing.assert_allclose(sample["pose_from_mean"][0, 3:], expected, atol=1e-6)
        np.testing.assert_array_equal(sample["pose_from_mean"][0, :3], labels["pose_m"][0, :3])
        np.testing.assert_array_equal(sample["object_pose"][:3], labels["pose_y"][1])
        np.testing.assert_array_equal(sample["bbox"], geometry.tight_box(labels["joint_2d"][0]))
        assert sample["object"] == "025_mug" and sample["bbox_tight"]
    assert {sample["hands"] for sample in samples} == {"right", "left"}
    assert samples[0]["shape"][0].tolist() != samples[-1]["shape"][0].tolist()


def test_cameras_lead_to_the_masters_frame(whole):
    sample = datasets.read("dexycb", whole, "val").light(5)
    extrinsics = yaml.safe_load((whole / "calibration/extrinsics_20200702_151821/extrinsics.yml").read_text())
    camera_to_world = np.reshape(extrinsics["extrinsics"][sample["camera"]], (3, 4))
    point = np.array([0.1, -0.2, 0.6])
    world = camera_to_world[:, :3] @ point + camera_to_world[:, 3]
    np.testing.assert_allclose(
        geometry.world_to_camera(world[None], sample["cam_rot"], sample["cam_pos"])[0], point, atol=1e-12
    )


def test_without_mano_files_joints_stay(whole):
    reader = datasets.read("dexycb", whole, "val")
    sample = reader[1]
    assert not sample["mano_valid"].any() and not sample["pose_from_mean"].any() and sample["joints_cam"].any()
    assert any("mano_valid is False" in note for note in reader.notes)


def test_mano_files_beside_the_data_are_found(tree, mano):
    shutil.copytree(mano, tree.parent / "bodies")
    reader = datasets.read("dexycb", tree, "val")
    assert reader[1]["mano_valid"].all() and set(reader.sources) == {"bodies/MANO_RIGHT.pkl", "bodies/MANO_LEFT.pkl"}


def test_another_hands_file_is_refused(whole, mano, tmp_path):
    with pytest.raises(InputError, match="not of the free hand"):
        datasets.read("dexycb", whole, "val", bodies="free")
    free.write_official(tmp_path)
    with pytest.raises(InputError, match="is the free hand, and the poses are MANO's"):
        datasets.read("dexycb", whole, "val", bodies=tmp_path)
    (mano_left := tmp_path / "only").mkdir()
    shutil.copy(mano / "MANO_RIGHT.pkl", mano_left)
    with pytest.raises(InputError, match="holds no MANO_LEFT.pkl"):
        datasets.read("dexycb", whole, "val", bodies=mano_left)


def test_an_object_without_pose_is_nan(tree):
    labels = dict(np.load(_first(tree)))
    labels["pose_y"][1] = 0
    np.savez(_first(tree), **labels)
    assert np.isnan(datasets.read("dexycb", tree, "val")[1]["object_pose"]).all()


def _without(name):
    def damage(labels):
        del labels[name]

    return damage


def _changed(name, value):
    def damage(labels):
        labels[name] = value(labels[name])

    return damage


@pytest.mark.parametrize(
    "damage, reason",
    [
        (_without("pose_m"), "annotation lacks a member"),
        (_changed("joint_3d", lambda a: a[0]), "annotation has another shape"),
        (_changed("joint_2d", lambda a: a.astype(int)), "annotation has another shape"),
        (_changed("pose_y", lambda a: a[:1]), "annotation has another shape"),
        (_changed("pose_m", lambda a: a * np.nan), "annotation is not finite"),
        (_changed("pose_m", lambda a: np.array([{}])), "annotation cannot be read"),
        (_changed("joint_3d", lambda a: -a), "hand is not in front of the camera"),
        (_changed("joint_2d", lambda a: a * 0 + 5), "box is empty or not finite"),
    ],
)
def test_a_damaged_label_is_a_stated_skip(tree, damage, reason):
    labels = dict(np.load(_first(tree)))
    damage(labels)
    np.savez(_first(tree), **labels)
    reader = datasets.read("dexycb", tree, "val")
    with pytest.raises(Skip) as skip:
        reader[1]
    assert skip.value.reason == reason


def test_cut_and_missing_files_are_stated_skips(tree):
    reader = datasets.read("dexycb", tree, "val")
    path, picture = _first(tree), _first(tree, ending="color_{:06d}.jpg")
    light, data = reader.light(1), path.read_bytes()
    for content in (data[: len(data) // 2], b"", b"\x93NUMPY", pickle.dumps(1)):
        path.write_bytes(content)
        with pytest.raises(Skip, match="annotation cannot be read"):
            reader[1]
    path.write_bytes(data)
    picture.write_bytes(picture.read_bytes()[:1000])
    with pytest.raises(Skip, match="image truncated"):
        reader.complete(light)
    picture.unlink()
    with pytest.raises(Skip, match="image is missing"):
        reader.complete(light)


@pytest.mark.parametrize(
    "change, field",
    [
        ({"num_frames": "many"}, "num_frames"),
        ({"mano_sides": ["both"]}, "mano_sides"),
        ({"ycb_ids": [0, 3]}, "ycb_ids"),
        ({"ycb_grasp_ind": 2}, "ycb_grasp_ind"),
        ({"mano_calib": "one_right"}, "mano_calib"),
        ({"mano_calib": ["../elsewhere"]}, "mano_calib"),
        ({"extrinsics": 20200702}, "extrinsics"),
    ],
)
def test_a_damaged_meta_file_is_named(tree, change, field):
    path = _meta_file(tree)
    dexycb_tree.dump(path, dexycb_tree.meta("right") | change)
    with pytest.raises(InputError, match=f"140004/meta.yml: field '{field}'"):
        datasets.read("dexycb", tree, "val")


def test_yaml_runs_nothing(tree):
    path, witness = _meta_file(tree), tree / "witness"
    path.write_text(f"num_frames: !!python/object/apply:os.system ['touch {witness}']\n")
    with pytest.raises(InputError, match="is no whole YAML"):
        datasets.read("dexycb", tree, "val")
    assert not witness.exists()


def test_damaged_calibration_is_named(tree):
    calibration = tree / "calibration"
    serial = dexycb_splits.SERIALS[3]
    dexycb_tree.dump(
        calibration / "intrinsics" / f"{serial}_640x480.yml", {"color": {"fx": 1.0, "fy": 1.0, "ppx": "a", "ppy": 0}}
    )
    with pytest.raises(InputError, match=f"{serial}_640x480.yml: field 'color.ppx'"):
        datasets.read("dexycb", tree, "val")
    dexycb_tree.calibration(tree)
    dexycb_tree.dump(calibration / "mano_one_left" / "mano.yml", {"betas": [0.0] * 9})
    with pytest.raises(InputError, match="mano.yml: field 'betas': is not 10 finite numbers"):
        datasets.read("dexycb", tree, "val")
    (calibration / "mano_one_left" / "mano.yml").unlink()
    with pytest.raises(InputError, match="does not exist"):
        datasets.read("dexycb", tree, "val")
    with pytest.raises(InputError, match="none of DexYCB's subjects"):
        datasets.read("dexycb", tree / "calibration" / "intrinsics", "val")


# -------------------------------------------------------------------------------- packs and official result files


def test_a_pack_gives_a_result_file_that_the_protocol_takes(whole, mano, tmp_path):
    pack = packs.write("dexycb", whole, "val", tmp_path / "pack", workers=0, bodies=mano)
    joints, ids = pack.array("joints_cam")[:, 0], pack.index["image_id"].to_numpy()
    submissions.write("dexycb", {"id": ids, "joints_cam": joints}, tmp_path / "result.txt")
    truth = {"id": ids, "joint_3d": joints}
    found, read = submissions.dexycb.read(tmp_path / "result.txt", ids)
    assert len(found) == len(pack) and found[0] == 1
    figures = protocols.evaluate("dexycb", {"id": found, "joint_3d": read}, truth)
    assert figures["absolute_mpjpe"] < 1e-4 and figures["absolute_auc"] > 0.98


def test_windows_give_the_crops_of_the_whole_picture(whole, mano, tmp_path):
    from handlib import crops

    kept = {
        pixels: packs.write("dexycb", whole, "val", tmp_path / pixels, workers=0, bodies=mano, pixels=pixels)
        for pixels in ("reach", "whole")
    }
    for place in (0, len(kept["whole"]) - 1):  # a right and a left hand
        part, all_of_it = (kept[pixels][place] for pixels in ("reach", "whole"))
        for seed in range(5):
            augmentation = crops.draw_mano(np.random.default_rng(seed))
            one, other = (crops.mano_hand(sample, augmentation)["image"] for sample in (part, all_of_it))
            np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------------------------------------- derived annotations


def test_derived_files_are_read_and_agree(tree, mano):
    original = datasets.read("dexycb", tree, "val", bodies=mano)
    path = dexycb_tree.derived(original, original, tree / "annotations" / "DEX_YCB_s0_val_data.json")
    assert datasets.splits("dexycb", tree, source="derived") == ["val"]
    derived = datasets.read("dexycb", tree, "val", source="derived")
    for mine, theirs in zip(original, derived, strict=True):
        assert set(theirs) - set(fields.SAMPLE) == {"image_path"} and mine["key"] == theirs["key"]
        for name in ("joints_cam", "joints_img", "bbox", "K", "pose_from_mean", "shape", "side", "mano_valid"):
            np.testing.assert_array_equal(mine[name], theirs[name])
    table = dexycb_check.compare_with_derived(tree, path, "val", mano)
    assert table["largest"].max() == 0 and table.loc["frames", "verdict"] == "the same"
    assert table.loc["fingers", "verdict"] == "agrees" and table.loc["fingers", "frames"] == len(derived)
    assert set(table.index) == {"frames", "order", *dexycb_check.FIELDS}
    assert table.attrs["skipped"]["no hand in the picture"] == 2
    packed = packs.write("dexycb", tree, "val", tree / "pack", workers=0, source="derived")
    assert len(packed) == len(derived)


def test_differences_of_a_derived_file_are_named(tree, mano):
    def change(annotations):
        annotations[3]["joints_coord_cam"][5][1] += 0.002
        annotations[4]["hand_type"] = "left"
        annotations[6]["mano_param"]["pose"][0] += 0.01
        return [*annotations[1:9], *annotations[11:12], *annotations[9:11]]

    original = datasets.read("dexycb", tree, "val", bodies=mano)
    keys = [sample["key"] for sample in original]
    path = dexycb_tree.derived(original, original, tree / "elsewhere" / "mine.json", change)
    table = dexycb_check.compare_with_derived(tree, path, "val", mano)
    assert table.loc["joints_cam", "largest"] == pytest.approx(0.002) and table.loc["joints_cam", "at"] == keys[3]
    assert table.loc["hand", "largest"] == 1 and table.loc["hand", "at"] == keys[4]
    assert 0.001 < table.loc["orientation", "largest"] < 0.02 and table.loc["orientation", "at"] == keys[6]
    assert "in 1 frames" in table.loc["orientation", "verdict"] and table.loc["shape", "verdict"] == "agrees"
    assert table.loc["frames", "largest"] == len(keys) - 11 and table.loc["order", "largest"] == 1
    assert "fingers" not in dexycb_check.compare_with_derived(tree, path, "val").index  # no MANO files


def test_the_published_format(tmp_path):
    """HandOccNet's example files: every number arrives, third values of pixels left out."""
    folder = shipped("handoccnet").folder / "annotations"
    shutil.copytree(folder, tmp_path / "annotations")
    (tmp_path / "calibration").mkdir()
    for split in ("train", "test"):
        raw = json.loads((folder / f"DEX_YCB_s0_{split}_data.json").read_text())
        reader = datasets.read("dexycb", tmp_path, split, source="derived")
        kept = raw["annotations"][:-1] if split == "train" else raw["annotations"]  # in training the last has no place
        for sample, annotation in zip(reader, kept, strict=True):
            assert sample["joints_cam"][0].tolist() == annotation["joints_coord_cam"]
            assert sample["pose_from_mean"][0].tolist() == annotation["mano_param"]["pose"]
            assert sample["hands"] == annotation["hand_type"] and sample["image_id"] == annotation["image_id"]
            assert [sample["K"][0, 0], sample["K"][1, 1]] == annotation["cam_param"]["focal"]


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda one: one.pop("joints_img"), r"annotations\[1\].joints_img"),
        (lambda one: one["mano_param"].update(pose=[0.0] * 45), r"annotations\[1\].mano_param.pose"),
        (lambda one: one.update(hand_type="both"), r"annotations\[1\].hand_type"),
        (lambda one: one.update(image_id="a"), r"annotations\[1\].image_id"),
        (lambda one: one.update(image_id=1000), "no picture with id 1000"),
        (lambda one: one["cam_param"].update(focal=[float("nan"), 1]), r"annotations\[1\].cam_param.focal"),
    ],
)
def test_a_damaged_derived_file_is_named(tree, change, match):
    def damage(annotations):
        change(annotations[1])
        return annotations

    original = datasets.read("dexycb", tree, "val")
    dexycb_tree.derived(original, original, tree / "annotations" / "DEX_YCB_s0_val_data.json", damage)
    with pytest.raises(InputError, match=match):
        datasets.read("dexycb", tree, "val", source="derived")


def test_training_leaves_out_hands_outside_the_picture(tree):
    """As the published training; in the comparison with a derived file they stay."""
    folder = tree / dexycb_splits.SUBJECTS[0]
    shutil.rmtree(folder / "20200709_140003")
    shutil.move(folder / "20200709_140004", folder / "20200709_140003")  # now it is among those to train on
    shutil.copytree(folder / "20200709_140005", folder / "20200709_140004")
    for path in (folder / "20200709_140003").glob("*/labels_000001.npz"):
        labels = dict(np.load(path))
        labels["joint_2d"] += np.float32(2000)
        np.savez(path, **labels)
    train = datasets.read("dexycb", tree, "train")
    assert len(list(train)) == 7
    assert sum(skip.reason == "hand has no place in the picture" for skip in train.skipped) == 8
    first = next(index for index in range(len(train)) if "140003" in train.light(index)["key"])
    every = dataclasses.replace(train.complete, training=False)
    samples = [every.annotated(train.light(index)) for index in range(first + 1, first + 16)]
    path = dexycb_tree.derived(train, samples, tree / "annotations" / "DEX_YCB_s0_train_data.json")
    derived = datasets.read("dexycb", tree, "train", source="derived")
    assert len(derived) == 15 and len(list(derived)) == 7 and len(derived.skipped) == 8
    table = dexycb_check.compare_with_derived(tree, path, "train")
    assert table.loc["joints_cam", "frames"] == 15 and table.loc["frames", "verdict"] == "the same"


def test_derived_files_that_cannot_be(tree):
    with pytest.raises(InputError, match="does not exist"):
        datasets.read("dexycb", tree, "val", source="derived")
    with pytest.raises(InputError, match="no derived files of 's1'"):
        datasets.read("dexycb", tree, "train", setup="s1", source="derived")
    with pytest.raises(InputError, match="'original' or 'derived'"):
        datasets.read("dexycb", tree, "val", source="other")
    original = datasets.read("dexycb", tree, "val")
    path = dexycb_tree.derived(original, original, tree / "annotations" / "DEX_YCB_s0_val_data.json")
    path.write_text(path.read_text().replace("20200709-subject-01/", "../"))
    with pytest.raises(InputError, match="no path below the data"):
        datasets.read("dexycb", tree, "val", source="derived")
