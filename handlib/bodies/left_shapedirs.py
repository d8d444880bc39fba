"""The sign error in the official MANO_LEFT.pkl: its shape directions are the right hand's, not mirrored in x.

With it, equal shape coefficients give left and right hands of different form (vchoutas/smplx, issue 48). Data sets were
annotated before and after it was found, so the correction can be switched off.
"""

import dataclasses

import numpy as np

_OFFICIAL_LIMIT = 1.0  # the published check: summed difference of the two files' x components, over all 10 directions
_ENOUGH = 0.5  # share of a direction that a linear map of the hand must explain before its sign says anything


def is_faulty(left, right=None):
    """Whether a left hand's shape directions lack the mirroring: True, False, or None where it cannot be told.

    Arguments: the two hands' ``BodyModel``. With both, the published rule decides: equal x components are the fault (a
    mirrored pair has opposite ones). With the left one alone: people's hands differ most in size, and a hand that
    grows does so in x, y and z alike; if its strongest direction shrinks x while y and z grow, x has the wrong sign.
    """
    ours = left.shapedirs[:, 0]
    if right is not None and right.shapedirs.shape == left.shapedirs.shape:
        difference, total = np.abs(ours - right.shapedirs[:, 0]).sum(), np.abs(ours + right.shapedirs[:, 0]).sum()
        return bool(difference < min(_OFFICIAL_LIMIT, total))
    growth, explained = _growth(left)
    if explained < _ENOUGH or abs(growth[0]) < 0.25 * abs(growth[1:].mean()):
        return None
    return bool(growth[0] * growth[1:].mean() < 0)


def _growth(model):
    """Growth in x, y, z of the strongest shape direction, and the share of it that a linear map explains."""
    strongest = np.argmax(np.square(model.shapedirs).sum((0, 1)))
    points = model.v_template - model.v_template.mean(0)
    moves = model.shapedirs[:, :, strongest]
    moves = moves - moves.mean(0)
    linear, *_ = np.linalg.lstsq(points, moves, rcond=None)
    rest = np.square(moves - points @ linear).sum()
    return np.diag(linear), 1 - rest / max(np.square(moves).sum(), 1e-30)


def corrected(left):
    """The left hand with x of its shape directions mirrored."""
    return dataclasses.replace(left, shapedirs=left.shapedirs * np.array([[-1.0], [1.0], [1.0]]))
