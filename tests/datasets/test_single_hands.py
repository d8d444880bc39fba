"""Hand by hand: InterHand2.6M, MSCOCO and FreiHAND's derived files as hand-only Pose2Pose takes them."""

import free_hands
import numpy as np
import people_tree
import pytest

from handlib import datasets, fields, geometry, packs
from handlib.datasets import interhand_hands, mscoco_hands
from handlib.files import InputError

MAKE = {"freihand": ("training", {"source": "derived"}), "interhand": ("train", {"part": "hand"}),
        "mscoco": ("train", {"part": "hand"})}  # fmt: skip


@pytest.fixture
def make(tmp_path):
    def made(name):
        root = tmp_path / name
        posed = getattr(free_hands, name)(root)
        if name == "freihand":
            free_hands.derived(root, posed)
        return root, posed

    return made


def annotation(root, kind):
    return root / "annotations" / "train" / f"InterHand2.6M_train_{kind}.json"


@pytest.mark.parametrize("name", MAKE)
def test_every_set_is_read_and_packed_in_the_vocabulary(make, tmp_path, name):
    (root, _), (split, options) = make(name), MAKE[name]
    reader = datasets.read(name, root, split, **options)
    samples = list(reader)
    for sample in samples:
        assert set(sample) - set(fields.SAMPLE) == {"image_path"} and len(sample["side"]) == 1
    assert len({sample["key"] for sample in samples}) == len(samples)
    place = packs.place(tmp_path, name, split, **options)
    pack = packs.write(name, root, split, place, workers=0, **options)
    assert place.name == f"{name}_{'derived' if name == 'freihand' else 'hand'}_{split}"
    assert len(pack) == len(samples) and pack.manifest["fits_of"] == free_hands.MODEL["model"]
    for field in ("pose_from_mean", "joints_valid", "bbox"):
        np.testing.assert_array_equal(pack[1][field], samples[1][field].astype(pack[1][field].dtype))
    assert packs.find(tmp_path, name, split, **options).folder == place


def test_interhands_hands(make):
    root, posed = make("interhand")
    reader = datasets.read("interhand", root, "train", part="hand", cameras=None)
    samples = list(reader)
    names = [sample["key"].split("/")[-2:] for sample in samples]
    assert names == [[f"image{n}.png", side] for n, side in ((0, "right"), (0, "left"), (1, "right"))] * 2
    for sample in samples:  # the last frame's left wrist is not annotated: that hand is not listed
        hand = posed[int(sample["side"][0])]
        pixels = geometry.project(sample["joints_cam"][0], sample["K"])
        np.testing.assert_allclose(sample["bbox"], geometry.tight_box(pixels), rtol=1e-4)
        there = (hand["joints"] - sample["cam_pos"]) @ sample["cam_rot"].T
        np.testing.assert_allclose(sample["joints_cam"][0], there, atol=1e-6)
        np.testing.assert_allclose(sample["transl_world"][0], hand["transl"], atol=1e-9)
        assert sample["bbox_tight"] and sample["is_3d"] and sample["mano_valid"].all()
    assert len(datasets.read("interhand", root, "train")) == 4  # pictures of both hands


def test_interhands_cameras_are_thinned_in_training(make):
    root, _ = make("interhand")
    reader = datasets.read("interhand", root, "train", part="hand", cameras=1)
    assert len(reader) == 3 and {sample["camera"] for sample in reader} == {"400"}
    assert "2 of 4 pictures are of about 1 cameras of each sequence" in reader.notes
    assert reader.options["cameras"] == 1 and len(datasets.read("interhand", root, "train", part="hand")) == 6
    # The published rule: every n-th of the sorted cameras, n = count // 10, of each sequence on its own.
    table = {"id": np.arange(31), "capture": np.array([0] * 25 + [1] * 6), "seq_name": np.zeros(31, int),
             "camera": np.r_[np.arange(25)[::-1], np.arange(6)]}  # fmt: skip
    kept = interhand_hands.kept_cameras(table, 10)
    assert sorted(table["camera"][:25][kept[:25]]) == list(range(0, 25, 2)) and kept[25:].all()


