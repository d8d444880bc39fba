"""HandOccNet's crops: the reference's to the bit, windows and batches the same, left hands, what cannot be cropped."""

import random

import cv2
import numpy as np
import pytest
import torch

from handlib import crops, geometry, training
from handlib.crops import mano
from handlib.files import InputError
from handlib.verify import handoccnet_data, handoccnet_tree
from handlib.verify.reference import shipped

K = geometry.intrinsics((600, 610), (318, 243))


def sample(side=0, **more):
    """A hand of random joints in a formula picture."""
    rng = np.random.default_rng(3)
    joints = rng.uniform(-0.08, 0.08, (21, 3)) + (0.05, 0.02, 0.7)
    return {
        "key": "one", "width": 640, "height": 480, "side": np.array([side], np.int8), "K": K,
        "joints_cam": joints[None], "joints_valid": np.ones((1, 21), bool), "bbox_tight": np.bool_(True),
        "bbox": geometry.tight_box(geometry.project(joints, K)), "image": handoccnet_tree.formula(5),
        "pose_from_mean": rng.standard_normal((1, 48)), "shape": rng.standard_normal((1, 10)),
        "mano_valid": np.ones(1, bool), **more,
    }  # fmt: skip


@pytest.mark.parametrize("check", handoccnet_data.CHECKS, ids=lambda check: check.__name__)
def test_the_reference(check):
    off = [row for row in check(shipped("handoccnet")) if not row.ok]
    assert not off, off


@pytest.mark.parametrize("side", [0, 1])
def test_targets_are_where_the_crop_shows_them(side):
    """A left hand is the mirror image: a marked joint is found again where its target says."""
    image = np.zeros((480, 640, 3), np.uint8)
    one = sample(side, image=image)
    u, v = geometry.project(one["joints_cam"][0], K)[8]
    cv2.circle(image, (round(u), round(v)), 5, (255, 255, 255), -1)
    item = crops.mano_hand(one, crops.ManoAugmentation(1.1, 0.4))
    rows, columns = np.nonzero(item["image"][0] > 0.5)
    assert np.abs(256 * item["targets"]["joints_img"][8] - (columns.mean(), rows.mean())).max() < 1
    assert item["meta"]["flipped"] == bool(side) and np.array_equal(item["meta"]["joints_cam"], one["joints_cam"][0])


def test_a_turned_hand_is_turned_with_its_pose():
    """Rotation by the crop's angle about the optical axis: of the joints, and of the global orientation."""
    one, turned = sample(), crops.ManoAugmentation(rotation=0.7)
    plain, moved = (crops.mano_hand(one, drawn)["targets"] for drawn in (None, turned))
    expected = geometry.turn(-0.7)
    assert np.allclose(moved["joints_cam"], plain["joints_cam"] @ expected.T, atol=1e-6)
    before, after = (cv2.Rodrigues(targets["pose_from_mean"][:3])[0] for targets in (plain, moved))
    assert np.allclose(after, expected @ before, atol=1e-5)
    assert np.array_equal(moved["pose_from_mean"][3:], plain["pose_from_mean"][3:])


def test_mirrored_poses_mirror_the_rotations():
    pose = np.random.default_rng(0).standard_normal(48)
    flip = np.diag([-1.0, 1, 1])
    for before, after in zip(pose.reshape(16, 3), mano.mirrored_pose(pose).reshape(16, 3), strict=True):
        assert np.allclose(cv2.Rodrigues(after)[0], flip @ cv2.Rodrigues(before)[0] @ flip)
    assert np.allclose(mano.mirrored_pose(mano.mirrored_pose(pose)), pose)


def test_a_box_alone_gives_the_annotated_boxs_crop():
    """Also in a batch; a picture's own annotated box goes the same way."""
    box, image = np.float32([250, 130, 180, 140]), handoccnet_tree.formula(9)
    for side in (0, 1):
        annotated = crops.mano_hand(sample(side, bbox=box, bbox_tight=np.bool_(False), image=image))
        crop, affine, inverse = crops.box_crop(image, box, side)
        assert np.array_equal(crop, annotated["image"]) and np.array_equal(affine, annotated["meta"]["affine"])
        assert np.array_equal(inverse, annotated["meta"]["inverse"])
    other, _, _ = crops.box_crop(image, [600, 400, 90, 90], "left", scale=1.25)
    many, affines, _ = crops.box_crops([image] * 2, [box, box + 3], ["left", "right"])
    assert np.array_equal(many[0].numpy(), crop) and affines.shape == (2, 2, 3) and not np.array_equal(many[1], crop)
    assert other.shape == (3, 256, 256) and other.dtype == np.float32


