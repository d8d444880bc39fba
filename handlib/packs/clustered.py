"""Packing by the workers of a Dask cluster, each of which sees the data set and the pack's folder under the same paths.

Dask gives a shard to another worker when one dies. Workers are no children of the process that packs and may outlive
it; so a shard goes on only while the pack's lock file says what it said when the packing began, and is not put into
the place of one that has been finished meanwhile.
"""

import contextlib
import dataclasses
import functools
import os
import platform
import time
import uuid
import zlib
from pathlib import Path

import handlib
from handlib import processes
from handlib.files import InputError
from handlib.packs import layout, shards
from handlib.packs.crews import AGAIN

IN_FLIGHT = 2**30  # bytes of shards on their way, which lie in the scheduler's memory
LOOK_AGAIN = 5.0  # seconds: whether workers have joined
PATIENCE = 10.0  # seconds until a network file system shows a worker what has just been written
_CHECKED = 1.0  # seconds from one look at the lock file to the next
SHARE = (
    "mount it on every worker under this same path (absolute, not below another working directory), or pack without "
    "the cluster"
)


@contextlib.contextmanager
def crew(client, out, sources):
    """The crew of a dask Client's workers. out: the pack's folder, locked; sources: paths that each worker must see.

    Leaving the block cancels what waits; what runs stops by itself when the lock is given back.
    """
    session = Session(str(out), _said(out), handlib.__version__, _place(), tuple(map(str, sources)), PATIENCE)
    found = Cluster(client, session)
    try:
        yield found
    finally:
        found.cancel()


class Cluster:
    """As `crews.Crew`; the number of workers may change at any time."""

    def __init__(self, client, session):
        self.client, self.session, self._running = client, session, {}

    def room(self):
        """As `crews.Crew`: a shard for each thread and one more for each worker, within `IN_FLIGHT`."""
        threads = self.client.nthreads()
        width = max(1, sum(threads.values()) + len(threads))
        flying = sum(size for _, size in self._running.values())
        return not self._running or (len(self._running) < width and flying < IN_FLIGHT)

    def busy(self):
        return bool(self._running)

    def submit(self, shard):
        import dask
        from distributed.protocol import serialize_bytes

        # As bytes, which the scheduler hands on as they are, and which are counted here.
        load = zlib.compress(serialize_bytes((shard, _first_picture(shard))), 1)
        key = f"pack-{shard.folder.name}-{uuid.uuid4().hex}"
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": IN_FLIGHT}):
            future = self.client.submit(pack_there, load, self.session, key=key, pure=False)
        self._running[future] = str(shard), len(load)

    def collect(self):
        """As `crews.Crew`, but also 0 after a while in which none has ended: workers may have joined.

        Raises RuntimeError naming the shard that has ended several workers, and where the scheduler is gone.
        """
        from distributed import CancelledError, TimeoutError, wait

        try:
            with self.client.as_current():
                done = wait(list(self._running), LOOK_AGAIN, "FIRST_COMPLETED").done
            return sum(self._result(future, *self._running.pop(future)) for future in done)
        except TimeoutError:
            return 0
        except CancelledError as error:
            raise RuntimeError(f"shards were cancelled, or Dask's scheduler has ended; {AGAIN}") from error

    @staticmethod
    def _result(future, shard, _):
        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            raise RuntimeError(
                f"{shard} was being packed each time when {error.allowed_failures + 1} workers ended, the last at "
                f"{error.last_worker.address} (memory? a file that brings a library down?); see the workers' logs, "
                f"then {AGAIN}"
            ) from error

    def cancel(self):
        with contextlib.suppress(Exception):  # a scheduler that has ended needs no cancelling
            self.client.cancel(list(self._running), reason="packing has ended")


# On the worker


@dataclasses.dataclass(frozen=True)
class Session:
    """One call that packs: its folder, what the lock file there says, handlib's version, the caller's host and process;
    sources: what a worker must see within so many seconds of patience.
    """

    out: str
    lock: str
    version: str
    caller: str
    sources: tuple
    patience: float

    def goes_on(self):
        return _said(self.out) == self.lock


class _NotWanted(Exception):
    """The packing has ended or begun anew, or the shard is there."""


def pack_there(load, session):
    """Unpack and pack a shard; returns its number of samples. Raises InputError naming this host and the path for what
    it does not see, and RuntimeError when its handlib is another version.
    """
    from distributed.protocol import deserialize_bytes

    if handlib.__version__ != session.version:
        versions = f"handlib {handlib.__version__}, the caller {session.version}"
        raise RuntimeError(f"worker {_here()} has {versions}; install the same version on both")
    shard, picture = deserialize_bytes(zlib.decompress(load))
    try:
        _require_seen(Path(session.out, layout.LOCK), session)
        for path in (*session.sources, picture):
            _require_seen(path, session)
        if session.caller != _place():
            processes.one_thread()
        return shards.pack(shard, functools.partial(_while_wanted, shard, session))
    except _NotWanted:
        return len(shard)
    except InputError as error:
        raise InputError(error.file, f"{error.problem} (on worker {_here()})", error.mend, error.field) from error


def _while_wanted(shard, session, samples):
    checked = -_CHECKED
    for sample in [*samples, None]:
        if sample is None or time.monotonic() > checked + _CHECKED:
            if not session.goes_on() or shard.folder.exists():
                raise _NotWanted
            checked = time.monotonic()
        if sample is not None:
            yield sample


def _require_seen(path, session):
    """InputError for a path that is not there; of the lock file, which is known to be there, it names the folder."""
    end = time.monotonic() + session.patience
    while path is not None and not os.path.exists(path):
        if os.path.exists(os.path.join(session.out, layout.MANIFEST)):
            raise _NotWanted
        if time.monotonic() > end:
            raise InputError(Path(path).parent if Path(path).name == layout.LOCK else path, "is not seen", SHARE)
        time.sleep(0.2)


def _first_picture(shard):
    """The path of a picture that is there, None where there is none (or the data set has other files)."""
    paths = (sample.get("image_path") for sample in shard.samples)
    return next((str(path) for path in paths if path and os.path.exists(path)), None)


def _said(out):
    """What the lock file of a pack's folder says, None where there is none."""
    try:
        return Path(out, layout.LOCK).read_text()
    except OSError:
        return None


def _place():
    return f"{platform.node()}/{os.getpid()}"


def _here():
    from distributed import get_worker

    return f"{platform.node()} ({get_worker().address})"
