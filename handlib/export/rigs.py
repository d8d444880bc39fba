"""A hand or a person as a rig: rest mesh, skeleton, skinning weights, and the rotations that bring the rest mesh to
what was seen.

File formats for rigs know linear blend skinning and no more: four joints per vertex, and no corrections of the rest
mesh by pose as MANO and SMPL-X have them. So the rest mesh is chosen such that plain skinning gives the meshes that
were seen: in one picture to rounding, in a clip as well as one rest mesh can (least squares over the frames).
"""

import dataclasses

import numpy as np
import roma
import torch

from handlib.bodies import posing
from handlib.files import InputError

STRONGEST = 4  # joints per vertex that every reader of glTF takes
_SAME = 1e-3  # metres: parameters and mesh of one prediction agree within this, or the layer is another one
_AT_ONCE = 1 << 17  # vertices, of all frames together, whose motions are in memory


@dataclasses.dataclass(frozen=True, eq=False)
class Rig:
    """One hand or person over F frames, in metres; J joints in its model's order, skinned in its own rest frame.

    verts (V, 3) and joints (J, 3) at rest; parents (J,), -1 of the root, and names of the joints; faces (F, 3); places
    (V, 4) uint8 and weights (V, 4) float32 of the joints that move a vertex; turns (F, J, 4) unit quaternions x, y, z,
    w, each joint relative to its parent; roots (F, 3) in the camera's frame. deviation_m: how far the rig's mesh is
    from the one predicted, at worst; weights_deviation_m: how far it would be if the other, weaker weights were left
    out and nothing done about it.
    """

    verts: np.ndarray
    joints: np.ndarray
    parents: np.ndarray
    names: tuple
    faces: np.ndarray
    places: np.ndarray
    weights: np.ndarray
    turns: np.ndarray
    roots: np.ndarray
    deviation_m: float
    weights_deviation_m: float


def rig(layer, pose, blends, transl, verts, label=""):
    """The rig of one hand or person. pose (F, 3 J) from the mean; blends: {"shape": (F, 10)}, of a person "expression"
    too; transl (F, 3); verts (F, V, 3) in the camera's frame, of ``layer``. The skeleton is that of the mean shape.

    Raises InputError when layer and parameters do not give those vertices.
    """
    rotations = posing.rotations(layer, pose)
    apart = np.abs(posing.posed(layer, rotations, **blends, transl=transl)["verts"] - verts).max()
    if not apart < _SAME:
        problem = f"with the parameters gives a mesh {1000 * apart:.1f} mm away from the one predicted"
        raise InputError("layers", problem, "give the layers that made the predictions (Predictor.layers)", label)
    mean = {name: value.mean(0, keepdims=True) for name, value in blends.items()}
    joints, roots = _rest(layer, mean)[0], _rest(layer, blends)[:, 0] + transl
    turns, shifts = _moved(layer, rotations, mean, roots, joints)
    places, weights = strongest(layer.weights.cpu().numpy())
    resting, deviation, without = _resting(layer.weights.cpu().double().numpy(), places, weights, turns, shifts, verts)
    weak = places.astype(np.uint8) * (weights > 0)  # a weight of nothing names joint 0, as glTF asks
    skeleton = posing.skeleton(layer)
    return Rig(
        resting, joints, np.array(skeleton.parents), skeleton.joints, layer.faces.cpu().numpy(), weak.astype(np.uint8),
        weights.astype(np.float32), _steady(roma.rotmat_to_unitquat(rotations).numpy()), roots, deviation, without,
    )  # fmt: skip


def _resting(full, places, weights, turns, shifts, verts):
    """The rest mesh (V, 3), how far it is from ``verts`` once posed, and how far one would be that is made with all the
    weights ``full`` (V, J) and posed with the strongest; vertex by vertex, so in parts.
    """
    sparse = np.zeros(full.shape)
    np.put_along_axis(sparse, places, weights, 1)
    resting, worst, part = np.zeros(verts.shape[1:]), [0.0, 0.0], max(1, _AT_ONCE // len(verts))
    for start in range(0, len(full), part):
        rows = slice(start, start + part)
        seen = verts[:, rows]
        every, few = (_blend(turns, shifts, each[rows]) for each in (full, sparse))
        resting[rows] = rest_mesh(*few, seen)
        trials = resting[rows].astype(np.float32), rest_mesh(*every, seen)
        worst = [max(far, _worst(_posed(*few, trial), seen)) for far, trial in zip(worst, trials, strict=True)]
    return resting, *worst


def strongest(weights, count=STRONGEST):
    """(V, J) skinning weights -> the joints of the ``count`` largest (V, count), largest first, and these, summing to
    1."""
    places = np.argsort(-weights, 1, kind="stable")[:, :count]
    kept = np.take_along_axis(weights, places, 1).astype(np.float64)
    kept = (kept / kept.sum(1, keepdims=True)).astype(np.float32)
    return places, kept


def rest_mesh(turns, shifts, verts):
    """The rest mesh (V, 3) that skinning brings nearest to verts (F, V, 3); the inverse of skinning for one frame.

    turns (F, V, 3, 3), shifts (F, V, 3): each vertex's own blended motion, x -> turn x + shift.
    """
    normal = np.einsum("fvij,fvik->vjk", turns, turns)
    return np.linalg.solve(normal, np.einsum("fvij,fvi->vj", turns, verts - shifts)[..., None])[..., 0]


def _rest(layer, blends):
    """Joints (F, J, 3) of unposed hands or persons."""
    count = len(blends["shape"])
    return posing.posed(layer, _unposed(layer, count), **blends)["skeleton"]


def _unposed(layer, count):
    return torch.eye(3, dtype=torch.float64).expand(count, len(posing.skeleton(layer)), 3, 3)


def _moved(layer, rotations, mean, roots, joints):
    """Per joint, from the rest frame to the camera's: turns (F, J, 3, 3) and shifts (F, J, 3)."""
    blends = {name: np.repeat(value, len(rotations), 0) for name, value in mean.items()}
    world = posing.posed(layer, rotations, **blends, transl=roots - joints[0])["transforms"]
    turns, ends = world[..., :3, :3], world[..., :3, 3]
    return turns, ends - np.einsum("fjik,jk->fji", turns, joints)


def _blend(turns, shifts, weights):
    return np.einsum("vj,fjik->fvik", weights, turns), np.einsum("vj,fji->fvi", weights, shifts)


def _posed(turns, shifts, resting):
    return np.einsum("fvij,vj->fvi", turns, resting) + shifts


def _worst(mesh, verts):
    return float(np.linalg.norm(mesh - verts, axis=-1).max())


def _steady(quaternions):
    """The same rotations with signs that do not jump from frame to frame: what is between two of them is near both."""
    flips = (quaternions[1:] * quaternions[:-1]).sum(-1, keepdims=True) < 0
    signs = np.where(np.logical_xor.accumulate(flips, 0), -1.0, 1.0)
    return np.concatenate([quaternions[:1], quaternions[1:] * signs])
