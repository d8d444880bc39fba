"""Predictions that do not fit into memory are the same as those that do, on disk too."""

import numpy as np
import people_packs
import pytest

from handlib import evaluation, training
from handlib.files import InputError
from handlib.training import large


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return people_packs.made(tmp_path_factory.mktemp("people"), "ubody", every=1)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(large, "IN_MEMORY", 200_000)  # one mesh, not two
    monkeypatch.setattr(large, "_CHUNK", 200_000)


def made(pack, folder=None):
    file = None if folder is None else folder / "made.npz"
    return training.predict(people_packs.Tiny(), pack, batch=3, device="cpu", file=file)


def equal(first, second):
    for group in ("predictions", "truth"):
        mine, theirs = getattr(first, group), getattr(second, group)
        assert set(mine) == set(theirs)
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


@pytest.mark.filterwarnings("ignore:.*fit better as mirror:UserWarning", "ignore:.*sample:UserWarning")
def test_arrays_on_disk_are_those_in_memory(pack, monkeypatch, tmp_path):
    whole = made(pack)
    figures = whole.evaluate("ubody")
    assert not isinstance(whole.predictions["verts"], np.memmap)
    monkeypatch.setattr(large, "IN_MEMORY", 200_000)
    monkeypatch.setattr(large, "_CHUNK", 200_000)
    spooled = made(pack, tmp_path)
    assert isinstance(spooled.predictions["verts"], np.memmap) and isinstance(spooled.truth["verts"], np.memmap)
    assert not isinstance(spooled.predictions["body_pose"], np.memmap)
    equal(whole, spooled)
    assert figures.equals(spooled.evaluate("ubody"))
    back = training.Predictions.load(tmp_path / "made.npz")
    assert isinstance(back.predictions["verts"], np.memmap) and back.facts == spooled.facts
    equal(whole, back)
    chosen = np.array([3, 1, 0])
    assert isinstance(back.rows(chosen).predictions["verts"], np.memmap)
    equal(whole.rows(chosen), back.rows(chosen))
    assert figures.equals(evaluation.measured(back, pack).figures)
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".npy", ".npy", ".npz"], "nothing else is left"


def test_what_belongs_to_older_predictions_goes(pack, small, tmp_path):
    made(pack, tmp_path)
    before = {file.name for file in tmp_path.glob("*.npy")}
    training.predict(people_packs.Tiny(1), pack, batch=3, device="cpu", file=tmp_path / "made.npz")
    after = {file.name for file in tmp_path.glob("*.npy")}
    assert len(before) == len(after) == 2 and not before & after
    for file in tmp_path.glob("*.npy"):
        file.unlink()
    with pytest.raises(InputError, match="does not exist"):
        training.Predictions.load(tmp_path / "made.npz")


def test_rows_are_all_of_a_kind(small):
    rows = large.Rows()
    rows.add(np.zeros((1, 60_000), np.float32))
    with pytest.raises(ValueError, match="float64"):
        rows.add(np.zeros((1, 60_000)))
    assert large.all_nan(np.full((5, 2), np.nan)) and not large.all_nan(np.array([[np.nan], [1.0]]))


def test_partial_sums_are_the_whole(pack):
    """What several processes do with their shares of a validation."""
    whole = made(pack)
    parts = [whole.rows(slice(start, None, 2)).running("ubody") for start in range(2)]
    with pytest.warns(UserWarning, match="ubody"):
        assert parts[0].merge(parts[1]).figures().equals(whole.evaluate("ubody"))


def test_a_process_may_have_no_person_whose_truth_is_known(pack):
    made_of = made(pack)
    made_of.truth["known"][1::2] = False
    known, unknown = (made_of.rows(slice(start, None, 2)) for start in range(2))
    with pytest.warns(UserWarning, match="ubody"):
        figures = made_of.evaluate("ubody")
        assert known.running("ubody").merge(unknown.running("ubody")).figures().equals(figures)
        assert unknown.running("ubody").merge(known.running("ubody")).figures().equals(figures)
