"""OakInk's networks against the published implementations: stages, outputs, losses, gradients, train mode; the flow,
the heads and the losses alone; IKNet and its conversion to axis-angle.

Weights and pictures are the seeded stand-ins; the JSON files say which cases there are. Tolerances are those of the
reference's README, section 9; where it has none for a quantity, the nearest one that it has.
"""

import numpy as np
import torch

from handlib import geometry
from handlib.networks import iknet, integral_pose, rle
from handlib.networks.blocks import lixels
from handlib.verify import Row, Skip
from handlib.verify.oakink_cases import NAMES, Case, cases, network, picture
from handlib.verify.reference import deviation

STAGE, UVD, METRE = 1e-4, 5e-6, 5e-6  # stages relative to the tensor's largest value
LOG_PHI, LOSS, GRADIENT = 1e-3, 1e-5, 1e-3  # losses and gradients relative
I2L = {"voxel": 5e-4, "metre": 5e-6, "stage": 1e-4, "loss": 1e-4, "mesh_normal_loss": 2e-4, "gradient": 5e-3}
I2L_TRAIN = {"voxel": 5e-2, "metre": 5e-4, "stage": 1e-2, "loss": 1e-3, "mesh_normal_loss": 1e-3, "gradient": 0.1}
GIVEN = 1e-5  # relative, of what is computed from given inputs
FLOW_SCALES = {f"flow3d.s.{i}.4.weight": 0.1 for i in range(6)}  # in every case with the flow, says the README
PUBLISHED_LOSS = {"loss_published_batched_faces": True, "loss_faces_1538x3": False}


# Integral Pose and RLE


def integral(ref):
    """Integral Pose: stages, outputs, loss, gradients, and its batch norms after a training pass."""
    for case in cases(ref, "IntegralPose"):
        net = network(ref, "IntegralPose", case.facts["weight_scales"]).train(case.training)
        out = net(picture(case.facts["input"]), stages=True)
        targets = _uvd_targets(case)
        yield from case.stages(out, STAGE)
        yield from case.row("heatmap_d_marginal", out["heatmap_d_marginal"], STAGE, relative=True)
        yield from case.row("uvd", out["joints_uvd"], UVD)
        yield from case.row("uvd_confi", out["confidence"], STAGE, relative=True)
        yield from _placed(case, net, out)
        yield from _inference(case, net, {"uvd": ("joints_uvd", 1, UVD)})
        terms = net.loss(out, targets)
        for name, ours in {"uvd_loss": "uvd", "final_loss": "total"}.items():
            yield case.loss(name, terms[ours], case.facts["loss"][name], LOSS)
        yield from _gradients(case, net, terms["total"], {"dloss_duvd": out["joints_uvd"]})
        yield from _buffers(case, net, STAGE)


def regression(ref):
    """RLE: stages, outputs at test and in training, the flow's density, loss, gradients, batch norms."""
    for case in cases(ref, "RegressFlow3D"):
        net = network(ref, "RegressFlow3D", case.facts["weight_scales"]).train(case.training)
        out = net(picture(case.facts["input"]), stages=True)
        targets = _uvd_targets(case)
        log_phi, error = net.log_phi(out, targets)
        yield from case.stages(out, STAGE)
        for prefix, joints in {"": "joints_uvd", "test/": "joints_uvd", "train/": "joints_uvd_unshifted"}.items():
            yield from case.row(f"{prefix}pred_uvd", out[joints], UVD)
            yield from case.row(f"{prefix}pred_sigma", out["sigma"], STAGE, relative=True)
            yield from case.row(f"{prefix}maxvals", out["confidence"], STAGE, relative=True)
            yield from case.row(f"{prefix}log_phi", log_phi, LOG_PHI)
            yield from case.row(f"{prefix}bar_mu", error, STAGE, relative=True)
        yield from _placed(case, net, out, "test/")
        yield from _inference(case, net, {"test/pred_uvd": ("joints_uvd", 1, UVD)})
        terms = net.loss(out, targets)
        ours = {"Q_log_prob": "q_log_prob", "rle_loss": "rle", "loss": "total", "final_loss": "total"}
        for name, expected in case.facts["loss"].items():
            yield case.loss(name, terms[ours[name]], expected, LOSS)
        wanted = {"train/dloss_dpred_uvd": out["joints_uvd_unshifted"], "train/dloss_dpred_sigma": out["sigma"]}
        yield from _gradients(case, net, terms["total"], wanted)
        yield from _buffers(case, net, STAGE)


