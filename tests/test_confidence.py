import numpy as np
import pandas
import pytest
import scipy.stats

from handlib import confidence, protocols
from handlib.files import InputError
from handlib.protocols import interhand


def errors(n=60, seed=0, shift=0.0, gaps=True):
    """Per-sample errors as the InterHand2.6M protocol gives them, a third of them interacting."""
    rng = np.random.default_rng(seed)
    found = {
        "error_mm": 10 + shift + rng.gamma(2, 3, (n, 42)),
        "mrrpe_mm": np.where(np.arange(n) % 3 == 0, 20 + rng.gamma(2, 5, n), np.nan),
        "handedness_correct": (rng.random(n) < 0.9).astype(float),
        "interacting": np.arange(n) % 3 == 0,
    }
    if gaps:
        found["error_mm"][rng.random((n, 42)) < 0.1] = np.nan
    return found


def rows(found, chosen):
    return {name: array[chosen] for name, array in found.items()}


def figures(found, **options):
    sums = protocols.sums("interhand", found, **options)
    return protocols.figures("interhand", {name: np.asarray(array, float).sum(0) for name, array in sums.items()})


def test_the_values_are_the_protocols_own():
    frame = confidence.intervals("interhand", errors(), resamples=50).set_index("figure")
    for name, value in figures(errors()).items():
        assert frame.loc[name, "value"] == pytest.approx(value, abs=1e-12)
        assert frame.loc[name, "low"] <= value <= frame.loc[name, "high"] or "wrist" in name


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_plain_mean_has_the_interval_that_scipy_gives(level):
    found = errors()
    frame = confidence.intervals("interhand", found, level=level, resamples=400, seed=7).set_index("figure")
    theirs = scipy.stats.bootstrap(
        (found["handedness_correct"],), np.mean, n_resamples=400, method="percentile", confidence_level=level,
        rng=np.random.default_rng(7),
    ).confidence_interval  # fmt: skip
    assert frame.loc["handness_acc", ["low", "high"]].tolist() == pytest.approx([*theirs], abs=1e-12)


