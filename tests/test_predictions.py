"""Predictions of two-hand networks as the official evaluator takes them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from handlib import geometry, metrics, protocols, training
from handlib.files import InputError
from handlib.training import data, predictions
from handlib.verify.interhand_data import fixture_samples
from handlib.verify.reference import shipped


@pytest.fixture(scope="module")
def samples():
    return fixture_samples(shipped("interhand"), "test")


def oracle(samples, root_depth):
    """What ``predict`` would give for a network that answers with the targets."""
    net = SimpleNamespace(input=geometry.HandPairInput())
    items = data.Crops(samples, net.input, root_depth, meta=True)
    collector = predictions.Collector(net)
    for batch in data.loader(items, [(0, place) for place in range(len(samples))], 4):
        targets = batch["targets"]
        logits = torch.nn.functional.one_hot(targets["segm"], 33).movedim(-1, 1)
        collector.add(targets | {"hand_type_sigmoid": targets["hand_type"], "segm_logits": logits}, batch)
    return collector.merged()


def test_the_targets_are_a_perfect_prediction(samples):
    figures = oracle(samples, "gt").evaluate("interhand")
    assert figures[["mpjpe_all", "mpjpe_sh", "mpjpe_ih", "mrrpe"]].max() < 1e-3 and figures["handness_acc"] == 1.0


def test_a_wrong_root_depth_shows(samples):
    """With RootNet's depths a perfect 2.5D answer still has an error: the published figures have it in them."""
    assert 0.1 < oracle(samples, "est").evaluate("interhand")["mpjpe_all"] < 50


def test_rows_are_the_samples_given(samples):
    made = oracle(samples, "gt")
    assert list(made.index) == list(range(len(samples)))
    kinds = [("right", "left", "interacting").index(sample["hands"]) for sample in samples]
    assert list(made.truth["hand_type"]) == kinds
    depths = [sample["joints_cam"][:, 0, 2] * 1000 for sample in samples]
    np.testing.assert_allclose(made.truth["abs_depth"], depths)
    half = made.rows(slice(0, 4))
    assert len(half) == 4 and half.predictions["joint_coord"].shape == (4, 42, 3)


def test_part_overlap_counts_only_where_there_is_a_mask(samples):
    made = oracle(samples, "gt")
    seen = np.array([sample["part_mask_valid"] for sample in samples])
    overlap = made.predictions["segm_overlap"]
    assert seen.any() and not seen.all() and not overlap[~seen].any()
    assert overlap[seen].any(axis=(1, 2)).sum() > 0
    assert metrics.iou_of_overlap(overlap.sum(0), tol=1) == 1.0


def test_no_estimate_is_an_error_that_says_what_to_do(samples):
    bare = [sample | {"root_depth_est": np.full(2, np.nan)} for sample in samples]
    with pytest.raises(InputError, match="root_depth='gt'"):
        oracle(bare, "est")


def test_real_frames(real_data, tmp_path):
    """A pack of real frames without RootNet's file: the true depths must be asked for."""
    from handlib import packs

    pack = packs.write("interhand", real_data / "InterHand", "test", tmp_path / "interhand_test", workers=0)
    assert training.choose_root_depth(pack) == "gt"
    made = oracle(pack, "gt")
    figures = made.evaluate("interhand")
    assert figures[["mpjpe_all", "mpjpe_sh", "mpjpe_ih", "mrrpe"]].max() < 1e-3
    assert not np.isnan(protocols.per_sample("interhand", made.predictions, made.truth)["error_mm"]).all()
