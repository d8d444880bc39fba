"""Levenberg-Marquardt for many hands at once: each with its own damping and its own end, so no hand sees another.

A hand's unknowns are 16 small turns, a shift and its shape; hands of one group share the shape, which is eliminated
last (Schur complement), so a sequence costs no more per hand than single hands do. Objective of a group, as -2 log
probability: squared distances over ``noise``, the pose's and the shape's deviation from what is plausible.
"""

import dataclasses

import roma
import torch

TOLERANCE = 1e-5  # a step that lowers the objective by less than this share of it (plus 1) is the last one
_FIRST_DAMPING, _LAST_DAMPING = 1e-2, 1e8
_NEAR = 0.01  # m, nothing nearer is seen by a camera
_CHUNK = 1024  # hands whose derivatives are in memory together


@dataclasses.dataclass
class Problem:
    """What is known of N hands, all in one dtype and on one device.

    kinematics; points: (N, 21, 3) metres, or rays (N, 21, 2) = (x / z, y / z); weights (N, 21, D): one over the
    standard deviation of each coordinate, 0 where it is not known; group (N,): number of the shape; mean (N, 45) and
    precision (45, 45) of plausible finger poses; shape_weight: what a squared shape coefficient costs.
    """

    kinematics: object
    points: torch.Tensor
    weights: torch.Tensor
    group: torch.Tensor
    mean: torch.Tensor
    precision: torch.Tensor
    shape_weight: float = 1.0

    def part(self, hands, group):
        """The same of some hands only, with new group numbers."""
        return dataclasses.replace(
            self, points=self.points[hands], weights=self.weights[hands], mean=self.mean[hands], group=group
        )

    def linearised(self, place):
        """Objective (N,) without the shape's cost, gradient (N, P) and Gauss-Newton matrix (N, P, P), P = 51 + S.

        Unknowns: 48 turns ``R exp([d]x)``, 3 of the shift, S of the shape.
        """
        if len(self.points) <= _CHUNK:
            return self._linearised(place, slice(None))
        parts = [slice(at, at + _CHUNK) for at in range(0, len(self.points), _CHUNK)]
        made = zip(*(self._linearised(place, part) for part in parts), strict=True)
        return tuple(torch.cat(values) for values in made)

    def _linearised(self, place, part):
        rotations, shift = place.rotations[part], place.shift[part]
        joints, slopes = self.kinematics.derivatives(rotations, place.shape[self.group[part]])
        residual, slopes = self._seen(joints.mT + shift[:, :, None], slopes, part)
        slopes = slopes.flatten(2)
        residual = residual.flatten(1)
        fingers = roma.rotmat_to_rotvec(rotations[:, 1:])
        off = fingers.flatten(1) - self.mean[part]
        turn = _log_slopes(fingers)
        pulled = off @ self.precision
        cost = residual.square().sum(1) + (pulled * off).sum(1)
        gradient = (slopes @ residual[..., None]).squeeze(-1)
        gradient[:, 3:48] += (pulled.unflatten(1, (15, 1, 3)) @ turn).flatten(1)
        matrix = slopes @ slopes.mT
        # The turns' slopes are blocks on a diagonal: first the precision's columns, then its rows.
        columns = self.precision.view(45, 15, 3).transpose(0, 1)[:, None] @ turn.transpose(0, 1)  # (15, N, 45, 3)
        blocks = turn.mT @ columns.permute(1, 2, 0, 3).reshape(len(off), 15, 3, 45)
        matrix[:, 3:48, 3:48] += blocks.view(len(off), 45, 45)
        return cost, gradient, matrix

    def _seen(self, joints, slopes, part):
        """Weighted residuals (N, D, 21) of joints (N, 3, 21) and their slopes (N, P, D, 21)."""
        weights, target = self.weights[part].mT, self.points[part].mT
        if target.shape[1] == 2:
            depth = joints[:, 2:].clamp(min=_NEAR)
            hidden = (joints[:, 2] < _NEAR).any(1)
            joints = joints[:, :2] / depth
            slopes = (slopes[:, :, :2] - joints[:, None] * slopes[:, :, 2:]) / depth[:, None]
            joints = torch.where(hidden[:, None, None], torch.inf, joints)
            joints = torch.where(weights > 0, joints, target)
        return (joints - target) * weights, slopes.mul_(weights[:, None])


@dataclasses.dataclass
class Place:
    """Where N hands in G groups are: rotations (N, 16, 3, 3), shift (N, 3) metres, shape (G, S)."""

    rotations: torch.Tensor
    shift: torch.Tensor
    shape: torch.Tensor

    def moved(self, step, shape_step):
        turn = roma.rotvec_to_rotmat(step[:, :48].unflatten(1, (16, 3)))
        return Place(self.rotations @ turn, self.shift + step[:, 48:51], self.shape + shape_step)

    def part(self, hands, groups):
        return Place(self.rotations[hands], self.shift[hands], self.shape[groups])

    def put(self, hands, groups, other):
        """Take over what another place, of some of the hands, holds."""
        self.rotations[hands], self.shift[hands], self.shape[groups] = other.rotations, other.shift, other.shape


@dataclasses.dataclass(frozen=True)
class Solution:
    """Place, and per group: objective (G,), steps tried (G,) int, converged (G,) bool."""

    place: Place
    objective: torch.Tensor
    steps: torch.Tensor
    converged: torch.Tensor


