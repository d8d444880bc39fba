"""HandOccNet against the published implementation: the whole network, each stage alone, the MANO layer, rotations, and
the names of its state.

Weights, pictures and the stages' inputs are seeded stand-ins; the JSON files say which there are. Tolerances are those
of the reference's README: twenty times the published run's own rounding; metres and rotations have bars of their own.
"""

import roma
import torch

from handlib import networks
from handlib.networks.blocks import fpn, mano_head
from handlib.networks.blocks.stages import forget
from handlib.networks.handoccnet import OUTPUTS, HandOccNet
from handlib.verify import Row, Skip, reference
from handlib.verify.handoccnet_cases import compared, drawn, from_turns, network, picture, state
from handlib.verify.reference import deviation

TIMES = 20
METRE, CROP, ROTATION = 5e-6, 2e-5, 1e-4
OWN_BARS = {
    "out.joints_coord_cam": METRE, "out.mesh_coord_cam": METRE, "out.joints_coord_img": CROP, "mano_rotmat": ROTATION,
    "joints3d": METRE, "verts3d": METRE, "joints_img": CROP, "mano_pose": ROTATION,
}  # fmt: skip
# Without gains the gates stand on a knife's edge: all that follows them, relative to its spread; the mesh in metres.
SPREAD, EDGE_METRE = 1e-2, 2e-4
GATE = "encode_query2"
BEFORE_GATES = ("backbone.", "fpn_", "primary", "secondary")


def forward(ref):
    """The whole network: every named tensor; the answers again without recording, as they are made in use."""
    if not ref.has("forward.json"):
        yield Skip("forward", "the folder has no forward.json")
        return
    arrays = ref.npz("forward.npz")
    for case, facts in ref.json("forward.json").items():
        net, images = network(ref, facts["gains"]), picture(facts["input"])
        out = net(images, stages=True)
        for name, known in facts["tensors"].items():
            bar = _bar(name, known, saturated(facts["gains"]))
            yield compared(case, name, out[name], arrays[f"{case}/{name}"], known, bar)
        with torch.inference_mode():
            out = net(images)
        for name, known in facts["tensors"].items():
            if name in OUTPUTS:
                bar = _bar(name, known, saturated(facts["gains"]))
                row = compared(case, name, out[OUTPUTS[name]], arrays[f"{case}/{name}"], known, bar)
                yield Row(case, f"{row.quantity}, in use", row.deviation, row.tolerance)


def saturated(gains):
    """Whether a case leaves FIT's gates at 0 or 1."""
    return not any(end.startswith(GATE) for end, _ in gains)


def _bar(name, known, on_edge):
    if on_edge and not name.startswith(BEFORE_GATES):
        return EDGE_METRE if OWN_BARS.get(name) == METRE else SPREAD * known["std"]
    return OWN_BARS.get(name, TIMES * known["max_abs_diff_to_float64"])


def stages(ref):
    """Each stage alone on drawn tensors."""
    if not ref.has("stages.json"):
        yield Skip("stages", "the folder has no stages.json")
        return
    known, arrays = ref.json("stages.json"), ref.npz("stages.npz")
    net = network(ref, known["gains"])
    for stage, facts in known["stages"].items():
        if stage not in STAGES:
            yield Skip(stage, "no check knows this stage")
            continue
        with torch.inference_mode():
            out = STAGES[stage](net, *(drawn(given) for given in facts["inputs"].values()))
        for name, one in facts["outputs"].items():
            yield compared(stage, name, out[name], arrays[f"{stage}/{name}"], one, _bar(name, one, False))


def _spatial_gate(net, features):
    primary, secondary, _ = fpn.parted(features, net.spatial(features, forget))
    return {"primary": primary, "secondary": secondary}


def _head(net, features):
    return dict(zip(("heatmaps", "encoding", "joints_img"), net.head(features, forget), strict=True))


def _mano(net, features):
    out = net.mano(features, net.layer, forget)
    return {
        "verts3d": out["verts"], "joints3d": out["joints"], "mano_shape": out["shape"],
        "mano_pose": out["rotations_from_mean"], "mano_pose_aa": out["pose_from_mean"],
        "manojoints2cam": out["transforms"],
    }  # fmt: skip


STAGES = {
    "spatial_gate": _spatial_gate,
    "FIT": lambda net, secondary, primary: {"out": net.fit(secondary, primary, forget)},
    "SET": lambda net, features: {"out": net.set(features, features, forget)},
    "hand_regHead": _head,
    "hand_Encoder": lambda net, heatmaps, encoding: {"out": net.encoder(heatmaps, encoding, forget)},
    "mano_regHead": _mano,
}


def mano_layer(ref):
    """The hand model alone: mesh and joints in mm, transforms in metres."""
    if not ref.has("mano_layer.npz"):
        yield Skip("mano_layer", "the folder has no mano_layer.npz")
        return
    arrays, rounding = ref.npz("mano_layer.npz"), ref.json("mano_layer.json")["max_abs_diff_to_float64"]
    pose, shape = torch.from_numpy(arrays["pose"]), torch.from_numpy(arrays["shape"])
    out = mano_head.hand(network(ref).layer, pose, shape)
    found = {"verts_mm": 1000 * out["verts"], "joints_mm": 1000 * out["joints"], "transforms_m": out["transforms"]}
    for name, value in found.items():
        yield Row("mano_layer", name, deviation(value, arrays[name]), TIMES * rounding[name])


def rotations(ref):
    """6D to matrix, to axis-angle and back to a matrix; axis-angle to matrix."""
    if not ref.has("rotations.npz"):
        yield Skip("rotations", "the folder has no rotations.npz")
        return
    arrays = {name: torch.from_numpy(value) for name, value in ref.npz("rotations.npz").items()}
    bar = TIMES * ref.json("mano_layer.json")["axis_angle_max_abs_diff_to_float64"]
    matrices = mano_head.sixd_to_rotmat(arrays["rot6d"])
    rotvecs = roma.rotmat_to_rotvec(matrices)
    yield Row("rotations", "rot6d_to_matrix", deviation(matrices, arrays["rot6d_to_matrix"]), ROTATION)
    yield Row("rotations", "matrix_to_axis_angle", from_turns(rotvecs, arrays["matrix_to_axis_angle"]), bar)
    for name, given in (("axis_angle_back_to_matrix", rotvecs), ("axis_angle_to_matrix", arrays["axis_angle"])):
        yield Row("rotations", name, deviation(roma.rotvec_to_rotmat(given), arrays[name]), ROTATION)


def keys(ref):
    """The published names: all are ours and ours are all; every tensor comes back as it went in."""
    if not ref.has("keys.json"):
        yield Skip("keys", "the folder has no keys.json")
        return
    given, listed = state(ref), reference.load_keys(ref.path("keys.json"))
    net = HandOccNet()
    networks.load_published(net, given, "stand-ins")
    ours = net.state_dict()
    theirs = {f"module.{net.keys.published(name)}": value for name, value in ours.items()}
    wrong = theirs.keys() ^ {name for name, _, _ in listed}
    wrong |= {name for name, shape, _ in listed if tuple(theirs[name].shape) != shape} if not wrong else set()
    wrong |= {name for name, _, dtype in listed if str(theirs[name].dtype) != f"torch.{dtype}"} if not wrong else set()
    yield Row("keys", f"names, shapes and types, wrong of {len(listed)}", len(wrong), 0)
    changed = [name for name, value in given.items() if name in theirs and not torch.equal(theirs[name], value)]
    yield Row("keys", "tensors that came back changed", len(changed), 0)


CHECKS = [forward, stages, mano_layer, rotations, keys]
