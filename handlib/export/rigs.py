"""A hand as a rig: rest mesh, skeleton, skinning weights and the rotations that bring the rest mesh to the hands seen.

File formats for rigs know linear blend skinning and no more: four joints per vertex, and no corrections of the rest
mesh by pose as MANO has them. So the rest mesh is chosen such that plain skinning gives the hands that were seen: in
one picture to rounding, in a clip as well as one rest mesh can (least squares over the frames).
"""

import dataclasses

import numpy as np
import roma
import torch

from handlib.files import InputError

STRONGEST = 4  # joints per vertex that every reader of glTF takes
_SAME = 1e-3  # metres: parameters and mesh of one prediction agree within this, or the layer is another one


@dataclasses.dataclass(frozen=True, eq=False)
class Rig:
    """One hand over F frames, in metres; joints in MANO's order, skinned in the hand's own rest frame.

    verts (V, 3) and joints (16, 3) at rest; faces (F, 3); places (V, 4) uint8 and weights (V, 4) float32 of the joints
    that move a vertex; turns (F, 16, 4) unit quaternions x, y, z, w, each joint relative to its parent; wrists (F, 3)
    in the camera's frame. deviation_m: how far the rig's mesh is from the one predicted, at worst;
    weights_deviation_m: how far it would be if the other, weaker weights were left out and nothing done about it.
    """

    verts: np.ndarray
    joints: np.ndarray
    faces: np.ndarray
    places: np.ndarray
    weights: np.ndarray
    turns: np.ndarray
    wrists: np.ndarray
    deviation_m: float
    weights_deviation_m: float


@torch.no_grad()
def rig(layer, pose, shape, transl, verts):
    """The rig of one hand. pose (F, 48) from the mean, shape (F, 10), transl (F, 3), verts (F, 778, 3) in the camera's
    frame, of ``layer``. The skeleton is that of the mean shape.

    Raises InputError when layer and parameters do not give those vertices.
    """
    given = layer(pose=pose, shape=shape, transl=transl, pose_kind="rotvec", mean_added=False)["verts"].cpu().numpy()
    apart = np.abs(given - verts).max()
    if not apart < _SAME:
        problem = f"with the parameters gives a mesh {1000 * apart:.1f} mm away from the one predicted"
        raise InputError("layers", problem, "give the layers that made the predictions (Predictor.layers)", layer.side)
    joints = _rest(layer, np.mean(shape, 0))
    wrists = np.stack([_rest(layer, one)[0] for one in shape]) + transl
    rotations = layer.rotations(pose, False, "rotvec").cpu().double()
    turns, shifts = _moved(layer, rotations, np.mean(shape, 0), wrists, joints)
    places, weights = strongest(layer.weights.cpu().numpy())
    sparse = np.zeros(layer.weights.shape)
    np.put_along_axis(sparse, places, weights, 1)
    full, few = (_blend(turns, shifts, each) for each in (layer.weights.cpu().double().numpy(), sparse))
    resting = rest_mesh(*few, verts)
    plain = _posed(*few, rest_mesh(*full, verts))
    weak = places.astype(np.uint8) * (weights > 0)  # a weight of nothing names joint 0, as glTF asks
    return Rig(
        resting, joints, layer.faces.cpu().numpy(), weak.astype(np.uint8), weights.astype(np.float32),
        _steady(roma.rotmat_to_unitquat(rotations).numpy()), wrists,
        _worst(_posed(*few, resting.astype(np.float32)), verts), _worst(plain, verts),
    )  # fmt: skip


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


def _rest(layer, shape):
    """Joints (16, 3) of the unposed hand."""
    out = layer(pose=np.zeros(48), shape=shape, pose_kind="rotvec", mean_added=True)
    return out["joints"].cpu().double().numpy()


def _moved(layer, rotations, shape, wrists, joints):
    """Per joint, from the rest frame to the camera's: turns (F, 16, 3, 3) and shifts (F, 16, 3)."""
    settings = dict(shape=shape, transl=wrists - joints[0], pose_kind="matrix", mean_added=True, transforms=True)
    world = layer(pose=rotations.numpy(), **settings)["transforms"].cpu().double().numpy()
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
