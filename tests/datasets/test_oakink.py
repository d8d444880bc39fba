import io
import json
import os
import pickle
import shutil

import cv2
import numpy as np
import oakink_tree
import pytest
import torch

from handlib import datasets, fields, packs, pictures, safe_pickle
from handlib.datasets import oakink_files, oakink_objects, oakink_splits, pickled_tensors
from handlib.datasets.base import Skip
from handlib.files import InputError
from handlib.verify import oakink_data
from handlib.verify.reference import shipped


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return oakink_tree.build(tmp_path_factory.mktemp("oakink") / "OakInk")


@pytest.fixture
def tree(whole, tmp_path):
    """A copy to be damaged."""
    shutil.copytree(whole, tmp_path / "OakInk")
    return tmp_path / "OakInk"


@pytest.mark.parametrize("check", oakink_data.CHECKS)
def test_every_case_of_the_reference(check):
    rows = list(check(shipped("oakink")))
    assert rows and not [row for row in rows if not row.ok]


def test_samples_are_in_the_vocabulary(whole):
    reader = datasets.read("oakink", whole, "test")
    samples = list(reader)
    assert [sample["key"] for sample in samples] == [oakink_tree.stem(number) for number in (4, 5, 0)]
    for sample in samples:
        assert set(sample) - set(fields.SAMPLE) == {"image_path"}
        assert os.path.exists(sample["image_path"])
        assert sample["joints_cam"].shape == (1, 21, 3) and sample["verts_cam"].shape == (1, 778, 3)
        assert not sample["side"].any() and sample["hands"] == "right"
    assert reader.skipped == [] and samples[0]["object"] == "A02011" and samples[0]["intent"] == "liftup"
    assert (samples[0]["subject"], samples[0]["camera"], samples[0]["view"]) == (5, "south_east_color", 1)


def test_root_or_its_image_folder(whole, tmp_path):
    keys = [[sample["key"] for sample in datasets.read("oakink", root, "test")] for root in (whole, whole / "image")]
    assert keys[0] == keys[1]
    with pytest.raises(InputError, match="holds neither image/anno/ nor anno/.*(?s:.)*folder that holds image/"):
        datasets.read("oakink", tmp_path, "test")


def test_every_mode_and_split_has_its_own_file():
    from pathlib import Path

    files = {
        (mode, split): str(oakink_splits.list_file(Path("image"), split, mode))
        for mode in oakink_splits.MODES
        for split in oakink_splits.SPLITS
    }
    assert files["default", "train+val"] == "image/anno/split/split0/seq_train.json"
    assert files["subject", "test"] == "image/anno/split/split1/seq_test.json"
    assert files["object", "train"] == "image/anno/split_train_val/split2/example_split_train.json"
    assert files["handobject", "val"] == "image/anno/split_train_val/split0_ho/example_split_val.json"
    assert {files[mode, "all"] for mode in oakink_splits.MODES} == {"image/anno/seq_all.json"}
    assert len(set(files.values())) == 4 * 4 + 1


def test_all_five_splits_of_all_four_modes_are_read(whole):
    counts = {
        (mode, split): len(datasets.read("oakink", whole, split, mode=mode))
        for mode in oakink_splits.MODES
        for split in oakink_splits.SPLITS
    }
    for mode in oakink_splits.MODES:
        assert [counts[mode, split] for split in ("all", "train+val", "test", "train", "val")] == [6, 5, 3, 4, 1]


def test_splits_that_do_not_overlap(tree):
    assert datasets.splits("oakink", tree) == ["train+val", "test"]
    oakink_tree.list_file(tree, "train+val", "object").unlink()
    assert datasets.splits("oakink", tree, mode="object") == ["train", "val", "test"]
    shutil.rmtree(tree / "image" / "anno" / "split")
    shutil.rmtree(tree / "image" / "anno" / "split_train_val")
    with pytest.raises(InputError, match="no split files of mode 'subject'"):
        datasets.splits("oakink", tree, mode="subject")
    with pytest.raises(InputError, match="'modes'.*no such option"):
        datasets.splits("oakink", tree, modes="subject")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"split": "validation"}, "no split 'validation'(?s:.)*train\\+val, train, val, test, all"),
        ({"mode": "view"}, "no mode 'view'(?s:.)*default, subject, object, handobject"),
        ({"source": "pickle"}, "'annotations' or 'packed'"),
        ({"pixels": "some"}, "'reach' or 'whole'"),
        ({"multiview": True}, "torn apart"),
        ({"source": "packed", "mode": "object"}, "anno_packed/object/test: does not exist(?s:.)*packer"),
    ],
)
def test_wrong_arguments(whole, options, message):
    with pytest.raises(InputError, match=message):
        datasets.read("oakink", whole, **{"split": "test", **options})


