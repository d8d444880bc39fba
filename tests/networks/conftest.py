"""A network of three layers, registered as "tiny", so that loading and saving take no time."""

import sys
import types

import pytest
import torch
from torch import nn

from handlib import geometry, networks
from handlib.networks.base import KeyTable, Network


class Tiny(Network):
    name = "tiny"
    input = geometry.HandPairInput(size=(8, 8))
    keys = KeyTable({"body.": "net.trunk.features.", "head.": "net.fc."})
    signature = {"net.trunk.features.0.weight": (4, 3, 3, 3)}

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)

    def forward(self, images, stages=False):
        return {"answer": self.head(self.body(self.prepared(images)).mean((2, 3)))}


@pytest.fixture
def tiny(monkeypatch):
    """A Tiny net with seeded weights; `networks` knows it by name."""
    monkeypatch.setitem(sys.modules, "handlib.networks.tiny", types.SimpleNamespace(Tiny=Tiny))
    monkeypatch.setitem(networks._CLASSES, "tiny", ("tiny", "Tiny"))
    torch.manual_seed(0)
    return networks.create("tiny")


@pytest.fixture
def published(tiny):
    """Its state dict as a training framework would have written it."""
    return {f"model.{tiny.keys.published(name)}": value.clone() for name, value in tiny.state_dict().items()}
