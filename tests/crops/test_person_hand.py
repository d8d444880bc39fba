"""The crops and targets of Pose2Pose's hand network: the reference's, left hands, fits on the batch, bad input."""

import itertools

import free_hands
import numpy as np
import pytest
import torch

from handlib import bodies, crops, datasets, geometry, pictures
from handlib.bodies import free, mano
from handlib.crops import hand_targets
from handlib.files import InputError
from handlib.verify import wholebody_hands
from handlib.verify.reference import shipped

TURNED = crops.ManoAugmentation(0.9, 0.4, (1.1, 0.9, 1.0))
SPEC = geometry.PersonInput(size=(256, 256), volume=(8, 8, 8), part="hand")


@pytest.fixture(scope="module")
def hands():
    right = bodies.load("free", "mano_right")
    return right, hand_targets.left_of(right)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """{data set: (root, what was posed)}"""
    root = tmp_path_factory.mktemp("hands")
    made = {name: getattr(free_hands, name)(root / name) for name in ("freihand", "interhand", "mscoco")}
    free_hands.derived(root / "freihand", made["freihand"])
    return {name: (root / name, hands) for name, hands in made.items()}


def read(name, trees, split="training", **options):
    reader = datasets.read(name, trees[name][0], split, **options)
    found = [reader.complete(sample) for sample in reader]
    return [one | {"image": pictures.decode(one["image"])} for one in found]


def completed(samples, hands, drawn=None):
    items = [crops.person_hand(sample, drawn) for sample in samples]
    batch = {
        name: torch.from_numpy(np.stack([item["targets"][name] for item in items])) for name in items[0]["targets"]
    }
    return {name: value.numpy() for name, value in hand_targets.targets_from_fits(batch, *hands).items()}


def in_crop(points, sample, drawn=None, mirrored=False):
    """Joints (21, 3) of the camera's frame -> where the network should find them."""
    pixels = geometry.project(points, sample["K"])
    if mirrored:
        pixels[:, 0] = sample["width"] - 1 - pixels[:, 0]
    affine = crops.person_hand(sample, drawn)["meta"]["affine"]
    depth = ((points[:, 2] - points[0, 2]) / 0.15 + 1) / 2 * 8
    return np.c_[geometry.apply_affine(pixels, affine) / 32, depth]


@pytest.mark.parametrize("check, rows", list(zip(wholebody_hands.CHECKS, (450, 3), strict=True)))
def test_the_reference(check, rows):
    found = list(itertools.islice(check(shipped("wholebody")), rows))  # pred.json: of one case
    assert len(found) == rows and not [row for row in found if not row.ok]


def test_a_left_hand_is_the_right_one_that_it_mirrors(trees, hands):
    for sample in (read("freihand", trees)[0], read("freihand", trees, source="derived")[1]):
        x, y, w, h = sample["bbox"]  # final: what is brought inside a picture loses a pixel on the right
        sample |= {
            "bbox_final": True,
            "bbox_tight": False,
            "bbox": np.array([x - 20, y - 30, w + 90, w + 90], np.float32),
        }
        other = free_hands.mirrored(sample)
        one, two = crops.person_hand(sample, TURNED), crops.person_hand(other, TURNED)
        np.testing.assert_allclose(one["image"], two["image"], atol=1 / 32)  # OpenCV's steps of 1/32 pixel
        assert not one["meta"]["flipped"] and two["meta"]["flipped"]
        right, left = (completed([given], hands, TURNED) for given in (sample, other))
        for name in right:
            np.testing.assert_allclose(right[name], left[name], atol=2e-4, err_msg=name)
        assert right["mano_joint_trunc"].mean() > 0.6 and np.abs(right["mano_joint_cam"]).max() > 0.05


