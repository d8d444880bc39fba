"""Arrays that come batch by batch and may not fit into memory: meshes of whole bodies, 126 kB each, of a whole set.

What grows beyond `IN_MEMORY` goes to a file without a name, which vanishes with the array that maps it; to whoever uses
it, it is a numpy array like any other.
"""

import tempfile

import numpy as np

from handlib.atomic import naming_full_disk

IN_MEMORY = 2**26  # bytes of an array
_CHUNK = 2**24


class Rows:
    """Rows (n, …) of one array as they come; ``folder``: where the file lies that a large one needs (None: the system's
    place for temporary files).
    """

    def __init__(self, folder=None):
        self.folder, self.parts, self.bytes, self.count, self.file = folder, [], 0, 0, None

    def add(self, rows):
        """Take more rows; their shape and type are those of the first ones."""
        self.parts.append(np.ascontiguousarray(rows))
        self.bytes, self.count = self.bytes + rows.nbytes, self.count + len(rows)
        if self.file is not None or self.bytes > IN_MEMORY:
            self._write()

    def _write(self):
        with naming_full_disk(self.folder or tempfile.gettempdir()):
            self._spill()

    def _spill(self):
        if self.file is None:
            self.file = tempfile.TemporaryFile(dir=self.folder)
            self.dtype, self.shape = self.parts[0].dtype, self.parts[0].shape[1:]
        for part in self.parts:
            if (part.dtype, part.shape[1:]) != (self.dtype, self.shape):
                raise ValueError(f"rows of {part.dtype}{part.shape[1:]} after {self.dtype}{self.shape}")
            self.file.write(part.data)
        self.file.flush()
        self.parts = []

    def array(self):
        """All rows (N, …); a large array's pages are read when they are used, and changes to it stay in memory."""
        if self.file is None:
            return np.concatenate(self.parts)
        return np.memmap(self.file, self.dtype, "c", shape=(self.count, *self.shape))


def taken(array, chosen, folder=None):
    """``array[chosen]`` (a slice, a mask or places), which stays off memory where the array does."""
    if not isinstance(array, np.memmap) or isinstance(chosen, slice):
        return array[chosen]
    places = np.arange(len(array))[chosen]
    rows, step = Rows(folder), max(1, _CHUNK // max(1, array[:1].nbytes))
    for start in range(0, max(1, len(places)), step):
        rows.add(array[places[start : start + step]])
    return rows.array()


def all_nan(array):
    """Whether an array of floats holds nothing but NaN; it is read in parts, until a number comes."""
    step = max(1, _CHUNK // max(1, array[:1].nbytes))
    return all(np.isnan(array[start : start + step]).all() for start in range(0, len(array), step))
