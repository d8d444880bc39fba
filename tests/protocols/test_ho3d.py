import numpy as np
import pytest

from handlib import protocols
from handlib.verify import Row, metrics_hands, reference

NAMES = ("xyz", "verts")
MIDDLE = 4  # the middle finger's base in HO-3D's order
FROM_STANDARD = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20]
TO_OPENGL = np.array([1, -1, -1])


@pytest.fixture(scope="module")
def stored():
    return reference.shipped("metrics").npz("ho3d.npz")


@pytest.fixture
def plain(stored):
    arrays = {name.rpartition("/")[2]: array for name, array in stored.items() if name.startswith("v2/plain")}
    return {name: arrays[f"{name}_pred"].astype(float) for name in NAMES}, {name: arrays[name] for name in NAMES}


def test_equals_the_official_evaluators():
    results = list(metrics_hands.check_ho3d(reference.shipped("metrics")))
    assert len({result.case for result in results}) == 8
    assert [result for result in results if not isinstance(result, Row) or not result.ok] == []


def test_v2_and_v3_are_the_same_figures(plain):
    first, second = (protocols.evaluate(name, *plain) for name in ("ho3d_v2", "ho3d_v3"))
    assert first.equals(second) and (first.name, second.name) == ("ho3d_v2", "ho3d_v3")
    expected = reference.shipped("metrics").json("ho3d.json")["v2"]["plain"]["scores_txt"]
    assert list(first.index) == list(expected)
    assert protocols.unit("ho3d_v3", "xyz_scale_trans_al_mean3d") == "cm"


def test_per_sample_has_the_three_joint_errors(plain):
    errors = protocols.per_sample("ho3d_v2", *plain)
    for name in ("xyz_m", "xyz_procrustes_al_m", "xyz_scale_trans_al_m"):
        assert errors[name].shape == (16, 21)
    np.testing.assert_array_less(errors["xyz_scale_trans_al_m"][:, 0], 1e-12)


def test_a_predicted_bone_without_length_is_not_divided_by(plain):
    predictions, truth = plain
    predictions["xyz"][3, MIDDLE] = predictions["xyz"][3, 0]
    errors = protocols.per_sample("ho3d_v2", predictions, truth)["xyz_scale_trans_al_m"]
    assert np.isfinite(errors).all()
    true = truth["xyz"][3].astype(float)
    bone = np.linalg.norm(true[MIDDLE] - true[0])
    moved = (predictions["xyz"][3] - predictions["xyz"][3, 0]) * bone + true[0]
    np.testing.assert_allclose(errors[3], np.linalg.norm(moved - true, axis=-1), atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*fit best as mirror images")  # joints in a wrong order may
def test_what_the_wrong_frame_and_the_wrong_order_ruin(plain):
    predictions, truth = plain
    right = protocols.evaluate("ho3d_v2", predictions, truth)
    other_frame = protocols.evaluate("ho3d_v2", {n: p * TO_OPENGL for n, p in predictions.items()}, truth)
    for name in ("xyz_procrustes_al_mean3d", "mesh_al_mean3d"):
        assert other_frame[name] == pytest.approx(right[name], abs=1e-9)
    assert other_frame["xyz_mean3d"] > 50 > 10 * right["xyz_mean3d"]
    order = np.argsort(FROM_STANDARD)
    unordered = predictions | {"xyz": predictions["xyz"][:, order]}
    other_order = protocols.evaluate("ho3d_v2", unordered, truth)
    assert other_order["xyz_procrustes_al_mean3d"] > 3 * right["xyz_procrustes_al_mean3d"]
    assert other_order["mesh_al_mean3d"] == right["mesh_al_mean3d"]


def test_reflection_is_counted_and_may_be_forbidden(stored):
    arrays = {name.rpartition("/")[2]: array for name, array in stored.items() if name.startswith("v2/mirror")}
    pair = {name: arrays[f"{name}_pred"] for name in NAMES}, {name: arrays[name] for name in NAMES}
    with pytest.warns(UserWarning, match="4 of 4 predictions fit best as mirror images"):
        official = protocols.evaluate("ho3d_v2", *pair)
    with pytest.warns(UserWarning, match="is of fits without reflection"):
        rigid = protocols.evaluate("ho3d_v2", *pair, reflection=False)
    assert rigid["xyz_procrustes_al_mean3d"] > 5 * official["xyz_procrustes_al_mean3d"]
    assert rigid["xyz_scale_trans_al_mean3d"] == official["xyz_scale_trans_al_mean3d"]
