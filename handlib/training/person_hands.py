"""Pose2Pose's hands in training: targets of a batch, and what the network says about the hands of a pack.

Every predicted hand stands with its wrist on the true one where that is known, left hands mirrored back, as in
`handlib.training.mano`; elsewhere before the virtual camera, as the published program writes it.
"""

import weakref

import torch

from handlib.bodies import mano as mano_layers
from handlib.bodies import skinning
from handlib.crops import hand_targets
from handlib.files import InputError
from handlib.training import mano

_LEFT = weakref.WeakKeyDictionary()  # of each network's right hand


def targets(net, given):
    """Targets of `handlib.crops.person_hand` with those of the fits' joints."""
    if net.layer not in _LEFT:
        _LEFT[net.layer] = hand_targets.left_of(net.layer)
    device = net.layer.faces.device
    return hand_targets.targets_from_fits(given, net.layer, _LEFT[net.layer].to(device), net.input)


def require_same_body(net, packs):
    """InputError where a pack's fits are of another hand model than the network's."""
    for pack in packs:
        if not mano.same_body(pack, net.layer) and has_fits(pack):
            problem = f"has fits of {pack.manifest['fits_of']}; the network's hand is {net.layer.source}"
            raise InputError(pack.folder, problem, "give bodies=FOLDER of the model that the fits are of", "bodies")


def has_fits(pack):
    """Whether a pack has a fit of a hand."""
    return "mano_valid" in pack.manifest["arrays"] and bool(pack.array("mano_valid").any())


def in_camera(net, out):
    """{"joints" (B, 21, 3), "verts" (B, 778, 3)} m before the virtual camera, joints made of the mesh; float32."""
    verts = out["verts"].float()
    joints = skinning.regressed(net.layer.joint_regressor.float(), verts)
    return {"joints": mano_layers.joints21(verts, joints, hand_targets.TIPS), "verts": verts}


def official(net, out, batch, pack):
    """(predictions, truth) of a batch, as `handlib.training.mano.official`."""
    hands = {name: points.cpu() for name, points in in_camera(net, out).items()}
    meta = {name: value.cpu() for name, value in batch["meta"].items()}
    if "joints_cam" not in meta:
        mend = "evaluate on a pack that has joints in 3D; MSCOCO's hands are for training"
        raise InputError("pack", "has no joints in the camera's frame", mend, "joints_cam")
    wrist = hands["joints"][:, 0] * torch.where(meta["flipped"][:, None], torch.tensor([-1.0, 1, 1]), torch.ones(3))
    joints = meta["joints_cam"].clone()
    joints[:, 0] = torch.where(meta["joints_valid"][:, :1], joints[:, 0], wrist.to(joints.dtype))
    given = {"pose_from_mean": batch["targets"]["mano_pose"], "shape": batch["targets"]["mano_shape"]}
    return mano.official(net, hands, batch | {"meta": meta | {"joints_cam": joints}, "targets": given}, pack)
