"""Where the error is: by joint, finger, sequence, object, subject, occlusion; PCK curves; the worst and best frames.

Numbers only; `handlib.viewer.errors` draws them. Errors are what ``handlib.protocols.per_sample`` gives. Intervals are
those of `handlib.confidence`: percentile bootstrap over samples, or over groups of samples.
"""

import warnings

import numpy as np
import pandas

from handlib import confidence, protocols, tables
from handlib.fields import FINGERS
from handlib.files import InputError

THRESHOLDS_MM = np.linspace(0, 50, 101)
HIDDEN_M = 0.02  # a surface so much nearer than a joint hides it; a finger is half as thick
POSES = 20_000  # training poses that are compared with; more are taken evenly
_MIDDLE, _INDEX, _LITTLE = 9, 5, 17  # HAND21: the bases of these fingers
_UNSTATED = "not stated"


# Breakdowns


def breakdown(protocol, errors, by, figures=None, intervals=False, **options):
    """The protocol's figures within each group of samples -> DataFrame: a row per label, then one of all samples.

    Arguments:
        by: (N,) labels (a column of ``pack.index``; bins of a number from `bins`); samples without one are a row of
            their own.
        figures: official names; None: those of ``tables.SUMMARY``.
        intervals: add ``_low`` and ``_high`` (`handlib.confidence.intervals`, 95 % over samples); or a mapping of its
            arguments.

    Columns: the labels' name, samples, the figures with their units. A figure without samples in a group is NaN. Warns
    once when groups are too small for their intervals.
    """
    sums = {name: np.asarray(array, float) for name, array in protocols.sums(protocol, errors, **options).items()}
    labels = pandas.Series(by).reset_index(drop=True)
    count = len(next(iter(sums.values())))
    if len(labels) != count:
        raise InputError("by", f"has {len(labels)} labels for {count} samples", "give one label per sample")
    figures = list(figures or tables.SUMMARY[protocol])
    name = labels.name if isinstance(labels.name, str) else "group"
    groups = [(label, rows.to_numpy()) for label, rows in labels.groupby(labels, observed=True).groups.items()]
    without = np.flatnonzero(labels.isna())
    groups += [(_UNSTATED, without)] if without.size else []
    rows = []
    for label, chosen in [*groups, ("all", np.arange(count))]:
        made = protocols.figures(protocol, {key: array[chosen].sum(0) for key, array in sums.items()}, **options)
        row = {name: str(label), "samples": len(chosen)}
        limits = _limits(protocol, errors, chosen, intervals, options) if intervals else None
        for figure in figures:
            column = tables.column(protocol, figure)
            row[column] = made[figure]
            if limits is not None:
                row |= {f"{column}_{end}": limits.loc[figure, end] for end in ("low", "high")}
        rows.append(row)
    small = sum(len(chosen) < confidence.FEW for _, chosen in groups)
    if intervals and small:
        words = f"{small} of {len(groups)} groups have fewer than {confidence.FEW} samples"
        warnings.warn(f"confidence: {words}: their intervals mean little", stacklevel=2)
    return pandas.DataFrame(rows)


def _limits(protocol, errors, chosen, wanted, options):
    wanted = dict(wanted) if isinstance(wanted, dict) else {}
    if wanted.get("groups") is not None:
        wanted["groups"] = np.asarray(wanted["groups"])[chosen]
    part = {name: np.asarray(array)[chosen] for name, array in errors.items()}
    with warnings.catch_warnings():  # breakdown warns once of all
        warnings.filterwarnings("ignore", "confidence: ")
        return confidence.intervals(protocol, part, **wanted, **options).set_index("figure")


