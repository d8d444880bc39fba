"""Opening a pack, and random access to its samples."""

import bisect
import functools
import itertools
import os
from pathlib import Path

import numpy as np

from handlib import inputs, pictures
from handlib.files import InputError, sha256
from handlib.packs import checking, layout, store


class Lazy(dict):
    """A sample whose pictures are decoded each time they are asked for, and not before."""

    def __init__(self, pack, i):
        super().__init__(pack.labels(i))
        self.pack = pack

    def __missing__(self, name):
        if name not in self.pack.manifest["images"]:
            raise KeyError(name)
        return self.pack.picture(self["index"], name)


class Pack:
    """A packed data set: ``len(pack)``, ``pack[i]``, ``pack.index``, ``pack.manifest``.

    It may be handed to other processes (fork or spawn); files are opened in each when first read. ``pack[i]`` is a
    sample in the vocabulary of `handlib.fields`: pictures decoded (RGB uint8; part masks of class numbers, zeros
    where the sample has none), arrays as copies, the index columns, and ``index``, its place in the pack.
    """

    def __init__(self, folder, manifest):
        self.folder, self.manifest = Path(folder), manifest
        shards = [layout.shard_folder(self.folder, number) for number in range(len(manifest["shards"]))]
        self._ends = list(itertools.accumulate(manifest["shards"]))
        self._stores = store.Stores(shards)
        self._arrays = None

    def __repr__(self):
        return f"<Pack {self.manifest['dataset']} {self.manifest['split']}: {len(self)} samples in {self.folder}>"

    def __getstate__(self):
        return {"folder": self.folder, "manifest": self.manifest}

    def __setstate__(self, state):
        self.__init__(**state)

    def __len__(self):
        return self.manifest["samples"]

    def __getitem__(self, i):
        sample = self.labels(i)
        shape = sample.get("height", 1), sample.get("width", 1)
        for name in self.manifest["images"]:  # "image" before "part_mask"
            picture = self.picture(sample["index"], name)
            sample[name] = np.zeros(shape, np.uint8) if picture is None else picture
            shape = sample[name].shape[:2]
        return sample

    def labels(self, i):
        """All of ``pack[i]`` but its pictures."""
        place = range(len(self))[i]  # negative places count from the end; IndexError beyond
        sample = {name: np.array(self.array(name)[place]) for name in self.manifest["arrays"]}
        checking.require_finite(self.folder, place, sample)
        sample |= self._rows[place]
        sample["index"] = place
        return sample

    def lazy(self, i):
        """``pack[i]``, whose pictures are decoded each time they are asked for: many can be held at once."""
        return Lazy(self, i)

    def picture(self, place, name="image"):
        """A decoded picture, or None where the sample has none."""
        data = self.encoded(place, name)
        try:
            return None if data is None else layout.decoded(data, name)
        except pictures.BrokenPicture as error:
            raise InputError(self.folder, f"{name} of sample {place} {error}", store.MEND) from error

    def encoded(self, i, name="image"):
        """The stored bytes of a picture (JPEG as it was in the data set), or None where the sample has none."""
        place = range(len(self))[i]
        shard = bisect.bisect_right(self._ends, place)
        start = self._ends[shard - 1] if shard else 0
        return self._stores.get(shard, place - start, name)

    def array(self, name):
        """A whole field, (N, ...), read-only and memory-mapped. Raises KeyError naming the fields there are."""
        if self._arrays is None:
            self._arrays = {
                field: checking.array(self.folder, self.manifest, field) for field in self.manifest["arrays"]
            }
        if name not in self._arrays:
            raise KeyError(f"the pack has no field '{name}'; it has {', '.join(self._arrays)}")
        return self._arrays[name]

    @functools.cached_property
    def index(self):
        """The index as a pandas DataFrame, one row per sample."""
        return checking.index(self.folder, self.manifest).to_pandas()

    @functools.cached_property
    def _rows(self):
        from handlib.packs.rows import Rows

        return Rows(self.folder, self.manifest["shards"], layout.ROWS in self.manifest["files"])

    def check(self):
        """Compare the hash of every file with the manifest's. Raises InputError for the first that differs."""
        for name, expected in self.manifest["files"].items():
            if sha256(self.folder / name) != expected["sha256"]:
                raise InputError(self.folder / name, "differs from what the manifest says", store.MEND)


def open_pack(folder):
    """Open a packed folder (`Pack`).

    Raises InputError, saying why, for a folder that is no pack or only half of one, a manifest of another format or
    one that was altered, and files that are missing or have another size than the manifest says. `Pack.check`
    compares their content, too.
    """
    folder = Path(folder)
    manifest = layout.read_manifest(folder)
    checking.require_sound(folder / layout.MANIFEST, manifest)
    inputs.note("pack", folder)
    for name, expected in manifest["files"].items():
        try:
            size = os.stat(folder / name).st_size
        except OSError as error:
            raise InputError(folder / name, f"of this pack is missing ({type(error).__name__})", store.MEND) from error
        if size != expected["size"]:
            raise InputError(folder / name, f"has {size} bytes, its manifest says {expected['size']}", store.MEND)
    return Pack(folder, manifest)
