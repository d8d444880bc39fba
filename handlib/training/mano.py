"""What a network with MANO's parameters says about the samples of a pack, beside the truth, as evaluators take it.

Every predicted hand stands with its wrist on the true one, as HandOccNet's own scoring puts it; left hands are mirrored
back. True meshes are the data set's vertices, or what the network's hand model makes of its pose and shape.
"""

import numpy as np
import torch

from handlib.submissions.hands import SERVERS

SERVER = {"ho3d": "ho3d_v2", "freihand": "freihand"}  # whose joint order and axes; both versions of HO-3D have the same


def official(net, out, batch, pack):
    """(predictions, truth) of a batch, metres, under the names of the pack's protocols.

    ho3d, freihand: ``xyz`` (B, 21, 3), ``verts`` (B, 778, 3), order and axes of the benchmark. dexycb: ``xyz`` in the
    camera's axes as the network gives it, left hands still mirrored (protocol dexycb_handoccnet); ``joint_3d`` (B, 21,
    3) in the camera's frame, predictions in mm (protocol dexycb); ``verts_cam`` (B, 778, 3). Any other pack:
    ``joints_cam``, ``verts_cam``. Truth that is not known is NaN.
    """
    dataset = pack.manifest["dataset"] if pack is not None else None
    given = {name: out[name].detach().float().cpu() for name in ("joints", "verts")}
    mine, true = placed(given, batch["meta"]), _truth(net, batch, pack)
    if dataset == "dexycb":
        return _dexycb(given, mine, true, batch)
    if dataset in SERVER:
        frame = SERVERS[SERVER[dataset]].frame
        return tuple(in_frame(frame, points) for points in (mine, true))
    return mine, true


def in_frame(frame, points):
    """{"joints_cam" (B, 21, 3), "verts_cam" (B, V, 3)} -> {"xyz", "verts"} in a server's order and axes, float32."""
    found = {"xyz": frame.official(points["joints_cam"], joints=True), "verts": frame.official(points["verts_cam"])}
    return {name: torch.from_numpy(values).to(torch.float32) for name, values in found.items()}


def _dexycb(given, mine, true, batch):
    predictions = {"xyz": given["joints"], "joint_3d": 1000 * mine["joints_cam"], "verts_cam": mine["verts_cam"]}
    left = batch["meta"]["flipped"].long()
    return predictions, {
        "xyz": true["joints_cam"],
        "hand_type": left,
        "joint_3d": true["joints_cam"],
        "verts_cam": true["verts_cam"],
    }


def placed(points, meta):
    """{"joints", "verts"}, anywhere -> {"joints_cam", "verts_cam"}, mirrored back, the wrists at the true ones."""
    wrist, signs = meta["joints_cam"][:, None, 0].float(), _signs(meta["flipped"])
    return {f"{name}_cam": (points[name] - points["joints"][:, :1]) * signs + wrist for name in ("joints", "verts")}


def _signs(flipped):
    """(B, 1, 3): what mirrors the left hands."""
    return torch.where(flipped[:, None, None], torch.tensor([-1.0, 1, 1]), torch.ones(3))


def _truth(net, batch, pack):
    meta = batch["meta"]
    known = meta["joints_valid"].all(1)[:, None, None]
    joints = torch.where(known, meta["joints_cam"], torch.nan)
    return {"joints_cam": joints, "verts_cam": _true_verts(net, batch, pack)}


def _true_verts(net, batch, pack):
    """(B, 778, 3) float32 in the camera's frame, NaN where there is no fit or where it is of another hand model."""
    meta, targets = batch["meta"], batch["targets"]
    if "verts_cam" in meta:
        return torch.where(meta["joints_valid"].all(1)[:, None, None], meta["verts_cam"], torch.nan)
    valid = meta["mano_valid"][:, None, None]
    pose = next((name for name in ("pose_flat", "pose_from_mean") if name in targets), None)
    if pose is None or not same_body(pack, net.layer):
        return torch.full((len(valid), 778, 3), np.nan)
    made = net.layer(
        pose=targets[pose].to(net.layer.faces.device),
        shape=targets["shape"].to(net.layer.faces.device),
        mean_added=pose == "pose_flat",
    )
    verts = placed({name: made[name].float().cpu() for name in ("joints", "verts")}, meta)["verts_cam"]
    return torch.where(valid, verts, torch.nan)


def same_body(pack, layer, official="MANO"):
    """Whether a hand or body model is the one of which the pack's fits are (a list of samples does not say: taken for
    so). official: what the manifest calls the licensed one.
    """
    return pack is None or layer.is_free != (pack.manifest["fits_of"] == official)
