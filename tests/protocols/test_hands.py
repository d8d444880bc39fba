import numpy as np
import pytest

from handlib.protocols import fscores, hands

# The area under the PCK curve


def by_definition(distance, thresholds):
    """One keypoint's AUC: the trapezoid area under its PCK curve."""
    curve = np.array([(distance <= limit).mean() for limit in thresholds])
    return ((curve[1:] + curve[:-1]) / 2).sum() / (len(thresholds) - 1)


@pytest.mark.parametrize("thresholds", [hands.THRESHOLDS, np.linspace(0, 50, 100), np.linspace(0, 0.05, 20)])
def test_areas_add_up_to_the_auc(thresholds):
    distance = np.random.default_rng(0).exponential(thresholds[-1] / 3, (200, 4))
    distance[:10, 0], distance[10:110, 0] = 0, np.resize(thresholds, 100)
    distance[110:, 0] = np.nextafter(np.resize(thresholds, 90), np.inf)
    expected = [by_definition(distance[:, point], thresholds) for point in range(4)]
    np.testing.assert_allclose(hands.areas(distance, thresholds).mean(0), expected, rtol=0, atol=1e-14)


def test_zero_and_nearly_zero_are_not_the_same_area():
    found = hands.areas(np.array([0.0, 1e-17, 0.05, np.nextafter(0.05, 1), np.inf, np.nan]))
    np.testing.assert_allclose(found, [1, 98.5 / 99, 0.5 / 99, 0, 0, 0])


def test_pck_counts_up_to_the_threshold_and_leaves_nan_out():
    distance = np.array([[0.01, 0.02], [0.03, np.nan]])
    np.testing.assert_array_equal(hands.pck(distance, np.array([0.0, 0.01, 0.02, 0.03])), [0, 0.25, 0.75, 1])
    assert hands.median(distance) == pytest.approx((0.02 + 0.02) / 2)


# F-scores


def plain_fscores(truth, predicted, thresholds):
    table = np.sqrt(((truth[:, :, None] - predicted[:, None]) ** 2).sum(-1))
    nearest = table.min(2), table.min(1)
    p, r = (np.stack([(least < limit).mean(1) for limit in thresholds], 1) for least in nearest)
    f = np.array([2 * a * b / (a + b) if a + b else 0 for a, b in zip(p.ravel(), r.ravel(), strict=True)])
    return np.stack([f.reshape(p.shape), p, r], -1)


def cloud(seed, n=3, points=778, size=0.06):
    return np.random.default_rng(seed).normal(size=(n, points, 3)) * size + [0, 0, 0.7]


@pytest.mark.parametrize("count", [1, 129, 300, 778, 1000])
@pytest.mark.parametrize("thresholds", [fscores.THRESHOLDS, (0.001, 0.01, 0.05)])
def test_fscores_equal_every_distance_measured(count, thresholds):
    truth, predicted = cloud(0), cloud(1, points=count)
    found = fscores.fscores(truth, [predicted], thresholds)
    np.testing.assert_array_equal(found[:, :, 0], plain_fscores(truth, predicted, thresholds))


@pytest.mark.parametrize("offset", [0, 0.02, 5, 1e4])
def test_fscores_far_from_the_camera_and_from_the_truth(offset):
    truth = cloud(2)
    sets = [truth + 0.004 + [0, 0, offset], cloud(3) * 50]
    found = fscores.fscores(truth, sets)
    for number, points in enumerate(sets):
        np.testing.assert_array_equal(found[:, :, number], plain_fscores(truth, points, fscores.THRESHOLDS))
    found = fscores.fscores(truth + [0, 0, offset], [truth + [0, 0.004, offset]])
    expected = plain_fscores(truth + [0, 0, offset], truth + [0, 0.004, offset], fscores.THRESHOLDS)
    np.testing.assert_array_equal(found[:, :, 0], expected)


def test_fscores_are_strict_to_the_last_bit():
    # 2 m apart, so that each point has one neighbour; along x, from 0, so that no coordinate is rounded
    truth = np.zeros((1, 40, 3))
    truth[0, :, 1] = np.arange(40) * 2
    predicted = truth.copy()
    predicted[0, :10, 0], predicted[0, 10:20, 0] = 0.005, np.nextafter(0.005, 0)
    predicted[0, 20:30, 0], predicted[0, 30:, 0] = 0.015, np.nextafter(0.015, 0)
    found = fscores.fscores(truth, [predicted])[0, :, 0]
    np.testing.assert_array_equal(found, [[0.25, 0.25, 0.25], [0.75, 0.75, 0.75]])


def test_fscores_where_float32_ends():
    truth = cloud(4, points=50)
    predicted = truth.copy()
    predicted[0, 0] = 1e30
    found = fscores.fscores(truth, [predicted])[:, :, 0]
    expected = plain_fscores(truth, predicted, fscores.THRESHOLDS)
    np.testing.assert_array_equal(found, expected)


def test_no_point_near_gives_zero():
    assert not fscores.fscores(cloud(5), [cloud(5) + 10]).any()
    same = fscores.fscores(np.zeros((2, 5, 3)), [np.zeros((2, 5, 3))])
    assert (same == 1).all()
