"""Files that somebody made to do harm, in every place where a data set or a pack is read: nothing in them runs, memory
and time stay bounded, and the error names file, field and mend (or the one sample is skipped with its reason).
"""

import json
import os
import pickle
import shutil
import struct

import bounded
import crafted
import dexycb_tree
import fuzz_datasets
import ho3d_tree
import numpy as np
import oakink_tree
import people_tree
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import test_agora
import torch

from handlib import datasets, packs, pictures, stores
from handlib.datasets.base import Skip, read_picture
from handlib.files import InputError

TARGETS = {target.name: target for target in fuzz_datasets.TARGETS}
MUCH = 700  # megabytes that reading may take at most


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folders of fuzzing's targets, each made once."""
    made = {}

    def folder(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            TARGETS[name].make(made[name])
        return made[name]

    return folder


@pytest.fixture
def tree(whole, tmp_path):
    """A copy to be damaged."""
    return lambda name: shutil.copytree(whole(name), tmp_path / name)


def refused(function, *words, each=(None,)):
    """What bounded reading raised: an InputError that names a file that is there and a mend, and says ``words``.

    each: function(one) is called for each of them, in one child, and has to raise each time.
    """

    def errors():
        for one in each:
            try:
                yield one, function() if one is None else function(one)
            except Exception as error:
                yield one, error

    found, took = bounded.run(lambda: list(errors()))
    assert isinstance(found, list), repr(found)[:2000]
    for one, said in found:
        assert isinstance(said, InputError), f"{one!r}: {said!r}"[:2000]
        text = str(said)
        assert said.mend and os.path.exists(str(said.file).split(", ")[0]), text
        assert all(word in text for word in words) and len(text) < 2000, text
    assert took < MUCH, f"{took} MB"


def skipped(name, root, split, **options):
    """Reasons of all samples that were left out, in a bounded reading of everything."""

    def reading():
        reader, reasons = datasets.read(name, root, split, **options), []
        for index in range(len(reader)):
            try:
                reader.complete(reader.light(index))
            except Skip as skip:
                reasons.append(f"{skip.reason} ({skip.detail})")
        return reasons

    said, took = bounded.run(reading)
    assert isinstance(said, list), repr(said)[:2000]
    assert took < MUCH, f"{took} MB"
    return said


def reads(name, root, path=None, edit=None):
    """A function that reads a target's folder; of one value, where it is that with which ``edit`` changes a file."""
    if path is None:
        return lambda: TARGETS[name].read(root)
    whole = (root / path).read_text()

    def reading(value):
        (root / path).write_text(value if edit is None else whole)
        if edit is not None:
            people_tree.change(root / path, lambda told: edit(told, value))
        TARGETS[name].read(root)

    return reading


# ------------------------------------------------------------------------------------------------ code in pickles


def _slots(value, attack, path=()):
    """(name, ``value`` with one of its members, or one inside these, being the attack)."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        rest = dict(value) if isinstance(value, dict) else list(value)
        rest[key] = attack
        yield (*path, key), rest
        if isinstance(item, dict):
            for name, inside in _slots(item, attack, (*path, key)):
                yield name, {**value, key: inside}


def _run_nothing(path, value, read, marker, raises=InputError):
    """Write ``value`` with an attack in each of its places in turn, and read."""
    count = 0
    for name, damaged in [("all of it", crafted.Attack(marker)), *_slots(value, crafted.Attack(marker))]:
        path.write_bytes(pickle.dumps(damaged, protocol=2))
        with pytest.raises(raises, match="system.*not known to be harmless"):
            read()
        assert not marker.exists(), name
        count += 1
    return count


def _read_all(name, root, split, **options):
    for sample in datasets.read(name, root, split, **options):
        assert sample


def test_no_slot_of_ho3d_runs_code(tree, tmp_path):
    root, marker = tree("ho3d"), tmp_path / "ran"
    for part, name in (("train", ho3d_tree.TRAIN[0]), ("evaluation", ho3d_tree.EVALUATION[0])):
        path, value = ho3d_tree.meta(root, part, name), ho3d_tree.annotation(part, 0)
        assert _run_nothing(path, value, lambda part=part: _read_all("ho3d", root, part), marker) > 6


def test_no_slot_of_oakink_runs_code(tree, tmp_path):
    root, marker = tree("oakink"), tmp_path / "ran"
    for kind in ("cam_intr", "hand_j", "hand_v", "obj_transf", "general_info"):
        path = oakink_tree.annotation(root, kind, 0)
        data = path.read_bytes()
        value = pickle.loads(data)
        value = value if isinstance(value, dict) else [value]
        _run_nothing(path, value, lambda: _read_all("oakink", root, "test"), marker)
        path.write_bytes(data)
    root = tree("oakink_packed")
    (path,) = (root / "image/anno_packed/default/test").iterdir()
    value = pickle.loads(path.read_bytes())
    assert _run_nothing(path, value, lambda: _read_all("oakink", root, "test", source="packed"), marker) > 6


def test_no_tensor_in_a_pickle_runs_code(tree, tmp_path):
    """torch saves a storage inside the pickle, as pickles of its own."""
    root, marker = tree("oakink"), tmp_path / "ran"
    path = oakink_tree.annotation(root, "hand_j", 0)
    raw = pickle.dumps(torch.zeros(21, 3), protocol=2)
    inner = pickle.dumps(crafted.Attack(marker), protocol=2)
    at = raw.index(b"_load_from_bytes")
    place = raw.index(b"\x80\x02", at)  # the first of the five inside
    path.write_bytes(raw[:place] + inner + raw[place:])
    said = skipped("oakink", root, "test")
    path.write_bytes(pickle.dumps(_Storage(inner), protocol=2))
    with pytest.raises(InputError, match="system"):
        _read_all("oakink", root, "test")
    assert not marker.exists() and said


class _Storage:
    def __init__(self, raw):
        self.raw = raw

    def __reduce__(self):
        return torch.storage._load_from_bytes, (self.raw,)


def test_no_slot_of_digits_files_runs_code(tree, tmp_path):
    root, marker = tree("interhand_digit"), tmp_path / "ran"
    path = root / "annotations/val/InterHand2.6M_val_data.pkl"
    value, read = pickle.loads(path.read_bytes()), lambda: _read_all("interhand", root, "val", source="digit")
    first = next(iter(value))
    assert _run_nothing(path, {first: value[first]}, read, marker) > 10
    path.write_bytes(pickle.dumps(value))
    path = root / "cache/meta_dict_val.pkl"
    errors = pickle.loads(path.read_bytes())
    first = next(iter(errors))
    _run_nothing(path, {first: errors[first]}, read, marker)


def test_no_slot_of_agoras_files_runs_code(tree, tmp_path):
    root, marker = tree("agora"), tmp_path / "ran"
    path = root / "data/gt/5.pkl"
    value = pickle.loads(path.read_bytes())
    assert _run_nothing(path, value, lambda: _read_all("agora", root, "validation"), marker) > 9
    root = tree("agora_frames")
    given = list(test_agora.rows())[1:]
    for column in given[0]:
        test_agora.write_frame(root / test_agora.FRAME, [{**given[0], column: crafted.Attack(marker)}])
        with pytest.raises(InputError, match="system.*not known to be harmless"):
            TARGETS["agora_frames"].read(root)
    assert not marker.exists()


def test_arrays_of_objects_run_nothing(tree, tmp_path):
    marker = tmp_path / "ran"
    root, data = tree("dexycb"), crafted.objects(marker)
    for path in root.rglob("labels_*.npz"):
        crafted.npz(path, joint_3d=data, joint_2d=data, pose_m=data, pose_y=data)
    assert all("Python objects" in reason for reason in skipped("dexycb", root, "val")[:3])
    root = tree("ubody")
    (root / "splits/intra_scene_test_list.npy").write_bytes(data)
    refused(reads("ubody", root), "intra_scene_test_list.npy", "Python objects")
    root = tree("pack_signed")
    (root / "pack/arrays/bbox.npy").write_bytes(data)
    refused(reads("pack_signed", root), "bbox.npy", "Python objects")
    assert not marker.exists()


# ------------------------------------------------------------------------------ what fills memory, stack and time


@pytest.mark.parametrize("name", crafted.PICKLES)
def test_pickles(name, tree):
    data = crafted.PICKLES[name]
    root = tree("agora")
    (root / "data/gt/5.pkl").write_bytes(data)
    refused(reads("agora", root), "5.pkl")
    if "code" not in name:
        root = tree("ho3d")
        ho3d_tree.meta(root, "train", ho3d_tree.TRAIN[0]).write_bytes(data)
        assert [reason for reason in skipped("ho3d", root, "train") if "annotation" in reason]


def test_values_that_hold_themselves_over_and_over(tree):
    """Nine to the 14th numbers in 14 lists."""
    root = tree("ho3d")
    for kind in (list, tuple):
        value = ho3d_tree.annotation("train", 0) | {"handJoints3D": crafted._same_twice(kind)}
        ho3d_tree.meta(root, "train", ho3d_tree.TRAIN[0]).write_bytes(pickle.dumps(value))
        assert "the same over and over" in skipped("ho3d", root, "train")[0]
    value = ho3d_tree.annotation("train", 0) | {"objName": [["x"] * 1000] * 1000}
    ho3d_tree.meta(root, "train", ho3d_tree.TRAIN[0]).write_bytes(pickle.dumps(value))
    assert "objName" in skipped("ho3d", root, "train")[0]


@pytest.mark.parametrize(
    "target, path",
    [("mscoco", "annotations/coco_wholebody_train_v1.0.json"), ("freihand", "training_K.json"),
     ("interhand", "annotations/train/InterHand2.6M_train_camera.json"), ("agora", "data/AGORA_test_bbox.json")],
)  # fmt: skip
def test_json(target, path, tree):
    refused(reads(target, tree(target), path), path.rsplit("/", 1)[-1], each=crafted.JSONS.values())


def test_yaml(tree, tmp_path):
    root, marker = tree("dexycb"), tmp_path / "ran"
    each = [text.replace("MARKER", str(marker)) for text in crafted.YAMLS.values()]
    refused(reads("dexycb", root, "calibration/mano_one_right/mano.yml"), "mano.yml", each=each)
    assert not marker.exists()


def test_zips_and_headers_of_numpys_files(tree):
    root = tree("dexycb")
    places = sorted(root.rglob("labels_*.npz"))
    joints = np.zeros((1, 21, 3), "f4").tobytes()
    crafted.npz(places[0], joint_3d=crafted.npy((1, 21, 3), data=joints + bytes(200 << 20)))
    crafted.npz(places[1], joint_3d=crafted.npy((10**12, 21, 3), data=joints))
    places[2].write_bytes(b"PK\3\4" + bytes(100))
    places[3].write_bytes(places[1].read_bytes()[:-30])
    said = skipped("dexycb", root, "val")
    assert len(places) == 4 and all("annotation cannot be read" in reason for reason in said[:4]), said[:4]
    assert any("unpacks from" in reason for reason in said) and any("its header says" in reason for reason in said)
    root = tree("ubody")
    for shape, descr in (((10**12,), "<U9"), ((1,), "<U999999999"), ((-1,), "<U9"), ((2, 2), "<f4")):
        (root / "splits/intra_scene_test_list.npy").write_bytes(crafted.npy(shape, descr, bytes(16)))
        refused(reads("ubody", root), "intra_scene_test_list.npy")


def test_meshes(tree):
    refused(reads("ehf", tree("ehf"), "data/01_align.ply"), "01_align.ply", each=crafted.PLYS.values())


def test_meshes_of_objects_open_no_other_file(tree):
    """A material may name any file as its texture: a pipe here, from which reading would never come back."""
    root = tree("oakink")
    path = next((root / "image/obj").iterdir())
    os.mkfifo(path.with_name("trap.mtl"))
    body = path.read_text()
    path.write_text(f"mtllib trap.mtl\n{body}")
    assert bounded.run(reads("oakink", root))[0] is None
    for damaged in ("v nan 0 0\n" + body, body + "f 1 2 999999\n", "f 1 2 3\n"):
        path.write_text(damaged)
        refused(reads("oakink", root), path.name)


def test_frames_of_more_columns_than_memory(tree):
    """A data frame's columns may be numbered by two numbers."""
    import pandas

    root = tree("agora_frames")
    table = pandas.DataFrame({"imgPath": [1]})
    table.columns = pandas.RangeIndex(1)
    data = pickle.dumps(table, protocol=2)
    stop = data.rindex(b"K\x01", 0, data.index(b"step"))
    (root / test_agora.FRAME).write_bytes(data[:stop] + b"\x8a\x06" + (10**12).to_bytes(6, "little") + data[stop + 2 :])
    refused(reads("agora_frames", root), "train_3_withjv.pkl")


# ---------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("name", crafted.PICTURES)
@pytest.mark.parametrize("annotated", [False, True], ids=["small", "as it claims"])
def test_pictures(name, annotated, tmp_path):
    path, side = tmp_path / "a.png", crafted.HUGE if annotated else 64
    path.write_bytes(crafted.PICTURES[name])
    said, took = bounded.run(lambda: read_picture({"key": "a", "image_path": path, "width": side, "height": side}))
    assert isinstance(said, Skip) and said.reason.startswith("image"), repr(said)[:500]
    assert took < MUCH, f"{took} MB"


@pytest.mark.parametrize("maker", [crafted.png, crafted.jpeg, crafted.bmp, crafted.tiff])
def test_pictures_that_opencv_would_take_the_memory_for(maker, tmp_path):
    path, side = tmp_path / "a.png", 30_000
    path.write_bytes(maker(side, side))
    said, took = bounded.run(lambda: read_picture({"key": "a", "image_path": path, "width": side, "height": side}))
    assert isinstance(said, Skip) and "image claims" in said.reason and took < 50, (said, took)


def test_a_mask_of_runs_that_is_larger_than_it_says():
    mask = pictures.encode_runs(np.zeros((4, 4), np.uint8))
    for header in ((4, 4), (1 << 31, 1 << 31)):
        bomb = b"RUNS" + struct.pack("<3I", *header, 3) + struct.pack("<3I", *[(1 << 32) - 1] * 3) + bytes(3)
        said, took = bounded.run(lambda bomb=bomb: pictures.decode_runs(bomb))
        assert isinstance(said, pictures.BrokenPicture) and took < MUCH
    assert not pictures.decode_runs(mask).any()


def test_files_that_never_end(tree):
    """Archives can hold pipes and links to devices."""
    root = tree("mscoco")
    picture = root / "images/train2017/000.png"
    os.remove(picture)
    os.symlink("/dev/zero", picture)
    os.remove(root / "images/train2017/001.png")
    os.mkfifo(root / "images/train2017/001.png")
    assert sum("image is no file of a picture" in reason for reason in skipped("mscoco", root, "train")) == 2
    os.remove(picture)
    with open(picture, "wb") as sparse:
        sparse.truncate(20 << 30)
    assert any("image is no file of a picture" in reason for reason in skipped("mscoco", root, "train"))
    for kind in ("coco_wholebody_train_v1.0.json", "MSCOCO_train_SMPLX_all_NeuralAnnot.json"):
        path = root / "annotations" / kind
        path.rename(root / kind)
        os.mkfifo(path)
        refused(reads("mscoco", root), kind, "is no regular file")
        (root / kind).rename(path)


@pytest.mark.parametrize(
    "target, path",
    [("mscoco", "annotations/coco_wholebody_train_v1.0.json"), ("mpii", "data/annotations/train.json"),
     ("ubody", "annotations/Movie/keypoint_annotation.json"), ("ho3d_derived", "annotations/HO3D_train_data.json"),
     ("interhand", "annotations/train/InterHand2.6M_train_data.json")],
)  # fmt: skip
def test_names_of_pictures_stay_below_the_data(target, path, tree):
    reading = reads(target, tree(target), path, lambda told, name: told["images"][0].update(file_name=name))
    refused(reading, path.rsplit("/", 1)[-1], each=crafted.NAMES)


def test_names_of_other_files_stay_below_the_data(tree):
    path = "data/AGORA_train_SMPLX.json"
    climbing = ({"smplx_param_path": "../../a.json"}, {"cam_param_path": "/../a.json"}, {"cam_param_path": None})
    reading = reads("agora", tree("agora"), path, lambda told, change: told["annotations"][0].update(change))
    refused(reading, "AGORA_train_SMPLX.json", "param_path", each=climbing)
    root = tree("oakink")
    path = oakink_tree.list_file(root)
    for entry in (["../../etc", 0, 1, 0], ["a/..", 0, 1, 0], ["a/b\0", 0, 1, 0], ["a/b", 0, 10**30, 0], [[], 0, 1, 0]):
        path.write_text(json.dumps([entry]))
        refused(reads("oakink", root), path.name)
    root = tree("dexycb")
    meta = next(root.glob("*/*/meta.yml"))
    for field in ("extrinsics", "mano_calib"):
        value = "../../../etc" if field == "extrinsics" else ["../../../etc"]
        dexycb_tree.dump(meta, dexycb_tree.meta("right", place=4, **{field: value}))
        refused(reads("dexycb", root), "meta.yml", field)


def test_links_below_the_data_are_followed(tree, tmp_path):
    """Data sets are spread over disks by links: that is the user's doing, no file's."""
    root = tree("mscoco")
    (root / "images/train2017").rename(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", root / "images/train2017")
    assert all("image" not in reason for reason in skipped("mscoco", root, "train"))


def test_names_that_are_a_page_are_names(tree, tmp_path):
    """Whoever writes a report escapes them; a reader hands them on as they are."""
    root = tree("mscoco")
    path = root / "annotations/coco_wholebody_train_v1.0.json"
    people_tree.change(path, lambda told: told["images"][0].update(file_name=crafted.SCRIPT.replace("/", "")))
    (root / "images/train2017/000.png").rename(root / "images/train2017" / crafted.SCRIPT.replace("/", ""))
    pack = packs.write("mscoco", root, "train", tmp_path / "pack", workers=0)
    assert "<script>alert(1)<script>\n\t\"'&" in pack[0]["key"] and pack.index["key"][0] == pack[0]["key"]


# ----------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    "target, path, member",
    [("mscoco", "annotations/coco_wholebody_train_v1.0.json", "bbox"), ("ehf", "data/EHF.json", "face_bbox"),
     ("agora", "data/AGORA_train_SMPLX.json", "lhand_bbox"), ("ho3d_derived", "annotations/HO3D_evaluation_data.json",
     "bbox")],
)  # fmt: skip
def test_boxes(target, path, member, tree):
    reading = reads(target, tree(target), path, lambda told, box: told["annotations"][0].update({member: box[0]}))
    refused(reading, path.rsplit("/", 1)[-1], member, each=[(box,) for box in crafted.BOXES])


def _first_of(value, *names):
    for name in names:
        value = value[next(iter(value)) if name is None else name]
    return value


@pytest.mark.parametrize(
    "target, path, place, value",
    [
        ("pw3d", "data/3DPW_test.json", ("images", 0, "cam_param", "focal"), [0, 80]),
        ("mscoco", "annotations/MSCOCO_train_SMPLX_all_NeuralAnnot.json", ("10", "cam_param", "focal"), [80, -80]),
        ("human36m", "annotations/Human36M_subject9_camera.json", ("4", "R"), [[0] * 3] * 3),
        ("human36m", "annotations/Human36M_subject9_camera.json", ("4", "f"), [0.0, 0.0]),
        ("mpi_inf_3dhp", "data/MPI-INF-3DHP_camera_1k.json", ("1", "2", "7", "R"), [[1, 0, 0]] * 3),
        ("interhand", "annotations/train/InterHand2.6M_train_camera.json", ("0", "camrot", "400"), [[0] * 3] * 3),
        ("interhand", "annotations/train/InterHand2.6M_train_camera.json", ("0", "focal", "400"), [0, 0]),
        ("agora", "data/cam/camera.json", ("focal",), [0, 0]),
        ("ho3d_derived", "annotations/HO3D_train_data.json", ("annotations", 0, "cam_param", "focal"), [0, 1]),
    ],
)  # fmt: skip
def test_cameras_that_cannot_be(target, path, place, value, tree):
    root = tree(target)
    people_tree.change(
        root / path, lambda told: _first_of(told, *place[:-1]).update({place[-1]: value}) if len(place) > 1
        else told.update({place[0]: value}))  # fmt: skip
    refused(reads(target, root), path.rsplit("/", 1)[-1])


def test_cameras_of_single_samples_that_cannot_be(tree):
    root = tree("ho3d")
    for K in (np.zeros((3, 3)), np.diag([-600.0, 600, 1]), np.diag([600.0, 600, 0])):
        value = ho3d_tree.annotation("train", 0) | {"camMat": K}
        ho3d_tree.meta(root, "train", ho3d_tree.TRAIN[0]).write_bytes(pickle.dumps(value))
        assert "camera cannot be" in skipped("ho3d", root, "train")[0]
    root = tree("oakink")
    oakink_tree.rewrite(oakink_tree.annotation(root, "cam_intr", 0), np.zeros((3, 3), np.float32))
    assert "camera cannot be" in skipped("oakink", root, "test")[0]
    root = tree("freihand")
    (root / "training_K.json").write_text(json.dumps([[[0] * 3] * 3] * 2))
    assert all("camera cannot be" in reason for reason in skipped("freihand", root, "training"))


def test_a_key_twice_is_the_later_one_as_everywhere(tree):
    root = tree("mscoco")
    path = root / "annotations/coco_wholebody_train_v1.0.json"
    path.write_text(path.read_text().replace('"width": 64', '"width": 3, "width": 64', 1))
    assert len(skipped("mscoco", root, "train")) == 2
    path.write_text(path.read_text().replace('"width": 3, "width": 64', '"width": 64, "width": 3', 1))
    assert len(skipped("mscoco", root, "train")) == 3


# ----------------------------------------------------------------------------------------------- stores and packs


def _store(path):
    import lmdb

    with lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 24) as environment:
        for row in range(300):
            with environment.begin(write=True) as transaction:
                transaction.put(f"{row:08d}/image".encode(), bytes(6000 if row % 3 else 100))
    return path.read_bytes()


