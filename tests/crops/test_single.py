import dataclasses
import random

import cv2
import numpy as np
import oakink_tree
import pytest

from handlib import crops, datasets, geometry, packs
from handlib.crops import batch, single
from handlib.files import InputError

SPEC = geometry.HandInput()


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Samples of {what was kept of the pictures}."""
    folder = tmp_path_factory.mktemp("oakink")
    root = oakink_tree.build(folder / "OakInk")
    kept = {}
    for pixels in ("reach", "whole"):
        pack = packs.write("oakink", root, "all", folder / pixels, workers=0, pixels=pixels)
        kept[pixels] = [pack[index] for index in range(len(pack))]
    return kept


def drawn(seed, **strengths):
    return crops.draw_single(np.random.default_rng(seed), **strengths)


@pytest.mark.parametrize("size", [(224, 224), (256, 256), (256, 192)])
def test_a_window_gives_the_crop_of_the_whole_picture_to_the_bit(packed, size):
    spec = dataclasses.replace(SPEC, size=size)
    for part, whole in zip(packed["reach"], packed["whole"], strict=True):
        for seed in range(40):
            augmentation = drawn(seed, occlusion_chance=0.5)
            one, other = (crops.single_hand(sample, augmentation, input=spec) for sample in (part, whole))
            assert np.array_equal(one["image"], other["image"])
        one, other = (crops.single_hand(sample, input=spec) for sample in (part, whole))
        assert np.array_equal(one["image"], other["image"])


def test_the_largest_and_most_turned_crop_is_in_the_pack(packed):
    for part, whole in zip(packed["reach"], packed["whole"], strict=True):
        for degrees in range(-120, 121, 15):
            augmentation = crops.SingleAugmentation(1.125, np.deg2rad(degrees))
            for published in (False, True):
                one, other = (crops.single_hand(sample, augmentation, published=published) for sample in (part, whole))
                assert np.array_equal(one["image"], other["image"])


def test_the_crop_is_opencvs_own(packed):
    for sample in packed["whole"]:
        item = crops.single_hand(sample, drawn(3, occlusion_chance=0, colour=0))
        expected = cv2.warpAffine(sample["image"], item["meta"]["affine"][:2], SPEC.size, flags=cv2.INTER_LINEAR)
        assert np.array_equal(np.round(item["image"] * 255).astype(np.uint8), expected.transpose(2, 0, 1))


def test_more_than_was_packed_is_refused(packed):
    with pytest.raises(InputError, match="was packed with .* pixels about its hand(?s:.)*pixels='whole'"):
        crops.single_hand(packed["reach"][0], crops.SingleAugmentation(1.2))
    with pytest.raises(InputError, match="was packed with"):
        crops.single_hand(packed["reach"][0], input=dataclasses.replace(SPEC, box_scale=2.0))
    crops.single_hand(packed["whole"][0], crops.SingleAugmentation(1.2))


def test_turned_points_lie_where_the_crop_shows_them(packed):
    """Our crop is exact where the published one is up to half a pixel off, because fx is not fy."""
    off = {}
    for published in (False, True):
        worst = 0.0
        for sample in packed["whole"]:
            item = crops.single_hand(sample, crops.SingleAugmentation(1.0, 1.5), published=published)
            joints = sample["joints_cam"][0]
            shown = geometry.apply_affine(geometry.project(joints, sample["K"], eps=0.0), item["meta"]["affine"][:2])
            seen = geometry.project(item["targets"]["joints_cam"], item["targets"]["K"], eps=0.0)
            worst = max(worst, np.abs(shown - seen).max())
        off[published] = worst
    assert off[False] < 2e-3 < 0.05 < off[True]


def test_the_targets_are_placed_back_in_the_camera(packed):
    for sample in packed["reach"]:
        item = crops.single_hand(sample, drawn(1))
        targets, meta = item["targets"], item["meta"]
        for name in ("joints", "verts"):
            xyz = geometry.uvd_to_xyz(targets[f"{name}_uvd"], targets["K"], targets["root_depth"], SPEC)
            assert np.abs(xyz - targets[f"{name}_cam"]).max() < 1e-5
            assert np.abs(xyz @ meta["turn"] - sample[f"{name}_cam"][0]).max() < 1e-5
        assert np.abs(meta["affine"] @ meta["inverse"] - np.eye(3)).max() < 1e-3
        assert targets["joints_uvd"][SPEC.root, 2] == 0.5
        assert all(value.dtype == np.float32 for value in targets.values())


def test_without_rotation_the_published_crop_is_ours(packed):
    for sample in packed["reach"]:
        ours, published = (crops.single_hand(sample, published=published) for published in (False, True))
        assert np.array_equal(ours["image"], published["image"])
        assert np.array_equal(ours["targets"]["K"], published["targets"]["K"])
        assert np.abs(ours["targets"]["joints_uvd"] - published["targets"]["joints_uvd"]).max() < 2e-5


def test_a_left_hand_is_shown_as_a_right_one_and_comes_back(packed):
    """A mirrored picture of a left hand is cropped as the picture of the right hand was."""
    for right in packed["whole"]:
        left = {**right, "image": np.ascontiguousarray(right["image"][:, ::-1]), "side": np.ones(1, np.int8)}
        flip = np.array([-1, 1, 1])
        left["joints_cam"], left["verts_cam"] = right["joints_cam"] * flip, right["verts_cam"] * np.float32(flip)
        left["K"] = right["K"].copy()
        left["K"][0, 2] = 847 - right["K"][0, 2]
        middle, _ = geometry.centred_square(right["bbox"])
        left["bbox"] = right["bbox"].copy()
        mirrored = np.array([847 - middle[0], middle[1]])
        left["bbox"][:2] = mirrored + 0.1 * np.sign(mirrored) - right["bbox"][2:] / 2  # cut to whole pixels later
        one, other = (crops.single_hand(sample) for sample in (right, left))
        assert other["meta"]["flipped"] and not one["meta"]["flipped"]
        assert np.abs(one["image"] - other["image"]).mean() < 1e-3
        for name in ("joints_uvd", "verts_cam", "K"):
            assert np.abs(one["targets"][name] - other["targets"][name]).max() < 1e-3
        back = geometry.apply_affine(other["targets"]["joints_uvd"][:, :2] * 224, other["meta"]["inverse"][:2])
        assert np.abs(back - geometry.project(left["joints_cam"][0], left["K"])).max() < 0.01


def test_visibility_counts_in_training_only(packed):
    sample = next(sample for sample in packed["whole"] if sample["bbox"][0] > 700)  # 6 of 21 joints are in the picture
    for augmentation, expected in ((None, 21), (crops.SingleAugmentation(), 0)):
        targets = crops.single_hand(sample, augmentation)["targets"]
        assert targets["joints_valid"].sum() == expected
        inside = ((targets["verts_uvd"][:, :2] >= 0) & (targets["verts_uvd"][:, :2] < 1)).all(1)
        assert 300 < inside.sum() < 778  # vertices follow the crop's rule alone
        assert np.array_equal(targets["verts_valid"], inside if augmentation else np.ones(778))
    small = crops.single_hand(packed["whole"][0], crops.SingleAugmentation(0.35))["targets"]
    inside = ((small["joints_uvd"][:, :2] >= 0) & (small["joints_uvd"][:, :2] < 1)).all(1)
    assert 7 <= inside.sum() < 21 and np.array_equal(small["joints_valid"], inside)
    tiny = crops.single_hand(packed["whole"][0], crops.SingleAugmentation(0.05))["targets"]
    assert not tiny["joints_valid"].any()


def test_joints_that_are_not_annotated_are_not_valid(packed):
    valid = np.ones((1, 21), bool)
    valid[0, 5] = False
    item = crops.single_hand({**packed["reach"][0], "joints_valid": valid})
    assert item["targets"]["joints_valid"].sum() == 20 and not item["targets"]["joints_valid"][5]


def test_the_sample_is_left_as_it_was(packed):
    sample = packed["reach"][0]
    before = {name: np.copy(value) for name, value in sample.items() if isinstance(value, np.ndarray)}
    crops.single_hand(sample, drawn(0, occlusion_chance=1.0))
    assert all(np.array_equal(value, sample[name]) for name, value in before.items())


def test_other_samples_are_refused(packed):
    sample = packed["reach"][0]
    with pytest.raises(InputError, match="several hands"):
        crops.single_hand({**sample, "joints_cam": np.zeros((2, 21, 3))})
    with pytest.raises(InputError, match="'gt'"):
        crops.single_hand(sample, root_depth="est")


def test_a_sample_without_vertices(packed):
    sample = {name: value for name, value in packed["reach"][0].items() if name != "verts_cam"}
    item = crops.single_hand(sample)
    assert not [name for name in (*item["targets"], *item["meta"]) if "verts" in name]


def test_draws_have_the_published_distribution(packed):
    sample = packed["reach"][0]
    ours = [drawn(seed) for seed in range(3000)]
    published = [
        crops.draw_single_published(np.random.RandomState(seed), random.Random(seed), sample) for seed in range(3000)
    ]
    for pick in (
        lambda one: one.scale,
        lambda one: one.rotation,
        lambda one: one.colour[1],
        lambda one: one.occluder is not None,
        lambda one: abs(one.rotation) > np.deg2rad(119.9),
    ):
        a, b = (np.array([pick(one) for one in those], float) for those in (ours, published))
        assert abs(a.mean() - b.mean()) < 4 * np.sqrt((a.var() + b.var()) / 3000) and abs(a.std() - b.std()) < 0.03
    assert {one.scale for one in ours if one.scale > 1.12} and max(one.scale for one in ours) == 1.125


def test_an_occluder_lies_in_the_box_and_in_the_picture():
    rng = np.random.default_rng(0)
    for _ in range(500):
        occluder = crops.Occluder(rng.uniform(0, 0.2), rng.uniform(0.5, 2), rng.random(), rng.random(), 7)
        centre, side = rng.integers(0, 500, 2), rng.uniform(80, 300)
        place = occluder.rectangle(centre, side, 500, 400)
        if place is not None:
            x, y, w, h = place
            assert 0 <= x and x + w <= 500 and 0 <= y and y + h <= 400
            assert x >= centre[0] - side / 2 - 1 and y + h <= centre[1] + side / 2 + 1
            assert occluder.pixels(w, h).shape == (h, w, 3)
            assert np.array_equal(occluder.pixels(w, h), occluder.pixels(w, h))


@pytest.mark.parametrize("published", [False, True])
def test_a_batch_is_its_samples_one_by_one(packed, published):
    samples = packed["reach"] + packed["whole"]
    for augmentations in (None, [drawn(seed, occlusion_chance=0.5) for seed in range(len(samples))]):
        whole = crops.single_hands(samples, augmentations, published=published)
        for place, sample in enumerate(samples):
            item = crops.single_hand(sample, augmentations and augmentations[place], published=published)
            assert np.array_equal(whole["image"][place].numpy(), item["image"])
            for name, value in item["targets"].items():
                assert np.array_equal(whole["targets"][name][place].numpy(), value), name
            assert all(np.array_equal(whole["meta"][name][place], value) for name, value in item["meta"].items())


def test_warp_is_opencvs_for_any_map():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*rng.integers(1, 90, 2), 3), np.uint8) for _ in range(60)]
    maps = np.stack([np.c_[rng.normal(0, 1, (2, 2)), rng.uniform(-30, 60, 2)] for _ in images])
    maps[:10] = np.round(maps[:10])  # whole pixels
    maps[10:20, :, 2] = np.round(maps[10:20, :, 2] * 64) / 64  # ties
    found = batch.warp(images, maps, (64, 48)).numpy()
    for image, matrix, crop in zip(images, maps, found, strict=True):
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        expected = cv2.warpAffine(image, matrix, (64, 48), flags=flags, borderMode=cv2.BORDER_CONSTANT)
        assert np.array_equal(crop, expected.transpose(2, 0, 1))


def test_the_training_loader_finds_this_crop(packed):
    from handlib.training import data

    assert data.CROPS[geometry.HandInput][:2] == (crops.single_hand, crops.draw_single)
    assert {"interhand", "oakink"} <= set(datasets.names()) and single.SCALE == 0.125
