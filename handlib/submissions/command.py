"""``handlib submit``: a predictions file becomes a submission, and a submission is checked."""

import contextlib

from handlib import npz, submissions
from handlib.files import InputError
from handlib.submissions import batches

_NPZ = "give a .npz of named arrays, as numpy.savez writes it"
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
        arrays = npz.read(predictions, _NPZ)
        with _naming(predictions, batches.WHERE):
            count = submissions.write(server, arrays, path, **options)
        print(f"{count} samples in {path}")
    of_check = {name: value for name, value in options.items() if name == "samples"}
    if truth is not None:
        of_check["truth"] = npz.read(truth, _NPZ)
    with _naming(truth, "truth"):
        return report(submissions.check(server, check or path, **of_check))


@contextlib.contextmanager
def _naming(file, what):
    """Errors of arrays that were read from a file name the file."""
    try:
        yield
    except InputError as error:
        if error.file != what:
            raise
        raise InputError(file, error.problem, error.mend, error.field) from error


def report(problems):
    """Print the problems -> the exit code."""
    for problem in problems:
        print(problem)
    rejected = any(problem.severity == submissions.REJECTED for problem in problems)
    print("a server would reject this file" if rejected else "nothing that a server would reject")
    return int(rejected)