def bins(values, count=5, name=None):
    """(N,) numbers -> labels of ``count`` bins that hold about as many samples each, for `breakdown`; NaN stays NaN."""
    values = pandas.Series(np.asarray(values, float), name=name or getattr(values, "name", None))
    known = values.dropna()
    if known.empty:
        return values
    edges = np.unique(np.quantile(known, np.linspace(0, 1, count + 1)))
    if len(edges) < 2:
        return values.map(lambda value: value if np.isnan(value) else f"{value:.3g}")
    labels = [f"{low:.3g} to {high:.3g}" for low, high in zip(edges, edges[1:], strict=False)]
    return pandas.cut(values, edges, labels=labels, include_lowest=True, duplicates="drop", ordered=True)


def by_joint(distances, joints, groups=None, **bootstrap):
    """The mean error of every joint -> DataFrame: joint, finger, samples, value, low, high.

    distances (N, J), any unit, NaN where a joint does not count; joints: J names, as of a set in `handlib.fields`
    ("r_index2", "wrist"); groups, bootstrap: as in `handlib.confidence.intervals`.
    """
    distances = _matrix(distances)
    if distances.shape[1] != len(joints):
        raise InputError("joints", f"{len(joints)} names for {distances.shape[1]} joints", "give one name per joint")
    table = _means(distances, groups, **bootstrap)
    return pandas.DataFrame({"joint": list(joints), "finger": [finger(name) for name in joints]}).join(table)


def by_finger(distances, joints, groups=None, **bootstrap):
    """As `by_joint`, a row per finger (its joints' mean), wrists apart; two hands together."""
    names = [finger(name) for name in joints]
    kinds = [name for name in (*FINGERS, "wrist") if name in names]
    distances = _matrix(distances)
    pooled = [distances[:, [place for place, name in enumerate(names) if name == kind]] for kind in kinds]
    table = _means(np.stack([_row_means(part) for part in pooled], 1), groups, **bootstrap)
    return pandas.DataFrame({"finger": kinds}).join(table)


def finger(joint):
    """ "r_pinky4" -> "little"; "wrist" of either hand and other roots -> "wrist"."""
    name = joint.removeprefix("r_").removeprefix("l_").rstrip("1234").replace("pinky", "little")
    return name if name in FINGERS else "wrist"


def _means(distances, groups, level=0.95, resamples=1000, seed=0):
    """(N, K) with NaN -> DataFrame samples, value, low, high: each column's mean over rows and its interval."""
    numbers, count = confidence.codes(groups, len(distances))
    confidence.warn_of_few(count)
    known = ~np.isnan(distances)
    sums = np.zeros((count, 2, distances.shape[1]))
    np.add.at(sums, numbers, np.stack([np.nan_to_num(distances), known], 1))
    drawn = [weights @ sums.reshape(count, -1) for weights in confidence.draws(count, resamples, seed)]
    total, samples = np.moveaxis(np.concatenate(drawn).reshape(resamples, 2, -1), 1, 0)
    value, spread = _ratio(*sums.sum(0)), _ratio(total, samples)
    low, high = confidence.limits(spread, level)
    return pandas.DataFrame({"samples": known.sum(0), "value": value, "low": low, "high": high})


def _ratio(total, count):
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def _row_means(distances):
    """(N, J) -> (N,): mean over the joints that count, NaN without one."""
    known = ~np.isnan(distances)
    return _ratio(np.nan_to_num(distances).sum(1), known.sum(1))


def _matrix(distances):
    distances = np.asarray(distances, float)
    return distances.reshape(len(distances), -1)


# Curves


