"""The body layers, hand and benchmark joints of whole bodies against the published programs."""

import functools

import numpy as np
import torch

from handlib import bodies
from handlib.bodies import files, smplx, wholebody
from handlib.bodies.mano import ManoLayer
from handlib.verify import Row, Skip, standin
from handlib.verify.reference import deviation

_TOLERANCE_M = 1e-6
_PARAMETERS = {  # of the smplx package -> of the layer
    "global_orient": "root_pose", "body_pose": "body_pose", "left_hand_pose": "lhand_pose",
    "right_hand_pose": "rhand_pose", "jaw_pose": "jaw_pose", "leye_pose": "leye_pose", "reye_pose": "reye_pose",
    "betas": "shape", "expression": "expression",
}  # fmt: skip


@functools.cache
def smplx_model():
    """The neutral stand-in of SMPL-X as a ``files.BodyModel`` with 10 shapes and 10 expressions."""
    return smplx.select(files.model(standin.smplx("neutral"), "stand-in", "smplx"))


def smplx_layer(ref):
    """Vertices and 144 joints of two people, and what is regressed from the first one's mesh (metres)."""
    name = "primitives/primitives_h4w.npz"
    if not ref.has(name):
        yield Skip("smplx", f"there is no {name}")
        return
    stored = ref.npz(name)
    given = {ours: torch.from_numpy(stored[f"smplx_{theirs}"]) for theirs, ours in _PARAMETERS.items()}
    out = smplx.BodyLayer(smplx_model())(**given, mean_added=False, joint_set="smplx144", transforms=True)
    verts, joints = out["verts"].numpy(), out["joints"].numpy()
    yield Row("smplx", "vertices_m", deviation(verts[:, ::32], stored["smplx_vertices_every_32"]), _TOLERANCE_M)
    yield Row("smplx", "joints144_m", deviation(joints, stored["smplx_joints144"]), _TOLERANCE_M)
    neck = out["transforms"][:, 12, :3, :3]
    rows = torch.as_tensor(np.round(stored["smplx_head_yaw_degrees"])).to(torch.int64)
    rows = torch.where(rows < 0, 39 - rows, rows)
    yield Row("smplx", "row of the contour", float((smplx.contour_turn(neck) - rows).abs().max()), 0.0)
    hands = wholebody.hand_regressors(smplx_model().J_regressor)
    for side, regressor in hands.items():
        expected = stored[f"hand_regressor_{side}_21"]
        yield Row("smplx", f"{side} hand's joints_m", deviation(regressor @ verts[0], expected), _TOLERANCE_M)
    j14 = standin.smplx_extras()["SMPLX_to_J14"] @ verts[0]
    yield Row("smplx", "14 joints_m", deviation(j14, stored["j14"]), _TOLERANCE_M)


def mano_layer(ref):
    """Pose2Pose's hands: the mean is added, tips are its own, and the left hand's joints come from the right's rows."""
    name = "primitives/primitives_p2p.npz"
    if not ref.has(name):
        yield Skip("mano", f"there is no {name}")
        return
    stored = ref.npz(name)
    layers = {side: ManoLayer(files.model(standin.mano(side), "stand-in", "mano"), side) for side in ("right", "left")}
    given = {key: torch.from_numpy(stored[f"mano_{key}"]) for key in ("pose", "shape")}
    out = {side: layer(**given, mean_added=False) for side, layer in layers.items()}
    verts = out["right"]["verts"]
    yield Row("mano", "vertices_m", deviation(verts[:, ::8].numpy(), stored["mano_vertices_every_8"]), _TOLERANCE_M)
    for key, mesh in (("joints21", verts), ("left_joints21_with_right_regressor", out["left"]["verts"])):
        joints = bodies.joints21(mesh, layers["right"].joint_regressor @ mesh, "pose2pose").numpy()
        yield Row("mano", f"{key}_m", deviation(joints, stored[f"mano_{key}"]), _TOLERANCE_M)


CHECKS = [smplx_layer, mano_layer]
