"""Whole-body errors as the published projects compute them, on stand-in bodies."""

import copy
import json
import pickle
import tracemalloc
import warnings

import cv2
import numpy as np
import pytest
import torch

from handlib import protocols
from handlib.files import InputError
from handlib.protocols import ubody, wholebody
from handlib.verify import Row, Skip, reference, wholebody_metrics

MESH = [f"{kind}_{part}" for kind in ("pa_mpvpe", "mpvpe") for part in ("all", "hand", "face")]
JOINTS = ["pa_mpjpe_body", "pa_mpjpe_hand"]
TURN = cv2.Rodrigues(np.array([0.3, -0.7, 0.2]))[0]


@pytest.fixture(scope="session")
def bodies():
    return wholebody_metrics.bodies()


def pair_of(entry, source="osx"):
    """Predictions and truth (3 samples) of an entry of the shipped reference."""
    stored = reference.shipped("wholebody").json(f"metrics/metrics_{source}.json")
    return wholebody_metrics.whole_body_pair(entry, stored)


@pytest.fixture(scope="session")
def stored_pairs():
    return {entry: pair_of(entry) for entry in ("EHF", "AGORA_val", "UBody", "Human36M")} | {
        "PW3D_smpl": pair_of("PW3D_smpl", "p2p")
    }


@pytest.fixture
def pairs(stored_pairs):
    return copy.deepcopy(stored_pairs)


