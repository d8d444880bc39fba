"""Writing a pack: shards in parallel, each whole or absent; then the arrays, the index and, last, the manifest.

A shard folder appears by a rename when it is finished, so after a kill the next run goes on with the shards that are
missing.
"""

import concurrent.futures
import contextlib
import math
import multiprocessing
import os
import shutil
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from handlib import datasets
from handlib.datasets.base import Skip
from handlib.files import InputError, locked, progress, read_json, sha256, write_atomic, write_json
from handlib.packs import assembly, layout, store
from handlib.packs.reading import open_pack

MEND_OTHER = "choose another folder, or delete this one to pack anew"


def write(name, root, split, out, workers=None, client=None, shard_size=None, start_method=None, **options):
    """Pack a data set's split into the folder ``out`` and return it opened (`handlib.packs.Pack`).

    name, root, split, options: as for `handlib.datasets.read`; the others as for `write_from`. Raises InputError for
    bad input, too.
    """
    reader = datasets.read(name, root, split, **options)
    return write_from(reader, out, workers, client, shard_size, start_method)


def write_from(reader, out, workers=None, client=None, shard_size=None, start_method=None):
    """Pack what a reader gives (`handlib.datasets.base.Reader`; for one of your own, that is not registered).

    workers: processes, default one per core; 0 packs in this process. client: a dask Client, whose workers must see the
    data set and ``out``, instead of processes. shard_size: samples per shard, default so that there are at most 256.
    start_method: "fork", "spawn" or "forkserver", default Python's.

    Run again after a kill, it goes on where it stopped; on a finished pack of the same content it does nothing. While
    another process packs into the folder, it waits for that one (and says so). Raises InputError for a folder that
    holds something else or a pack of another content, and when no sample can be used.
    """
    out = Path(out)
    size = shard_size or min(max(-(-len(reader) // 256), 64), 8192)
    plan = _plan(reader, size)
    with _lock(out):
        if _begin(out, plan):
            _write_shards(reader, plan, out, workers, client, start_method)
            assembly.assemble(out, plan, reader.notes)
    return open_pack(out)


def _plan(reader, size):
    """Everything that decides a pack's content."""
    if not len(reader):
        raise InputError(f"{reader.name} {reader.split}", "lists no samples", "choose another split")
    return {
        "format": layout.FORMAT,
        "dataset": reader.name,
        "split": reader.split,
        "listed": len(reader),
        "shard_size": size,
        "options": reader.options,
        "facts": reader.facts,
        "sources": {name: sha256(path) for name, path in sorted(reader.sources.items())},
    }


def _begin(out, plan):
    """Whether there is something to do; the plan is noted first. Raises InputError when ``out`` holds anything else."""
    plan = layout.plain(plan)
    if (out / layout.MANIFEST).exists():
        _require_same(out / layout.MANIFEST, layout.read_manifest(out)["plan"], plan)
        return False
    if (out / layout.PLAN).exists():
        _require_same(out / layout.PLAN, read_json(out / layout.PLAN), plan)
        for leftover in (out / layout.SHARDS).glob(".*.part"):
            shutil.rmtree(leftover, ignore_errors=True)
        return True
    if set(os.listdir(out)) - {layout.LOCK}:
        raise InputError(out, "is not empty and no pack", "choose another folder")
    write_json(out / layout.PLAN, plan)
    return True


def _require_same(path, before, now):
    changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if changed:
        before, now = ({key: side.get(key) for key in changed} for side in (before, now))
        raise InputError(path, f"was packed from other input: {before} then, {now} now", MEND_OTHER, ", ".join(changed))


def _lock(out):
    """One writer at a time; another one waits until it has ended, and finds the pack finished."""

    def waiting(holder):
        print(f"{out}: {holder} packs into it; waiting until it has ended", file=sys.stderr, flush=True)

    return locked(out / layout.LOCK, "another process packs into it", "wait for it, or end it", math.inf, waiting)


def _write_shards(reader, plan, out, workers, client, start_method):
    """Hand the missing shards to the workers, few at a time, so that memory does not grow with the data set."""
    starts = range(0, plan["listed"], plan["shard_size"])
    folders = {start: layout.shard_folder(out, number) for number, start in enumerate(starts)}
    missing = [start for start in starts if not folders[start].is_dir()]
    samples = sum(min(plan["shard_size"], plan["listed"] - start) for start in missing)
    workers = (os.cpu_count() or 1) if workers is None else workers
    tasks = ((folders[start], *_light(reader, start, plan["shard_size"]), reader.complete) for start in missing)
    with _executor(min(workers, len(missing)), client, start_method) as (submit, width):
        with progress(total=samples, desc=f"packing {plan['dataset']} {plan['split']}", unit="sample") as bar:
            running = set()
            for task in tasks:
                running.add(submit(pack_shard, *task))
                if len(running) >= width:
                    running = _collect(running, bar)
            while running:
                running = _collect(running, bar)


def _collect(running, bar):
    done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
    for future in done:
        try:
            bar.update(future.result())
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a packing process ended by itself (memory? or a script without `if __name__ == '__main__':`, which "
                "start_method='spawn' needs); run again: finished shards are kept"
            ) from error
    return running


def _light(reader, start, size):
    """(samples, skips) of one shard, as light as the reader gives them."""
    samples, skips = [], []
    for index in range(start, min(start + size, len(reader))):
        try:
            samples.append(reader.light(index))
        except Skip as skip:
            skips.append(skip)
    return samples, skips


@contextlib.contextmanager
def _executor(workers, client, start_method):
    """(submit, how many tasks may wait or run)."""
    if client is not None:
        with client.get_executor() as executor:
            yield executor.submit, 2 * max(1, len(client.scheduler_info()["workers"]))
    elif workers == 0:
        yield _at_once, 1
    else:
        context = multiprocessing.get_context(start_method)
        pool = concurrent.futures.ProcessPoolExecutor(workers, context, _prepare_worker, (os.getpid(),))
        try:
            yield pool.submit, workers + 1
        finally:
            pool.shutdown(cancel_futures=True)


def _at_once(function, *arguments):
    future = concurrent.futures.Future()
    future.set_result(function(*arguments))
    return future


def _prepare_worker(parent):
    """One thread for each worker, and an end when the parent was killed (a pool's workers would wait for ever)."""
    import cv2

    cv2.setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.getppid() == parent:  # not so under forkserver
        threading.Thread(target=watch, daemon=True).start()


def pack_shard(folder, samples, skips, complete):
    """Write one shard folder; returns how many samples were seen, skipped ones included. Runs in a worker."""
    kept, skips, met = [], list(skips), set()
    with write_atomic(folder) as temporary:
        temporary.mkdir()
        writer = store.Writer(temporary / store.FILE)
        for sample in samples:
            try:
                labels, images = layout.separate(complete(sample))
            except Skip as skip:
                skips.append(skip)
                continue
            for name, picture in images.items():
                writer.put(len(kept), name, layout.encoded(picture))
            kept.append(labels)
            met.update(images)
        writer.close()
        assembly.write_labels(temporary, kept, skips, met)
    return len(kept) + len(skips)
