"""Several packs in one training, as Hand4Whole and OSX mix them: groups of data sets that weigh the same.

In a round every group gives as many samples as the largest has: each of its own as often as all of them fit in, and for
the rest as many different ones, drawn anew in each round (the published code draws these with repetition). Packs
inside a group are put one after the other.
"""

import dataclasses

import numpy as np

from handlib import recipes
from handlib.files import InputError


@dataclasses.dataclass(frozen=True)
class Whose:
    """Which sample it is: the pack's folder, its place and its key there, and its data set."""

    pack: str
    index: int
    key: str
    dataset: str


def whose(pack, place):
    """`Whose` sample a place of one pack is, or of `Packs`."""
    if isinstance(pack, Packs):
        return pack.whose(place)
    key = str(pack.index["key"].iloc[place])
    return Whose(str(pack.folder), place, key, pack.manifest["dataset"])


class Packs:
    """Packs one after the other, as one."""

    def __init__(self, packs):
        self.packs = list(packs)
        self.starts = np.cumsum([0, *(len(pack) for pack in self.packs)])

    def __len__(self):
        return int(self.starts[-1])

    def __getitem__(self, place):
        pack, place = self._of(place)
        return pack[place]

    def lazy(self, place):
        """See `handlib.packs.Pack.lazy`."""
        pack, place = self._of(place)
        return pack.lazy(place)

    def _of(self, place):
        which = int(np.searchsorted(self.starts, place, "right")) - 1
        return self.packs[which], place - int(self.starts[which])

    def whose(self, place):
        """`Whose` sample this is."""
        pack, place = self._of(place)
        return whose(pack, place)


class Mixture:
    """Which samples a round goes through. groups: arrays of places in the packs together.

    ``copies``: how often a sample can come in one round; len(): samples of a round.
    """

    def __init__(self, groups):
        self.groups = [np.asarray(group) for group in groups]
        self.largest = max(len(group) for group in self.groups)
        self.copies = max(-(-self.largest // len(group)) for group in self.groups)

    def __len__(self):
        return self.largest * len(self.groups)

    def round(self, rng):
        """(len(self), 2) of each sample: which of its copies in this round it is, and its place."""
        return np.concatenate([self._part(group, rng) for group in self.groups])

    def _part(self, group, rng):
        whole, rest = divmod(self.largest, len(group))
        copy, place = np.repeat(np.arange(whole), len(group)), np.tile(group, whole)
        if rest:
            copy = np.concatenate([copy, np.full(rest, whole)])
            place = np.concatenate([place, rng.permutation(group)[:rest]])
        return np.stack([copy, place], 1)


def arranged(recipe, given):
    """The packs of a training in groups, in the recipe's order. given: a pack, or a list of them.

    One pack is trained on alone. InputError for one of a data set that the recipe does not name, and where several are
    given but one that it mixes is not there.
    """
    packs = list(given) if isinstance(given, list | tuple) else [given]
    if not packs:
        raise InputError("packs", "there is none", "give a pack, or a list of packs")
    for pack in packs:
        require_its(recipe, pack, {recipe.dataset, *recipe.mixed()})
    if len(packs) == 1:
        return [packs]
    groups = recipe.mix or ((recipe.dataset,),)
    held = [pack.manifest["dataset"] for pack in packs]
    missing = [name for group in groups for name in group if name not in held]
    if missing:
        mend = f"give a pack of {', '.join(missing)}; or one pack alone; or mix={_without(groups, missing)}"
        raise InputError(f"recipe {recipe.name}", f"mixes {_words(groups)}; there is no {missing[0]}", mend, "mix")
    return [[pack for name in group for pack in packs if pack.manifest["dataset"] == name] for group in groups]


def _words(groups):
    return " half and half with ".join(" and ".join(group) for group in groups)


def _without(groups, missing):
    kept = [[name for name in group if name not in missing] for group in groups]
    return [group for group in kept if group]


def require_its(recipe, pack, datasets):
    """InputError where a pack is of none of these data sets, or of another way of splitting than the recipe is for."""
    options = pack.manifest["options"]
    found, mode = pack.manifest["dataset"], options.get("mode", options.get("setup"))
    mend = f"give a pack of it, or another recipe ({', '.join(recipes.names())})"
    if found not in datasets:
        wanted = " or ".join(repr(name) for name in sorted(datasets))
        raise InputError(pack.folder, f"is of dataset {found!r}; this recipe is for {wanted}", mend, "dataset")
    if recipe.mode != mode:
        raise InputError(pack.folder, f"is of mode {mode!r}; this recipe is for {recipe.mode!r}", mend, "mode")


def mixture(groups, samples=None):
    """Groups of packs -> `Packs` and their `Mixture`. samples: of each pack so many, evenly spaced."""
    from handlib.training.data import subset

    packs = Packs([pack for group in groups for pack in group])
    places = iter(packs.starts)
    chosen = [np.concatenate([next(places) + subset(len(pack), samples) for pack in group]) for group in groups]
    return packs, Mixture(chosen)


def hashes(groups):
    """What tells a training's data from another's: the pack's hash, or those of all by group."""
    found = [[pack.manifest["hash"] for pack in group] for group in groups]
    return found[0][0] if len(found) == 1 and len(found[0]) == 1 else found
