"""Predictions made part by part, each kept in a file as soon as it is whole: a stopped run, or another number of ranks,
goes on with the parts that are there.

A part is some whole batches, always the same ones, so that the same numbers come out whoever predicts it.
"""

import collections
import dataclasses
import functools
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np

from handlib import protocols
from handlib.training import large
from handlib.training.made import Predictions

BATCHES = 64  # of a part at most; small sets are cut into as many parts


class Parts:
    """The parts of the predictions of ``places`` (N,) of a pack, in batches of ``batch``, in the folder ``folder``.

    facts: of the predictions; a part that was made with others, or of other places, is made anew.
    """

    def __init__(self, folder, places, batch, facts):
        self.folder, self.places, self.batch, self.facts = Path(folder), places, batch, facts
        batches = -(-len(places) // batch)
        self.rows = batch * max(1, min(BATCHES, -(-batches // BATCHES)))
        self._kept, self._said = set(), json.dumps(facts | {"batch": batch}, sort_keys=True)

    def __len__(self):
        return -(-len(self.places) // self.rows)

    def of(self, number):
        """The places of a part."""
        return self.places[number * self.rows : (number + 1) * self.rows]

    def missing(self, ranks):
        """Yield the numbers of the parts that this rank has to make; those that are kept are noted."""
        for number in ranks.dealt(len(self)):
            if not self._holds(number):
                yield number

    def _file(self, number):
        return self.folder / f"{number:06d}" / "part.npz"  # a folder each: what lies beside others is never listed

    def _holds(self, number):
        """Whether a part is there, by what its file says of itself: its arrays are not read."""
        try:
            with np.load(self._file(number), allow_pickle=False) as file:
                facts = json.loads(str(file["facts"]))
                known = facts.pop("known")
                same = json.dumps(facts, sort_keys=True) == self._said
                beside = json.loads(str(file["beside"])).values()
                if not same or not np.array_equal(file["index"], self.of(number)):
                    return False
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            return False
        if not all(self._file(number).with_name(name).exists() for name in beside):
            return False
        self._kept |= set(known)
        return True

    def keep(self, number, made):
        """Write a part."""
        known = made.known()
        facts = self.facts | {"batch": self.batch, "known": sorted(known)}
        dataclasses.replace(made, facts=facts).save(self._file(number), compressed=False)
        self._kept |= known

    def known(self, ranks):
        """Names of true arrays of which anything is known in any part; every rank has gone through `missing`."""
        return set().union(*ranks.shared(self._kept))

    def open(self, number, known=None):
        """A part's predictions."""
        made = dataclasses.replace(Predictions.load(self._file(number)), facts=self.facts)
        return made.with_known_truth(known)

    def running(self, names, known, ranks):
        """{protocol: `protocols.Running` that has seen all parts}, on every rank; each part is measured by one."""
        options = Predictions({}, {}, self.places[:0], self.facts).options
        mine = {name: protocols.running(name, **options(name)) for name in names}
        for number in ranks.dealt(len(self) if names else 0):
            part = self.open(number, known)
            for name, state in mine.items():
                state.merge(part.running(name))
        everyones = ranks.shared(mine)
        return {name: functools.reduce(lambda a, b: a.merge(b), [one[name] for one in everyones]) for name in names}

    def joined(self, known=None):
        """All parts as one `Predictions`."""
        groups, index = ({}, {}), [self.places[:0]]
        for number in range(len(self)):
            part = self.open(number, known)
            index.append(part.index)
            for rows, group in zip(groups, (part.predictions, part.truth), strict=True):
                for name, array in group.items():
                    rows.setdefault(name, large.Rows(self.folder)).add(array)
        whole = [{name: rows.array() for name, rows in group.items()} for group in groups]
        return Predictions(*whole, np.concatenate(index), self.facts)

    def remove(self):
        """Delete them, when what was wanted of them is kept elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Sorter:
    """Takes a rank's batches as they come and keeps every part when its last one is there. collector: makes an empty
    `predictions.Collector`; reached: how many batches of the whole lie behind the last one that came, which is about
    how far all ranks are.
    """

    def __init__(self, parts, ranks, collector):
        self.parts, self.ranks, self.collector, self.reached = parts, ranks, collector, 0
        self._coming, self._now, self._rows = collections.deque(), None, 0

    def __iter__(self):
        """The (round, place) pairs to predict, for a loader that asks for them ahead of what it gives."""
        for number in self.parts.missing(self.ranks):
            self._coming.append(number)
            yield from ((0, int(place)) for place in self.parts.of(number))

    def add(self, out, items):
        """Take a batch of the network's answers."""
        if self._now is None:
            self._now, self._rows = self.collector(), 0
        self._now.add(out, items)
        self._rows += len(items["index"])
        number = self._coming[0]
        self.reached = -(-(number * self.parts.rows + self._rows) // self.parts.batch)
        if self._rows == len(self.parts.of(number)):
            self.parts.keep(self._coming.popleft(), self._now.merged())
            self._now = None
