import copy
import json
import warnings

import numpy as np
import pytest
import torch

from handlib import fields, geometry, protocols
from handlib.files import InputError
from handlib.protocols import interhand, totals
from handlib.verify import Row, Skip, interhand_metrics, metrics, reference


@pytest.fixture
def pair():
    """Predictions and truth of the shipped reference case with RootNet depths (10 samples)."""
    _, _, _, predictions, truth = next(interhand_metrics.cases(reference.shipped("interhand")))
    return copy.deepcopy(predictions), copy.deepcopy(truth)


def evaluate(pair, **options):
    return protocols.evaluate("interhand", *pair, **options)


def rows(pair, keep):
    return tuple({name: array[keep] for name, array in arrays.items()} for arrays in pair)


@pytest.mark.parametrize("check", [*interhand_metrics.CHECKS, metrics.check_interhand], ids=lambda f: f.__name__)
def test_equals_the_published_evaluators(check):
    system = "metrics" if check is metrics.check_interhand else "interhand"
    results = [result for result in check(reference.shipped(system)) if isinstance(result, Row)]
    assert results
    assert [result for result in results if not result.ok] == []


def test_verify_takes_a_folder_with_other_cases(tmp_path):
    shipped = reference.shipped("interhand")
    keep = [7, 2, 0, 3, 5, 9]  # the official mean needs every joint in each group; it is not compared here
    stored = {name: array[keep] for name, array in metrics.of_case(shipped.npz("metrics.npz"), "gt").items()}
    for name in interhand_metrics.TRUTH.values():
        stored[name] = metrics.of_case(shipped.npz("metrics.npz"), "gt")[name]
    types = shipped.json("metrics.json")["gt"]["hand_type"]
    (tmp_path / "metrics.json").write_text(json.dumps({"other": {"hand_type": types, "metrics": {}}}))
    np.savez(tmp_path / "metrics.npz", **{f"other/{name}": array for name, array in stored.items()})
    other = reference.Reference(tmp_path, "interhand")
    results = list(interhand_metrics.check_samples(other))
    assert [result.case for result in results] == ["other"] * 4 and all(result.ok for result in results)
    stored["error_mm"] = stored["error_mm"] + 0.002
    np.savez(tmp_path / "metrics.npz", **{f"other/{name}": array for name, array in stored.items()})
    assert not next(interhand_metrics.check_samples(other)).ok
    (tmp_path / "metrics.json").unlink()
    assert [type(result) for result in interhand_metrics.check_figures(other)] == [Skip]


def test_names_are_those_of_the_published_results(pair):
    figures = evaluate(pair)
    published = reference.shipped("interhand").json("published.json")["digit"]["test"]
    assert set(figures.index) == {*published, "handedness_accuracy"}
    assert figures["handness_acc"] == figures["handedness_accuracy"]
    assert figures.attrs == {"protocol": "interhand", "alignment": "each hand's wrist", "options": {}, "samples": 10}


def test_nothing_given_is_changed_and_a_second_call_agrees(pair):
    before = copy.deepcopy(pair)
    first, second = evaluate(pair), evaluate(pair)
    assert first.equals(second)
    for arrays, old in zip(pair, before, strict=True):
        for name in arrays:
            np.testing.assert_array_equal(arrays[name], old[name])


def test_order_and_chunks_do_not_matter(pair, monkeypatch):
    expected = evaluate(pair)
    shuffled = rows(pair, np.random.default_rng(0).permutation(10))
    assert evaluate(shuffled).equals(expected)  # to the last bit
    monkeypatch.setattr(totals, "CHUNK", 3)
    assert evaluate(pair).equals(expected)


def test_per_sample_rows_are_in_the_callers_order(pair):
    errors = protocols.per_sample("interhand", *pair)
    assert errors["error_mm"].shape == (10, 42) and errors["mrrpe_mm"].shape == (10,)
    last = protocols.per_sample("interhand", *rows(pair, [9]))
    np.testing.assert_array_equal(errors["error_mm"][9], last["error_mm"][0])
    np.testing.assert_array_equal(errors["interacting"], pair[1]["hand_type"] == "interacting")


def test_torch_tensors_numbers_and_alias_are_taken(pair):
    predictions, truth = pair
    expected = evaluate(pair)
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in predictions.items()}
    tensors["pred_hand_type"] = tensors.pop("hand_type")
    codes = [interhand.HAND_TYPES.index(name) for name in truth["hand_type"]]
    numbered = {name: torch.tensor(array) for name, array in truth.items() if name != "hand_type"}
    assert protocols.evaluate("interhand", tensors, numbered | {"hand_type": torch.tensor(codes)}).equals(expected)


