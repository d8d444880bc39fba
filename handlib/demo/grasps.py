"""A free right hand that holds a simple object: it touches it, and neither goes through the other.

A grip says roughly how a thing is held. `settle` closes the fingers and moves the object until the hand lies on it: the
hand's pads are drawn to the surface, whatever is inside is pushed out, and the pose stays near the one it began with.
The object's place is given in the hand's own frame: the free hand at rest, wrist unturned, its joints where
the shape puts them (MANO's frame: fingers -x, thumb +z, back of the hand +y).
"""

import contextlib
import dataclasses
from typing import NamedTuple

import numpy as np
import roma
import torch

from handlib import render
from handlib.demo import objects, solids

FINGERS = ("index", "middle", "little", "ring", "thumb")  # MANO's order
_STEPS, _RATE = 90, 0.03
_TRIES, _TOO_DEEP = 2, 0.002  # m
_THIN = 0.033  # m; things no thicker than this
_DEPTH = 0.0006  # m by which flesh gives way where it touches


@dataclasses.dataclass(frozen=True)
class Grip:
    """thing: the object's name; pose: of the fingers at first, {demo pose: share}; axis, front: where the object's z
    and x point in the hand's frame; anchor (3,) on the object, put at ``at`` (3,) there; m.

    pads: which fingers are to touch; palm: whether the palm is; up (3,): where the object's z likes to point in the
    world (y is down), None for wherever the arm lets it; spin: the object looks the same turned about z. bent: how
    much of the pose the four fingers begin with.
    """

    thing: str
    pose: dict
    axis: tuple
    front: tuple
    at: tuple
    anchor: tuple = (0.0, 0.0, 0.0)
    pads: tuple = FINGERS
    palm: bool = True
    up: tuple | None = (0.0, -1.0, 0.0)
    spin: bool = True
    bent: float = 1.0

    @property
    def placed(self):
        """(rotation (3, 3), shift (3,)) of the object in the hand's frame."""
        z = np.array(self.axis) / np.linalg.norm(self.axis)
        x = np.array(self.front) - (np.array(self.front) @ z) * z
        x /= np.linalg.norm(x)
        turn = np.stack([x, np.cross(z, x), z], 1)
        return turn, np.array(self.at) - turn @ np.array(self.anchor)


_WRAP, _GRASP = {"grasp_bottle": 1.0}, {"half_fist": 0.6, "grasp_bottle": 0.4}
_HEIGHTS = {"hammer": -0.07, "hammer_low": -0.085, "hammer_top": 0.03}
GRIPS = {
    "bottle": Grip("bottle", _WRAP, (0.15, 0.1, 1), (0, 1, 0), (0.012, -0.052, 0), (0, 0, -0.02), bent=0.7),
    "bottle_low": Grip("bottle", _WRAP, (0.15, 0.1, 1), (0, 1, 0), (0.012, -0.052, 0), (0, 0, -0.055), bent=0.7),
    "bottle_top": Grip("bottle", _WRAP, (0.15, 0.1, 1), (0, 1, 0), (0.012, -0.046, 0), (0, 0, 0.06), bent=0.7),
    "mug": Grip("mug", _WRAP, (0.12, 0.1, 1), (0.75, -0.65, 0), (0.012, -0.062, 0), spin=False, bent=0.5),
    "can": Grip("can", _WRAP, (0.15, 0.1, 1), (0, 1, 0), (0.012, -0.05, 0), bent=0.7),
    "box": Grip("box", {"grasp_bottle": 0.6, "grasp_ball": 0.4}, (0.1, 0, 1), (1, 0, 0), (-0.01, -0.068, 0.01),
                spin=False, bent=0.6),
    "ball": Grip("ball", {"grasp_ball": 1.0}, (0.2, 0.9, 0.4), (1, 0, 0), (-0.005, -0.06, 0.012), up=None),
    "pen": Grip("pen", {"hold_pen": 1.0}, (0.6, 0.5, 0.4), (1, 0, 0), (-0.02, -0.06, 0.045), (0, 0, -0.045),
                pads=("thumb", "index", "middle"), palm=False, up=(0.3, -0.8, 0.4)),
    "screwdriver": Grip("screwdriver", _GRASP, (0.35, 0, -1), (0, 1, 0), (0.0, -0.032, 0),
                        (0, 0, 0.06), up=(0.1, -0.2, 1.0)),
    **{name: Grip("hammer", _GRASP, (-0.3, 0, 1), (0, 1, 0), (0.0, -0.032, 0), (0, 0, height), up=(0.2, -1.0, -0.4),
                  spin=name == "hammer_low") for name, height in _HEIGHTS.items()},
    "bowl": Grip("bowl", {"relaxed": 0.6, "grasp_ball": 0.4}, (0, -1, 0), (1, 0, 0), (-0.02, -0.06, 0.005)),
}  # fmt: skip


