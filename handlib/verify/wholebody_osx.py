"""OSX against the published program, both sizes and all three decoder settings: names, every stage, losses, gradients;
its deformable attention and sine code on their own; the files of the pre-trained encoders.
"""

import functools
import gc
import re
import tempfile
from pathlib import Path

import numpy as np
import torch

from handlib import networks
from handlib.networks.blocks import deformable
from handlib.verify import Row, Skip, standin, wholebody_cases, wholebody_kinks
from handlib.verify.reference import deviation

FOLDER, TOOLS = "osx", "tools.json"
BUFFERS = (".running_mean", ".running_var", ".num_batches_tracked", ".mask")
UNIT = 1e-5


def cases(ref):
    """One network at a time: its names, every stage, then losses and gradients where there are targets."""
    yield from wholebody_cases.missing(ref, FOLDER)
    for case, facts in wholebody_cases.cases(ref, FOLDER):
        yield from _case(ref, case, facts)
        gc.collect()


def _case(ref, case, facts):
    size, decoder = facts["model"].split()
    keys = f"{FOLDER}/keys_{size}_{decoder}.json"
    given = wholebody_cases.state(ref, keys, facts)
    net = networks._network_class(size)(wholebody_cases.body("smplx"), decoder=decoder).eval()
    networks.load_published(net, given, "stand-ins")
    yield from _names(ref, keys, net, given)
    del given
    images, arrays = wholebody_cases.picture(facts), ref.npz(f"{FOLDER}/case_{case}.npz")
    with torch.inference_mode():
        out = net(images, stages=True)
    yield from wholebody_cases.stage_rows(case, out, facts, arrays)
    targets = f"{FOLDER}/targets_{facts['image'].removeprefix('osx-')}.npz"
    if "training" in facts and ref.has(targets):
        reach = ref.json(TOOLS)["osx_training"]["loss_weight_reach"]
        yield from _training(case, net, images, wholebody_cases.targets(ref, targets), facts, arrays, reach)
    yield from _older_names(ref, keys, net)


def _training(case, net, images, given, facts, arrays, reach):
    """The stages again as they are made where there is a gradient; the published training, and the one on AGORA."""
    known = {case: facts["training"], f"{case}, AGORA only": facts["training_agora_benchmark"]}
    totals, rows, terms = {}, [], []
    for agora, label in enumerate(known):
        totals[label] = functools.partial(_total, net, given=given, agora=bool(agora))
        _set_up(net, bool(agora))
        out = net(images, stages=not agora)
        if not agora:
            yield from wholebody_cases.stage_rows(f"{case}, with gradient", out, facts, arrays)
        elements = net.elements(out, given)
        yield from wholebody_cases.loss_rows(label, elements, known[label])
        terms.append({name: float(value.detach().mean()) for name, value in elements.items()})
        total = sum(value.mean() for value in elements.values())
        rows += wholebody_cases.gradient_rows(label, net, total, known[label], {}, {})
        net.zero_grad(set_to_none=True)
        del out, elements, total
    yield _reached(case, net, *terms, reach)
    yield from wholebody_kinks.settled(rows, net, images, totals, known)


def _reached(case, net, plain, weighted, reach):
    """Which terms ``smplx_loss_weight`` multiplies; reach: {decoder settings in words: the terms in words}."""
    (words,) = (words for decoders, words in reach.items() if net.decoder in decoders.split(" and "))
    known = {name for name in plain if re.search(rf"\b{name}\b", words)}
    ours = {name for name, value in plain.items() if abs(weighted[name] - value) > UNIT * abs(value)}
    return Row(case, "terms that the weight reaches, wrong", len(known ^ ours), 0)


def _set_up(net, agora):
    net.camera_only, net.smplx_loss_weight = agora, 2.0 if agora else 1.0


def _total(net, images, given, agora):
    _set_up(net, agora)
    return sum(value.mean() for value in net.elements(net(images), given).values())


def _names(ref, keys, net, given):
    """All published names are ours or left out, all of ours are published; what is left out is known to be unused."""
    case, listed = keys.rpartition("/")[2].removesuffix(".json"), ref.json(keys)["keys"]
    theirs = {f"module.{net.keys.published(name)}": value for name, value in net.state_dict().items()}
    ours = {(name, tuple(value.shape), str(value.dtype)) for name, value in theirs.items()}
    shapes = {name: shape for name, shape, _ in listed}
    published = {(name, tuple(shape), f"torch.{kind}") for name, shape, kind in listed if name not in set(net.left_out)}
    yield Row(case, f"names, shapes, types, wrong of {len(published)}", len(published ^ ours), 0)
    changed = [name for name, value in theirs.items() if not torch.equal(given[name], value)]
    yield Row(case, "tensors that came back changed", len(changed), 0)
    unused = ref.json(f"{FOLDER}/unused_{net.decoder}.json")
    parameters = [name for name in net.left_out if not name.endswith(BUFFERS)]
    prefixes = tuple(unused["parameters_never_reached_by_the_loss"]) or ("-",)
    wrong = {name for name in shapes if name.startswith(prefixes)} ^ set(net.left_out)
    yield Row(case, "names left out, wrong", len(wrong), 0)
    counts = len(parameters), sum(int(np.prod(shapes[name])) for name in parameters)
    off = deviation(counts, (unused["count"], unused["numbers"]))
    yield Row(case, f"parameters and numbers left out {counts}", off, 0)
    yield from _recognised(case, net, given)


