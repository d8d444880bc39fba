"""Files for the benchmarks' servers: written, read back, and checked for what a server would reject.

``write(server, predictions, path)``, ``read(server, path)``, ``check(server, path)``; a server's options, arrays and
traps are in its module: `handlib.submissions.hands` (freihand, ho3d_v2, ho3d_v3), `dexycb`, `interhand`, `agora`.
"""

import importlib

from handlib.files import InputError
from handlib.submissions.problems import MISLEADING, NOTE, REJECTED, Problem

__all__ = ["MISLEADING", "NOTE", "REJECTED", "Problem", "check", "names", "read", "write"]

_MODULES = {
    "freihand": "hands",
    "ho3d_v2": "hands",
    "ho3d_v3": "hands",
    "dexycb": "dexycb",
    "interhand": "interhand",
    "agora_smplx": "agora",
    "agora_smpl": "agora",
}
_READ = {"hands": ("xyz", "verts"), "dexycb": ("id", "joint_3d")}  # names of the arrays that a module's read gives


def names():
    """The servers that `write`, `read` and `check` know."""
    return list(_MODULES)


def write(server, predictions, path, **options):
    """Write ``predictions`` as the server wants them; the file appears whole or not at all.

    predictions: what `handlib.protocols.evaluate` takes for this benchmark, or an iterable of batches of it in order;
    the modules name the arrays in the house's own order, axes and unit that are converted. Numbers read back equal.
    options: the module's ``write``. Raises InputError naming field and row of what no server takes, as NaN.
    """
    function, preset = _function(server, "write")
    return function(predictions, path, **preset, **options)


def read(server, path, **options):
    """A submission -> the predictions that `handlib.protocols.evaluate` takes; InputError where it cannot be read."""
    function, preset = _function(server, "read")
    found = function(path, **preset, **options)
    return dict(zip(_READ[_MODULES[server]], found, strict=True)) if isinstance(found, tuple) else found


def check(server, path, **options):
    """What is wrong with a submission -> list of `Problem`, empty when nothing is found.

    Each has a ``severity``: "rejected", the server, its evaluator or its template stops; "misleading", the file is
    taken and its figures will be wrong; "note", legal and good to know. It names the ``entry`` where there is one.
    options: the module's ``check``, such as ``truth`` and ``samples``. Raises InputError only for a wrong option.
    """
    function, preset = _function(server, "check")
    return function(path, **preset, **options)


def _function(server, name):
    if server not in _MODULES:
        raise InputError("submissions", f"there is no server '{server}'", f"name one of: {', '.join(_MODULES)}")
    module = importlib.import_module(f"handlib.submissions.{_MODULES[server]}")
    several = sum(other == _MODULES[server] for other in _MODULES.values()) > 1
    return getattr(module, name), {"server": server} if several else {}
