import math

import numpy as np
import pytest
import torch

from handlib import geometry
from handlib.files import InputError
from handlib.fitting.translation import NEAR, published_terms, published_translation, translation
from handlib.verify import Row, handoccnet_fitting, reference

K = torch.from_numpy(geometry.intrinsics((900.0, 910.0), (420.0, 250.0)))
PLACES = torch.tensor([[0.05, -0.02, 0.4], [-0.3, 0.1, 1.5], [0.0, 0.0, 0.12], [0.6, 0.5, 3.0]], dtype=torch.float64)


@pytest.fixture(scope="module")
def joints(hands):
    """Four hands about their wrists."""
    return hands["joints"][:4] - hands["joints"][:4, :1]


def pixels_of(joints, places=PLACES, camera=K):
    return geometry.project(joints + places[:, None], camera, eps=0.0)


def test_the_place_is_found_again(joints):
    found, error = translation(joints, pixels_of(joints), K)
    torch.testing.assert_close(found, PLACES, rtol=0, atol=1e-7)
    assert (error < 1e-4).all()
    torch.testing.assert_close(translation(joints.numpy(), pixels_of(joints).numpy(), K.numpy())[0], found)


def test_each_hand_is_by_itself_and_float32_in_is_float32_out(joints):
    pixels = pixels_of(joints) + torch.randn(4, 21, 2, generator=torch.Generator().manual_seed(1)).double()
    together, _ = translation(joints.float(), pixels.float(), K)
    alone = torch.cat(
        [translation(joints[row : row + 1].float(), pixels[row : row + 1].float(), K)[0] for row in range(4)]
    )
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-7)


def test_a_few_wrong_joints_move_little(joints):
    pixels = pixels_of(joints)
    pixels[:, [4, 8, 12]] += torch.tensor([80.0, -60.0])
    found, _ = translation(joints, pixels, K)
    assert ((found - PLACES).norm(dim=1) < 0.01 * PLACES[:, 2]).all()


def test_the_minimum_is_that_of_a_slow_search(joints):
    """Huber's loss of clean joints and one wrong one, against many small steps down by autograd."""
    pixels = pixels_of(joints)[:1] + 3 * torch.randn(1, 21, 2, generator=torch.Generator().manual_seed(0)).double()
    found, _ = translation(joints[:1], pixels, K, steps=40)
    threshold = 1.345 * 1.4826 * (pixels_of(joints[:1], found) - pixels).norm(dim=-1).median()

    def cost(place):
        off = (pixels_of(joints[:1], place) - pixels).norm(dim=-1)
        return torch.where(off <= threshold, off**2 / 2, threshold * (off - threshold / 2)).sum()

    place = found.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cost(place), place)
    for axis in range(3):
        step = torch.zeros(1, 3, dtype=torch.float64)
        step[0, axis] = 1e-4
        assert cost(found) < min(cost(found + step), cost(found - step))
    assert slope.abs().max() < 1e-2 * cost(PLACES[:1] * 1.01) / 1e-2


def test_unseen_joints_and_weights(joints):
    pixels = pixels_of(joints)
    pixels[:, 5] = torch.nan
    pixels[:, 6] += 50
    weights = torch.ones(4, 21)
    weights[:, 6] = 0
    found, error = translation(joints, pixels, K, weights)
    torch.testing.assert_close(found, PLACES, rtol=0, atol=1e-7)
    assert (error < 1e-4).all()


def test_no_hand_ends_behind_the_camera(joints):
    """Pixels turned by half a turn, as a hand behind the camera would be seen: the linear solution lies there."""
    pixels = 2 * K[:2, 2] - pixels_of(joints)
    found, error = translation(joints, pixels, K)
    assert ((joints[..., 2] + found[:, None, 2]) >= NEAR - 1e-9).all()
    assert found.isfinite().all() and (error > 5).all()


@pytest.mark.parametrize(
    "change, named",
    [
        ({"pixels": torch.full((4, 21, 2), torch.nan)}, "rows 0, 1, 2, 3"),
        ({"K": torch.zeros(3, 3)}, "focal"),
        ({"pixels": torch.zeros(4, 20, 2)}, "pixels"),
        ({"weights": -torch.ones(4, 21)}, "weights"),
        ({"joints": torch.zeros(21, 3)}, "joints"),
    ],
)
def test_bad_input_is_named(joints, change, named):
    given = {"joints": joints, "pixels": pixels_of(joints), "K": K} | change
    with pytest.raises(InputError, match=named):
        translation(**given)


def test_every_case_of_the_published_fitting_holds():
    ref = reference.shipped("handoccnet")
    rows = [row for check in handoccnet_fitting.CHECKS for row in check(ref)]
    assert len(rows) >= 60 and all(isinstance(row, Row) for row in rows)
    assert [row for row in rows if not row.ok] == []


def test_the_published_depth_term_has_no_derivative_unless_it_is_asked_for(joints):
    place = torch.tensor([0.0, 0.0, 0.8], dtype=torch.float64, requires_grad=True)
    pixels = pixels_of(joints)[0]
    for prior, expected in ((False, 0.0), (True, 600.0)):
        off, term = published_terms(joints[0], pixels, place, K[:2, 2], prior=prior)
        slopes = [torch.autograd.grad(part, place, retain_graph=True)[0][2].item() for part in (off, off + term)]
        assert slopes[1] - slopes[0] == pytest.approx(expected)
        assert term.item() == pytest.approx(90.0)


def test_the_published_run_takes_half_the_picture_as_its_centre(joints):
    camera = torch.from_numpy(geometry.intrinsics((500.0, 500.0), (320.0, 240.0)))
    pixels = pixels_of(joints, camera=camera)[0]
    found = published_translation(joints[0].float(), pixels.float(), size=(640, 480))
    assert math.dist(found.transl.tolist(), PLACES[0].tolist()) < 1e-3
    with pytest.raises(InputError, match="size"):
        published_translation(np.zeros((21, 3)), np.zeros((21, 2)))
