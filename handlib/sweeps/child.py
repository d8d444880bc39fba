"""One run of a sweep, in a process of its own that ends with whoever started it.

``execute`` starts it and waits; it runs here, or on a worker of a cluster. The child holds the run's lock, keeps the
record, and writes what it says to ``run.log`` in the run's folder. Its standard input is a pipe from the one who waits:
when that one is gone, killed or not, the pipe closes, and the child ends its kernel and itself.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from handlib.files import InputError, locked

LOG = "run.log"
LOCK_PATIENCE = 60.0  # seconds: a child whose worker died, maybe on another machine, has ended by then
GRACE = 10.0  # seconds that a child has to end its kernel and itself
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_COMMAND = (sys.executable, "-c", "from handlib.sweeps import child; child.main()")


@dataclasses.dataclass(frozen=True)
class Order:
    """What a run takes, as plain values: it crosses to other processes and machines."""

    name: str
    notebook: str
    parameters: dict
    folder: str
    root: str  # the project's: the working directory
    threads: int | None = None  # None: a fair share of what the worker has
    gpu: str | None = None  # what CUDA_VISIBLE_DEVICES says; None: as it is
    ended: str | None = None  # noted in the record at the end: who waits elsewhere knows by it that this is it


class Unwanted(Exception):
    """Nobody waits for the run any more; it was ended."""


def execute(order, wanted=lambda: True):
    """Run it in a process of its own; returns what that said when it could not even begin, else "".

    wanted: asked twice a second; when it says no, the run is ended and `Unwanted` raised.
    """
    environment = os.environ | dict.fromkeys(THREADS, str(order.threads))
    if order.gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = order.gpu
    process = subprocess.Popen(
        _COMMAND, cwd=order.root, env=environment, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(dataclasses.asdict(order)).encode() + b"\n")
            process.stdin.flush()
        while process.poll() is None:
            if not wanted():
                raise Unwanted(order.name)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        said = process.stderr.read().decode(errors="replace").strip()
        return _how_it_ended(process.returncode, said)
    finally:
        _end(process)


def _how_it_ended(code, said):
    if code == 0:
        return ""
    if code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return said.splitlines()[-1] if said else f"its process ended with code {code}"


def _end(process):
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stderr.close()


# ------------------------------------------------------------------------------------------------- inside the process


def main():
    """The child: an `Order` as a line of JSON on standard input, then the run."""
    order = Order(**json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder = Path(order.folder)
    lock = folder.with_name(f".{folder.name}.lock")
    try:
        with locked(lock, "another process runs it", "wait for it, or end it", LOCK_PATIENCE):
            _run(order, folder)
    except InputError as error:  # the record is not this process's to write
        sys.exit(" ".join(str(error).split()))


def _run(order, folder):
    from handlib import inputs, runs
    from handlib.sweeps import record

    now = record.identity(inputs.notebook_hash(order.notebook), order.parameters)
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    facts = {"run": order.name, "notebook_file": order.notebook, "host": platform.node(), "started": began}
    found = record.begin(folder, now, facts)
    _talk_to(folder / LOG)
    os.environ[inputs.VARIABLE] = str(folder / record.NOTES)
    record.note_named(order.parameters)
    start, error = time.monotonic(), None
    try:
        runs.run_notebook(order.notebook, order.parameters)
    except Exception as raised:  # whatever a cell, the kernel or the disk raises is this run's failure, not the sweep's
        error = (
            f"{type(raised).__name__}: {raised}" if not isinstance(raised, RuntimeError | InputError) else f"{raised}"
        )
        print(error, file=sys.stderr, flush=True)
    state = record.FAILED if error else record.DONE
    record.end(folder, found, state=state, seconds=round(time.monotonic() - start, 1), error=error, ended=order.ended)


def _talk_to(path):
    """What this process and its children say goes to a file, from here on."""
    sys.stdout.flush()
    with open(path, "a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def _end_with_parent():
    while os.read(0, 4096):
        pass
    with contextlib.suppress(Exception):
        import psutil

        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    os._exit(1)
