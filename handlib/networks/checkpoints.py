"""Weights in files: published PyTorch checkpoints, of which nothing is run, and our own safetensors folders."""

import pickle
import re
from collections import OrderedDict

import safetensors
import safetensors.torch
import torch

import handlib
from handlib import files, inputs
from handlib.files import InputError

WEIGHTS, FACTS = "weights.safetensors", "network.json"
FORMAT = 1
COUNTER = ".num_batches_tracked"

# What checkpoints of the supported methods hold beside their tensors; stand-ins take their places, nothing is imported.
_LIGHTNING = ("pytorch_lightning", "lightning.pytorch")
HARMLESS_DICTS = tuple(f"{package}.utilities.parsing.AttributeDict" for package in _LIGHTNING)
HARMLESS = (
    "argparse.Namespace",
    "pathlib.PosixPath",
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(f"{package}.callbacks.early_stopping.EarlyStopping" for package in _LIGHTNING),
    *(f"{package}.callbacks.model_checkpoint.ModelCheckpoint" for package in _LIGHTNING),
)


class _Inert:
    """Stands for an object that is not wanted: takes any arguments and any state, and keeps nothing."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass


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
    return _state_dict(_read_torch(path), path), {}


def read_whole(path):
    """All that a file of ``torch.save`` holds, tensors on the CPU; what `read` refuses is refused here too."""
    return _read_torch(files.require(path, "give a checkpoint file"))


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
    wrong = {"missing": [], "unexpected": [], "given twice": [], "of another shape": []}
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
    wrong["missing"] = [theirs(name) for name in expected if name not in given]
    if any(wrong.values()):
        found = "; ".join(f"{len(names)} {problem}: {', '.join(names)}" for problem, names in wrong.items() if names)
        known = f"does not fit {type(net).__name__} ({len(expected)} entries)"
        raise InputError(source, f"{known}: {found}", "give a checkpoint of exactly this network, not cut or edited")
    net.load_state_dict({name: torch.as_tensor(value) for name, value in given.items()})


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
    found = facts.get("format") if isinstance(facts, dict) else None
    if found != FORMAT:
        raise InputError(
            folder / FACTS, f"is {found!r}, not {FORMAT}", "read it with the handlib that wrote it", field="format"
        )
    weights = files.require(folder / WEIGHTS, "copy the folder again, it is not whole")
    if files.sha256(weights) != facts.get("sha256"):
        raise InputError(
            weights, "is not the file that was written (its hash differs)", "copy the folder again, it is damaged"
        )
    return _read_safetensors(weights), facts


def _read_safetensors(path):
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(path, f"is not a whole safetensors file ({error})", "copy or download it again") from error


def _read_torch(path):
    try:
        stand_ins = [(_Inert, name) for name in HARMLESS] + [(OrderedDict, name) for name in HARMLESS_DICTS]
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            path, f"is not a whole PyTorch file ({_first_line(error)})", "copy or download it again"
        ) from error


def _refused(path, error):
    """The names of what would have run, as far as PyTorch tells them."""
    try:
        blocked = set(torch.serialization.get_unsafe_globals_in_checkpoint(path)) - {*HARMLESS, *HARMLESS_DICTS}
    except (RuntimeError, ValueError, pickle.UnpicklingError):  # no zip file: only the first one is known
        blocked = set(re.findall(r"GLOBAL ([\w.]+)", str(error)))
    if not blocked:
        return InputError(path, f"is not a PyTorch file ({_first_line(error)})", "copy or download it again")
    mend = (
        "if you trust where it comes from, open it in a Python that has those modules and save only its tensors: "
        "torch.save({name: tensor for name, tensor in checkpoint['state_dict'].items()}, FILE)"
    )
    return InputError(
        path, f"names code that loading would run, and was not opened: {', '.join(sorted(blocked))}", mend
    )


def _first_line(error):
    """Of what went wrong; PyTorch puts advice before it that must not be followed."""
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    return (text.splitlines() or [type(error).__name__])[0]


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
    return {str(name): value for name, value in known}
