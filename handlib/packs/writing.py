"""Writing a pack: shards in parallel, each whole or absent; then the arrays, the index and, last, the manifest.

A shard folder appears by a rename when it is finished, so after a kill the next run goes on with the shards that are
missing.
"""

import math
import os
import shutil
import sys
from pathlib import Path

from handlib import datasets
from handlib.atomic import there
from handlib.files import InputError, locked, progress, read_json, sha256, write_json
from handlib.packs import assembly, clustered, crews, layout, shards
from handlib.packs.reading import open_pack

MEND_OTHER = "choose another folder, or delete this one to pack anew"


def write(name, root, split, out, workers=None, client=None, shard_size=None, start_method=None, **options):
    """Pack a data set's split into the folder ``out`` and return it opened (`handlib.packs.Pack`).

    name, root, split, options: as for `handlib.datasets.read`; the others as for `write_from`. Raises InputError for
    bad input, too.
    """
    root = root if client is None else Path(root).absolute()  # workers have working directories of their own
    reader = datasets.read(name, root, split, **options)
    return write_from(reader, out, workers, client, shard_size, start_method)


def write_from(reader, out, workers=None, client=None, shard_size=None, start_method=None):
    """Pack what a reader gives (`handlib.datasets.base.Reader`; for one of your own, that is not registered).

    workers: processes, default one per core; 0 packs in this process. client: a dask Client (`handlib.cluster.connect`)
    instead, whose workers must see the data set and ``out`` under the same absolute paths; a shard whose worker dies
    goes to another. shard_size: samples per shard, default so that there are at most 256.
    start_method: "fork", "spawn" or "forkserver", default Python's.

    Run again after a kill, it goes on where it stopped; on a finished pack of the same content it does nothing. While
    another process packs into the folder, it waits for that one (and says so). Raises InputError for a folder that
    holds something else or a pack of another content, and when no sample can be used.
    """
    out = Path(out) if client is None else Path(out).absolute()
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
    if there(out / layout.MANIFEST):
        _require_same(out / layout.MANIFEST, layout.read_manifest(out)["plan"], plan)
        assembly.tidy(out)  # where a kill came after the manifest
        return False
    if there(out / layout.PLAN):
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
    size, starts = plan["shard_size"], range(0, plan["listed"], plan["shard_size"])
    folders = {start: layout.shard_folder(out, number) for number, start in enumerate(starts)}
    missing = [start for start in starts if not folders[start].is_dir()]
    samples = sum(min(size, plan["listed"] - start) for start in missing)
    if client is not None:
        crew = clustered.crew(client, out, reader.sources.values())
    else:
        crew = crews.crew(min((os.cpu_count() or 1) if workers is None else workers, len(missing)), start_method)
    with (
        crew as packing,
        progress(total=samples, desc=f"packing {plan['dataset']} {plan['split']}", unit="sample") as bar,
    ):
        for start in missing:
            shard = shards.taken(reader, folders[start], start, size)
            while not packing.room():
                bar.update(packing.collect())
            packing.submit(shard)
        while packing.busy():
            bar.update(packing.collect())
