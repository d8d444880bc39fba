"""Totals that grow batch by batch, and rows that are lined up before.

A figure is made of sums over samples. They are kept as whole numbers of 2**-40 units, so a total does not depend on
the order of the samples, the size of the batches or the number of processes, to the last bit.
"""

import importlib
import pickle
import warnings
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas

from handlib.files import InputError
from handlib.protocols import arrays

CHUNK = 2048  # samples computed at a time: memory stays flat in their number
_BITS = 40
_LARGEST = 2.0**21  # of one sample's statistic; beyond it lies no error that a unit mistake does not explain
_LOW = 20  # sums of the lower and the upper bits apart cannot overflow 64 bits


class Running:
    """Figures of one protocol while the samples come in.

    ``update`` with batches, ``merge`` what other processes have gathered (it pickles), ``figures`` at any time.
    Made by `handlib.protocols.running`.
    """

    def __init__(self, protocol, module, options):
        self.protocol, self.options, self.samples = protocol, options, 0
        self._module, self._totals, self._seen = module.__name__, {}, set()

    @property
    def module(self):
        return importlib.import_module(self._module)

    def update(self, predictions, truth):
        """Add a batch of samples; returns self. Raises InputError as `handlib.protocols.evaluate`; then nothing of the
        batch is added.
        """
        ids = _ids(truth, "truth")
        if ids is not None and not self._seen.isdisjoint(ids):
            again = next(name for name in ids if name in self._seen)
            raise InputError("truth", f"sample '{again}' came before", "give every sample once", field="id")
        totals, samples = dict(self._totals), self.samples
        for errors in self._errors(predictions, truth):
            sums = self.module.sums(errors, **self.options)
            totals = _joined(totals, {name: _whole(array, name) for name, array in sums.items()})
            samples += len(next(iter(sums.values())))
        self._totals, self.samples = totals, samples
        self._seen |= set(ids or ())
        return self

    def _errors(self, predictions, truth):
        for mine, theirs, start in parts(self.module, predictions, truth):
            with arrays.rows_from(start):
                yield self.module.per_sample(mine, theirs, **self.options)

    def per_sample(self, predictions, truth):
        """Errors of every sample, chunks joined; nothing is added."""
        found = list(self._errors(predictions, truth))
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}

    def merge(self, other):
        """Add what another Running of the same protocol and options has gathered; returns self."""
        if self.protocol != other.protocol or pickle.dumps(self.options) != pickle.dumps(
            other.options
        ):  # may be arrays
            mine, theirs = (f"{state.protocol} {_words(state.options)}" for state in (self, other))
            raise InputError("running", f"{theirs} cannot join {mine}", "merge states of one protocol and its options")
        again = self._seen & other._seen
        if again:
            mend = "give every sample to one process only"
            raise InputError("running", f"sample '{min(again)}' is in both", mend, field="id")
        self._totals, self.samples = _joined(self._totals, other._totals), self.samples + other.samples
        self._seen |= other._seen
        return self

    def totals(self):
        """{name: float64 array} added over all samples."""
        if not self.samples:
            raise InputError("truth", "holds no samples", "give at least one sample")
        return {
            name: np.array(np.asarray(total, object) / 2**_BITS, np.float64) for name, total in self._totals.items()
        }

    def figures(self, warn=True):
        """The figures so far, a pandas.Series (see `handlib.protocols.evaluate`); ``warn``: of what they hide."""
        totals = self.totals()
        for remark in self.module.remarks(totals, **self.options) if warn else ():
            warnings.warn(f"{self.protocol}: {remark}", stacklevel=3)
        series = pandas.Series(self.module.figures(totals, **self.options), dtype=float, name=self.protocol)
        facts = {"alignment": self.module.ALIGNMENT, "options": _words(self.options), "samples": self.samples}
        series.attrs = {"protocol": self.protocol, **facts}
        return series


