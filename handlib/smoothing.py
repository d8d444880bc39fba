"""Hands and persons of a clip followed from frame to frame, made steady, and how unsteady they were. Off unless asked
for.

Two filters, on the place of wrist or pelvis, on every joint's rotation (as rotations, never on their numbers), on the
shape and on a face's expression.
"one_euro": Casiez, Roussel and Vogel, "1 € Filter" (CHI 2012), which looks back only, so it suits what comes live, and
lags. "zero_lag": a polynomial of second degree over a short time around every frame (Savitzky and Golay 1964, Cleveland
1979), in the tangent space at that frame's rotation; it looks ahead as well and keeps a steady motion where it is.

A clip is a list of `handlib.predict.Prediction`, one per frame in order (a frame may have nobody).
"""

import dataclasses

import numpy as np
import pandas as pd
import roma
import torch
from scipy.optimize import linear_sum_assignment

from handlib.bodies import posing
from handlib.files import InputError
from handlib.geometry import project

METHODS = ("none", "one_euro", "zero_lag")
NEAR = 1.0  # boxes of one hand or person in two frames: centres at most so many box sides apart
# What `OneEuro` is told unless the caller says otherwise: at rest little passes, in quick motion much.
ONE_EURO = {
    "place": dict(cutoff=1.5, speed_factor=12.0),  # Hz, and Hz per m/s
    "rotations": dict(cutoff=1.5, speed_factor=2.0),  # Hz, and Hz per rad/s
    "shape": dict(cutoff=0.3, speed_factor=0.0),
    "expression": dict(cutoff=1.5, speed_factor=0.5),  # Hz, and Hz per unit of the coefficients a second
}


@dataclasses.dataclass(frozen=True)
class Track:
    """One hand or person through a clip: its label ("right", "left", "person"); ``frames`` and, in each of them, its
    number in ``numbers``.
    """

    label: str
    frames: tuple
    numbers: tuple


def tracks(predictions, patience=5):
    """The hands or persons of a clip, followed: list of `Track`, in order of appearance.

    Those of the same label with the nearest boxes are one; one that is away for more than ``patience`` frames, or
    comes back elsewhere (`NEAR`), begins a new track.
    """
    open_tracks, found = [], []
    for frame, prediction in enumerate(predictions):
        open_tracks = [track for track in open_tracks if frame - track["frames"][-1] <= patience + 1]
        labels, boxes = prediction.labels, np.asarray(prediction.boxes, float)
        costs = np.array([
            [_apart(track, label, box) for label, box in zip(labels, boxes, strict=True)] for track in open_tracks
        ]).reshape(len(open_tracks), len(labels))  # fmt: skip
        taken = {}
        for row, column in zip(*linear_sum_assignment(np.minimum(costs, 1e3)), strict=True):
            if costs[row, column] <= NEAR:
                taken[int(column)] = open_tracks[row]
        for number, label in enumerate(labels):
            if number not in taken:
                taken[number] = {"label": label, "frames": [], "numbers": []}
                open_tracks.append(taken[number])
                found.append(taken[number])
            taken[number]["frames"].append(frame)
            taken[number]["numbers"].append(number)
            taken[number]["box"] = boxes[number]
    return [Track(one["label"], tuple(one["frames"]), tuple(one["numbers"])) for one in found]


def _apart(track, label, box):
    """How far a box is from where a track was last, in box sides; infinite for another label."""
    if track["label"] != label:
        return np.inf
    boxes = np.stack([track["box"], box])
    centres, sides = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:].max(1)
    return np.linalg.norm(centres[1] - centres[0]) / sides.mean() + abs(np.log(sides[1] / sides[0])) / 2


# ------------------------------------------------------------------------------------------------------------ filters


class OneEuro:
    """The 1 € filter on vectors or rotations, value by value.

    rate: values per second; cutoff: Hz at rest; speed_factor: how much quicker the filter gets per unit of speed
    (units per second; rad/s of a rotation); speed_cutoff: Hz, of the speed itself. ``rotations``: values are (…, 3, 3).
    One cutoff serves a whole vector, so that a point keeps its direction.
    """

    def __init__(self, rate, cutoff=1.0, speed_factor=0.0, speed_cutoff=1.0, rotations=False):
        self.rate, self.cutoff, self.speed_factor, self.speed_cutoff = rate, cutoff, speed_factor, speed_cutoff
        self.rotations, self.value, self.speed = rotations, None, None

    def __call__(self, value):
        """The filtered value of the next one: vector (…, D) or rotations (…, 3, 3), torch, any float type."""
        if self.value is None:
            self.value, self.speed = value, 0.0
            return value
        step = _log(self.value, value) if self.rotations else value - self.value
        self.speed = self.speed + self._share(self.speed_cutoff) * (step * self.rate - self.speed)
        quick = self.speed.norm(dim=-1, keepdim=True)
        share = self._share(self.cutoff + self.speed_factor * quick)
        self.value = _moved(self.value, share * step) if self.rotations else self.value + share * step
        return self.value

    def _share(self, cutoff):
        """Of the new value in a low-pass filter of first order."""
        return 1 / (1 + self.rate / (2 * np.pi * cutoff))