def _inference(case, net, names):
    """The answers again as they are made where nothing is learnt, by other arithmetic: {array's name: (ours, ...)}."""
    if case.training:
        return
    with torch.inference_mode():
        out = net(picture(case.facts["input"]))
    for name, (ours, scale, tolerance) in names.items():
        value = out[ours] * scale
        for row in case.row(name, value[:, ::6] if value.shape[1] > 100 else value, tolerance):
            yield Row(row.case, f"{name}, inference", row.deviation, row.tolerance)


def _uvd_targets(case):
    return {"joints_uvd": case.given("target_joints_uvd"), "joints_valid": case.given("target_joints_vis")}


def _placed(case, net, out, prefix=""):
    """joints_2d, joints_3d and joints_3d_rel: relative to the joint that was given."""
    size = torch.tensor(net.input.size)
    yield from case.row(f"{prefix}joints_2d", out["joints_uvd"][..., :2] * size, UVD * float(size.max()))
    if f"{prefix}joints_3d" in case:
        root = case.given("target_root_joint")
        joints = net.place(out, case.given("target_cam_intr"), root[:, 2:])["joints_cam"]
        yield from case.row(f"{prefix}joints_3d", joints, METRE)
        yield from case.row(f"{prefix}joints_3d_rel", joints - root[:, None], METRE)


def _gradients(case, net, loss, wanted):
    """Gradients with respect to predictions; norms per parameter before and after clipping each to its own norm."""
    wanted = {name: tensor for name, tensor in wanted.items() if name in case}
    if wanted:
        found = torch.autograd.grad(loss, list(wanted.values()), retain_graph=True)
        for name, value in zip(wanted, found, strict=True):
            yield from case.row(name, value, GRADIENT, relative=True)
    if "grad" not in case.facts:
        return
    facts = case.facts["grad"]
    loss.backward()
    before = _norms(net)
    for parameter in net.parameters():
        if parameter.grad is not None:
            torch.nn.utils.clip_grad_norm_(parameter, facts["clip_norm"])
    for label, norms in {"before": before, "after": _norms(net)}.items():
        off = max(abs(norms[net.keys.ours(name)] / value - 1) for name, value in facts[label].items())
        yield Row(case.name, f"gradients {label} clipping, norms", off, GRADIENT)
    without = [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None]
    counts = len(before), sum(norm > facts["clip_norm"] for norm in before.values()), len(without)
    known = facts["n_params_with_grad"], facts["n_clipped"], len(facts["params_without_grad"])
    yield Row(case.name, "parameters with gradient, clipped, without", deviation(counts, known), 0)


def _norms(net):
    return {name: float(p.grad.double().norm()) for name, p in net.named_parameters() if p.grad is not None}


def _buffers(case, net, tolerance):
    state = net.state_dict()
    for key in case.arrays:
        if key.startswith(f"{case.name}/after/"):
            name = key.removeprefix(f"{case.name}/")
            expected = case.array(name)
            ours = state[net.keys.ours(name.removeprefix("after/"))].flatten()[: expected.size]
            yield from case.row(name, ours, tolerance, relative=True)
    if "num_batches_tracked_after" in case.facts:
        counts = [int(value) for name, value in state.items() if name.endswith("num_batches_tracked")]
        off = deviation(counts, [case.facts["num_batches_tracked_after"]] * len(counts))
        yield Row(case.name, "num_batches_tracked", off, 0)


# I2L-MeshNet


def lixel(ref):
    """I2L-MeshNet: stages, outputs, both readings of the loss with their gradients, batch norms."""
    for case in cases(ref, "I2L_MeshNet"):
        allow = I2L_TRAIN if case.training else I2L
        net = network(ref, "I2L_MeshNet", case.facts["weight_scales"]).train(case.training)
        out = net(picture(case.facts["input"]), stages=True)
        yield from case.stages(out, allow["stage"])
        for name in ("conv_x", "conv_y", "conv_z_2"):
            name = f"pose_net.{name}"
            yield from case.row(f"{name}(full)", out[name], allow["stage"], relative=True)
        yield from _volumes(case, out["gaussian_heatmap_bjdhw"], allow["stage"])
        yield from _meshes(case, net, out, allow)
        wanted = {"mesh_coord_img": "verts_uvd", "joint_coord_img": "joints_uvd"}
        yield from _inference(case, net, {k: (v, lixels.CELLS, allow["voxel"]) for k, v in wanted.items()})
        yield from _i2l_losses(case, net, out, allow)
        yield from _buffers(case, net, allow["stage"])


