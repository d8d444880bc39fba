"""Linear blend skinning: the one core under every model of the SMPL family.

Follows Loper et al., "SMPL: A Skinned Multi-Person Linear Model" (2015); the numbers are those of the smplx package.
"""

import contextlib
import copy

import numpy as np
import torch
from torch import nn


class Skinning(nn.Module):
    """Rotations and blend coefficients -> vertices and joints, in metres, in the model's own frame.

    Built from a ``files.BodyModel`` (V vertices, J joints, S shape directions). Buffers are not part of the state dict:
    a checkpoint never carries a licensed model. The flow of control depends on no tensor's values: torch.compile makes
    one graph of it.
    """

    def __init__(self, model, dtype=torch.float32):
        super().__init__()
        levels, order = _tree_levels(model.parents)
        back = np.argsort(order)
        # Inside, joints stand in the order of the tree's levels, and coordinates come before vertices, so that the sums
        # in ``forward`` run over numbers that lie side by side in memory.
        shape = model.shapedirs.transpose(2, 1, 0)  # (S, 3, V)
        pose = model.posedirs.T.reshape(-1, 9, *shape.shape[1:])[order[1:] - 1].reshape(-1, *shape.shape[1:])
        self._buffer("template", model.v_template.T.reshape(-1), dtype)
        self._buffer("blend", np.concatenate([shape, pose]).reshape(-1, model.v_template.size), dtype)
        # The joint regressor is linear: rest joints, and their offsets from their parents, come straight from the
        # coefficients, without the vertices in between.
        regressor = model.J_regressor[order]
        above = np.where(model.parents[order, None] < 0, 0, regressor[back[model.parents[order]]])
        regressor = np.concatenate([regressor, regressor - above])
        self._buffer("rest", (regressor @ model.v_template).reshape(-1), dtype)
        self._buffer("rest_blend", np.einsum("jv,scv->sjc", regressor, shape).reshape(len(shape), -1), dtype)
        self._buffer("weights", model.weights[:, order].T, dtype)
        self._buffer("identity", np.eye(3), dtype)
        self._buffer("bottom", np.array([[[[0.0, 0.0, 0.0, 1.0]]]]), dtype)
        self._buffer("order", order, torch.int64)
        self._buffer("back", back, torch.int64)
        self.levels = []  # (joints in it, name of the buffer that picks their parents in the level above, or None)
        for depth, (size, above) in enumerate(levels):
            self.levels.append((size, None if above is None else f"above{depth}"))
            if above is not None:
                self._buffer(f"above{depth}", above, torch.int64)

    def _buffer(self, name, array, dtype):
        self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(array), dtype=dtype), persistent=False)

    def forward(self, rotations, coefficients):
        """Arguments: ``rotations`` (N, J, 3, 3), each joint relative to its parent; ``coefficients`` (N, S).

        Returns verts (N, V, 3) and joints (N, J, 3).
        """
        verts, world = self.with_transforms(rotations, coefficients)
        return verts, world[:, :, :3, 3].contiguous()

    def with_transforms(self, rotations, coefficients):
        """Like ``forward``, but verts and (N, J, 4, 4): each joint's turn and place in the model's frame."""
        n, (joints, verts) = rotations.shape[0], self.weights.shape
        rotations = rotations.index_select(1, self.order)
        features = torch.cat([coefficients, (rotations[:, 1:] - self.identity).flatten(1)], 1)
        unposed = torch.addmm(self.template, features, self.blend).view(n, 1, 3, verts)
        rest, offsets = torch.addmm(self.rest, coefficients, self.rest_blend).view(n, 2, joints, 3, 1).unbind(1)
        world = self._chain(rotations, offsets)
        turn, place = world[:, :, :3, :3], world[:, :, :3, 3:]
        moves = torch.cat([turn, place - turn @ rest], 3)  # per joint: x = turn x0 + shift
        moves = moves.permute(0, 2, 3, 1).reshape(n * 12, joints)
        blended = (moves @ self.weights).view(n, 3, 4, verts)
        posed = (blended[:, :, :3] * unposed).sum(2) + blended[:, :, 3]
        return posed.transpose(1, 2).contiguous(), world.index_select(1, self.back)

    def narrowed(self, chosen):
        """The same of these vertices (n,) alone."""
        other, verts = copy.deepcopy(self), self.weights.shape[1]
        for name in ("template", "blend", "weights"):
            columns = getattr(self, name).unflatten(-1, (-1, verts)).index_select(-1, chosen).flatten(-2)
            other.register_buffer(name, columns, persistent=False)
        return other

    def arrays(self):
        """The model's arrays as tensors, exactly as they were put in (in the dtype given), by their official names."""
        verts, shapes = self.weights.shape[1], len(self.rest_blend)
        blend = self.blend.view(-1, 3, verts)
        pose = blend[shapes:].view(-1, 9, 3, verts)[self.back[1:] - 1].reshape(-1, 3, verts)
        return {
            "v_template": self.template.view(3, verts).T,
            "shapedirs": blend[:shapes].permute(2, 1, 0),
            "posedirs": pose.permute(2, 1, 0),
        }

    def _chain(self, rotations, offsets):
        """Transform (N, J, 4, 4) of every joint into the model's frame: one product per level of the tree."""
        n, joints = rotations.shape[:2]
        local = torch.cat([rotations, offsets], 3)
        local = torch.cat([local, self.bottom.expand(n, joints, 1, 4)], 2)
        done, first = [], 0
        for size, pick in self.levels:
            level = local[:, first : first + size]
            if done:
                above = done[-1] if pick is None else done[-1].index_select(1, getattr(self, pick))
                level = above @ level
            done.append(level)
            first += size
        return torch.cat(done, 1)


def full_precision(device_type):
    """Autocast would run the products in half precision: millimetres of error."""
    if torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return contextlib.nullcontext()


def regressed(regressor, verts):
    """Joints (B, J, 3) of posed meshes (B, V, 3), in their precision under autocast too."""
    with full_precision(verts.device.type):
        return regressor @ verts


def _tree_levels(parents):
    """Joints grouped by their depth: ([(size, places of the parents in the level above), …], joints in that order).

    The places are None where they are 0, 1, 2, … or one parent for all, which broadcasting does by itself.
    """
    depth = np.zeros(len(parents), int)
    for joint, parent in enumerate(parents):
        depth[joint] = 0 if parent < 0 else depth[parent] + 1
    levels, order, above = [], [], []
    for d in range(depth.max() + 1):
        level = [int(joint) for joint in np.flatnonzero(depth == d)]
        places = [above.index(parents[joint]) for joint in level] if above else None
        plain = places is None or len(above) == 1 or places == list(range(len(above)))
        levels.append((len(level), None if plain else places))
        order, above = order + level, level
    return levels, np.array(order)
