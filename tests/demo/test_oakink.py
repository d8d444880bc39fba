"""OakInk's demo data: official layout, consistent with themselves, hands that hold what they hold."""

import functools
import itertools
import json
import re

import cv2
import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree

from handlib import bodies, datasets, demo, geometry, packs, render, safe_pickle
from handlib.bodies import free
from handlib.datasets import oakink_files, oakink_objects, oakink_splits, pickled_tensors
from handlib.demo import grasps, oakink, pool, scene
from handlib.files import InputError, read_json, sha256

FRAMES = 48
MODES = ("default", "subject", "object", "handobject")
SPLITS = ("train+val", "train", "val", "test")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return demo.make_oakink(tmp_path_factory.mktemp("demo") / "OakInk", frames=FRAMES, show_progress=False)


@pytest.fixture(scope="module")
def samples(data):
    return list(datasets.read("oakink", data, "all"))


def _stem(entry):
    return "__".join(map(str, entry)).replace("/", "__")


def _entries(data, split, mode, folder="anno"):
    names = {"train+val": ("split", "seq_train"), "test": ("split", "seq_test")}
    base, name = names.get(split, ("split_train_val", f"example_split_{split}"))
    path = data / "image" / folder / base / oakink._FOLDERS[mode] / f"{name}.json"
    return [tuple(entry) for entry in read_json(path)]


def test_every_file_is_there(data):
    image = data / "image"
    entries = read_json(image / "anno" / "seq_all.json")
    shown = {f"{sequence}/{view}_color_{frame}.png" for sequence, _, frame, _ in entries for view in oakink.VIEWS}
    folder = image / "stream_release_v2"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")} == shown and len(shown) == FRAMES
    stems = {_stem(entry) for entry in entries}
    assert len(stems) == len(entries) > FRAMES  # handovers: two samples of one picture
    for kind in oakink_files.KINDS:
        assert {path.stem for path in (image / "anno" / kind).iterdir()} == stems
    assert set(read_json(image / "anno" / "seq_status.json")) == {entry[0] for entry in entries}
    assert {entry[0].split("_")[0] for entry in entries} == {path.stem for path in (image / "obj").iterdir()}
    for path in itertools.islice(folder.rglob("*.png"), 4):
        picture = cv2.imread(str(path))
        assert picture.shape == (480, 848, 3) and picture.std() > 10 and path.stat().st_size < 600_000


def test_handovers_have_two_hands_in_one_picture(data):
    entries = [tuple(entry) for entry in read_json(data / "image" / "anno" / "seq_all.json")]
    seconds = [entry for entry in entries if entry[1] == 1]
    assert seconds and all("_0004_" in entry[0] for entry in seconds)
    for sequence, _, frame, view in seconds:
        assert (sequence, 0, frame, view) in entries
        assert re.fullmatch(r"D\d{5}_0004_\d{4}_\d{4}/[\d-]+", sequence)


def test_the_layer_gives_the_mesh(data, samples):
    """Quaternions, shape and place of general_info, camera and mesh are of one hand; tips are the official vertices."""
    layer = bodies.load(None, "mano_right", dtype=torch.float64)
    assert {sample["hand_type"].tolist()[0] for sample in samples} == {True}
    for sample in samples:
        pose, shape, verts = sample["pose_flat"][0], sample["shape"][0], sample["verts_cam"][0]
        out = layer(pose=pose, mean_added=True, shape=shape)
        rest = out["verts"].numpy() - out["joints"][0].numpy()
        np.testing.assert_allclose(rest + sample["joints_cam"][0, 0], verts, atol=1e-5)
        joints = bodies.joints21(verts, out["joints"].numpy() + (verts - out["verts"].numpy())[0], "manopth")
        np.testing.assert_allclose(joints, sample["joints_cam"][0], atol=1e-5)
        tips = verts[[745, 317, 444, 556, 673]]
        np.testing.assert_array_equal(tips, sample["joints_cam"][0][[4, 8, 12, 16, 20]].astype(np.float32))
        path = data / "image" / "anno" / "general_info" / f"{sample['key']}.pkl"
        info = safe_pickle.read_pickle(path, pickled_tensors.readers(path))
        extrinsics = info["cam_extr"]
        world = out["verts"].numpy() - out["joints"][0].numpy()
        world = world @ extrinsics[:3, :3] + info["hand_anno"]["hand_tsl"]
        np.testing.assert_allclose(world @ extrinsics[:3, :3].T + extrinsics[:3, 3], verts, atol=2e-5)
        np.testing.assert_allclose(extrinsics @ info["obj_anno"], sample["object_pose"], atol=1e-6)
        assert (info["hand_anno"]["hand_pose"].shape, info["cam_intr"].shape) == ((64,), (3, 3))
        np.testing.assert_array_equal(info["cam_intr"], sample["K"].astype(np.float32))