def _volumes(case, volume, tolerance):
    """Every eighth cell of as many joints as were kept, every fourth; and each joint's sum."""
    if "gaussian_heatmap_every_8th" in case:
        shape = case.array("gaussian_heatmap_every_8th").shape
        step = -(-volume.shape[1] // shape[1])
        part = volume[:, ::step, ::8, ::8, ::8]
        yield from case.row("gaussian_heatmap_every_8th", part, tolerance)
    sums = volume.double().sum((2, 3, 4))
    yield from case.row("gaussian_heatmap_sum_per_joint", sums, tolerance, relative=True)


def _meshes(case, net, out, allow):
    """Vertices every sixth; positions relative to the predicted wrist."""
    voxels = {name: out[name] * lixels.CELLS for name in ("verts_uvd", "joints_uvd", "joints_from_mesh_uvd")}
    yield from case.row("mesh_coord_img", voxels["verts_uvd"][:, ::6], allow["voxel"])
    yield from case.row("joint_coord_img", voxels["joints_uvd"], allow["voxel"])
    yield from case.row("joint_img_from_mesh", voxels["joints_from_mesh_uvd"], allow["voxel"])
    yield from case.row("2d_uvd", out["joints_uvd"], allow["voxel"] / lixels.CELLS)
    K = case.given("target_cam_intr")
    placed = net.place(out, K, case.given("target_root_joint")[:, 2:])
    joints, verts = placed["joints_cam"], placed["verts_cam"]
    root = joints[:, net.input.root, None]
    three = {"joints_3d": joints, "joints_3d_rel": joints - root, "verts_3d": verts, "verts_3d_rel": verts - root}
    for name, value in three.items():
        yield from case.row(name, value[:, ::6] if name.startswith("verts") else value, allow["metre"])
        if name in case.facts["stages"]:
            facts = case.facts["stages"][name]
            largest = max(abs(facts["min"]), abs(facts["max"]))
            yield case.stage(name, value, facts, allow["metre"] / largest)
    pixels = allow["voxel"] * net.input.size[0] / lixels.CELLS
    yield from case.row("joints_2d", geometry.project(joints, K, eps=0.0), pixels)


def _i2l_losses(case, net, out, allow):
    targets = _mesh_targets(case)
    free = {name: value.detach().requires_grad_() for name, value in out.items() if name.endswith("_uvd")}
    for key, published in PUBLISHED_LOSS.items():
        if key not in case.facts:
            continue
        net.published = published
        terms = net.loss(free, targets)
        label = key.removeprefix("loss_")
        for name, expected in case.facts[key].items():
            ours = "total" if name == "final_loss" else name.removesuffix("_loss")
            yield case.loss(f"{name}, {label}", terms[ours], expected, allow.get(name, allow["loss"]))
        grad = torch.autograd.grad(terms["total"], list(free.values()))
        grad = {name: value / lixels.CELLS for name, value in zip(free, grad, strict=True)}
        yield from case.row("dloss_djoint_coord_img", grad["joints_uvd"], allow["gradient"], relative=True)
        from_mesh = grad["joints_from_mesh_uvd"]
        yield from case.row("dloss_djoint_img_from_mesh", from_mesh, allow["gradient"], relative=True)
        mesh = f"dloss_dmesh_coord_img({'published' if published else label})"
        yield from case.stages({mesh: grad["verts_uvd"]}, allow["gradient"])


def _mesh_targets(case):
    return {
        "joints_cam": case.given("target_joints_3d"),
        "verts_cam": case.given("target_verts_3d"),
        "joints_valid": case.given("target_joints_vis"),
        "verts_valid": case.given("target_verts_vis"),
        "K": case.given("target_cam_intr"),
        "root_depth": case.given("target_root_joint")[:, 2:],
    }


# Parts alone


def integral_head(ref):
    """Integral Pose's reading of given volumes."""
    for case in cases(ref, "IntegralHead"):
        cell = np.arange(integral_pose.CELLS, dtype=np.float64)
        centre, spread = case.array("in/centre_uvd")[..., None], case.array("in/spread")[..., None]
        u, v, d = np.moveaxis(-((cell - centre) ** 2) / spread[..., None], 2, 0)
        top = case.array("in/top")[..., None, None, None]
        logits = top + d[..., :, None, None] + v[..., None, :, None] + u[..., None, None, :]
        logits = torch.from_numpy(logits.astype(np.float32)).flatten(1, 2)
        out = integral_pose.decode(logits)
        yield from case.stages({"logits": logits}, GIVEN)
        yield from case.row("uvd", out["joints_uvd"], UVD)
        yield from case.row("uvd_confi", out["confidence"], GIVEN, relative=True)


def flow(ref):
    """RealNVP in both directions, its log-determinant and density."""
    for case in cases(ref, "RealNVP"):
        net = network(ref, "RegressFlow3D", case.facts.get("weight_scales", FLOW_SCALES)).flow
        x = torch.from_numpy(case.array("x"))
        with torch.inference_mode():
            z, log_det = net.inverse(x)
            given_z = torch.from_numpy(case.array("z"))
            values = {
                "z": z, "log_det": log_det, "log_prob": net.log_prob(x),
                "forward_of_z": net(given_z), "forward_of_x": net(x),
            }  # fmt: skip
        for name, value in values.items():
            yield from case.row(name, value, GIVEN, relative=True)


def losses(ref):
    """The losses on given inputs."""
    for case in cases(ref, "UVD_LOSS"):
        joints = case.given("uvd").requires_grad_()
        terms = integral_pose.uvd_loss(joints, *_uvd_targets(case).values())
        for name, ours in {"uvd_loss": "uvd", "weighted": "total"}.items():
            yield case.loss(name, terms[ours], case.facts["loss"][name], GIVEN)
        (grad,) = torch.autograd.grad(terms["total"], joints)
        yield from case.row("dloss_duvd", grad, GIVEN, relative=True)
    for case in cases(ref, "RLE_Loss"):
        given = [case.given(name) for name in ("pred_uvd", "pred_sigma", "log_phi", "target_joints_uvd")]
        for reduction, known in case.facts["loss"].items():
            value, q = rle.residual_log_likelihood(*given, mean=reduction == "size_average_False")
            for name, expected in known.items():
                yield case.loss(f"{name}, {reduction}", q if name == "Q_log_prob" else value, expected, GIVEN)
    for case in cases(ref, "I2L_Loss"):
        yield from _i2l_loss_alone(ref, case)


def _i2l_loss_alone(ref, case):
    net = network(ref, "I2L_MeshNet")
    out = {
        "joints_uvd": case.given("joint_coord_img") / lixels.CELLS,
        "joints_from_mesh_uvd": case.given("joint_img_from_mesh") / lixels.CELLS,
        "verts_uvd": (case.given("mesh_coord_img") / lixels.CELLS).requires_grad_(),
    }
    for label, known in case.facts["loss"].items():
        net.published = PUBLISHED_LOSS[f"loss_{label}"]
        terms = net.loss(out, _mesh_targets(case))
        for name, expected in known.items():
            yield case.loss(f"{name}, {label}", terms[name.removesuffix("_loss")], expected, GIVEN)
        (grad,) = torch.autograd.grad(terms["total"], out["verts_uvd"])
        yield from case.row(f"dloss_dmesh_coord_img_{label}", grad / lixels.CELLS, GIVEN, relative=True)


# IKNet


def inverse_kinematics(ref):
    """IKNet's stages and answers, in eval mode and with the batch's statistics, and quaternions to axis-angle."""
    if not ref.has("iknet_fit.npz"):
        yield Skip("IKNet", "the folder has no iknet_fit.npz")
        return
    arrays, known = ref.npz("iknet_fit.npz"), ref.json("iknet_fit.json")
    for name in sorted({key.rpartition("/")[0] for key in arrays if key.endswith("/quat")}):
        case = Case(name, known.get(name, {}), arrays)
        if "normalised" in case:
            unit = torch.nn.functional.normalize(torch.from_numpy(case.array("quat")), dim=-1, eps=1e-12)
            yield from case.row("normalised", unit, GIVEN)
            yield from case.row("axis_angle", iknet.quaternion_to_rotvec(unit), GIVEN)
            continue
        training = name.endswith("_train_mode")
        given = name.removesuffix("_train_mode")
        joints = torch.from_numpy(arrays[f"{given}/joints_m"])
        with torch.inference_mode():
            out = network(ref, "IKNet").train(training)(joints, stages=True)
        yield from case.stages(out, STAGE)
        yield from case.row("bone", out["bone"], GIVEN, relative=True)
        yield from case.row("joints_normalised", iknet.normalised(joints)[0], GIVEN, relative=True)
        yield from case.row("quat", out["pose_quat"], STAGE)
        yield from case.row("so3", out["pose_flat"], STAGE)


def unknown(ref):
    """Cases that nothing here knows."""
    known = {*NAMES, "IntegralHead", "RealNVP", "UVD_LOSS", "RLE_Loss", "I2L_Loss"}
    if not ref.has("networks.json"):
        yield Skip("networks", "the folder has no networks.json")
        return
    for name in ref.json("networks.json"):
        if name.split("/")[0] not in known:
            yield Skip(name, "no check knows this kind of case")


CHECKS = [integral, regression, lixel, integral_head, flow, losses, inverse_kinematics, unknown]
