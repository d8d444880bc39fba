"""InterHand2.6M's splits and DIGIT's reduced ones: which pictures, in which order."""

import random

import numpy as np

from handlib.files import InputError

SPLITS = ("train", "val", "test")
_MINI = 1000  # pictures
_SMALL = {"train": 0.1, "val": 0.25, "test": 0.25}
NAMES = (*SPLITS, *(size + split for size in ("mini", "small") for split in SPLITS))


def base_of(split):
    """'minival' -> 'val'. Raises InputError for an unknown split."""
    if split not in NAMES:
        mend = f"use one of: {', '.join(NAMES)}"
        if split == "tinytrain":  # the published code takes the name and then trains on everything
            mend += " (the published 'tinytrain' is the full training set: 'train' here)"
        raise InputError("split", f"InterHand2.6M has no split '{split}'", mend, field="split")
    return split.removeprefix("mini").removeprefix("small")


def positions(split, count):
    """Places in file order, in the order of DIGIT's reduced splits: (M,) int64 of 0..count-1.

    The published code seeds Python's random module with 1, draws one integer, and then the sample. Raises InputError
    for an unknown split, or a mini split of fewer than 1000 pictures.
    """
    base = base_of(split)
    if split == base:
        return np.arange(count)
    rng = random.Random(1)
    rng.randint(0, 100)
    wanted = _MINI if split.startswith("mini") else int(_SMALL[base] * count)
    if wanted > count:
        raise InputError(
            "split", f"'{split}' keeps {wanted} pictures, '{base}' has only {count} here", f"use '{base}'", "split"
        )
    return np.array(rng.sample(range(count), wanted), np.int64)


def official_order(interacting):
    """Single hands first, then interacting ones, each in the given order: (N,) bool -> (N,) places."""
    return np.concatenate([np.flatnonzero(~interacting), np.flatnonzero(interacting)])
