"""Hands and persons posed alike: all the rotations of a model in one array, whatever its layer calls their parts."""

import numpy as np
import roma
import torch

from handlib import body_joints, fields
from handlib.bodies import mano, smplx

# model -> the joints that predictions give in space, those that networks see in the picture, those of the skeleton
JOINT_SETS = {
    "mano": (fields.HAND21, fields.HAND21, fields.MANO16),
    "smplx": (body_joints.SMPLX137, body_joints.SMPLX65, body_joints.SMPLX55),
    "smpl": (body_joints.SMPL45, body_joints.SMPL25, body_joints.SMPL24),
}
_AT_ONCE = 64  # poses in a layer together: a person's take 6 MB each


def kind(layer):
    """ "mano", "smplx" or "smpl"."""
    return getattr(layer, "kind", "mano")


def skeleton(layer):
    """The `fields.JointSet` of the joints that turn."""
    return JOINT_SETS[kind(layer)][2]


def seen_rows(model):
    """Rows of the joints in space, by the model's name, that are the joints seen in the picture, in their order."""
    space, picture, _ = JOINT_SETS[model]
    return [space.joints.index(joint) for joint in picture.joints]


def joints(layer, out):
    """What a layer gave (of a person "smplx144" or "smpl45") -> joints in space (…, 21, 137 or 45, 3)."""
    if kind(layer) == "mano":
        return mano.joints21(out["verts"], out["joints"])
    return out["joints"].index_select(-2, layer.from144) if kind(layer) == "smplx" else out["joints"]


def named(model, pose):
    """A person's whole pose (…, 3 J), by the model's name -> {part: (…, 3 n)} as its layer calls them."""
    ends = 3 * np.cumsum([0, *smplx.PARTS[model].values()])
    return {part: pose[..., ends[n] : ends[n + 1]] for n, part in enumerate(smplx.PARTS[model])}


def rotations(layer, pose):
    """Axis-angle from the mean (F, 3 J), numpy -> whole rotations (F, J, 3, 3), torch float64."""
    return roma.rotvec_to_rotmat(torch.as_tensor(pose).double().unflatten(-1, (-1, 3)) + _mean(layer))


def pose_of(layer, rotations):
    """The inverse of `rotations`; numpy."""
    return (roma.rotmat_to_rotvec(rotations) - _mean(layer)).flatten(-2).numpy()


def _mean(layer):
    """(J, 3) float64."""
    if kind(layer) != "mano":
        return layer.pose_mean.cpu().double()
    return torch.cat([torch.zeros(3, dtype=torch.float64), layer.hands_mean.cpu().double()]).reshape(-1, 3)


@torch.no_grad()
def posed(layer, rotations, shape, expression=None, transl=None):
    """Whole rotations (F, J, 3, 3), shape (F, 10), of SMPL-X expression (F, 10), transl (F, 3), numpy or torch -> dict
    of float64 numpy arrays:

    ``verts`` (F, V, 3); ``joints``, those of predictions; ``skeleton`` (F, J, 3); ``transforms`` (F, J, 4, 4) from each
    joint's own frame, as it turned, to the camera's.
    """
    parts = []
    for start in range(0, len(rotations), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        given = {"shape": shape, "expression": expression, "transl": transl}
        given = {name: np.asarray(value)[rows] for name, value in given.items() if value is not None}
        out = _call(layer, rotations[rows], given)
        found = {"verts": out["verts"], "joints": joints(layer, out), "transforms": out["transforms"]}
        parts.append({name: value.cpu().double().numpy() for name, value in found.items()})
    made = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return made | {"skeleton": made["transforms"][..., :3, 3]}


def _call(layer, rotations, given):
    given |= {"pose_kind": "matrix", "mean_added": True, "transforms": True}
    turned = rotations.numpy()
    if kind(layer) == "mano":
        return layer(pose=turned, **given)
    ends = np.cumsum([0, *layer.parts.values()])
    poses = {part: turned[:, ends[n] : ends[n + 1]] for n, part in enumerate(layer.parts)}
    return layer(**poses, **given, joint_set="smplx144" if kind(layer) == "smplx" else "smpl45")
