"""A tiny network, crop and pack with the interfaces of the real ones, for the tests of training."""

import numpy as np
import pandas as pd
import torch

from handlib import protocols, recipes
from handlib.training import data, predictions


class Spec:
    """The toy's ``input``: its type decides the crop."""


class Net(torch.nn.Module):
    """No batch norm: its statistics depend on how a batch is cut into passes. Drop-out only where asked for."""

    name = "toy"
    input = Spec()

    def __init__(self, drop_out=0.0, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Dropout(drop_out), torch.nn.Linear(16, 2)
        )

    def forward(self, images):
        return {"value": self.layers(images)}

    def loss(self, out, targets):
        near = (out["value"] - targets["value"]).square().mean()
        small = 0.01 * out["value"].abs().mean()
        return {"near": near, "small": small, "total": near + small}


def draw(rng, noise=0.1):
    return rng.normal(0, noise, 6)


class Pack:
    """As an opened pack: length, samples, manifest."""

    def __init__(self, length=24, hash="abc"):
        rng = np.random.default_rng(0)
        self.x, self.manifest = rng.normal(size=(length, 6)), {"hash": hash, "dataset": "interhand", "options": {}}
        self.folder, self.index = "toys", pd.DataFrame({"key": [f"toy {number}" for number in range(length)]})

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return {"x": self.x[index]}


def crop(sample, augmentation=None, root_depth="gt", input=None):
    x = sample["x"] if augmentation is None else sample["x"] + augmentation
    value = np.array([x[:3].sum(), x[3:].prod()])
    return {"image": x.astype(np.float32), "targets": {"value": value.astype(np.float32)}, "meta": {"truth": value}}


def official(net, out, batch, pack):
    return {"value": out["value"]}, {"value": batch["meta"]["truth"]}


def evaluate(protocol, predictions, truth):
    return {"error": float(np.abs(predictions["value"] - truth["value"]).mean())}


class Running:
    """As `protocols.Running`, in what training needs of it."""

    def __init__(self):
        self.errors = []

    def update(self, predictions, truth):
        self.errors.append(np.abs(predictions["value"] - truth["value"]))

    def merge(self, other):
        self.errors += other.errors
        return self

    def figures(self):
        return {"error": float(np.concatenate(self.errors).mean())}


def recipe(**overrides):
    settings = {
        "name": "toy", "network": "toy", "protocol": "toy", "epochs": 4, "batch": 8, "per_device_batch": 4, "lr": 1e-2,
        "milestones": (3,), "precision": "32-true", "monitor": "error", "workers": 0, "log_every": 2,
        "augmentation": {"noise": 0.1},
    }  # fmt: skip
    return recipes.read(recipes.Recipe(**settings), **overrides)


def install(setitem=dict.__setitem__, setattr=setattr):
    """Make the toy's crop, official arrays and figures known."""
    setitem(data.CROPS, Spec, (crop, draw, None))
    setitem(predictions.OFFICIAL, Spec, official)
    setattr(protocols, "evaluate", evaluate)
    setattr(protocols, "running", lambda protocol: Running())
