"""The 21 joints of a MANO hand without its mesh: exactly what the layer gives, from 5 of its 778 vertices.

The joints depend on the shape through the joint regressor alone, which is linear, and on the pose through the chain of
transforms; only the finger tips are vertices, and are skinned. That is some hundredth of the layer's arithmetic, and
the derivatives can be written down.
"""

import torch
from torch import nn

from handlib import bodies, fields
from handlib.bodies.mano import TIPS
from handlib.files import InputError

PARENTS = fields.MANO16.parents


class Kinematics(nn.Module):
    """Rotations and shape -> 21 joints in house order, with or without derivatives.

    layer: a ``bodies`` MANO layer; tips: a name of `handlib.bodies.mano.TIPS` or five vertex indices, thumb to little
    finger; dtype: of all sums (None: the layer's). Buffers copy the layer's and stand where it stands.
    """

    def __init__(self, layer, tips="manopth", dtype=None):
        super().__init__()
        ids, skin, size = _tip_ids(tips, layer), layer.skinning, layer.shape_size
        vertices = layer.weights.shape[0]
        blend = skin.blend.view(-1, 3, vertices)[:, :, ids].mT  # (S + 135, 5, 3)
        rest = skin.rest.view(2, 16, 3)[:, skin.back]  # joints of the mean shape, and their offsets from their parents
        rest_blend = skin.rest_blend.view(size, 2, 16, 3)[:, :, skin.back]
        pose_blend = blend[size:].reshape(15, 9, 15)[skin.back[1:] - 1]  # the layer has its joints in its tree's order
        for name, value in {
            "mean": torch.cat([rest.flatten(), skin.template.view(3, vertices)[:, ids].T.flatten()]),
            "blend": torch.cat([rest_blend.flatten(1), blend[:size].flatten(1)], 1),  # (S, 2 x 16 x 3 + 5 x 3)
            "pose_blend": pose_blend.reshape(135, 15),
            "quarter_turns": _quarter_turns(pose_blend),
            "weights": layer.weights[ids],  # (5, 16)
            "identity": torch.eye(3),
            "carries": _carries(),
        }.items():
            value = value.to(device=layer.weights.device, dtype=dtype or layer.weights.dtype).contiguous()
            self.register_buffer(name, value, persistent=False)
        order = bodies.joints21(torch.arange(16, 21)[:, None], torch.arange(16)[:, None], range(5))[:, 0]
        self.register_buffer("order", order.to(layer.weights.device), persistent=False)
        self.shape_size = size

    def forward(self, rotations, shape):
        """rotations (N, 16, 3, 3), each joint relative to its parent, MANO's order; shape (N, S).

        Returns joints (N, 21, 3), metres, where the model puts them. Differentiable.
        """
        return self._points(rotations, shape)[0].index_select(1, self.order)

    def _points(self, rotations, shape):
        """Joints and tips (N, 21, 3) in the model's order, and what they came from."""
        n = len(rotations)
        rest, offset, base = torch.addmm(self.mean, shape, self.blend).split((48, 48, 15), 1)
        turns, joints = _chain(rotations, offset.reshape(n, 16, 3, 1))
        bent = (rotations[:, 1:] - self.identity).reshape(n, 135)
        base = (base + bent @ self.pose_blend).view(n, 5, 3, 1)
        shift = (joints - turns @ rest.reshape(n, 16, 3, 1)).squeeze(-1)
        skin = (self.weights @ turns.reshape(n, 16, 9)).view(n, 5, 3, 3)
        tips = (skin @ base).squeeze(-1) + self.weights @ shift
        return torch.cat([joints.squeeze(-1), tips], 1), turns, skin, base, shift

    def derivatives(self, rotations, shape):
        """Joints (N, 21, 3), and their derivatives (N, 51 + S, 3, 21) by rotations, by a common shift, and by shape.

        A rotation R of joint k becomes ``R exp([d]x)``: row 3 k + c is the derivative by d[c] at zero.
        """
        points, turns, skin, base, shift = self._points(rotations, shape)
        slopes = points.new_zeros(len(points), 51 + shape.shape[1], 3, 21)
        by_turn = slopes[:, :48].unflatten(1, (16, 3))
        x, y, z = self._arms(points, turns, base, shift)[:, :, None].unbind(3)
        u, v, w = turns.mT[..., None].unbind(3)
        for row, (one, other) in enumerate(((v * z, w * y), (w * x, u * z), (u * y, v * x))):
            by_turn[:, :, :, row] = one.sub_(other)
        bent = torch.bmm(rotations[:, 1:].flatten(2).transpose(0, 1), self.quarter_turns)
        bent = bent.view(15, -1, 3, 5, 3).permute(1, 3, 0, 2, 4).flatten(2, 3) @ skin.mT
        by_turn[:, 1:, :, :, 4::4] += bent.permute(0, 2, 3, 1).unflatten(1, (15, 3))
        slopes[:, 48:51] = self.identity[:, :, None]
        slopes[:, 51:] = self._by_shape(rotations, turns, skin)
        return points.index_select(1, self.order), slopes

    def _arms(self, points, turns, base, shift):
        """(N, 16, 3, 21): what each joint carries, as seen from it: a joint, or its weighted share of a tip."""
        places = points[:, :16, :, None]
        arms = self.carries[:, None] * (places.squeeze(-1).mT[:, None] - places)
        shares = (turns @ base.squeeze(-1).mT[:, None] + shift[..., None]) * self.weights.T[:, None]
        shares = (self.carries @ shares.flatten(2)).unflatten(2, (3, 5))
        shares = shares - (self.carries @ self.weights.T)[:, None] * places
        return torch.cat([arms, shares], 3).index_select(3, self.order)

    def _by_shape(self, rotations, turns, skin):
        rest, steps, tips = self.blend.T.split((48, 48, 15))
        places = _chain(rotations, steps.reshape(16, 3, -1).expand(len(turns), -1, -1, -1))[1]
        shift = places - turns @ rest.reshape(16, 3, -1)
        tips = skin @ tips.reshape(5, 3, -1) + (self.weights @ shift.flatten(2)).unflatten(2, shift.shape[2:])
        return torch.cat([places, tips], 1).index_select(1, self.order).permute(0, 3, 2, 1)


