"""The published settings of whole-body trainings, and that a setting of ours that differs is seen."""

import copy
import types

import numpy as np
import pytest
import torch

from handlib.networks.blocks import heads
from handlib.training import mixing
from handlib.verify import Row, Skip, wholebody_training
from handlib.verify.reference import shipped


def compared(ref, *checks):
    return [row for check in checks or wholebody_training.CHECKS for row in check(ref)]


def off(found):
    return [row.quantity.partition(",")[0] for row in found if isinstance(row, Row) and not row.ok]


def test_all_are_the_published_ones():
    found = compared(shipped("wholebody"))
    assert sum(isinstance(row, Row) for row in found) == 85 and not off(found)
    assert [skip.case for skip in found if isinstance(skip, Skip)] == [
        "pose2pose_face's rates and sets", "defaults of OSX's test.py and demo.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "value", "seen"),
    [
        ("hand4whole_training sets 2d", ["MSCOCO"], "training sets by group that differ"),
        ("hand4whole_training sets test", "AGORA", "tested on ehf"),
        ("hand4whole_training lr_dec_epoch", [4, 5], "learning rates of 6 epochs"),
        ("hand4whole_training optimizer", "SGD, momentum", "optimizer and its options that differ"),
        ("hand4whole_training agora_fine_tuning start", "nothing", "begins with reset_epoch"),
        ("pose2pose_training hand trainset_3d", ["FreiHAND"], "training sets by group that differ"),
        ("pose2pose_training face input", [256, 256], "input and volume"),
        ("osx_training schedule", "from lr to 1e-5 over all", "cosine's rates of 70 steps"),
        ("osx_training setting2_agora_benchmark smplx_loss_weight", 1, "weight of the SMPL-X terms"),
        ("osx_training setting1 snapshot", 12, "epochs"),
        ("osx_training setting1 sets", {"3d": ["AGORA"], "2d": []}, "projections teach the camera only"),
        ("osx_training defaults train.py encoder_setting", "osx_b", "train.py's network: osx_l"),
    ],
)
def test_a_setting_that_differs_is_seen(place, value, seen):
    ref = shipped("wholebody")
    stored = copy.deepcopy(ref.json(wholebody_training.FILE))
    *path, last = place.split()
    found = stored
    for name in path:
        found = found[name]
    assert last in found
    found[last] = value
    changed = types.SimpleNamespace(has=ref.has, json=lambda name: stored)
    assert seen in off(compared(changed, wholebody_training.settings, wholebody_training.osx_settings))


@pytest.mark.parametrize(
    ("part", "seen"),
    [
        (lambda self, group, rng: np.stack([group * 0, rng.permutation(group)], 1), "samples of a round"),
        (
            lambda self, group, rng: np.stack([np.zeros(self.largest, int), rng.choice(group, self.largest)], 1),
            "samples in another place than by the rule",
        ),
        (
            lambda self, group, rng: np.stack([np.zeros(self.largest, int), np.resize(group[:1], self.largest)], 1),
            "fillers of another group",
        ),
    ],
    ids=["once", "random", "first"],
)
def test_another_mixture_is_seen(monkeypatch, part, seen):
    monkeypatch.setattr(mixing.Mixture, "_part", part)
    assert seen in off(compared(shipped("wholebody"), wholebody_training.mixed))


def test_other_fresh_weights_are_seen(monkeypatch):
    def initialise(module):
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv1d):
            torch.nn.init.normal_(module.weight, std=0.0011)
            torch.nn.init.ones_(module.bias)
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.012)

    monkeypatch.setattr(heads, "initialise", initialise)
    found = off(compared(shipped("wholebody"), wholebody_training.fresh))
    assert [quantity.partition(":")[0] for quantity in found] == ["conv", "linear", "largest bias"]


def test_a_rule_that_nobody_knows_is_told():
    stored = shipped("wholebody").json(wholebody_training.FILE)
    stored["set_mixing"]["three_groups"] = "…"
    ref = types.SimpleNamespace(has=lambda name: True, json=lambda name: stored)
    assert [row.reason for row in compared(ref, wholebody_training.mixed) if isinstance(row, Skip)] == [
        "no check knows three_groups"
    ]
