"""One shard's pictures: an LMDB file of encoded bytes under "<row>/<field>"."""

import os

import lmdb

from handlib import stores

FILE = "images.lmdb"
MEND = "the pack is damaged: delete the folder and pack again"
OPEN = 128  # files at a time; a pack of 10^7 samples has 1221, more than a process may have open on many systems
_SPARE = 1 << 20  # bytes that a commit writes at most beside the data
_START = 1 << 26  # bytes of address space to begin with; grows when full


class Writer:
    """Put encoded pictures into a new file; `close` flushes it to disk."""

    def __init__(self, path):
        self.path = path
        self.size = _START
        self.environment = lmdb.open(str(path), map_size=self.size, subdir=False, lock=False, sync=False, meminit=True)

    def put(self, row, name, data):
        while True:
            try:
                with self.environment.begin(write=True) as transaction:
                    transaction.put(_key(row, name), data, append=False)
                return
            except lmdb.MapFullError:
                self.size *= 2
                self.environment.set_mapsize(self.size)
            except lmdb.Error:
                self._require_space(len(data) + _SPARE)
                raise

    def _require_space(self, size):
        """OSError where the disk is full: LMDB calls a write that was cut short an input/output error."""
        with open(f"{self.path}.space", "wb") as probe:
            probe.write(bytes(size))
        os.unlink(probe.name)

    def close(self):
        self.environment.sync(True)
        self.environment.close()


class Stores:
    """The shards' files, opened when first read."""

    def __init__(self, folders):
        self.folders, self.opened = folders, {}

    def get(self, shard, row, name):
        """The bytes, or None where the row has no such picture."""
        store = self.opened.get(shard)
        if store is None:  # several threads may come this way: each goes on with what it has opened
            if len(self.opened) >= OPEN:
                self.opened.pop(next(iter(self.opened)), None)
            store = self.opened[shard] = stores.Store(self.folders[shard] / FILE, MEND)
        return store.get(_key(row, name))


def _key(row, name):
    return f"{row:08d}/{name}".encode()
