import numpy as np
import pytest
import torch

from handlib import metrics


def test_joint_errors_are_distances_and_nan_where_not_valid():
    truth = np.zeros((1, 2, 3))
    predicted = np.array([[[3.0, 4.0, 0.0], [1.0, 2.0, 2.0]]])
    np.testing.assert_array_equal(metrics.joint_errors(predicted, truth, [[1, 1]]), [[5.0, 3.0]])
    np.testing.assert_array_equal(metrics.joint_errors(predicted, truth, [[1, 0]]), [[5.0, np.nan]])


def test_torch_and_numpy_give_the_same_and_nothing_is_changed():
    rng = np.random.default_rng(0)
    predicted, truth = rng.random((4, 6, 3), np.float32), rng.random((4, 6, 3), np.float32)
    before = predicted.copy()
    expected = metrics.joint_errors(predicted, truth, np.ones((4, 6)))
    given = torch.tensor(predicted, requires_grad=True)
    np.testing.assert_array_equal(metrics.joint_errors(given, torch.tensor(truth), torch.ones(4, 6)), expected)
    metrics.relative_to_roots(predicted, (2, 5))
    np.testing.assert_array_equal(predicted, before)


def test_relative_to_roots_uses_each_hands_own_root():
    joints = np.arange(12.0).reshape(1, 4, 3)
    relative = metrics.relative_to_roots(joints, (1, 2))
    np.testing.assert_array_equal(relative[0], joints[0] - joints[0, [1, 1, 2, 2]])


def test_mean_over_samples_leaves_out_nan():
    nan = np.nan
    np.testing.assert_array_equal(metrics.mean_over_samples([[1, nan, nan], [3, 5, nan]]), [2, 5, nan])
    assert np.isnan(metrics.mean_of([nan])) and np.isnan(metrics.mean_of([]))


@pytest.mark.parametrize(
    ("probabilities", "present", "correct"),
    [
        ((0.9, 0.1), (1, 0), True),
        ((0.9, 0.1), (1, 1), False),
        ((0.51, 0.51), (1, 1), True),
        ((0.5, 0.1), (1, 0), False),  # exactly 0.5 is wrong, whichever hand is there
        ((0.9, 0.5), (1, 0), False),
    ],
)
def test_handedness_is_strict(probabilities, present, correct):
    assert metrics.handedness_correct([probabilities], [present])[0] == correct


def test_segmentation_iou_by_hand():
    target = np.array([[1, 1, 2, 2], [0, 0, 0, 3]])
    predicted = np.array([[1, 2, 2, 2], [0, 0, 3, 0]])
    # class 1: 1 of 2, class 2: 2 of 3, class 3: 0 of 2; class 4: in neither map
    shares = [1 / 2, 2 / 3, 0.0]
    assert metrics.segmentation_iou(predicted, target, 5, tol=1) == pytest.approx(np.mean(shares))
    assert metrics.segmentation_iou(predicted, target, 5, tol=0) == pytest.approx(np.mean([*shares, 0.0]))
    assert metrics.segmentation_iou(predicted, target, 5, tol=3) == pytest.approx(2 / 3)
    assert np.isnan(metrics.segmentation_iou(predicted, target, 5, tol=100))
    with_background = metrics.segmentation_iou(predicted, target, 4, background=None)
    assert with_background == pytest.approx(np.mean([2 / 4, *shares]))


def test_segmentation_iou_does_not_count_numbers_that_are_no_class():
    target, predicted = np.array([1, 1, -1, 255]), np.array([1, 1, -1, 255])
    assert metrics.segmentation_iou(predicted, target, 2) == 1.0


def test_segmentation_iou_refuses_unequal_shapes():
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(4,\)"):
        metrics.segmentation_iou(np.zeros((2, 2), int), np.zeros(4, int))