def evaluate(protocol, predictions, truth, bodies, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return protocols.evaluate(protocol, predictions, truth, bodies=bodies, **options)


def repeated(pair, times):
    return tuple({name: np.concatenate([array] * times) for name, array in arrays.items()} for arrays in pair)


def refused(bodies, protocol, predictions, truth, **options):
    with pytest.raises(InputError) as caught:
        protocols.evaluate(protocol, predictions, truth, **{"bodies": bodies} | options)
    return caught.value


# Against the published code


def test_equals_the_published_projects():
    results = list(wholebody_metrics.check_whole_body(reference.shipped("wholebody")))
    assert {result.case.split("/")[1] for result in results} == set(wholebody_metrics.ENTRIES)
    assert not [result for result in results if not result.ok]
    beside = list(wholebody_metrics.check_whole_body(reference.shipped("metrics")))
    assert beside == results


@pytest.mark.parametrize(("source", "entry"), [("osx", "UBody"), ("h4w", "AGORA_val"), ("p2p", "AGORA_smpl")])
def test_roots_in_float32_are_the_published_ones(bodies, source, entry):
    stored = reference.shipped("wholebody").json(f"metrics/metrics_{source}.json")
    pair, (protocol, _) = wholebody_metrics.whole_body_pair(entry, stored), wholebody_metrics.ENTRIES[entry]
    exact, published = (
        protocols.sums(protocol, protocols.per_sample(protocol, *pair, bodies=bodies, published=as_published))
        for as_published in (False, True)
    )
    bar, moved = 5e-5, False
    for name, expected in stored[entry]["per_sample"].items():
        ours, other = (1000 * sums[f"{name}_m"] for sums in (published, exact))
        if name.startswith("mpvpe"):  # a wrong last bit of a root is 0.0019 mm
            assert np.abs(ours - expected).max() < bar
            moved |= np.abs(ours - other).max() > 4 * bar
            assert np.abs(ours - other).max() < 2e-3
        else:
            assert (ours == other).all()
    assert moved


def test_roots_in_float32_do_not_depend_on_the_other_rows():
    draw = np.random.default_rng(0)
    rows, mesh = draw.random((2, 1300)) * (draw.random((2, 1300)) < 0.1), draw.normal(20, 1, (5, 1300, 3))
    whole = wholebody.regressed(rows, mesh, single=True)
    assert (whole[3:4] == wholebody.regressed(rows, mesh[3:4], single=True)).all()
    assert (whole == whole.astype(np.float32)).all()
    np.testing.assert_allclose(whole, wholebody.regressed(rows, mesh), rtol=1e-6)
    assert (whole != wholebody.regressed(rows, mesh)).any()


def test_verify_takes_other_cases_and_sees_a_figure_that_is_off(tmp_path):
    (tmp_path / "metrics").mkdir()
    path = tmp_path / "metrics" / "metrics_other.json"
    folder = reference.Reference(tmp_path, "wholebody")
    assert [type(result) for result in wholebody_metrics.check_whole_body(folder)] == [Skip]
    stored = {"tag": "other", "rotation": np.eye(3).tolist(), "samples": 2}
    pair = wholebody_metrics.whole_body_pair("PW3D_smpl", stored)
    figures = evaluate("pw3d", *pair, wholebody_metrics.bodies())
    sums = protocols.sums("pw3d", protocols.per_sample("pw3d", *pair, bodies=wholebody_metrics.bodies()))
    each = {name: (sums[f"{name}_m"] * 1000).tolist() for name in figures.index}
    stored["PW3D_smpl"] = {"printed": figures.to_dict() | {"mpjpe": figures["mpjpe"] + 0.002}, "per_sample": each}
    path.write_text(json.dumps(stored))
    results = list(wholebody_metrics.check_whole_body(folder))
    assert [(result.case, result.quantity) for result in results if not result.ok] == [("other/PW3D_smpl", "mpjpe")]
    assert all(isinstance(result, Row) for result in results) and len(results) == 9


def test_figures_are_named_as_the_published_code_names_them(bodies, pairs):
    expected = {"EHF": MESH + JOINTS, "UBody": MESH + JOINTS, "AGORA_val": MESH, "Human36M": ["mpjpe", "pa_mpjpe"]}
    expected["PW3D_smpl"] = ["mpjpe", "pa_mpjpe", "mpvpe", "pa_mpvpe"]
    for entry, names in expected.items():
        protocol, _ = wholebody_metrics.ENTRIES[entry]
        series = evaluate(protocol, *pairs[entry], bodies)
        assert list(series.index) == names
        assert series.attrs["samples"] == 3 and "similarity" in series.attrs["alignment"]
        assert {protocols.unit(protocol, name) for name in names} == {"mm"}


# What the alignments forgive


def test_a_prediction_that_hits_has_no_error(bodies, pairs):
    for protocol, entry in (("agora_val", "AGORA_val"), ("ubody", "UBody"), ("pw3d", "PW3D_smpl")):
        truth = pairs[entry][1]
        assert evaluate(protocol, {"verts": truth["verts"]}, truth, bodies).abs().max() < 1e-9


def test_translation_is_forgiven_by_all_and_rotation_and_scale_by_pa_only(bodies, pairs):
    truth = {"verts": pairs["AGORA_val"][1]["verts"].astype(np.float64)}
    moved = evaluate("ehf", {"verts": truth["verts"] + [0.5, -2, 3]}, truth, bodies, truth_frame="camera")
    assert moved.abs().max() < 1e-9
    turned = {"verts": truth["verts"] @ TURN.T * 1.2}
    figures = evaluate("ehf", turned, truth, bodies, truth_frame="camera")
    assert figures.filter(like="pa_").abs().max() < 1e-9
    assert figures.drop(figures.filter(like="pa_").index).min() > 50


def test_each_hand_is_aligned_by_itself(bodies, pairs):
    truth = {"verts": pairs["AGORA_val"][1]["verts"].astype(np.float64)}
    hands = wholebody.parts(bodies).vertices["hand"]
    left, right = (ids for ids, _ in hands)
    only_left = np.setdiff1d(left, np.concatenate([right, wholebody.parts(bodies).vertices["face"][0][0]]))
    wrong = truth["verts"].copy()
    wrong[:, only_left] += np.random.default_rng(0).normal(0, 0.05, (3, len(only_left), 3))
    errors = protocols.per_sample("agora_val", {"verts": wrong}, truth, bodies=bodies)
    assert (errors["pa_mpvpe_hand_m"][:, 0] > 0.01).all() and (errors["pa_mpvpe_hand_m"][:, 1] < 1e-9).all()
    sums = protocols.sums("agora_val", errors)
    np.testing.assert_allclose(sums["pa_mpvpe_hand_m"], errors["pa_mpvpe_hand_m"].mean(1))


def test_a_mirrored_prediction_is_not_forgiven_and_is_reported(bodies, pairs):
    truth = {"verts": pairs["AGORA_val"][1]["verts"]}
    mirrored = {"verts": truth["verts"] * np.array([-1, 1, 1], np.float32)}
    with pytest.warns(UserWarning) as warned:
        figures = protocols.evaluate("agora_val", mirrored, truth, bodies=bodies)
    assert [str(w.message).partition(" fit better")[0] for w in warned] == [
        f"agora_val: {share} predictions ({part})"
        for share, part in (("3 of 3", "all"), ("6 of 6", "hand"), ("3 of 3", "face"))
    ]
    assert figures["pa_mpvpe_all"] > 50
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        protocols.evaluate("agora_val", {"verts": truth["verts"]}, truth, bodies=bodies)


def test_ehf_turns_the_scan_unless_it_is_turned_already(bodies, pairs):
    predictions, truth = pairs["EHF"]
    official = evaluate("ehf", predictions, truth, bodies)
    turned = {
        "verts": truth["verts"].astype(np.float64)
        @ cv2.Rodrigues(np.array([-2.98747896, 0.01172457, -0.05704687]))[0].T
    }
    assert evaluate("ehf", predictions, turned, bodies, truth_frame="camera").equals(official)
    untouched = evaluate("ehf", predictions, truth, bodies, truth_frame="camera")
    assert untouched["mpvpe_all"] > 3 * official["mpvpe_all"]
    assert untouched["pa_mpvpe_all"] == pytest.approx(official["pa_mpvpe_all"], abs=1e-9)
    assert refused(bodies, "ehf", predictions, truth, truth_frame="world").field == "truth_frame"


def test_agora_val_is_ehf_in_the_cameras_frame_without_joints(bodies, pairs):
    ehf = evaluate("ehf", *pairs["AGORA_val"], bodies, truth_frame="camera")
    assert evaluate("agora_val", *pairs["AGORA_val"], bodies).equals(ehf[MESH].rename("agora_val"))


def test_pw3d_is_relative_to_the_regressed_pelvis(bodies, pairs):
    predictions, truth = pairs["PW3D_smpl"]
    official = evaluate("pw3d", predictions, truth, bodies)
    moved = {"verts": truth["verts"].astype(np.float64) - [3, 2, 1]}
    np.testing.assert_allclose(evaluate("pw3d", predictions, moved, bodies), official, atol=1e-6)
    errors = protocols.per_sample("pw3d", predictions, truth, bodies=bodies)
    assert errors["mpjpe_m"].shape == errors["pa_mpjpe_m"].shape == (3, 14)


# UBody's points outside the picture


def test_ubody_leaves_hands_and_faces_out_that_nobody_sees(bodies, pairs):
    predictions, truth = pairs["UBody"]
    truth["image_size"] = np.array([[1280, 720], [1, 1], [1280, 720]])
    errors = protocols.per_sample("ubody", predictions, truth, bodies=bodies)
    assert all(
        np.isnan(errors[f"{name}_m"][1]).all() and not np.isnan(errors[f"{name}_m"][[0, 2]]).any() for name in MESH
    )
    with pytest.warns(UserWarning, match="mpvpe_all over 2, .* of 3 samples: the others have no point") as warned:
        figures = protocols.evaluate("ubody", predictions, truth, bodies=bodies)
    assert len(warned) == 1 and np.isfinite(figures).all()
    two = tuple({name: array[[0, 2]] for name, array in arrays.items()} for arrays in (predictions, truth))
    assert evaluate("ubody", *two, bodies).equals(figures)


def test_ubody_takes_the_other_hand_where_one_is_outside(bodies, pairs):
    predictions, truth = pairs["UBody"]
    left = wholebody.parts(bodies).vertices["hand"][0][0]
    truth["verts"][0, left] = [9.0, 0.0, 20.0]  # far to the right of the picture
    errors = protocols.per_sample("ubody", predictions, truth, bodies=bodies)
    sums = protocols.sums("ubody", errors)
    assert np.isnan(errors["mpvpe_hand_m"][0, 0]) and sums["mpvpe_hand_samples"].tolist() == [1, 1, 1]
    assert sums["mpvpe_hand_m"][0] == errors["mpvpe_hand_m"][0, 1]


def test_ubody_aligns_with_unseen_points_too_and_can_count_all(bodies, pairs):
    predictions, truth = pairs["UBody"]
    seen = ubody.inside_picture(truth["verts"].astype(float), truth["bb2img_trans"], truth["image_size"].astype(float))
    assert 0.5 < seen.mean() < 0.8
    official = evaluate("ubody", predictions, truth, bodies)
    moved = {"verts": np.where(seen[..., None], predictions["verts"], predictions["verts"] + np.float32(0.3))}
    assert abs(evaluate("ubody", moved, truth, bodies)["pa_mpvpe_all"] - official["pa_mpvpe_all"]) > 10
    everything = evaluate("ubody", predictions, {"verts": truth["verts"]}, bodies, inside=False)
    assert everything.equals(evaluate("ehf", predictions, truth, bodies, truth_frame="camera").rename("ubody"))
    assert abs(everything["mpvpe_all"] - official["mpvpe_all"]) > 1


def test_ubody_says_nan_where_nothing_is_seen_at_all(bodies, pairs):
    predictions, truth = pairs["UBody"]
    truth["image_size"][:] = 1
    with pytest.warns(UserWarning, match="no sample counts for .*mpvpe_all, .*: NaN"):
        figures = protocols.evaluate("ubody", predictions, truth, bodies=bodies)
    assert figures.isna().all()
    truth["image_size"][:] = 0
    assert refused(bodies, "ubody", predictions, truth).field == "image_size"


def test_projection_is_that_of_the_virtual_camera():
    points = np.array([[[0, 0, 10.0], [0.1, 0, 10.0 - 1e-4], [0, 0.2, 10.0 - 1e-4]]])
    # 0.1 m at 10 m is 50 body pixels, 100 crop pixels; the crop's centre is (192, 256)
    affine = np.array([[[1.0, 0, 0], [0, 1.0, 0]]])
    for size, expected in (([293, 600], [1, 1, 1]), ([292, 600], [1, 0, 1]), ([292.5, 456], [1, 1, 0])):
        inside = ubody.inside_picture(points, affine, np.array([size], float))
        assert inside.tolist() == [[bool(flag) for flag in expected]]


# Streams, kinds of arrays, memory


@pytest.mark.parametrize("entry", ["EHF", "UBody", "PW3D_smpl", "Human36M"])
def test_batches_in_any_order_and_merged_give_the_same_bits(bodies, pairs, entry, monkeypatch):
    protocol, _ = wholebody_metrics.ENTRIES[entry]
    pair = repeated(pairs[entry], 2)
    whole = evaluate(protocol, *pair, bodies)
    ranks = [protocols.running(protocol, bodies=bodies) for _ in range(2)]
    for number, rows in enumerate(([4], [5, 0, 2], [1, 3])):
        ranks[number % 2].update(*({name: array[rows] for name, array in arrays.items()} for arrays in pair))
    joined = pickle.loads(pickle.dumps(ranks[0])).merge(ranks[1])
    assert joined.figures(warn=False).equals(whole)
    monkeypatch.setattr(wholebody.samplewise, "ROWS", 1)
    assert evaluate(protocol, *pair, bodies).equals(whole)


def test_torch_tensors_and_the_projects_own_names_are_taken_and_nothing_is_changed(bodies, pairs):
    predictions, truth = pairs["EHF"]
    before = copy.deepcopy((predictions, truth))
    expected = evaluate("ehf", predictions, truth, bodies)
    mine = {"smplx_mesh_cam": torch.tensor(predictions["verts"], requires_grad=True)}
    assert evaluate("ehf", mine, {"smplx_mesh_cam_target": torch.tensor(truth["verts"])}, bodies).equals(expected)
    for arrays, old in zip((predictions, truth), before, strict=True):
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, old[name])


