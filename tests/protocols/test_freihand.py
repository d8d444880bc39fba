import copy
import json
import pickle
import warnings

import numpy as np
import pytest
import torch

from handlib import protocols
from handlib.files import InputError
from handlib.protocols import freihand
from handlib.verify import Row, metrics_hands, reference

NAMES = ("xyz", "verts")


@pytest.fixture(scope="module")
def stored():
    return reference.shipped("metrics").npz("freihand.npz")


@pytest.fixture
def case(stored):
    """A function: name of a shipped case -> (predictions, truth)."""

    def load(name):
        arrays = {key.rpartition("/")[2]: array.copy() for key, array in stored.items() if key.startswith(f"{name}/")}
        return {key: arrays[f"{key}_pred"] for key in NAMES}, {key: arrays[key] for key in NAMES}

    return load


def evaluate(pair, **options):
    return protocols.evaluate("freihand", *pair, **options)


def rows(pair, keep):
    return tuple({name: array[keep] for name, array in given.items()} for given in pair)


def test_equals_the_official_evaluator():
    results = list(metrics_hands.check_freihand(reference.shipped("metrics")))
    assert len({result.case for result in results}) == 6
    assert [result for result in results if not isinstance(result, Row) or not result.ok] == []


def test_verify_notices_what_is_off(tmp_path, stored):
    entry = {"plain": reference.shipped("metrics").json("freihand.json")["plain"]}
    entry["plain"]["figures"]["mesh_al"]["auc"] += 2e-9
    (tmp_path / "freihand.json").write_text(json.dumps(entry))
    np.savez(tmp_path / "freihand.npz", **{name: array for name, array in stored.items() if name.startswith("plain")})
    results = list(metrics_hands.check_freihand(reference.Reference(tmp_path, "metrics")))
    assert [result.quantity for result in results if not result.ok] == ["mesh_al auc"]


def test_names_units_and_attributes(case):
    series = evaluate(case("plain"))
    assert list(series.index) == list(reference.shipped("metrics").json("freihand.json")["plain"]["scores_txt"])
    assert [protocols.unit("freihand", name) for name in series.index[:2]] == ["cm", ""]
    assert protocols.unit("freihand", "f_score_5") == "" and "reflections" in series.attrs["alignment"]
    assert series.attrs["samples"] == 24


def test_one_home_for_lists_tensors_and_official_names(case):
    predictions, truth = case("edges")
    expected = evaluate((predictions, truth))
    lists = {"xyz_pred": predictions["xyz"].tolist(), "verts_pred": predictions["verts"].tolist()}
    assert evaluate((lists, truth)).equals(expected)
    tensors = {
        "joints": torch.tensor(predictions["xyz"], requires_grad=True),
        "verts": torch.tensor(predictions["verts"]),
    }
    assert evaluate((tensors, {name: torch.tensor(array) for name, array in truth.items()})).equals(expected)


def test_nothing_given_is_changed(case):
    pair = case("plain")
    before = copy.deepcopy(pair)
    evaluate(pair)
    for given, old in zip(pair, before, strict=True):
        for name in given:
            np.testing.assert_array_equal(given[name], old[name])


def test_batches_order_and_processes_do_not_matter(case):
    pair = case("plain")
    expected = evaluate(pair)
    states = [protocols.running("freihand") for _ in range(2)]
    order = np.random.default_rng(0).permutation(24)
    for number, keep in enumerate((order[:1], order[1:9], order[9:17], order[17:])):
        states[number % 2].update(*rows(pair, keep))
    merged = pickle.loads(pickle.dumps(states[1])).merge(states[0])
    assert merged.figures().equals(expected)


def test_per_sample_shapes_and_rows(case):
    pair = case("plain")
    errors = protocols.per_sample("freihand", *pair)
    shapes = {name: array.shape for name, array in errors.items()}
    assert shapes["xyz_m"] == shapes["xyz_al_m"] == (24, 21) and shapes["mesh_m"] == shapes["mesh_al_m"] == (24, 778)
    assert shapes["f_score"] == (24, 2, 2, 3) and shapes["mirrored"] == (24,)
    alone = protocols.per_sample("freihand", *rows(pair, [17]))
    for name, array in errors.items():
        np.testing.assert_array_equal(array[[17]], alone[name])
    np.testing.assert_allclose(evaluate(pair)["mesh_mean3d"], errors["mesh_m"].mean() * 100, atol=1e-9)


