"""What a run reads, noted where it is read: so a sweep knows when a run that is done has to be repeated.

Outside a sweep nothing is noted. Inside, `VARIABLE` names a file of JSON lines; ``packs.open``, ``datasets.read``,
``networks.load``, ``bodies.load`` and the recipes add what they read, with its identity at that time:

========  =================================================================================
pack      the hash of its manifest, which holds the hash of every file
file      SHA-256 of its bytes; of a folder that ``networks.save`` wrote, of its two files
tree      names, sizes and modification times of all files below (a data set's; body models)
========  =================================================================================

What is not there is noted, too, as None.
"""

import functools
import hashlib
import json
import os
from pathlib import Path

from handlib.files import InputError, read_json, sha256

VARIABLE = "HANDLIB_INPUTS"
CHECKPOINT = ("network.json", "weights.safetensors")
_noted = set()


def note(kind, path):
    """Note that this process reads ``path``, unless the run itself wrote it or it was noted before."""
    file = os.environ.get(VARIABLE)
    if not file or path is None:
        return
    path = Path(os.path.abspath(path))
    if (file, kind, path) in _noted or path.is_relative_to(Path(file).parent):
        return
    _noted.add((file, kind, path))
    line = json.dumps({"kind": kind, "path": str(path), "identity": identity(kind, path)})
    with open(file, "a", encoding="utf-8") as notes:  # one write of one line: processes may note at the same time
        notes.write(line + "\n")


def noted(file):
    """The entries of a file of notes, each input once; [] where nothing was noted."""
    if not Path(file).exists():
        return []
    entries = {}
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
            entries.setdefault((entry["kind"], entry["path"]), entry)
        except (ValueError, KeyError, TypeError):  # the last line of a killed process
            continue
    return list(entries.values())


def changed(entries, seen=None):
    """The paths of the inputs that are not now what they were when they were noted.

    seen: a dict that keeps what was found out from one call to the next, where many runs have read the same.
    """
    seen = {} if seen is None else seen
    for kind, path in ((entry["kind"], entry["path"]) for entry in entries):
        if (kind, path) not in seen:
            seen[kind, path] = identity(kind, path)
    return [entry["path"] for entry in entries if seen[entry["kind"], entry["path"]] != entry["identity"]]


def identity(kind, path):
    """What tells one content of an input from another; None where there is nothing that can be read."""
    path = Path(path)
    try:
        if kind == "pack":
            from handlib.packs import layout

            return layout.read_manifest(path)["hash"]
        if kind == "tree":
            return _tree(path)
        if path.is_dir():
            return " ".join(_file(path / name) for name in CHECKPOINT)
        return _file(path)
    except (OSError, InputError):
        return None


def kind_of(path):
    """How to tell whether what lies at a path that the user named has changed: "pack", "file" or "tree"."""
    path = Path(path)
    if (path / "manifest.json").is_file():
        return "pack"
    return "tree" if path.is_dir() and not all((path / name).is_file() for name in CHECKPOINT) else "file"


def _file(path):
    found = os.stat(path)
    return _file_once(str(path), found.st_size, found.st_mtime_ns)


@functools.lru_cache(4096)
def _file_once(path, size, modified):
    return sha256(path)


def _tree(root):
    if root.is_file():
        return _file(root)
    if not root.is_dir():
        return None
    digest, waiting = hashlib.sha256(), [str(root)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir():
                    waiting.append(entry.path)
                    continue
                found = entry.stat()
                line = f"{os.path.relpath(entry.path, root)}\0{found.st_size}\0{found.st_mtime_ns}\0"
                digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@functools.cache
def code_hash():
    """SHA-256 of handlib's files (code, recipes, data), by their paths inside the package; hexadecimal."""
    root, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
            digest.update(bytes.fromhex(sha256(path)))
    return digest.hexdigest()


def notebook_hash(notebook):
    """SHA-256 of a notebook's code cells and their tags: opening, running and saving it in Jupyter changes nothing."""
    cells = read_json(notebook).get("cells", [])
    code = [
        ("".join(cell["source"]), sorted(cell.get("metadata", {}).get("tags", [])))
        for cell in cells
        if cell.get("cell_type") == "code"
    ]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()