def _recognised(case, net, given):
    found = [name for name in networks.names() if networks._network_class(name).recognises(given)]
    yield Row(case, "recognised as " + " ".join(found or ["nothing"]), float(found != [net.name]), 0)
    decoder = type(net).options(given)["decoder"]
    yield Row(case, f"decoder told from the names: {decoder}", float(decoder != net.decoder), 0)


def _older_names(ref, keys, net):
    """The file with the older names of released ones fills the same network with the same numbers."""
    given = {}
    for number, (name, shape, kind) in enumerate(ref.json(keys)["keys"]):
        for old, new in older(ref):
            name = name.replace(new, old)
        given[name] = _constant(number, shape, kind)
    case = f"{keys.rpartition('/')[2].removesuffix('.json')}, older names"
    networks.load_published(net, given, "stand-ins")
    numbers = {name: number for number, (name, _, _) in enumerate(ref.json(keys)["keys"])}
    wrong = [
        name
        for name, value in net.state_dict().items()
        if not bool((value == _constant(numbers[f"module.{net.keys.published(name)}"], (), "float32")).all())
    ]
    yield Row(case, "tensors of other numbers", len(wrong), 0)
    yield from _recognised(case, net, given)


def older(ref):
    """[(older, newer)] parts of names, as released files may call them."""
    return ref.json(TOOLS)["osx_released_checkpoints"]["renames_on_loading"]


def _constant(number, shape, kind):
    """A tensor of one number that takes no room."""
    return torch.tensor(number, dtype=getattr(torch, kind)).expand(tuple(shape))


def encoders(ref):
    """Files of the pre-trained encoders fill the whole encoder but its task tokens, and nothing else."""
    for size in ("osx_b", "osx_l"):
        name = f"{FOLDER}/keys_encoder_pretrained_{size}.json"
        if not ref.has(name):
            yield Skip(size, f"there is no {name}")
            continue
        listed = ref.json(name)["keys"]
        state = {name: _constant(number, shape, kind) for number, (name, shape, kind) in enumerate(listed)}
        net = networks._network_class(size)(wholebody_cases.body("smplx"), decoder="wo_decoder")
        before = {name: value.clone() for name, value in net.state_dict().items()}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "encoder.pth"
            torch.save({"state_dict": state}, file)
            dropped = networks.load_backbone(net, file)
        filled = {name.replace("backbone.", "encoder."): value for name, value in state.items() if "backbone." in name}
        wrong = [
            name
            for name, value in net.state_dict().items()
            if not bool((value == filled.get(name, before[name])).all())
        ]
        yield Row(size, f"encoder's tensors, wrong of {len(filled)}", len(wrong) + len(set(filled) - set(before)), 0)
        yield Row(
            size, "names dropped, wrong", len({name for name in state if "backbone." not in name} ^ {*dropped}), 0
        )
        del net, before
        gc.collect()


def operations(ref):
    """The deformable attention whose values are projected last, and the sine code."""
    name = "primitives/primitives_osx.npz"
    if not ref.has(name):
        yield Skip("primitives", f"there is no {name}")
        return
    stored = {key: torch.from_numpy(value) for key, value in ref.npz(name).items()}
    query, codes, value = (stored[f"deform_{key}"].transpose(0, 1) for key in ("query", "query_pos", "value"))
    attention, places = _attention(), stored["deform_reference_points"]
    sizes = [(6, 4), (3, 2), (2, 1)]
    for label, learning in (("", False), (", with gradient", True)):
        with torch.set_grad_enabled(learning):
            found = attention(query + codes, value, places, sizes) + query
        off = deviation(found.detach().transpose(0, 1), stored["deform_out"])
        yield Row("osx", f"deformable attention{label}", off, UNIT)
    yield Row("osx", "sine code", deviation(deformable.sine_code(8, 6)[::4], stored["sine_position_8x6"]), UNIT)


def _attention():
    attention = deformable.DeformableAttention(levels=3).eval()
    names = {"offsets": "sampling_offsets", "weights": "attention_weights", "output": "output_proj"}
    theirs = {
        f"{our}.{kind}": f"post_value.{their}.{kind}" for our, their in names.items() for kind in ("weight", "bias")
    }
    theirs |= {f"value_{kind}": f"post_value.value_proj_{kind}.weight" for kind in ("weight", "bias")}
    shapes = {name: list(value.shape) for name, value in attention.state_dict().items()}
    weights = standin.weights([[theirs[name], shape, "float32"] for name, shape in shapes.items()])
    attention.load_state_dict({name: torch.from_numpy(weights[theirs[name]]) for name in shapes})
    return attention


CHECKS = [operations, encoders, cases]