def test_rows_beyond_a_block_keep_their_numbers(case):
    predictions, truth = case("plain")
    predictions, truth = rows((predictions, truth), np.arange(150) % 24)
    errors = protocols.per_sample("freihand", predictions, truth)
    np.testing.assert_array_equal(errors["mesh_al_m"][:24], errors["mesh_al_m"][120:144])
    predictions["verts"][130, 5, 1] = np.nan
    with pytest.raises(InputError, match="row 130 holds NaN"):
        evaluate((predictions, truth))


# Mirror images


def test_mirrored_predictions_are_counted_and_compared(case):
    with pytest.warns(UserWarning) as warned:
        official = evaluate(case("mirror"))
    texts = [str(warning.message) for warning in warned]
    rigid = evaluate_quietly(case("mirror"), reflection=False)
    assert len(texts) == 2 and all("4 of 4 predictions fit best as mirror images" in text for text in texts)
    for text, name in zip(texts, ("xyz_al_mean3d", "mesh_al_mean3d"), strict=True):
        assert f"{name} is {official[name]:.6f} cm" in text and f"{rigid[name]:.6f} cm without" in text
        assert rigid[name] > 5 * official[name]
    same = [name for name in official.index if "_al" not in name]
    assert rigid[same].equals(official[same]) and rigid["f_al_score_5"] < official["f_al_score_5"]


