"""The body layers, hand and benchmark joints, and joint sets of whole bodies against the published programs."""

import functools

import numpy as np
import torch

from handlib import bodies, body_joints, networks
from handlib.bodies import files, smplx, wholebody
from handlib.bodies.mano import ManoLayer
from handlib.crops.person import SPANS
from handlib.networks.blocks import person
from handlib.verify import Row, Skip, standin
from handlib.verify.reference import deviation

_TOLERANCE_M = 1e-6
_SETS = {
    "smplx_pose_53": body_joints.POSES53, "supervision_137": body_joints.SMPLX137,
    "position_net_65": body_joints.SMPLX65, "MSCOCO": body_joints.COCO_WHOLEBODY, "MPII": body_joints.MPII16,
    "Human36M": body_joints.HUMAN36M17, "MPI_INF_3DHP": body_joints.MPI_INF_3DHP17,
    "AGORA_127": body_joints.SMPLX127, "smpl_24": body_joints.SMPL24, "smpl_33": body_joints.SMPL33,
    "smpl_position_25": body_joints.SMPL25,
}  # fmt: skip
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


def joint_sets(ref):
    """Names, order and mirror pairs of every joint set; deviations are counts."""
    for source in ("h4w", "osx", "p2p"):
        name = f"joints/joint_sets_{source}.json"
        stored = ref.json(name) if ref.has(name) else {}
        for key in stored.keys() & _SETS.keys():
            joint_set, facts = _SETS[key], stored[key]
            wrong = set(enumerate(joint_set.joints)) ^ set(enumerate(facts["names"]))
            yield Row(f"{source}/{key}", "joints that differ", float(len(wrong)), 0.0)
            if "flip_pairs" in facts:
                order = np.arange(len(joint_set))
                for left, right in facts["flip_pairs"]:
                    order[[left, right]] = right, left
                wrong = (body_joints.mirrored(joint_set) != order).sum()
                yield Row(f"{source}/{key}", "mirror images that differ", float(wrong), 0.0)
            if "index_into_smplx_144" in facts:
                wrong = (body_joints.FROM_SMPLX144 != facts["index_into_smplx_144"]).sum()
                yield Row(f"{source}/{key}", "places in the 144 that differ", float(wrong), 0.0)


def constants(ref):
    """Sizes of crops and volumes, the virtual camera, and what it spans (pixels, cells, metres)."""
    for source, network in (("h4w", "hand4whole"), ("osx", "osx_b")):
        name = f"joints/joint_sets_{source}.json"
        if ref.has(name):
            net, known = networks._network_class(network), ref.json(name)["config"]
            spans = [SPANS["body"], SPANS["lhand"], SPANS["face"]]
            ours = [*net.input.size[::-1], *net.input.volume, *net.hand_volume, *person.PERSON[::-1], *spans]
            theirs = [*known["input_img_shape"], *known["output_hm_shape"], *known["output_hand_hm_shape"]]
            theirs += [*known["input_body_shape"], *(known[f"{part}_3d_size"] for part in ("body", "hand", "face"))]
            yield Row(source, "crop, volumes, depths", deviation(ours, theirs), 0.0)
            yield Row(source, "virtual camera", deviation(*_cameras(person.PERSON, person.PERSON_SPAN, known)), 0.0)
    name = "joints/joint_sets_p2p.json"
    for part, known in (ref.json(name)["config"] if ref.has(name) else {}).items():
        net = networks._network_class(f"pose2pose_{part}")
        ours, theirs = (
            [*net.input.size[::-1], *net.input.volume],
            [*known["input_img_shape"], *known["output_hm_shape"]],
        )
        yield Row(f"p2p/{part}", "crop, volume", deviation(ours, theirs), 0.0)
        if hasattr(net, "span"):
            yield Row(f"p2p/{part}", "virtual camera", deviation(*_cameras(net.input.size, net.span, known)), 0.0)


def _cameras(size, span, known):
    """Focal lengths, principal point and span: ours, theirs."""
    ours = [person.FOCAL, person.FOCAL, size[0] / 2, size[1] / 2, span]
    return ours, [*known["focal"], *known["princpt"], known["camera_3d_size"]]


CHECKS = [smplx_layer, mano_layer, joint_sets, constants]
