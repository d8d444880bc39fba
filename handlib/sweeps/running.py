"""A sweep's runs, several at a time: in processes here, or on the workers of a Dask cluster."""

import concurrent.futures
import contextlib
import os
import platform
import queue
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

from handlib import inputs, runs
from handlib.files import locked, progress, write_json, write_text
from handlib.sweeps import child, record, summary
from handlib.sweeps.plan import MARK

TOKEN = ".token"  # in the sweep's folder: a worker that does not see it has another file system
SEEN_WITHIN = 60.0  # seconds in which a network file system shows here what was written there


def run(sweep, jobs=1, client=None):
    """Do a sweep's runs (`handlib.sweeps.Sweep`); returns the table of all of them, `summary.table`.

    jobs: runs at a time here, each in a process with a fair share of the processors and, where there are several GPUs,
    one of them; client: a dask Client, whose workers do them instead, one for each of their threads; they must see the
    project, the data and the sweep's folder under the same paths. What is done and unchanged is not done again; a run
    that was cut off or failed goes on in its folder. A failed run stops no other. After each, the table is written to
    the sweep's folder as ``summary`` (.csv, .parquet, .tex, .md, .html).

    Raises InputError while another batch works in that folder, and whatever ends the block (KeyboardInterrupt) when the
    runs under way have been ended.
    """
    lock = sweep.folder / ".lock"
    with locked(lock, "another batch works on this sweep", "wait for it, or end it", child.GRACE / 2):
        token = uuid.uuid4().hex
        _begin(sweep, token)
        ended, waiting = _divide(sweep)
        table = summary.Summary(sweep, ended)
        table.write(now=True)
        with _pool(jobs, client, token, len(waiting)) as submit:
            with progress(total=len(sweep.runs), initial=len(ended), desc=sweep.name, unit="run", disable=None) as bar:
                _say(bar, f"{sweep.name}: {len(ended)} of {len(sweep.runs)} runs are done already, in {sweep.folder}")
                _follow({submit(_order(one)): one for one in waiting}, table, bar)
                table.write(now=True)
        (sweep.folder / TOKEN).unlink(missing_ok=True)
        return table.frame()


def _begin(sweep, token):
    planned = {one.name: {"notebook": one.notebook.name, "given": one.given} for one in sweep.runs}
    write_json(sweep.folder / MARK, {"sweep": sweep.name, "data": sweep.data, "runs": planned})
    write_text(sweep.folder / TOKEN, token)
    for one in sweep.runs:
        if one.recipe is not None:
            write_json(Path(one.parameters["recipe"]), one.recipe)  # JSON is YAML


def _divide(sweep):
    """({name: record} of the runs that are done, the others)"""
    ended, waiting, seen, hashes = {}, [], {}, {}
    for one in sweep.runs:
        if one.notebook not in hashes:
            hashes[one.notebook] = inputs.notebook_hash(one.notebook)
        if record.done(one.folder, record.identity(hashes[one.notebook], one.parameters), seen):
            ended[one.name] = record.read(one.folder)
        else:
            waiting.append(one)
    return ended, waiting


def _order(one):
    return child.Order(
        one.name, str(one.notebook), one.parameters, str(one.folder), str(runs.project_root()), threads=None
    )


def _follow(running, table, bar):
    """Take the runs as they end."""
    again = None
    while running:
        bar.set_postfix(failed=len(table.failed()), refresh=False)
        done, _ = concurrent.futures.wait(running, again, concurrent.futures.FIRST_COMPLETED)
        for future in done:
            one = running.pop(future)
            found = _outcome(one, future)
            table.add(one.name, found)
            took = "" if found.get("seconds") is None else f" after {found['seconds']:.0f} s"
            _say(bar, f"{one.name}: {found['state']}{took}{_indented(found.get('error'))}")
            bar.update()
        again = table.write()


def _say(bar, text):
    """A line above the bar, which a log (where there is no bar) has, too."""
    bar.write(text, file=sys.stderr)


def _indented(error):
    return "\n  " + error.replace("\n", "\n  ") if error else ""


