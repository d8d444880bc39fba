"""The index of a pack, one row at a time."""

import bisect
import functools
import itertools

import pyarrow as pa

from handlib.files import InputError
from handlib.packs import assembly, checking, layout, store


class Rows:
    """``rows[place]`` is a dict of a sample's index columns. ``counts``: how many rows each shard has.

    A shard's rows are looked through when the first of them is asked for, then memory-mapped: they take no memory of a
    process's own, however many there are. Of packs that were written without that file all rows are in memory.
    Raises InputError for a damaged file.
    """

    def __init__(self, folder, counts, mapped=True):
        self.folder, self.mapped, self._checked = folder, mapped, {}
        self._ends = list(itertools.accumulate(count for count in counts if count))

    def __getitem__(self, place):
        number = bisect.bisect_right(self._ends, place)
        row = place - (self._ends[number - 1] if number else 0)
        return {name: column[row].as_py() for name, column in self._columns(number).items()}

    def _columns(self, number):
        if number not in self._checked:
            path = self.folder / (layout.ROWS if self.mapped else layout.INDEX)
            try:
                batch = self._file.get_batch(number) if self.mapped else self._whole[number]
                batch.validate(full=True)
                names = batch.schema.names
                if not batch.schema.equals(assembly.schema(names)):
                    raise TypeError(f"its columns are {batch.schema}")
            except (pa.ArrowException, OSError, LookupError, UnicodeDecodeError, TypeError) as error:
                raise InputError(path, f"cannot be read ({error})", store.MEND) from error
            checking.require_whole(path, batch)
            starts = [0, *self._ends]
            if len(batch) != starts[number + 1] - starts[number]:
                raise InputError(path, f"has {len(batch)} rows of shard {number}, its manifest others", store.MEND)
            self._checked[number] = dict(zip(names, batch.columns, strict=True))
        return self._checked[number]

    @functools.cached_property
    def _file(self):
        return pa.ipc.open_file(pa.memory_map(str(self.folder / layout.ROWS)))

    @functools.cached_property
    def _whole(self):
        table = checking.index(self.folder, {"samples": self._ends[-1] if self._ends else 0}).combine_chunks()
        cuts = itertools.pairwise([0, *self._ends])
        return [table.slice(start, end - start).to_batches()[0] for start, end in cuts]
