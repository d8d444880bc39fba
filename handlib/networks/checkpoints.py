"""Weights in files: published PyTorch checkpoints, of which nothing is run, and our own safetensors folders."""

import safetensors
import safetensors.torch
import torch

import handlib
from handlib import files, inputs
from handlib.files import InputError, require_file, shown
from handlib.networks import torch_files

WEIGHTS, FACTS = "weights.safetensors", "network.json"
FORMAT = 1
COUNTER = ".num_batches_tracked"


def read(path):
    """A checkpoint -> (state dict, facts). Tensors are on the CPU.

    path: our folder (``save``), its safetensors file or any other, or a file of ``torch.save``: a state dict, or a
    dictionary that holds one under ``state_dict``, ``network`` or ``model``. ``facts`` is our folder's JSON, otherwise
    empty. InputError when the file is missing, damaged, holds something else, or names code that would run.
    """
    path = files.require(path, "give a checkpoint file, or a folder that networks.save wrote")
    inputs.note("file", path)
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".safetensors":
        facts = path.parent / FACTS
        return _read_folder(path.parent) if path.name == WEIGHTS and facts.exists() else (_read_safetensors(path), {})
    return _state_dict(torch_files.read(path), path), {}


def write_whole(content, path):
    """``torch.save`` by way of an open file: of a path PyTorch does not say why it could not be written."""
    with open(path, "wb") as file:
        torch.save(content, file)


def save(net, folder, facts):
    """Write weights.safetensors and network.json; the folder appears whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    with files.write_atomic(folder) as temporary:
        temporary.mkdir()
        safetensors.torch.save_file(state, temporary / WEIGHTS)
        known = {"format": FORMAT, "network": net.name, "handlib": handlib.__version__}
        known["sha256"] = files.sha256(temporary / WEIGHTS)
        files.write_json(temporary / FACTS, known | {"facts": dict(facts or {})})


def fill(net, state, ours, theirs, source):
    """Copy ``state`` into ``net``, all of it or nothing.

    ours, theirs: functions from the state's names to the module's (None: no such part) and back. Raises InputError that
    counts and names every missing, unexpected, repeated and misshapen entry.
    """
    expected, given = net.state_dict(), {}
    wrong = {"missing": [], "unexpected": [], "given twice": [], "of another shape": [], "of another kind": []}
    for name, value in state.items():
        our = ours(name)
        if our not in expected:
            wrong["unexpected"].append(name)
        elif our in given:
            wrong["given twice"].append(name)
        else:
            given[our] = value
            shape, want = tuple(value.shape) if hasattr(value, "shape") else value, tuple(expected[our].shape)
            if shape != want:
                wrong["of another shape"].append(f"{name} {shape} instead of {want}")
            elif not _alike(value, expected[our]):
                wrong["of another kind"].append(f"{name} {getattr(value, 'dtype', type(value).__name__)}")
    wrong["missing"] = [theirs(name) for name in expected if name not in given]
    if any(wrong.values()):
        found = "; ".join(f"{len(names)} {problem}: {', '.join(names)}" for problem, names in wrong.items() if names)
        known = f"does not fit {type(net).__name__} ({len(expected)} entries)"
        raise InputError(source, f"{known}: {found}", "give a checkpoint of exactly this network, not cut or edited")
    given = {name: torch.as_tensor(value) for name, value in given.items()}
    lost = [name for name, value in given.items() if _lost(value)]
    if lost:
        mend = "the training that wrote it was lost: give an earlier checkpoint"
        raise InputError(source, f"{len(lost)} entries hold NaN or infinity: {', '.join(lost)}", mend, field=lost[0])
    net.load_state_dict(given)


def _lost(value):
    return value.is_floating_point() and not value.is_meta and not value.float().isfinite().all()


def _alike(value, like):
    """Whether a value can stand where a tensor is expected: floating point of any precision, of counters any number."""
    try:
        value = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    plain = value.layout is torch.strided and not value.is_quantized
    return plain and not value.is_complex() and (value.is_floating_point() or not like.is_floating_point())


def load_backbone(module, file, unused=()):
    """Fill a backbone from an ImageNet file under the same names; returns the names that were dropped.

    Dropped are names whose first component ``module`` lacks, those that start with one of ``unused``, and batch norms'
    counters (num_batches_tracked) that it lacks; counters that an old file lacks stay as they are.
    """
    state, _ = read(file)
    parts = {name for name, _ in module.named_children()}
    counters = {name: value for name, value in module.state_dict().items() if name.endswith(COUNTER)}
    dropped = [
        name
        for name in state
        if name.split(".")[0] not in parts
        or name.startswith(unused)
        or (name.endswith(COUNTER) and name not in counters)
    ]
    kept = {name: value for name, value in state.items() if name not in set(dropped)}
    fill(module, counters | kept, str, str, file)
    return dropped


def _read_folder(folder):
    facts = files.read_json(folder / FACTS, "give a checkpoint file, or a folder that networks.save wrote")
    facts = facts if isinstance(facts, dict) else {}
    known = {"format": facts.get("format") == FORMAT, "network": isinstance(facts.get("network"), str)}
    known["facts"] = isinstance(facts.get("facts"), dict)
    for field in (field for field, right in known.items() if not right):
        problem = f"is {shown(facts.get(field))}, not what format {FORMAT} has there"
        raise InputError(folder / FACTS, problem, "read it with the handlib that wrote it", field=field)
    weights = require_file(folder / WEIGHTS, "copy the folder again, it is not whole")
    if files.sha256(weights) != facts.get("sha256"):
        raise InputError(
            weights, "is not the file that was written (its hash differs)", "copy the folder again, it is damaged"
        )
    return _read_safetensors(weights), facts


def _read_safetensors(path):
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # of its header it believes much
        raise InputError(
            path, f"is not a whole safetensors file ({error})"[:300], "copy or download it again"
        ) from error


def _state_dict(content, path):
    for key in ("state_dict", "network", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    known = content.items() if isinstance(content, dict) else ()
    if not any(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in known):
        found = f"it has {', '.join(str(name) for name, _ in known)}" if known else f"it is a {type(content).__name__}"
        mend = "give a file of named tensors, or one that holds them under 'state_dict', 'network' or 'model'"
        raise InputError(path, f"holds no weights ({found[:200]})", mend)
    empty = [name for name, value in known if isinstance(value, torch.Tensor) and value.is_meta]
    if empty:
        raise InputError(path, f"holds names without numbers ({empty[0]})", "give a checkpoint that was saved whole")
    return {str(name): value for name, value in known}