def one_euro(values, times, rate, rotations=False, **settings):
    """Values (T, …) one by one through `OneEuro`; a gap in ``times`` (frame numbers) begins anew."""
    out, filtering = [], None
    for place, value in enumerate(values):
        if not place or times[place] != times[place - 1] + 1:
            filtering = OneEuro(rate, rotations=rotations, **settings)
        out.append(filtering(value))
    return torch.stack(out)


def zero_lag(values, times, rate, rotations=False, width=0.25):
    """Every value of (T, …) replaced by that of a parabola through its neighbours within ``width`` seconds.

    times (T,): frame numbers, with gaps where they are. Constants and steady motions stay as they are, to rounding; so
    do values with fewer than two neighbours.
    """
    out = values.clone()
    for place, weights, near in _windows(np.asarray(times, float), width * rate):
        weights = torch.as_tensor(weights, dtype=values.dtype)
        if rotations:
            here = values[place]
            steps = torch.einsum("t,t...->...", weights, _log(here.expand_as(values[near]), values[near]))
            out[place] = _moved(here, steps)
        else:
            out[place] = torch.einsum("t,t...->...", weights, values[near])
    return out


def _windows(times, reach):
    """For every place: its number, the weights of its neighbours, and which these are (a slice)."""
    for place, now in enumerate(times):
        near = slice(np.searchsorted(times, now - reach), np.searchsorted(times, now + reach, "right"))
        offsets = (times[near] - now) / (reach + 1)  # so that the outermost count as well
        if len(offsets) < 3:
            continue
        tricube = (1 - np.abs(offsets) ** 3) ** 3
        powers = np.stack([np.ones_like(offsets), offsets, offsets**2], 1)
        yield place, (np.linalg.pinv(powers * np.sqrt(tricube)[:, None])[0] * np.sqrt(tricube)), near


def _log(start, end):
    """The rotation vector that brings rotations ``start`` to ``end`` in start's own frame, (…, 3)."""
    return roma.rotmat_to_rotvec(start.mT @ end)


def _moved(start, step):
    return start @ roma.rotvec_to_rotmat(step)


# --------------------------------------------------------------------------------------------------------------- clips


def smooth(predictions, fps, layers, method="none", constant_shape=True, found=None, **settings):
    """A clip made steady: new predictions, with meshes rebuilt from the smoothed parameters.

    Arguments:
        predictions, fps: the clip. layers: {label: layer} that made it (Predictor.layers).
        method: "none", "one_euro" or "zero_lag"; settings: theirs, for place, rotations, shape and expression alike
            (`OneEuro`: cutoff, speed_factor, speed_cutoff, by default those of `ONE_EURO`; `zero_lag`: width in
            seconds).
        constant_shape: a track has one shape, the median; each hand or person is then placed anew by its 2D joints,
            since another size means another distance.
        found: tracks, as of `tracks` (None: found here).

    ``joints_img`` stays what the network saw; ``reprojection_px`` says how far the steady hand or person is from it.
    """
    if method not in METHODS:
        raise InputError("smoothing", f"there is no method {method!r}", f"one of: {', '.join(METHODS)}", "method")
    if not fps > 0:
        raise InputError("smoothing", f"{fps} frames per second", "give a number above 0", field="fps")
    filtered = _filter(method, fps, settings)
    changed = [{name: np.array(getattr(one, name)) for name in one.MOVED} for one in predictions]
    for track in tracks(predictions) if found is None else found:
        places = list(zip(track.frames, track.numbers, strict=True))
        steady = _Steady(predictions, places, layers[track.label])
        for name, values in steady(np.array(track.frames), filtered, constant_shape).items():
            for row, (frame, number) in enumerate(places):
                changed[frame][name][number] = values[row]
    return [dataclasses.replace(prediction, **arrays) for prediction, arrays in zip(predictions, changed, strict=True)]


def _filter(method, fps, settings):
    """(values, times, kind: a key of `ONE_EURO`) -> values."""
    if method == "none":
        return lambda values, times, kind: values
    if method == "zero_lag":
        return lambda values, times, kind: zero_lag(values, times, fps, kind == "rotations", **settings)
    return lambda values, times, kind: one_euro(values, times, fps, kind == "rotations", **(ONE_EURO[kind] | settings))


