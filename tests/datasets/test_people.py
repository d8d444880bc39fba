import json

import cv2
import numpy as np
import people_tree
import pytest
from people_tree import SETS

from handlib import body_joints, datasets, fields, packs, pictures
from handlib.datasets import agora_crops, ehf, ubody, ubody_videos
from handlib.datasets.base import Skip
from handlib.files import InputError

J = {name: place for place, name in enumerate(body_joints.SMPLX137.joints)}


def _options(name):
    return {"every": 2} if name == "ubody" else {}


@pytest.fixture
def make(tmp_path):
    return lambda name: SETS[name][0](tmp_path / datasets.FOLDERS[name])


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_read_and_packed_in_the_vocabulary(make, tmp_path, name):
    _, split, listed, used = SETS[name]
    root = make(name)
    assert split in datasets.splits(name, root)
    reader = datasets.read(name, root, split, **_options(name))
    samples = list(reader)
    assert (len(reader), len(samples)) == (listed, used) and len(reader.skipped) == listed - used
    for sample in samples:
        assert set(sample) - set(fields.SAMPLE) == {"image_path"}
        assert np.isfinite(sample["K"]).all() and sample["smplx_pose"].shape == (55, 3)
    pack = packs.write(name, root, split, tmp_path / "pack", workers=0, **_options(name))
    assert len(pack) == used and pack[0]["key"] == samples[0]["key"]
    np.testing.assert_array_equal(pack[0]["image"], cv2.imread(samples[0]["image_path"])[..., ::-1])
    np.testing.assert_array_equal(pack[0]["smplx_pose"], samples[0]["smplx_pose"])


@pytest.mark.parametrize("name", SETS)
def test_missing_cut_and_unknown_input_is_named(make, tmp_path, name):
    split = SETS[name][1]
    with pytest.raises(InputError, match="To mend it"):
        datasets.read(name, tmp_path / "nowhere", split)
    with pytest.raises(InputError, match="To mend it"):
        datasets.splits(name, tmp_path)
    root = make(name)
    with pytest.raises(InputError, match="no such split"):
        datasets.read(name, root, "nonsense")
    largest = max(root.rglob("*.json"), key=lambda path: path.stat().st_size * ("images" in path.read_text()))
    largest.write_text(largest.read_text()[:-40])
    with pytest.raises(InputError, match=largest.name):
        datasets.read(name, root, "validation" if largest.name == "AGORA_validation.json" else split)


def test_pictures_that_are_missing_or_of_another_size_are_skipped(make, tmp_path):
    root = make("mscoco")
    (root / "images/train2017/000.png").unlink()
    people_tree.picture(root / "images/train2017/001.png", size=(50, 40))
    reader = datasets.read("mscoco", root, "train")
    reasons = []
    for sample in reader:
        with pytest.raises(Skip) as caught:
            reader.complete(sample)
        reasons.append(caught.value.reason)
    assert reasons == ["image is missing", "image has another size than annotated"]
    with pytest.raises(InputError, match="no sample could be used"):
        packs.write("mscoco", root, "train", tmp_path / "pack", workers=0)


def test_coco_joints_fits_and_boxes_are_those_of_the_files(make):
    root = make("mscoco")
    told = json.loads((root / "annotations/coco_wholebody_train_v1.0.json").read_text())["annotations"]
    fit = json.loads((root / "annotations/MSCOCO_train_SMPLX_all_NeuralAnnot.json").read_text())["10"]["smplx_param"]
    reader = datasets.read("mscoco", root, "train")
    one, other = reader
    assert [skip.reason for skip in reader.skipped] == ["annotation is a crowd's", "person has no keypoints"]
    assert "1 persons have no fit" in reader.notes[0] and (one["person"], other["person"]) == (10, 13)
    body = np.reshape(told[0]["keypoints"], (17, 3))[:, :2]
    pixels, valid = one["person_joints_img"], one["person_joints_valid"]
    np.testing.assert_allclose(pixels[J["Nose"]], body[0], rtol=1e-6)
    np.testing.assert_allclose(pixels[J["Pelvis"]], body[[11, 12]].mean(0), rtol=1e-6)
    np.testing.assert_allclose(pixels[J["Face_18"]], body[0], rtol=1e-6)  # the nose stands in
    hand = np.reshape(told[0]["lefthand_kpts"], (21, 3))
    np.testing.assert_allclose(pixels[J["L_Index_1"]], hand[5, :2], rtol=1e-6)
    np.testing.assert_allclose(pixels[J["R_Heel"]], np.reshape(told[0]["foot_kpts"], (6, 3))[5, :2], rtol=1e-6)
    np.testing.assert_allclose(pixels[J["Face_56"]], np.reshape(told[0]["face_kpts"], (68, 3))[0, :2], rtol=1e-6)
    assert valid[J["L_Index_1"]] and not valid[J["R_Index_1"]] and not valid[J["Neck"]] and not one["is_3d"]
    assert one["part_bbox_valid"].tolist() == [True, False, True]
    np.testing.assert_array_equal(one["lhand_bbox"], [12, 8, 6, 7])
    assert one["smplx_valid"].tolist() == [True, True, False, True] and not other["smplx_valid"].any()
    np.testing.assert_allclose(one["smplx_pose"][25:40].ravel(), fit["lhand_pose"], rtol=1e-6)
    assert not one["smplx_pose"][40:].any() and not one["smplx_pose_valid"][40:].any()
    np.testing.assert_allclose(one["smplx_pose"][22], fit["jaw_pose"], rtol=1e-6)
    np.testing.assert_allclose(one["K"][[0, 1], [0, 1]], people_tree.CAMERA["focal"])
    assert other["K"][0, 0] > 900  # nothing is known: the published virtual camera


