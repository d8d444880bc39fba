"""DexYCB's demo data: official layout, consistent with themselves, right and left hands among things."""

import json

import cv2
import numpy as np
import pytest
import torch
import yaml

from handlib import bodies, crops, datasets, demo, geometry, packs, render
from handlib.bodies import free
from handlib.datasets import dexycb_splits, oakink_objects
from handlib.demo import dexycb, pool
from handlib.files import InputError, sha256

FRAMES = 40  # 5 moments: the first is without a hand
SIDES = ("right", "left")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The demo data; of the pictures those of one camera are rendered, the others are grey."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "render", _some(pool.render))
        return demo.make_dexycb(tmp_path_factory.mktemp("demo") / "DexYCB", frames=FRAMES, show_progress=False)


def _some(render_all):
    def render_some(model, pictures, *options):
        drawn = [one for one in pictures if one[0].parent.name == dexycb_splits.SERIALS[4]]
        render_all(model, drawn, *options)
        for path, _ in pictures:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), np.full((480, 640, 3), 99, np.uint8))

    return render_some


@pytest.fixture(scope="module")
def samples(data):
    """Every sample: the splits of one setup."""
    return [one for split in ("train", "val", "test") for one in datasets.read("dexycb", data, split, setup="s2")]


def _labels(sample):
    return np.load(sample["image_path"].replace("color_", "labels_").replace(".jpg", ".npz"))


def test_every_file_is_there(data):
    metas = sorted(data.glob("*/*/meta.yml"))
    assert len(metas) >= 4
    count = 0
    for path in metas:
        meta = yaml.safe_load(path.read_text())
        assert meta["serials"] == list(dexycb_splits.SERIALS)
        count += 8 * meta["num_frames"]
        for serial in meta["serials"]:
            assert len(list((path.parent / serial).glob("labels_*.npz"))) == meta["num_frames"]
            for picture in (path.parent / serial).glob("color_*.jpg"):
                assert cv2.imread(str(picture)).shape == (480, 640, 3)
        for number in meta["ycb_ids"]:
            assert (data / "models" / dexycb_splits.OBJECTS[number - 1] / "textured_simple.obj").exists()
    assert count == FRAMES


def test_no_split_of_any_setup_is_empty(data):
    for setup in dexycb_splits.SETUPS:
        assert datasets.splits("dexycb", data, setup=setup) == ["train", "val", "test"]
        for split in dexycb_splits.SPLITS:
            reader = datasets.read("dexycb", data, split, setup=setup)
            assert list(reader) and reader.facts["fits_of"] == "handlib free hand"
            assert {skip.reason for skip in reader.skipped} <= {"no hand in the picture"}


def test_both_sides_and_images_without_a_hand(data, samples):
    assert {sample["hands"] for sample in samples} == {"right", "left"}
    assert len(samples) == FRAMES - 8
    reader = datasets.read("dexycb", data, "val")
    assert len(list(reader)) == 8 and len(reader.skipped) == 8  # the first sequence: a frame without, one with a hand


def test_the_layer_gives_the_joints(samples):
    """PCA coefficients, shape and translation of the labels are of the hand's own side."""
    layers = [bodies.load(None, f"mano_{side}", dtype=torch.float64) for side in SIDES]
    for sample in samples:
        layer, labels = layers[sample["side"][0]], _labels(sample)
        out = layer(pose=sample["pose_from_mean"][0], mean_added=False, shape=sample["shape"][0])
        place = labels["pose_m"][0, 48:]
        joints = bodies.joints21(out["verts"].numpy() + place, out["joints"].numpy() + place, "manopth")
        np.testing.assert_allclose(joints, sample["joints_cam"][0], atol=1e-5)
        pixels = geometry.project(sample["joints_cam"][0], sample["K"])
        np.testing.assert_allclose(pixels, sample["joints_img"][0], atol=1e-3)
        assert ((pixels > 0) & (pixels < [640, 480])).mean() > 0.9


def test_eight_views_are_of_one_moment(samples):
    groups = {}
    for sample in samples:
        world = geometry.camera_to_world(sample["joints_cam"][0], sample["cam_rot"], sample["cam_pos"])
        groups.setdefault(sample["group"], []).append(world)
    for own in groups.values():
        assert len(own) == 8
        np.testing.assert_allclose(own, np.broadcast_to(own[0], (8, 21, 3)), atol=1e-5)


def test_seg_shows_the_hand_and_what_hides_it(data, samples):
    """Where the nearest surface along a joint's ray is the joint's own hand, seg says so; things hide whole fingers."""
    hidden = []
    layers = [bodies.load(None, f"mano_{side}", dtype=torch.float64) for side in SIDES]
    for sample in samples:
        labels, layer = _labels(sample), layers[sample["side"][0]]
        out = layer(pose=sample["pose_from_mean"][0], mean_added=False, shape=sample["shape"][0])
        verts, faces = render.seal(out["verts"].numpy() + labels["pose_m"][0, 48:], layer.faces.numpy())
        hand = np.isfinite(render.depth_map([(verts, faces)], sample["K"], (480, 640)))
        seg = labels["seg"]
        assert seg.dtype == np.uint8 and not ((seg == dexycb.HAND) & ~hand).any()
        hidden.append(1 - (seg == dexycb.HAND).sum() / hand.sum())
        known = {dexycb._NUMBERS[name] for name in dexycb.NAMES}
        assert set(np.unique(seg)) - {0, dexycb.HAND} <= known
    assert max(hidden) > 0.4 and min(hidden) < 0.1 and np.mean(hidden) > 0.1


