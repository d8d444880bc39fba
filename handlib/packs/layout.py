"""A pack's folder: where things lie, and what the manifest must say.

::

    OUT/manifest.json            written last: a folder without it is no pack
    OUT/index.parquet            one row per sample: the index fields
    OUT/index.arrow              the same, memory-mapped, to read one row of millions
    OUT/arrays/<field>.npy       (N, ...) memory-mapped
    OUT/shards/00000/images.lmdb pictures: files as they were in the data set, PNG, planes or runs (`handlib.pictures`)
    OUT/skipped.parquet          key, reason, detail of what was left out

`handlib.fields.SAMPLE` decides what is an array, a picture or an index column, so the format is the same for every
data set.
"""

import hashlib
import json

import numpy as np

from handlib import fields, pictures
from handlib.files import InputError, read_json, shown

FORMAT = 1
MANIFEST, PLAN, LOCK, INDEX, SKIPPED = "manifest.json", "plan.json", ".lock", "index.parquet", "skipped.parquet"
ARRAYS, SHARDS, ROWS = "arrays", "shards", "index.arrow"


def shard_folder(out, number):
    return out / SHARDS / f"{number:05d}"


def plain(value):
    """As it comes back from JSON."""
    return json.loads(json.dumps(value))


def separate(sample):
    """A sample -> (labels, images): arrays and index values, checked against the vocabulary; encoded or raw pictures
    that are there.

    Raises ValueError naming a field that `handlib.fields.SAMPLE` does not know or describes otherwise.
    """
    labels, images = {}, {}
    for name, value in sample.items():
        if name == "image_path":  # where the picture came from; the pack holds the picture
            continue
        field = fields.SAMPLE.get(name)
        if field is None:
            raise ValueError(f"{sample['key']}: field '{name}' is not in handlib.fields.SAMPLE; describe it there")
        if field.kind == "image":
            if value is not None:
                images[name] = value
        elif field.kind == "array":
            labels[name] = _checked(sample["key"], field, value)
        else:
            labels[name] = value
    return labels, images


def _checked(key, field, value):
    value = np.asarray(value)
    fits = value.ndim == len(field.shape) and all(
        isinstance(expected, str) or size == expected for size, expected in zip(value.shape, field.shape, strict=False)
    )
    if not fits or not np.can_cast(value.dtype, field.dtype, "same_kind"):
        raise ValueError(f"{key}: field '{field.name}' is {value.dtype}{value.shape}, not {field.dtype}{field.shape}")
    return value.astype(field.dtype, copy=False)


def encoded(picture):
    """What is stored: bytes as they are, an RGB array as PNG, a mask of class numbers as runs."""
    if isinstance(picture, bytes):
        return picture
    return pictures.encode_png(picture) if picture.ndim == 3 else pictures.encode_runs(picture)


def decoded(data, name):
    """The inverse, for the picture field ``name``."""
    return pictures.decode(data) if len(fields.SAMPLE[name].shape) == 3 else pictures.decode_runs(data)


def manifest_hash(manifest):
    """SHA-256 of the manifest's content, its own ``hash`` aside."""
    content = {key: value for key, value in manifest.items() if key != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_manifest(folder):
    """The manifest; InputError when it is missing (half-written pack), of another format version, or altered."""
    path = folder / MANIFEST
    again = "run the packing again: it goes on where it stopped"
    if not folder.is_dir():
        raise InputError(folder, "does not exist", "pack the data set first (handlib pack, or notebook 01)")
    if not path.exists():
        problem = "is half written (no manifest.json)" if (folder / PLAN).exists() else "is no pack (no manifest.json)"
        raise InputError(folder, problem, again)
    manifest = read_json(path, again)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise InputError(
            path, f"has format {shown(found)}, this version reads {FORMAT}", "pack the data set anew", field="format"
        )
    if manifest.get("hash") != manifest_hash(manifest):
        raise InputError(path, "does not match its own hash: it was altered", "pack the data set anew", field="hash")
    return manifest