def test_odd_annotations_are_named(make):
    root = make("mscoco")
    path = root / "annotations/coco_wholebody_train_v1.0.json"
    people_tree.change(path, lambda told: told["annotations"][0].update(keypoints=[1, 2, 3]))
    with pytest.raises(InputError, match=r"annotations\[0\].keypoints"):
        datasets.read("mscoco", root, "train")
    people_tree.change(path, lambda told: told["images"][0].update(file_name="../secret.png"))
    with pytest.raises(InputError, match="no path below the data"):
        datasets.read("mscoco", root, "train")


def test_a_hand_box_without_area_counts_as_none(make):
    root = make("mscoco")
    path = root / "annotations/coco_wholebody_train_v1.0.json"
    people_tree.change(path, lambda told: told["annotations"][0].update(lefthand_box=[4.0, 4.0, 0.0, 3.0]))
    sample = datasets.read("mscoco", root, "train")[0]
    assert sample["part_bbox_valid"].tolist() == [False, False, True]
    np.testing.assert_array_equal(sample["lhand_bbox"], [0, 0, 1, 1])


def test_real_frames_of_coco_are_read(real_data, tmp_path):
    reader = datasets.read("mscoco", real_data / "MSCOCO", "val")
    samples = list(reader)
    assert len(reader) == 14 and len(samples) == 12
    for sample in samples:
        x, y, w, h = sample["bbox"]
        nose = sample["person_joints_img"][J["Nose"]]
        if sample["person_joints_valid"][J["Nose"]]:
            assert x <= nose[0] <= x + w and y <= nose[1] <= y + h
    pack = packs.write("mscoco", real_data / "MSCOCO", "val", tmp_path / "pack", workers=0)
    assert len(pack) == 12 and pack[0]["image"].shape == (425, 640, 3)


def test_meshes_of_ehf_are_in_the_cameras_frame(make):
    one, other = datasets.read("ehf", make("ehf"), "test")
    np.testing.assert_array_equal(one["smplx_verts"], other["smplx_verts"])  # from text and from bytes
    verts = np.arange(15, dtype=np.float64).reshape(5, 3)
    np.testing.assert_allclose(one["smplx_verts"], verts @ ehf.ROTATION.T + ehf.SHIFT, rtol=1e-6)
    assert one["bbox_whole"] and one["part_bbox_valid"].all() and not one["smplx_valid"].any()


def test_a_damaged_or_absent_mesh_is_told(make):
    root = make("ehf")
    path = root / "data/02_align.ply"
    path.write_bytes(path.read_bytes()[:-7])
    reader = datasets.read("ehf", root, "test")
    with pytest.raises(InputError, match="02_align.ply"):
        reader[1]
    path.unlink()
    assert len(list(reader)) == 1 and reader.skipped[0].reason == "there is no mesh"


def test_ubodys_lists_decide_what_is_test(make):
    root = make("ubody")

    def videos(split, **options):
        return {sample["sequence"] for sample in datasets.read("ubody", root, split, every=1, **options)}

    assert videos("train") == {"Movie_a", "Talkshow_a"} and videos("test") == {"Movie_b", "Talkshow_b"}
    assert videos("test", test_list="inter") == {"Movie_a", "Movie_b"}
    assert videos("train", scenes=["Movie"]) == {"Movie_a"}
    assert len(datasets.read("ubody", root, "train")) == 0  # every tenth
    assert datasets.variant("ubody", test_list="inter") == "inter_scene"
    assert datasets.variant("agora", source="osx", resolution="1280x720") == "osx_1280x720"
    assert datasets.variant("agora") == ""
    with pytest.raises(InputError, match="Talkshow"):
        datasets.read("ubody", root, "train", scenes=["Talkshov"])
    np.save(root / "splits/intra_scene_test_list.npy", np.array(["Movie_b"], object), allow_pickle=True)
    with pytest.raises(InputError, match="holds Python objects"):
        datasets.read("ubody", root, "train")


