"""What the demo's hands do: one hand or two near each other, in slow motion, before a person's chest.

World frame: metres, x to the right and y down as the middle camera sees it, z away from it; the person stands
behind the hands and looks at the cameras, so the right hand is on the left, at negative x.
"""

import dataclasses

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from handlib import bodies
from handlib.bodies import free
from handlib.demo.contact import apart
from handlib.demo.scene import SHOULDER, HandModel, PosedHand

CENTRE = np.array([0, 0, 1.0])  # m, where the cameras look
SIDES = ("right", "left")
TIPS = "freihand"  # the free hand's tips are these vertices
_MIRROR = np.array([-1.0, 1, 1])
_IN, _DOWN, _BACK = np.eye(3)  # for a right hand: towards the other one, downwards, towards the person
_OUT, _UP, _FRONT = -np.eye(3)

_FLAT = ("flat", "closed", "relaxed", "stretch")
# Two hands together: for each the way its fingers and its back point (written for a right hand: IN is towards the
# other one) and the poses that suit; then the way in which the left hand lies from the right one.
_PAIRS = {
    "pray": ((_UP, _OUT, _FLAT), (_UP, _OUT, _FLAT), _IN),
    "fingertips": ((_IN, _FRONT, ("spread", "grasp_ball", "claw")), (_IN, _FRONT, ("spread", "claw", "wave")), _IN),
    "fist_in_palm": ((_IN, _UP, ("fist", "half_fist")), (_UP, _OUT, _FLAT), _IN),
    "point_at_palm": ((_IN, _UP, ("point", "pinch", "hold_pen")), (_UP, _OUT, _FLAT), _IN),
    "stack": ((_IN, _UP, _FLAT), (_IN, _UP, ("relaxed", "flat", "half_fist")), _DOWN),
    "cup": ((_IN, _DOWN, ("relaxed", "grasp_ball", "flat")), (_IN, _UP, ("relaxed", "half_fist", "fist")), _UP),
    "palms": ((_UP, _BACK, ("flat", "spread", "four", "three")), (_UP, _BACK, ("flat", "wave", "victory")), _IN),
    "backs": ((_UP, _FRONT, ("flat", "spread", "horns")), (_UP, _FRONT, ("stretch", "relaxed", "spread")), _IN),
    "piano": ((_FRONT + 0.3 * _DOWN, _UP, ("piano", "claw")), (_FRONT + 0.3 * _DOWN, _UP, ("piano", "table")), _IN),
    "knuckles": ((_IN, _UP, ("fist", "half_fist", "thumbs_up")), (_IN, _UP, ("fist", "thumbs_up")), _IN),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Moment:
    """Hands at one instant. Lists run over the hands present; params: pose (48,) offsets from the mean, shape
    (10,), trans (3,) m.

    joints (21, 3) m, house order; posed: what the renderer takes. World frame.
    """

    sides: tuple
    params: list
    joints: list
    posed: list


class Hands:
    """The free hand, both sides."""

    def __init__(self):
        self._layers = [bodies.load(None, f"mano_{side}", dtype=torch.float64) for side in SIDES]
        self._poses = free.demo_poses("right")
        self.names = sorted(self._poses)
        right = self._layers[0]
        weights = right.weights.numpy()
        rest = right(pose=np.zeros(48), mean_added=True)
        self.model = HandModel(
            rest["verts"].numpy(), right.faces.numpy(), rest["joints"].numpy(), weights[:, 1:].reshape(-1, 5, 3).sum(2)
        )
        self._mean = [layer.hands_mean.numpy() for layer in self._layers]
        across = self.model.joints[1] - self.model.joints[7]
        self._axes = _axes(self.model.joints[4] - self.model.joints[0], np.cross([-1.0, 0, 0], across))

    def fingers(self, name):
        """A named pose of the right hand's 15 joints, (45,) rad."""
        return self._poses[name]

    def turn(self, fingers, back):
        """Rotation of a right hand whose fingers and back point these ways."""
        return Rotation.from_matrix(_axes(fingers, back) @ self._axes.T)

    def bend(self, rotvec):
        """Rotation of a resting right hand about its own axes: along the fingers, across, out of the back; rad."""
        return Rotation.from_rotvec(self._axes @ rotvec)

    def place(self, side, turn, fingers, shape, centre, pull):
        """Pose one hand: (params, joints, PosedHand). turn, fingers: as if it were a right hand; likewise pull.

        centre (3,): where the middle of its joints goes; pull (3,): the way from the wrist to the elbow.
        """
        pose = np.concatenate([turn.as_rotvec(), fingers])
        if side:
            pose = pose * np.tile([1.0, -1, -1], 16)
            pull = pull * _MIRROR
        layer = self._layers[side]
        with torch.no_grad():
            out = layer(pose=pose, mean_added=True, shape=shape)
        verts, joints = out["verts"].numpy(), out["joints"].numpy()
        shift = centre - joints.mean(0)
        elbow = joints[0] + shift + 0.27 * _unit(pull)
        arm = np.stack([elbow, SHOULDER * (_MIRROR if side else 1)])
        offsets = np.concatenate([pose[:3], pose[3:] - self._mean[side]])
        params = {"pose": offsets, "shape": shape, "trans": shift}
        joints = bodies.joints21(verts, joints, TIPS) + shift
        return params, joints, PosedHand(side, verts + shift, arm)


def sequence(hands, kind, shape, count, rng):
    """``count`` moments of one slow movement: kind "right", "left" or "interacting". Returns (name, moments)."""
    if kind == "interacting":
        name = str(rng.choice(sorted(_PAIRS)))
        return name, [_together(hands, motion, shape) for motion in _pair_motion(hands, name, count, rng)]
    side = SIDES.index(kind)
    names = rng.choice(hands.names, 2, replace=False)
    moments = []
    for step in _single_motion(hands, names, count, rng):
        placed = hands.place(side, *step[:2], shape, step[2] * (_MIRROR if side else 1), step[3])
        moments.append(Moment((side,), *([part] for part in placed)))
    return "_".join(names), moments


def _single_motion(hands, names, count, rng):
    """(turn, fingers, centre, pull) at each moment, for a right hand."""
    pull = _unit(rng.normal([-0.45, 0.6, 0.5], [0.3, 0.3, 0.3]))
    roll = rng.uniform(0, 2 * np.pi)
    across = _unit(np.cross(pull, [0.2, 0.1, -1]))
    base = hands.turn(-pull, np.cos(roll) * across + np.sin(roll) * np.cross(pull, across))
    bends = rng.normal(0, [0.25, 0.35, 0.2], (2, 3))
    noise = rng.normal(0, 0.05, (2, 45))
    start = CENTRE + rng.normal(0, 0.025, 3)
    drift = rng.normal(0, 0.02, 3)
    for t in _times(count, rng):
        fingers = between(hands.fingers(names[0]) + noise[0], hands.fingers(names[1]) + noise[1], t)
        yield base * hands.bend((1 - t) * bends[0] + t * bends[1]), fingers, start + t * drift, pull


def _pair_motion(hands, name, count, rng):
    """At each moment: for both hands (turn, fingers, pull), the direction of approach, the gap (m), the slip and
    the centre.
    """
    right, left, approach = _PAIRS[name]
    poses = [rng.choice(hand[2], 2) for hand in (right, left)]
    whole = Rotation.from_rotvec(rng.normal(0, [0.35, 0.35, 0.25]))
    tilts = [Rotation.from_rotvec(rng.normal(0, 0.22, 3)) for _ in range(2)]
    noise = rng.normal(0, 0.05, (2, 2, 45))
    gap = 0.0 if rng.random() < 0.6 else rng.uniform(0.004, 0.03)
    slip = rng.normal(0, 0.018, 3)
    centre, drift = CENTRE + rng.normal(0, 0.015, 3), rng.normal(0, 0.015, 3)
    for t in _times(count, rng):
        parts = []
        for side, (fingers, back, _) in enumerate((right, left)):
            mirror = Rotation.from_rotvec(whole.as_rotvec() * ([1, -1, -1] if side else [1, 1, 1]))
            turn = mirror * tilts[side]
            pull = turn.apply(-_unit(fingers)) + 0.45 * _unit([-0.45, 0.6, 0.5])
            a, b = (hands.fingers(poses[side][i]) + noise[side, i] for i in range(2))
            parts.append((turn * hands.turn(fingers, back), between(a, b, t), pull))
        yield parts, whole.apply(approach), gap + 0.01 * t * (gap > 0), whole.apply(slip), centre + t * drift


def _together(hands, motion, shape):
    """Two hands, the left one moved along the approach until it touches the right one (less the gap)."""
    parts, approach, gap, slip, centre = motion
    zero = np.zeros(3)
    posed = [hands.place(side, *parts[side][:2], shape, zero, parts[side][2])[2] for side in range(2)]
    slip = slip - (slip @ approach) * approach
    distance = apart(posed[0].verts, posed[1].verts + slip, approach, hands.model.faces) + gap
    offset = slip + distance * approach
    placed = []
    for side, shift in ((0, -0.5 * offset), (1, 0.5 * offset)):
        turn, fingers, pull = parts[side]
        placed.append(hands.place(side, turn, fingers, shape, centre + shift, pull))
    params, joints, posed = (list(part) for part in zip(*placed, strict=True))
    return Moment((0, 1), params, joints, posed)


def _times(count, rng):
    return (np.arange(count) + rng.uniform(0, 1, count)) / count


def between(a, b, t):
    """Joint rotations (45,) between two poses (45,), each joint along its shortest way; t 0 to 1."""
    first, second = (Rotation.from_rotvec(pose.reshape(15, 3)) for pose in (a, b))
    return (first * Rotation.from_rotvec(t * (first.inv() * second).as_rotvec())).as_rotvec().ravel()


def _axes(fingers, back):
    """Columns: the ways of the fingers, across, and of the back made perpendicular."""
    fingers = _unit(np.asarray(fingers, float))
    back = _unit(back - (back @ fingers) * fingers)
    return np.stack([fingers, np.cross(back, fingers), back], 1)


def _unit(vector):
    return np.asarray(vector, float) / np.linalg.norm(vector)
