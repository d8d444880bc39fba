"""Files for the benchmarks' servers: written, read back, and checked for what a server would reject.

``write(server, predictions, path)``, ``read(server, path)``, ``check(server, path)``; a server's options, arrays and
traps are in its module: `handlib.submissions.hands` (freihand, ho3d_v2, ho3d_v3), `dexycb`, `interhand`, `agora`.
"""

import functools
import importlib
import inspect

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
    return _function(server, "write", options)(predictions, path)


def read(server, path, **options):
    """A submission -> the predictions that `handlib.protocols.evaluate` takes; InputError where it cannot be read."""
    found = _function(server, "read", options)(path)
    return dict(zip(_READ[_MODULES[server]], found, strict=True)) if isinstance(found, tuple) else found


def check(server, path, **options):
    """What is wrong with a submission -> list of `Problem`, empty when nothing is found.

    Each has a ``severity``: "rejected", the server, its evaluator or its template stops; "misleading", the file is
    taken and its figures will be wrong; "note", legal and good to know. It names the ``entry`` where there is one.
    options: the module's ``check``, such as ``truth`` and ``samples``. Raises InputError only for a wrong option.
    """
    return _function(server, "check", options)(path)


def _function(server, name, options):
    """The module's function of that name, its options filled in."""
    if server not in _MODULES:
        raise InputError("submissions", f"there is no server '{server}'", f"name one of: {', '.join(_MODULES)}")
    function = getattr(importlib.import_module(f"handlib.submissions.{_MODULES[server]}"), name)
    known = list(inspect.signature(function).parameters)
    taken = [option for option in known if option not in ("predictions", "path", "server")]
    for option in options:
        if option not in taken:
            mend = f"its options are: {', '.join(taken) or 'none'}"
            raise InputError(f"submissions.{name} of {server}", "is not an option", mend, field=option)
    return functools.partial(function, **options, **({"server": server} if "server" in known else {}))
