import numpy as np
import pytest
import torch
from hand_samples import hands

from handlib import protocols, submissions
from handlib.files import InputError
from handlib.submissions import dexycb
from handlib.submissions.problems import MISLEADING, NOTE, REJECTED
from handlib.verify.reference import shipped

IDS = np.array([7, 2, 900, 11, 5, 31])


def predictions(n=6, dtype=np.float64):
    return {"id": IDS[:n], "joint_3d": (hands(n)[0] * 1000).astype(dtype)}


def truth():
    joints = np.concatenate([hands()[0], np.full((1, 21, 3), -1.0)]).astype(np.float32)
    return {"joint_3d": joints, "id": np.append(IDS, 6)}


def lines(tmp_path, change=None, **arrays):
    """A right file's lines, changed, as a file."""
    dexycb.write(predictions() | arrays, tmp_path / "right.txt")
    text = (tmp_path / "right.txt").read_text().splitlines(keepends=True)
    (tmp_path / "a.txt").write_text("".join(change(text) if change else text))
    return tmp_path / "a.txt"


def only(problems, severity, *words):
    assert len(problems) == 1, problems
    assert problems[0].severity == severity
    for word in words:
        assert word in str(problems[0]), str(problems[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_written_and_read_back_equals_the_arrays(dtype, tmp_path):
    given = predictions(dtype=dtype)
    assert submissions.write("dexycb", given, tmp_path / "r.txt") == 6
    got = submissions.read("dexycb", tmp_path / "r.txt")
    assert np.array_equal(got["id"], IDS) and got["id"].dtype == np.int64
    assert np.array_equal(got["joint_3d"], given["joint_3d"]) and got["joint_3d"].dtype == np.float64
    for line, index, joints in zip((tmp_path / "r.txt").read_text().split("\n"), IDS, given["joint_3d"], strict=False):
        assert len(line.split(",")) == 64 and int(line.split(",")[0]) == index
        assert np.array_equal(np.array(line.split(",")[1:], float), joints.ravel())
    assert submissions.check("dexycb", tmp_path / "r.txt", truth=truth()) == []
    assert submissions.check("dexycb", tmp_path / "r.txt", ids=IDS) == []


def test_batches_torch_and_alias_give_the_same_bytes(tmp_path, monkeypatch):
    given = predictions()
    dexycb.write(given, tmp_path / "whole.txt")
    monkeypatch.setattr("handlib.submissions.batches.ROWS", 2)
    parts = [slice(0, 3), slice(3, 6)]
    batches = ({"id": torch.tensor(IDS[p]), "pred_mm": torch.tensor(given["joint_3d"][p])} for p in parts)
    dexycb.write(batches, tmp_path / "parts.txt")
    assert (tmp_path / "parts.txt").read_bytes() == (tmp_path / "whole.txt").read_bytes()


def test_the_houses_metres_become_millimetres(tmp_path):
    dexycb.write({"id": IDS, "joints_cam": hands()[0]}, tmp_path / "a.txt")
    assert np.array_equal(dexycb.read(tmp_path / "a.txt")[1], hands()[0] * 1000)
    dexycb.write(predictions(), tmp_path / "four.txt", decimals=4)
    assert np.array_equal(dexycb.read(tmp_path / "four.txt")[1], np.round(predictions()["joint_3d"], 4))


def test_the_reference_file_is_read_as_it_was_written():
    reference = shipped("metrics")
    stored = reference.npz("dexycb.npz")
    expected = {name: stored[f"plain/{name}"] for name in ("joint_3d", "pred_mm")}
    path = reference.path("dexycb_results.txt")
    got = submissions.read("dexycb", path)
    assert np.array_equal(got["joint_3d"], expected["pred_mm"][got["id"]]) and sorted(got["id"]) == list(range(60))
    true = {"joint_3d": expected["joint_3d"], "id": np.arange(60)}
    assert submissions.check("dexycb", path, truth=true) == []
    figures = protocols.evaluate("dexycb", got, true)
    assert figures["absolute_mpjpe"] == pytest.approx(
        reference.json("dexycb.json")["plain"]["figures"]["absolute"]["mpjpe"], abs=1e-6
    )


def refused(tmp_path, **changed):
    with pytest.raises(InputError) as caught:
        dexycb.write(predictions() | changed, tmp_path / "r.txt")
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


def test_what_the_toolkit_cannot_take_is_refused_and_nothing_is_left(tmp_path):
    spoilt = predictions()["joint_3d"].copy()
    spoilt[4, 0, 0] = np.inf
    assert "'joint_3d': row 4 holds NaN or infinity" in refused(tmp_path, joint_3d=spoilt)
    assert "'id': index 2 is there twice" in refused(tmp_path, id=[7, 2, 2, 11, 5, 31])
    assert "'id': holds float64" in refused(tmp_path, id=IDS * 1.0)
    assert "differ in length" in refused(tmp_path, id=IDS[:3])
    with pytest.raises(InputError, match="'id': is missing"):
        dexycb.write({"joint_3d": spoilt}, tmp_path / "r.txt")

    def stops():
        yield predictions()
        raise RuntimeError("the network stopped")

    with pytest.raises(RuntimeError):
        dexycb.write(stops(), tmp_path / "r.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: [*text[:2], "\n", *text[2:]], "line 3 is blank"),
        (lambda text: [*text, "\n"], "line 7 is blank"),
        (lambda text: ["\n", *text], "line 1 is blank"),
        (lambda text: [text[0], text[1].replace(",", ",1,", 1), *text[2:]], "line 2 has 65 numbers, not 64"),
        (lambda text: [text[0], text[1].rsplit(",", 1)[0] + "\n", *text[2:]], "line 2 has 63 numbers, not 64"),
        (lambda text: [text[0].replace(",", ",x", 1), *text[1:]], "line 1: could not convert string to float"),
        (lambda text: ["1.5" + text[0], *text[1:]], "line 1: invalid literal for int"),
        (lambda text: ["0x" + text[0], *text[1:]], "line 1: invalid literal for int"),
        (lambda text: ["\ufeff" + text[0], *text[1:]], "line 1: invalid literal for int"),
        (lambda text: ["9" * 30 + text[0][1:], *text[1:]], "an index is too large"),
        (lambda text: ["[" * 100000], "line 1 has 1 numbers"),
    ],
)
def test_lines_that_the_toolkit_stops_at_are_named(change, says, tmp_path):
    path = lines(tmp_path, change)
    only(submissions.check("dexycb", path)[:1], REJECTED, says)
    with pytest.raises(InputError, match="(?s)a.txt: (line|an index)"):
        dexycb.read(path)


def test_many_bad_lines_are_counted(tmp_path):
    path = lines(tmp_path, lambda text: text + ["1,2\n"] * 100)
    texts = [str(problem) for problem in submissions.check("dexycb", path)]
    assert len(texts) == 21 and texts[-1] == "rejected: and 80 more such lines"


def test_unusual_numbers_that_python_reads_are_read(tmp_path):
    path = lines(tmp_path, lambda text: [text[0].replace(",", " , +1_0.5e0,", 1).rsplit(",", 1)[0] + "\r\n", *text[1:]])
    ids, joints = dexycb.read(path)
    assert np.array_equal(ids, IDS) and joints[0, 0, 0] == 10.5


def test_repeated_unknown_and_missing_indices(tmp_path):
    path = lines(
        tmp_path,
        lambda text: [*text, text[1].replace("2,", "1234,", 1), text[0].split(",")[0] + "," + text[1].split(",", 1)[1]],
    )
    ids, joints = dexycb.read(path)
    assert ids.tolist() == [2, 900, 11, 5, 31, 1234, 7]
    assert np.array_equal(joints[-1], predictions()["joint_3d"][1])
    assert np.array_equal(dexycb.read(path, ids=IDS)[1][:2], joints[[-1, 0]])
    problems = submissions.check("dexycb", path, ids=IDS)
    assert [(p.severity, p.entry) for p in problems] == [(NOTE, 7), (NOTE, 1234)]
    assert "the last line counts" in str(problems[0]) and "the toolkit ignores it" in str(problems[1])
    with pytest.raises(InputError, match="lacks index 3 and 1 more"):
        dexycb.read(path, ids=[2, 3, 4])
    only(
        submissions.check("dexycb", lines(tmp_path), ids=[7, 3, 4])[:1],
        REJECTED,
        "index 3 (and 1 more: 4): needed and not there",
    )


def test_indices_without_a_hand_need_not_be_there_and_may(tmp_path):
    joints = np.concatenate([predictions()["joint_3d"], np.zeros((1, 21, 3))])
    dexycb.write({"id": [*IDS, 6], "joint_3d": joints}, tmp_path / "a.txt")
    assert submissions.check("dexycb", tmp_path / "a.txt", truth=truth()) == []


def test_nan_is_rejected_where_it_counts(tmp_path):
    path = lines(tmp_path, lambda text: [text[0], text[1].rsplit(",", 1)[0] + ",nan\n", *text[2:]])
    only(submissions.check("dexycb", path), REJECTED, "index 2: holds NaN")
    only(submissions.check("dexycb", path, ids=[7, 5]), NOTE, "index 2")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda joints: joints / 1000, "metres were written, the server wants millimetres"),
        (lambda joints: joints / 10, "centimetres were written, the server wants millimetres"),
        (lambda joints: joints * [1, -1, -1], "behind the camera: OpenGL axes"),
        (lambda joints: joints[:, [0, *range(5, 21), 1, 2, 3, 4]], "the thumb seems to be where the little finger"),
        (lambda joints: joints - [0, 0, 1e5], "another unit"),
    ],
)
def test_other_frames_are_named(change, words, tmp_path):
    path = lines(tmp_path, joint_3d=change(predictions()["joint_3d"]))
    assert any(words in str(problem) for problem in submissions.check("dexycb", path))


def test_root_relative_and_unmirrored_left_hands(tmp_path):
    joints = predictions()["joint_3d"]
    only(submissions.check("dexycb", lines(tmp_path, joint_3d=joints - joints[:, :1])), NOTE, "root-relative")
    joints[3] *= [-1, 1, 1]
    path = lines(tmp_path, joint_3d=joints)
    assert submissions.check("dexycb", path) == []
    only(submissions.check("dexycb", path, truth=truth()), MISLEADING, "entry 11: a mirror image of the truth")


def test_empty_missing_and_folder(tmp_path):
    (tmp_path / "e.txt").write_text("")
    assert [len(part) for part in dexycb.read(tmp_path / "e.txt")] == [0, 0]
    only(submissions.check("dexycb", tmp_path / "e.txt", ids=[4]), REJECTED, "index 4")
    only(submissions.check("dexycb", tmp_path / "none.txt"), REJECTED, "does not exist")
    only(submissions.check("dexycb", tmp_path), REJECTED, "is no file")
