"""Weights in files: published PyTorch checkpoints, read without running anything in them, and our own safetensors folders."""

import json
import pickle
import re
from pathlib import Path

import safetensors
import safetensors.torch
import torch

import handlib
from handlib import files
from handlib.files import InputError

WEIGHTS, FACTS = "weights.safetensors", "network.json"
FORMAT = 1

# Classes that checkpoints of the supported methods hold beside their tensors. All of them become _Inert: nothing is imported.
HARMLESS = (
    "argparse.Namespace",
    "pathlib.PosixPath",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    *(
        f"{package}.{name}"
        for package in ("pytorch_lightning", "lightning.pytorch")
        for name in (
            "callbacks.early_stopping.EarlyStopping",
            "callbacks.model_checkpoint.ModelCheckpoint",
            "utilities.parsing.AttributeDict",
        )
    ),
)


class _Inert(dict):
    """Stands for an object that is not wanted: takes any arguments, items and state, and keeps nothing."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        super().__init__()

    def __setitem__(self, key, value):
        pass

    def __setstate__(self, state):
        pass


def read(path):
    """A checkpoint -> (state dict, facts). Tensors are on the CPU.

    path: our folder (``save``), its safetensors file or any other, or a file of ``torch.save``: a state dict, or a dictionary
    that holds one under ``state_dict`` or ``network``. ``facts`` is our folder's JSON, otherwise empty. InputError when the file
    is missing, damaged, holds something else, or names code that would run.
    """
    path = files.require(path, "give a checkpoint file, or a folder that networks.save wrote")
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".safetensors":
        facts = path.parent / FACTS
        return _read_folder(path.parent) if path.name == WEIGHTS and facts.exists() else (_read_safetensors(path), {})
    return _state_dict(_read_torch(path), path), {}


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

    ours, theirs: functions from the state's names to the module's (None: no such part) and back. Raises InputError that counts and
    names every missing, unexpected, repeated and misshapen entry.
    """
    expected, given = net.state_dict(), {}
    wrong = {"missing": [], "unexpected": [], "given twice": [], "of another shape": []}
    for name, value in state.items():
        our = ours(name)
        if our not in expected:
            wrong["unexpected"].append(name)
        elif our in given:
            wrong["given twice"].append(name)
        else:
            given[our] = torch.as_tensor(value)
            shape, want = tuple(given[our].shape), tuple(expected[our].shape)
            if shape != want:
                wrong["of another shape"].append(f"{name} {shape} instead of {want}")
    wrong["missing"] = [theirs(name) for name in expected if name not in given]
    if any(wrong.values()):
        found = "; ".join(f"{len(names)} {problem}: {', '.join(names)}" for problem, names in wrong.items() if names)
        known = f"does not fit {type(net).__name__} ({len(expected)} entries)"
        raise InputError(source, f"{known}: {found}", "give a checkpoint of exactly this network, not cut or edited")
    net.load_state_dict(given)


def load_backbone(module, file, unused=()):
    """Fill a backbone from an ImageNet file under the same names; returns the names that were dropped.

    Dropped are names whose first component ``module`` lacks, and those that start with one of ``unused``.
    """
    state, _ = read(file)
    parts = {name for name, _ in module.named_children()}
    dropped = [name for name in state if name.split(".")[0] not in parts or name.startswith(unused)]
    kept = {name: value for name, value in state.items() if name not in set(dropped)}
    fill(module, kept, str, str, file)
    return dropped


def _read_folder(folder):
    facts = files.read_json(folder / FACTS, "give a checkpoint file, or a folder that networks.save wrote")
    if facts.get("format") != FORMAT:
        found = facts.get("format")
        raise InputError(folder / FACTS, f"is {found!r}, not {FORMAT}", "read it with the handlib that wrote it", field="format")
    weights = files.require(folder / WEIGHTS, "copy the folder again, it is not whole")
    if files.sha256(weights) != facts.get("sha256"):
        raise InputError(weights, "is not the file that was written (its hash differs)", "copy the folder again, it is damaged")
    return _read_safetensors(weights), facts


def _read_safetensors(path):
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(path, f"is not a whole safetensors file ({error})", "copy or download it again") from error


def _read_torch(path):
    try:
        with torch.serialization.safe_globals([(_Inert, name) for name in HARMLESS]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise InputError(path, f"is not a whole PyTorch file ({_first_line(error)})", "copy or download it again") from error


def _refused(path, error):
    """The names of what would have run, as far as PyTorch tells them."""
    try:
        blocked = set(torch.serialization.get_unsafe_globals_in_checkpoint(path)) - set(HARMLESS)
    except (RuntimeError, ValueError, pickle.UnpicklingError):  # no zip file: only the first one is known
        blocked = set(re.findall(r"GLOBAL ([\w.]+)", str(error)))
    if not blocked:
        return InputError(path, f"is not a PyTorch file ({_first_line(error)})", "copy or download it again")
    mend = (
        "if you trust where it comes from, open it in a Python that has those modules and save only its tensors: "
        "torch.save({name: tensor for name, tensor in checkpoint['state_dict'].items()}, FILE)"
    )
    return InputError(path, f"names code that loading would run, and was not opened: {', '.join(sorted(blocked))}", mend)


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _state_dict(content, path):
    for key in ("state_dict", "network"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not any(isinstance(value, torch.Tensor) for value in content.values()):
        found = f"keys {', '.join(map(str, list(content)[:5]))}" if isinstance(content, dict) else type(content).__name__
        raise InputError(path, f"holds no state dict ({found})", "give a file with named tensors, or with 'state_dict' or 'network'")
    return content