def test_groups_are_drawn_whole_as_scipy_draws_their_means():
    found = errors(60)
    groups = np.repeat(np.arange(12), 5)  # equal sizes: the mean over samples is the mean of the groups' means
    frame = confidence.intervals("interhand", found, groups, resamples=300, seed=3).set_index("figure")
    means = found["handedness_correct"].reshape(12, 5).mean(1)
    theirs = scipy.stats.bootstrap(
        (means,), np.mean, n_resamples=300, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    assert frame.loc["handness_acc", ["low", "high"]].tolist() == pytest.approx([*theirs], abs=1e-12)


def test_a_draw_equals_evaluating_the_drawn_samples_anew():
    found = errors(40)
    (weights,) = confidence.draws(40, 1, seed=5)
    anew = figures(rows(found, np.repeat(np.arange(40), weights[0].astype(int))))
    frame = confidence.intervals("interhand", found, resamples=1, seed=5).set_index("figure")
    assert frame["low"].tolist() == pytest.approx([anew[name] for name in frame.index], nan_ok=True)


def test_the_same_seed_gives_the_same_and_blocks_do_not_matter(monkeypatch):
    one = confidence.intervals("interhand", errors(), resamples=90, seed=1)
    monkeypatch.setattr(confidence, "_BLOCK", 60 * 7)
    other = confidence.intervals("interhand", errors(), resamples=90, seed=1)
    pandas.testing.assert_frame_equal(one, other, rtol=1e-13)
    assert not one["low"].equals(confidence.intervals("interhand", errors(), resamples=90, seed=2)["low"])
    assert one.attrs["groups"] == 60 and one.attrs["seed"] == 1


def test_frames_that_resemble_each_other_widen_the_interval_over_groups():
    rng = np.random.default_rng(0)
    found = errors(200, gaps=False)
    groups = np.repeat(np.arange(20), 10)
    found["error_mm"] = found["error_mm"] + np.repeat(rng.normal(0, 6, 20), 10)[:, None]
    widths = []
    for labels in (None, groups):
        frame = confidence.intervals("interhand", found, labels, resamples=200).set_index("figure")
        widths.append(frame.loc["mpjpe_all", "high"] - frame.loc["mpjpe_all", "low"])
    assert widths[1] > 2 * widths[0]


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for seed in range(100):
        found = errors(80, seed=seed, gaps=False)
        found["handedness_correct"] = (np.random.default_rng(seed + 1000).random(80) < 0.7).astype(float)
        frame = confidence.intervals("interhand", found, resamples=200, level=0.9).set_index("figure")
        held += frame.loc["handness_acc", "low"] <= 0.7 <= frame.loc["handness_acc", "high"]
    assert 82 <= held <= 97


def test_options_reach_the_figures():
    without = confidence.intervals("interhand", errors(), resamples=5, wrists=False).set_index("figure")
    assert without.loc["mpjpe_all", "value"] == pytest.approx(
        interhand.figures({n: np.asarray(a, float).sum(0) for n, a in interhand.sums(errors()).items()}, wrists=False)[
            "mpjpe_all"
        ]
    )


def test_a_figure_without_samples_is_nan_and_nothing_else_is():
    found = errors(30)
    found["interacting"][:] = False
    found["mrrpe_mm"][:] = np.nan
    frame = confidence.intervals("interhand", found, resamples=20).set_index("figure")
    assert frame.loc[["mrrpe", "mpjpe_ih"]].isna().all(axis=None)
    assert frame.loc[["mpjpe_sh", "mpjpe_all"]].notna().all(axis=None)


def test_few_groups_are_warned_of():
    with pytest.warns(UserWarning, match="3 groups are too few"):
        confidence.intervals("interhand", errors(30), np.arange(30) % 3, resamples=5)


@pytest.mark.parametrize("protocol", ["freihand", "ho3d_v2", "dexycb"])
def test_other_protocols_figures_have_intervals_about_their_values(protocol):
    rng = np.random.default_rng(0)
    truth = {"xyz": rng.normal(0, 0.04, (30, 21, 3)) - [0, 0, 0.6], "verts": rng.normal(0, 0.04, (30, 778, 3))}
    predictions = {name: array + rng.normal(0, 0.004, array.shape) for name, array in truth.items()}
    if protocol == "dexycb":
        truth, predictions = {"joint_3d": truth["xyz"]}, {"joint_3d": 1000 * predictions["xyz"]}
    found = protocols.per_sample(protocol, predictions, truth)
    frame = confidence.intervals(protocol, found, resamples=60).set_index("figure")
    evaluated = protocols.evaluate(protocol, predictions, truth)
    assert frame["value"].to_dict() == pytest.approx(evaluated.to_dict(), abs=1e-10)
    inside = (frame["low"] <= frame["value"]) & (frame["value"] <= frame["high"])
    assert inside.all() and (frame["low"] < frame["high"]).any()


# Two models


def test_the_difference_of_two_models_is_paired():
    a, b = errors(60), errors(60)
    b["error_mm"] = b["error_mm"] - 0.3  # better by as little on every frame: certain when paired
    frame = confidence.compare("interhand", a, b, resamples=200).set_index("figure")
    row = frame.loc["mpjpe_all"]
    assert row["difference"] == pytest.approx(0.3) and row["low"] == pytest.approx(0.3) == row["high"]
    assert row["p"] == pytest.approx(2 / 201)
    alone = confidence.intervals("interhand", a, resamples=200).set_index("figure").loc["mpjpe_all"]
    assert alone["high"] - alone["low"] > 0.3  # apart, the two intervals would overlap
    assert frame.loc["handness_acc", "p"] == 1 and frame.loc["handness_acc", "difference"] == 0


def test_swapped_models_give_the_opposite():
    one = confidence.compare("interhand", errors(), errors(seed=1), resamples=100)
    other = confidence.compare("interhand", errors(seed=1), errors(), resamples=100)
    assert other["difference"].tolist() == pytest.approx((-one["difference"]).tolist(), nan_ok=True)
    assert other["low"].tolist() == pytest.approx((-one["high"]).tolist(), nan_ok=True)
    assert other["p"].tolist() == pytest.approx(one["p"].tolist(), nan_ok=True)


def test_two_models_on_other_frames_are_refused():
    with pytest.raises(InputError, match="same frames"):
        confidence.compare("interhand", errors(30), errors(31))
    ids = np.arange(30)
    with pytest.raises(InputError, match="field 'id'"):
        confidence.compare("interhand", errors(30) | {"id": ids}, errors(30) | {"id": ids[::-1]})


# What cannot be used


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"groups": np.arange(3)}, "has 3 labels for 20 samples"),
        ({"groups": [None] + ["a"] * 19}, "row 0 has no label"),
        ({"level": 1.0}, "field 'level'"),
        ({"level": 95}, "field 'level'"),
        ({"resamples": 0}, "field 'resamples'"),
        ({"resamples": 10.5}, "field 'resamples'"),
        ({"wrist": False}, "is not an option"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        confidence.intervals("interhand", errors(20), **arguments)


def test_no_samples_are_refused():
    with pytest.raises(InputError, match="no samples"):
        confidence.intervals("interhand", rows(errors(20), slice(0, 0)))
