import numpy as np
import pandas
import pytest

from handlib import analysis, confidence, fields, protocols
from handlib.files import InputError
from handlib.protocols import hands as hand_protocols


def errors(n=60, seed=0):
    """Per-sample errors as the InterHand2.6M protocol gives them."""
    rng = np.random.default_rng(seed)
    found = {
        "error_mm": 10 + rng.gamma(2, 3, (n, 42)),
        "mrrpe_mm": np.where(np.arange(n) % 3 == 0, 20 + rng.gamma(2, 5, n), np.nan),
        "handedness_correct": (rng.random(n) < 0.9).astype(float),
        "interacting": np.arange(n) % 3 == 0,
    }
    found["error_mm"][rng.random((n, 42)) < 0.1] = np.nan
    return found


def figures(found):
    sums = protocols.sums("interhand", found)
    return protocols.figures("interhand", {name: np.asarray(array, float).sum(0) for name, array in sums.items()})


# Breakdowns


def test_a_breakdown_is_the_evaluation_of_each_part():
    found, subject = errors(), pandas.Series(np.arange(60) % 4 + 10, index=np.arange(100, 160), name="subject")
    table = analysis.breakdown("interhand", found, subject)
    assert table["subject"].tolist() == ["10", "11", "12", "13", "all"] and table["samples"].tolist() == [15] * 4 + [60]
    for label, row in zip([10, 11, 12, 13], table.to_dict("records"), strict=False):
        part = figures({name: array[subject.to_numpy() == label] for name, array in found.items()})
        for figure in ("mpjpe_all", "mpjpe_ih", "mrrpe"):
            assert row[f"{figure}_mm"] == pytest.approx(part[figure], nan_ok=True)
        assert row["handness_acc"] == pytest.approx(part["handness_acc"])
    assert table.iloc[-1]["mpjpe_all_mm"] == pytest.approx(figures(found)["mpjpe_all"])


def test_samples_without_a_label_are_a_row_of_their_own():
    labels = [None if number % 5 == 0 else "a" for number in range(60)]
    table = analysis.breakdown("interhand", errors(), labels, figures=["mrrpe"])
    assert table["group"].tolist() == ["a", "not stated", "all"] and table["samples"].tolist() == [48, 12, 60]
    assert list(table.columns) == ["group", "samples", "mrrpe_mm"]


def test_a_breakdown_has_intervals_where_asked():
    found, labels = errors(), np.arange(60) % 2
    table = analysis.breakdown("interhand", found, labels, ["mpjpe_all"], intervals={"resamples": 40, "seed": 3})
    part = {name: array[labels == 1] for name, array in found.items()}
    alone = confidence.intervals("interhand", part, resamples=40, seed=3).set_index("figure").loc["mpjpe_all"]
    assert table.loc[1, ["mpjpe_all_mm_low", "mpjpe_all_mm_high"]].tolist() == [alone["low"], alone["high"]]


def test_bins_hold_about_as_many_each_and_keep_their_order():
    numbers = np.append(np.arange(100) / 100, np.nan)
    labels = analysis.bins(numbers, 4, name="occlusion")
    assert labels.value_counts().tolist() == [25, 25, 25, 25] and labels.isna().sum() == 1
    found = {name: np.concatenate([array, array[:41]]) for name, array in errors().items()}
    table = analysis.breakdown("interhand", found, labels, ["mrrpe"])
    assert table["occlusion"].tolist() == [
        "0 to 0.247", "0.247 to 0.495", "0.495 to 0.742", "0.742 to 0.99", "not stated", "all",
    ]  # fmt: skip
    assert analysis.bins(np.full(5, 0.25)).tolist() == ["0.25"] * 5
    assert analysis.bins(np.full(5, np.nan)).isna().all()


def test_labels_of_another_length_are_refused():
    with pytest.raises(InputError, match="has 3 labels for 60 samples"):
        analysis.breakdown("interhand", errors(), [1, 2, 3])


