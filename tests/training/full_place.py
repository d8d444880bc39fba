"""Run by test_faults.py where the disk of ``logs`` and shared memory are tiny: trains the toy until the one is full,
then the other, and prints what is said.
"""

import sys
from pathlib import Path

import numpy as np
import toy

from handlib import training
from handlib.training import data


def large(*arguments, **named):
    """A batch of these is more than shared memory holds."""
    return toy.crop(*arguments, **named) | {"more": np.zeros(16_384, np.float32)}


def fit(out, **settings):
    try:
        training.fit(toy.recipe(log_every=1, **settings), toy.Pack(), out, net=toy.Net(), accelerator="cpu")
    except RuntimeError as error:
        print(error)


if __name__ == "__main__":
    toy.install()
    out = Path(sys.argv[1])
    fit(out, epochs=40)
    data.CROPS[toy.Spec] = (large, toy.draw, None)
    data.os.sched_getaffinity = lambda process: {0, 1}
    fit(out / "other", workers=1)
