"""Targets of body-only Pose2Pose, made on the batch, on whatever device it is: 33 joints, all from the pelvis."""

import torch

from handlib import body_joints, geometry
from handlib.crops.person import SPANS
from handlib.crops.person_targets import placed

_ROWS = [body_joints.SMPLX137.joints.index(name) for name in body_joints.SMPL33.joints]
_WRISTS = {side: body_joints.SMPL33.joints.index(f"{side}_Wrist") for side in "LR"}
_KNUCKLES = {side: [row for row, name in enumerate(body_joints.SMPL33.joints)
                    if name.startswith(side) and name.endswith("_1")] for side in "LR"}  # fmt: skip
_MIRROR = torch.from_numpy(body_joints.mirrored(body_joints.SMPL33))


def targets_from_fits(targets, layer, joints33, input):
    """The targets of `handlib.crops.person` of samples with SMPL fits, as tensors (B, …), as `Pose2PoseBody.loss` takes
    them.

    layer: `handlib.bodies.smplx.BodyLayer`, SMPL, neutral, on the same device; joints33: meshes -> joints of SMPL33;
    input: the network's ``input``. ``joint_…`` become those of the 33, with ``smpl_joint_img`` (B, 33, 3) volume,
    ``smpl_joint_cam`` (B, 33, 3) m from the pelvis, ``smpl_joint_valid``, ``smpl_joint_trunc`` (B, 33, 1); zeros for a
    person without a fit. No gradients.
    """
    fit = {name[4:]: value for name, value in targets.items() if name.startswith("fit_")}
    kept = ("is_3D", "smpl_pose", "smpl_shape", "smpl_pose_valid", "smpl_shape_valid")
    out = {name: targets[name] for name in kept} | _annotated(targets, input)
    with torch.no_grad():
        valid = targets["smpl_shape_valid"][:, None, None].expand(-1, len(_ROWS), 1)
        joints = _posed(fit, layer, joints33)
        relative = joints - joints[:, :1]
        image, camera = placed(joints, relative, _depth(relative, input), fit, input, _MIRROR)
        inside = _inside(image, input) * valid
        out |= {"smpl_joint_img": image * valid, "smpl_joint_cam": camera * valid, "smpl_joint_valid": valid}
        return out | {"smpl_joint_trunc": inside}


def _annotated(targets, spec):
    """The data set's own joints. In 3D those of hands were from their wrists."""
    camera, image, valid = (targets[f"joint_{name}"][:, _ROWS].clone() for name in ("cam", "img", "valid"))
    for side, rows in _KNUCKLES.items():
        camera[:, rows] += camera[:, _WRISTS[side], None] * targets["is_3D"][:, None, None]
    image[..., 2] = _depth(camera, spec)
    return {
        "joint_img": image,
        "joint_cam": camera,
        "joint_valid": valid,
        "joint_trunc": valid * _inside(image, spec),
    }


def _depth(relative, spec):
    return geometry.encode_depth(relative[..., 2], SPANS["body"], spec.volume[0])


def _inside(image, spec):
    """(B, 33, 1): whether places lie in the volume, as a number."""
    return ((image >= 0) & (image < image.new_tensor(spec.volume[::-1]))).all(-1, keepdim=True).to(image.dtype)


def _posed(fit, layer, joints33):
    """Joints (B, 33, 3) m of the fits in the camera's frame; a fit in a world's frame turns about its pelvis."""
    pose = fit["smpl_pose"].flatten(1)
    joints = joints33(layer(root_pose=pose[:, :3], body_pose=pose[:, 3:], shape=fit["smpl_shape"])["verts"])
    root = joints[:, :1]
    return joints + root @ fit["smpl_world"].mT - root + fit["smpl_transl"][:, None]