class Grasp(NamedTuple):
    """pose (45,) rad, whole; the object in the hand's frame: turn (3, 3), shift (3,) m; depth: how far (m) the hand
    reaches into it; gaps (5,): how far (m) each finger stays off it, MANO's order; open (45,): the pose before.
    """

    grip: Grip
    pose: np.ndarray
    turn: np.ndarray
    shift: np.ndarray
    depth: float
    gaps: np.ndarray
    open: np.ndarray


class Closing:
    """Closes hands around objects. ``layer``: the right free hand in float64; ``poses``: its named poses (45,)."""

    def __init__(self, layer, poses):
        self._layer, self._poses = layer, poses
        with torch.no_grad():
            rest = layer(pose=np.zeros(48), mean_added=True)
        verts, self._joints = rest["verts"].numpy(), rest["joints"].numpy()
        self._faces = layer.faces.numpy()
        # What can come near a thing: all of the fingers, not the back of the hand and the wrist. For a thing thinner
        # than a face, the middles of faces count too.
        weights = layer.weights.numpy()
        inner = (weights.argmax(1) > 0) | (render.vertex_normals(verts, self._faces)[:, 1] < 0.6) & (verts[:, 0] < 0.09)
        self._inner, self._near = np.flatnonzero(inner), self._faces[inner[self._faces].all(1)]
        pads = _pads(verts, self._faces, weights, self._joints)
        self._pads = {name: np.flatnonzero(np.isin(self._inner, own)) for name, own in pads.items()}
        fist = poses["fist"].reshape(15, 3)
        self._hinge = torch.tensor(fist / np.linalg.norm(fist, axis=1, keepdims=True))
        # Left, right and twist are held tight; the hinge is free within its limits. The thumb goes where it likes.
        stiff = np.full(15, 0.10)
        stiff[12:] = 0.25
        self._stiff = torch.tensor(stiff)[:, None]

    def settle(self, grips, shapes):
        """Grasp of every Grip, with a hand of shape (10,) each, all at once.

        A hand that ends inside its object (a finger began on the wrong side) begins again with straighter fingers.
        """
        with _one_thread():
            found = self._settled(grips, shapes)
            for _ in range(_TRIES):
                bad = [number for number, grasp in enumerate(found) if grasp.depth > _TOO_DEEP]
                straighter = [dataclasses.replace(found[n].grip, bent=0.7 * found[n].grip.bent) for n in bad]
                again = self._settled(straighter, [shapes[n] for n in bad]) if bad else []
                for number, grasp in zip(bad, again, strict=True):
                    found[number] = min(found[number]._replace(grip=grasp.grip), grasp, key=lambda one: one.depth)
        return found

    def _settled(self, grips, shapes):
        starts = np.stack([self._start(grip) for grip in grips])
        placed = [grip.placed for grip in grips]
        turns, shifts = (torch.tensor(np.stack(part)) for part in zip(*placed, strict=True))
        first, shapes = torch.tensor(starts).view(-1, 15, 3), torch.tensor(np.stack(shapes))
        change = torch.zeros_like(first).requires_grad_()
        motion = torch.zeros(len(grips), 6, dtype=torch.float64, requires_grad=True)
        solver = torch.optim.Adam([{"params": [change]}, {"params": [motion], "lr": _RATE}], lr=_RATE)
        scale = torch.tensor([0.3, 0.3, 0.3, 0.03, 0.03, 0.03])
        for step in range(_STEPS):
            for group in solver.param_groups:
                group["lr"] = _RATE * (1 - 0.95 * step / _STEPS)
            solver.zero_grad()
            near = self._distances(grips, first + change, motion * scale, turns, shifts, shapes)
            loss = self._contact(grips, *near, step / _STEPS) + self._habit(change, first, motion)
            loss.sum().backward()
            solver.step()
        with torch.no_grad():
            distances, _, _ = self._distances(grips, first + change, motion * scale, turns, shifts, shapes)
            turn = _rotation(motion[:, :3] * scale[:3]) @ turns
            shift = shifts + motion[:, 3:] * scale[3:]
            values = zip(grips, (first + change).view(-1, 45).numpy(), turn.numpy(), shift.numpy(), distances.numpy(),
                         starts, strict=True)  # fmt: skip
            return [
                Grasp(grip, pose, turn, shift, float(-own.min()), self._gaps(own), begin)
                for grip, pose, turn, shift, own, begin in values
            ]

    def _start(self, grip):
        pose = sum(share * self._poses[name] for name, share in grip.pose.items())
        return np.concatenate([grip.bent * pose[:36], pose[36:]])

    def _distances(self, grips, pose, motion, turns, shifts, shapes):
        """Signed distances (B, P) m of each hand's inner vertices to its object, how much of the hand is inside it
        (B,) mm2, and the joints (B, 16, 3).
        """
        wrist = torch.zeros_like(pose[:, 0])
        out = self._layer(pose=torch.cat([wrist, pose.flatten(1)], 1), mean_added=True, shape=shapes)
        turn = _rotation(motion[:, :3]) @ turns
        local = (out["verts"] - (shifts + motion[:, 3:])[:, None]) @ turn  # x turn = turn.T x
        names = [grip.thing for grip in grips]
        distances, through = [None] * len(grips), [None] * len(grips)
        for name in dict.fromkeys(names):
            which = [number for number, other in enumerate(names) if other == name]
            made, own = objects.make(name), local[which]
            points = own[:, self._inner]
            if np.ptp(made.verts, 0).min() < _THIN:
                points = torch.cat([points, own[:, self._near].mean(2)], 1)
            found = solids.distance(made.filled, points)
            inside = ((1000 * (found + _DEPTH)).clamp(max=0) ** 2).sum(1)
            for number, row, much in zip(which, found, inside, strict=True):
                distances[number], through[number] = row[: len(self._inner)], much
        return torch.stack(distances), torch.stack(through), out["joints"]

    def _contact(self, grips, distances, through, joints, t):
        """What is to become small, (B,) mm2: the pads' gaps, what is inside (above all near the end, t 1), crowding."""
        mm = 1000 * (distances + _DEPTH)
        total = (0.3 + 6 * t) * through
        for finger, name in enumerate(FINGERS):
            wanted = torch.tensor([float(name in grip.pads) for grip in grips])
            for part, weight in ((2, 1.0), (1, 0.5), (0, 0.2)):
                if len(self._pads[finger, part]):
                    total = total + wanted * weight * _bounded(_softmin(mm[:, self._pads[finger, part]]))
        palm = torch.tensor([float(grip.palm) for grip in grips])
        return total + palm * 0.5 * _bounded(_softmin(mm[:, self._pads["palm"]])) + self._crowding(joints)

    def _habit(self, change, first, motion):
        """How far the pose is from one that hands take, and from the one it began with (B,)."""
        along = (change * self._hinge).sum(-1, keepdim=True)
        side = change - along * self._hinge
        bend = ((first + change) * self._hinge).sum(-1)[:, :12]
        total = 0.5 * ((side / self._stiff) ** 2).sum((1, 2)) + 0.5 * ((along / 0.6) ** 2).sum((1, 2))
        total = total + 40 * ((bend - 1.5).clamp(min=0) ** 2 + (0.0 - bend).clamp(min=0) ** 2).sum(1)
        # Neighbouring fingers close alike, and a finger's end bends about two thirds as much as its middle.
        ends = bend.view(-1, 4, 3)
        total = total + 6 * ((ends[..., 2] - 0.6 * ends[..., 1]) ** 2).sum(1)
        return total + 4 * (motion**2).sum(1)

    def _crowding(self, joints):
        """The thumb's last two bones keep off the fingers' (mm2)."""
        thumb = torch.stack([joints[:, 14], joints[:, 15], 1.6 * joints[:, 15] - 0.6 * joints[:, 14]], 1)
        fingers = []
        for finger in range(4):
            a, b, c = (joints[:, 1 + 3 * finger + k] for k in range(3))
            fingers += [b, (b + c) / 2, c, 1.5 * c - 0.5 * b, 2 * c - b]
        apart = torch.cdist(thumb, torch.stack(fingers, 1)) * 1000
        return 0.3 * ((17.0 - apart).clamp(min=0) ** 2).sum((1, 2))

    def _gaps(self, distances):
        return np.array([min(distances[self._pads[f, part]].min() for part in (1, 2)) for f in range(5)])