def test_interhands_hands_that_cannot_be_used(make):
    root, _ = make("interhand")

    def spoil(data):
        for note in data["annotations"]:
            note["joint_valid"] = [int(joint in (20, 41)) for joint in range(42)]  # wrists alone have no area
        data["annotations"][0]["joint_valid"] = [0] * 42  # not visible at all: not listed

    people_tree.change(annotation(root, "data"), spoil)
    reader = datasets.read("interhand", root, "train", part="hand")
    assert len(reader) == 6 and not list(reader)
    assert {skip.reason for skip in reader.skipped} == {"box is empty or outside the picture"}
    for options, message in (
        ({"part": "finger"}, "'pair' or 'hand'"),
        ({"cameras": 3, "source": "x"}, "official"),
        ({"cameras": 3}, "part='hand' too"),
    ):
        with pytest.raises(InputError, match=message):
            datasets.read("interhand", root, "train", **options)


def test_mscocos_hands(make):
    root, posed = make("mscoco")
    reader = datasets.read("mscoco", root, "train", part="hand")
    samples = list(reader)
    assert [(sample["person"], sample["hands"]) for sample in samples] == [(10, "left"), (10, "right"), (11, "left")]
    (skip,) = reader.skipped
    assert len(reader) == 4 and skip.key == "001/11/right" and skip.reason.startswith("box is empty")
    assert reader.notes == [f"2 hands have no fit in {mscoco_hands.FITS}"]  # the published code stops there
    one = posed[10, "left"]
    np.testing.assert_allclose(samples[0]["joints_img"][0], geometry.project(one["joints"], free_hands.K), rtol=1e-5)
    np.testing.assert_allclose(samples[0]["pose_from_mean"][0], one["pose"], atol=1e-6)
    np.testing.assert_allclose(samples[0]["transl_cam"][0], one["transl"], atol=1e-6)
    np.testing.assert_allclose(samples[0]["K"], free_hands.K)
    assert samples[0]["mano_valid"].all() and not samples[2]["mano_valid"].any()
    assert not samples[2]["pose_from_mean"].any() and not samples[0]["is_3d"] and "joints_cam" not in samples[0]


def test_mscocos_hands_without_a_fit_or_without_any(make):
    root, _ = make("mscoco")
    fits = root / "annotations" / mscoco_hands.FITS
    people_tree.change(fits, lambda value: value["10"].update(left=None))
    samples = list(datasets.read("mscoco", root, "train", part="hand"))
    assert [bool(sample["mano_valid"][0]) for sample in samples] == [False, True, False]
    reader = datasets.read("mscoco", root, "train", part="hand", fits="none")
    assert not any(sample["mano_valid"].any() for sample in reader) and "no fits" in reader.notes[0]
    people_tree.change(fits, lambda value: value["10"]["right"]["mano_param"].update(pose=[0.0] * 47))
    with pytest.raises(InputError, match=r"10.right.mano_param.pose(?s:.)*\[48\] finite numbers"):
        datasets.read("mscoco", root, "train", part="hand")
    fits.unlink()
    assert "is not there" in datasets.read("mscoco", root, "train", part="hand").notes[0]
    with pytest.raises(InputError, match=mscoco_hands.FITS):
        datasets.read("mscoco", root, "train", part="hand", fits="mano")


def test_mscocos_hands_are_listed_where_they_are_valid(make):
    root, _ = make("mscoco")
    file = root / "annotations" / "coco_wholebody_train_v1.0.json"
    people_tree.change(file, lambda value: value["annotations"][0].update(lefthand_valid=False, lefthand_kpts=None))
    assert [s["key"] for s in datasets.read("mscoco", root, "train", part="hand")] == ["000/10/right", "001/11/left"]
    people_tree.change(file, lambda value: value["annotations"][0].update(righthand_kpts=[1.0] * 62))
    with pytest.raises(InputError, match="righthand_kpts"):
        datasets.read("mscoco", root, "train", part="hand")
    with pytest.raises(InputError, match="'whole'(?s:.)*write None"):
        datasets.read("mscoco", root, "train", pixels="whole")
    with pytest.raises(InputError, match="'body' or 'hand'"):
        datasets.read("mscoco", root, "train", part="feet")


