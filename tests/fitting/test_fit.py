import numpy as np
import pytest
import torch

from handlib import bodies, fitting, geometry
from handlib.files import InputError
from handlib.fitting import poses

K = torch.tensor([[600.0, 0, 320], [0, 610, 240], [0, 0, 1]], dtype=torch.float64)
MIRROR = torch.tensor([-1.0, 1, 1])


def mean_mm(a, b):
    return 1000 * (a.double() - b.double()).norm(dim=-1).mean().item()


def test_clean_joints_give_the_hand_back(layer, hands):
    found = fitting.fit(hands["joints"], layer)
    assert found.converged.all() and found.steps.max() <= 15
    assert mean_mm(found.joints, hands["joints"]) < 1.2
    assert mean_mm(found.verts, hands["verts"]) < 2.2
    out = layer(pose=found.pose, shape=found.shape, transl=found.transl, mean_added=True)
    torch.testing.assert_close(found.verts, out["verts"], rtol=0, atol=1e-6)
    torch.testing.assert_close(found.error, (found.joints - hands["joints"]).norm(dim=-1).float(), rtol=0, atol=1e-6)


def test_less_noise_follows_the_joints_closer(layer, hands):
    errors = [fitting.fit(hands["joints"], layer, noise=noise).error.mean() for noise in (0.0005, 0.002, 0.01)]
    assert errors[0] < errors[1] < errors[2] and errors[0] < 3e-4


def test_a_hands_mesh_does_not_depend_on_its_batch(layer, hands):
    together = fitting.fit(hands["joints"], layer)
    alone = fitting.fit(hands["joints"][5], layer)
    cut = fitting.fit(hands["joints"], layer, batch=3)
    assert alone.verts.shape == (778, 3) and alone.steps == together.steps[5]
    torch.testing.assert_close(alone.verts, together.verts[5], rtol=0, atol=1e-6)
    torch.testing.assert_close(cut.verts, together.verts, rtol=0, atol=1e-6)


def test_the_answer_is_where_the_objective_is_flat(layer, hands):
    """Nothing is left to gain: a fit that starts at the answer stays there."""
    found = fitting.fit(hands["joints"], layer)
    again = fitting.fit(hands["joints"], layer, start=found.pose, tolerance=1e-9)
    assert mean_mm(again.verts, found.verts) < 0.05
    assert (again.objective <= found.objective * (1 + 1e-4)).all()


def test_numpy_and_leading_axes(layer, hands):
    joints = hands["joints"].numpy().reshape(2, 4, 1, 21, 3)
    found = fitting.fit(joints, layer)
    assert found.verts.shape == (2, 4, 1, 778, 3) and found.converged.shape == (2, 4, 1)
    flat = fitting.fit(hands["joints"], layer)
    torch.testing.assert_close(found.pose.reshape(8, 48), flat.pose, rtol=0, atol=1e-6)
    double = fitting.fit(joints, bodies.load(None, "mano_right", dtype=torch.float64))
    assert double.verts.dtype == torch.float64 and mean_mm(double.verts, found.verts) < 0.01


def test_missing_joints_and_weights(layer, hands):
    joints = hands["joints"].clone()
    joints[:, [3, 8, 12]] = torch.nan
    found = fitting.fit(joints, layer)
    assert found.error[:, [3, 8, 12]].isnan().all() and mean_mm(found.verts, hands["verts"]) < 5
    weights = torch.ones(8, 21)
    weights[:, [3, 8, 12]] = 0
    wrong = hands["joints"].clone()
    wrong[:, [3, 8, 12]] += 0.5
    weighted = fitting.fit(wrong, layer, weights=weights)
    torch.testing.assert_close(weighted.verts, found.verts, rtol=0, atol=1e-6)
    weights[:, [3, 8, 12]] = torch.nan
    torch.testing.assert_close(fitting.fit(wrong, layer, weights=weights).verts, found.verts, rtol=0, atol=1e-6)


def test_a_weight_is_a_smaller_noise(layer, hands):
    joints = hands["joints"]
    heavy = fitting.fit(joints, layer, weights=torch.full((8, 21), 4.0), noise=0.004)
    torch.testing.assert_close(heavy.verts, fitting.fit(joints, layer, noise=0.002).verts, rtol=0, atol=1e-6)


def test_left_hands_by_mirroring_and_by_their_own_layer(layer, hands):
    left = hands["joints"] * MIRROR
    mirrored = fitting.fit(left, layer, side="left")
    own = fitting.fit(left, bodies.load(None, "mano_left"))
    assert mirrored.mirrored.all() and not own.mirrored.any()
    torch.testing.assert_close(mirrored.verts, own.verts, rtol=0, atol=1e-5)
    assert mean_mm(own.verts, hands["verts"] * MIRROR) < 2.2
    both = torch.stack([hands["joints"][0], left[0]])
    found = fitting.fit(both, layer, side=np.array([0, 1]))
    assert found.mirrored.tolist() == [False, True]
    torch.testing.assert_close(found.verts[1] * MIRROR, found.verts[0], rtol=0, atol=1e-6)


def test_a_left_hand_forced_into_a_right_one_fits_badly(layer, hands):
    left = hands["joints"] * MIRROR
    wrong, right = fitting.fit(left, layer).error.mean(), fitting.fit(left, layer, side="left").error.mean()
    assert wrong > 3 * right


