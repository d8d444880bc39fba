"""Run by training/test_stopping.py in two processes: an undisturbed training, and one that is stopped and killed."""

import json
import os
import signal
import sys
from pathlib import Path

import torch
import toy

from handlib import training
from handlib.training.stopping import Stopped

SAMPLES, EPOCHS = 24, 4


class Signalling(toy.Pack):
    """A signal comes to this process while the ``at``-th sample is read (0: none)."""

    def __init__(self, signum=signal.SIGUSR1, at=0):
        super().__init__(SAMPLES)
        self.signum, self.left = signum, at

    def __getitem__(self, index):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.signum)
        return super().__getitem__(index)


def fit(out, pack, rank):
    recipe = toy.recipe(optimizer="adam", epochs=EPOCHS, per_device_batch=2)
    fitted = training.fit(recipe, pack, out, net=toy.Net(0.3), accelerator="cpu", devices=2)
    torch.save(fitted.net.state_dict(), out / f"weights_{rank}.pt")


def main(folder, again):
    toy.install()
    rank, own = int(os.environ["SLURM_PROCID"]), SAMPLES // 2  # samples that a process reads in an epoch
    if again:
        return fit(folder / "cut", toy.Pack(SAMPLES), rank)
    fit(folder / "whole", toy.Pack(SAMPLES), rank)
    try:  # the second process alone has the signal, in the second epoch
        fit(folder / "cut", Signalling(at=own + own // 2 if rank == 1 else 0), rank)
    except Stopped as stopped:
        (folder / f"stopped_{rank}.json").write_text(json.dumps(stopped.code))
    fit(folder / "cut", Signalling(signal.SIGKILL, own + 3 if rank == 1 else 0), rank)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "again")