@pytest.mark.parametrize(
    "box", [(700, 10, 50, 50), (10, 500, 50, 50), (10, 10, 0, 20), (10, 10, np.nan, 5), (1, 1, -5, -5), (9, 9, 1, 1)]
)
def test_boxes_that_show_nothing_are_refused(box):
    with pytest.raises(InputError, match="is empty or lies outside the picture of 640 x 480"):
        crops.box_crop(handoccnet_tree.formula(1), box)


def test_a_rejected_box_shows_the_whole_picture_stretched():
    one = sample(bbox=np.float32([900, 10, 50, 50]))
    assert geometry.mano_square(one["bbox"], True, 640, 480) is None
    item = crops.mano_hand(one)
    assert item["meta"]["bbox"].tolist() == [0, 0, 639, 479]
    corners = geometry.apply_affine(np.array([[0, 0], [639, 479.0]]), item["meta"]["affine"])
    assert np.allclose(corners, [[0, 0], [256, 256]], atol=1e-3)


def test_a_window_without_what_the_crop_shows_is_refused():
    one = sample(window=np.array([0, 0, 640, 480], np.int32))
    needed = mano.View(one, crops.ManoAugmentation(), geometry.ManoInput()).needed
    crops.mano_hand(one | {"reach": np.float32(needed + 2.5)})
    with pytest.raises(InputError, match="was packed with"):
        crops.mano_hand(one | {"reach": np.float32(needed + 1.5)})
    with pytest.raises(InputError, match="was packed with"):
        crops.mano_hand(one | {"reach": np.float32(needed + 2.5)}, crops.ManoAugmentation(scale=1.2))


def test_refusals():
    with pytest.raises(InputError, match="several hands"):
        crops.mano_hand(sample(joints_cam=np.zeros((2, 21, 3))))
    with pytest.raises(InputError, match="is not known for one hand"):
        crops.mano_hand(sample(), root_depth="est")


def test_joints_that_are_not_known_give_no_nan():
    one = sample(bbox_tight=np.bool_(False), joints_valid=np.arange(21)[None] == 0)
    one["joints_cam"][0, 1:] = 0
    assert all(np.isfinite(target).all() for target in crops.mano_hand(one)["targets"].values())


def test_draws():
    """The house's draws have the published distribution's limits; the recipe's names are its arguments."""
    drawn = [crops.draw_mano(np.random.default_rng(seed)) for seed in range(300)]
    scales, turns = np.array([one.scale for one in drawn]), np.array([one.rotation for one in drawn])
    assert scales.min() == 0.75 and scales.max() == 1.25 and 0.3 < (turns == 0).mean() < 0.5
    assert np.abs(turns).max() <= np.deg2rad(60) and len(set(turns)) > 100
    colours = np.array([one.colour for one in drawn])
    assert colours.min() > 0.8 and colours.max() < 1.2
    still = crops.draw_mano(np.random.default_rng(1), scale=0, rotation_chance=0, colour=0)
    assert (still.scale, still.rotation, still.colour) == (1, 0, (1, 1, 1))
    published = crops.draw_mano_published(np.random.RandomState(4), random.Random(4))
    assert published != crops.draw_mano_published(np.random.RandomState(5), random.Random(4))


def test_training_crops_are_drawn_from_seed_round_and_place():
    pack = [sample(), sample(1)]
    items = training.Crops(pack, geometry.ManoInput(), "gt", {"scale": 0.25}, seed=3)
    assert torch.equal(*(torch.from_numpy(items[1, 0]["image"]) for _ in range(2)))
    assert not np.array_equal(items[1, 0]["image"], items[2, 0]["image"]) and "meta" not in items[0, 1]
