"""Targets of whole-body networks that need a body model, made on the batch, on whatever device it is."""

import torch

from handlib import body_joints, geometry
from handlib.crops.person import part_relative, volume_depth

# Rows of SMPLX55 that each part of the layer's pose takes.
_ROWS = {"root_pose": slice(0, 1), "body_pose": slice(1, 22), "jaw_pose": slice(22, 23), "leye_pose": slice(23, 24),
         "reye_pose": slice(24, 25), "lhand_pose": slice(25, 40), "rhand_pose": slice(40, 55)}  # fmt: skip
_MIRROR = torch.from_numpy(body_joints.mirrored(body_joints.SMPLX137))
_NEAR = 1e-6  # metres; a joint nearer to the camera has no place in the picture


def targets_from_fits(targets, layer, input=geometry.PersonInput()):  # noqa: B008 (frozen)
    """The targets of `handlib.crops.person`, as tensors (B, …), with those of the fits' joints.

    layer: `handlib.bodies.smplx.BodyLayer`, SMPL-X, neutral, on the same device; input: the network's ``input``. Adds
    ``smplx_joint_img`` (B, 137, 3) volume, ``smplx_joint_cam`` (B, 137, 3) m, as ``joint_img`` and ``joint_cam``, and
    ``smplx_joint_trunc`` (B, 137, 1); where a data set's joints are those of its fits, these as ``joint_…`` too. All
    are zero for a person without a fit, or with one of which no joint is valid. The ``fit_…`` are left out. No
    gradients.
    """
    out = {name: value for name, value in targets.items() if not name.startswith("fit_")}
    fit = {name[4:]: value for name, value in targets.items() if name.startswith("fit_")}
    with torch.no_grad():
        joints = posed(fit, layer, mesh=False)["joints"]
        valid = out["smplx_joint_valid"]
        own = fit["valid"][:, None, None] * valid.amax(1, keepdim=True)
        relative = part_relative(joints)
        depth = volume_depth(relative[..., 2], input)
        image, camera = placed(joints, relative, depth, fit, input, _MIRROR)
        volume = image.new_tensor(input.volume[::-1])
        inside = ((image >= 0) & (image < volume)).all(-1, keepdim=True).to(image.dtype) * own
        out |= {"smplx_joint_img": image * own, "smplx_joint_cam": camera * own, "smplx_joint_trunc": inside * valid}
        same = fit["joints"][:, None, None]
        for name in ("img", "cam", "valid", "trunc"):
            theirs = out[f"smplx_joint_{name}"]
            out[f"joint_{name}"] = torch.where(same > 0, theirs.to(out[f"joint_{name}"].dtype), out[f"joint_{name}"])
    return out


def meshes_of_fits(targets, layer):
    """Vertices (B, 10475, 3) m of the fits in the camera's frame, neither mirrored nor turned; of crops as they come
    from `handlib.crops.person`.
    """
    with torch.no_grad():
        return posed({name[4:]: value for name, value in targets.items() if name.startswith("fit_")}, layer)["verts"]


def posed(fit, layer, mesh=True):
    """Joints (B, 137, 3) and, with ``mesh``, vertices of the layer, in the camera's frame, {joints, verts}.

    fit: pose (B, 55, 3), shape and expr (B, 10), transl (B, 3), world (B, 3, 3), as the fields ``smplx_…``.
    """
    poses = {name: fit["pose"][:, rows] for name, rows in _ROWS.items()}
    out = layer(**poses, shape=fit["shape"], expression=fit["expr"], mean_added=False, joint_set="smplx137", mesh=mesh)
    root = out["joints"][:, :1]  # the pelvis does not move with the pose
    moved = root @ fit["world"].mT - root + fit["transl"][:, None]
    return {name: points + moved for name, points in out.items()}


def placed(joints, relative, depth, fit, spec, mirror=None):
    """Joints (B, J, 3) m of the camera's frame -> in the volume, and ``relative`` (B, J, 3) m; mirrored and turned.

    depth: (B, J) cells; fit: K, affine, turn, flipped, width of `handlib.crops.person`'s ``fit_…``; mirror: rows (J,)
    of the mirrored person's joints, None where they are its own (a hand's).
    """
    near = joints[..., 2:] > _NEAR
    safe = torch.where(near, joints, torch.ones_like(joints))
    pixels = geometry.project(safe, fit["K"], eps=0.0) * near
    flipped = fit["flipped"][:, None] > 0
    mirrored_x = torch.where(flipped, fit["width"][:, None] - 1 - pixels[..., 0], pixels[..., 0])
    pixels = torch.stack([mirrored_x, pixels[..., 1]], -1)
    sign = torch.where(flipped[..., None], joints.new_tensor([-1.0, 1, 1]), joints.new_ones(3))
    crop = geometry.apply_affine(pixels, fit["affine"]) / joints.new_tensor(spec.size)
    image = torch.cat([crop * joints.new_tensor(spec.volume[:0:-1]), depth[..., None]], -1)
    turned = (relative * sign) @ fit["turn"].mT
    if mirror is None:
        return image, turned
    order = mirror.to(joints.device)
    rows = torch.where(flipped, order, torch.arange(len(order), device=joints.device))[..., None].expand(-1, -1, 3)
    return image.gather(1, rows), turned.gather(1, rows)
