import random

import cv2
import numpy as np
import people_tree
import pytest
import torch

from handlib import bodies, body_joints, crops, datasets, geometry, pictures
from handlib.crops import PersonAugmentation, person_targets
from handlib.files import InputError
from handlib.verify import wholebody_data
from handlib.verify.reference import shipped

TURNED = PersonAugmentation(0.9, 0.4, (1.1, 0.9, 1.0), True)
LEFT, RIGHT = body_joints.SMPLX137.joints.index("L_Knee"), body_joints.SMPLX137.joints.index("R_Knee")


def _samples(name, folder, **options):
    maker, split, *_ = people_tree.SETS[name]
    reader = datasets.read(name, maker(folder / name), split, **options)
    found = [reader.complete(sample) for sample in reader]
    return [sample | {"image": pictures.decode(sample["image"])} for sample in found]


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    return _samples("mscoco", tmp_path_factory.mktemp("coco"))


@pytest.fixture(scope="module")
def layer():
    return bodies.load(None, "smplx_neutral")


@pytest.mark.parametrize("check", wholebody_data.CHECKS, ids=lambda check: check.__name__)
def test_the_reference(check):
    rows = list(check(shipped("wholebody")))
    assert len(rows) > 8 and not [row for row in rows if not row.ok]


def test_a_mirrored_person_has_left_and_right_swapped(coco):
    plain, flipped = (crops.person(coco[0], one)["targets"] for one in (None, PersonAugmentation(flip=True)))
    cells = geometry.PersonInput().volume[2]
    np.testing.assert_allclose(flipped["joint_img"][RIGHT, 1], plain["joint_img"][LEFT, 1], atol=1e-5)
    step = cells / 384  # the crop is mirrored about a pixel's edge, the picture about its middle
    assert abs(flipped["joint_img"][RIGHT, 0] - (cells - plain["joint_img"][LEFT, 0])) < 10 * step
    assert flipped["rhand_bbox_valid"] == plain["lhand_bbox_valid"] == 1 and not flipped["lhand_bbox_valid"]
    assert flipped["smplx_pose_valid"].reshape(53, 3)[37:52].all() and not flipped["smplx_pose_valid"][66:111].any()
    sign = np.array([1, -1, -1])
    own = plain["smplx_pose"].reshape(53, 3)
    np.testing.assert_allclose(flipped["smplx_pose"].reshape(53, 3)[37:52], own[22:37] * sign, atol=1e-6)


def test_turned_joints_lie_where_the_turned_picture_shows_them(coco):
    sample = dict(coco[0])
    sample["image"] = np.zeros_like(sample["image"])
    x, y = 30, 20
    sample["image"][y, x] = 255
    sample["person_joints_img"] = np.full((137, 2), (x, y), np.float32)
    item = crops.person(sample, TURNED)
    shown = np.argwhere(item["image"][1] > item["image"][1].max() * 0.98).mean(0)[::-1]
    volume = geometry.PersonInput().volume
    placed = item["targets"]["joint_img"][LEFT, :2] / volume[:0:-1] * (384, 512)
    assert np.abs(placed - shown).max() < 1.0
    back = item["meta"]["inverse"] @ [*placed, 1]
    assert np.abs(back - [people_tree.WIDTH - 1 - x, y]).max() < 1e-2  # of the mirrored picture


@pytest.fixture
def opencv_threads():
    count = cv2.getNumThreads()
    yield cv2.setNumThreads
    cv2.setNumThreads(count)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_batch_is_its_samples(coco, threads, opencv_threads):
    opencv_threads(threads)
    batch = crops.persons(coco, [TURNED, None])
    single = [crops.person(sample, drawn) for sample, drawn in zip(coco, [TURNED, None], strict=True)]
    np.testing.assert_array_equal(batch["image"].numpy(), np.stack([one["image"] for one in single]))
    for name, values in batch["targets"].items():
        np.testing.assert_array_equal(values.numpy(), np.stack([one["targets"][name] for one in single]))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_sample_that_cannot_be_shown_ends_its_batch(coco, threads, opencv_threads):
    opencv_threads(threads)
    with pytest.raises(InputError, match="was packed with 1 pixels about its hand"):
        crops.persons([coco[0], coco[1] | {"reach": 1}, coco[0]])