def exact(n=4, seed=0):
    """Truth, and the prediction that hits it: encoded to 2.5D by hand. Wrists on the optical axis."""
    rng = np.random.default_rng(seed)
    truth = {
        "cam_coord": np.concatenate([rng.uniform(-80, 80, (n, 42, 2)), rng.uniform(850, 950, (n, 42, 1))], -1),
        "valid": np.ones((n, 42)),
        "focal": np.full((n, 2), 1000.0),
        "princpt": np.full((n, 2), 128.0),
        "hand_type": np.array([0, 1, 2, 2])[:n],
        "hand_type_valid": np.ones(n),
    }
    truth["cam_coord"][:, interhand.WRISTS] = [[0, 0, 900], [0, 0, 880]]
    truth["abs_depth"] = truth["cam_coord"][:, interhand.WRISTS, 2]
    xyz, wrists = truth["cam_coord"], truth["abs_depth"]
    pixels = xyz[..., :2] / xyz[..., 2:] * 1000 + 128
    depth = (xyz[..., 2] - np.repeat(wrists, 21, 1)) / 200
    predictions = {
        "joint_coord": np.concatenate([pixels / 4, ((depth + 1) * 32)[..., None]], -1),
        "rel_root_depth": ((wrists[:, 1:] - wrists[:, :1]) / 200 + 1) * 32,
        "hand_type": np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.9], [0.9, 0.9]])[:n],
        "inv_trans": np.tile(np.eye(2, 3), (n, 1, 1)),
    }
    return predictions, truth


def test_a_prediction_that_hits_has_no_error():
    figures = evaluate(exact())
    assert figures.drop(["handness_acc", "handedness_accuracy"]).abs().max() < 1e-9
    assert figures["handness_acc"] == 1
    np.testing.assert_allclose(interhand.camera_joints(*exact()), exact()[1]["cam_coord"], atol=1e-9)


def test_one_cell_of_root_depth_is_six_and_a_quarter_millimetres():
    predictions, truth = exact()
    predictions["rel_root_depth"] += 1  # on the optical axis only the depth changes
    figures = evaluate((predictions, truth))
    assert figures["mrrpe"] == pytest.approx(6.25)
    assert figures["mpjpe_all"] == pytest.approx(0, abs=1e-9)


def test_wrists_option_leaves_the_two_zeros_out_of_the_means_only(pair):
    official, corrected = evaluate(pair), evaluate(pair, wrists=False)
    for group in ("all", "sh", "ih"):
        assert corrected[f"mpjpe_{group}"] == pytest.approx(official[f"mpjpe_{group}"] * 42 / 40)
    others = official.index.difference(["mpjpe_all", "mpjpe_sh", "mpjpe_ih"])
    assert corrected[others].equals(official[others])
    assert corrected.attrs["options"] == {"wrists": False}


def test_all_is_the_pooled_mean_of_each_joint(pair):
    error = protocols.per_sample("interhand", *pair)["error_mm"]
    assert evaluate(pair)["mpjpe_all"] == pytest.approx(np.nanmean(error, 0).mean())


def test_joints_of_a_hand_without_wrist_do_not_count(pair):
    predictions, truth = pair
    truth["valid"][:, 41] = 0
    errors = protocols.per_sample("interhand", predictions, truth)
    assert np.isnan(errors["error_mm"][:, 21:]).all() and np.isnan(errors["mrrpe_mm"]).all()
    with pytest.warns(UserWarning) as warned:
        figures = evaluate(pair)
    assert any("l_thumb4" in str(w.message) and "the other 21 joints" in str(w.message) for w in warned)
    assert any("so mrrpe is NaN" in str(w.message) for w in warned)
    assert figures["mpjpe_all"] == pytest.approx(np.nanmean(errors["error_mm"][:, :21], 0).mean())
    assert np.isnan(figures["mrrpe"])


def test_a_joint_without_samples_is_nan_and_named():
    predictions, truth = exact()
    predictions["joint_coord"][..., 0] += 1
    truth["valid"][:2, 3] = 0
    with pytest.warns(
        UserWarning, match="no valid sample of r_thumb1 in group 'sh': mpjpe_sh is the mean over the other 41"
    ):
        figures = evaluate((predictions, truth))
    assert np.isnan(figures["r_thumb1_sh"]) and figures["r_thumb1_all"] > 0
    others = [f"{joint}_sh" for joint in fields.interhand_names() if joint != "r_thumb1"]
    assert figures["mpjpe_sh"] == pytest.approx(figures[others].mean())


