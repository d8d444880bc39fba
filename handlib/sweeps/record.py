"""The record in a run's folder: what decided its result, and how it ended.

A run is done when its record says so and nothing that decided it has changed: the parameters, the notebook's code
cells, handlib's own files, everything that it read (`handlib.inputs`) and the receipt that it left.
"""

import json
import shutil
from pathlib import Path

from handlib import inputs, runs
from handlib.files import InputError, read_json, sha256, write_json

FILE, NOTES = "run.json", "inputs.jsonl"
RECEIPT = "receipt.json"
PREVIOUS = ".before"  # behind the folder's name: a result that is being made anew, kept until the new one is there
DONE, FAILED, BEGUN, WAITING = "done", "failed", "begun", "waiting"


def identity(notebook_hash, parameters):
    """What decides a run before it reads anything; paths in the project relative to its root, so that it may move."""
    return {
        "parameters": {name: _placeless(value) for name, value in parameters.items() if name != "out"},
        "notebook": notebook_hash,
        "code": inputs.code_hash(),
    }


def _placeless(value):
    root = str(runs.project_root())
    return value[len(root) + 1 :] if isinstance(value, str) and value.startswith(root + "/") else value


def note_named(parameters):
    """Note the files and folders that parameters name by a path as inputs (the data root and the run folder aside)."""
    for name, value in parameters.items():
        if name not in ("data", "out") and isinstance(value, str) and ("/" in value or Path(value).suffix):
            path = runs.from_root(value)
            if path.exists():
                inputs.note(inputs.kind_of(path), path)


def read(folder):
    """The record in a run folder; {} where there is none that can be read."""
    try:
        found = read_json(folder / FILE)
        return found if isinstance(found, dict) else {}
    except (InputError, OSError):
        return {}


def same(found, now, seen=None):
    """Whether a record belongs to a run of this identity, and what that read so far is still what it was."""
    unchanged = all(found.get(key) == json.loads(json.dumps(value)) for key, value in now.items())
    return unchanged and not inputs.changed(found.get("inputs", []), seen)


def done(folder, now, seen=None):
    """Whether the run in ``folder`` is done and needs no repeating; now: its `identity`; seen: see `inputs.changed`."""
    found = read(folder)
    receipt = folder / RECEIPT
    left = sha256(receipt) if receipt.is_file() else None
    return found.get("state") == DONE and found.get("receipt") == left and same(found, now, seen)


def begin(folder, now, facts):
    """Ready a run's folder: one that was cut off or failed goes on where it was; the result of another identity is put
    aside, unfinished work of another identity goes. Returns the record, which is written.
    """
    found = read(folder)
    notes = inputs.noted(folder / NOTES)
    going_on = found.get("state") in (BEGUN, FAILED) and same(found | {"inputs": notes}, now)
    if folder.is_dir() and any(folder.iterdir()) and not going_on:
        if not found:
            raise InputError(folder, "holds something that is no run of a sweep", "move it away")
        aside = folder.with_name(folder.name + PREVIOUS)
        if found["state"] == DONE:
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        else:
            shutil.rmtree(folder)
    return write(folder, now | facts | {"state": BEGUN, "inputs": notes if going_on else []})


def end(folder, found, **facts):
    """Note how a run ended; returns the record. A result put aside goes when there is a new one."""
    receipt = folder / RECEIPT
    facts |= {"receipt": sha256(receipt) if receipt.is_file() else None, "inputs": inputs.noted(folder / NOTES)}
    found = write(folder, found | facts)
    if found["state"] == DONE:
        shutil.rmtree(folder.with_name(folder.name + PREVIOUS), ignore_errors=True)
    return found


def write(folder, found):
    write_json(folder / FILE, found)
    return found
