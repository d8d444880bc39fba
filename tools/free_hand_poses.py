"""Poses of the free hand: anatomical angles, named demo poses, and the pose space (mean and 45 components)."""

import numpy as np
from free_hand_rig import Y, unit
from scipy.spatial.transform import Rotation

# (knuckle flexion, spread towards the thumb, middle joint, end joint) in degrees: least and greatest.
FINGER_LIMITS = np.array([[-15, 90], [-15, 15], [0, 105], [-5, 75]])
# thumb: (palmar lift, swing across the palm, pronation, middle joint, end joint) in degrees.
THUMB_LIMITS = np.array([[-10, 45], [-15, 50], [-10, 45], [-10, 55], [-15, 75]])


LOW = np.concatenate([np.tile(FINGER_LIMITS[:, 0], 4), THUMB_LIMITS[:, 0]]).astype(float)
HIGH = np.concatenate([np.tile(FINGER_LIMITS[:, 1], 4), THUMB_LIMITS[:, 1]]).astype(float)


class Axes:
    """Bending axes of the flat hand, from its joints (16, 3) and the outward normal of the thumb's nail."""

    def __init__(self, joints, thumb_nail):
        along = unit(joints[2::3] - joints[1::3])  # first bone of each finger
        self.flex = unit(np.cross(Y, along[:4]))
        self.thumb = {
            "lift": unit(np.cross(along[4], -Y)),
            "across": -Y,
            "twist": along[4],
            "bend": unit(np.cross(thumb_nail, along[4])),
        }

    def flexes(self):
        """Axis of each of the 15 joints' bend (15, 3), in MANO's order."""
        return np.repeat(np.vstack([self.flex, self.thumb["bend"]]), 3, axis=0)

    def pose(self, angles):
        """Axis-angle (45,) relative to the flat hand, in MANO's joint order, from 21 angles in degrees.

        The angles are knuckle, spread, middle and end of the index, middle, ring and little finger, then lift, across,
        twist, middle and end of the thumb.
        """
        index, middle, ring, pinky, thumb = np.split(np.asarray(angles, float), [4, 8, 12, 16])
        lift, across, twist, bend, end = thumb
        turns = []
        for flex, (knuckle, spread, second, third) in zip(self.flex, (index, middle, pinky, ring), strict=True):
            turns += [_turn(Y, spread) * _turn(flex, knuckle), _turn(flex, second), _turn(flex, third)]
        axes = self.thumb
        turns.append(_turn(axes["across"], across) * _turn(axes["lift"], lift) * _turn(axes["twist"], twist))
        turns += [_turn(axes["bend"], bend), _turn(axes["bend"], end)]
        return np.concatenate([turn.as_rotvec() for turn in turns])