def pck(distances_mm, thresholds_mm=THRESHOLDS_MM, groups=None, level=0.95, resamples=300, seed=0):
    """Share of keypoints within each threshold -> DataFrame: threshold_mm, pck, low, high; attrs["auc"], with limits.

    As the hand benchmarks define it: at most the threshold counts; per keypoint over samples, then the mean over
    keypoints. distances_mm (N, K), NaN where a keypoint does not count; keypoints that never count are left out.
    ``attrs``: auc, auc_low, auc_high, the normalised area under the curve.
    """
    distances = _matrix(distances_mm)
    distances = distances[:, ~np.isnan(distances).all(0)]
    if not distances.size:
        raise InputError("distances_mm", "holds no keypoint that counts", "give at least one distance")
    numbers, count = confidence.codes(groups, len(distances))
    confidence.warn_of_few(count, stacklevel=3)
    thresholds = np.asarray(thresholds_mm, float)
    steps, keypoints = len(thresholds) + 1, distances.shape[1]
    first = np.where(np.isnan(distances), -1, np.searchsorted(thresholds, distances))
    rows, columns = np.nonzero(first >= 0)
    places = columns * steps + first[rows, columns]

    def curve(weights):
        counts = np.bincount(places, weights[numbers[rows]], keypoints * steps).reshape(keypoints, steps)
        return np.nanmean(_ratio(counts.cumsum(1)[:, :-1], counts.sum(1, keepdims=True)), 0)

    value = curve(np.ones(count))
    drawn = np.array([curve(row) for weights in confidence.draws(count, resamples, seed) for row in weights])
    low, high = confidence.limits(drawn, level)
    frame = pandas.DataFrame({"threshold_mm": thresholds, "pck": value, "low": low, "high": high})
    areas = np.trapezoid(np.vstack([value, drawn]), thresholds, axis=1) / (thresholds[-1] - thresholds[0])
    (auc_low,), (auc_high,) = confidence.limits(areas[1:, None], level)
    frame.attrs = {"auc": float(areas[0]), "auc_low": float(auc_low), "auc_high": float(auc_high)}
    return frame


def against(error, number, count=6, groups=None, name="number", **bootstrap):
    """Error against a number of each frame -> DataFrame: a row per bin with about as many frames: <name>, from, to,
    samples, value, low, high (mean error and its interval).

    error, number (N,); frames where one is NaN are left out. attrs: rank_correlation (Spearman) and samples. Raises
    InputError when fewer than two frames are left.
    """
    error, number = np.asarray(error, float), np.asarray(number, float)
    kept = ~np.isnan(error) & ~np.isnan(number)
    if kept.sum() < 2:
        raise InputError(name, f"known of {int(kept.sum())} frames", "give numbers and errors of two frames at least")
    error, number = error[kept], number[kept]
    groups = None if groups is None else np.asarray(groups)[kept]
    edges = np.unique(np.quantile(number, np.linspace(0, 1, min(count, len(number)) + 1)))
    place = np.clip(np.searchsorted(edges, number, side="right") - 1, 0, max(len(edges) - 2, 0))
    spread = np.where(place[:, None] == np.unique(place), error[:, None], np.nan)
    table = _means(spread, groups, **bootstrap)
    inside = [number[place == bin] for bin in np.unique(place)]
    table.insert(0, name, [part.mean() for part in inside])
    table.insert(1, "from", [part.min() for part in inside])
    table.insert(2, "to", [part.max() for part in inside])
    ranks = pandas.DataFrame({"error": error, "number": number}).rank()
    table.attrs = {"rank_correlation": float(ranks.corr().iloc[0, 1]), "samples": int(kept.sum())}
    return table


def extremes(error, count):
    """(N,) -> places of the ``count`` worst (the worst first) and best (the best first) frames; NaN is neither."""
    error = np.asarray(error, float)
    order = np.argsort(np.nan_to_num(error, nan=np.inf), kind="stable")[: int((~np.isnan(error)).sum())]
    return order[::-1][:count], order[:count]


def per_frame(distances):
    """(N, ...) distances with NaN -> (N,): every frame's mean over what counts."""
    return _row_means(_matrix(distances))


# What a frame is like