def _words(options):
    """Options that pandas can carry along: of named arrays only the names."""
    return {name: sorted(value) if isinstance(value, Mapping) else value for name, value in options.items()}


def _whole(values, name):
    """Floats (N, ...) -> their sum over N in units of 2**-40, an array of Python's integers, which have no end."""
    values = np.asarray(values, np.float64)
    if not (np.abs(values) < _LARGEST).all():  # NaN fails too
        row = np.flatnonzero(~(np.abs(values.reshape(len(values), -1)) < _LARGEST).all(1))[0] + arrays.first_row()
        raise InputError(
            "predictions", f"row {row} gives no sane '{name}'", "look at its units and for infinite numbers"
        )
    whole = np.rint(values * 2.0**_BITS).astype(np.int64)
    low = (whole & (2**_LOW - 1)).sum(0)
    high = (whole >> _LOW).sum(0)
    return high.astype(object) * 2**_LOW + low.astype(object)


def _joined(first, second):
    """Totals added; either may be empty, where no sample has come yet."""
    if not first or not second:
        return first or second
    return {name: first[name] + second[name] for name in first}


def parts(module, predictions, truth):
    """(predictions, truth, number of the first row) chunk by chunk, lined up by "id" where both have it."""
    if hasattr(module, "chunks"):
        yield from ((mine, theirs, 0) for mine, theirs in module.chunks(predictions, truth))
        return
    for where, given in (("predictions", predictions), ("truth", truth)):
        if not isinstance(given, Mapping):
            raise InputError(where, f"is {type(given).__name__}, not a mapping", "give a dict of named arrays")
    predictions = _lined_up(predictions, truth, getattr(module, "EXTRA_IDS", False))
    n = _rows(truth)
    for where, given in (("predictions", predictions), ("truth", truth)):
        odd = [name for name, array in given.items() if n > CHUNK and _length(array) not in (n, None)]
        if odd:
            problem = f"has {_length(given[odd[0]])} rows where others have {n}"
            raise InputError(where, problem, "give every field a row for every sample", field=odd[0])
    for start in range(0, n, CHUNK):
        mine, theirs = (
            {name: array[start : start + CHUNK] if _length(array) == n else array for name, array in given.items()}
            for given in (predictions, truth)
        )
        yield mine, theirs, start


def _length(array):
    return len(array) if hasattr(array, "__len__") and getattr(array, "ndim", 1) else None


def _rows(truth):
    """How many samples: the length that most fields have."""
    lengths = Counter(length for length in map(_length, truth.values()) if length is not None)
    n = lengths.most_common(1)[0][0] if lengths else 0
    if n == 0:
        raise InputError("truth", "holds no samples", "give at least one sample")
    return n


def _ids(given, where):
    """The field "id" as a list, each once; None where there is none."""
    if not isinstance(given, Mapping) or "id" not in given:
        return None
    ids = arrays.take(given, where, "id", (None,)).tolist()
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise InputError(where, f"sample '{repeated[0]}' is there twice", "give every sample once", field="id")
    return ids


def _lined_up(predictions, truth, extra_allowed):
    """Predictions in the order of truth's ids; as they are where one of them has no ids."""
    wanted, given = _ids(truth, "truth"), _ids(predictions, "predictions")
    if wanted is None or given is None or wanted == given:
        return predictions
    place = {name: number for number, name in enumerate(given)}
    missing = [name for name in wanted if name not in place]
    if missing:
        problem = f"lack {len(missing)} of {len(wanted)} samples, the first is '{missing[0]}'"
        raise InputError("predictions", problem, "predict every sample of truth", field="id")
    extra = set(given) - set(wanted)
    if extra and not extra_allowed:
        problem = f"have {len(extra)} samples that truth lacks, such as '{min(extra)}'"
        raise InputError("predictions", problem, "leave them out, or give their truth", field="id")
    order = [place[name] for name in wanted]
    return {
        name: arrays.as_array(array)[order] if _length(array) == len(given) else array
        for name, array in predictions.items()
    }