def _outcome(one, future):
    """The record of a run that ended, however it did."""
    try:
        token, said = future.result()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # of a cluster: the worker died too often, the scheduler went away, was cancelled
        return record.read(one.folder) | {"state": record.FAILED, "error": _named(error), "seconds": None}
    found = _seen(one.folder, token)
    if said or found.get("state") not in (record.DONE, record.FAILED):
        return found | {"state": record.FAILED, "error": said or _not_seen(one), "seconds": None}
    return found


def _seen(folder, token):
    """The record as this machine sees it; another machine's may take its time to show."""
    deadline = time.monotonic() + (SEEN_WITHIN if token else 0)
    while True:
        found = record.read(folder)
        if not token or found.get("ended") == token or time.monotonic() > deadline:
            return found if not token or found.get("ended") == token else {}
        time.sleep(0.5)


def _not_seen(one):
    return f"its process left no result in {one.folder}; see {one.folder / child.LOG}"


def _named(error):
    if type(error).__name__ == "KilledWorker":
        return f"the worker died that ran it, and so did those that tried again: {error}"
    return f"{type(error).__name__}: {error}"


# ------------------------------------------------------------------------------------------------------- here


@contextlib.contextmanager
def _pool(jobs, client, token, most):
    """``submit(order)`` -> a future of (what to look for in the record, what went wrong)."""
    if client is not None:
        with _cluster(client, token) as submit:
            yield submit
        return
    width, stop = max(1, min(jobs, most)), threading.Event()
    threads, slots = max(1, runs.processors() // width), queue.SimpleQueue()
    for gpu in _gpus(width):
        slots.put(gpu)

    def work(order):
        gpu = slots.get()
        try:
            settled = child.Order(**{**vars(order), "threads": threads, "gpu": gpu})
            return None, child.execute(settled, lambda: not stop.is_set())
        finally:
            slots.put(gpu)

    pool = concurrent.futures.ThreadPoolExecutor(width)
    try:
        yield lambda order: pool.submit(work, order)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _gpus(width):
    """One GPU for each of ``width`` runs at a time, in turn; None where there are not several to share out."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None and shutil.which("nvidia-smi"):
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
        visible = ",".join(str(number) for number, line in enumerate(listed.stdout.splitlines()) if line[:3] == "GPU")
    devices = [device for device in (visible or "").split(",") if device]
    return [devices[slot % len(devices)] if width > 1 and len(devices) > 1 else None for slot in range(width)]


# ----------------------------------------------------------------------------------------------- on a cluster


@contextlib.contextmanager
def _cluster(client, token):
    """Dask gives the run of a worker that dies to another one, as often as the scheduler's ``allowed-failures`` says
    (three, unless its configuration says otherwise).
    """
    from handlib import cluster

    executor = client.get_executor(pure=False)
    version = cluster.code_version()
    try:
        yield lambda order: executor.submit(_on_worker, order, token, version)
        executor.shutdown()
    except BaseException:
        executor.shutdown(wait=False)
        raise


def _on_worker(order, token, version):
    """One run, on a worker of a cluster. Raises RuntimeError naming the worker that cannot do it."""
    import distributed

    from handlib import cluster

    here = f"worker {distributed.get_worker().address} on {platform.node()}"
    if cluster.code_version() != version:
        raise RuntimeError(f"{here} has another handlib, {cluster.code_version()}: start it anew")
    sweep = Path(order.folder).parent
    if not _shows(sweep / TOKEN, token):
        raise RuntimeError(
            f"{here} does not see {sweep}: the project, the data and the run folders must lie on a file system that "
            "all machines share, under the same path"
        )
    worker = distributed.get_worker()
    key = worker.get_current_task()
    beside = worker.state.nthreads * int(os.environ.get(cluster.WORKERS, 1))  # runs at a time on these processors
    threads = max(1, runs.processors() // max(1, beside))
    ended = f"{key} {uuid.uuid4().hex}"
    said = child.execute(child.Order(**{**vars(order), "threads": threads, "ended": ended}), _wanted(worker, key))
    return ended, said


def _wanted(worker, key):
    """Whether the scheduler still wants the task: not when who asked for it is gone."""

    def wanted():
        task = worker.state.tasks.get(key)
        return task is not None and task.state in ("executing", "long-running")

    return wanted


def _shows(path, text):
    deadline = time.monotonic() + SEEN_WITHIN / 2
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8") == text:
                return True
        if not path.parent.parent.exists():
            return False
        time.sleep(0.5)
    return False