@pytest.mark.parametrize("options", [{}, {"source": "derived"}])
def test_freihands_fits_stand_where_the_hand_was(trees, hands, options):
    """Without a translation (the release) as with one; its joints are the fit's own, so they are not learned."""
    samples, posed = read("freihand", trees, **options), trees["freihand"][1]["training"]
    targets = completed(samples[:3], hands, TURNED)
    assert not targets["joint_valid"].any() and not targets["joint_img"].any() and targets["is_3D"].all()
    assert targets["mano_pose_valid"].all() and targets["mano_joint_valid"].all()
    for row, (sample, one) in enumerate(zip(samples[:3], posed, strict=True)):
        joints = mano.joints21(one["verts"], hands[0].joint_regressor.numpy() @ one["verts"], "pose2pose")
        np.testing.assert_allclose(targets["mano_joint_img"][row], in_crop(joints, sample, TURNED), atol=2e-4)
        turned = (joints - joints[0]) @ geometry.turn(-TURNED.rotation).T
        np.testing.assert_allclose(targets["mano_joint_cam"][row], turned, atol=1e-6)


def test_the_posed_hand_is_turned_as_its_joints_are(trees, hands):
    """MANO's own answer to the turned, mirrored parameters is the turned, mirrored hand."""
    for sample in (*read("freihand", trees)[:1], *read("mscoco", trees, "train", part="hand")[:2]):
        targets = completed([sample], hands, TURNED)
        pose, shape = (torch.from_numpy(targets[f"mano_{name}"]) for name in ("pose", "shape"))
        verts = hands[0](pose=pose, shape=shape, mean_added=False)["verts"]
        joints = mano.joints21(verts, hands[0].joint_regressor @ verts, "pose2pose")
        np.testing.assert_allclose(joints - joints[:, :1], targets["mano_joint_cam"], atol=1e-6)


def test_interhands_hands_one_by_one(trees, hands):
    samples = read("interhand", trees, "train", part="hand")
    assert [sample["hands"] for sample in samples] == ["right", "left", "right"] * 2
    targets, posed = completed(samples, hands, TURNED), trees["interhand"][1]
    for row, sample in enumerate(samples):
        left = sample["side"][0] == 1
        joints = sample["joints_cam"][0]
        np.testing.assert_allclose(targets["joint_img"][row], in_crop(joints, sample, TURNED, left), atol=2e-4)
        verts = (posed[int(left)]["verts"] - sample["cam_pos"]) @ sample["cam_rot"].T
        fit = mano.joints21(verts, hands[0].joint_regressor.numpy() @ verts, "pose2pose")
        np.testing.assert_allclose(targets["mano_joint_img"][row], in_crop(fit, sample, TURNED, left), atol=2e-3)
    assert targets["joint_trunc"].all() and targets["mano_joint_trunc"].all()
    lost = samples[0] | {"joints_valid": np.arange(21)[None] > 0}
    assert not crops.person_hand(lost)["targets"]["joint_valid"].any()  # relative to a wrist that is not known


def test_mscocos_hands_are_2d_alone_and_may_lack_a_fit(trees, hands):
    samples = read("mscoco", trees, "train", part="hand")
    assert [sample["key"] for sample in samples] == ["000/10/left", "000/10/right", "001/11/left"]
    targets = completed(samples, hands)
    assert not targets["is_3D"].any() and not targets["joint_cam"].any() and targets["joint_valid"].all()
    np.testing.assert_array_equal(targets["joint_img"][..., 2], 4)
    for row, sample in enumerate(samples):
        one = trees["mscoco"][1][sample["person"], sample["hands"]]
        flat = in_crop(one["joints"], sample | {"K": free_hands.K}, mirrored=row != 1)
        np.testing.assert_allclose(targets["joint_img"][row, :, :2], flat[:, :2], atol=2e-4)
    own = {name: value for name, value in targets.items() if name.startswith("mano")}
    assert all(own[name][:2].any() and not own[name][2].any() for name in own)
    assert np.isfinite(samples[2]["K"]).all() and samples[2]["K"][0, 0] > 100


