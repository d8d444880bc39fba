"""InterHand2.6M (Moon et al., ECCV 2020) as InterNet's and DIGIT's evaluators compute it, in millimetres and pixels.

predictions: ``joint_coord`` (N, 42, 3) in the 64 x 64 x 64 box, ``rel_root_depth`` (N, 1) in 64 cells, ``hand_type``
(N, 2) probabilities of (right, left), also called ``pred_hand_type``, ``inv_trans`` (N, 2, 3) from the 256 x 256 crop
to the picture.
truth, same rows: ``cam_coord`` (N, 42, 3) mm in the camera frame, ``valid`` (N, 42), ``focal`` and
``princpt`` (N, 2) px, ``abs_depth`` (N, 2) mm of the (right, left) wrist as measured or as RootNet estimates it,
``hand_type`` (N,) 0 right, 1 left, 2 interacting, or those names, ``hand_type_valid`` (N,). Joints in the official
order (``handlib.fields.INTERHAND42``).

Figures: ``mpjpe_all``, ``mpjpe_sh`` (single hand), ``mpjpe_ih`` (interacting), ``mrrpe``, ``handness_acc`` (DIGIT's
name) and ``handedness_accuracy`` (InterNet's; the same number), and per joint ``<joint>_all``, ``<joint>_sh``,
``<joint>_ih``.

Quirks, all of them the default:
- The two wrists, whose error is always 0, count among the 42 joints. ``wrists=False`` leaves them out of the
  three MPJPE.
- ``mpjpe_all`` pools single and interacting samples joint by joint; it is not the mean of ``mpjpe_sh`` and
  ``mpjpe_ih``.
- MRRPE puts both wrists at the right wrist's absolute depth, and adds each wrist's own predicted depth.
- A probability of exactly 0.5 is wrong for every hand type.
- No joint of a hand counts whose wrist is not valid (the published readers clear them; it is done here too).

Where this differs: a joint without a valid sample in a group makes the official code stop; here that joint is NaN,
the group's mean is over the joints that have samples, and a warning says so. A group without samples is NaN, with a
warning. The published code subtracts the wrists from the caller's truth, so that a second call gives another MRRPE;
here nothing is changed. Arithmetic is float64, the published float32 (they differ by less than 1e-3 mm).
"""

import numpy as np

from handlib import fields, geometry, metrics
from handlib.protocols.arrays import numbers, refuse, refuse_nan, take

OPTIONS = {"wrists": True}
ALIGNMENT = "each hand's wrist"
HAND_TYPES = ("right", "left", "interacting")
WRISTS = (20, 41)
SPEC = geometry.HandPairInput()

_PREDICTED = {"joint_coord": (42, 3), "rel_root_depth": (1,), "hand_type": (2,), "inv_trans": (2, 3)}
_ALIASES = {"hand_type": ("pred_hand_type",)}
_TRUE = {"cam_coord": (42, 3), "valid": (42,), "focal": (2,), "princpt": (2,), "abs_depth": (2,), "hand_type_valid": ()}


def per_sample(predictions, truth, wrists=True):
    """Arrays (see the module) -> named arrays, a row per sample.

    error_mm (N, 42), NaN where a joint does not count; mrrpe_mm (N,), NaN where it does not count; handedness_correct
    (N,) 1, 0, or NaN where the type is not trusted; interacting (N,) bool. ``wrists`` changes nothing here.
    """
    sample = _checked(predictions, truth)
    joints = _lift(sample, sample["depth"])
    error = metrics.joint_errors(
        metrics.relative_to_roots(joints, WRISTS), metrics.relative_to_roots(sample["truth"], WRISTS), sample["valid"]
    )
    right, left, interacting = (sample["hand_type"] == number for number in range(3))
    correct = metrics.handedness_correct(sample["probabilities"], np.stack([~left, ~right], -1))
    return {
        "error_mm": error * 1000,
        "mrrpe_mm": _root_error(sample) * 1000,
        "handedness_correct": np.where(sample["hand_type_valid"] != 0, correct, np.nan),
        "interacting": interacting,
    }


def camera_joints(predictions, truth):
    """The prediction in the camera frame -> (N, 42, 3) mm, the hands placed to each other as DIGIT does.

    Each wrist is at its absolute depth; but in an interacting sample with both wrists valid the left wrist is the
    predicted relative depth behind the right one.
    """
    sample = _checked(predictions, truth)
    depth = np.where(_counts_for_mrrpe(sample)[:, None], _chained_depths(sample), sample["depth"])
    return _lift(sample, depth) * 1000


def sums(errors, wrists=True):
    """What `per_sample` gives -> per joint and group (single, interacting), MRRPE and handedness: sums and counts."""
    interacting = errors["interacting"][:, None]
    groups = {"sh": np.where(interacting, np.nan, errors["error_mm"])}
    groups["ih"] = np.where(interacting, errors["error_mm"], np.nan)
    parts = groups | {"mrrpe": errors["mrrpe_mm"], "handedness": errors["handedness_correct"]}
    counts = {f"{name}_count": np.isfinite(values) for name, values in parts.items()}
    return {name: np.nan_to_num(values) for name, values in parts.items()} | counts


