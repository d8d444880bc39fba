"""Pose correctives: what linear blend skinning loses at a bend, given back through MANO's `posedirs`.

Blending two rotated copies of the skin pulls it towards the joint (the 'collapsing elbow'). Turning the skin by its
share of the bend keeps it at its distance from the joint instead; the difference, taken back to the rest pose, is
fitted linearly to the entries of (R - I) of that joint, as MANO and SMPL do. Real knuckles stand out when bent: added.
"""

import numpy as np
from free_hand_rig import PARENTS, Y, unit
from scipy.spatial.transform import Rotation

KNUCKLE_BUMP = (0.0022, 0.0010, 0.0004)  # m at a bend of 90 degrees: knuckle, middle joint, end joint
KNUCKLE_SIZE = (0.0085, 0.0065, 0.0050)  # m, reach of the bump over the skin
PALM_SIDE = (0.0, 0.45, 0.45)  # share of the correction on the palm side, where flesh is squeezed rather than stretched
REACH = (0.016, 0.011, 0.009)  # m along the finger within which a joint corrects; webs further off follow two fingers
RIDGE = 3e-3


def posedirs(verts, normals, joints, weights, flexes):
    """(V, 3, 135) correctives; flexes (15, 3): axis of each joint's bend, positive closes the hand."""
    out = np.zeros((len(verts), 3, 15, 9))
    for j in range(1, 16):
        if j == 13:
            continue  # fuller flesh at the thumb's root is not seen, and the closing fingers would sink into it
        kind = (j - 1) % 3
        past = weights[:, _past(j)].sum(1)
        moving = (past > 1e-3) & (past < 1 - 1e-3)
        turns = _turns(flexes[j - 1], thumb=j >= 13)
        rotations = turns.as_matrix()
        features = (rotations - np.eye(3)).reshape(len(turns), 9)
        arm = verts[moving] - joints[j]
        share = past[moving]
        kept = np.stack([Rotation.from_rotvec(share[:, None] * t).apply(arm) for t in turns.as_rotvec()])
        blend = (1 - share)[None, :, None, None] * np.eye(3) + share[None, :, None, None] * rotations[:, None]
        bone = unit(joints[j + 1] - joints[j] if kind < 2 else joints[j] - joints[j - 1])
        back = np.cross(bone, flexes[j - 1])
        lost = np.linalg.solve(blend, kept[..., None])[..., 0] - arm
        lost *= _trusted(arm, back, np.cross(back, flexes[j - 1]), kind)[None, :, None]
        lost += _bump(arm, normals[moving], back, flexes[j - 1], turns, kind) * (j < 13)
        system = features.T @ features / len(turns) + RIDGE * np.eye(9)
        fit = np.linalg.solve(system, features.T @ lost.reshape(len(turns), -1) / len(turns))
        out[moving, :, j - 1] = fit.reshape(9, -1, 3).transpose(1, 2, 0)
    return out.reshape(len(verts), 3, 135)


def _past(j):
    """Joint j and the joints that hang on it."""
    return [k for k in range(1, 16) if k == j or PARENTS[k] == j or PARENTS[PARENTS[k]] == j]


def _turns(flex, thumb):
    """Rotations a joint makes: mostly bends, with some spread and twist (a fixed grid, so that builds repeat)."""
    if thumb:
        grid = np.stack(np.meshgrid(*[np.linspace(-0.8, 0.8, 5)] * 3, indexing="ij"), -1).reshape(-1, 3)
        return Rotation.from_rotvec(grid)
    bends, spreads = np.meshgrid(np.radians(np.arange(-20, 111, 10)), np.radians([-12, 0, 12]), indexing="ij")
    return Rotation.from_rotvec(spreads.reshape(-1, 1) * Y) * Rotation.from_rotvec(bends.reshape(-1, 1) * flex)


def _trusted(arm, back, along, kind):
    """Share of the correction each vertex takes (V,), from its place around the joint."""
    near = np.exp(-(((arm @ along) / REACH[kind]) ** 4))
    side = np.clip(0.5 + (arm @ back) / 0.010, 0, 1)
    return near * (PALM_SIDE[kind] + (1 - PALM_SIDE[kind]) * side * side * (3 - 2 * side))


def _bump(arm, normals, back, flex, turns, kind):
    """Knuckle that stands out of the back of a bent joint (T, V, 3)."""
    top = back * np.max(np.where(np.linalg.norm(arm, axis=1) < REACH[kind], arm @ back, 0))
    reach = np.exp(-np.sum((arm - top) ** 2, 1) / (2 * KNUCKLE_SIZE[kind] ** 2))
    bend = np.maximum(turns.as_rotvec() @ flex, 0)
    height = KNUCKLE_BUMP[kind] * (1 - np.cos(bend))
    return height[:, None, None] * (reach * np.clip(normals @ back, 0, 1))[None, :, None] * normals[None]
