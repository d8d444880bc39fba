"""HandTailor's fit as OakInk's benchmark publishes it: 20 Adam steps per hand, here for all hands at once.

HandTailor: Lv et al., BMVC 2021; the benchmark: Yang et al., "OakInk", CVPR 2022. Three things in it are surely not
meant and are kept, because the published mesh figures were made with them: the optimiser's step counter starts at 1
where its bias correction expects 0; every hand is pulled to the mean start pose of its batch; and the optimised bone
length is used by one term only. `handlib.fitting.fit` without ``published`` has none of them.
"""

import roma
import torch

from handlib.networks.iknet import normalised

STEPS, RATE, DECAY, EPS = 20, 0.03, 0.5, 1e-8


def geo(joints):
    """How badly the fingers of joints (N, 21, 3), in metres, bend -> (N,)."""
    return bends(joints[:, 1:].unflatten(1, (5, 4)))


def bends(fingers):
    """How badly fingers (N, F, 4, 3) bend, each four joints in metres -> (N,).

    With the differences a, b, c of the four joints: 1e4 times the fingers' mean of |(a x b) . c| (not in one plane),
    and -1e5 times the sum over all fingers of (a x b) . (b x c) where that is negative (bent two ways).
    """
    a, b, c = (fingers[:, :, 1:] - fingers[:, :, :-1]).unbind(2)
    first, second = torch.linalg.cross(a, b), torch.linalg.cross(b, c)
    plane = (first * c).sum(-1).abs().mean(-1)
    same_way = (first * second).sum((-1, -2))
    return 1e4 * plane - 1e5 * same_way.clamp(max=0)


def terms(kinematics, pose, shape, bone, target, root, start):
    """The five parts of the objective, each (N,).

    pose (N, 48) axis-angle, absolute; shape (N, 10); bone (N, 1) metres; target (N, 21, 3) normalised joints; root
    (N, 3) metres; start (M, 48): the poses to which each hand is pulled, all M of them (the published batch), or
    (N, 1, 48) each its own. Returns pose: mean squared deviation; shape: sum of squares; joints: mean distance; geo.
    """
    made, _ = normalised(kinematics(roma.rotvec_to_rotmat(pose.unflatten(-1, (16, 3))), shape))
    return {
        "pose": (pose[:, None] - start).square().mean((1, 2)),
        "shape": shape.square().sum(-1),
        "joints": (made - target).square().mean((1, 2)),
        "geo": geo(made * bone[..., None] + root[:, None]),
    }


def objective(parts):
    """The weighted sum (N,) of what `terms` gives."""
    return 0.01 * parts["pose"] + 0.01 * parts["shape"] + parts["joints"] + 100 * parts["geo"]


class Adam:
    """The published optimiser: its correction in step n = 1, 2, … uses decay ** (n + 1). Changes tensors in place."""

    def __init__(self, values):
        self.values, self.number = values, 0
        self.means, self.squares = ([torch.zeros_like(value) for value in values] for _ in range(2))

    def step(self, gradients):
        """One step down these gradients, as many and of the same shapes as the values."""
        self.number += 1
        correction = 1 - DECAY ** (self.number + 1)
        for value, gradient, mean, square in zip(self.values, gradients, self.means, self.squares, strict=True):
            mean.lerp_(gradient, 1 - DECAY)
            square.lerp_(gradient.square(), 1 - DECAY)
            value.sub_(RATE * (mean / correction) / ((square / correction).sqrt() + EPS))


def solve(kinematics, target, root, bone, start, pull=None, steps=STEPS):
    """Yield (pose (N, 48), shape (N, S), bone (N, 1)) after each step, for all hands at once; copies.

    target (N, 21, 3), bone (N, 1): the joints as `handlib.networks.iknet.normalised` gives them; root (N, 3) metres,
    their joint 9; start (N, 48) the poses to start from; pull: as ``start`` in `terms` (None: all of ``start``, the
    published batch).
    """
    pull = start if pull is None else pull
    # The deviation from M poses is that from their mean, and a constant: the gradient needs the mean alone.
    centre = pull.mean(-2, keepdim=True) if pull.ndim == 3 else pull.mean(0, keepdim=True)
    values = [start.clone(), start.new_zeros(len(start), kinematics.shape_size), bone.clone()]
    adam = Adam(values)
    for _ in range(steps):
        free = [value.detach().requires_grad_() for value in values]
        with torch.enable_grad():
            value = objective(terms(kinematics, *free, target, root, centre)).sum()
        adam.step(torch.autograd.grad(value, free))
        yield tuple(value.clone() for value in values)


def placement(kinematics, pose, shape, root, bone):
    """How the posed hand is laid onto the input: scale (N,) by the bone's length, shift (N, 3) of joint 9 to root."""
    made = kinematics(roma.rotvec_to_rotmat(pose.unflatten(-1, (16, 3))), shape)
    scale = bone[:, 0] / normalised(made)[1][:, 0]
    return scale, root - scale[:, None] * made[:, 9]