@pytest.mark.parametrize("side", ["right", "left"])
def test_pixels_and_a_camera(layer, hands, side):
    joints = hands["joints"] * (MIRROR if side == "left" else 1)
    pixels = geometry.project(joints, K)
    found = fitting.fit(pixels, layer, K=K, side=side)
    assert found.error.mean() < 1.5 and (found.joints[..., 2] > 0.1).all()
    relative = found.joints - found.joints[:, :1], joints - joints[:, :1]
    assert mean_mm(*relative) < 15
    again = geometry.project(found.joints.double(), K)
    torch.testing.assert_close((again - pixels).norm(dim=-1), found.error.double(), rtol=0, atol=1e-2)


def test_one_shape_for_a_sequence(layer, hands):
    shape = hands["shape"][:1]
    out = layer(pose=hands["pose"], shape=shape, mean_added=True)
    generator = torch.Generator().manual_seed(0)
    joints = bodies.joints21(out["verts"], out["joints"])
    joints = joints + 0.005 * torch.randn(joints.shape, generator=generator)
    one, many = (fitting.fit(joints, layer, constant_shape=value) for value in (True, False))
    assert one.converged.all() and (one.shape == one.shape[0]).all() and not (many.shape == many.shape[0]).all()
    rest = torch.zeros(48)
    true = layer(pose=rest, shape=shape[0], mean_added=True)["verts"]
    off = [mean_mm(layer(pose=rest, shape=found.shape, mean_added=True)["verts"], true) for found in (one, many)]
    assert off[0] < off[1]
    two = fitting.fit(joints, layer, constant_shape=np.array([7, 7, 7, 7, 2, 2, 2, 2]))
    first = fitting.fit(joints[:4], layer, constant_shape=True)
    torch.testing.assert_close(two.verts[:4], first.verts, rtol=0, atol=1e-5)


def test_poses_of_a_data_set_can_be_given(layer, hands):
    found = fitting.fit(hands["joints"], layer, plausible=poses.of(layer, hands["pose"][:, 3:]))
    assert mean_mm(found.joints, hands["joints"]) < 1.2


def test_one_shape_for_a_sequence_of_pictures(layer, hands):
    found = fitting.fit(geometry.project(hands["joints"], K), layer, K=K.expand(8, 3, 3), constant_shape=True)
    assert (found.shape == found.shape[0]).all() and found.error.mean() < 4


def test_start_poses_for_pictures(layer, hands):
    pixels = geometry.project(hands["joints"], K)
    found, without = fitting.fit(pixels, layer, K=K, start=hands["pose"]), fitting.fit(pixels, layer, K=K)
    assert (found.objective <= without.objective * 1.02).all()


@pytest.mark.parametrize("published", [True, False])
def test_inference_mode_and_autocast_change_nothing(layer, hands, published):
    given = {"start": hands["pose"], "published": published}
    expected = fitting.fit(hands["joints"].float(), layer, **given)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = fitting.fit(hands["joints"].float() + 0, layer, **given)
    assert mean_mm(found.verts, expected.verts) < 1e-3


def test_an_iknet_for_pictures_is_refused(layer, hands):
    with pytest.raises(InputError, match="iknet"):
        fitting.fit(geometry.project(hands["joints"], K), layer, K=K, iknet=torch.nn.Identity())


def broken(joints, where, value):
    joints = joints.clone()
    joints[where] = value
    return joints


@pytest.mark.parametrize(
    "make, named",
    [
        (lambda j: {"joints": j[:, :20]}, "shape"),
        (lambda j: {"joints": "hand"}, "numbers"),
        (lambda j: {"joints": j[:0]}, "no hand"),
        (lambda j: {"joints": broken(j, 2, torch.nan)}, "hands 2 have fewer than 3"),
        (lambda j: {"joints": broken(j, (4, 1, 2), torch.inf)}, "hands 4 hold infinite"),
        (lambda j: {"joints": broken(j, 3, 0.1)}, "hands 3 have all their joints in one point"),
        (lambda j: {"joints": torch.cat([j[:, :9], j[:, :1], j[:, 10:]], 1)}, "joints 0 and 9"),
        (lambda j: {"joints": j, "K": K}, "field 'K'"),
        (lambda j: {"joints": j[..., :2]}, "field 'K'"),
        (lambda j: {"joints": j[..., :2], "K": 0 * K}, "focal"),
        (lambda j: {"joints": j[..., :2], "K": K[:2]}, "field 'K'"),
        (lambda j: {"joints": j, "weights": torch.ones(21)}, "weights"),
        (lambda j: {"joints": j, "weights": -torch.ones(8, 21)}, "negative"),
        (lambda j: {"joints": j, "weights": torch.zeros(8, 21)}, "fewer than 3"),
        (lambda j: {"joints": j, "side": "both"}, "side"),
        (lambda j: {"joints": j, "side": np.array([0, 1])}, "side"),
        (lambda j: {"joints": j, "start": torch.zeros(8, 45)}, "start"),
        (lambda j: {"joints": j, "start": torch.full((8, 48), torch.nan)}, "start"),
        (lambda j: {"joints": j, "constant_shape": np.zeros(3, int)}, "constant_shape"),
        (lambda j: {"joints": j, "tips": "mine"}, "tips"),
        (lambda j: {"joints": j, "noise": -1.0}, "noise"),
    ],
)
def test_bad_input_is_named(layer, hands, make, named):
    with pytest.raises(InputError, match=named):
        fitting.fit(layer=layer, **make(hands["joints"]))