def test_a_handover_gives_two_samples_of_one_picture(whole):
    samples = [sample for sample in datasets.read("oakink", whole, "all") if sample["intent"] == "handover"]
    assert len({sample["image_path"] for sample in samples}) == 1
    assert [(sample["hand_number"], sample["subject"]) for sample in samples] == [(0, 1), (1, 3)]
    assert len({sample["group"] for sample in samples}) == 2
    assert np.abs(samples[0]["joints_cam"] - samples[1]["joints_cam"]).max() > 0.05


def test_four_views_of_one_moment_together(tree):
    """The stand-in has two views of one moment; the list of four is made where anno_mv is absent."""
    listed = list(datasets.read("oakink", tree, "test", mode="subject", multiview=True))
    groups = [sample["group"] for sample in listed]
    assert groups == sorted(groups) and len(set(groups)) == 3 and len(groups) == 4
    shutil.rmtree(tree / "image" / "anno_mv")
    reader = datasets.read("oakink", tree, "test", mode="subject", multiview=True)
    assert len(reader) == 12 and "extended to four views" in reader.notes[0]
    assert [reader.light(index)["view"] for index in range(4)] == [0, 1, 2, 3]
    assert [sample["key"] for sample in reader] == [sample["key"] for sample in listed]
    assert {skip.reason for skip in reader.skipped} == {"annotation is missing"}
    assert len(datasets.read("oakink", tree, "all", multiview=True)) == 20  # 5 moments and hands


def test_packed_annotations_have_no_camera_but_multi_view_ones_do(whole):
    single = next(iter(datasets.read("oakink", whole, "test", source="packed")))
    several = next(iter(datasets.read("oakink", whole, "test", mode="subject", source="packed", multiview=True)))
    assert "cam_rot" not in single and several["cam_rot"].shape == (3, 3)
    assert single["status"] == several["status"] == "false"


class Attack:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("kind", oakink_files.KINDS)
def test_a_hostile_pickle_is_refused_and_named(tree, tmp_path, kind):
    path = oakink_tree.annotation(tree, kind, 4)
    oakink_tree.rewrite(path, {"hand_anno": Attack(tmp_path / "trace")})
    with pytest.raises(safe_pickle.Refused, match="posix.mkdir'.*not known to be harmless") as caught:
        list(datasets.read("oakink", tree, "test"))
    assert caught.value.file == path and not (tmp_path / "trace").exists()
    with pytest.raises(InputError, match=path.name):
        packs.write("oakink", tree, "test", tmp_path / "pack", workers=2)


def test_a_hostile_tensor_is_refused_and_named(tree, tmp_path):
    """torch keeps a pickle of its own inside each tensor's bytes."""
    stream = io.BytesIO()
    torch.save(Attack(tmp_path / "trace"), stream, _use_new_zipfile_serialization=False)
    path = oakink_tree.annotation(tree, "general_info", 4)

    class Tensor:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (stream.getvalue(),)

    path.write_bytes(pickle.dumps({"cam_extr": Tensor()}))
    with pytest.raises(safe_pickle.Refused, match="asks for 'posix.mkdir'") as caught:
        list(datasets.read("oakink", tree, "test"))
    assert caught.value.file == path and not (tmp_path / "trace").exists()


def test_a_tensor_cannot_look_beyond_its_storage():
    flat = np.arange(4, dtype=np.float32)
    assert pickled_tensors._tensor(flat, 1, (3,), (1,)).tolist() == [1, 2, 3]
    assert pickled_tensors._tensor(flat, 0, (2, 2), (1, 2)).tolist() == [[0, 2], [1, 3]]
    assert pickled_tensors._tensor(flat, 2, (), ()).tolist() == 2
    for offset, size, stride in ((2, (3,), (1,)), (-1, (2,), (1,)), (0, (2,), (-1,)), (0, (10**9,), (0,)), (4, (), ())):
        with pytest.raises(ValueError, match="beyond its storage"):
            pickled_tensors._tensor(flat, offset, size, stride)