def _read_store(path):
    store = stores.Store(path, "copy it again")
    return [store.get(f"{row:08d}/image".encode()) for row in range(301)]


def test_stores_that_are_damaged(tmp_path):
    path = tmp_path / "images.lmdb"
    data = _store(path)
    found = _read_store(path)
    assert [len(one) for one in found[:4]] == [100, 6000, 6000, 100] and found[300] is None
    page = 4096
    for length in (0, 100, page, 2 * page, len(data) // 2, len(data) - page):
        path.write_bytes(data[:length])
        refused(lambda: _read_store(path), "images.lmdb", "LMDB store")
    for at, value in ((16, b"\0"), (20, b"\2"), (40, b"\xff" * 4), (92, b"\4"), (136, b"\xff" * 8), (128, b"\xff" * 7)):
        damaged = bytearray(data)
        for meta in (0, page):
            damaged[meta + at : meta + at + len(value)] = value
        path.write_bytes(damaged)
        refused(lambda: _read_store(path), "images.lmdb", "LMDB store")


def test_a_store_whose_branches_have_no_end(tmp_path):
    path = tmp_path / "images.lmdb"
    data = bytearray(_store(path))
    newer = max((0, 4096), key=lambda meta: struct.unpack_from("<Q", data, meta + 144)[0])
    (root,) = struct.unpack_from("<Q", data, newer + 128)
    for number in range(struct.unpack_from("<H", data, root * 4096 + 12)[0] // 2 - 8):
        (place,) = struct.unpack_from("<H", data, root * 4096 + 16 + 2 * number)
        struct.pack_into("<HHH", data, root * 4096 + place, root, 0, 0)
    path.write_bytes(data)
    refused(lambda: _read_store(path), "branches without an end")


def test_a_store_of_digits_that_was_cut(tree):
    root = tree("interhand_digit")
    path = root / "images/interhand.lmdb/data.mdb"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(reads("interhand_digit", root), "interhand.lmdb", "cut short")


def _pack(tree):
    root = tree("pack_signed")
    return root / "pack", reads("pack_signed", root)


def test_a_pack_whose_store_was_cut(tree):
    folder, read = _pack(tree)
    path = folder / "shards/00000/images.lmdb"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(read, "images.lmdb", "cut short")


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"key": [1, 2]}), pa.table({"key": ["a"]}), pa.table({"../../x": ["a", "b"]}),
        pa.table({"key": ["a", None]}), pa.table({"image": ["a", "b"]}), pa.table({"key": [["a"], ["b"]]}),
    ],
)  # fmt: skip
def test_a_pack_of_another_schema(table, tree):
    folder, read = _pack(tree)
    for name in ("index.parquet", "index.arrow"):
        shutil.copy(folder / name, folder / f"kept.{name}")
    parquet.write_table(table, folder / "index.parquet")
    refused(read, "index.parquet")
    shutil.move(folder / "kept.index.parquet", folder / "index.parquet")
    with pa.ipc.new_file(str(folder / "index.arrow"), table.schema) as writer:
        writer.write_table(table)
    refused(read, "index.arrow")


