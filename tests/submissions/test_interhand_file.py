import json
import zipfile

import numpy as np
import pytest
import torch

from handlib import npz, protocols, submissions
from handlib.files import InputError
from handlib.submissions import interhand
from handlib.submissions.problems import MISLEADING, REJECTED
from handlib.verify.reference import shipped

NAMES = list(interhand.SHAPES)


@pytest.fixture(scope="module")
def case():
    """Predictions and truth of the reference case with RootNet depths (52 items)."""
    stored = shipped("metrics").npz("interhand.npz")
    arrays = {name.split("/")[1]: stored[name] for name in stored if name.startswith("rootnet/")}
    predictions = {name: arrays[name] for name in ("joint_coord", "rel_root_depth", "inv_trans")}
    predictions["hand_type"] = arrays["pred_hand_type"]
    return predictions, arrays


def only(problems, severity, *words):
    assert len(problems) == 1, problems
    assert problems[0].severity == severity
    for word in words:
        assert word in str(problems[0]), str(problems[0])


@pytest.mark.parametrize("name", ["result.npz", "result.json"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_written_and_read_back_equals_the_arrays(name, dtype, case, tmp_path):
    given = {key: array.astype(dtype) for key, array in case[0].items()} | {"id": np.arange(52)}
    assert submissions.write("interhand", given, tmp_path / name) == 52
    got = submissions.read("interhand", tmp_path / name)
    assert set(got) == {*NAMES, "id"}
    for key, array in given.items():
        assert np.array_equal(got[key], array)
    assert submissions.check("interhand", tmp_path / name, truth=case[1]) == []
    expected = protocols.evaluate("interhand", case[0], case[1])
    assert protocols.evaluate("interhand", {key: got[key] for key in NAMES}, case[1]).equals(expected)


@pytest.mark.parametrize("name", ["a.npz", "a.json"])
def test_batches_torch_and_alias_give_the_same_bytes(name, case, tmp_path):
    interhand.write(case[0], tmp_path / name)
    batches = [{key: torch.tensor(array[part]) for key, array in case[0].items()} for part in (slice(9), slice(9, 52))]
    for batch in batches:
        batch["pred_hand_type"] = batch.pop("hand_type")
    interhand.write(iter(batches), tmp_path / f"b{name}")
    assert (tmp_path / name).read_bytes() == (tmp_path / f"b{name}").read_bytes()


def test_annotation_order_is_put_into_the_official_order(case, tmp_path):
    predictions, truth = case
    mixed = np.argsort(np.argsort(np.arange(52) % 24, kind="stable"), kind="stable")  # single and interacting in turn
    given = {key: array[mixed] for key, array in predictions.items()} | {"id": mixed}
    interhand.write(given, tmp_path / "a.npz", hand_type=truth["hand_type"][mixed])
    got = interhand.read(tmp_path / "a.npz")
    types = truth["hand_type"][got["id"]]
    assert (np.diff((types == 2).astype(int)) >= 0).all()
    for key in NAMES:
        assert np.array_equal(got[key], predictions[key][got["id"]])
    expected = [row for row in mixed if truth["hand_type"][row] != 2] + [
        row for row in mixed if truth["hand_type"][row] == 2
    ]
    assert got["id"].tolist() == expected


def refused(given, tmp_path, name="a.npz", **options):
    with pytest.raises(InputError) as caught:
        submissions.write("interhand", given, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


def test_bad_predictions_are_refused_and_nothing_is_left(case, tmp_path):
    given = case[0]
    spoilt = given["joint_coord"].copy()
    spoilt[7, 1, 2] = np.nan
    assert "'joint_coord': row 7 holds NaN" in refused(given | {"joint_coord": spoilt}, tmp_path)
    assert "'joint_coord': has shape" in refused(given | {"joint_coord": spoilt[:, :21]}, tmp_path)
    assert "'inv_trans': is missing" in refused({k: v for k, v in given.items() if k != "inv_trans"}, tmp_path)
    assert "differ in length" in refused(given | {"hand_type": given["hand_type"][:3]}, tmp_path)
    assert "neither .npz nor .json" in refused(given, tmp_path, "a.zip")
    assert "hold no samples" in refused([], tmp_path)
    assert "'hand_type': has shape" in refused(given, tmp_path, hand_type=[0, 1])


def changed(case, tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **(case[0] | arrays))
    return submissions.check("interhand", tmp_path / "a.npz", truth=case[1])


def test_what_the_evaluation_stops_at(case, tmp_path):
    spoilt = case[0]["rel_root_depth"].copy()
    spoilt[[4, 9]] = np.nan
    only(changed(case, tmp_path, rel_root_depth=spoilt), REJECTED, "entry 4 (and 1 more: 9): rel_root_depth holds NaN")
    only(changed(case, tmp_path, joint_coord=case[0]["joint_coord"][:, :41]), REJECTED, "'joint_coord': has shape")
    short = {key: array[:50] for key, array in case[0].items()}
    only(changed(case, tmp_path, **short), REJECTED, "50 rows, the test set has 52")
    np.savez(tmp_path / "a.npz", joint_coord=case[0]["joint_coord"])
    only(submissions.check("interhand", tmp_path / "a.npz"), REJECTED, "'rel_root_depth': is missing")


def test_other_units_and_order_are_named(case, tmp_path):
    given = case[0]
    only(changed(case, tmp_path, joint_coord=given["joint_coord"] * 4 + 1), MISLEADING, "joint_coord are not cells")
    only(
        changed(case, tmp_path, joint_coord=given["joint_coord"] / 64), MISLEADING, "joint_coord are all within 2 cells"
    )
    only(changed(case, tmp_path, rel_root_depth=given["rel_root_depth"] * 10), MISLEADING, "rel_root_depth is no cell")
    logits = np.log(given["hand_type"] + 1e-3) * 3
    only(changed(case, tmp_path, hand_type=logits), MISLEADING, "hand_type is no probability")
    flat = np.zeros_like(given["inv_trans"])
    only(changed(case, tmp_path, inv_trans=flat), MISLEADING, "inv_trans maps the crop to a line")
    backwards = {key: array[::-1] for key, array in given.items()}
    only(changed(case, tmp_path, **backwards), MISLEADING, "are the rows in annotation order")


def test_damaged_and_hostile_files(case, tmp_path):
    interhand.write(case[0], tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    only(submissions.check("interhand", tmp_path / "cut.npz"), REJECTED, "is no whole .npz")
    np.savez(tmp_path / "o.npz", **(case[0] | {"joint_coord": np.array([{}], object)}))
    only(submissions.check("interhand", tmp_path / "o.npz"), REJECTED, "holds Python objects")
    (tmp_path / "deep.json").write_text("[" * 100000)
    only(submissions.check("interhand", tmp_path / "deep.json"), REJECTED)
    (tmp_path / "list.json").write_text(json.dumps([1, 2]))
    only(submissions.check("interhand", tmp_path / "list.json"), REJECTED, "holds list, not named arrays")
    (tmp_path / "text.json").write_text(json.dumps({name: ["a"] for name in NAMES}))
    only(submissions.check("interhand", tmp_path / "text.json"), REJECTED, "'joint_coord'")
    only(submissions.check("interhand", tmp_path / "none.npz"), REJECTED, "does not exist")


def test_a_bomb(case, tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "_MUCH", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("joint_coord.npy", bytes(2 << 20))
    only(submissions.check("interhand", tmp_path / "bomb.npz"), REJECTED, "unpacks from")
