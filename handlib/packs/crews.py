"""Who packs the shards: this process, processes of this machine, or the workers of a Dask cluster.

A crew is given shards while it has ``room()``; ``collect()`` waits for some of them and says how many samples they had.
Few are on their way at any time, so that memory does not grow with the data set.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
from concurrent.futures.process import BrokenProcessPool

from handlib import processes
from handlib.packs import shards

AGAIN = "run again: finished shards are kept"


@contextlib.contextmanager
def crew(workers, start_method=None):
    """The crew of ``workers`` processes; 0: this process. Leaving the block cancels what still waits."""
    if workers == 0:
        yield Crew(_at_once, 1)
        return
    context = multiprocessing.get_context(start_method)
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _prepare_worker, (os.getpid(),))
    try:
        yield Crew(pool.submit, workers + 1)
    finally:
        pool.shutdown(cancel_futures=True)


class Crew:
    """submit: as of an executor; width: how many shards may wait or run."""

    def __init__(self, submit, width):
        self._submit, self._width, self._running = submit, width, set()

    def room(self):
        """Whether it may be given another shard."""
        return len(self._running) < self._width

    def busy(self):
        """Whether any shard is still on its way."""
        return bool(self._running)

    def submit(self, shard):
        """Take a `shards.Shard`."""
        self._running.add(self._submit(shards.pack, shard))

    def collect(self):
        """The number of samples of those that have ended, once there are any. Raises what packing raised."""
        done, self._running = concurrent.futures.wait(self._running, return_when=concurrent.futures.FIRST_COMPLETED)
        try:
            return sum(future.result() for future in done)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a packing process ended by itself (memory? or a script without `if __name__ == '__main__':`, which "
                f"start_method='spawn' needs); {AGAIN}"
            ) from error


def _at_once(function, *arguments):
    future = concurrent.futures.Future()
    future.set_result(function(*arguments))
    return future


def _prepare_worker(parent):
    """One thread for each worker, and an end when the parent was killed (a pool's workers would wait for ever)."""
    processes.one_thread()
    processes.end_with(parent)