def test_ubody_skips_what_cannot_be_used(make):
    root = make("ubody")
    folder = root / "annotations/Movie"
    people_tree.change(folder / "keypoint_annotation.json", lambda told: told["annotations"][0].update(valid_label=0))
    people_tree.change(folder / "smplx_annotation.json", lambda told: told.pop("1") and None)
    reader = datasets.read("ubody", root, "train", scenes=["Movie"], every=1)
    assert list(reader) == []
    assert [skip.reason for skip in reader.skipped] == ["annotation is marked as not valid", "there is no fit"]
    sample = datasets.read("ubody", root, "train", scenes=["Talkshow"], every=1)[0]
    assert sample["smplx_valid"].tolist() == [True, True, False, True]  # as the annotation says
    np.testing.assert_allclose(sample["lhand_bbox"], [13.05, 9.225, 3.9, 4.55], rtol=1e-6)


def test_videos_become_pictures_and_a_broken_one_does_not_stop_the_others(tmp_path):
    folder = tmp_path / "videos/Movie"
    folder.mkdir(parents=True)
    writer = cv2.VideoWriter(str(folder / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 15.0, (64, 48))
    for grey in (10, 120, 230):
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    (folder / "b.mp4").write_bytes(b"no video at all")
    table = ubody_videos.cut(tmp_path).set_index("video")
    assert table.pictures.to_dict() == {"a": 6, "b": 0} and "cannot be opened" in table.remark["b"]
    found = sorted((tmp_path / "images/Movie/a").glob("*.png"))
    assert [path.name for path in found] == [f"{n:06d}.png" for n in range(1, 7)]
    shown = [int(pictures.decode(path.read_bytes()).mean()) for path in found]
    assert np.abs(np.array(shown) - [10, 10, 120, 120, 230, 230]).max() <= 3
    assert ubody_videos.cut(tmp_path, videos=["a"]).remark.tolist() == ["was there"]
    with pytest.raises(InputError, match="holds no"):
        ubody_videos.cut(tmp_path, scenes=["Talkshow"])


def test_the_video_of_a_part_is_its_video():
    assert [ubody.video(name) for name in ("v_Trim3/000001.png", "v/1.png", "1.png")] == ["v", "v", ""]


def test_agora_of_hand4whole(make):
    root = make("agora")
    reader = datasets.read("agora", root, "train")
    one, _ = reader
    assert reader.skipped[0].reason == "person is marked as not valid"
    assert one["bbox_final"] and one["joints_of_fit"] and one["is_3d"] and one["gender"] == "female"
    assert one["smplx_valid"].all() and one["picture"] == "ag_0.png" and one["person"] == 0
    np.testing.assert_allclose(one["picture_affine"], people_tree.AFFINE)
    np.testing.assert_allclose(one["K"], [[192, 0, 188], [0, 192, 100], [0, 0, 1]])
    np.testing.assert_allclose(one["face_bbox"], [16, 2, 7, 8], rtol=1e-5)  # one pixel less, as a box that is inside
    whole = datasets.read("agora", root, "train", resolution="1280x720")[0]
    np.testing.assert_allclose(whole["K"], [[640, 0, 640], [0, 640, 360], [0, 0, 1]])
    np.testing.assert_allclose(whole["bbox"], np.array([50, 90, 380, 400]) / 3, rtol=1e-6)
    assert not whole["bbox_final"] and whole["width"] == 1280
    (root / "data/images_3840x2160/train_0_crop/ag_0_person_id_1.json").unlink()
    assert len(list(reader)) == 1 and reader.skipped[0].reason == "there is no crop of this person"


def test_agora_of_osx_and_the_test_boxes(make):
    root = make("agora")
    reader = datasets.read("agora", root, "validation")
    one = reader[0]
    light = reader.complete(reader.light(0))
    assert light.keys() - {"image"} == one.keys() - {"files"} and one["smplx_verts"].shape == (7, 3)
    assert one["person_joints_valid"].sum() == 137 - 4 - 17 and one["is_3d"] and not one["joints_of_fit"]
    told = np.array(json.loads((root / "data/gt/joints_2d_5.json").read_text()))
    np.testing.assert_allclose(one["person_joints_img"][0], told[0] * 0.1 - [4, 8], rtol=1e-5)
    assert not one["smplx_pose_valid"][0] and not one["smplx_joints_valid"].any() and one["smplx_valid"].all()
    assert one["smplx_shape"].shape == (10,) and one["person"] == 5
    test = list(datasets.read("agora", root, "test"))
    assert [sample["person"] for sample in test] == [0, 1] and test[0]["picture"] == "ag_t.png"
    assert not test[0]["smplx_valid"].any() and datasets.splits("agora", root) == ["train", "validation", "test"]
    (root / "data/gt/5.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError, match="not known to be harmless"):
        reader[0]


@pytest.mark.parametrize("name", ["human36m", "mpi_inf_3dhp"])
def test_world_joints_are_in_the_cameras_frame(make, name):
    root = make(name)
    path = next(root.rglob("*joint_3d.json") if name != "human36m" else root.rglob("*subject9_joint_3d.json"))
    (frames,) = next(iter(json.loads(path.read_text()).values())).values()
    samples = list(datasets.read(name, root, SETS[name][1]))
    assert [sample["frame"] for sample in samples] == ([0, 64] if name == "human36m" else [0, 3])
    sample = samples[0]
    world = np.array(frames["0"])
    camera = (world @ np.array(people_tree.TURN).T + people_tree.SHIFT) / 1000
    source = body_joints.HUMAN36M17 if name == "human36m" else body_joints.MPI_INF_3DHP17
    place = source.joints.index("L_Knee")
    np.testing.assert_allclose(sample["person_joints_cam"][J["L_Knee"]], camera[place], rtol=1e-5)
    pixel = camera[place, :2] / camera[place, 2] * people_tree.CAMERA["focal"] + people_tree.CAMERA["princpt"]
    np.testing.assert_allclose(sample["person_joints_img"][J["L_Knee"]], pixel, rtol=1e-5)
    assert sample["smplx_valid"].tolist() == [True, False, False, False]
    assert not sample["smplx_pose_valid"][20] and not sample["smplx_joints_valid"][J["L_Heel"]]
    np.testing.assert_allclose(sample["smplx_world"], people_tree.TURN)
    fitted = [sample["smplx_valid"][0] for sample in samples]
    assert fitted == ([True, False] if name == "human36m" else [True, True])


def test_3dpw_has_bodies_of_smpl(make):
    one, other = datasets.read("pw3d", make("pw3d"), "test")
    assert (one["gender"], other["gender"]) == ("male", "female") and one["smpl_pose"].shape == (24, 3)
    np.testing.assert_allclose(one["smpl_transl"], [0, 0.1, 4.0], rtol=1e-6)
    np.testing.assert_allclose(one["K"][0, 0], 80.0)


@pytest.mark.parametrize("which", ["hand4whole", "osx"])
def test_crops_of_agora_are_made_and_read(make, which):
    data = make("agora") / "data"
    split, top, stem = {
        "hand4whole": ("train", "images_3840x2160/train_0", "ag_0_person_id_1"),
        "osx": ("validation", "3840x2160/validation", "ag_1_ann_id_5"),
    }[which]
    crop = data / f"{top}_crop" / f"{stem}.png"
    for path in crop.parent.iterdir():
        path.unlink()
    assert len(list(datasets.read("agora", data.parent, split))) == 0
    source = data / top / ("ag_0.png" if which == "hand4whole" else "ag_1.png")
    written, failed = agora_crops.make(data.parent, [split])
    assert written == 0 and failed[0][0].endswith(source.name)  # there is no picture yet
    x, y = np.meshgrid(np.arange(3840) // 16, np.arange(2160) // 16)
    source.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(source), np.stack([x, y, x * 0], -1).astype(np.uint8)[..., ::-1])
    written, failed = agora_crops.make(data.parent, [split])
    assert (written, failed) == (3 if which == "hand4whole" else 2, [])
    assert agora_crops.make(data.parent, [split]) == (0, [])  # what is there stays
    reader = datasets.read("agora", data.parent, split)
    sample = reader.complete(reader.light(0))
    image, affine = pictures.decode(sample["image"]), sample["picture_affine"]
    assert image.shape == (512, 384, 3)
    for place in ((100, 200), (300, 260)):
        back = np.linalg.solve(affine[:, :2], np.array(place) - affine[:, 2])
        assert np.abs(image[place[1], place[0], :2] - back / 16).max() < 1.1
    low, high = affine @ [50, 90, 1], affine @ [430, 490, 1]
    np.testing.assert_allclose((low + high) / 2, [192, 256], atol=0.7 if which == "osx" else 1e-3)


def test_a_cut_picture_of_agora_does_not_stop_the_others(make):
    data = make("agora") / "data"
    for path in (data / "images_3840x2160/train_0_crop").iterdir():
        path.unlink()
    (data / "images_3840x2160/train_0").mkdir()
    (data / "images_3840x2160/train_0/ag_0.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    written, failed = agora_crops.make(data.parent, ["train"])
    assert written == 0 and len(failed) == 1
    with pytest.raises(InputError, match="holds no"):
        agora_crops.make(data.parent / "nowhere", ["train"])
