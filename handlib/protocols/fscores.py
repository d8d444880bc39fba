"""F-scores of point sets, as FreiHAND and HO-3D take them: exact, at a fraction of the cost of a kd-tree.

F at a threshold t, per sample: P is the share of true points with a predicted point **closer than** t (strictly), R
the share of predicted points with a true point closer than t; F = 2PR / (P + R), and 0 when both are 0. Points only,
no faces. (The official code calls P precision and R recall, the other way round from common use; F is the same.)

How: both sets are sorted along the truth's longest axis, so that only a band of pairs can be near; their squared
distances come from one float32 matrix product per band. Where that is nearer to a threshold than its own rounding,
the point is measured again in float64, as the official evaluators measure it.
"""

import numpy as np

THRESHOLDS = (0.005, 0.015)  # metres
_BAND = 130  # true points per band: its distances stay in the processor's cache
_ROUNDING = 8 * np.finfo(np.float32).eps  # of a squared distance, in units of (|a| + |b|)**2, with room to spare


def fscores(truth, sets, thresholds=THRESHOLDS):
    """truth (N, P, 3) and each of ``sets`` (N, Q, 3), metres, float64 -> (N, thresholds, sets, 3): F, P, R."""
    centre = np.einsum("npi->ni", truth)[:, None] / truth.shape[1]
    centred = truth - centre
    axis = np.linalg.eigh(centred.swapaxes(1, 2) @ centred)[1][:, :, 2:]
    first = _Sorted(truth, centred, axis, true=True)
    result = np.empty((len(truth), len(thresholds), len(sets), 3))
    for number, points in enumerate(sets):
        second = _Sorted(points, points - centre, axis, true=False)
        rows, columns = _least_squares(first, second, max(thresholds))
        precision = _share_near(rows, first, second, thresholds)
        recall = _share_near(columns, second, first, thresholds)
        both = precision + recall
        result[:, :, number, 0] = 2 * precision * recall / np.where(both > 0, both, 1)
        result[:, :, number, 1], result[:, :, number, 2] = precision, recall
    return result


class _Sorted:
    """One point set, sorted along an axis, in the form that makes a matrix product a squared distance.

    points (N, P, 3), also relative to the truth's centre; ``keys`` (N, P) along the axis; ``factors`` (N, P, 5) of the
    truth or (N, 5, P) of a prediction; ``norms`` (N, P) squared distances from the truth's centre.
    """

    def __init__(self, points, centred, axis, true):
        n, count = points.shape[:2]
        keys = (centred @ axis)[..., 0]
        self.points, self.order = points, keys.argsort(1)
        rows = (self.order + count * np.arange(n)[:, None]).ravel()
        self.keys = keys.ravel()[rows].reshape(n, count)
        with np.errstate(over="ignore"):  # too far for float32: infinite, and then measured again
            centred = centred.reshape(-1, 3).astype(np.float32)[rows].reshape(n, count, 3)
            self.norms = np.einsum("npi,npi->np", centred, centred)
        self.factors = np.ones((n, count, 5) if true else (n, 5, count), np.float32)
        if true:
            self.factors[..., :3], self.factors[..., 3] = centred, self.norms
        else:
            self.factors[:, :3], self.factors[:, 4] = (-2 * centred).swapaxes(1, 2), self.norms

    def of_sample(self, number, places):
        """(k, 3) points of a sample as they were given, by their places in the sorted order."""
        return self.points[number, self.order[number, places]]


def _least_squares(first, second, reach):
    """Each point's squared distance to the nearest of the other set: (N, P), (N, Q); infinite beyond ``reach``."""
    reach = reach * (1 + 1e-6)
    # Whole numbers with the bits of floats have their order from 0 up, and numpy finds the least twice as fast.
    rows = np.full(first.keys.shape, np.inf, np.float32).view(np.int32)
    columns = np.full(second.keys.shape, np.inf, np.float32).view(np.int32)
    starts = np.arange(0, rows.shape[1], _BAND)
    ends = np.minimum(starts + _BAND, rows.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for number, keys in enumerate(second.keys):
            low = keys.searchsorted(first.keys[number, starts] - reach).tolist()
            high = keys.searchsorted(first.keys[number, ends - 1] + reach).tolist()
            left, right = first.factors[number], second.factors[number]
            for start, end, begin, stop in zip(starts.tolist(), ends.tolist(), low, high, strict=True):
                if begin < stop:
                    squares = (left[start:end] @ right[:, begin:stop]).view(np.int32)
                    np.minimum.reduce(squares, 1, out=rows[number, start:end])
                    part = columns[number, begin:stop]
                    np.minimum(part, np.minimum.reduce(squares), out=part)
    return rows.view(np.float32), columns.view(np.float32)


def _share_near(squares, mine, others, thresholds):
    """(N, thresholds): the share of my points with one of the others closer than each threshold."""
    # Who is near a point is about as far from the centre as it: |a| + |b| < 2 |a| + 1.1 * the largest threshold.
    margin = _ROUNDING * (2 * np.sqrt(mine.norms) + np.float32(1.1 * max(thresholds))) ** 2
    near, unsure = [], np.zeros(squares.shape, bool)
    for limit in np.float32(np.square(thresholds)):
        near.append(squares < limit - margin)
        unsure |= ~(near[-1] | (squares > limit + margin))
    near = np.stack(near)
    for number in np.flatnonzero(unsure.any(1)):
        places = np.flatnonzero(unsure[number])
        least = _exact(mine.of_sample(number, places), others.points[number])
        near[:, number, places] = least < np.array(thresholds)[:, None]
    return near.mean(-1).T


def _exact(points, others):
    """(k, 3), (Q, 3) -> (k,) distance to the nearest, in float64 and in the official order of operations."""
    squares = (points[:, None] - others) ** 2
    return np.sqrt((squares[..., 0] + squares[..., 1] + squares[..., 2]).min(1))