class _Steady:
    """A track, its arrays (T, …), and what smoothing makes of them."""

    def __init__(self, predictions, places, layer):
        self.layer, self.first = layer, predictions[places[0][0]]
        names = ("joints_cam", "joints_img", "pose_from_mean", "shape", "expression")
        for name in names:
            rows = [getattr(predictions[frame], name)[row] for frame, row in places if hasattr(self.first, name)]
            setattr(self, name, np.stack([np.asarray(row, float) for row in rows]) if rows else None)
        self.K = np.stack([np.asarray(predictions[frame].K, float) for frame, _ in places])

    def __call__(self, times, filtered, constant_shape):
        """The changed arrays, by their names in `handlib.predict.Prediction`."""
        rotations = posing.rotations(self.layer, self.pose_from_mean)
        roots, shape, expression = self.joints_cam[:, 0], self.shape, self.expression
        if constant_shape:
            shape = np.tile(np.median(shape, 0), (len(shape), 1))
            roots = self._placed(rotations, shape)
        else:
            shape = filtered(torch.from_numpy(shape), times, "shape").numpy()
        if expression is not None and expression.shape[1]:
            expression = filtered(torch.from_numpy(expression), times, "expression").numpy()
        rotations = filtered(rotations, times, "rotations")
        roots = filtered(torch.from_numpy(np.ascontiguousarray(roots)), times, "place").numpy()
        return self._rebuilt(rotations, shape, expression, roots)

    def _posed(self, rotations, shape, expression):
        given = {"expression": expression} if expression is not None and expression.shape[1] else {}
        return posing.posed(self.layer, rotations, shape, **given)

    def _placed(self, rotations, shape):
        """Roots (T, 3) of hands or persons with another shape, by their 2D joints."""
        from handlib.fitting.translation import translation

        joints = self._posed(rotations, shape, self.expression)["joints"]
        rows, pixels = self.first.placing(self.joints_cam, self.joints_img, self.K)
        return joints[:, 0] + translation(joints[:, rows], pixels, self.K)[0].numpy()

    def _rebuilt(self, rotations, shape, expression, roots):
        made = self._posed(rotations, shape, expression)
        transl = roots - made["joints"][:, 0]
        moved = {name: made[name] + transl[:, None] for name in ("joints", "verts", "skeleton")}
        seen = project(moved["joints"][:, self.first.seen_rows], self.K)
        out = {f"{name}_cam": points for name, points in moved.items()} | {"shape": shape, "transl": transl}
        out |= {"pose_from_mean": posing.pose_of(self.layer, rotations), "expression": expression}
        out |= {"reprojection_px": np.linalg.norm(seen - self.joints_img, axis=-1).mean(-1)}
        return {name: out[name] for name in self.first.MOVED}


# -------------------------------------------------------------------------------------------------------------- jitter


def jitter(predictions, fps, found=None):
    """How unsteady a clip is: mean acceleration of the joints, a row per track and one of all.

    Columns: track, frames, ``jitter_mm_per_frame2``, ``jitter_m_per_s2``, in the camera's frame, and the same relative
    to the root (``…_wrist``, of persons ``…_pelvis``). An acceleration needs three frames in a row; NaN where there are
    none. found: tracks (None: found here).
    """
    rows, root = [], predictions[0].subject.root if predictions else "wrist"
    for number, track in enumerate(tracks(predictions) if found is None else found):
        places = zip(track.frames, track.numbers, strict=True)
        joints = np.stack([np.asarray(predictions[frame].joints_cam[row], float) for frame, row in places])
        whole = np.diff(track.frames, 2, axis=0) == 0
        whole &= np.diff(track.frames)[1:] == 1
        about = [np.diff(points, 2, axis=0)[whole] for points in (joints, joints - joints[:, :1])]
        sums = [np.linalg.norm(one, axis=-1).mean(-1).sum() if whole.any() else 0.0 for one in about]
        rows.append([f"{number} {track.label}", len(joints), whole.sum(), *sums])
    rows.append(["all", *np.sum([row[1:] for row in rows], 0)] if rows else ["all", 0, 0, 0.0, 0.0])
    table = pd.DataFrame(rows, columns=["track", "frames", "count", "camera", "root"])
    for name, end in (("camera", ""), ("root", f"_{root}")):
        mean = table[name] / table["count"].where(table["count"] > 0)
        table[f"jitter_mm_per_frame2{end}"], table[f"jitter_m_per_s2{end}"] = 1000 * mean, fps**2 * mean
    return table.drop(columns=["count", "camera", "root"]).astype({"frames": int})


def compare(clips, fps):
    """`jitter` of several versions of one clip, {words: predictions}, over the tracks of the first: one table."""
    found = tracks(next(iter(clips.values())))
    parts = [jitter(clip, fps, found).assign(clip=words) for words, clip in clips.items()]
    table = pd.concat(parts, ignore_index=True)
    return table[["clip", *table.columns.drop("clip")]]