def test_a_pack_whose_index_lies(tree):
    folder, read = _pack(tree)
    data = (folder / "index.parquet").read_bytes()
    for damaged in (
        data[:-8] + b"\xff\xff\xff\x7fPAR1",
        data[:20],
        b"PAR1" * 3,
        data[: len(data) // 2] + data[-200:],
        b"",
    ):
        (folder / "index.parquet").write_bytes(damaged)
        refused(read, "index.parquet")


@pytest.mark.parametrize(
    "field, value",
    [
        ("samples", 10**15), ("samples", -1), ("samples", "2"), ("shards", [2**62, -(2**62) + 2]), ("shards", None),
        ("arrays", {"../../../secret": {"dtype": "float32", "shape": []}}), ("arrays", {"bbox": {}}), ("arrays", []),
        ("arrays", {"bbox": {"dtype": "object", "shape": [4]}}), ("images", ["bbox"]), ("images", "image"),
        ("files", {"../../../etc/passwd": {"size": 1, "sha256": ""}}), ("files", {"/etc/passwd": {"size": 1}}),
        ("files", None), ("dataset", None), ("skipped", 3), ("options", "x"),
    ],
)  # fmt: skip
def test_manifests(field, value, tree):
    folder, read = _pack(tree)
    people_tree.change(folder / "manifest.json", lambda told: told.update({field: value}))
    refused(read, "manifest.json", f"field '{field}'")


@pytest.mark.parametrize(
    "data",
    [
        crafted.npy((10**12, 4)), crafted.npy((2, 4), "<f8", bytes(64)), crafted.npy((4, 2), "<f4", bytes(32)),
        crafted.npy((2, 4), "<f4", bytes(16)), crafted.npy((2, 4), "<f4", np.full(8, np.nan, "<f4").tobytes()),
        crafted.npy((2,) * 40), crafted.npy("(2, __import__('os').system('x'))"), crafted.npy("(" * 3000),
        b"", b"PK\3\4",
    ],
    ids=range(10),
)  # fmt: skip
def test_arrays_of_packs(data, tree):
    folder, read = _pack(tree)
    (folder / "arrays/bbox.npy").write_bytes(data)
    refused(read, "bbox.npy")


# ------------------------------------------------------------------------------------------------------- videos


def test_videos_whose_index_is_broken(tree):
    """Counts of 2^32 - 1 in the tables of an MP4 file, no table at all, a size of 65,535 x 65,535."""
    root = tree("ubody_videos")
    path = root / "videos/Movie/b.mp4"
    data = path.read_bytes()
    damaged = [data[: data.index(b"moov")], data[: len(data) - 40], b"\0\0\0\x18ftypmp42" + bytes(400)]
    for table in (b"stts", b"stsz", b"stco", b"stsc"):
        at = data.index(table)
        damaged.append(data[: at + 8] + b"\xff" * 8 + data[at + 16 :])
    at = data.index(b"mp4v", data.index(b"stsd"))
    damaged.append(data[: at + 28] + b"\xff\xff\xff\xff" + data[at + 32 :])
    for content in damaged:
        path.write_bytes(content)
        shutil.rmtree(root / "images", ignore_errors=True)
        table, took = bounded.run(lambda: datasets.prepare("ubody", root).set_index("video"))
        assert table.pictures["a"] == 6 and table.pictures["b"] <= 6 and took < MUCH, table
        assert table.pictures["b"] == 6 or table.remark["b"], table
