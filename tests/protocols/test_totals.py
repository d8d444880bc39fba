"""Streaming, merging and lining up: what every protocol gets from the core, on InterHand2.6M's arrays."""

import pickle

import numpy as np
import pytest

from handlib import protocols
from handlib.files import InputError
from handlib.protocols import totals
from handlib.verify import interhand_metrics, reference


@pytest.fixture
def pair():
    _, _, _, predictions, truth = next(interhand_metrics.cases(reference.shipped("interhand")))
    return predictions, truth


def rows(pair, keep):
    return tuple({name: array[keep] for name, array in arrays.items()} for arrays in pair)


def with_ids(pair, mine, theirs):
    return pair[0] | {"id": np.array(mine)}, pair[1] | {"id": np.array(theirs)}


def refused(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return caught.value


@pytest.mark.parametrize("sizes", [[10], [1] * 10, [3, 7], [9, 1]])
def test_batches_of_any_size_in_any_order_and_merged_give_the_same_bits(pair, sizes):
    whole = protocols.evaluate("interhand", *pair)
    order = np.random.default_rng(len(sizes)).permutation(10)
    ranks = [protocols.running("interhand") for _ in range(2)]
    for number, keep in enumerate(np.split(order, np.cumsum(sizes)[:-1])):
        ranks[number % 2].update(*rows(pair, keep))
    joined = pickle.loads(pickle.dumps(ranks[1])).merge(ranks[0])
    assert joined.figures().equals(whole)
    assert joined.samples == whole.attrs["samples"] == 10


def test_totals_are_exact_where_floats_are_not():
    values = np.random.default_rng(0).uniform(0, 1000, 100_000)
    whole = totals._whole(values, "error")
    assert whole == sum(round(value * 2**40) for value in values.tolist())
    assert totals._whole(values[::-1], "error") == whole
    assert whole / 2**40 == pytest.approx(values.sum(), rel=1e-12)


def test_merging_refuses_other_options_and_the_same_samples(pair):
    first, second = protocols.running("interhand"), protocols.running("interhand", wrists=False)
    assert "cannot join" in refused(first.merge, second).problem
    named = with_ids(pair, range(10), range(10))
    first.update(*named)
    assert (
        "sample '3' is in both"
        in refused(first.merge, protocols.running("interhand").update(*rows(named, [3]))).problem
    )
    assert "sample '4' came before" in refused(first.update, *rows(named, [4, 5])).problem


def test_a_refused_batch_leaves_nothing_behind(pair):
    running = protocols.running("interhand").update(*rows(pair, slice(0, 5)))
    before = running.totals()
    spoilt = pair[0] | {"joint_coord": pair[0]["joint_coord"] * np.nan}
    refused(running.update, spoilt, pair[1])
    assert running.samples == 5
    for name, total in running.totals().items():
        np.testing.assert_array_equal(total, before[name])


def test_rows_are_lined_up_by_id(pair):
    order = np.random.default_rng(3).permutation(10)
    shuffled = {name: array[order] for name, array in pair[0].items()}
    names = np.array([f"frame {number}" for number in range(10)])
    figures = protocols.evaluate("interhand", *with_ids((shuffled, pair[1]), names[order], names))
    assert figures.equals(protocols.evaluate("interhand", *pair))
    wrong = protocols.evaluate("interhand", shuffled, pair[1])
    assert not figures.equals(wrong)


def test_missing_repeated_and_extra_ids_are_named(pair):
    def run(mine, theirs):
        return refused(protocols.evaluate, "interhand", *with_ids(pair, mine, theirs))

    error = run([*range(9), 11], range(10))
    assert (error.file, error.field) == (
        "predictions",
        "id",
    ) and "lack 1 of 10 samples, the first is '9'" in error.problem
    assert "sample '0' is there twice" in run([*range(9), 0], range(10)).problem
    assert "sample '0' is there twice" in run(range(10), [*range(9), 0]).problem
    more = ({name: np.concatenate([array, array[:1]]) for name, array in pair[0].items()}, pair[1])
    error = refused(protocols.evaluate, "interhand", *with_ids(more, range(11), range(10)))
    assert "have 1 samples that truth lacks, such as '10'" in error.problem


def test_messages_count_rows_over_chunks_and_uneven_fields_are_named(pair, monkeypatch):
    monkeypatch.setattr(totals, "CHUNK", 4)
    spoilt = pair[0]["inv_trans"].copy()
    spoilt[7] = np.inf
    assert "row 7 " in refused(protocols.evaluate, "interhand", pair[0] | {"inv_trans": spoilt}, pair[1]).problem
    uneven = refused(protocols.evaluate, "interhand", pair[0] | {"inv_trans": spoilt[:6]}, pair[1])
    assert uneven.field == "inv_trans" and "has 6 rows where others have 10" in uneven.problem


def test_errors_beyond_reason_are_refused(pair):
    far = refused(protocols.evaluate, "interhand", pair[0] | {"joint_coord": pair[0]["joint_coord"] * 1e12}, pair[1])
    assert "gives no sane" in far.problem and "units" in far.mend


def test_an_empty_state_has_no_figures():
    assert "no samples" in refused(protocols.running("interhand").figures).problem