@contextlib.contextmanager
def _one_thread():
    """Sums come out the same to the last bit on every number of cores; for arrays this small it is faster, too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _rotation(vectors):
    """(B, 3) rotation vectors, small -> (B, 3, 3)."""
    return roma.rotvec_to_rotmat(vectors)


def _softmin(values, sharp=1.5):
    return -torch.logsumexp(-values / sharp, 1) * sharp + sharp * np.log(3.0)


def _bounded(gap, far=25.0):
    """A pull that grows with the square of the gap (mm) at first and no further than ``far``."""
    return far**2 * (gap**2 / (gap**2 + far**2))


def _pads(verts, faces, weights, joints):
    """Vertices that may touch: {(finger, part): of its inner side, "palm": of the palm}; part 0 to 2, base to tip."""
    normals = render.vertex_normals(verts, faces)
    part = weights.argmax(1)
    pads = {}
    for finger in range(5):
        last = joints[3 + 3 * finger] - joints[2 + 3 * finger]
        inner = np.array([0, -1.0, 0]) if finger < 4 else _unit(np.cross(last, [0, 1.0, 0.3]))
        for bone in range(3):
            own = part == 1 + 3 * finger + bone
            pads[finger, bone] = np.flatnonzero(own & (normals @ inner > 0.5))
    pads["palm"] = np.flatnonzero((part == 0) & (normals[:, 1] < -0.5) & (verts[:, 0] < 0.085))
    return pads


def _unit(vector):
    return vector / np.linalg.norm(vector)
