"""DIGIT and InterNet against the published implementations: stages, outputs, losses, gradients, train mode, decoding.

Weights and pictures are the seeded stand-ins; the JSON files say which cases there are and how their weights are
conditioned. Tolerances are those of the reference's README.
"""

import functools
import re

import numpy as np
import torch

from handlib import geometry, networks
from handlib.networks import digit, internet
from handlib.networks.blocks import heads
from handlib.verify import Row, Skip, reference, standin
from handlib.verify.reference import deviation, image, parse_slice

STAGE = 1e-3  # of the tensor's standard deviation
COORDINATE, OUTPUT = 5e-3, 5e-4
LOSS, TRAIN_LOSS, GRADIENT = 2e-4, 1e-2, 1e-2  # relative
FLOAT64 = 1e-6
MILLIMETRE = 1e-3
CHECKSUM = 1e-6  # relative: our arithmetic of the recipes, in float64
DIGIT_HEADS = {"conv_hm": "conv_hm", "conv_depth": "conv_depth", "root_fc.2": "root_fc", "hand_fc.2": "hand_fc"}


# Weights


def conditioned(name, array, constants):
    """One stand-in weight changed as the README's "Conditioning" says; ``constants`` are the JSON's."""
    value = array.astype(np.float64)
    if value.ndim > 1:
        value = constants["gain"] * (value - value.mean(tuple(range(1, value.ndim)), keepdims=True))
        for part, constant in DIGIT_HEADS.items():
            if name.endswith(f".{part}.weight") and constant in constants:
                value *= constants[constant]
    elif "fuse" in constants:  # DIGIT
        if ".fuse_layers." in name and name.endswith(".weight"):
            value *= constants["fuse"]
        if ".branches." in name and name.endswith(".bn2.weight"):
            value *= constants["res"]
    elif name.endswith(".bn3.weight"):
        value *= constants["res"]
    return value.astype(array.dtype)


@functools.lru_cache(maxsize=1)
def stand_ins(path):
    return standin.weights(reference.load_keys(path))


class Networks:
    """Networks of one kind with stand-in weights; plain or conditioned, float32 or float64. The last one is kept."""

    def __init__(self, ref, name, constants):
        self.name, self.constants, self.keys = name, constants, ref.path(f"keys_{name}.json")
        self.get = functools.lru_cache(maxsize=1)(self._get)

    def weights(self, plain=False):
        weights = stand_ins(self.keys)
        return weights if plain else {name: conditioned(name, array, self.constants) for name, array in weights.items()}

    def _get(self, plain=False, double=False):
        net = networks.create(self.name).eval()
        networks.load_published(net, {name: torch.from_numpy(array) for name, array in self.weights(plain).items()})
        return net.double() if double else net


def digit_networks(ref):
    return Networks(ref, "digit", ref.json("digit_forward.json")["conditioning"])


def digit_cases(ref, has):
    """(name, facts) of the JSON's cases that have an entry ``has``."""
    return [(name, facts) for name, facts in ref.json("digit_forward.json")["cases"].items() if has in facts]


def digit_weights(ref):
    """The conditioned weights have the recorded sums, and every case is of a kind that is checked here."""
    facts = ref.json("digit_forward.json")
    weights = digit_networks(ref).weights()
    for name, sums in facts["weight_checksums"].items():
        array = weights[name].astype(np.float64)
        off = max(abs(array.sum() - sums["sum"]), abs(np.abs(array).sum() - sums["abs_sum"]))
        yield Row("digit weights", name.removeprefix("model.pose_reg."), off / sums["abs_sum"], CHECKSUM)
    for name, case in facts["cases"].items():
        if not {"outputs", "losses_mean", "hm"} & set(case):
            yield Skip(f"digit {name}", f"no check knows this kind of case (it has {', '.join(case)})")


# Comparisons


def picture(label, facts):
    """The case's picture, and a Row that it is the one that was used."""
    values = image(facts["image"])
    off = deviation(values.shape, facts.get("input", {}).get("shape", values.shape))
    if "input" in facts:
        off = max(off, abs(values.astype(np.float64).sum() / facts["input"]["sum"] - 1))
    return torch.from_numpy(values), Row(label, "picture", off, CHECKSUM)


