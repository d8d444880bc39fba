"""What a reader does with a file is done in a forked child: with bounded memory and time, so that the tests live on."""

import io
import os
import pickle
import re
import resource
import signal
import sys
import traceback
import warnings
from pathlib import Path

import pytest

from handlib.processes import one_thread

MEMORY = 1 << 30  # bytes of address space beyond what the process has
SECONDS, WALL = 20, 120  # of processor time, and by the clock


def run(function):
    """(what ``function()`` gave or the exception that it raised, megabytes that it took at its peak).

    Fails the test where the child is ended by a signal: a crash, or more than `SECONDS`.
    """
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        os.close(receive)
        _answer(function, send)  # does not return
    os.close(send)
    with os.fdopen(receive, "rb") as answers:
        answer = answers.read()
    _, status = os.waitpid(child, 0)
    if not answer:
        pytest.fail(f"the reader ended: {os.waitstatus_to_exitcode(status)}")
    return pickle.loads(answer)


def _answer(function, send):
    try:
        one_thread()
        sys.stderr = open(os.devnull, "w")
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(WALL)  # one that waits for ever, for a pipe, takes no time of a processor
        before, hard = _status("VmRSS"), resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, ((_status("VmSize") << 10) + MEMORY, hard))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                said = function()
            except Exception as error:
                said = error
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        try:
            data = _sent((said, (_status("VmHWM") - before) >> 10))
        except Exception:
            data = _sent((RuntimeError(f"cannot be sent: {said!r:.2000}"), 0))
        with os.fdopen(send, "wb") as answers:
            answers.write(data)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(0)


class _Pickler(pickle.Pickler):
    """Errors without where they come from: dask has all of that pickled, and of a recursion it is deep."""

    def reducer_override(self, value):
        return value.__reduce__() if isinstance(value, BaseException) else NotImplemented


def _sent(value):
    data = io.BytesIO()
    _Pickler(data).dump(value)
    return data.getvalue()


def _status(name):
    """Kilobytes."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1])
