"""Which prediction is which person of an image, as AGORA's evaluator decides it (Patel et al., CVPR 2021)."""

import dataclasses

import numpy as np

from handlib.files import InputError, require_known

JOINTS = 24  # of each person that the cost looks at; the boxes look at all that are given
IOU = 0.1  # boxes that overlap less do not match
RULES = ("official", "textbook")


@dataclasses.dataclass(frozen=True)
class Matching:
    """Of one image. ``pairs``: [(prediction, person), …] in the order found; ``set_aside``: the unusable persons that
    a visited pair belonged to, as often as that happened; ``person_to_prediction`` (people,) int, -1 for none.
    """

    pairs: list
    set_aside: list
    person_to_prediction: np.ndarray


def match(predicted, true, usable, rule="official"):
    """Match the 2D joints of an image's predictions to those of its people.

    Arguments: ``predicted`` and ``true``, lists of (K, 2 or more) arrays in pixels, K at least 24 and free to differ;
    ``usable``, a bool per person. Pairs of a prediction and a person are visited by rising cost; a pair of which both
    are free and whose boxes' overlap is at least `IOU` matches. A visited pair of an unusable person sets that person
    aside, and the prediction stays free.

    ``rule`` "official": the cost is the largest singular value of the 24 x 2 matrix of differences, and every visited
    pair with too little overlap counts as a false positive for the question whether to go on: visiting stops when
    matches and that count reach the number of predictions, which may leave a good pair unmatched. "textbook": the
    cost is the Frobenius norm, and every pair is visited. Raises InputError when there is no such rule.
    """
    if rule not in RULES:
        require_known([rule], RULES, "matching", "rule")
    found = np.full(len(true), -1)
    if not len(predicted) or not len(true):
        return Matching([], [], found)
    cost, overlap = _costs(predicted, true, rule), _overlaps(predicted, true)
    pairs, set_aside = _visit(cost, overlap >= IOU, usable, early_stop=rule == "official")
    for prediction, person in pairs:
        found[person] = prediction
    return Matching(pairs, set_aside, found)


def _visit(cost, near, usable, early_stop):
    """Costs (P, G), whether the boxes overlap (P, G) -> pairs and persons set aside, in the order of visiting."""
    pairs, set_aside, far = [], [], 0
    prediction_taken, person_taken = np.zeros(len(cost), bool), np.zeros(cost.shape[1], bool)
    for index in np.argsort(cost, axis=None, kind="stable"):  # of equal costs the first prediction's comes first
        if person_taken.all() or (early_stop and len(pairs) + far >= len(cost)):
            break
        prediction, person = (int(part) for part in divmod(index, cost.shape[1]))
        free = not prediction_taken[prediction] and not person_taken[person]
        if near[prediction, person] and not free:
            continue
        far += not near[prediction, person]
        if not usable[person]:
            person_taken[person] = True
            set_aside.append(person)
        elif near[prediction, person]:
            prediction_taken[prediction] = person_taken[person] = True
            pairs.append((prediction, person))
    return pairs, set_aside


def _costs(predicted, true, rule):
    first = (np.stack([joints[:JOINTS, :2] for joints in people]).astype(np.float64) for people in (predicted, true))
    mine, theirs = first
    difference = mine[:, None] - theirs
    xx, yy, xy = (np.einsum("pgk,pgk->pg", difference[..., a], difference[..., b]) for a, b in ((0, 0), (1, 1), (0, 1)))
    if rule == "textbook":
        return np.sqrt(xx + yy)
    # the larger eigenvalue of the 2 x 2 matrix of products is the square of the larger singular value
    return np.sqrt((xx + yy) / 2 + np.hypot((xx - yy) / 2, xy))


def _overlaps(predicted, true):
    """Intersection over union (P, G) of the boxes around all joints, every length and overlap one pixel longer."""
    low_p, high_p = _boxes(predicted)
    low_g, high_g = _boxes(true)
    shared = np.minimum(high_p[:, None], high_g) - np.maximum(low_p[:, None], low_g) + 1
    shared = np.maximum(shared, 0).prod(-1)
    area_p, area_g = (high_p - low_p + 1).prod(-1), (high_g - low_g + 1).prod(-1)
    return shared / (area_p[:, None] + area_g - shared)


def _boxes(people):
    corners = [(joints[:, :2].min(0), joints[:, :2].max(0)) for joints in people]
    return np.array(corners, np.float64).transpose(1, 0, 2)


def joints_2d(joints, where, field):
    """One person's 2D joints (K, 2 or more), a leading axis of 1 taken off; InputError when they cannot be matched."""
    joints = np.asarray(joints).squeeze()
    if joints.ndim != 2 or joints.shape[0] < JOINTS or joints.shape[1] < 2 or joints.dtype.kind not in "fiu":
        mend = f"give at least {JOINTS} joints (K, 2) in SMPL-X order, pixels of the 3840 x 2160 image"
        raise InputError(where, f"has shape {joints.shape} of {joints.dtype}", mend, field=field)
    if not np.isfinite(joints[:, :2]).all():
        raise InputError(where, "holds NaN or infinity", "leave out the person, or give numbers", field=field)
    return joints
