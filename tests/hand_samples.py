"""Hands as a camera sees them, metres: (N, 21, 3) joints in the house's order, (N, 778, 3) points about the bones."""

import numpy as np

from handlib import fields

BASES = np.array([[0.03, 0.02, 0.01], [0.03, 0.09, 0], [0.005, 0.092, 0], [-0.015, 0.087, 0], [-0.035, 0.078, 0]])
BONES = np.array(
    [[0.033, 0.03, 0.025], [0.04, 0.025, 0.02], [0.045, 0.028, 0.02], [0.04, 0.026, 0.02], [0.03, 0.02, 0.018]]
)


def hands(n=6, seed=0):
    rng = np.random.default_rng(seed)
    joints = np.zeros((n, 21, 3))
    for finger in range(5):
        bend = rng.uniform(0.1, 0.5, (n, 3)).cumsum(1)
        steps = np.stack([np.full((n, 3), 0.1 * (2 - finger)), np.cos(bend), np.sin(bend)], -1)
        steps /= np.linalg.norm(steps, axis=-1, keepdims=True)
        base = np.tile(BASES[finger], (n, 1, 1))
        chain = np.concatenate([base, base + (steps * BONES[finger][:, None]).cumsum(1)], 1)
        joints[:, 1 + 4 * finger : 5 + 4 * finger] = chain
    rotation = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))[:, None, None]
    joints = joints @ rotation + rng.uniform([-0.1, -0.1, 0.5], [0.1, 0.1, 0.9], (n, 1, 3))
    child, parent = np.array(fields.HAND21.bones)[rng.integers(20, size=778)].T
    along = rng.uniform(size=(n, 778, 1))
    vertices = joints[:, child] * along + joints[:, parent] * (1 - along) + rng.normal(0, 0.006, (n, 778, 3))
    return joints, vertices
