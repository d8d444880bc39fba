import interhand_tree
import lmdb
import numpy as np
import pytest

from handlib import crops, datasets, pictures
from handlib.datasets import digit_files
from handlib.datasets.base import Skip
from handlib.files import InputError
from handlib.verify import interhand_data
from handlib.verify.reference import shipped


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = interhand_tree.build(tmp_path_factory.mktemp("digit") / "InterHand", splits=())
    interhand_tree.add_digit_files(root, "test")
    return root


def test_samples_are_those_of_the_published_dataset(tree):
    """Pictures and masks from the stores give the very crops of the reference."""
    reference = shipped("interhand")
    reader = datasets.read("interhand", tree, "test", source="digit")
    arrays = reference.npz("preprocess.npz")
    for number, sample in enumerate(reader):
        sample = reader.complete(sample)
        item = crops.hand_pair(sample, root_depth="est")
        assert np.array_equal(item["image"][:, 4::8, 4::8], arrays["test/img"][number])
        assert np.array_equal(item["targets"]["segm"][::2, ::2], arrays["test/segm"][number])
        assert item["targets"]["segm_valid"] == arrays["test/segm_valid"][number]
    assert number == 9 and not reader.skipped


@pytest.mark.parametrize(
    "hands, right, left, valid",
    [
        ("right", 1.0, None, True), ("right", 1.0, 2.0, False), ("right", None, None, False), ("left", None, 0.0, True),
        ("left", float("nan"), 1.0, False), ("interacting", 1.0, 1.0, True), ("interacting", 1.0, None, False),
        ("right", float("nan"), None, True),
    ],
)  # fmt: skip
def test_mask_rule(hands, right, left, valid):
    assert digit_files.mask_valid(hands, right, left) == valid


def test_what_is_missing(tree):
    reader = datasets.read("interhand", tree, "test", source="digit")
    sample = reader[0]
    with pytest.raises(Skip, match="missing in images/interhand.lmdb"):
        reader.complete({**sample, "key": "test/none.jpg"})
    del reader.fit_errors[sample["key"]]
    assert len(list(reader)) == 9
    assert [skip.reason for skip in reader.skipped] == ["picture has no entry in meta_dict"]


def test_cut_pictures(tree, tmp_path):
    reader = datasets.read("interhand", tree, "test", source="digit")
    sample = reader[0]
    picture = interhand_data.fixture_picture(sample["image_id"], sample["height"], sample["width"])
    data = pictures.encode_png(picture)
    (tmp_path / "images").mkdir()
    lmdb.open(str(tmp_path / "segm_32.lmdb")).close()
    with lmdb.open(str(tmp_path / "images/interhand.lmdb")) as store, store.begin(write=True) as transaction:
        transaction.put(sample["key"].encode(), data[: len(data) // 2])
    with pytest.raises(Skip, match="image truncated"):
        digit_files.Completion(str(tmp_path))(sample)


@pytest.mark.parametrize("name", ["images/interhand.lmdb", "segm_32.lmdb", "cache/meta_dict_test.pkl"])
def test_missing_files(tree, name, tmp_path):
    moved = (tree / name).rename(tmp_path / "aside")
    try:
        with pytest.raises(InputError, match="does not exist"):
            datasets.read("interhand", tree, "test", source="digit")
    finally:
        moved.rename(tree / name)


def test_pickles_that_run_code_are_refused(tree, tmp_path):
    path = interhand_tree.annotations(tree, "test", "data").with_suffix(".pkl")
    whole = path.read_bytes()
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    try:
        with pytest.raises(InputError, match="system"):
            datasets.read("interhand", tree, "test", source="digit")
    finally:
        path.write_bytes(whole)


def test_masks_with_differing_channels_are_skipped(tree):
    reader = datasets.read("interhand", tree, "test", source="digit")
    sample = next(sample for sample in reader if sample["part_mask_valid"])
    completion = digit_files.Completion(str(tree))
    picture = interhand_data.fixture_picture(1, sample["height"], sample["width"])

    class Stores(digit_files.Completion):
        def _fetch(self, store, name, sample):
            return pictures.encode_png(picture) if "segm" in store else completion._fetch(store, name, sample)

    with pytest.raises(Skip, match="one class"):
        Stores(str(tree))(sample)
