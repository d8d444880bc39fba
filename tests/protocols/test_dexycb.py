import numpy as np
import pytest

from handlib import protocols
from handlib.files import InputError
from handlib.verify import Row, metrics_hands, reference


@pytest.fixture
def pair():
    """Predictions (60 samples, mm, with ids) and truth (metres, 8 without a hand)."""
    stored = reference.shipped("metrics").npz("dexycb.npz")
    ids = np.arange(60)
    return {"joint_3d": stored["plain/pred_mm"], "id": ids}, {"joint_3d": stored["plain/joint_3d"], "id": ids}


def evaluate(pair, **options):
    return protocols.evaluate("dexycb", *pair, **options)


def test_equals_the_official_toolkit():
    results = list(metrics_hands.check_dexycb(reference.shipped("metrics")))
    cases = {"plain", "mirror", "extra_lines", "missing_line", "results.txt"}
    assert {result.case for result in results} == {f"dexycb/{case}" for case in cases}
    assert [result for result in results if not isinstance(result, Row) or not result.ok] == []


def test_names_units_and_rows(pair):
    figures = evaluate(pair)
    names = ("absolute", "root-relative", "procrustes")
    assert list(figures.index) == [f"{name}_{figure}" for name in names for figure in ("mpjpe", "auc")]
    assert protocols.unit("dexycb", "root-relative_mpjpe") == "mm" and protocols.unit("dexycb", "absolute_auc") == ""
    errors = protocols.per_sample("dexycb", *pair)
    empty = (pair[1]["joint_3d"] == -1).all((1, 2))
    assert empty.sum() == 8
    for name in names:
        np.testing.assert_array_equal(np.isnan(errors[f"{name}_mm"]).all(1), empty)
        assert figures[f"{name}_mpjpe"] == pytest.approx(np.nanmean(errors[f"{name}_mm"]), abs=1e-9)
    assert (errors["root-relative_mm"][~empty, 0] == 0).all()


def test_ids_line_rows_up_and_extra_ones_are_left_out(pair):
    predictions, truth = pair
    expected = evaluate(pair)
    order = np.random.default_rng(0).permutation(60)
    shuffled = {name: array[order] for name, array in predictions.items()}
    assert evaluate((shuffled, truth)).equals(expected)
    extra = {"pred_mm": np.concatenate([shuffled["joint_3d"], np.zeros((3, 21, 3))]), "id": [*order, 90, 91, 92]}
    assert evaluate((extra, truth)).equals(expected)
    lacking = {name: array[:-1] for name, array in shuffled.items()}
    with pytest.raises(InputError, match="lack 1 of 60 samples"):
        evaluate((lacking, truth))


def test_truth_is_multiplied_in_float32(pair):
    predictions, truth = pair
    errors = protocols.per_sample("dexycb", predictions, truth)["absolute_mm"]
    exact = (truth["joint_3d"] * np.float32(1000)).astype(float)
    hand = ~np.isnan(errors).any(1)
    expected = np.linalg.norm(predictions["joint_3d"] - exact, axis=-1)
    np.testing.assert_array_equal(errors[hand], np.sqrt(((predictions["joint_3d"] - exact) ** 2).sum(-1))[hand])
    np.testing.assert_allclose(errors[hand], expected[hand])
    widened = truth | {"joint_3d": truth["joint_3d"].astype(float).tolist()}
    assert evaluate((predictions, widened)).equals(evaluate(pair))


def test_mirror_images_are_counted_and_may_be_forbidden(pair):
    predictions, truth = pair
    mirrored = predictions | {"joint_3d": predictions["joint_3d"] * [-1, 1, 1]}
    with pytest.warns(UserWarning, match="the joints of 52 of 52 predictions fit best as mirror images") as warned:
        official = evaluate((mirrored, truth))
    with pytest.warns(UserWarning, match="without reflection"):
        rigid = evaluate((mirrored, truth), reflection=False)
    assert official["procrustes_mpjpe"] == pytest.approx(evaluate(pair)["procrustes_mpjpe"], abs=1e-9)
    assert f"{rigid['procrustes_mpjpe']:.6f} mm without" in str(warned[0].message)
    assert rigid["absolute_mpjpe"] == official["absolute_mpjpe"]


def test_batches_do_not_matter(pair):
    predictions, truth = pair
    running = protocols.running("dexycb")
    for keep in (slice(40, 60), slice(0, 1), slice(1, 40)):
        running.update(*({name: array[keep] for name, array in given.items()} for given in pair))
    assert running.figures().equals(evaluate(pair))


def test_no_hand_at_all_is_nan_with_a_warning(pair):
    predictions, truth = pair
    truth = truth | {"joint_3d": np.full((60, 21, 3), -1.0)}
    with pytest.warns(UserWarning, match="no sample has a hand"):
        assert evaluate((predictions, truth)).isna().all()


def test_bad_input_is_named(pair):
    predictions, truth = pair
    joints = predictions["joint_3d"].copy()
    hand = int(np.flatnonzero((truth["joint_3d"] != -1).any((1, 2)))[2])
    joints[hand, 3] = np.nan
    with pytest.raises(InputError, match=f"row {hand} holds NaN"):
        evaluate((predictions | {"joint_3d": joints}, truth))
    with pytest.raises(InputError, match="has shape"):
        evaluate((predictions | {"joint_3d": joints[:, :20]}, truth))
    with pytest.raises(InputError, match="no samples"):
        evaluate(({"joint_3d": joints[:0]}, {"joint_3d": joints[:0]}))
    with pytest.raises(InputError, match="is there twice"):
        evaluate((predictions | {"id": np.zeros(60, int)}, truth))


def test_nan_is_allowed_where_there_is_no_hand(pair):
    predictions, truth = pair
    empty = (truth["joint_3d"] == -1).all((1, 2))
    joints = np.where(empty[:, None, None], np.nan, predictions["joint_3d"])
    assert evaluate((predictions | {"joint_3d": joints}, truth)).equals(evaluate(pair))


def test_metres_for_millimetres_are_plain_to_see(pair):
    predictions, truth = pair
    figures = evaluate((predictions | {"joint_3d": predictions["joint_3d"] / 1000}, truth))
    assert figures["absolute_mpjpe"] > 500 and figures["absolute_auc"] == 0