def test_memory_is_flat_in_the_number_of_samples(bodies, pairs):
    def peak(times):
        many = repeated(pairs["AGORA_val"], times)
        tracemalloc.start()
        evaluate("agora_val", *many, bodies)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(1)
    assert peak(36) < 1.1 * peak(12)


# Bad input


@pytest.mark.parametrize("protocol, entry", [("ehf", "PW3D_smpl"), ("pw3d", "EHF"), ("agora_val_smpl", "AGORA_val")])
def test_a_mesh_of_another_body_model_is_refused(bodies, pairs, protocol, entry):
    error = refused(bodies, protocol, *pairs[entry])
    assert error.field == "verts" and "has shape" in error.problem and "(N, " in error.mend


def test_nan_and_other_units_are_refused_by_row(bodies, pairs):
    predictions, truth = repeated(pairs["AGORA_val"], 14)
    predictions["verts"][40, 7, 1] = np.nan
    error = refused(bodies, "agora_val", predictions, truth)
    assert (error.file, error.field) == ("predictions", "verts") and "row 40" in error.problem
    predictions["verts"][40] = truth["verts"][40] * 1000
    error = refused(bodies, "agora_val", predictions, truth)
    assert "row 40 is in another unit" in error.problem
    predictions, truth = pairs["Human36M"]
    truth["joint_cam"] /= 1000
    error = refused(bodies, "human36m", predictions, truth)
    assert (error.file, error.field) == ("truth", "joint_cam") and "another unit" in error.problem


def test_missing_arrays_rows_and_files_are_named(bodies, pairs, tmp_path):
    predictions, truth = pairs["UBody"]
    assert refused(bodies, "ubody", predictions, {"verts": truth["verts"]}).field == "bb2img_trans"
    assert refused(bodies, "ubody", {"verts": predictions["verts"][:2]}, truth).field == "verts"
    assert refused(bodies, "ubody", predictions, {name: array[:0] for name, array in truth.items()}).file == "truth"
    error = refused(tmp_path, "ubody", predictions, truth)
    assert "MANO_SMPLX_vertex_ids.pkl" in error.problem and "smpl-x.is.tue.mpg.de" in error.mend