def general(tree, change):
    path = oakink_tree.annotation(tree, "general_info", 4)
    value = safe_pickle.read_pickle(path, pickled_tensors.readers(path))
    change(value)
    oakink_tree.rewrite(path, value)


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda tree: oakink_tree.annotation(tree, "hand_j", 4).unlink(), "annotation is missing"),
        (lambda tree: oakink_tree.annotation(tree, "hand_j", 4).write_bytes(b""), "annotation cannot be read"),
        (lambda tree: _cut(oakink_tree.annotation(tree, "general_info", 4)), "annotation cannot be read"),
        (lambda tree: _set(tree, "hand_j", np.zeros((0, 3), np.float32)), "annotation has another shape"),
        (lambda tree: _set(tree, "hand_j", None), "annotation has another shape"),
        (lambda tree: _set(tree, "hand_v", np.full((778, 3), np.nan, np.float32)), "annotation is not finite"),
        (lambda tree: _set(tree, "hand_j", np.zeros((21, 3), np.float32)), "hand is not in front of the camera"),
        (lambda tree: _set(tree, "hand_j", np.ones((21, 3), np.float32)), "box is empty or not finite"),
        (lambda tree: general(tree, lambda info: info.pop("hand_anno")), "annotation lacks a member"),
        (lambda tree: general(tree, lambda info: info.update(hand_anno=3)), "annotation lacks a member"),
    ],
)
def test_single_samples_are_skipped_with_a_reason(tree, damage, reason):
    damage(tree)
    reader = datasets.read("oakink", tree, "test")
    assert [sample["key"] for sample in reader] == [oakink_tree.stem(5), oakink_tree.stem(0)]
    assert [(skip.key, skip.reason) for skip in reader.skipped] == [(oakink_tree.stem(4), reason)]


def _cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def _set(tree, kind, value):
    oakink_tree.rewrite(oakink_tree.annotation(tree, kind, 4), value)


def test_a_listed_sample_that_is_not_there(tree):
    listed = oakink_tree.entries()[:1] + [["A01001_0001_0000/2021-09-26-19-59-58", 0, 26, 2]]
    oakink_tree.relist(tree, listed)
    reader = datasets.read("oakink", tree, "test")
    assert len(list(reader)) == 1
    assert str(reader.skipped[0]) == (
        "A01001_0001_0000__2021-09-26-19-59-58__0__26__2: annotation is missing "
        "(cam_intr/A01001_0001_0000__2021-09-26-19-59-58__0__26__2.pkl)"
    )


@pytest.mark.parametrize(
    "entry",
    [
        ["A01001_0001_0000", 0, 25, 2],
        ["../../etc/passwd", 0, 25, 2],
        ["a/..", 0, 25, 2],
        ["A/B", 0, 25],
        ["A/B", 2, 25, 2],
        ["A/B", 0, 25, 4],
        ["A/B", 0, -1, 0],
        ["A/B", 0, "25", 0],
        ["A/B", 0, 2.5, 0],
        ["A/B", True, 25, 0],
        "A/B",
        None,
    ],
)
def test_an_entry_that_is_none_is_named(tree, entry):
    oakink_tree.relist(tree, [*oakink_tree.entries()[:2], entry])
    with pytest.raises(InputError, match="hand 0 or 1, frame, camera 0..3") as caught:
        datasets.read("oakink", tree, "test")
    assert caught.value.field == "[2]" and caught.value.file == oakink_tree.list_file(tree)


@pytest.mark.parametrize("text, message", [("[]", "no list of samples"), ("{}", "no list"), ("[[1", "not whole JSON")])
def test_lists_that_are_none(tree, text, message):
    oakink_tree.list_file(tree).write_text(text)
    with pytest.raises(InputError, match=message):
        datasets.read("oakink", tree, "test")


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda path: path.unlink(), "image is missing"),
        (lambda path: _cut(path), "image truncated"),
        (
            lambda path: cv2.imwrite(str(path), np.zeros((240, 424, 3), np.uint8)),
            "image has another size than annotated",
        ),
    ],
)
def test_broken_pictures_are_skipped_and_counted_in_the_pack(tree, tmp_path, damage, reason):
    damage(oakink_tree.picture(tree, 5))
    pack = packs.write("oakink", tree, "test", tmp_path / "pack", workers=0)
    assert len(pack) == 2 and pack.manifest["skipped"]["reasons"] == {reason: 1}
    assert pack.manifest["skipped"]["first"][0][0] == oakink_tree.stem(5)


def test_packing_in_parallel_and_again(whole, tmp_path):
    pack = packs.write("oakink", whole, "all", tmp_path / "pack", workers=2, shard_size=2)
    again = packs.write("oakink", whole, "all", tmp_path / "one", workers=0)
    assert pack.manifest["mode"] == "default" and len(pack.manifest["shards"]) == 3
    for index in range(6):
        one, other = pack[index], again[index]
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)
    with pytest.raises(InputError, match="packed from other input"):
        packs.write("oakink", whole, "all", tmp_path / "pack", pixels="whole")


