"""``handlib submit``: a predictions file becomes a submission, and a submission is checked."""

import zipfile

import numpy as np

from handlib import submissions
from handlib.files import InputError, require

_AGORA = "AGORA's predictions are persons, not arrays: use handlib.submissions.write from Python, and --check here"


def main(server, predictions=None, path=None, check=None, truth=None, **options):
    """Write ``predictions`` (a .npz) to ``path`` and check it, or only check the file ``check``; print what was found.

    truth: a .npz of true arrays, to see more. options: those of the server's module that are not None; ``samples`` goes
    to the check too. Returns the exit code: 1 when a server would reject the file, else 0.
    """
    options = {name: value for name, value in options.items() if value is not None}
    if server not in submissions.names():
        raise InputError("submit", f"there is no server '{server}'", f"name one of: {', '.join(submissions.names())}")
    if (check is None) == (path is None):
        mend = "write: handlib submit SERVER PREDICTIONS FILE, or handlib submit SERVER --check FILE"
        raise InputError("submit", "needs a predictions file and a file to write, or --check and a file", mend)
    if path is not None:
        if server.startswith("agora"):
            raise InputError("submit", f"cannot write {server}", _AGORA)
        count = submissions.write(server, _arrays(predictions), path, **options)
        print(f"{count} samples in {path}")
    of_check = {name: value for name, value in options.items() if name == "samples"}
    if truth is not None:
        of_check["truth"] = _arrays(truth)
    return report(submissions.check(server, check or path, **of_check))


def report(problems):
    """Print the problems -> the exit code."""
    for problem in problems:
        print(problem)
    rejected = any(problem.severity == submissions.REJECTED for problem in problems)
    print("a server would reject this file" if rejected else "nothing that a server would reject")
    return int(rejected)


def _arrays(path):
    """The arrays of a .npz."""
    try:
        with np.load(require(path, "give a .npz of named arrays")) as stored:
            return {name: stored[name] for name in stored.files}
    except (zipfile.BadZipFile, ValueError, EOFError, AttributeError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(path, f"is not a .npz of plain arrays ({error})", "save it by numpy.savez") from error