def statistics(label, name, tensor, facts, tolerance):
    """Shape, mean, mean magnitude and standard deviation of the whole tensor."""
    values = tensor.detach().double().numpy()
    if list(values.shape) != facts["shape"]:
        return Row(label, f"{name} shape {values.shape}", float("inf"), 0.0)
    ours = values.mean(), np.abs(values).mean(), values.std()
    theirs = facts["mean"], facts["abs_sum"] / values.size, facts["std"]
    return Row(label, f"{name} statistics", deviation(ours, theirs), tolerance)


def stage_rows(label, out, stages, arrays, prefix):
    for name, facts in stages.items():
        tolerance = STAGE * facts["std"]
        yield statistics(label, name, out[name], facts, tolerance)
        if prefix + name in arrays:
            stored = out[name].detach().numpy()[parse_slice(facts["stored"])]
            yield Row(label, name, deviation(stored, arrays[prefix + name]), tolerance)


def output_tolerance(name):
    return COORDINATE if name in ("joint_xy", "zval") else OUTPUT


def relative(value, expected):
    """|value - expected| / |expected|; the plain difference where zero is expected."""
    value = float(value.detach() if isinstance(value, torch.Tensor) else value)
    return abs(value - expected) / (abs(expected) or 1.0)


# DIGIT


def digit_forward(ref):
    """Stages and outputs in float32, outputs in float64, of every case that has outputs."""
    nets, arrays = digit_networks(ref), ref.npz("digit_forward.npz")
    for name, facts in digit_cases(ref, "outputs"):
        label, plain = f"digit {name}", "plain" in facts.get("weights", "")
        images, row = picture(label, facts)
        yield row
        with torch.inference_mode():
            out = nets.get(plain)(images, stages=True)
        yield from stage_rows(label, out, facts.get("stages", {}), arrays, f"{name}/")
        for key, known in facts["outputs"].items():
            if f"{name}/{key}" in arrays:
                yield Row(label, key, deviation(out[key], arrays[f"{name}/{key}"]), output_tolerance(key))
            else:
                yield statistics(label, key, out[key], known, output_tolerance(key))
        if "segm_logits" in facts:
            yield statistics(
                label, "segm_logits", out["segm_logits"], facts["segm_logits"], STAGE * facts["segm_logits"]["std"]
            )
        if f"{name}/segm_mask" in arrays:
            differ = (out["segm_logits"].argmax(1).numpy() != arrays[f"{name}/segm_mask"]).sum()
            yield Row(
                label,
                "segm_mask, pixels that differ",
                int(differ),
                facts["segm_mask"]["pixels_with_top2_gap_below_1e_3"],
            )
        yield from float64_rows(nets, f"{name}_float64/", arrays, images, plain, label)


def float64_rows(nets, prefix, arrays, images, plain, label):
    expected = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    if expected:
        with torch.inference_mode():
            out = nets.get(plain, True)(images.double())
        for key, value in expected.items():
            yield Row(f"{label} float64", key, deviation(out[key], value), FLOAT64)


def digit_losses(ref):
    """Loss terms, gradient norms and running statistics of every case that has losses, in float32."""
    nets, arrays = digit_networks(ref), ref.npz("digit_forward.npz")
    for name, facts in digit_cases(ref, "losses_mean"):
        yield from _digit_loss(nets, name, facts, facts, arrays, double=False)


def digit_losses_float64(ref):
    """Loss terms and gradient norms in float64."""
    nets, arrays = digit_networks(ref), ref.npz("digit_forward.npz")
    for name, facts in digit_cases(ref, "losses_mean"):
        if "float64" in facts:
            yield from _digit_loss(nets, name, facts, facts["float64"], arrays, double=True)


def _digit_loss(nets, name, facts, known, arrays, double):
    training = facts["mode"].startswith("train")
    label = f"digit {name}" + " float64" * double
    images, row = picture(label, facts)
    yield row
    net = nets.get(False, double).train(training)
    targets = {
        key.split("/")[1]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith(f"{name}/")
    }
    out = net(images.double() if double else images)
    terms = net.loss(out, targets)
    terms["total"].backward()
    tolerance = FLOAT64 if double else TRAIN_LOSS if training else LOSS
    for key, value in (known["losses_mean"] | {"total": known["total"]}).items():
        yield Row(label, key, relative(terms[key], value), tolerance)
    yield from gradient_rows(net, known["gradients"], label, FLOAT64 if double else GRADIENT)
    if not double:
        yield from sample_rows(net, out, targets, facts, label, tolerance)
        yield from running_rows(net, facts, label)
        yield from camera_rows(name, out, targets, arrays, label)
    nets.get.cache_clear()  # its gradients and running statistics are used up


