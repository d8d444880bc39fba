"""Numbers of many annotations, by key, in few bytes each."""

import array

import numpy as np

from handlib.datasets import coco


class Rows:
    """Rows of named numbers. shapes: {name: shape}; kind: "f" single, "d" double precision."""

    def __init__(self, shapes, kind="f"):
        self.shapes, self.kind = shapes, kind
        self._places, self._numbers = {}, array.array(kind)

    def __contains__(self, key):
        return key in self._places

    def __len__(self):
        return len(self._places)

    def add(self, key, path, members):
        """Take a row in. members: {name: (the object that holds it, what errors call that)}; a name left out is NaN.

        A key that was there before takes the later row. Raises InputError naming the member that is odd.
        """
        for name, shape in self.shapes.items():
            item, where = members.get(name, (None, None))
            found = np.full(shape, np.nan) if where is None else coco.numbers(path, item, name, shape, where)
            self._numbers.extend(found.ravel().tolist())
        self._places[key] = len(self._numbers) // self._width - 1

    @property
    def _width(self):
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def __getitem__(self, key):
        """{name: float64 array} of a key. Raises KeyError."""
        at = self._places[key] * self._width * self._numbers.itemsize
        row = np.frombuffer(self._numbers, self.kind, self._width, at).astype(np.float64)
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()])[:-1]
        parts = zip(self.shapes.items(), np.split(row, ends), strict=True)
        return {name: part.reshape(shape) for (name, shape), part in parts}

    def missing(self, keys):
        """Those of ``keys`` of which there is no row, as a set."""
        return set(keys) - set(self._places)
