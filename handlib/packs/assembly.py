"""From finished shards to a pack: one array per field, one index, the list of what was skipped, and the manifest."""

import collections
import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

import handlib
from handlib import fields
from handlib.files import InputError, read_json, sha256, write_atomic, write_json
from handlib.packs import layout, store

_LABELS, _SUMMARY = "labels.npz", "shard.json"


def write_labels(folder, kept, skips, images):
    """A shard's arrays, index rows and summary, beside its pictures.

    kept: the label dicts of its samples; skips: the `Skip` of each other one; images: names of the picture fields met.
    """
    names = list(kept[0]) if kept else []
    for labels in kept:
        if set(labels) != set(names):
            different = ", ".join(sorted(set(labels) ^ set(names)))
            raise ValueError(f"{labels['key']}: fields differ from those of the samples before it: {different}")
    arrays = {name: np.stack([labels[name] for labels in kept]) for name in names if _kind(name) == "array"}
    np.savez(folder / _LABELS, **arrays)
    columns = {name: [labels[name] for labels in kept] for name in names if _kind(name) == "index"}
    parquet.write_table(pa.table(columns, schema=schema(columns)), folder / layout.INDEX)
    pictures = folder / store.FILE
    summary = {
        "samples": len(kept),
        "images": sorted(images),
        "skipped": [[skip.key, skip.reason, skip.detail] for skip in skips],
        "pictures": {"size": pictures.stat().st_size, "sha256": sha256(pictures)},
    }
    (folder / _SUMMARY).write_text(json.dumps(summary))


def _kind(name):
    return fields.SAMPLE[name].kind


def schema(names):
    """Arrow's types of index columns. KeyError for a name that is not in `handlib.fields.SAMPLE`."""
    types = {"str": pa.string(), "int64": pa.int64()}
    return pa.schema([(name, types[fields.SAMPLE[name].dtype]) for name in names])


def assemble(out, plan, notes):
    """Write everything beside the shards, the manifest last; then remove what the shards no longer need."""
    folders = [layout.shard_folder(out, number) for number in range(-(-plan["listed"] // plan["shard_size"]))]
    summaries = [read_json(folder / _SUMMARY) for folder in folders]
    counts = [summary["samples"] for summary in summaries]
    skipped = [skip for summary in summaries for skip in summary["skipped"]]
    reasons = dict(collections.Counter(reason for _, reason, _ in skipped))
    if not sum(counts):
        shutil.rmtree(out / layout.SHARDS)
        (out / layout.PLAN).unlink()
        mend = "see that the pictures lie where the annotations say, then pack again"
        raise InputError(out, f"no sample could be used: {reasons}, the first: {skipped[0]}", mend)
    filled = [folder for folder, count in zip(folders, counts, strict=True) if count]
    arrays = _write_arrays(out, filled, sum(counts))
    hands = _write_index(out, filled)
    _write_skipped(out, skipped)
    images = sorted({name for summary in summaries for name in summary["images"]})
    manifest = {
        "format": layout.FORMAT,
        "dataset": plan["dataset"],
        "split": plan["split"],
        **plan["facts"],
        "samples": sum(counts),
        "listed": plan["listed"],
        "shards": counts,
        "hands": hands,
        "skipped": {"count": len(skipped), "reasons": reasons, "first": skipped[:20]},
        "notes": notes,
        "arrays": arrays,
        "images": images,
        "options": plan["options"],
        "sources": plan["sources"],
        "files": _inventory(out, folders, summaries),
        "handlib": handlib.__version__,
        "plan": plan,
    }
    manifest = layout.plain(manifest)
    write_json(out / layout.MANIFEST, {**manifest, "hash": layout.manifest_hash(manifest)})
    tidy(out)


def tidy(out):
    """Remove what a finished pack does not need: of its shards all but the pictures, and the plan."""
    for name in (_LABELS, _SUMMARY, layout.INDEX):
        for path in (out / layout.SHARDS).glob(f"*/{name}"):
            path.unlink()
    (out / layout.PLAN).unlink(missing_ok=True)


def _write_arrays(out, folders, count):
    """out/arrays/<field>.npy, filled shard by shard. Returns {field: dtype, shape of a sample, unit, frame}."""
    with write_atomic(out / layout.ARRAYS) as temporary:
        temporary.mkdir()
        whole, start = {}, 0
        for folder in folders:
            with np.load(folder / _LABELS) as part:
                if whole and set(part.files) != set(whole):
                    raise ValueError(
                        f"{folder}: fields differ from other shards: {sorted(set(part.files) ^ set(whole))}"
                    )
                for name in part.files:
                    rows = part[name]
                    if name not in whole:
                        path, shape = temporary / f"{name}.npy", (count, *rows.shape[1:])
                        whole[name] = _reserved(path, rows.dtype, shape)
                    whole[name][start : start + len(rows)] = rows
            start += len(rows)
        for array in whole.values():
            array.flush()
    return {
        name: {
            "dtype": str(array.dtype),
            "shape": array.shape[1:],
            "unit": fields.SAMPLE[name].unit,
            "frame": fields.SAMPLE[name].frame,
        }
        for name, array in whole.items()
    }


def _reserved(path, dtype, shape):
    """A .npy file, memory-mapped, whose space is taken at once: a write to a mapped page for which the disk has none
    would end the process (SIGBUS).
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return array


def _write_index(out, folders):
    """out/index.parquet and out/index.arrow; returns how many samples there are of each kind of ``hands``."""
    hands = collections.Counter()
    with write_atomic(out / layout.INDEX) as packed, write_atomic(out / layout.ROWS) as mapped:
        kinds = parquet.read_schema(folders[0] / layout.INDEX)
        with parquet.ParquetWriter(packed, kinds) as writer, pa.ipc.new_file(mapped, kinds) as rows:
            for folder in folders:
                table = parquet.read_table(folder / layout.INDEX)
                writer.write_table(table)
                rows.write_table(table.combine_chunks())  # a batch for each shard
                if "hands" in table.column_names:
                    hands.update(table["hands"].to_pylist())
    return dict(sorted(hands.items()))


def _write_skipped(out, skipped):
    columns = {name: [skip[place] for skip in skipped] for place, name in enumerate(("key", "reason", "detail"))}
    with write_atomic(out / layout.SKIPPED) as temporary:
        parquet.write_table(pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns])), temporary)


def _inventory(out, folders, summaries):
    """{path in the pack: size and SHA-256}."""
    files = {}
    for folder, summary in zip(folders, summaries, strict=True):
        files[(folder / store.FILE).relative_to(out).as_posix()] = summary["pictures"]
    for path in (
        *(out / name for name in (layout.INDEX, layout.ROWS, layout.SKIPPED)),
        *sorted((out / layout.ARRAYS).iterdir()),
    ):
        files[path.relative_to(out).as_posix()] = {"size": path.stat().st_size, "sha256": sha256(path)}
    return files
