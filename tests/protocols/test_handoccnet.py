"""HandOccNet's own DexYCB figures."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
import torch

from handlib import alignment, protocols
from handlib.files import InputError
from handlib.verify import Skip, reference, wholebody_metrics

NAME = "dexycb_handoccnet"


@pytest.fixture
def pair():
    """The ten samples of the reference: five left hands, the sixth prediction mirrored."""
    shipped = reference.shipped("handoccnet")
    arrays, stored = shipped.npz("evaluate.npz"), shipped.json("evaluate.json")["metric DEX_YCB"]
    predictions = {"xyz": arrays["metric/DEX_YCB/pred_joints"]}
    return predictions, {"xyz": arrays["metric/DEX_YCB/gt_joints"], "hand_type": np.array(stored["hand_type"])}


def evaluate(pair, **options):
    return protocols.running(NAME, **options).update(*pair).figures(warn=False)


def refused(predictions, truth, **options):
    with pytest.raises(InputError) as caught:
        protocols.evaluate(NAME, predictions, truth, **options)
    return caught.value


def test_equals_the_published_evaluation():
    results = list(wholebody_metrics.check_handoccnet(reference.shipped("handoccnet")))
    assert len(results) == 5 and [result for result in results if not result.ok] == []
    assert list(wholebody_metrics.check_handoccnet(reference.shipped("metrics"))) == results


def test_verify_sees_a_figure_that_is_off_and_skips_where_there_is_none(tmp_path):
    shipped = reference.shipped("handoccnet")
    other = reference.Reference(tmp_path, "handoccnet")
    assert [type(result) for result in wholebody_metrics.check_handoccnet(other)] == [Skip]
    stored = shipped.json("evaluate.json")
    stored["metric DEX_YCB"]["mean_mpjpe_mm"] += 0.002
    (tmp_path / "evaluate.json").write_text(json.dumps(stored))
    off = [result.quantity for result in wholebody_metrics.check_handoccnet(other) if not result.ok]
    assert off == ["mpjpe"]


def test_figures_and_what_they_are_made_of(pair):
    figures = evaluate(pair)
    assert list(figures.index) == ["mpjpe", "pa_mpjpe"] and figures.attrs["samples"] == 10
    errors = protocols.per_sample(NAME, *pair)
    assert errors["mpjpe_m"].shape == errors["pa_mpjpe_m"].shape == (10, 21)
    assert (errors["mpjpe_m"][:, 0] < 1e-9).all() and (errors["pa_mpjpe_m"][:, 0] > 1e-4).all()
    assert figures["mpjpe"] == pytest.approx(errors["mpjpe_m"].mean() * 1000, abs=1e-9)


def test_the_mirrored_prediction_is_reported_and_not_forgiven(pair):
    assert np.flatnonzero(protocols.per_sample(NAME, *pair)["mirrored_joints"]).tolist() == [5]
    with pytest.warns(UserWarning, match="1 of 10 predictions .joints. fit better as mirror images"):
        protocols.evaluate(NAME, *pair)
    errors = protocols.per_sample(NAME, *pair)["pa_mpjpe_m"].mean(1) * 1000
    assert errors[5] > 50 and np.delete(errors, 5).max() < 15


def test_left_hands_are_mirrored_back_before_the_wrist_is_placed(pair):
    predictions, truth = pair
    left = truth["hand_type"] == "left"
    camera = np.where(left[:, None, None], predictions["xyz"] * np.float32([-1, 1, 1]), predictions["xyz"])
    assert evaluate(({"xyz": camera}, truth), frame="camera").equals(evaluate(pair))
    assert evaluate(({"xyz": camera}, truth))["mpjpe"] > 1.5 * evaluate(pair)["mpjpe"]
    elsewhere = {"xyz": predictions["xyz"].astype(np.float64) + [1, 2, 3]}
    np.testing.assert_allclose(evaluate((elsewhere, truth)), evaluate(pair), atol=1e-9)


def test_wrist_option_leaves_its_zero_out(pair):
    official, corrected = evaluate(pair), evaluate(pair, wrist=False)
    assert corrected["mpjpe"] == pytest.approx(official["mpjpe"] * 21 / 20)
    errors = protocols.per_sample(NAME, *pair)
    assert corrected["pa_mpjpe"] == pytest.approx(errors["pa_mpjpe_m"][:, 1:].mean() * 1000)


def test_reflection_free_error_equals_the_references(pair):
    predictions, truth = pair
    stored = reference.shipped("handoccnet").npz("evaluate.npz")["metric/rigid_align_out"]
    aligned, mirrored = alignment.similarity(*(a["xyz"].astype(np.float64) for a in pair), reflection=False)
    np.testing.assert_allclose(aligned, stored, atol=1e-6)
    # Without unmirroring, the left hands are the mirrored ones, and the mirrored prediction of a left hand is not.
    assert np.flatnonzero(mirrored).tolist() == [1, 3, 7, 9]


def test_batches_in_any_order_give_the_same_bits_and_nothing_is_changed(pair):
    before, whole = copy.deepcopy(pair), evaluate(pair)
    ranks = [protocols.running(NAME) for _ in range(2)]
    for number, rows in enumerate(([9], [3, 1, 4, 0, 5], [2, 6, 8, 7])):
        ranks[number % 2].update(*({name: array[rows] for name, array in arrays.items()} for arrays in pair))
    assert pickle.loads(pickle.dumps(ranks[1])).merge(ranks[0]).figures(warn=False).equals(whole)
    assert evaluate(pair).equals(whole)
    for arrays, old in zip(pair, before, strict=True):
        for name in arrays:
            np.testing.assert_array_equal(arrays[name], old[name])


def test_tensors_lists_numbers_and_official_names_are_taken(pair):
    predictions, truth = pair
    codes = (truth["hand_type"] == "left").astype(int)
    tensors = {"joints_coord_cam": torch.tensor(predictions["xyz"], requires_grad=True)}
    theirs = {"joints_coord_cam": truth["xyz"].tolist(), "hand_type": torch.tensor(codes)}
    assert evaluate((tensors, theirs)).equals(evaluate(pair))


def test_one_sample_and_no_sample(pair):
    one = tuple({name: array[:1] for name, array in arrays.items()} for arrays in pair)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert protocols.evaluate(NAME, *one)["mpjpe"] == pytest.approx(23.782, abs=1e-3)
    none = tuple({name: array[:0] for name, array in arrays.items()} for arrays in pair)
    assert "no samples" in refused(*none).problem


@pytest.mark.parametrize(
    "field, change, words",
    [
        ("xyz", lambda a: np.where(np.arange(10)[:, None, None] == 7, np.nan, a), "row 7 holds NaN"),
        ("xyz", lambda a: a * 1000, "row 0 is in another unit"),
        ("xyz", lambda a: a[:, :20], "has shape (10, 20, 3)"),
        ("hand_type", lambda a: np.where(np.arange(10) == 4, "both", a), "row 4 is no hand type"),
        ("hand_type", lambda a: a[:9], "has shape (9,)"),
    ],
)
def test_bad_truth_is_refused_by_field_and_row(pair, field, change, words):
    predictions, truth = pair
    truth[field] = change(truth[field])
    error = refused(predictions, truth)
    assert (error.file, error.field) == ("truth", field) and words in error.problem


def test_unknown_frame_is_refused(pair):
    assert refused(*pair, frame="world").field == "frame"
