import numpy as np
import pytest
import torch

from handlib import protocols
from handlib.files import InputError
from handlib.protocols import oakink
from handlib.verify import Row, metrics_hands, reference


@pytest.fixture
def pair():
    stored = reference.shipped("metrics").npz("freihand.npz")
    predictions = {"joints_3d": stored["plain/xyz_pred"], "verts_3d": stored["plain/verts_pred"]}
    return predictions, {"joints_3d": stored["plain/xyz"], "verts_3d": stored["plain/verts"]}


@pytest.fixture
def visible():
    return np.array(reference.shipped("metrics").json("oakink.json")["hidden_joints"]["visible"])


def evaluate(pair, **options):
    return protocols.evaluate("oakink", *pair, **options)


def test_equals_the_official_metrics():
    results = list(metrics_hands.check_oakink(reference.shipped("metrics")))
    assert len({result.case for result in results}) == 3
    assert [result for result in results if not isinstance(result, Row) or not result.ok] == []


def test_units_are_mixed_unless_asked_otherwise(pair):
    official, corrected = evaluate(pair), evaluate(pair, mixed_units=False)
    units = {name: protocols.unit("oakink", name) for name in [*official.index, *corrected.index]}
    assert units["PAEval.mpjpe"] == units["MeanEPE.joints_3d_mepe"] == units["Hand3DPCK.epe_mean_per_kp.3"] == "m"
    assert units["PAEval.mpvpe"] == units["PAEval.mpjpe_mm"] == units["PAEval.pa_mpvpe_mm"] == "mm"
    assert units["Hand3DPCK.auc_all"] == units["Hand3DPCK.h3dpck"] == units["Hand3DPCK.auc_per_kp.0"] == ""
    assert corrected["PAEval.pa_mpjpe_mm"] == official["PAEval.pa_mpjpe"] * 1000
    assert corrected["PAEval.pa_mpvpe_mm"] == official["PAEval.pa_mpvpe"]
    assert "PAEval.mpjpe" not in corrected and "PAEval.mpjpe_mm" not in official


def test_only_the_pck_looks_at_visibility_unless_asked_otherwise(pair, visible):
    predictions, truth = pair
    hidden = predictions, truth | {"visible": visible}
    plain, official, corrected = evaluate(pair), evaluate(hidden), evaluate(hidden, visible_only=True)
    assert official["MeanEPE.joints_3d_mepe"] == plain["MeanEPE.joints_3d_mepe"]
    assert official["Hand3DPCK.auc_all"] != plain["Hand3DPCK.auc_all"]
    errors = protocols.per_sample("oakink", *hidden)
    for figure, name in (("MeanEPE.joints_3d_mepe", "joints_m"), ("PAEval.pa_mpjpe", "pa_joints_m")):
        masked = np.where(visible != 0, errors[name], np.nan)
        assert corrected[figure] == pytest.approx(np.nanmean(masked, 1).mean(), abs=1e-9)
    same = [name for name in official.index if "mpjpe" not in name and "joints" not in name]
    assert corrected[same].equals(official[same])


def test_a_joint_that_nobody_sees_is_left_out_and_named(pair, visible):
    predictions, truth = pair
    visible[:, 7] = 0
    with pytest.warns(UserWarning, match="joints 7 are visible in no sample"):
        figures = evaluate((predictions, truth | {"visible": visible}))
    each = figures[[f"Hand3DPCK.epe_mean_per_kp.{joint}" for joint in range(21)]]
    assert np.isnan(each.iloc[7]) and figures["Hand3DPCK.epe_mean_all"] == pytest.approx(each.mean())
    with pytest.warns(UserWarning, match="are visible in no sample"):
        figures = evaluate((predictions, truth | {"visible": np.zeros((24, 21))}), visible_only=True)
    assert figures[["Hand3DPCK.auc_all", "MeanEPE.joints_3d_mepe"]].isna().all()
    assert figures["PAEval.mpvpe"] > 0


def test_one_sample_tensors_and_other_names_are_taken(pair):
    predictions, truth = pair
    tensors = {"xyz": torch.tensor(predictions["joints_3d"][:1]), "verts": torch.tensor(predictions["verts_3d"][:1])}
    figures = evaluate((tensors, {name: array[:1] for name, array in truth.items()}))
    assert figures["Hand3DPCK.epe_mean_all"] == pytest.approx(figures["PAEval.mpjpe"], abs=1e-9)


def test_batches_do_not_matter(pair):
    running = protocols.running("oakink")
    for keep in (slice(5, 24), slice(0, 1), slice(1, 5)):
        running.update(*({name: array[keep] for name, array in given.items()} for given in pair))
    assert running.figures().equals(evaluate(pair))


def test_curves_end_in_the_printed_figures(pair):
    errors = protocols.per_sample("oakink", *pair)
    curves = oakink.pck_curves(errors)
    assert curves.shape == (21, 20) and (np.diff(curves) >= 0).all()
    areas = ((curves[:, 1:] + curves[:, :-1]) / 2).mean(1)
    figures = evaluate(pair)
    np.testing.assert_allclose(areas, figures[[f"Hand3DPCK.auc_per_kp.{joint}" for joint in range(21)]], atol=1e-9)
    assert figures["Hand3DPCK.h3dpck"] == pytest.approx((errors["joints_m"] <= 0.02).mean(), abs=1e-9)


def test_mirror_images_are_counted_and_may_be_forbidden(pair):
    predictions, truth = pair
    mirrored = {name: array * np.float32([-1, 1, 1]) for name, array in predictions.items()}
    with pytest.warns(UserWarning) as warned:
        official = evaluate((mirrored, truth))
    with pytest.warns(UserWarning, match="without reflection"):
        rigid = evaluate((mirrored, truth), reflection=False)
    assert f"{rigid['PAEval.pa_mpvpe']:.6f} mm without" in str(warned[1].message)
    assert f"{rigid['PAEval.pa_mpjpe'] * 1000:.6f} mm without" in str(warned[0].message)
    assert official["PAEval.pa_mpjpe"] < rigid["PAEval.pa_mpjpe"]


@pytest.mark.parametrize("name", ["joints_3d", "verts_3d"])
def test_bad_input_is_named(pair, name):
    predictions, truth = pair
    bad = predictions[name].copy()
    bad[4, 2] = np.nan
    for given, problem in ((bad, "row 4 holds NaN"), (bad[:, :5], "has shape"), (bad.astype(str), "not numbers")):
        with pytest.raises(InputError, match=problem) as caught:
            evaluate((predictions | {name: given}, truth))
        assert caught.value.field == name
    with pytest.raises(InputError, match="no samples"):
        evaluate(tuple({key: array[:0] for key, array in given.items()} for given in pair))
    with pytest.raises(InputError, match="has shape"):
        evaluate((predictions, truth | {"visible": np.ones((24, 20))}))
