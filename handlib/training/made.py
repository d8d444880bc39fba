"""What a network said about the samples of a pack, beside the truth: measured, cut, kept in files."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from handlib import npz, protocols
from handlib.files import InputError, require, write_atomic
from handlib.training import large

ROWS = 1024  # measured at a time


@dataclasses.dataclass(frozen=True)
class Predictions:
    """``predictions`` and ``truth``: {official name: (N, ...) array} for protocols.evaluate; ``index``: (N,) places in
    the pack; ``facts``: what they were made with (root_depth, ...), and ``options`` of the protocols that go with it.

    Where ``truth`` has ``known`` (N,), only these rows are measured. Large arrays are memory-mapped (`large`).
    """

    predictions: dict
    truth: dict
    index: np.ndarray
    facts: dict = dataclasses.field(default_factory=dict)

    def __len__(self):
        return len(self.index)

    def evaluate(self, protocol, **options):
        """The figures of a protocol, a pandas.Series."""
        if "known" in self.truth:
            return self.running(protocol, **options).figures()
        return protocols.evaluate(protocol, self.predictions, self.truth, **self.options(protocol) | options)

    def running(self, protocol, **options):
        """A `protocols.Running` that has seen these rows; others' can be merged into it."""
        state = protocols.running(protocol, **self.options(protocol) | options)
        for start in range(0, len(self), ROWS):
            some = self.rows(slice(start, start + ROWS)).counted()
            if len(some):
                state.update(some.predictions, some.truth)
        return state

    def per_sample(self, protocol, **options):
        """The errors of each row that is measured, see `protocols.per_sample`."""
        counted = self.counted()
        return protocols.per_sample(protocol, counted.predictions, counted.truth, **self.options(protocol) | options)

    def options(self, protocol):
        """Those of ``facts["options"]`` that a protocol takes."""
        given = self.facts.get("options", {})
        return {name: given[name] for name in protocols.options(protocol) if name in given} if given else {}

    def counted(self):
        """The rows that are measured: those of which the truth is known, where it says so."""
        if "known" not in self.truth:
            return self
        rows = self if self.truth["known"].all() else self.rows(self.truth["known"])
        return dataclasses.replace(rows, truth={name: rows.truth[name] for name in rows.truth if name != "known"})

    def rows(self, chosen):
        """The given rows only (a slice, a mask or places)."""
        cut = [{name: large.taken(array, chosen) for name, array in group.items()}
               for group in (self.predictions, self.truth)]  # fmt: skip
        return Predictions(*cut, self.index[chosen], self.facts)

    def known(self):
        """Names of the true arrays of which anything is known: a number (not all NaN), of masks a yes."""
        return {
            name for name, array in self.truth.items()
            if (array.any() if name == "known" else array.dtype.kind != "f" or not large.all_nan(array))
        }  # fmt: skip

    def with_known_truth(self, known=None):
        """The same without true arrays of which nothing is known; known: what is (None: what `known` gives)."""
        known = self.known() if known is None else known
        if "known" in self.truth and "known" not in known:
            return dataclasses.replace(self, truth={})
        return dataclasses.replace(self, truth={name: self.truth[name] for name in self.truth if name in known})

    def save(self, path, compressed=True):
        """Write one .npz file, whole or not at all; large arrays lie beside it, one .npy file each, which it names."""
        path, beside, within = Path(path), {}, {}
        key = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode() + self.index.tobytes()).hexdigest()[:12]
        for group, table in (("predictions", self.predictions), ("truth", self.truth)):
            for name, array in table.items():
                if array.nbytes <= large.IN_MEMORY:
                    within[f"{group}/{name}"] = array
                    continue
                beside[f"{group}/{name}"] = f"{path.stem}.{group}.{name}.{key}.npy"
                with write_atomic(path.with_name(beside[f"{group}/{name}"])) as temporary:
                    np.save(temporary, array)
        said = {"facts": np.array(json.dumps(self.facts)), "beside": np.array(json.dumps(beside))}
        with write_atomic(path) as temporary, open(temporary, "wb") as file:
            (np.savez_compressed if compressed else np.savez)(file, index=self.index, **said, **within)
        for group in ("predictions", "truth"):
            for old in path.parent.glob(f"{path.stem}.{group}.*.npy"):
                if old.name not in beside.values():
                    old.unlink()

    @classmethod
    def load(cls, path):
        """Read what ``save`` wrote. InputError when a file is missing or another kind of file."""
        mend, groups = "make it again with Predictions.save", {"predictions": {}, "truth": {}}
        found = npz.read(require(path, "write it first with Predictions.save"), mend)
        try:
            index, facts = found.pop("index"), json.loads(str(found.pop("facts")))
            for key, name in json.loads(str(found.pop("beside", "{}"))).items():
                found[key] = npz.read_array(Path(path).with_name(name), mend, mmap_mode="c")
            for key, array in found.items():
                group, _, name = key.partition("/")
                groups[group][name] = array
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(path, f"holds no predictions ({error!r})", mend) from error
        for key, array in found.items():
            if index.ndim != 1 or index.dtype.kind not in "iu" or array.shape[:1] != index.shape:
                raise InputError(path, f"has shape {array.shape} for samples {index.shape}", mend, field=key)
        if not isinstance(facts, dict):
            raise InputError(path, f"are {type(facts).__name__}, not a dict", mend, field="facts")
        return cls(**groups, index=index, facts=facts)