def test_a_pack_keeps_what_a_crop_can_reach(whole, tmp_path):
    """Nothing of a picture is lost inside the circle; a whole picture is the data set's own file."""
    reach = packs.write("oakink", whole, "all", tmp_path / "reach", workers=0)
    full = packs.write("oakink", whole, "all", tmp_path / "whole", workers=0, pixels="whole")
    assert full.encoded(0) == oakink_tree.picture(whole, 0).read_bytes()
    for part, frame in zip(map(reach.__getitem__, range(6)), map(full.__getitem__, range(6)), strict=True):
        x, y, w, h = part["window"]
        assert part["image"].shape == (h, w, 3) and frame["image"].shape == (480, 848, 3)
        box = part["bbox"]
        centre = np.trunc(box[:2] + box[2:] / 2)
        rows, columns = np.mgrid[:480, :848]
        inside = np.hypot(columns - centre[0], rows - centre[1]) <= part["reach"]
        expected = np.where(inside[..., None], frame["image"], 0)
        assert np.array_equal(part["image"], expected[y : y + h, x : x + w])
        expected[y : y + h, x : x + w] = 0
        assert not expected.any()
        assert np.isinf(frame["reach"])


def test_a_hand_outside_its_picture_is_packed(tree, tmp_path):
    joints = safe_pickle.read_pickle(oakink_tree.annotation(tree, "hand_j", 4)) + np.float32([2, 2, 0])
    _set(tree, "hand_j", joints)
    pack = packs.write("oakink", tree, "test", tmp_path / "pack", workers=0)
    assert pack[0]["image"].shape == (1, 1, 3) and not pack[0]["image"].any()


def test_a_group_is_read_together(whole, tmp_path):
    pack = packs.write("oakink", whole, "test", tmp_path / "mv", workers=0, mode="subject", multiview=True)
    groups = pack.index.groupby("group").indices
    views = [[pack[place]["camera"] for place in places] for places in groups.values()]
    assert sorted(map(len, views)) == [1, 1, 2] and ["north_east_color", "north_west_color"] in views


def test_box_has_the_published_centre_and_side():
    rng = np.random.default_rng(0)
    from handlib import geometry

    for _ in range(2000):
        points = rng.uniform(-300, 900, (21, 2)).astype(np.float32)
        if rng.random() < 0.5:  # where a last bit decides
            points[0] = np.float32(2 * rng.integers(1, 400)) - points.max(0)
        low, high = points.min(0), points.max(0)
        centre, side = geometry.centred_square(oakink_files.box(points), 1.0)
        assert centre.tolist() == [int((high[0] + low[0]) / 2), int((high[1] + low[1]) / 2)]
        assert abs(side - (high - low).max()) <= np.spacing(side)


def test_poses_of_negative_real_part_are_the_same_rotation():
    quaternions = np.random.default_rng(0).standard_normal((16, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    quaternions[3] = 1, 0, 0, 0
    one, other = (oakink_files.flat_pose(sign * quaternions, np.eye(3)) for sign in (1, -1))
    assert np.abs(oakink_data._matrices(one) - oakink_data._matrices(other)).max() < 1e-5
    assert not one.reshape(16, 3)[3].any()


def test_objects(whole, tree):
    verts, faces = oakink_objects.read(whole / "image", "A01001")
    assert verts.dtype == np.float32 and np.abs(verts.min(0) + verts.max(0)).max() < 1e-6 and faces.shape == (3, 3)
    (tree / "image" / "obj" / "A01001.obj").write_bytes(b"v 1 2\nf 9 9 9\n")
    with pytest.raises(InputError, match="cannot be read as a mesh"):
        oakink_objects.read(tree / "image", "A01001")
    with pytest.raises(InputError, match="holds no X.obj or X.ply"):
        oakink_objects.read(tree / "image", "X")


def test_status_is_noted_when_absent(tree):
    (tree / "image" / "anno" / "seq_status.json").unlink()
    reader = datasets.read("oakink", tree, "test")
    assert reader.notes == ["anno/seq_status.json is absent"] and reader.light(0)["status"] == "null"


def test_an_unlisted_sequence_of_a_large_list_costs_little(tree):
    entries = [["A01001_0001_0000/2021-09-26-19-59-58", 0, frame, view] for frame in range(20000) for view in range(4)]
    oakink_tree.list_file(tree, "all").write_text(json.dumps(entries))
    reader = datasets.read("oakink", tree, "all")
    assert len(reader) == 80000 and reader.list.rows.nbytes == 80000 * 32
    with pytest.raises(Skip, match="annotation is missing"):
        reader[79999]


def test_pixels_of_a_whole_pack_decode_to_the_frame(whole):
    sample = datasets.read("oakink", whole, "test", pixels="whole")
    complete = sample.complete(sample[0])
    assert np.array_equal(
        pictures.decode(complete["image"]), pictures.decode(oakink_tree.picture(whole, 4).read_bytes())
    )
