"""Targets of Pose2Pose's hand network that need a hand model, made on the batch, on whatever device it is."""

import torch

from handlib import bodies, geometry
from handlib.bodies import mano, mirror, skinning
from handlib.crops.person import SPANS
from handlib.crops.person_hand import INPUT
from handlib.crops.person_targets import placed

TIPS = "pose2pose"


def left_of(right):
    """The left hand that goes with a right `handlib.bodies.mano.ManoLayer`.

    That of MANO_LEFT.pkl beside the right one's file, its shape directions put right; where there is none, the mirror
    image. Raises InputError for a file that is damaged.
    """
    beside = right.file and right.file.with_name(right.file.name.replace("RIGHT", "LEFT").replace("right", "left"))
    if beside and beside != right.file and beside.is_file():
        return bodies.load(beside, "mano_left").to(right.faces.device)
    return mirror.mirrored(right)


def targets_from_fits(targets, right, left, input=INPUT):
    """The targets of `handlib.crops.person_hand`, as tensors (B, …), with those of the fits' joints.

    right, left: MANO's layers (`left_of`), on the same device; input: the network's ``input``. Adds
    ``mano_joint_img`` (B, 21, 3) volume, ``mano_joint_cam`` (B, 21, 3) m, as ``joint_img`` and ``joint_cam``, and
    ``mano_joint_trunc`` (B, 21, 1); zeros for a hand without a fit. The ``fit_…`` are left out. No gradients.
    """
    out = {name: value for name, value in targets.items() if not name.startswith("fit_")}
    fit = {name[4:]: value for name, value in targets.items() if name.startswith("fit_")}
    valid = out["mano_joint_valid"]
    with torch.no_grad():
        joints = joints_of_fits(fit, right, left)
        relative = joints - joints[:, :1]
        depth = geometry.encode_depth(relative[..., 2], SPANS["rhand"], input.volume[0])
        image, camera = placed(joints, relative, depth, fit, input)
        inside = ((image >= 0) & (image < image.new_tensor(input.volume[::-1]))).all(-1, keepdim=True)
        out |= {"mano_joint_img": image * valid, "mano_joint_cam": camera * valid, "mano_joint_trunc": inside * valid}
    return out


def joints_of_fits(fit, right, left):
    """Joints (B, 21, 3) m of the fits in the camera's frame, neither mirrored nor turned.

    Both hands' joints are made by the right one's regressor, as published; the files' regressors are equal. A fit in a
    world's frame turns about its wrist, not about the origin: the wrist goes where the camera sees it. Of a fit without
    a translation, whose ``fit_at_wrist`` is 1, the model's wrist stands at ``fit_shift``.
    """
    joints, unmoved = _posed(fit, right, right.joint_regressor)
    is_left = fit["flipped"] > 0
    if is_left.any():
        rows = {name: value[is_left] for name, value in fit.items()}
        joints[is_left], unmoved[is_left] = _posed(rows, left, right.joint_regressor)
    wrist, transl = joints[:, :1], torch.where(fit["at_wrist"][:, None] > 0, -unmoved, fit["transl"])
    there = (wrist + transl[:, None]) @ fit["world"].mT + fit["shift"][:, None]
    return joints - wrist + there


def _posed(fit, layer, regressor):
    """Joints (B, 21, 3) made of the mesh, and the model's own wrist (B, 3), which no pose moves."""
    out = layer(pose=fit["pose"], shape=fit["shape"], mean_added=False)
    joints = mano.joints21(out["verts"], skinning.regressed(regressor, out["verts"]), TIPS)
    return joints, out["joints"][:, 0].clone()