def test_by_joint_and_by_finger():
    found, names = errors()["error_mm"], fields.interhand_names()
    joints = analysis.by_joint(found, names, resamples=50)
    assert joints["value"].tolist() == pytest.approx(np.nanmean(found, 0).tolist())
    assert (joints["low"] < joints["value"]).all() and (joints["value"] < joints["high"]).all()
    assert joints["samples"].tolist() == (~np.isnan(found)).sum(0).tolist()
    fingers = analysis.by_finger(found, names, resamples=50).set_index("finger")
    assert fingers.index.tolist() == [*fields.FINGERS, "wrist"]
    little = [place for place, name in enumerate(names) if "pinky" in name]
    assert fingers.loc["little", "value"] == pytest.approx(np.nanmean(np.nanmean(found[:, little], 1)))
    with pytest.raises(InputError, match="3 names for 42 joints"):
        analysis.by_joint(found, names[:3])


def test_small_groups_are_warned_of_once():
    with pytest.warns(UserWarning, match="12 of 12 groups have fewer than 10 samples") as warned:
        analysis.breakdown("interhand", errors(), np.arange(60) % 12, ["mrrpe"], intervals={"resamples": 5})
    assert len(warned) == 1


# Curves


def test_the_pck_curve_is_the_hand_benchmarks_own():
    rng = np.random.default_rng(0)
    distances = rng.gamma(2, 8, (50, 21))
    distances[rng.random((50, 21)) < 0.2] = np.nan
    thresholds = np.linspace(0, 50, 100)
    curve = analysis.pck(distances, thresholds, resamples=30)
    official = hand_protocols.pck(distances / 1000, thresholds / 1000)
    assert curve["pck"].tolist() == pytest.approx(official.tolist())
    full = analysis.pck(np.nan_to_num(distances, nan=12.0), thresholds, resamples=30)
    areas = hand_protocols.areas(np.nan_to_num(distances, nan=12.0) / 1000)
    assert full.attrs["auc"] == pytest.approx(areas.mean())
    assert (curve["low"] <= curve["pck"]).all() and (curve["pck"] <= curve["high"]).all()
    assert curve.attrs["auc_low"] < curve.attrs["auc"] < curve.attrs["auc_high"]


def test_exactly_at_a_threshold_counts_and_beyond_the_last_does_not():
    curve = analysis.pck(np.array([[0.0], [10.0], [50.0], [50.1]] * 5), [0.0, 10.0, 50.0], resamples=5)
    assert curve["pck"].tolist() == [0.25, 0.5, 0.75]


def test_a_drawn_curve_is_the_curve_of_the_drawn_groups():
    rng = np.random.default_rng(1)
    distances, groups = rng.gamma(2, 8, (40, 5)), np.arange(40) // 4
    (weights,) = confidence.draws(10, 1, seed=2)
    again = np.concatenate([distances[groups == group] for group in range(10) for _ in range(int(weights[0, group]))])
    curve = analysis.pck(distances, groups=groups, resamples=1, seed=2)
    assert curve["low"].tolist() == pytest.approx(analysis.pck(again, resamples=1)["pck"].tolist())


def test_no_distance_gives_no_curve():
    with pytest.raises(InputError, match="no keypoint"):
        analysis.pck(np.full((4, 3), np.nan))


def test_error_against_a_number():
    number = np.arange(60) / 60
    table = analysis.against(5 + 10 * number, number, count=6, name="occlusion", resamples=50)
    assert table["samples"].tolist() == [10] * 6 and table.attrs == {
        "rank_correlation": pytest.approx(1),
        "samples": 60,
    }
    assert table["value"].tolist() == pytest.approx((5 + 10 * table["occlusion"]).tolist())
    assert (table["low"] < table["value"]).all() and (table["to"] < table["from"].shift(-1).fillna(2)).all()
    same = analysis.against(np.arange(10.0), np.zeros(10), resamples=5)
    assert same["samples"].tolist() == [10] and same["value"].item() == 4.5
    with pytest.raises(InputError, match="known of 1 frames"):
        analysis.against([1.0, 2.0], [np.nan, 1.0], name="occlusion")