def gradient_rows(net, known, label, tolerance):
    norms = {name: value.grad.norm() for name, value in net.named_parameters() if value.grad is not None}
    total = torch.stack(list(norms.values())).norm()
    yield Row(label, "gradient of all, norm", relative(total, known["total_norm"]), tolerance)
    for name, value in known["norms"].items():
        yield Row(
            label, f"gradient {name.removeprefix('pose_reg.')}", relative(norms[net.keys.ours(name)], value), tolerance
        )
    if "without_grad" in known:
        without = {net.keys.published(name) for name, _ in net.named_parameters() if name not in norms}
        yield Row(label, "parameters without gradient", len(without ^ set(known["without_grad"])), 0)


def sample_rows(net, out, targets, facts, label, tolerance):
    """The published terms before averaging, where they have one value per sample; and those of its test mode."""
    for key, values in facts.get("losses_as_returned", {}).items():
        values = np.ravel(values)
        if len(values) != len(out["joint_coord"]):
            continue
        for i, value in enumerate(values):
            one = ({name: tensor[i : i + 1].detach() for name, tensor in group.items()} for group in (out, targets))
            yield Row(label, f"{key} of sample {i}", relative(net.loss(*one)[key], value), tolerance)
    terms = net.loss(out, targets) if "test_mode_losses" in facts else {}
    for key, value in facts.get("test_mode_losses", {}).items():
        yield Row(
            label, f"{key} in test mode", relative(terms["total" if key == "total_loss" else key], value), tolerance
        )


def running_rows(net, facts, label):
    state = net.state_dict()
    for name, known in facts.get("running_stats_after_one_forward", {}).items():
        values = state[net.keys.ours(name)].double().numpy()
        off = deviation(values[:4], known["first4"])
        yield Row(
            label, name.removeprefix("pose_reg."), max(off, abs(values.sum() - known["sum"]) / values.size), OUTPUT
        )
    if "num_batches_tracked_after" in facts:
        counts = [int(value) for name, value in state.items() if name.endswith("num_batches_tracked")]
        yield Row(
            label, "num_batches_tracked", deviation(counts, [facts["num_batches_tracked_after"]] * len(counts)), 0
        )


def camera_rows(name, out, targets, arrays, label):
    """The case's 2.5D prediction, and prediction and truth in the camera's frame."""
    if f"{name}/out_joint_coord" not in arrays:
        return
    predicted = arrays[f"{name}/out_joint_coord"]
    yield Row(label, "out_joint_coord", deviation(out["joint_coord"].detach(), predicted), COORDINATE)
    for key, coord in {"out_pred_cam": torch.from_numpy(predicted), "out_gt_cam": targets["joint_coord"]}.items():
        yield Row(label, f"{key}, mm", deviation(lift_mm(coord, targets), arrays[f"{name}/{key}"]), MILLIMETRE)


def lift_mm(coord, camera):
    """2.5D -> camera frame in millimetres; ``camera``: the reference's arrays as tensors."""
    depth = torch.stack([camera["abs_depth_right"], camera["abs_depth_left"]], 1).double() / 1000
    K = torch.diag_embed(torch.cat([camera["focal"], torch.ones_like(camera["focal"][:, :1])], 1))
    K[:, :2, 2] = camera["princpt"]
    return geometry.lift_25d(coord.double(), camera["inv_trans"].double(), depth, K, camera["flipped"]) * 1000


def digit_decode(ref):
    """Heat-map decoding on made-up maps with peaks in the corners."""
    arrays = ref.npz("digit_forward.npz")
    for name, facts in digit_cases(ref, "hm"):
        label = f"digit {name}"
        maps = decode_maps(facts)
        off = max(relative(value.astype(np.float64).sum(), facts[key]["sum"]) for key, value in maps.items())
        if off > CHECKSUM:
            yield Skip(label, "its maps are not those of the README's recipe, and the JSON names no other")
            continue
        heatmaps, depthmaps, root = (torch.from_numpy(maps[key]) for key in ("hm", "depth", "root"))
        out = digit.decode(heads.spatial_softmax(heatmaps), depthmaps, root)
        for key in ("joint_xy", "zval", "rel_root_depth"):
            yield Row(label, key, deviation(out[key], arrays[f"{name}/{key}"]), output_tolerance(key))