def canonical(joints, side):
    """Joints (M, 21, 3) HAND21, metres -> (M, 21, 3) in the hand's own frame: its pose, wherever and however turned.

    Wrist at the origin, y along the palm to the middle finger's base, z out of the palm's plane, lengths divided by
    that of the palm (wrist to middle finger's base) and so without unit; left hands (``side`` (M,) 1) mirrored.
    """
    joints = np.asarray(joints, float) - np.asarray(joints, float)[:, :1]
    along = joints[:, _MIDDLE]
    length = np.linalg.norm(along, axis=-1)
    y = along / length[:, None]
    across = joints[:, _INDEX] - joints[:, _LITTLE]
    x = across - (across * y).sum(-1, keepdims=True) * y
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    z = np.cross(x, y) * np.where(np.asarray(side) == 1, -1, 1)[:, None]
    return np.einsum("mad,mjd->mja", np.stack([x, y, z], 1), joints) / length[:, None, None]


def poses(pack, rows=None):
    """Every hand of a pack that is known in 3D -> (frame (M,), pose (M, 21, 3) of `canonical`).

    rows: places in the pack; None: all. ``frame`` counts within ``rows``.
    """
    rows = np.arange(len(pack)) if rows is None else np.asarray(rows)
    joints, side, there = (np.asarray(pack.array(name)[rows]) for name in ("joints_cam", "side", "hand_type"))
    known = _known_in_3d(pack)[rows]
    frame, hand = np.nonzero(known.all(-1) & there)
    return frame, canonical(joints[frame, hand], side[frame, hand])


def _known_in_3d(pack):
    """(N, H, 21) bool; a data set that does not say so has in 3D what it annotates in the picture."""
    try:
        return np.asarray(pack.array("joints3d_valid"))
    except KeyError:
        return np.asarray(pack.array("joints_valid"))


def pose_distance(pack, training, rows=None):
    """How far a frame's hands are from the nearest pose of a training pack -> (len(rows),) in palm lengths.

    Root mean square over the 21 joints of the distance between two poses of `canonical`, to the nearest of at most
    `POSES` training poses; mean over the frame's hands; NaN for a frame without a hand known in all joints, or
    without any training pose. 0.1 palm lengths are about 9 mm on an adult's hand.
    """
    rows = np.arange(len(pack)) if rows is None else np.asarray(rows)
    frame, pose = poses(pack, rows)
    _, seen = poses(training)
    if not len(seen) or not len(pose):
        return np.full(len(rows), np.nan)
    seen = seen[np.linspace(0, len(seen) - 1, min(len(seen), POSES)).astype(int)].reshape(-1, 63)
    pose, square = pose.reshape(-1, 63), (seen**2).sum(1)
    nearest = np.concatenate(
        [
            seen[np.argmin(square - 2 * part @ seen.T, axis=1)] - part
            for part in np.array_split(pose, -(-len(pose) // 256))
        ]
    )
    distance = np.sqrt((nearest**2).sum(1) / 21)
    total, count = np.bincount(frame, distance, len(rows)), np.bincount(frame, minlength=len(rows))
    return _ratio(total, count.astype(float))


def occlusion(pack, hands, rows=None):
    """Share of a frame's joints that a hand hides from the camera -> (len(rows),), NaN where no hand has a mesh.

    A joint is hidden when the first surface on the ray towards it lies more than `HIDDEN_M` before it: another
    finger, the back of its own hand, or the other hand. What an object hides does not count: it has no mesh here.
    hands: function of a place in the pack -> list of (verts (V, 3), faces, joints (21, 3)), metres in the camera frame
    (`handlib.viewer.errors.posed` gives one).
    """
    from handlib import render  # embree: only where it is needed

    rows = np.arange(len(pack)) if rows is None else np.asarray(rows)
    shares = np.full(len(rows), np.nan)
    for number, row in enumerate(rows):
        found = hands(int(row))
        if not found:
            continue
        joints = np.concatenate([joints for _, _, joints in found])
        hits = render.Scene([render.Mesh(verts, faces) for verts, faces, _ in found]).first(0 * joints, joints)
        behind = np.linalg.norm(joints, axis=-1) * (1 - hits.distance)
        shares[number] = ((hits.face >= 0) & (behind > HIDDEN_M)).mean()
    return shares
