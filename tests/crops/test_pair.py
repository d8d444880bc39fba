import dataclasses
import random

import numpy as np
import pytest

from handlib import crops, fields, geometry
from handlib.bodies import parts
from handlib.crops import pair
from handlib.files import InputError
from handlib.verify import interhand_data
from handlib.verify.reference import shipped


@pytest.fixture(scope="module")
def samples():
    reference = shipped("interhand")
    return interhand_data.fixture_samples(reference, "test", reference.json("preprocess.json")["fixture_images"])


def test_every_tensor_of_the_published_dataset():
    rows = list(interhand_data.check_items(shipped("interhand")))
    assert len(rows) > 200
    assert {"img", "segm", "joint_coord", "inv_trans", "bbox_after"} <= {row.quantity for row in rows}
    assert not [row for row in rows if not row.ok]


def test_pictures_agree_to_the_bit():
    rows = [row for row in interhand_data.check_items(shipped("interhand")) if row.quantity in ("img", "segm")]
    assert [row.deviation for row in rows] == [0] * len(rows)


def test_the_box_does_not_wander(samples):
    sample = samples[0]
    before = sample["bbox"].copy()
    first = crops.hand_pair(sample, crops.Augmentation(shift=(0.1, -0.1)))
    second = crops.hand_pair(sample, crops.Augmentation(shift=(0.1, -0.1)))
    assert np.array_equal(sample["bbox"], before)
    assert np.array_equal(first["meta"]["bbox"], second["meta"]["bbox"])
    assert not np.array_equal(first["meta"]["bbox"], crops.input_box(sample)[0])


@pytest.mark.parametrize("mirror", [False, True])
def test_the_meta_leads_back_to_the_picture(samples, mirror):
    for sample in samples:
        item = crops.hand_pair(sample, crops.Augmentation((0.05, 0.02), 1.1, 0.5, mirror))
        xy, _ = geometry.decode_25d(item["targets"]["joint_coord"].astype(np.float64))
        pixels = geometry.apply_affine(xy, item["meta"]["inv_trans"])
        if mirror:
            pixels[:, 0] = sample["width"] - 1 - pixels[:, 0]
            pixels = np.roll(pixels, 21, axis=0)
        expected = fields.interhand42(geometry.project(sample["joints_cam"], sample["K"]))
        assert np.abs(pixels - expected).max() < 1e-3


def test_mirroring_twice_is_no_mirroring(samples):
    sample = next(sample for sample in samples if sample["part_mask_valid"])
    mirrored = dict(sample)
    mirrored["image"] = np.ascontiguousarray(sample["image"][:, ::-1])
    mirrored["part_mask"] = parts.flip_classes(np.ascontiguousarray(sample["part_mask"][:, ::-1]))
    centre = np.array([sample["width"] - 1, 0], np.float32)
    x, y, w, h = sample["bbox"]
    mirrored["bbox"] = np.array([centre[0] - x - w, y, w, h], np.float32)
    plain = crops.hand_pair(sample)
    again = crops.hand_pair(mirrored, crops.Augmentation(mirror=True))
    assert np.abs(plain["image"] - again["image"]).max() <= 2 / 255  # the mirrored centre rounds differently
    assert (plain["targets"]["segm"] != again["targets"]["segm"]).mean() < 1e-3


def test_mask_is_the_even_half_of_the_large_crop(samples):
    import cv2

    sample = next(sample for sample in samples if sample["part_mask_valid"])
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = dataclasses.replace(crops.draw(rng), mirror=False)
        item = crops.hand_pair(sample, drawn)
        trans, _ = pair._affines(item["meta"]["bbox"], drawn, sample["width"], (256, 256))
        large = cv2.warpAffine(sample["part_mask"], trans, (256, 256), flags=cv2.INTER_NEAREST)
        assert np.array_equal(item["targets"]["segm"], large[::2, ::2])


def test_a_hand_without_a_wrist_has_no_joints():
    valid = np.ones((2, 21), bool)
    valid[1, 0] = False
    assert crops.wrist_rule(valid)[0].all() and not crops.wrist_rule(valid)[1].any()


def test_draws_have_the_published_strengths():
    rng = np.random.default_rng(0)
    drawn = [crops.draw(rng) for _ in range(4000)]
    published = [crops.draw_published(np.random.RandomState(n), random.Random(n)) for n in range(4000)]
    for value in (
        lambda draw: np.std(draw.shift), lambda draw: draw.scale, lambda draw: abs(draw.rotation),
        lambda draw: draw.rotation == 0, lambda draw: draw.mirror, lambda draw: np.std(draw.colour),
    ):  # fmt: skip
        ours, theirs = np.array([value(draw) for draw in drawn]), np.array([value(draw) for draw in published])
        assert abs(ours.mean() - theirs.mean()) < 4 * theirs.std() / np.sqrt(2000)
    assert max(abs(draw.rotation) for draw in drawn) <= np.pi / 2
    assert np.ptp([draw.scale for draw in drawn]) <= 0.5 + 1e-12


def test_estimates_are_used_as_they_are_or_asked_for(samples):
    item = crops.hand_pair(samples[0], root_depth="est")
    assert np.array_equal(item["meta"]["bbox"], samples[0]["bbox_est"])
    assert np.array_equal(item["meta"]["root_depth"], samples[0]["root_depth_est"])
    without = {**samples[0], "bbox_est": np.full(4, np.nan)}
    with pytest.raises(InputError, match="no estimated box"):
        crops.hand_pair(without, root_depth="est")
    with pytest.raises(InputError, match="'gt'"):
        crops.hand_pair(samples[0], root_depth="rootnet")