def decode_maps(facts):
    """The README's recipe; a case may name its stand-ins ("standin") where they are others."""
    stem = facts.get("standin", "digit/decode/main")
    draw = {key: standin.image(f"{stem}/{key}", tuple(facts[key]["shape"])) for key in ("hm", "depth", "root")}
    heatmaps = 16 * draw["hm"] - 8
    heatmaps[0, :2] = 0
    for joint, row, column in ((0, 10, 50), (1, 0, 0), (1, 63, 63)):
        heatmaps[0, joint, row, column] = 200
    return {"hm": heatmaps, "depth": 64 * draw["depth"], "root": 6 * draw["root"]}


def digit_convert(ref):
    """2.5D joints to the camera's frame, mirrored samples among them."""
    arrays = ref.npz("digit_forward.npz")
    for name in [key.removesuffix("/cam") for key in arrays if key.endswith("/cam")]:
        camera = {
            key.split("/")[1]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith(f"{name}/")
        }
        ours = lift_mm(camera["joint_coord"], camera)
        yield Row(f"digit {name}", "cam, mm", deviation(ours, camera["cam"]), MILLIMETRE)
        exchanged = torch.where(camera["flipped"][:, None, None], ours.roll(21, 1), ours)
        yield Row(f"digit {name}", "cam_unflipped, mm", deviation(exchanged, camera["cam_unflipped"]), MILLIMETRE)


# InterNet


def internet_network(ref):
    """Stages, outputs, losses and target volume of InterNet."""
    if not ref.has("internet_forward.json"):
        yield Skip("internet", "the folder has no internet_forward.json")
        return
    facts, arrays = ref.json("internet_forward.json"), ref.npz("internet_forward.npz")
    nets = Networks(ref, "internet", facts["conditioning"])
    images, row = picture("internet", facts)
    yield row
    with torch.inference_mode():
        out = nets.get()(images, stages=True)
    out["hand_type"] = out["hand_type_sigmoid"]
    yield from stage_rows("internet", out, facts["stages"], arrays, "")
    yield Row("internet", "joint_coord (argmax)", deviation(out["joint_coord"], arrays["joint_coord"]), 0)
    peak = STAGE * facts["stages"]["joint_heatmap3d"]["std"]
    yield Row(
        "internet", "peak_value", deviation(out["joint_heatmap3d"].flatten(2).amax(2), arrays["peak_value"]), peak
    )
    for key in ("rel_root_depth", "hand_type"):
        yield Row("internet", key, deviation(out[key], arrays[key]), OUTPUT)
    yield from _internet_losses(nets.get(), out, facts, arrays)
    with torch.inference_mode():
        double = nets.get(double=True)(images.double())
    yield Row(
        "internet float64",
        "rel_root_depth",
        deviation(double["rel_root_depth"], arrays["rel_root_depth_float64"]),
        FLOAT64,
    )
    yield Row(
        "internet float64", "hand_type", deviation(double["hand_type_sigmoid"], arrays["hand_type_float64"]), FLOAT64
    )


def _internet_losses(net, out, facts, arrays):
    targets = {key.split("/")[1]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith("loss/")}
    volume = internet.target_volume(targets["joint_coord"])
    known = facts["target_heatmap"]
    tolerance = STAGE * known["std"]
    yield statistics("internet loss", "target_heatmap", volume, known, tolerance)
    stored = volume.numpy()[parse_slice(known["stored"])]
    yield Row("internet loss", "target_heatmap", deviation(stored, arrays["loss/target_heatmap"]), tolerance)
    terms = net.loss(out, targets)
    for key, value in (facts["losses_mean"] | {"total": facts["total"]}).items():
        yield Row("internet loss", key, relative(terms[key], value), LOSS)
    x, y, z, at_z, at_y, at_x = map(float, re.findall(r"\d+(?:\.\d+)?", facts["gaussian"]))
    at = int(at_z), int(at_y), int(at_x)
    volume = internet.target_volume(torch.tensor([[[x, y, z]]]))[0, 0]
    for axis, line in {"x": volume[at[0], at[1]], "y": volume[at[0], :, at[2]], "z": volume[:, at[1], at[2]]}.items():
        yield Row("internet gaussian", f"{axis}_line", deviation(line, arrays[f"gaussian/{axis}_line"]), OUTPUT)


CHECKS = [
    digit_weights,
    digit_forward,
    digit_losses,
    digit_losses_float64,
    digit_decode,
    digit_convert,
    internet_network,
]