def test_worst_and_best_frames():
    error = np.array([3.0, np.nan, 9.0, 1.0, 5.0])
    worst, best = analysis.extremes(error, 2)
    assert worst.tolist() == [2, 4] and best.tolist() == [3, 0]
    worst, best = analysis.extremes(error, 9)
    assert worst.tolist() == [2, 4, 0, 3] and best.tolist() == [3, 0, 4, 2]
    assert analysis.per_frame([[1.0, np.nan], [np.nan, np.nan]])[0] == 1


# What a frame is like


def hand(seed=0):
    """A hand-like tree of joints (21, 3), right, metres."""
    rng = np.random.default_rng(seed)
    joints = np.zeros((21, 3))
    for number in range(5):
        across = np.array([0.03 * (2 - number), 0, 0])
        for part in range(4):
            joints[1 + 4 * number + part] = across + [0, 0.09 + 0.03 * part, 0] + rng.normal(0, 0.004, 3)
    return joints


def turn(seed):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_a_pose_does_not_depend_on_place_turn_size_or_side():
    joints = hand()
    moved = 1.3 * joints @ turn(1).T + [0.1, -0.2, 0.7]
    mirrored = moved * [-1, 1, 1]
    first, second, third = analysis.canonical(np.stack([joints, moved, mirrored]), [0, 0, 1])
    assert second == pytest.approx(first, abs=1e-12) and third == pytest.approx(first, abs=1e-12)
    assert first[0].tolist() == [0, 0, 0] and first[9] == pytest.approx([0, 1, 0])
    assert np.abs(first[5] - first[17])[2] < 1e-12  # the palm's plane


class Pack:
    def __init__(self, joints, valid=None, hands=None):
        joints = np.asarray(joints)
        n, there = len(joints), np.ones(joints.shape[:2], bool)
        self.arrays = {
            "joints_cam": joints, "joints3d_valid": np.ones((n, 2, 21), bool) if valid is None else valid,
            "side": np.tile([0, 1], (n, 1)), "hand_type": there if hands is None else np.asarray(hands),
        }  # fmt: skip

    def __len__(self):
        return len(self.arrays["side"])

    def array(self, name):
        return self.arrays[name]


def test_pose_distance_is_to_the_nearest_training_pose():
    mirror = np.array([-1, 1, 1])
    train = Pack([[hand(0), hand(1) * mirror]])
    bent = hand(0).copy()
    bent[4] += [0, 0, 0.021]  # one joint off by 21 mm
    palm = np.linalg.norm(bent[9])
    valid = np.ones((3, 2, 21), bool)
    valid[2] = False
    test = Pack(
        [[hand(1) @ turn(3).T, hand(0) * mirror], [bent, hand(0)], [hand(0), hand(0)]],
        valid, [[True, True], [True, False], [True, True]],
    )  # fmt: skip
    distance = analysis.pose_distance(test, train)
    assert distance[0] == pytest.approx(0, abs=1e-7)
    assert distance[1] == pytest.approx(0.021 / np.sqrt(21) / palm)
    assert np.isnan(distance[2])
    assert np.isnan(analysis.pose_distance(test, Pack(train.arrays["joints_cam"], np.zeros((1, 2, 21), bool)))).all()
    assert analysis.pose_distance(test, train, [1]) == pytest.approx(distance[1:2])


def test_a_joint_behind_a_surface_is_hidden():
    joints = np.zeros((21, 3)) + [0, 0, 0.6]
    joints[:7] = [0.05, 0, 0.6]
    sheet = np.array([[-0.01, -0.01, 0.5], [0.01, -0.01, 0.5], [0.01, 0.01, 0.5], [-0.01, 0.01, 0.5]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    near = sheet + [0, 0, 0.09]  # 10 mm before the joints: their own skin
    scenes = {0: [(sheet, faces, joints)], 1: [(near, faces, joints)], 2: []}
    shares = analysis.occlusion(range(3), scenes.__getitem__, [0, 1, 2])
    assert shares[0] == pytest.approx(14 / 21) and shares[1] == 0 and np.isnan(shares[2])