@pytest.mark.parametrize(("keep", "empty"), [([0, 1], "ih"), ([2, 3], "sh")])
@pytest.mark.filterwarnings("ignore:.*mrrpe is NaN")
def test_an_empty_group_is_nan_with_a_warning(keep, empty):
    with pytest.warns(UserWarning, match=f"no valid joint in group '{empty}', so mpjpe_{empty} is NaN"):
        figures = evaluate(rows(exact(), keep))
    assert np.isnan(figures[f"mpjpe_{empty}"]) and figures["mpjpe_all"] == pytest.approx(0, abs=1e-9)


def test_nothing_warns_when_every_figure_has_samples(pair):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(pair)


def test_untrusted_hand_types_do_not_count(pair):
    predictions, truth = pair
    truth["hand_type_valid"][:] = 0
    with pytest.warns(UserWarning, match="handness_acc is NaN"):
        assert np.isnan(evaluate(pair)["handness_acc"])


def test_nan_where_nothing_counts_is_allowed(pair):
    predictions, truth = pair
    expected = evaluate(pair)
    truth["cam_coord"][truth["valid"] == 0] = np.nan
    truth["abs_depth"] = np.where(truth["valid"][:, [20, 41]] == 0, np.nan, truth["abs_depth"])
    assert evaluate(pair).equals(expected)


# Bad input


def refused(pair, **options):
    with pytest.raises(InputError) as caught:
        evaluate(pair, **options)
    return caught.value


@pytest.mark.parametrize("name", ["joint_coord", "rel_root_depth", "hand_type", "inv_trans"])
def test_predictions_missing_misshapen_or_nan(pair, name):
    predictions, truth = pair
    array = predictions.pop(name)
    error = refused((predictions, truth))
    assert (error.file, error.field) == ("predictions", name) and "is missing" in error.problem
    error = refused((predictions | {name: array[:7]}, truth))
    assert error.field == name and "has shape (7" in error.problem and "(10" in error.mend
    spoilt = array.copy()
    spoilt[4] = np.nan
    error = refused((predictions | {name: spoilt}, truth))
    assert error.field == name and "row 4 holds NaN" in error.problem


@pytest.mark.parametrize(
    "name", ["cam_coord", "valid", "focal", "princpt", "abs_depth", "hand_type", "hand_type_valid"]
)
def test_truth_missing_or_misshapen(pair, name):
    predictions, truth = pair
    array = truth.pop(name)
    error = refused((predictions, truth))
    assert (error.file, error.field) == ("truth", name) and "is missing" in error.problem
    assert refused((predictions, truth | {name: array[..., None]})).field == name


@pytest.mark.parametrize(("name", "mend"), [("cam_coord", "not valid"), ("abs_depth", "RootNet"), ("focal", "number")])
def test_truth_with_nan_where_it_counts(monkeypatch, name, mend):
    predictions, truth = exact()
    monkeypatch.setattr(totals, "CHUNK", 2)
    truth[name][3, 0] = np.nan
    error = refused((predictions, truth))
    assert error.field == name and "row 3 holds NaN" in error.problem and mend in error.mend


@pytest.mark.parametrize("bad", [3, -1, "both", 0.5, np.nan])
def test_an_unknown_hand_type_is_named(bad):
    predictions, truth = exact()
    truth["hand_type"] = [0, 1, bad, 2] if not isinstance(bad, str) else ["right", "left", bad, "interacting"]
    error = refused((predictions, truth))
    assert error.field == "hand_type" and "row 2" in error.problem


def test_text_ragged_arrays_and_no_mapping_are_refused(pair):
    predictions, truth = pair
    assert refused((predictions | {"joint_coord": [[1], [1, 2]]}, truth)).field == "joint_coord"
    assert "not numbers" in refused((predictions, truth | {"hand_type_valid": np.array(["yes"] * 10)})).problem
    assert "not a mapping" in refused((predictions["joint_coord"], truth)).problem
    assert "no samples" in refused(rows(pair, [])).problem


def test_unknown_protocol_or_option(pair):
    with pytest.raises(InputError, match="'interhands' is not known(.|\n)*name one of: interhand"):
        protocols.evaluate("interhands", *pair)
    error = refused(pair, wrist=False)
    assert error.field == "wrist" and "wrists" in error.mend
    assert "interhand" in protocols.names()


def test_the_spec_is_the_benchmarks():
    assert interhand.SPEC == geometry.HandPairInput()
    names = fields.interhand_names()
    assert [names[wrist] for wrist in interhand.WRISTS] == ["r_wrist", "l_wrist"]
