"""Runs of a scenario for `faults.py`: forked, watched, killed at a write; and the files and processes they leave."""

import ctypes
import gc
import json
import mmap
import multiprocessing.util
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path

import fault_scenarios

from handlib.atomic import is_leftover

PATIENCE = 90  # seconds until a process that has lost its parent counts as staying
CRASHED = 70  # the exit code of work that raises what the command line does not put in words
_WRITES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.truncate", "shutil.rmtree"}
_HOOK = "HANDLIB_FAULTS_HOOK"


# ------------------------------------------------------------------------------------------------ what lies in a folder


def found(folder, known):
    """({file under a final name: its meaning}, {file: why it is not whole}); known: a cache of meanings."""
    whole, broken = {}, {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_leftover(name)]
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for path in (Path(place, name) for name in [*names, *links]):
            name = str(path.relative_to(folder))
            if is_leftover(path.name) or fault_scenarios.volatile(name):
                continue
            try:
                state = path.lstat()
                key = (str(path), state.st_ino, state.st_mtime_ns, state.st_size)
                if key not in known:
                    known[key] = fault_scenarios.meaning(path)
                whole[name] = known[key]
            except FileNotFoundError:  # replaced or removed in this moment
                continue
            except Exception as error:
                broken[name] = f"{type(error).__name__}: {error}"
    return whole, broken


def leftovers(folder):
    """Scratch folders of writes, which must be gone after a run that ended well."""
    return [str(path.relative_to(folder)) for path in Path(folder).rglob(".*") if is_leftover(path.name)]


# --------------------------------------------------------------------------------------------------- processes


class Writes:
    """An audit hook in the work and all that it starts: counts the writes below ``folder``; before number ``at`` it
    kills the work, or (``at`` 0) it notes in the file ``notes`` what lies in the folder. count: a file of 8 bytes that
    all of these processes share.
    """

    def __init__(self, folder, count, notes, at=0, main=0, born=None):
        self.given = {"folder": str(folder), "count": str(count), "notes": str(notes), "at": at}
        self.folder, self.at, self.busy, self.known = Path(folder), at, False, {}
        self.main, self.born = main, born
        if not main:
            Path(count).write_bytes(bytes(8))
        with open(count, "r+b") as file:
            self.count = mmap.mmap(file.fileno(), 8)
        self.notes = None if at else os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def install(self):
        """In the work's own process: what it forks inherits the hook, any other Python that it starts makes it anew."""
        site = Path(self.given["count"]).parent / "site"
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text("import fault_runs; fault_runs.Writes.of_environment()\n")
        self.main, self.born = os.getpid(), _stat(os.getpid())[19]
        os.environ[_HOOK] = json.dumps(self.given | {"main": self.main, "born": self.born})
        more = [str(site), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, more))
        sys.addaudithook(self)

    @classmethod
    def of_environment(cls):
        sys.addaudithook(cls(**json.loads(os.environ[_HOOK])))

    def total(self):
        return int.from_bytes(self.count[:8], "little")

    def __call__(self, event, given):
        if self.busy or (event != "open" and event not in _WRITES):
            return
        if event == "open" and not (isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            return
        if not str(given[0]).startswith(self.given["folder"]):
            return
        self.busy = True
        try:
            number = self.total() + 1
            self.count[:8] = number.to_bytes(8, "little")
            if self.notes is not None:
                os.write(self.notes, (json.dumps(found(self.folder, self.known)[0]) + "\n").encode())
            elif number == self.at and _stat(self.main)[19:20] == [self.born]:  # and no later process of that number
                os.kill(self.main, signal.SIGKILL)
        finally:
            self.busy = False


def start(scenario, inputs, out, log, hook=None):
    """Fork the work: no interpreter has to be warmed again. Returns its process id."""
    out.mkdir(exist_ok=True)
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = CRASHED
    try:
        os.setsid()
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 1), os.dup2(stream, 2)
        if hook is not None:
            hook.install()
        code = int(scenario.work(inputs, out) or 0)
        gc.collect()
        multiprocessing.util._exit_function()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def ended(pid, seconds, meanwhile=None):
    """The exit code of a child within so many seconds (negative: its signal), or None while it runs on. meanwhile: is
    called many times a second.
    """
    handle, deadline = os.pidfd_open(pid), time.monotonic() + seconds
    try:
        while True:
            left = max(0.0, deadline - time.monotonic())
            if select.select([handle], [], [], left if meanwhile is None else min(left, 0.02))[0]:
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if not left:
                return None
            if meanwhile is not None:
                meanwhile()
    finally:
        os.close(handle)


def _stat(pid):
    """What /proc says of a process, from its state on: [1] its parent, [19] when it began; [] where there is none."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def descendants(pid):
    """Process ids of all that a process started, and what those started."""
    found = {int(entry): _stat(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    parents = {child: int(said[1]) for child, said in found.items() if said}
    inside, more = [], [pid]
    while more:
        more = [child for child, parent in parents.items() if parent in more]
        inside += more
    return inside


def inherit_orphans():
    """Processes whose parent was killed become this process's children (PR_SET_CHILD_SUBREAPER)."""
    ctypes.CDLL(None).prctl(36, 1)


def orphans_end():
    """(seconds until the last orphan has ended, what those are that stay): this process inherits all of them."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.05)
        except ChildProcessError:
            return time.monotonic() - began, []
    staying = descendants(os.getpid())
    words = [Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in staying]
    for pid in staying:
        os.kill(pid, signal.SIGKILL)
    return PATIENCE, words