def test_four_views_are_of_one_moment(samples):
    groups = {}
    for sample in samples:
        groups.setdefault(sample["group"], []).append(sample)
    for own in groups.values():
        assert [sample["view"] for sample in own] == [0, 1, 2, 3]
        world = [sample["verts_cam"][0] @ sample["cam_rot"] + sample["cam_pos"] for sample in own]
        np.testing.assert_allclose(world[1:], np.broadcast_to(world[0], (3, 778, 3)), atol=1e-5)


def test_no_split_is_empty_and_none_overlap(data):
    every = {tuple(entry) for entry in read_json(data / "image" / "anno" / "seq_all.json")}
    for mode in MODES:
        lists = {split: set(_entries(data, split, mode)) for split in SPLITS}
        assert all(lists.values()), mode
        assert not lists["train+val"] & lists["test"] and not lists["train"] & lists["val"]
        assert lists["train"] | lists["val"] <= lists["train+val"] and lists["train+val"] | lists["test"] <= every
    members = {
        "subject": lambda entry: entry[0].split("/")[0].split("_")[2:],
        "object": lambda entry: entry[0].split("_")[:1],
    }
    for mode, of in members.items():
        parts = [
            {one for entry in _entries(data, split, mode) for one in of(entry)} for split in ("train", "val", "test")
        ]
        assert not parts[0] & parts[1] and not parts[2] & (parts[0] | parts[1])
        for split in SPLITS:
            wanted = oakink_splits.extend(_entries(data, split, mode))
            assert _entries(data, split, mode, "anno_mv") == [tuple(entry) for entry in wanted]
    views = {}
    for sequence, _, _, view in _entries(data, "test", "default"):
        views.setdefault(sequence, set()).add(view)
    assert all(len(own) == 1 for own in views.values())


def _signed(verts, faces, points):
    """Distance (m) of points from a closed mesh, negative inside, to a tenth of a millimetre."""
    mesh = trimesh.Trimesh(verts, faces, process=False)
    assert mesh.is_watertight
    surface, _ = trimesh.sample.sample_surface_even(mesh, 60_000, seed=0)
    near, _ = cKDTree(np.concatenate([surface, verts])).query(points)
    return np.where(mesh.contains(points), -near, near)


def test_hands_touch_what_they_hold(data, samples):
    """Every hand touches its object and neither goes through the other, but for those that only reach for it."""
    near = {_stem(entry) for split in ("train+val", "test") for entry in _entries(data, split, "handobject")}
    hand_faces = bodies.load(None, "mano_right").faces.numpy()
    reaching = 0
    for sample in samples[::4]:
        verts, faces = oakink_objects.read(data / "image", sample["object"])
        thing, hand = oakink_objects.posed(verts, sample["object_pose"]), sample["verts_cam"][0]
        gap = _signed(thing, faces, hand)
        if gap.min() > 0.005:
            reaching += 1
            assert sample["hand_number"] == 1 and sample["key"] not in near
            continue
        assert -0.0025 < gap.min() < 0.001 and (gap < 0.002).sum() >= 6, sample["key"]
        assert _signed(*render.seal(hand, hand_faces), thing).min() > -0.003, sample["key"]
    assert reaching