def _chain(rotations, steps):
    """World rotations (N, 16, 3, 3), and at each joint the sum of the turned steps (N, 16, 3, M) that lead to it.

    MANO's tree is five chains of three joints on the wrist: all fingers are done in one product per level.
    """
    turn, place = rotations[:, :1], steps[:, :1]
    local, fingers = rotations[:, 1:].unflatten(1, (5, 3)), steps[:, 1:].unflatten(1, (5, 3))
    turns, places = [], []
    for part in range(3):
        place = place + turn @ fingers[:, :, part]
        turn = turn @ local[:, :, part]
        turns.append(turn)
        places.append(place)
    turns = torch.cat([rotations[:, :1], torch.stack(turns, 2).flatten(1, 2)], 1)
    return turns, torch.cat([steps[:, :1], torch.stack(places, 2).flatten(1, 2)], 1)


def _carries():
    """(16, 16): 1 where joint k (row) turns joint i (column) with it, or is it."""
    carries = torch.eye(16)
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            carries[:, joint] += carries[:, parent]  # parents come first
    return carries


def _quarter_turns(pose_blend):
    """Pose blend (15, 9, 15) by the entry R[a, m] and the axis c of a small turn: ``R [e_c]x`` is dR; (15, 9, 45)."""
    crosses = pose_blend.new_zeros(3, 3, 3)
    for c, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        crosses[c, j, i], crosses[c, i, j] = 1, -1
    return torch.einsum("kabr,cmb->kamcr", pose_blend.view(15, 3, 3, 15), crosses).reshape(15, 9, 45)


def _tip_ids(tips, layer):
    """Five vertex indices; InputError for an unknown name or for indices that the mesh lacks."""
    if isinstance(tips, str) and tips not in TIPS:
        raise InputError("fit", f"'{tips}' is unknown", f"one of: {', '.join(TIPS)}, or five vertex indices", "tips")
    ids = [int(index) for index in (TIPS[tips] if isinstance(tips, str) else tips)]
    if len(ids) != 5 or not all(0 <= index < layer.weights.shape[0] for index in ids):
        raise InputError("fit", f"are {ids}", "give five vertex indices of the mesh, thumb to little finger", "tips")
    return ids