def solve(problem, place, max_steps=100, tolerance=TOLERANCE):
    """Go downhill from ``place`` until each group stands still.

    A group ends, converged, when a step lowers its objective E by less than ``tolerance`` (1 + E), or when its
    linear model promises no more than that; not converged: after ``max_steps``, or when no step, however small, goes
    down.
    """
    groups = torch.arange(len(place.shape), device=place.shape.device)
    hands = torch.arange(len(place.shift), device=groups.device)
    out = Place(*(value.clone() for value in (place.rotations, place.shift, place.shape)))
    objective = place.shape.new_zeros(len(groups))
    steps, converged = torch.zeros_like(groups), torch.zeros_like(groups, dtype=torch.bool)
    damping = torch.full_like(objective, _FIRST_DAMPING)
    state = _State(problem, place, damping)
    for number in range(1, max_steps + 1):
        ended, well = state.step(tolerance)
        if number == max_steps:
            ended = torch.ones_like(ended)
        if not ended.any():
            continue
        mine = ended[state.problem.group]
        final = groups[ended]
        out.put(hands[mine], final, state.place.part(mine, ended))
        objective[final], steps[final], converged[final] = state.cost[ended], number, well[ended]
        hands, groups = hands[~mine], groups[~ended]
        if not len(groups):
            break
        state = state.part(~mine, ~ended)
    return Solution(out, objective, steps, converged)


class _State:
    """The hands still under way: where they are, what the objective looks like there, and how careful each one is."""

    def __init__(self, problem, place, damping, known=None):
        self.problem, self.place, self.damping = problem, place, damping
        self.cost, self.gradient, self.matrix = known or self._look(place)

    def _look(self, place):
        cost, gradient, matrix = self.problem.linearised(place)
        total = self.problem.shape_weight * place.shape.square().sum(1)
        return total.index_add(0, self.problem.group, cost), gradient, matrix

    def part(self, hands, groups):
        number = groups.cumsum(0) - 1
        problem = self.problem.part(hands, number[self.problem.group[hands]])
        known = self.cost[groups], self.gradient[hands], self.matrix[hands]
        return _State(problem, self.place.part(hands, groups), self.damping[groups], known)

    def step(self, tolerance):
        """Try one step; keep it where it goes down. Returns (G,) bool: ended, and ended well."""
        step, shape_step, promised = self._newton()
        trial = self.place.moved(step, shape_step)
        cost, gradient, matrix = self._look(trial)
        down = cost < self.cost
        gain = self.cost - cost
        still = torch.where(down, gain, promised) <= tolerance * (1 + self.cost)
        well = still & (self.damping <= 1)
        ended = well | (self.damping > _LAST_DAMPING)
        mine = down[self.problem.group]
        self.place = Place(
            torch.where(mine[:, None, None, None], trial.rotations, self.place.rotations),
            torch.where(mine[:, None], trial.shift, self.place.shift),
            torch.where(down[:, None], trial.shape, self.place.shape),
        )
        self.cost = torch.where(down, cost, self.cost)
        self.gradient = torch.where(mine[:, None], gradient, self.gradient)
        self.matrix = torch.where(mine[:, None, None], matrix, self.matrix)
        self.damping = torch.where(down, (self.damping / 5).clamp(min=1e-9), self.damping * 4)
        return ended, well

    def _newton(self):
        """The damped Gauss-Newton step (N, 51), that of the shapes (G, S), and the decrease it promises (G,)."""
        group, size = self.problem.group, self.place.shape.shape[1]
        diagonal = self.matrix.diagonal(dim1=1, dim2=2)
        floor = 1e-9 * diagonal.amax(1, keepdim=True)
        extra = self.damping[group, None] * (diagonal + floor) + floor
        own = self.matrix[:, :51, :51] + extra[:, :51].diag_embed()
        both = torch.cat([self.matrix[:, :51, 51:], self.gradient[:, :51, None]], 2)
        solved = torch.cholesky_solve(both, torch.linalg.cholesky_ex(own)[0])
        reduced = torch.cat([self.matrix[:, 51:, 51:] + extra[:, 51:].diag_embed(), self.gradient[:, 51:, None]], 2)
        reduced = reduced - both[:, :, :size].mT @ solved
        shape = self.place.shape
        matrix = shape.new_zeros(len(shape), size, size + 1).index_add(0, group, reduced)
        gradient = matrix[..., size:] + self.problem.shape_weight * shape[..., None]
        eye = torch.eye(size, dtype=shape.dtype, device=shape.device)
        curved = matrix[..., :size] + self.problem.shape_weight * eye
        shape_step = -torch.cholesky_solve(gradient, torch.linalg.cholesky_ex(curved)[0]).squeeze(-1)
        step = -solved[..., size] - (solved[..., :size] @ shape_step[group, :, None]).squeeze(-1)
        # The model's decrease, -2 g'd - d'Hd, with (H + extra) d = -g.
        whole = torch.cat([step, shape_step[group]], 1)
        gained = (whole * (extra * whole - self.gradient)).sum(1)
        pull = self.problem.shape_weight * (shape_step * shape).sum(1)
        return step, shape_step, (-pull).index_add(0, group, gained)


def _log_slopes(rotvec):
    """The derivative (…, 3, 3) of log(R exp([d]x)) by d at zero, R = exp(rotvec) (inverse right Jacobian of SO(3))."""
    angle = rotvec.norm(dim=-1)[..., None, None]
    small = angle < 1e-4
    safe = torch.where(small, 1.0, angle)
    second = torch.where(small, 1 / 12, 1 / safe**2 - (1 + safe.cos()) / (2 * safe * safe.sin()))
    cross = rotvec.new_zeros(*rotvec.shape, 3)
    x, y, z = rotvec.unbind(-1)
    cross[..., 0, 1], cross[..., 0, 2], cross[..., 1, 2] = -z, y, -x
    cross = cross - cross.mT
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) + cross / 2 + second * (cross @ cross)
