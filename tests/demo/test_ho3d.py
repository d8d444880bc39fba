"""HO-3D's demo data: official layout, consistent with themselves, hands behind what they hold."""

import functools
import json

import cv2
import numpy as np
import pytest
import torch

from handlib import bodies, datasets, demo, render
from handlib.demo import ho3d, objects, pool
from handlib.files import InputError, sha256

FRAMES = 16


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two of the pictures are rendered, the others are grey."""
    root = tmp_path_factory.mktemp("demo") / "HO3D"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "render", functools.partial(_some, pool.render))
        return demo.make_ho3d(root, frames=FRAMES, processes=1, show_progress=False)


def _some(render, model, pictures, *options):
    for path, shot in pictures[2:]:
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((*shot.camera.size, 3), 128, np.uint8))
    render(model, pictures[:2], *options)


def test_the_reader_reads_it(data):
    read = {split: list(datasets.read("ho3d", data, split)) for split in ("train", "evaluation", "train_part", "val")}
    assert {split: len(samples) for split, samples in read.items()} == {
        "train": 12, "evaluation": 4, "train_part": 8, "val": 4}  # fmt: skip
    reader = datasets.read("ho3d", data, "evaluation")
    assert reader.facts["version"] == "v3" and reader.facts["fits_of"] == "handlib free hand" and not reader.notes
    assert all(sample["joints_valid"].all() for sample in read["evaluation"])
    picture = reader.complete(reader[0])
    assert picture["image"] and len({path.name for path in data.rglob("*.jpg")}) > 4


def test_poses_and_joints_are_of_one_hand(data):
    layer = bodies.load(None, "mano_right", dtype=torch.float64)
    for sample in datasets.read("ho3d", data, "train"):
        pose, shape = (torch.tensor(sample[name][0].astype(float)) for name in ("pose_flat", "shape"))
        out = layer(pose=pose, mean_added=True, shape=shape)
        joints = bodies.joints21(out["verts"].numpy(), out["joints"].numpy(), "manopth")
        own = sample["joints_cam"][0]
        np.testing.assert_allclose(joints - joints[0], own - own[0], atol=1e-6)


def test_things_hide_the_hand_from_some_cameras(data):
    """The object's pose is that of the thing in the picture: much of the hand is behind it, or in front of it."""
    layer, hidden = bodies.load(None, "mano_right", dtype=torch.float64), {}
    for sample in datasets.read("ho3d", data, "train"):
        out = layer(pose=torch.tensor(sample["pose_flat"][0].astype(float)), mean_added=True,
                    shape=torch.tensor(sample["shape"][0]))  # fmt: skip
        hand = (out["verts"] - out["joints"][0]).numpy() + sample["joints_cam"][0, 0]
        made, pose = objects.make(sample["object"]), sample["object_pose"]
        meshes = (hand, layer.faces.numpy()), (made.verts @ pose[:3, :3].T + pose[:3, 3], made.faces)
        own, thing = (render.depth_map([mesh], sample["K"], (480, 640)) for mesh in meshes)
        seen = np.isfinite(own)
        hidden.setdefault(sample["sequence"][-1], []).append((thing < own)[seen].mean())
    assert np.mean(hidden["0"]) < 0.25 and np.mean(hidden["1"]) > 0.25 and max(hidden["1"]) < 0.8


def test_the_same_bytes_again_and_nothing_twice(data, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "render", lambda *_: None)
    assert demo.make_ho3d(data, frames=FRAMES) == data
    again = demo.make_ho3d(tmp_path / "HO3D", frames=FRAMES, show_progress=False)
    files = sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert len(files) == FRAMES + 6 and [sha256(data / path) for path in files] == [sha256(again / p) for p in files]
    assert json.loads((data / "body_model.json").read_text())["model"] == "handlib free hand"


def test_a_number_of_pictures_that_cannot_be():
    with pytest.raises(InputError, match="multiple of 4, at least 16"):
        ho3d.make("nowhere", frames=18)
