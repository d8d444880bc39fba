import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from tolerances import assert_close

from handlib import alignment


@pytest.fixture
def moved():
    """Points (5, 21, 3), and the same turned, scaled and moved."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(5, 21, 3)) * 0.1
    turns = Rotation.random(5, random_state=1).as_matrix()
    scales = np.array([0.5, 1, 2, 1.3, 1000])[:, None, None]
    return truth, truth @ turns.swapaxes(1, 2) * scales + rng.normal(size=(5, 1, 3))


@pytest.mark.parametrize("reflection", [True, False])
def test_a_similarity_is_undone(moved, reflection):
    truth, points = moved
    aligned, mirrored = alignment.similarity(points, truth, reflection)
    tolerance = 1e-7 if reflection else 1e-12  # the official fit adds 1e-8 to the norms
    np.testing.assert_allclose(aligned, truth, rtol=0, atol=tolerance)
    assert not mirrored.any()


def test_only_the_official_fit_forgives_a_mirror_image(moved):
    truth, points = moved
    points = points * [-1, 1, 1]
    official, mirrored = alignment.similarity(points, truth)
    assert mirrored.all() and np.abs(official - truth).max() < 1e-7
    rigid, mirrored = alignment.similarity(points, truth, reflection=False)
    assert mirrored.all() and (np.abs(rigid - truth).max((1, 2)) > 0.01).all()


def test_the_fit_without_reflection_is_the_best_one(moved):
    truth, points = moved
    points = points * [-1, 1, 1] + np.random.default_rng(3).normal(size=points.shape) * 0.02
    fit = alignment.fit_similarity(points, truth, reflection=False)
    np.testing.assert_allclose(np.linalg.det(fit.rotation), 1)
    least = ((fit(points) - truth) ** 2).sum((1, 2))
    for seed in range(50):
        turn = Rotation.from_rotvec(np.random.default_rng(seed).normal(size=3) * 0.01).as_matrix()
        scale = fit.scale * (1 + 0.01 * np.sin(seed))
        other = alignment.Fit(fit.rotation @ turn, scale, fit.from_centre, fit.to_centre, fit.mirrored, fit.norms)
        assert (((other(points) - truth) ** 2).sum((1, 2)) >= least).all()


def test_rows_are_fitted_one_by_one(moved):
    truth, points = moved
    together, _ = alignment.similarity(points, truth)
    for row in range(5):
        alone, _ = alignment.similarity(points[[row]], truth[[row]])
        np.testing.assert_array_equal(together[row], alone[0])


@pytest.mark.parametrize("reflection", [True, False])
def test_points_without_extent_land_on_the_centroid(moved, reflection):
    truth, _ = moved
    aligned, mirrored = alignment.similarity(np.full_like(truth, 7.0), truth, reflection)
    np.testing.assert_allclose(aligned, np.broadcast_to(truth.mean(1, keepdims=True), truth.shape), atol=1e-12)
    assert not mirrored.any()


def test_flat_points_are_never_mirror_images(moved):
    truth, _ = moved
    truth = truth * [1, 1, 0]
    aligned, mirrored = alignment.similarity(truth * [-1, 1, 1], truth, reflection=False)
    np.testing.assert_allclose(aligned, truth, atol=1e-12)
    assert not mirrored.any()


@pytest.mark.parametrize("reflection", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_computes_the_same_in_its_own_precision(moved, dtype, reflection):
    truth, points = moved
    truth, points = truth[:4], points[:4] * [-1, 1, 1]
    expected, mirrored = alignment.similarity(points, truth, reflection)
    aligned, flags = alignment.similarity(
        torch.tensor(points, dtype=dtype), torch.tensor(truth, dtype=dtype), reflection
    )
    assert aligned.dtype == dtype and flags.tolist() == mirrored.tolist()
    assert_close(aligned, expected, dtype)
    bones = alignment.scale_translation(torch.tensor(points, dtype=dtype), torch.tensor(truth, dtype=dtype))
    assert_close(bones, alignment.scale_translation(points, truth), dtype)


def test_arguments_are_not_changed_and_whole_numbers_are_taken(moved):
    truth, points = moved
    copies = truth.copy(), points.copy()
    for function in (alignment.similarity, alignment.scale_translation, alignment.to_root):
        function(points, truth)
    np.testing.assert_array_equal(truth, copies[0])
    np.testing.assert_array_equal(points, copies[1])
    whole = np.rint(truth * 1000).astype(int)
    np.testing.assert_allclose(alignment.similarity((whole * 2).tolist(), whole)[0], whole, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 20, 3), (4, 21, 3), (21, 3), (5, 21, 2)])
def test_other_shapes_are_refused(moved, shape):
    with pytest.raises(ValueError, match="must be"):
        alignment.similarity(np.zeros(shape), moved[0])


def test_scale_translation_fits_one_bone_and_the_root(moved):
    truth, points = moved
    aligned = alignment.scale_translation(points, truth)
    np.testing.assert_allclose(aligned[:, 0], truth[:, 0], atol=1e-12)
    lengths = [np.linalg.norm(set_[:, 4] - set_[:, 0], axis=-1) for set_ in (aligned, truth)]
    np.testing.assert_allclose(*lengths)
    turned = (points - points[:, :1]) / (aligned - aligned[:, :1] + (np.arange(21) == 0)[:, None])
    np.testing.assert_allclose(turned[:, 1:], np.broadcast_to(turned[:, 1:2, :1], turned[:, 1:].shape))


def test_a_bone_of_length_zero_is_not_divided_by(moved):
    truth, points = moved
    points[:, 4] = points[:, 0]
    length = np.linalg.norm(truth[:, 4] - truth[:, 0], axis=-1)[:, None, None]
    expected = (points - points[:, :1]) * length + truth[:, :1]
    np.testing.assert_allclose(alignment.scale_translation(points, truth), expected)


def test_to_root_moves_the_root_onto_the_true_one(moved):
    truth, points = moved
    aligned = alignment.to_root(points, truth, root=9)
    np.testing.assert_allclose(aligned[:, 9], truth[:, 9])
    np.testing.assert_allclose(aligned - aligned[:, :1], points - points[:, :1])