STRAIGHT = (0, 0, 0, 0)
CURLED = (82, 0, 100, 62)
DEMO = {  # name: index, middle, ring, pinky (knuckle, spread, middle, end), thumb (lift, across, twist, middle, end)
    "flat": (STRAIGHT, STRAIGHT, STRAIGHT, STRAIGHT, (0, 0, 0, 0, 0)),
    "relaxed": ((18, 0, 25, 12), (24, 0, 30, 14), (28, 0, 32, 15), (30, 0, 30, 14), (14, 12, 10, 10, 12)),
    "spread": ((-8, 11, 0, 0), (-6, 1, 0, 0), (-6, -9, 0, 0), (-6, -15, 0, 0), (-5, -15, -5, -5, -8)),
    "closed": ((0, -4, 2, 0), (0, 0, 2, 0), (0, 5, 2, 0), (2, 11, 4, 2), (4, 20, 0, 5, 5)),
    "fist": ((82, -3, 96, 45), (84, 0, 98, 64), (84, 0, 98, 64), (84, 0, 98, 64), (44, -12, 0, 30, 70)),
    "thumbs_up": (CURLED, CURLED, CURLED, CURLED, (-5, -12, 0, -5, -10)),
    "point": ((2, 0, 4, 2), CURLED, CURLED, CURLED, (24, 30, 24, 35, 40)),
    "victory": ((0, 9, 3, 2), (0, -6, 3, 2), CURLED, CURLED, (26, 40, 30, 35, 40)),
    "gun": ((0, 0, 2, 0), CURLED, CURLED, CURLED, (-5, -10, 0, -5, -8)),
    "horns": ((2, 0, 4, 2), CURLED, CURLED, (2, -4, 4, 2), (24, 34, 26, 30, 40)),
    "call": (CURLED, CURLED, CURLED, (0, -12, 2, 0), (-5, -12, 0, -5, -8)),
    "three": ((0, 8, 3, 2), (0, 0, 3, 2), (0, -8, 3, 2), (70, 0, 90, 50), (26, 42, 36, 30, 35)),
    "four": ((0, 4, 3, 2), (0, 0, 3, 2), (0, -4, 3, 2), (0, -8, 3, 2), (10, 44, 14, 40, 35)),
    "hook": ((5, 0, 85, 50), (5, 0, 85, 50), (5, 0, 85, 50), (5, 0, 85, 50), (4, 5, 0, 10, 10)),
    "table": ((75, 0, 5, 2), (75, 0, 5, 2), (75, 0, 5, 2), (75, 0, 5, 2), (10, 10, 5, 5, 5)),
    "claw": ((-10, 6, 65, 40), (-10, 0, 65, 40), (-10, -5, 65, 40), (-10, -10, 65, 40), (25, 0, 20, 20, 30)),
    "grasp_ball": ((30, 8, 40, 20), (30, 1, 42, 20), (30, -6, 42, 20), (30, -12, 40, 20), (35, 12, 30, 15, 20)),
    "grasp_bottle": ((45, 0, 50, 25), (48, 0, 52, 25), (50, 0, 54, 25), (52, 0, 52, 25), (36, 20, 30, 15, 20)),
    "hold_pen": ((45, -4, 40, 15), (55, 0, 50, 25), (65, 2, 65, 35), (70, 4, 65, 35), (32, 32, 34, 15, 20)),
    "pinch": ((45, -2, 45, 22), (28, 0, 30, 14), (24, 0, 26, 12), (20, 0, 22, 10), (34, 26, 32, 10, 18)),
    "ok": ((52, -2, 50, 24), (8, 0, 10, 5), (2, -3, 6, 3), (-4, -8, 4, 2), (34, 28, 34, 12, 20)),
    "key_grip": ((50, 0, 70, 30), (60, 0, 75, 35), (66, 0, 78, 40), (70, 0, 78, 40), (10, 20, 5, 10, 15)),
    "touch_middle": ((20, 2, 24, 10), (52, 0, 50, 24), (24, -2, 28, 14), (18, -6, 22, 10), (36, 34, 34, 14, 22)),
    "touch_ring": ((12, 4, 16, 8), (22, 0, 26, 12), (58, 2, 56, 28), (26, -4, 32, 16), (38, 40, 38, 20, 26)),
    "touch_little": ((6, 5, 12, 6), (14, 1, 20, 10), (30, 0, 36, 18), (60, 4, 56, 30), (40, 46, 42, 24, 30)),
    "wave": ((8, 5, 12, 6), (4, 0, 10, 5), (8, -4, 12, 6), (12, -8, 14, 7), (6, 2, 4, 4, 4)),
    "piano": ((22, 4, 28, 14), (30, 0, 30, 15), (25, -4, 30, 15), (18, -9, 26, 12), (18, 5, 10, 5, 10)),
    "stretch": ((-15, 4, 0, -5), (-15, 0, 0, -5), (-15, -4, 0, -5), (-15, -8, 0, -5), (-8, -10, 0, -10, -15)),
    "half_fist": ((45, 0, 70, 40), (48, 0, 72, 40), (50, 0, 72, 40), (52, 0, 70, 40), (22, 20, 20, 25, 25)),
}


TOUCH = {  # skin points that meet, and the gap between them (m)
    "fist": [("thumb_tip", "middle_mid_back", 0.005)],
    "point": [("thumb_end_palm", "middle_mid_back", 0)],
    "victory": [("thumb_end_palm", "ring_mid_back", 0)],
    "horns": [("thumb_end_palm", "middle_mid_back", 0)],
    "four": [("thumb_end_palm", "ring_root", 0.003)],
    "three": [("thumb_end_palm", "pinky_end_back", 0)],
    "pinch": [("thumb_end_palm", "index_end_palm", 0)],
    "ok": [("thumb_tip", "index_tip", 0)],
    "hold_pen": [("thumb_end_palm", "index_end_palm", 0.008), ("thumb_end_palm", "middle_end_side", 0.008)],
    "key_grip": [("thumb_end_palm", "index_mid_side", 0)],
    "touch_middle": [("thumb_end_palm", "middle_end_palm", 0.003)],
    "touch_ring": [("thumb_end_palm", "ring_end_palm", 0)],
    "touch_little": [("thumb_end_palm", "pinky_end_palm", 0)],
}


def demo_angles(body):
    """Names and angles (N, 21) of the demo poses, settled so that what should touch touches and nothing pierces."""
    described = {name: np.concatenate(angles).astype(float) for name, angles in DEMO.items()}
    return list(DEMO), np.stack([body.settle(a, TOUCH.get(name, []), LOW, HIGH) for name, a in described.items()])


def pose_space(axes, angles, count, seed):
    """Mean (45,), components (45, 45) in rows, best first, and coefficients of `count` random plausible poses.

    A random pose lies between two or three of the demo poses and each joint strays a few degrees, inside the limits.
    """
    rng = np.random.default_rng(seed)
    mixed = rng.dirichlet(np.full(len(angles), 0.12), count) @ angles
    mixed = np.clip(mixed + rng.normal(0, 4.0, mixed.shape), LOW, HIGH)
    poses = np.stack([axes.pose(row) for row in mixed])
    poses += rng.normal(0, 0.01, poses.shape)  # no joint is a perfect hinge: every component has a meaning
    mean = poses.mean(0)
    _, _, components = np.linalg.svd(poses - mean, full_matrices=False)
    components *= np.sign(components[np.arange(45), np.abs(components).argmax(1)])[:, None]
    return mean, components, (poses - mean) @ components.T


def _turn(axis, degrees):
    return Rotation.from_rotvec(np.radians(degrees) * axis)
