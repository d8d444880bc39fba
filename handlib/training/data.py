"""Batches of a pack for a network: which samples, in which order, cropped how.

Every random draw is a function of (seed, round through the pack, index of the sample), never of a worker's or a
process's own state: any number of workers and devices, and a resumed training, see the same pictures.
"""

import inspect
import os

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate, default_convert

from handlib import crops, geometry, processes
from handlib.files import InputError, require_known
from handlib.training import faults
from handlib.training.mixing import Mixture

# By the `kind` of a network's ``input``: the crop, how its augmentation is drawn, and crops of a whole batch where
# these are quicker.
CROPS = {
    geometry.HandPairInput: (crops.hand_pair, crops.draw, None),
    geometry.HandInput: (crops.single_hand, crops.draw_single, None),
    geometry.ManoInput: (crops.mano_hand, crops.draw_mano, None),
    (geometry.PersonInput, "body"): (crops.person, crops.draw_person, crops.persons),
    (geometry.PersonInput, "hand"): (crops.person_hand, crops.draw_mano, crops.persons),
}
WITHOUT_DEPTH = (geometry.ManoInput, geometry.PersonInput)  # inputs of networks that take no depth of a root


def kind(spec):
    """What a network's ``input`` is known by: its type, and the part that it shows where it may show several."""
    return (type(spec), spec.part) if hasattr(spec, "part") else type(spec)


def known(table, spec, what):
    """The entry of a table by `kind`; InputError where there is none."""
    if kind(spec) not in table:
        name = type(spec).__name__ + (f" of a {spec.part}" if hasattr(spec, "part") else "")
        raise InputError("network", f"its input, {name}, has no {what}", "use another network", "input")
    return table[kind(spec)]


def subset(length, samples=None):
    """``samples`` indices evenly spaced over 0 .. length-1 (all when None or more than there are)."""
    if samples is None or samples >= length:
        return np.arange(length)
    return np.round(np.linspace(0, length - 1, samples)).astype(np.int64)


class Crops(Dataset):
    """Items of a pack cropped for a network. Asked for (round, index), gives the crop's item with ``index`` added; for
    a list of them, `batch`.

    ``spec``: the network's ``input``; ``augmentation``: strengths by name for the crop's draw, None for none; ``meta``:
    whether the items keep theirs (prediction needs it, training does not); ``published``: crop with the published
    faults, where the crop has any.
    """

    def __init__(self, pack, spec, root_depth, augmentation=None, seed=0, meta=False, published=False):
        self.pack, self.spec, self.root_depth = pack, spec, root_depth
        self.augmentation, self.seed, self.meta = augmentation, seed, meta
        self.options = {"published": True} if published else {}
        self.crop, self.draw, self.crops = known(CROPS, spec, "crop of a pack's samples")
        if augmentation is not None:
            require_known(augmentation, list(inspect.signature(self.draw).parameters)[1:], "augmentation")

    def __len__(self):
        return len(self.pack)

    def __getitem__(self, place):
        index = place[1]
        item = self.crop(self.pack[index], self._drawn(place), self.root_depth, self.spec, **self.options)
        if not self.meta:
            item.pop("meta")
        return item | {"index": index}

    def __getitems__(self, places):  # a DataLoader asks so
        try:
            return self.batch(places)
        except Exception as error:
            if faults.is_of_machine(error):
                raise
            return faults.failed(self._blamed(places, error))

    def _blamed(self, places, error):
        """The error of the first sample that fails by itself."""
        for place in places:
            try:
                self.batch([place])
            except Exception as own:
                it = faults.of_sample(own, self.pack, place[1])
                it.__cause__ = own if it is not own else None
                return it
        return RuntimeError(f"samples {[index for _, index in places]}, each of which is fine: {error}")

    def batch(self, places):
        """The items of (round, index) pairs, stacked as tensors (B, ...)."""
        if self.crops is None:
            return default_collate([self[place] for place in places])
        samples, drawn = [self.pack.lazy(index) for _, index in places], [self._drawn(place) for place in places]
        made = self.crops(samples, drawn, self.spec, **self.options)
        meta = {"meta": default_convert(made.pop("meta"))} if self.meta else {}
        return {name: made[name] for name in ("image", "targets")} | meta | {"index": torch.tensor(places)[:, 1]}

    def _drawn(self, place):
        if self.augmentation is None:
            return None
        return self.draw(np.random.default_rng([self.seed, *place]), **self.augmentation)


class Order(Sampler):
    """The (round, index) pairs of one process. A step uses the same ``batch`` samples whatever the size of ``world``.

    A round goes once through ``indices``, or as a `mixing.Mixture` says, in the order of (seed, round); the copies of
    a sample in a round have numbers of their own. An epoch is one round cut into batches; with
    ``steps`` it is that many steps, in as many rounds as they take. Inside a batch the passes follow one another, and
    each pass is dealt to the processes in blocks of ``per_device``. Without ``drop_last`` the last batch is filled up
    from the next round, so that every step weighs the same.
    """

    def __init__(
        self, indices, batch, per_device, *, seed=0, shuffle=True, drop_last=True, steps=None, rank=0, world=1
    ):
        self.mixture = indices if isinstance(indices, Mixture) else Mixture([indices])
        self.batch, self.per_device, length = batch, per_device, len(self.mixture)
        self.seed, self.shuffle, self.rank, self.world, self.epoch = seed, shuffle, rank, world, 0
        self.steps = steps or (length // batch if drop_last else -(-length // batch))

    def set_epoch(self, epoch):  # Lightning calls it before each epoch
        self.epoch = epoch

    def __len__(self):
        return self.steps * self.batch // self.world

    def __iter__(self):
        count = self.steps * self.batch
        rounds = -(-count // len(self.mixture))
        numbers = np.arange(rounds) + self.epoch * rounds
        places = np.concatenate([self._round(number) for number in numbers])[:count]
        mine = places.reshape(-1, self.world, self.per_device, 2)[:, self.rank].reshape(-1, 2)
        return (tuple(place) for place in mine.tolist())

    def _round(self, number):
        """(samples, 2): a number that no other copy of the sample has, and its place."""
        rng = np.random.default_rng([self.seed, number])
        places = self.mixture.round(rng) + [number * self.mixture.copies, 0]
        return places[rng.permutation(len(places))] if self.shuffle else places


def loader(items, order, batch, workers=0, drop_last=False):
    """A DataLoader of `Crops` that draws nothing from the global random state and keeps each worker to one thread. A
    sample that cannot be read raises an error that names it (`faults.of_sample`), whichever process read it.
    """
    return _Loader(
        items, batch_size=batch, sampler=order, num_workers=workers, drop_last=drop_last, worker_init_fn=_one_thread,
        collate_fn=_as_it_is, persistent_workers=workers > 0, pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),
    )  # fmt: skip


class _Loader(DataLoader):
    def __iter__(self):
        batches = super().__iter__()
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except RuntimeError as error:
                faults.tell_signal(getattr(batches, "_workers", ()), error)
                raise
            if isinstance(batch, faults.Failed):
                batch.reraise()
            yield batch


def _as_it_is(batch):
    return batch


def workers(wanted):
    """At most ``wanted``, and one less than the processors this process may use: the last one feeds the network."""
    return max(0, min(wanted, len(os.sched_getaffinity(0)) - 1)) if hasattr(os, "sched_getaffinity") else wanted


def _one_thread(_):
    processes.one_thread()
