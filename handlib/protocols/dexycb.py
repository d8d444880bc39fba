"""DexYCB hand pose (Chao et al., CVPR 2021, "HPE") as its toolkit computes it: 21 joints, three alignments.

predictions: ``joint_3d`` (N, 21, 3), also called ``pred_mm``, **millimetres**, as in the official result file; truth:
``joint_3d`` (N, 21, 3), **metres**, as in the label files: a sample all of -1 has no hand and does not count. Camera
frame (x right, y down, z forward); joints wrist, thumb, index, middle, ring, little, each base to tip. Optional ``id``
(N,) in both: the image's index in the toolkit's data set of the split; predictions may hold ids that truth lacks.

Figures: ``<alignment>_mpjpe`` (mm) and ``<alignment>_auc`` (0 to 50 mm, 100 thresholds) for ``absolute`` (nothing
aligned), ``root-relative`` (wrist subtracted from both) and ``procrustes`` (similarity).

Quirks, all of them the default:
- ``procrustes`` allows reflections, so that a method which forgets to mirror left hands back loses nothing there; a
  warning counts such samples and gives the figure without. ``reflection=False`` fits by proper rotations only.
- The truth is taken in float32 and multiplied by 1000 in float32 before anything else (as stored in the label files).
- The wrist's zero of ``root-relative`` counts among the 21 joints.

Where this differs: NaN and infinite numbers are refused (InputError), in predictions only where there is a hand. No
hand at all gives NaN figures with a warning; empty input is refused.
"""

import numpy as np

from handlib import alignment
from handlib.files import InputError
from handlib.protocols import arrays, hands

OPTIONS = {"reflection": True}
ALIGNMENT = "none (absolute); wrist (root-relative); similarity with reflections (procrustes)"
EXTRA_IDS = True
ALIGNMENTS = ("absolute", "root-relative", "procrustes")
THRESHOLDS = np.linspace(0, 50, 100)  # mm
NO_HAND = -1


def unit(figure):
    """The unit of a figure."""
    return "mm" if figure.endswith("mpjpe") else ""


def per_sample(predictions, truth, reflection=True):
    """Arrays (see the module) -> named arrays, a row per sample, **mm**.

    absolute_mm, root-relative_mm, procrustes_mm (N, 21), NaN where the sample has no hand; mirrored (N,) bool: the
    best fit is a mirror image; procrustes_rigid_mm (N,): mean aligned error without reflection.
    """
    true = arrays.take(truth, "truth", "joint_3d", (None, 21, 3))
    n = len(true)
    if n == 0:
        raise InputError("truth", "holds no samples", "give at least one sample", field="joint_3d")
    predicted = arrays.take(predictions, "predictions", "joint_3d", (n, 21, 3), ("pred_mm",))
    true, predicted = arrays.numbers(true, "truth", "joint_3d"), arrays.numbers(predicted, "predictions", "joint_3d")
    mend = "give a number for every coordinate, or -1 for all of a sample without a hand"
    arrays.refuse_nan(true, "truth", "joint_3d", mend)
    hand = (true != NO_HAND).any((1, 2))
    mend = "give a number for every coordinate of samples with a hand"
    arrays.refuse_nan(predicted, "predictions", "joint_3d", mend, hand[:, None, None])
    found = _errors(predicted[hand], (true[hand].astype(np.float32) * np.float32(1000)).astype(np.float64), reflection)
    return {name: _spread(values, hand) for name, values in found.items()}


def _errors(predicted, truth, reflection):
    """(M, 21, 3) mm, samples with a hand -> what `per_sample` returns of them."""
    aligned, mirrored = alignment.similarity(predicted, truth, reflection)
    errors = {
        "absolute_mm": hands.distances(predicted, truth),
        "root-relative_mm": hands.distances(predicted - predicted[:, :1], truth - truth[:, :1]),
        "procrustes_mm": hands.distances(aligned, truth),
    }
    rigid = hands.rigid_mean(predicted, truth, errors["procrustes_mm"], mirrored)
    return errors | {"mirrored": mirrored, "procrustes_rigid_mm": rigid}


def _spread(values, hand):
    """Rows of the samples with a hand among all rows; the others NaN, or False."""
    rows = np.full((len(hand), *values.shape[1:]), False if values.dtype == bool else np.nan, values.dtype)
    rows[hand] = values
    return rows


def sums(errors, **options):
    """What `per_sample` returns -> what adds up over samples."""
    hand = ~np.isnan(errors["procrustes_rigid_mm"])
    result = {"hands": hand.astype(float), "mirrored": errors["mirrored"].astype(float)}
    result["procrustes_rigid"] = np.where(hand, errors["procrustes_rigid_mm"], 0)
    for name in ALIGNMENTS:
        result[name] = np.where(hand, errors[f"{name}_mm"].mean(-1), 0)
        result[f"{name}_area"] = hands.areas(errors[f"{name}_mm"], THRESHOLDS).mean(-1)
    return result


def figures(totals, reflection=True):
    """Totals of `sums` -> the figures by name."""
    count = float(totals["hands"]) or np.nan
    parts = (
        (f"{name}_{figure}", name + key) for name in ALIGNMENTS for figure, key in (("mpjpe", ""), ("auc", "_area"))
    )
    return {figure: float(totals[name]) / count for figure, name in parts}


def remarks(totals, reflection=True):
    """What the figures hide, in words."""
    count, mirrored = float(totals["hands"]), float(totals["mirrored"])
    if not count:
        return ["no sample has a hand (all truth is -1), so every figure is NaN"]
    if not mirrored:
        return []
    compared = float(totals["procrustes"]) / count, float(totals["procrustes_rigid"]) / count
    whose = f"the joints of {mirrored:.0f} of {count:.0f} predictions"
    return [hands.mirror_remark(whose, "procrustes_mpjpe", *compared, "mm", reflection)]
