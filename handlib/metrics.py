"""Numbers that protocols are made of: distances, means over samples and joints, handedness, segmentation IoU.

Functions take numpy arrays, torch tensors or nested lists, compute in float64 with numpy and never change their
arguments. Distances have the unit of the points given.
"""

import numpy as np


def as_array(values, dtype=None):
    """A numpy array of ``values`` (a torch tensor on any device, with or without gradients); a view where possible."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values, dtype=dtype)


def joint_errors(predicted, truth, valid):
    """(N, J, 3), (N, J, 3), (N, J) -> distances (N, J); NaN where a joint is not valid."""
    difference = as_array(predicted, np.float64) - as_array(truth, np.float64)
    return np.where(as_array(valid) != 0, np.sqrt((difference**2).sum(-1)), np.nan)


def relative_to_roots(joints, roots):
    """Joints of several hands, each relative to its own hand's root.

    joints (N, H*J, 3), hand after hand; roots: H indices along the joint axis, one in each hand.
    """
    joints = as_array(joints)
    hands = joints.reshape(len(joints), len(roots), -1, joints.shape[-1])
    return (hands - joints[:, list(roots), None]).reshape(joints.shape)


def mean_over_samples(errors):
    """(N, J) -> (J,): each joint's mean over the samples where it is not NaN; NaN for a joint that has none."""
    errors = as_array(errors, np.float64)
    counted = ~np.isnan(errors)
    counts = counted.sum(0)
    return np.divide(np.nansum(errors, 0), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def ratio(total, count):
    """total / count, NaN where the count is 0; arrays of one shape."""
    total, count = np.asarray(total, np.float64), np.asarray(count, np.float64)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def mean_of(values):
    """The mean of the values that are not NaN; NaN when there is none."""
    values = as_array(values, np.float64).ravel()
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def handedness_correct(probabilities, present):
    """Whether both hands are told right, as InterHand2.6M counts it.

    probabilities (N, 2) for (right, left), present (N, 2) bool -> (N,) bool. Strict: a probability of exactly 0.5 is
    wrong.
    """
    probabilities = as_array(probabilities)
    return np.where(as_array(present) != 0, probabilities > 0.5, probabilities < 0.5).all(-1)


def segmentation_iou(predicted, target, n_classes=33, tol=0, background=0):
    """Mean over classes of intersection / union of two class maps, as DIGIT's utility computes it.

    predicted, target: integer class maps of one equal shape; a whole batch counts as one picture. A class whose union
    has fewer than ``tol`` pixels is left out; with ``tol=0`` a class that neither map shows counts as 0 (the
    published behaviour; ``tol=1`` leaves it out). ``background`` is never counted (None: it is). NaN when no class is
    left. Raises ValueError on unequal shapes.
    """
    return iou_of_overlap(class_overlap(predicted, target, n_classes), tol, background)


def class_overlap(predicted, target, n_classes=33):
    """Two integer class maps of one shape -> (3, n_classes) pixels of each class: in both, in predicted, in target.

    The overlaps of many pictures may be summed before `iou_of_overlap`. Raises ValueError on unequal shapes.
    """
    predicted, target = as_array(predicted), as_array(target)
    if predicted.shape != target.shape:
        raise ValueError(f"the class maps have different shapes: {predicted.shape} and {target.shape}")
    maps = (target[predicted == target], predicted, target)
    return np.stack([_class_counts(classes, n_classes) for classes in maps])


def iou_of_overlap(overlap, tol=0, background=0):
    """What `class_overlap` gives -> `segmentation_iou`."""
    both, predicted, target = as_array(overlap)
    union = predicted + target - both
    kept = union >= tol
    if background is not None:
        kept[background] = False
    return mean_of(both[kept] / np.maximum(union[kept], 1))


def _class_counts(classes, n_classes):
    """Pixels of each class; numbers outside 0 .. n_classes - 1 belong to none."""
    inside = (classes >= 0) & (classes < n_classes)
    return np.bincount(classes[inside].astype(np.int64), minlength=n_classes)
