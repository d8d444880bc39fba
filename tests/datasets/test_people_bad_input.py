"""Whole people that readers meet in practice: without hands, without a box, without fits, in videos that are cut."""

import json

import cv2
import numpy as np
import people_tree
import pytest

from handlib import crops, datasets, packs
from handlib.datasets import ubody_videos
from handlib.files import InputError

ANNOTATIONS = "annotations/coco_wholebody_train_v1.0.json"
FITS = "annotations/MSCOCO_train_SMPLX_all_NeuralAnnot.json"
BOX = {"mscoco": (ANNOTATIONS, "bbox"), "ehf": ("data/EHF.json", "body_bbox"),
       "ubody": ("annotations/Movie/keypoint_annotation.json", "bbox")}  # fmt: skip


def _made(name, tmp_path):
    return people_tree.SETS[name][0](tmp_path / datasets.FOLDERS[name])


def _options(name):
    return {"every": 1} if name == "ubody" else {}


def _changed(path, **members):
    """Change the first annotation of a file."""
    people_tree.change(path, lambda told: told["annotations"][0].update(members))


@pytest.mark.parametrize("name", ["mscoco", "ubody"])
def test_a_person_without_visible_hands_and_face(name, tmp_path):
    root, none = _made(name, tmp_path), {}
    for part, count in (("lefthand", 21), ("righthand", 21), ("face", 68)):
        none |= {f"{part}_valid": False, f"{part}_box": [0, 0, 0, 0], f"{part}_kpts": [0] * (3 * count)}
    _changed(root / BOX[name][0], **none)
    pack = packs.write(name, root, "train", tmp_path / "pack", workers=0, **_options(name))
    sample = pack[0]
    assert not sample["part_bbox_valid"].any() and sample["smplx_valid"][0]
    targets = crops.person(sample)["targets"]
    assert all(np.isfinite(value).all() for value in targets.values())
    assert not any(targets[f"{part}_bbox_valid"] for part in ("lhand", "rhand", "face"))
    assert targets["joint_valid"][:25].any() and not targets["joint_valid"][25:65].any()
    assert targets["joint_valid"][65:].sum() == 1  # the nose stands in for its tip, as published


@pytest.mark.parametrize("box", [[10, 5, 0, 20], [10, 5, 20, 0], [-90, 5, 20, 30], [10, 5, -4, 30]])
@pytest.mark.parametrize("name", BOX)
def test_a_person_whose_box_keeps_nothing_is_counted(name, box, tmp_path):
    root = _made(name, tmp_path)
    path, member = BOX[name]
    _changed(root / path, **{member: box})
    pack = packs.write(name, root, people_tree.SETS[name][1], tmp_path / "pack", workers=0, **_options(name))
    reason = "box is empty or outside the picture"
    moved = box[0] < 0 and box[2] > 0  # a box that starts left of the picture is moved, not cut, as published
    assert pack.manifest["skipped"]["reasons"].get(reason, 0) == (0 if moved else 1)


def test_boxes_of_ehfs_hands_without_area_count_as_none(tmp_path):
    root = _made("ehf", tmp_path)
    _changed(root / "data/EHF.json", lefthand_bbox=[4, 4, 0, 9], face_bbox=[4, 4, 9, 0])
    one, other = datasets.read("ehf", root, "test")
    assert one["part_bbox_valid"].tolist() == [False, True, False] and other["part_bbox_valid"].all()


@pytest.mark.parametrize("member", ["root_pose", "body_pose", "shape", "trans"])
def test_a_fit_without_a_needed_part_is_named(member, tmp_path):
    root = _made("mscoco", tmp_path)
    people_tree.change(root / FITS, lambda told: told["10"]["smplx_param"].pop(member) and None)
    with pytest.raises(InputError, match=rf"10.{member}"):
        datasets.read("mscoco", root, "train")


def test_fits_that_are_none_are_named(tmp_path):
    root = _made("mscoco", tmp_path)
    for value in (None, [1], {"smplx_param": None}):
        (root / FITS).write_text(json.dumps({"10": value}))
        with pytest.raises(InputError, match=FITS.split("/")[1]):
            datasets.read("mscoco", root, "train")


def test_missing_fits_are_told_and_the_persons_stay(tmp_path):
    root = _made("mscoco", tmp_path)
    (root / FITS).write_text("{}")
    reader = datasets.read("mscoco", root, "train")
    assert reader.notes == ["2 persons have no fit in MSCOCO_train_SMPLX_all_NeuralAnnot.json"]
    assert [sample["smplx_valid"].any() for sample in reader] == [False, False]
    (root / FITS).unlink()
    assert "no fits" in datasets.read("mscoco", root, "train").notes[0]
    with pytest.raises(InputError, match="MSCOCO_train_SMPLX.json"):
        datasets.read("mscoco", root, "train", fits="osx")


def _film(path, count=6):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
    size = (people_tree.WIDTH, people_tree.HEIGHT)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*kind), 30.0, size)
    for grey in range(count):
        writer.write(np.full((*size[::-1], 3), 6 * grey, np.uint8))
    writer.release()


def test_pictures_of_a_video_that_cannot_be_decoded_are_counted(tmp_path):
    """One video is whole, one cut in its middle, one not there: what can be had is packed, the rest told."""
    root = _made("ubody", tmp_path)
    for path in (root / "images").rglob("*.png"):
        path.unlink()
    folder = root / "videos/Movie"
    _film(folder / "Movie_a_Trim1.avi")
    _film(root / "videos/Talkshow/Talkshow_a_Trim1.mp4")
    whole = (root / "videos/Talkshow/Talkshow_a_Trim1.mp4").read_bytes()
    (root / "videos/Talkshow/Talkshow_a_Trim1.mp4").write_bytes(whole[: len(whole) // 2])
    table = datasets.prepare("ubody", root).set_index("video")
    assert table.pictures.to_dict() == {"Movie_a_Trim1": 6, "Talkshow_a_Trim1": 0}
    assert table.remark["Talkshow_a_Trim1"]
    pack = packs.write("ubody", root, "train", tmp_path / "pack", workers=0, every=1)
    assert pack.index["scene"].tolist() == ["Movie", "Movie"]
    assert pack.manifest["skipped"]["reasons"] == {"image is missing": 2}


def test_a_video_that_ends_early_gives_what_it_has_and_a_remark(tmp_path):
    path = tmp_path / "videos/Movie/a.avi"
    _film(path, 40)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    row = ubody_videos.cut(tmp_path).iloc[0]
    assert 5 < row.pictures < 40 and "cut short" in row.remark


def test_nothing_has_to_be_prepared_elsewhere(tmp_path):
    assert datasets.prepare("mscoco", tmp_path) is None and datasets.prepare("ubody", tmp_path) is None