def figures(totals, wrists=True):
    """Added `sums` -> the figures by name."""
    by_joint = _joint_means(totals)
    counted = np.ones(42, bool)
    counted[list(WRISTS)] = wrists
    result = {f"mpjpe_{group}": metrics.mean_of(means[counted]) for group, means in by_joint.items()}
    mrrpe, accuracy = (metrics.ratio(totals[name], totals[f"{name}_count"]) for name in ("mrrpe", "handedness"))
    result |= {"mrrpe": float(mrrpe), "handness_acc": float(accuracy), "handedness_accuracy": float(accuracy)}
    for group, means in by_joint.items():
        result |= {f"{joint}_{group}": mean for joint, mean in zip(fields.interhand_names(), means, strict=True)}
    return result


def _joint_means(totals):
    """Each joint's mean (42,) in each group, NaN where no sample is valid."""
    pooled = {group: (totals[group], totals[f"{group}_count"]) for group in ("sh", "ih")}
    pooled = {"all": np.add(pooled["sh"], pooled["ih"])} | pooled
    return {group: metrics.ratio(*pair) for group, pair in pooled.items()}


def unit(figure):
    """The unit of a figure."""
    return "" if figure in ("handness_acc", "handedness_accuracy") else "mm"


def remarks(totals, wrists=True):
    """What no sample speaks for, in words."""
    return list(_gaps(totals))


def _gaps(totals):
    for group, means in _joint_means(totals).items():
        empty = [joint for joint, mean in zip(fields.interhand_names(), means, strict=True) if np.isnan(mean)]
        if len(empty) == len(means):
            yield f"no valid joint in group '{group}', so mpjpe_{group} is NaN"
        elif empty:
            yield (
                f"no valid sample of {', '.join(empty)} in group '{group}': mpjpe_{group} is the mean over the other "
                f"{len(means) - len(empty)} joints (the official evaluator stops here)"
            )
    if not totals["mrrpe_count"]:
        yield "no interacting sample with both wrists valid, so mrrpe is NaN"
    if not totals["handedness_count"]:
        yield "no sample with a trusted hand type, so handness_acc is NaN"


def _hand_types(given):
    """Numbers or names of `HAND_TYPES`, (N,) -> int64 (N,)."""
    codes = {name: number for number, name in enumerate(HAND_TYPES)} | {number: number for number in range(3)}
    coded = np.array([codes.get(value, -1) for value in given.tolist()], np.int64)
    refuse(coded < 0, "truth", "hand_type", "is no hand type", "use 0 right, 1 left, 2 interacting, or these names")
    return coded


def _checked(predictions, truth):
    """NaN refused wherever it would count, the wrist rule applied to ``valid``; float64 and metres from here on."""
    hand_type = _hand_types(take(truth, "truth", "hand_type", (None,)))
    n = len(hand_type)
    mine = {
        field: numbers(
            take(predictions, "predictions", field, (n, *shape), _ALIASES.get(field, ())), "predictions", field
        )
        for field, shape in _PREDICTED.items()
    }
    theirs = {
        field: numbers(take(truth, "truth", field, (n, *shape)), "truth", field) for field, shape in _TRUE.items()
    }
    valid = theirs["valid"].reshape(-1, 2, 21) != 0
    valid = valid & valid[:, :, -1:]
    hands, valid = valid.any(-1), valid.reshape(-1, 42)
    for field, array in mine.items():
        mend = "see why the network gave no number here, or leave the sample out of predictions and truth"
        refuse_nan(array, "predictions", field, mend)
    for field in ("valid", "hand_type_valid", "focal", "princpt"):
        refuse_nan(theirs[field], "truth", field, "give a number for every sample")
    mend = "mark the joint as not valid, or give its coordinates"
    refuse_nan(theirs["cam_coord"], "truth", "cam_coord", mend, valid[..., None])
    mend = "RootNet's file lacks this sample: leave it out, or evaluate with the true wrist depths"
    refuse_nan(theirs["abs_depth"], "truth", "abs_depth", mend, hands)
    K = np.zeros((n, 3, 3))
    K[:, (0, 1), (0, 1)], K[:, :2, 2], K[:, 2, 2] = theirs["focal"], theirs["princpt"], 1.0
    made = {"valid": valid, "K": K, "depth": theirs["abs_depth"] / 1000, "truth": theirs["cam_coord"] / 1000}
    return theirs | mine | made | {"probabilities": mine["hand_type"], "hand_type": hand_type}


def _root_error(sample):
    """(N,) metres between predicted and true left-minus-right wrist; NaN where it does not count."""
    wrists, true = _lift(sample, _chained_depths(sample), WRISTS), sample["truth"][:, WRISTS]
    return metrics.joint_errors(wrists[:, 1] - wrists[:, 0], true[:, 1] - true[:, 0], _counts_for_mrrpe(sample))


def _counts_for_mrrpe(sample):
    return (sample["hand_type"] == HAND_TYPES.index("interacting")) & sample["valid"][:, WRISTS].all(-1)


def _chained_depths(sample):
    """(N, 2) metres: the right wrist's absolute depth, and the predicted relative depth behind it."""
    right = sample["depth"][:, :1]
    relative = geometry.decode_depth(sample["rel_root_depth"], SPEC.root_range, SPEC.heatmap)
    return np.concatenate([right, right + relative], -1)


def _lift(sample, depth, joints=slice(None)):
    """2.5D joints -> camera frame in metres, given both wrists' depths (N, 2); ``joints``: as many of each hand."""
    return geometry.lift_25d(sample["joint_coord"][:, joints], sample["inv_trans"], depth, sample["K"], spec=SPEC)