def evaluate_quietly(pair, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return evaluate(pair, **options)


def test_one_mirrored_sample_among_others(case):
    predictions, truth = case("plain")
    for name in NAMES:
        predictions[name][5] *= np.float32([-1, 1, 1])
    with pytest.warns(UserWarning, match="the (joints|meshes) of 1 of 24"):
        evaluate((predictions, truth))
    errors = protocols.per_sample("freihand", predictions, truth)
    rigid = protocols.per_sample("freihand", predictions, truth, reflection=False)
    assert np.flatnonzero(errors["mirrored"]).tolist() == np.flatnonzero(rigid["mirrored"]).tolist() == [5]
    np.testing.assert_allclose(errors["xyz_rigid_m"], rigid["xyz_al_m"].mean(1), rtol=0, atol=1e-9)
    np.testing.assert_allclose(errors["mesh_rigid_m"], rigid["mesh_al_m"].mean(1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["plain", "zeros", "perfect", "edges"])
def test_nothing_warns_without_reason(case, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluate(case(name)).notna().all()


# Meshes of another kind


def test_another_vertex_count_is_minus_one_and_said(case):
    with pytest.warns(UserWarning, match="do not have 778 vertices: mesh errors are written as -100 cm"):
        figures = evaluate(case("othermesh"))
    assert figures["mesh_mean3d"] == figures["mesh_al_mean3d"] == -100 and figures["mesh_al_auc3d"] == -1


def test_the_corrected_way_moves_the_mesh_with_the_joints(case):
    predictions, truth = case("plain")
    subset = {"xyz": predictions["xyz"], "verts": predictions["verts"][:, ::2]}
    with pytest.warns(UserWarning, match="aligned by the fit of the joints"):
        corrected = evaluate((subset, truth), other_mesh="similarity")
    assert np.isnan(corrected[["mesh_mean3d", "mesh_auc3d", "mesh_al_mean3d", "mesh_al_auc3d"]]).all()
    official = evaluate_quietly((subset, truth))
    whole = evaluate((predictions, truth))
    same = [name for name in whole.index if name.startswith("xyz")]
    assert corrected[same].equals(whole[same]) and official[same].equals(whole[same])
    assert corrected["f_al_score_15"] > 0.9 > official["f_al_score_15"]


def test_meshes_of_many_sizes_are_other_meshes(case):
    predictions, truth = case("othermesh")
    expected = evaluate_quietly((predictions, truth))
    ragged = {"xyz": predictions["xyz"], "verts": [*predictions["verts"][:3], predictions["verts"][3][:300]]}
    figures = evaluate_quietly((ragged, truth))
    assert figures["mesh_mean3d"] == -100 and figures["f_score_15"] != expected["f_score_15"]
    errors = protocols.per_sample("freihand", ragged, truth)["f_score"]
    np.testing.assert_array_equal(errors[:3], protocols.per_sample("freihand", predictions, truth)["f_score"][:3])


def test_a_mixture_of_meshes_is_refused(case):
    predictions, truth = case("plain")
    mixed = {
        "xyz": predictions["xyz"],
        "verts": [mesh[: 778 - 100 * (row > 3)] for row, mesh in enumerate(predictions["verts"])],
    }
    with pytest.raises(InputError, match="row 0 has 778 vertices and others have another number") as caught:
        evaluate((mixed, truth))
    assert caught.value.field == "verts"
    running = protocols.running("freihand").update(*rows((predictions, truth), slice(0, 4)))
    other = {"xyz": predictions["xyz"][4:], "verts": predictions["verts"][4:, :500]}
    running.update(other, rows((predictions, truth), slice(4, 24))[1])
    with pytest.raises(InputError, match="20 of 24 meshes have another vertex count than 778"):
        running.figures()


# Special sets


def test_a_perfect_prediction(case):
    figures = evaluate(case("perfect"))
    assert figures["xyz_mean3d"] == figures["mesh_mean3d"] == 0 and figures["xyz_auc3d"] == figures["mesh_auc3d"] == 1
    assert figures["f_score_5"] == 1 and 0 < figures["xyz_al_mean3d"] < 1e-6  # cm: the norms' 1e-8


def test_zeros_collapse_to_the_centroid(case):
    predictions, truth = case("zeros")
    figures = evaluate((predictions, truth))
    centred = truth["xyz"].astype(float) - truth["xyz"].astype(float).mean(1, keepdims=True)
    assert figures["xyz_al_mean3d"] == pytest.approx(100 * np.linalg.norm(centred, axis=-1).mean())


def test_one_sample_is_a_set(case):
    figures = evaluate(rows(case("plain"), [3]))
    errors = protocols.per_sample("freihand", *rows(case("plain"), [3]))
    assert figures["xyz_mean3d"] == pytest.approx(100 * errors["xyz_m"].mean())


def test_a_root_relative_prediction_keeps_its_aligned_figures(case):
    predictions, truth = case("plain")
    relative = {name: predictions[name].astype(float) - predictions["xyz"][:, :1] for name in NAMES}
    figures, expected = evaluate((relative, truth)), evaluate((predictions, truth))
    assert figures["xyz_al_mean3d"] == pytest.approx(expected["xyz_al_mean3d"], abs=1e-9)
    assert figures["xyz_auc3d"] == 0


# Bad input


def refused(pair, **options):
    with pytest.raises(InputError) as caught:
        evaluate(pair, **options)
    return caught.value


@pytest.mark.parametrize(("side", "where"), [(0, "predictions"), (1, "truth")])
@pytest.mark.parametrize("name", NAMES)
def test_missing_misshapen_nan_and_text(case, side, where, name):
    pair = list(case("plain"))

    def spoilt(array):
        given = dict(pair[side])
        given.pop(name)
        return tuple(given | ({name: array} if array is not None else {}) if i == side else pair[i] for i in (0, 1))

    array = pair[side][name]
    assert "is missing" in refused(spoilt(None)).problem
    for wrong in (array[:, :20, :2], array[0], array[..., None]):
        error = refused(spoilt(wrong))
        assert error.file == where and error.field == name and "has shape" in error.problem
    bad = array.copy()
    bad[7, 3, 1] = np.inf
    error = refused(spoilt(bad))
    assert error.file == where and error.field == name and "row 7 holds NaN or infinity" in error.problem
    assert "not numbers" in refused(spoilt(np.full(array.shape, "a"))).problem


def test_empty_sets_other_counts_and_unknown_options(case):
    pair = case("plain")
    assert "no samples" in refused(rows(pair, [])).problem
    assert "has shape (23" in refused((rows(pair, slice(23))[0], pair[1])).problem
    assert "has no vertices" in refused(({"xyz": pair[0]["xyz"], "verts": pair[0]["verts"][:, :0]}, pair[1])).problem
    assert refused(pair, reflexion=False).field == "reflexion"
    assert refused(pair, other_mesh="corrected").field == "other_mesh"
    assert set(freihand.OPTIONS) == {"reflection", "other_mesh"}


def test_metres_and_millimetres_mixed_up_are_refused_or_plain_to_see(case):
    predictions, truth = case("plain")
    figures = evaluate(({name: array * 1000 for name, array in predictions.items()}, truth))
    assert figures["xyz_mean3d"] > 1e4  # cm: the official figure of such a file; aligned figures do not notice
    assert figures["xyz_al_mean3d"] == pytest.approx(evaluate((predictions, truth))["xyz_al_mean3d"], abs=1e-4)
