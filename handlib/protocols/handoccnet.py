"""DexYCB as HandOccNet (Park et al., CVPR 2022) scores itself on it, in millimetres: not the benchmark's evaluator.

predictions: ``xyz`` (N, 21, 3), joints in metres as the network gives them: **left hands still mirrored** (their x
negated), anywhere in space (also ``joints_coord_cam``, ``joints``).
truth, same rows: ``xyz`` (N, 21, 3), joints in metres in the camera frame (also ``joints_coord_cam``); ``hand_type``
(N,) "right" or "left", or 0 and 1. Joint order wrist, thumb, index, middle, ring, little, each from base to tip.

The predicted wrist goes to the origin, x is negated for left hands, and the true wrist is added. Figures:
- ``mpjpe``: mean over all 21 joints of the distance, then over samples.
- ``pa_mpjpe``: the same after a similarity fit (rotation, scale, translation) of that prediction to the truth; no
  reflection, so a mirrored hand is not forgiven, unlike in the benchmark's own Procrustes figure; it is reported.

Quirk, the default: the wrist, whose error is 0 before the fit, counts among the 21. ``wrist=False`` leaves it out of
both means (the fit still uses it). ``frame="camera"`` takes left hands that are already mirrored back.

The published code multiplies the caller's truth by 1000 in place, so that a second call is wrong; here nothing is
changed. No visibility, no vertices. Arithmetic is float64, the published float32 (they differ by less than 1e-3 mm).
"""

import numpy as np

from handlib import alignment
from handlib.files import InputError
from handlib.protocols import samplewise
from handlib.protocols.arrays import refuse, take
from handlib.protocols.hands import distances

OPTIONS = {"wrist": True, "frame": "network"}
ALIGNMENT = "wrist; PA: similarity without reflection on 21 joints"
_MIRROR = np.array([-1.0, 1.0, 1.0])
_HAND_M = (0.005, 2.0)  # extent of a hand's joints in metres; beyond it lies another unit
_ROWS = 4096
unit, sums, figures, remarks = samplewise.unit, samplewise.sums, samplewise.figures, samplewise.remarks


def per_sample(predictions, truth, wrist=True, frame="network"):
    """Arrays (see the module) -> {"mpjpe_m", "pa_mpjpe_m" (N, 21) metres, "mirrored_joints" (N,) bool}.

    ``mirrored_joints``: a mirror image of the prediction would fit the truth better. Raises InputError as
    `handlib.protocols.evaluate`.
    """
    if frame not in ("network", "camera"):
        raise InputError("protocol 'dexycb_handoccnet'", f"there is no frame '{frame}'", "network or camera", "frame")
    target = take(truth, "truth", "xyz", (None, 21, 3), ("joints_coord_cam",))
    left = _left(take(truth, "truth", "hand_type", (len(target),)))
    joints = take(predictions, "predictions", "xyz", target.shape, ("joints_coord_cam", "joints"))

    def errors(rows):
        true = samplewise.points(target[rows], "truth", "xyz", _HAND_M)
        mine = samplewise.points(joints[rows], "predictions", "xyz", _HAND_M)
        mine = mine - mine[:, :1]
        if frame == "network":
            mine = np.where(left[rows, None, None], mine * _MIRROR, mine)
        return _errors(mine + true[:, :1], true, wrist)

    return samplewise.by_rows(errors, len(target), _ROWS)


def _errors(joints, true, wrist):
    aligned, mirrored = alignment.similarity(joints, true, reflection=False)
    error, fitted = distances(joints, true), distances(aligned, true)
    if not wrist:
        error[:, 0] = fitted[:, 0] = np.nan
    return {"mpjpe_m": error, "pa_mpjpe_m": fitted, "mirrored_joints": mirrored}


def _left(given):
    """Names or numbers of hands (N,) -> (N,) bool."""
    codes = {"right": 0, "left": 1, 0: 0, 1: 1}
    coded = np.array([codes.get(value, -1) for value in given.tolist()], np.int64)
    refuse(coded < 0, "truth", "hand_type", "is no hand type", "use right and left, or 0 and 1")
    return coded == 1