def test_freihands_derived_files(make):
    root, posed = make("freihand")
    assert datasets.splits("freihand", root, source="derived") == ["training", "evaluation"]
    samples = list(datasets.read("freihand", root, "training", source="derived"))
    for number, (sample, one) in enumerate(zip(samples, posed["training"], strict=True)):
        assert sample["image_id"] == number and sample["image_path"].endswith(f"training/rgb/{number:08d}.jpg")
        np.testing.assert_allclose(sample["joints_cam"][0], one["joints"], atol=1e-12)
        np.testing.assert_allclose(sample["pose_from_mean"][0], one["pose"], atol=1e-12)
        np.testing.assert_allclose(sample["transl_cam"][0], one["transl"], atol=1e-12)
        assert sample["joints_of_fit"] and not sample["bbox_tight"] and "bbox_final" in sample
    (hidden, *_) = datasets.read("freihand", root, "evaluation", source="derived")
    np.testing.assert_array_equal(hidden["bbox"], [0, 0, 224, 224])
    assert hidden["bbox_final"] and not hidden["joints_valid"].any() and not hidden["mano_valid"].any()
    # RootNet's boxes with the release's own lists, where the truth is known
    known = datasets.read("freihand", root, "evaluation", boxes="rootnet")
    sample = known[2]
    assert known.options == {"boxes": "rootnet"} and sample["bbox_final"] and not sample["bbox_tight"]
    np.testing.assert_array_equal(sample["bbox"], [0, 0, 224, 224])
    np.testing.assert_allclose(sample["joints_cam"][0], posed["evaluation"][2]["joints"], atol=1e-12)


@pytest.mark.parametrize(
    "file, change, split, message",
    [
        ("freihand_train_data.json", lambda value: value.pop("1"), "training", "field '1': is missing"),
        ("freihand_train_data.json", lambda value: value["1"].pop("mano_param"), "training", "1.mano_param.pose"),
        ("freihand_train_coco.json", lambda value: value["images"][2].pop("db_idx"), "training", "db_idx"),
        ("rootnet_output/bbox_root_freihand_output.json", lambda value: value[:2], "evaluation", "no box of picture 2"),
        ("rootnet_output/bbox_root_freihand_output.json",
         lambda value: value[1].update(bbox=[5.0, 5, 0, 3]), "evaluation", "no area"),
    ],
)  # fmt: skip
def test_derived_files_that_lack_something(make, file, change, split, message):
    root, _ = make("freihand")

    def edited(value):
        other = change(value)
        return other if isinstance(other, list) else None

    people_tree.change(root / file, edited)
    with pytest.raises(InputError, match=message):
        datasets.read("freihand", root, split, source="derived")
    (root / file).unlink()
    with pytest.raises(InputError, match="To mend it"):
        datasets.read("freihand", root, split, source="derived")


def test_derived_boxes_and_options_that_cannot_be_used(make, tmp_path):
    root, _ = make("freihand")
    people_tree.change(
        root / "freihand_train_coco.json", lambda value: value["annotations"][0].update(bbox=[300.0, 300, 5, 5])
    )
    reader = datasets.read("freihand", root, "training", source="derived")
    assert [sample["image_id"] for sample in reader] == [1, 2]
    assert [skip.reason for skip in reader.skipped] == ["box is empty or outside the picture"]
    with pytest.raises(InputError, match="'all'"):
        datasets.read("freihand", root, "training", source="derived", backgrounds="gs")
    for options, message in (({"source": "other"}, "'official' or 'derived'"), ({"boxes": "mine"}, "'own' or")):
        with pytest.raises(InputError, match=message):
            datasets.read("freihand", root, "evaluation", **options)
    with pytest.raises(InputError, match="freihand_train_coco"):
        datasets.splits("freihand", tmp_path, source="derived")
    assert packs.place("packs", "freihand", "evaluation", boxes="rootnet").name == "freihand_rootnet_evaluation"