def test_pictures_show_the_annotated_hand(data):
    """Of the two sides of the mesh's outline the inner one has skin's look: the mesh lies where the hand is drawn."""
    sequence = oakink._sequences(1, 0)[0]
    _, shot = next(iter(sequence.pictures()))
    sample = next(iter(sequence.samples()))
    studio = scene.Studio(oakink.Hands().model)
    drawn = studio.picture(shot, 1).astype(int)
    bare = studio.picture(scene.Shot((), shot.look, shot.camera, (), (), 0), 1).astype(int)
    hand = sample.in_camera(sample.hand.verts)
    depth = render.depth_map([(hand, bodies.load(None, "mano_right").faces.numpy())], shot.camera.K, shot.camera.size)
    changed = np.abs(drawn - bare).max(2) > 3
    assert changed[np.isfinite(depth)].mean() > 0.97


def test_the_reader_reads_it(data):
    for mode, multiview in itertools.product(MODES, (False, True)):
        if multiview and mode not in ("subject", "object"):
            continue
        for split in SPLITS:
            reader = datasets.read("oakink", data, split, mode=mode, multiview=multiview)
            found = list(reader)
            assert found and not reader.skipped and len(found) == len(reader)
            assert reader.facts["fits_of"] == "handlib free hand"
    reader = datasets.read("oakink", data, "test")
    sample = reader.complete(next(iter(reader)))
    points = geometry.project(sample["joints_cam"][0], sample["K"])
    assert ((points > 0) & (points < [848, 480])).all()


def test_it_packs(data, tmp_path):
    packs.write("oakink", data, "test", tmp_path / "pack", workers=1)
    pack, reader = packs.open(tmp_path / "pack"), datasets.read("oakink", data, "test")
    assert len(pack) == len(reader)
    np.testing.assert_array_equal(pack[0]["verts_cam"], reader[0]["verts_cam"])


def test_tensors_are_stored_as_torch_stores_them():
    """The same bytes as torch's own, but for the storage's key, which torch makes of a memory address."""
    value = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    (function, arguments), (ours, own) = value.__reduce_ex__(2), oakink._Tensor(value.numpy()).__reduce__()
    assert function is ours and arguments[1:] == own[1:]
    load, (theirs,) = arguments[0].__reduce__()
    key = re.search(rb"X.\0\0\0(\d{5,})q", theirs, re.S)[1]
    mark = bytes([len(key), 0, 0, 0])
    assert own[0].__reduce__() == (load, (theirs.replace(mark + key, b"\1\0\0\0000"),))


def test_the_same_bytes_again(data, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "render", functools.partial(_some, pool.render))
    again = demo.make_oakink(tmp_path / "OakInk", frames=FRAMES, processes=1, show_progress=False)
    files = sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert [sha256(data / path) for path in files] == [sha256(again / path) for path in files]
    assert len(files) == sum(path.is_file() for path in data.rglob("*")) - FRAMES + 5


def _some(render, model, pictures, *options):
    render(model, pictures[:5], *options)


def test_what_is_there_is_left_alone(data, monkeypatch):
    monkeypatch.setattr(pool, "render", lambda *_: pytest.fail("rendered again"))
    assert demo.make_oakink(data, frames=FRAMES) == data


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(oakink, "_lists", killed)
    monkeypatch.setattr(pool, "render", lambda *_: None)
    monkeypatch.setattr(grasps, "_STEPS", 1)
    with pytest.raises(KeyboardInterrupt):
        demo.make_oakink(tmp_path / "OakInk", frames=FRAMES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("frames", [12, 50])
def test_a_number_of_pictures_that_cannot_be(frames):
    with pytest.raises(InputError, match="multiple of 4, at least 48"):
        demo.make_oakink("nowhere", frames=frames)


def test_it_says_that_it_is_not_mano(data):
    marker = json.loads((data / "image" / "anno" / "body_model.json").read_text())
    assert marker["model"] == "handlib free hand" and marker["source"] == free.SOURCE
