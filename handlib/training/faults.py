"""Faults of the machine while batches are made and learnt, each named with its mend: a loader's worker that dies,
memory that does not suffice (the GPU's, the machine's, what processes share), a full disk; and the sample that cannot
be read.
"""

import contextlib
import dataclasses
import re
import shutil
import traceback
from signal import strsignal

import torch

from handlib.atomic import DiskFull, full_disk
from handlib.files import InputError
from handlib.training.mixing import whose

# How torch says that a worker could not put a batch where the main process reads it.
_NOT_SHARED = re.compile(r"shared memory|unable to (write|resize|open|mmap|allocate).*torch_")
_LOGGERS = re.compile(r"event_file_writer|loggers")
_WORKER = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (is killed by signal: ([^.]+)|exited unexpectedly)"
)


@dataclasses.dataclass(frozen=True)
class Mends:
    """What to change: where the GPU's memory did not suffice; where the machine's did not; how many loader's workers
    there are.
    """

    gpu: str
    fewer: str
    workers: int


@dataclasses.dataclass(frozen=True)
class Failed:
    """What a loader gives instead of a batch that could not be made: the error, and where it came from. One that is
    raised in a worker would arrive as text only.
    """

    error: Exception
    trace: str

    def reraise(self):
        raise self.error from RuntimeError(f"while a batch was loaded:\n{self.trace}")


def is_of_machine(error):
    """Whether an error while a batch is made is none of its samples'."""
    return isinstance(error, MemoryError) or bool(_NOT_SHARED.search(str(error)))


def failed(error):
    return Failed(error, "".join(traceback.format_exception(error)))


def of_sample(error, pack, index):
    """The error of reading or cropping a sample, with its key and the pack it is of; of a list of samples, as it is."""
    if isinstance(pack, list):
        return error
    it = whose(pack, index)
    which = f"sample {it.key!r} (number {it.index} of {it.pack})"
    if isinstance(error, InputError):
        return InputError(error.file, f"{error.problem}: {which}", error.mend, error.field)
    problem = f"{which} cannot be read or cropped: {type(error).__name__}: {error}"
    if isinstance(error, OSError):
        return RuntimeError(problem)
    return InputError(it.pack, problem, "mend its annotation and pack again, or report a fault of handlib")


def tell_signal(workers, error):
    """Raise torch's error that a worker died with the signal that ended it, which torch tells only now and then."""
    for worker in workers:
        if worker.exitcode is not None and worker.exitcode < 0:
            name = strsignal(-worker.exitcode)
            raise RuntimeError(f"DataLoader worker (pid {worker.pid}) is killed by signal: {name}.") from error


@contextlib.contextmanager
def named(mends, out=None):
    """Turn faults of the machine into RuntimeError with their mend. mends: `Mends`; out: the folder that is written."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        first = str(error).split(". ")[0]
        raise RuntimeError(_said(f"the GPU's memory did not suffice: {first}", mends.gpu, out)) from error
    except DiskFull:
        raise
    except RuntimeError as error:
        words = _of_worker(_all_words(error), mends, out)
        if words is None:
            raise
        raise RuntimeError(words) from error
    except Exception as error:
        full = full_disk(error, _log(error, out))
        if full is None:
            raise
        raise full from error


def _said(problem, mend, out):
    after = "; the same call then goes on after the last whole epoch" if out is not None else ""
    return f"{problem}\n  To mend it: {mend}{after}."


def _log(error, out):
    """The folder of the log, where an error is from its writer, a thread of its own whose errors name no file."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{out}/logs" if any(_LOGGERS.search(frame.filename) for frame in frames) else out


def _all_words(error):
    """What an error says, and those that it comes from: torch tells of a worker's signal in one of these."""
    told = []
    while error is not None and error not in told:
        told.append(error)
        error = error.__cause__ or error.__context__
    return "\n".join(map(str, told))


def _of_worker(text, mends, out):
    """The words for what torch says of a loader's worker, None where it says something else."""
    found = next(iter(sorted(_WORKER.finditer(text), key=lambda one: one[3] is None)), None)
    signal = (found and found[3] or "").strip()
    if signal == "Bus error" or (_NOT_SHARED.search(text) and ("worker" in text or "torch_" in text)):
        problem = f"the memory that a loader's workers share with the training is too small{_free_shared()}"
        mend = (
            f"enlarge /dev/shm (a container: --shm-size=8g or --ipc=host), or take {mends.fewer}; workers=0 needs none"
        )
        return _said(problem, mend, out)
    if found is None:
        return None
    if signal == "Killed":
        problem = f"one of the loader's {mends.workers} workers (process {found[1]}) was killed (SIGKILL)"
        mend = f"mostly the machine's memory had run out (dmesg tells): take {mends.fewer}, or ask for more memory"
    else:
        problem = f"one of the loader's {mends.workers} workers (process {found[1]}) died ({signal or found[2]})"
        mend = "run with workers=0 to see the error itself"
    return _said(problem, mend, out)


def _free_shared():
    try:
        usage = shutil.disk_usage("/dev/shm")
    except OSError:  # no such place on this system
        return ""
    return f" (/dev/shm: {usage.free / 2**20:.0f} of {usage.total / 2**20:.0f} MB free)"