def test_joints_of_fits_are_made_on_the_batch(coco, layer):
    batch = crops.persons(coco, [TURNED, None])["targets"]
    whole = person_targets.targets_from_fits(batch, layer)
    assert not [name for name in whole if name.startswith("fit_")]
    assert not whole["smplx_joint_img"][1].any() and not whole["smplx_joint_trunc"][1].any()  # no fit
    camera = whole["smplx_joint_cam"][0]
    assert camera[0].abs().max() == 0 and camera[1:].abs().amax(1).gt(0).all()
    pose = torch.from_numpy(coco[0]["smplx_pose"]).clone()
    out = layer(root_pose=pose[:1], body_pose=pose[1:22], jaw_pose=pose[22:23], lhand_pose=pose[25:40],
                rhand_pose=pose[40:], shape=torch.from_numpy(coco[0]["smplx_shape"]),
                expression=torch.from_numpy(coco[0]["smplx_expr"]), mean_added=False, joint_set="smplx137")  # fmt: skip
    bone = (out["joints"][LEFT] - out["joints"][0]).norm()
    torch.testing.assert_close(camera[RIGHT].norm(), bone, rtol=1e-4, atol=1e-6)
    mesh = person_targets.meshes_of_fits(batch, layer)[0]
    torch.testing.assert_close(mesh, out["verts"] + torch.from_numpy(coco[0]["smplx_transl"]), rtol=0, atol=1e-5)


def test_joints_of_agora_are_those_of_the_fit(tmp_path, layer):
    samples = _samples("agora", tmp_path)
    batch = crops.persons(samples)
    assert not batch["targets"]["joint_valid"].any() and batch["targets"]["is_3D"].all()
    np.testing.assert_allclose(batch["meta"]["bbox"][0], [0, 0, people_tree.WIDTH, people_tree.HEIGHT])
    whole = person_targets.targets_from_fits(batch["targets"], layer)
    for name in ("img", "cam", "valid", "trunc"):
        torch.testing.assert_close(whole[f"joint_{name}"], whole[f"smplx_joint_{name}"])
    assert whole["joint_valid"].shape == (2, 137, 1) and whole["joint_valid"].all()


def test_a_shape_too_far_from_the_mean_is_not_learned(coco):
    far = coco[0] | {"smplx_shape": np.array([3.5, *[0.1] * 9], np.float32)}
    targets = crops.person(far)["targets"]
    assert not targets["smplx_shape"].any() and targets["fit_shape"][0] == 3.5 and targets["smplx_shape_valid"] == 1


def test_whole_boxes_are_cut_only_as_published(coco):
    whole = coco[0] | {"bbox": np.array([10, 5, 31, 33], np.float32), "bbox_whole": np.bool_(True)}
    plain, published = (crops.person(whole, published=yes)["meta"]["bbox"] for yes in (False, True))
    assert np.abs(plain - published).max() > 0.1 and (published == np.floor(published)).all()
    np.testing.assert_allclose(plain[2] / plain[3], 384 / 512, rtol=1e-6)


def test_draws_are_reproducible_and_the_published_ones_in_their_order():
    one, other = (crops.draw_person(np.random.default_rng(3)) for _ in range(2))
    assert one == other and 0.75 <= one.scale <= 1.25
    hand = crops.draw_mano_published(np.random.RandomState(5), random.Random(5))
    drawn = crops.draw_person_published(np.random.RandomState(5), random.Random(5))
    assert (drawn.scale, drawn.rotation, drawn.colour) == (hand.scale, hand.rotation, hand.colour)
    flips = [crops.draw_person(np.random.default_rng(seed)).flip for seed in range(200)]
    assert 70 < sum(flips) < 130


def test_a_box_outside_the_picture_shows_all_of_it(coco):
    lost = coco[0] | {"bbox": np.array([900.0, 900, 5, 5], np.float32)}
    x, y, w, h = crops.person(lost)["meta"]["bbox"]
    assert x < 0 and y < 0 and w > people_tree.WIDTH and h > people_tree.HEIGHT
    with pytest.raises(InputError, match="root_depth"):
        crops.person(coco[0], root_depth="est")