def test_hands_touch_what_they_hold(data, samples):
    """The named object's mesh at its pose is touched, and lies where seg shows it."""
    layers = [bodies.load(None, f"mano_{side}", dtype=torch.float64) for side in SIDES]
    for sample in samples[::5]:
        layer, labels = layers[sample["side"][0]], _labels(sample)
        out = layer(pose=sample["pose_from_mean"][0], mean_added=False, shape=sample["shape"][0])
        verts = out["verts"].numpy() + labels["pose_m"][0, 48:]
        thing = next(short for short, name in dexycb.NAMES.items() if name == sample["object"])
        points = oakink_objects.posed(dexycb.objects.make(thing).verts, sample["object_pose"].astype(float))
        pose = sample["object_pose"].astype(float)
        local = torch.tensor((verts - pose[:3, 3]) @ pose[:3, :3])
        gap = dexycb.holding.solids.distance(dexycb.objects.make(thing).filled, local).min()
        assert -0.003 < gap < 0.002, sample["key"]
        seen = labels["seg"] == dexycb_splits.OBJECTS.index(sample["object"]) + 1
        if seen.sum() > 200:
            pixels = geometry.project(points, sample["K"])
            low, high = np.argwhere(seen).min(0)[::-1], np.argwhere(seen).max(0)[::-1]
            assert (low >= pixels.min(0) - 2).all() and (high <= pixels.max(0) + 2).all()


def test_packed_left_hands_are_cropped_as_right_ones(data, tmp_path):
    """The crop of a left hand is the mirrored picture's; its joints lie on the hand; the layer of the right hand with
    the mirrored pose gives its joints.
    """
    pack = packs.write("dexycb", data, "train", tmp_path / "pack", workers=1, setup="s2")
    right = bodies.load(None, "mano_right", dtype=torch.float64)
    seen = set()
    for place in range(len(pack)):
        sample = pack[place]
        if sample["camera"] != dexycb_splits.SERIALS[4]:
            continue
        item = crops.mano_hand(sample)
        targets, left = item["targets"], sample["hands"] == "left"
        assert item["meta"]["flipped"] == left
        seen.add(sample["hands"])
        out = right(pose=targets["pose_from_mean"], mean_added=False, shape=targets["shape"])
        joints = bodies.joints21(out["verts"].numpy(), out["joints"].numpy(), "manopth")
        np.testing.assert_allclose(joints - joints[0], targets["joints_cam"], atol=1e-5)
        _on_the_hand(item, _seg(data, sample), left)
    assert seen == {"right", "left"}


def _seg(data, sample):
    folder = data / sample["sequence"] / sample["camera"]
    return np.load(folder / f"labels_{sample['frame']:06d}.npz")["seg"]


def _on_the_hand(item, seg, left):
    """Joints lie within the crop's hand, or what hides it; the crop shows the pixels of the picture there."""
    affine = item["meta"]["affine"].astype(np.float64)
    shown = cv2.warpAffine((seg[:, ::-1] if left else seg).copy(), affine, (256, 256), flags=cv2.INTER_NEAREST)
    near = cv2.dilate((shown > 0).astype(np.uint8), np.ones((5, 5)))
    at = np.round(item["targets"]["joints_img"] * 256).astype(int)
    assert near[at[:, 1], at[:, 0]].mean() > 0.9
    hand, rest = shown == dexycb.HAND, shown == 0
    picture = item["image"].transpose(1, 2, 0)
    assert np.abs(picture[hand].mean(0) - picture[rest].mean(0)).max() > 0.05


def test_the_same_bytes_again(data, tmp_path, monkeypatch):
    def few(model, pictures, *options):
        render_all(model, [one for one in pictures if one[0].parent.name == dexycb_splits.SERIALS[4]][:2], *options)

    render_all = pool.render
    monkeypatch.setattr(pool, "render", few)
    again = demo.make_dexycb(tmp_path / "DexYCB", frames=FRAMES, processes=1, show_progress=False)
    files = sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert [sha256(data / path) for path in files] == [sha256(again / path) for path in files]
    assert sum(path.suffix == ".jpg" for path in files) == 2 and sum(path.suffix == ".npz" for path in files) == FRAMES


def test_what_is_there_is_left_alone(data, monkeypatch):
    monkeypatch.setattr(pool, "render", lambda *_: pytest.fail("rendered again"))
    assert demo.make_dexycb(data, frames=FRAMES) == data


@pytest.mark.parametrize("frames", [24, 36])
def test_a_number_of_pictures_that_cannot_be(frames):
    with pytest.raises(InputError, match="multiple of 8, at least 32"):
        demo.make_dexycb("nowhere", frames=frames)


def test_it_says_that_it_is_not_mano(data):
    marker = json.loads((data / "calibration" / "body_model.json").read_text())
    assert marker["model"] == "handlib free hand" and marker["source"] == free.SOURCE