def test_a_fit_without_a_place_is_not_learned(trees, hands):
    hidden = read("freihand", trees)[0] | {"joints_valid": np.zeros((1, 21), bool)}
    targets = completed([hidden], hands)
    assert not any(value.any() for name, value in targets.items() if name != "is_3D")


def test_the_left_hand_is_of_its_own_file_where_there_is_one(hands, tmp_path):
    assert hands[1].side == "left" and hands[1].file is None
    free.write_official(tmp_path)
    right = bodies.load(tmp_path, "mano_right")
    beside = hand_targets.left_of(right)
    assert beside.side == "left" and beside.file.name == "MANO_LEFT.pkl"
    torch.testing.assert_close(beside.skinning.arrays()["shapedirs"], hands[1].skinning.arrays()["shapedirs"])
    (tmp_path / "mano" / "MANO_LEFT.pkl").write_bytes(b"cut")
    with pytest.raises(InputError, match="MANO_LEFT"):
        hand_targets.left_of(right)
    (tmp_path / "mano" / "MANO_LEFT.pkl").unlink()
    assert hand_targets.left_of(right).file is None


def test_a_batch_is_its_samples(trees):
    samples = read("freihand", trees)[:2]
    samples.append(free_hands.mirrored(samples[0]))
    batch = crops.persons(samples, [TURNED, None, TURNED], input=SPEC)
    single = [crops.person_hand(one, drawn) for one, drawn in zip(samples, [TURNED, None, TURNED], strict=True)]
    assert np.abs(batch["image"].numpy() - np.stack([one["image"] for one in single])).max() <= 2e-7
    for name, values in batch["targets"].items():
        np.testing.assert_array_equal(values.numpy(), np.stack([one["targets"][name] for one in single]))


def test_a_packed_window_gives_the_whole_pictures_crop(trees):
    """Of MSCOCO's pictures a pack keeps what the crops can show."""
    kept, whole = (read("mscoco", trees, "train", part="hand", pixels=pixels) for pixels in ("reach", "whole"))
    assert kept[0]["image"].size < whole[0]["image"].size
    for one, other in zip(kept, whole, strict=True):
        for drawn in (None, TURNED, crops.ManoAugmentation(1.25, -0.8)):
            pair = [crops.person_hand(sample, drawn)["image"] for sample in (one, other)]
            np.testing.assert_array_equal(*pair)
    with pytest.raises(InputError, match="pixels='whole'"):
        crops.person_hand(kept[0], crops.ManoAugmentation(1.6))


def test_boxes_tight_final_outside_and_samples_of_two_hands(trees):
    sample = read("freihand", trees)[0]
    assert sample["bbox_tight"]
    x, y, w, h = crops.person_hand(sample)["meta"]["bbox"]
    assert w == h and np.isclose(w, 1.25 * (1.5 * max(sample["bbox"][2:]) - 1), rtol=1e-5)
    final = read("freihand", trees, "evaluation", boxes="rootnet")[0]
    np.testing.assert_array_equal(crops.person_hand(final)["meta"]["bbox"], [0, 0, 224, 224])
    lost = sample | {"bbox": np.array([900.0, 900, 0, 5], np.float32)}
    x, y, w, h = crops.person_hand(lost)["meta"]["bbox"]
    assert x < 0 and y < 0 and w > 224
    with pytest.raises(InputError, match="not of one hand(?s:.)*part='hand'"):
        crops.person_hand(sample | {"side": np.array([0, 1], np.int8)})
    with pytest.raises(InputError, match="not of one hand"):  # a whole person
        crops.person_hand({name: value for name, value in sample.items() if name != "side"})
    with pytest.raises(InputError, match="root_depth"):
        crops.person_hand(sample, root_depth="est")


def test_a_shape_too_far_from_the_mean_is_not_learned(trees, hands):
    far = read("freihand", trees)[0]
    far["shape"] = np.array([[3.5, *[0.1] * 9]])
    targets = crops.person_hand(far)["targets"]
    assert not targets["mano_shape"].any() and targets["fit_shape"][0] == 3.5 and targets["mano_shape_valid"] == 1
