"""The whole-body reference's cases: stand-in weights and bodies, pictures, stages with their statistics, losses."""

import functools

import numpy as np
import torch

from handlib import networks
from handlib.bodies import files, smplx
from handlib.bodies.mano import ManoLayer
from handlib.verify import Row, Skip, standin
from handlib.verify.reference import deviation

FLOOR, TIMES = 1e-4, 10  # tolerance: the larger of FLOOR and TIMES x the published run's own rounding
LOSS = 1e-5


@functools.cache
def body(name):
    """The stand-in layer: "smplx", "smpl" or "mano"; neutral, or right."""
    if name == "mano":
        return ManoLayer(files.model(standin.mano("right"), "stand-in", "mano"), "right")
    return smplx.BodyLayer(smplx.select(files.model(getattr(standin, name)("neutral"), "stand-in", name)))


def state(ref, keys, facts):
    """The published state dict of a case: stand-ins by name, with the case's adjustments."""
    weights = standin.weights(ref.json(keys)["keys"])
    for name, factor in facts["weight_scale"].items():
        weights[name] = weights[name] * np.float32(factor)
    for name, values in facts["weight_set"].items():
        weights[name] = np.array(values, np.float32)
    return {name: torch.from_numpy(np.asarray(value)) for name, value in weights.items()}


def network(ref, name, keys, facts, layer=None, **options):
    """The network of a case in eval mode."""
    net = networks._network_class(name)(layer, **options)
    networks.load_published(net, state(ref, keys, facts), "stand-ins")
    return net.eval()


def picture(facts):
    """The picture (B, 3, H, W) of a case: coarse squares and fine noise, tinted."""
    name, (batch, channels, height, width) = facts["image"], facts["image_shape"]
    coarse = standin.image(f"{name}:coarse", (batch, channels, height // 32, width // 32)).repeat(32, 2).repeat(32, 3)
    fine = standin.image(f"{name}:fine", (batch, channels, height, width))
    tint = standin.image(f"{name}:tint", (batch, channels, 1, 1))
    mixed = np.float32(0.7) * coarse + np.float32(0.3) * fine
    return torch.from_numpy(mixed * (np.float32(0.25) + np.float32(0.75) * tint))


def targets(ref, name):
    return {key: torch.from_numpy(value) for key, value in ref.npz(name).items()}


def stage_rows(case, out, facts, arrays):
    """Every stage of a case: the stored part, and mean, spread and sum of sizes of the whole."""
    for name, known in facts["stages"].items():
        bar = max(FLOOR, TIMES * known["float32_noise"])
        yield stage_row(case, name, out[name].detach().cpu().numpy(), known, arrays[name], bar)


def stage_row(case, name, value, known, stored, bar):
    if list(value.shape) != known["shape"]:
        return Row(case, f"{name}, shape {value.shape}", float("inf"), bar)
    steps = known.get("stored_every", [1] * value.ndim)
    off = deviation(value[tuple(slice(None, None, step) for step in steps)], stored)
    exact = value.astype(np.float64)
    ours = exact.mean(), exact.std(), np.abs(exact).sum() / exact.size
    theirs = known["mean"], known["std"], known["abs_sum"] / exact.size
    return Row(case, name, max(off, deviation(ours, theirs)), bar)


def loss_rows(case, elements, known):
    """Terms as means and of each sample, their shapes, and their sum."""
    noise = known.get("float32_noise", {})
    wrong = set(elements) ^ set(known["loss"])
    yield Row(case, "terms of the loss that differ", len(wrong), 0)
    for name, expected in known["loss"].items():
        value = elements[name].detach()
        shape_off = "shape" in known and list(value.shape) != known["shape"][name]
        ours = [value.mean(), *(value.flatten(1).mean(1) if "per_sample" in known else ())]
        theirs = [expected, *known.get("per_sample", {}).get(name, ())]
        off = float("inf") if shape_off else deviation([float(x) for x in ours], theirs)
        yield Row(case, f"loss {name}", off, max(LOSS, TIMES * noise.get(name, 0)))
    total = sum(float(value.detach().double().mean()) for value in elements.values())
    yield Row(case, "loss total", abs(total - known["total"]), LOSS * max(1, abs(known["total"])))


def gradient_rows(case, net, total, known, noise, modules):
    """Norms of the gradient over sub-networks, relative, and the first numbers of single ones.

    modules: {their name: what its published names begin with}. noise: relative rounding of the published norms.
    """
    net.zero_grad()
    total.backward()
    published = {f"module.{net.keys.published(name)}": p.grad for name, p in net.named_parameters() if p.requires_grad}
    for name, norm in norms(published, {name: modules.get(name, name) for name in known["grad_norm"]}).items():
        off = abs(norm / known["grad_norm"][name] - 1)
        yield Row(case, f"gradient of {name}, relative", off, max(FLOOR, TIMES * noise.get(name, 0)))
    for name, expected in known["grad"].items():
        ours = published[name].flatten()[: len(expected)].numpy()
        yield Row(case, f"gradient of {name.removeprefix('module.')}", deviation(ours, expected), FLOOR)


def norms(gradients, parts):
    """{part: L2 norm} of {published name: gradient or None}; parts: {part: what its names begin with}."""
    found = {}
    for part, begin in parts.items():
        squares = [g.double().square().sum() for name, g in gradients.items()
                   if name.startswith(f"module.{begin}.") and g is not None]  # fmt: skip
        found[part] = float(torch.stack(squares).sum().sqrt())
    return found


def key_rows(ref, keys, net):
    """The published names: all are ours and ours are all; every tensor comes back as it went in."""
    listed = ref.json(keys)["keys"]
    given = {name: torch.from_numpy(np.asarray(value)) for name, value in standin.weights(listed).items()}
    networks.load_published(net, given, "stand-ins")
    theirs = {f"module.{net.keys.published(name)}": value for name, value in net.state_dict().items()}
    names = {name: (tuple(shape), f"torch.{dtype}") for name, shape, dtype in listed}
    ours = {name: (tuple(value.shape), str(value.dtype)) for name, value in theirs.items()}
    case = keys.rpartition("/")[2].removesuffix(".json")
    wrong = len(set(names.items()) ^ set(ours.items()))
    yield Row(case, f"names, shapes, types, wrong of {len(listed)}", wrong, 0)
    changed = [name for name, value in given.items() if name in theirs and not torch.equal(theirs[name], value)]
    yield Row(case, "tensors that came back changed", len(changed), 0)
    found = [name for name in networks.names() if networks._network_class(name).recognises(given)]
    yield Row(case, "recognised as " + " ".join(found or ["nothing"]), float(found != [net.name]), 0)


def cases(ref, folder, begin=""):
    """(name, facts) of every case_*.json in a folder."""
    for path in sorted((ref.folder / folder).glob(f"case_{begin}*.json")):
        yield path.stem.removeprefix("case_"), ref.json(f"{folder}/{path.name}")


def missing(ref, folder):
    """A Skip where the folder holds no case."""
    if not any(True for _ in (ref.folder / folder).glob("case_*.json")):
        yield Skip(folder, f"the folder has no {folder}/case_*.json")
