import json
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hand_samples import hands

from handlib import fields, submissions
from handlib.files import InputError
from handlib.submissions import archives, json_lists
from handlib.submissions.problems import MISLEADING, NOTE, REJECTED

HO3D = fields.reorder(fields.HAND21, fields.HO3D21)
SERVERS = ("freihand", "ho3d_v2", "ho3d_v3")


def official(server, n=6, seed=0):
    """A right prediction in the server's order and axes, metres."""
    joints, vertices = hands(n, seed)
    if server.startswith("ho3d"):
        joints, vertices = joints[:, HO3D] * [1, -1, -1], vertices * [1, -1, -1]
    return {"xyz": joints, "verts": vertices}


def found(server, predictions, tmp_path, **options):
    """Problems of predictions written without any look at them."""
    path = tmp_path / "written.zip"
    json_lists.write(path, [(np.asarray(predictions["xyz"]), np.asarray(predictions["verts"]))])
    return submissions.check(server, path, samples=options.pop("samples", len(predictions["xyz"])), **options)


def only(problems, severity, *words):
    assert len(problems) == 1, problems
    assert problems[0].severity == severity
    for word in words:
        assert word in str(problems[0]), str(problems[0])
    return problems[0]


# Writing and reading


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["pred.zip", "pred.json"])
def test_written_and_read_back_equals_the_arrays(server, dtype, name, tmp_path):
    predictions = {key: array.astype(dtype) for key, array in official(server).items()}
    assert submissions.write(server, predictions, tmp_path / name, samples=6) == 6
    got = submissions.read(server, tmp_path / name)
    assert list(got) == ["xyz", "verts"]
    for key, array in predictions.items():
        assert np.array_equal(got[key], array) and got[key].dtype == np.float64
    assert submissions.check(server, tmp_path / name, samples=6, truth=predictions) == []


@pytest.mark.parametrize("server", SERVERS)
def test_batches_torch_lists_and_aliases_give_the_same_bytes(server, tmp_path, monkeypatch):
    predictions = official(server, 20)
    submissions.write(server, predictions, tmp_path / "whole.zip", samples=20)
    monkeypatch.setattr("handlib.submissions.batches.ROWS", 3)
    parts = [slice(0, 7), slice(7, 8), slice(8, 20)]
    submissions.write(
        server, ({"joints": predictions["xyz"][part].tolist(), "verts_pred": torch.tensor(predictions["verts"][part])}
                 for part in parts), tmp_path / "parts.zip", samples=20,
    )  # fmt: skip
    assert (tmp_path / "parts.zip").read_bytes() == (tmp_path / "whole.zip").read_bytes()


@pytest.mark.parametrize("server", SERVERS)
def test_the_houses_names_are_put_into_the_servers_order_and_axes(server, tmp_path):
    joints, vertices = hands()
    submissions.write(server, {"joints_cam": joints, "verts_cam": vertices}, tmp_path / "a.json", samples=6)
    submissions.write(server, {"xyz": joints, "verts": vertices}, tmp_path / "b.json", samples=6, frame="house")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    got = submissions.read(server, tmp_path / "a.json")
    for key, array in official(server).items():
        assert np.array_equal(got[key], array)
    submissions.write(
        server, {"joints_cam": joints, "verts_cam": vertices}, tmp_path / "c.json", samples=6, frame="official"
    )
    assert np.array_equal(submissions.read(server, tmp_path / "c.json")["xyz"], joints)


def test_the_zip_holds_pred_json_alone_and_six_decimals_are_smaller(tmp_path):
    predictions = official("freihand")
    submissions.write("freihand", predictions, tmp_path / "pred.zip", samples=6)
    with zipfile.ZipFile(tmp_path / "pred.zip") as archive:
        assert archive.namelist() == ["pred.json"]
        value = json.loads(archive.read("pred.json"))
    assert np.array_equal(value[0], predictions["xyz"]) and np.array_equal(value[1], predictions["verts"])
    submissions.write("freihand", predictions, tmp_path / "six.zip", samples=6, decimals=6)
    assert (tmp_path / "six.zip").stat().st_size < 0.7 * (tmp_path / "pred.zip").stat().st_size
    np.testing.assert_allclose(
        submissions.read("freihand", tmp_path / "six.zip")["verts"], predictions["verts"], rtol=0, atol=5.1e-7
    )


def test_another_number_of_samples_warns_or_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="6 samples; the server of freihand wants 3960"):
        submissions.write("freihand", official("freihand"), tmp_path / "pred.zip")
    with pytest.raises(InputError, match="hold 6 samples"):
        submissions.write("freihand", official("freihand"), tmp_path / "other.zip", samples=7)
    assert [path.name for path in tmp_path.iterdir()] == ["pred.zip"]


def refused(predictions, tmp_path, **options):
    with pytest.raises(InputError) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        submissions.write("freihand", predictions, tmp_path / "pred.zip", **options)
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


def test_what_no_server_takes_is_refused_and_nothing_is_left(tmp_path):
    good = official("freihand", 300)
    spoilt = good["verts"].copy()
    spoilt[270, 3, 1] = np.nan
    assert "'verts': row 270 holds NaN" in refused(good | {"verts": spoilt}, tmp_path)
    assert "'xyz': has shape" in refused(good | {"xyz": good["xyz"][:, :20]}, tmp_path)
    assert "'xyz': is missing" in refused({"verts": good["verts"]}, tmp_path)
    assert "differ in length" in refused(good | {"xyz": good["xyz"][:9]}, tmp_path)
    assert "'xyz': has no rows" in refused(good | {"xyz": np.array(1.0)}, tmp_path)
    assert "not an iterable" in refused([good["xyz"]], tmp_path) or "ndarray" in refused([good["xyz"]], tmp_path)
    assert "joints_cam and xyz" in refused(good | {"joints_cam": good["xyz"]}, tmp_path)
    assert "frame 'camera' is not known" in refused(good, tmp_path, frame="camera")

    def stops():
        yield good
        raise RuntimeError("the network stopped")

    with pytest.raises(RuntimeError):
        submissions.write("freihand", stops(), tmp_path / "pred.zip")
    assert list(tmp_path.iterdir()) == []


# What a server rejects


@pytest.mark.parametrize(("server", "samples"), [("freihand", 3960), ("ho3d_v2", 11524), ("ho3d_v3", 20137)])
def test_the_number_of_samples(server, samples, tmp_path):
    problems = found(server, official(server), tmp_path, samples=None)
    assert [problem.severity for problem in problems] == [REJECTED] * 2
    assert f"joints: 6 entries, the server wants {samples}" in str(problems[0])
    assert f"vertices: 6 entries, the server wants {samples}" in str(problems[1])


def test_shapes_and_nan_are_named_with_their_entry(tmp_path):
    good = official("freihand")
    text = json.dumps([good["xyz"][:, :20].tolist(), good["verts"].tolist()])
    (tmp_path / "a.json").write_text(text)
    only(submissions.check("freihand", tmp_path / "a.json", samples=6), REJECTED, "entry 0", "(20, 3), not (21, 3)")
    value = [good["xyz"].tolist(), good["verts"].tolist()]
    value[0][2] = value[0][2][:5]
    value[0][4][3][1] = float("nan")
    value[1][3] = [[1.0, 2.0]] * 778
    value[1][5][0][0] = float("inf")
    (tmp_path / "b.json").write_text(json.dumps(value))
    texts = [str(problem) for problem in submissions.check("freihand", tmp_path / "b.json", samples=6)]
    assert texts == [
        "rejected: entry 2: joints have shape (5, 3), not (21, 3)",
        "rejected: entry 4: joints hold NaN or infinity: the evaluator stops or every figure becomes NaN",
        "rejected: entry 3: vertices have shape (778, 2), not (778, 3)",
        "rejected: entry 5: vertices hold NaN or infinity: the evaluator stops or every figure becomes NaN",
    ]


def test_a_wrong_vertex_count_is_named(tmp_path):
    good = official("freihand")
    problems = found("freihand", good | {"verts": good["verts"][:, :700]}, tmp_path)
    only(problems, MISLEADING, "entry 0 (and 5 more: 1, 2, 3, …)", "700 vertices, not 778", "no mesh errors")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"xyz": [], "verts": []}', "the file is a list of two lists"),
        ("[[],[]", "where ']' must be"),
        ("[" * 100000, "joints"),
        ("", "the text ends"),
    ],
)
def test_other_files_are_rejected_with_the_place(text, words, tmp_path):
    (tmp_path / "pred.json").write_text(text)
    only(submissions.check("freihand", tmp_path / "pred.json"), REJECTED, words)


# The zip


def zipped(tmp_path, **members):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_json", ".json"), text)
    return tmp_path / "a.zip"


ONE = "[[[[1,2,3]]],[[[4,5,6]]]]"


def test_the_servers_rule_for_names(tmp_path):
    assert json_lists.read(zipped(tmp_path, pred_json=ONE, other_json="x"))[1].tolist() == [[[4, 5, 6]]]
    assert json_lists.read(zipped(tmp_path, pred30_json=ONE, readme="x"))[0].tolist() == [[[1, 2, 3]]]
    for members, words in (
        ({"a_json": ONE, "b_json": ONE}, "no pred.json, and these at its top: a.json, b.json"),
        ({"out__pred_json": ONE}, "no pred.json, and no .json at its top"),
        ({}, "no .json at its top"),
    ):
        only(submissions.check("freihand", zipped(tmp_path, **members)), REJECTED, words)
    (tmp_path / "a.zip").unlink()
    (tmp_path / "pred7.json").write_text(ONE)
    assert json_lists.read(tmp_path)[0].tolist() == [[[1, 2, 3]]]
    (tmp_path / "gt.json").write_text(ONE)
    with pytest.raises(InputError, match="gt.json, pred7.json"):
        json_lists.read(tmp_path)


@pytest.mark.parametrize("name", ["../pred.json", "/tmp/pred.json", "C:\\pred.json", "a/../../b"])
def test_names_that_lead_out_of_the_folder(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("pred.json", ONE)
        archive.writestr(name, "x")
    only(submissions.check("freihand", tmp_path / "a.zip"), REJECTED, "leads out of its folder")


def test_bombs_cut_files_and_missing_ones(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pred.json", b"[[[" + b" " * (8 << 20))
    only(
        submissions.check("freihand", tmp_path / "bomb.zip", samples=6),
        REJECTED,
        "unpacks to 8 MB",
        "more than the 3 MB",
    )
    submissions.write("freihand", official("freihand"), tmp_path / "good.zip", samples=6)
    whole = (tmp_path / "good.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    only(submissions.check("freihand", tmp_path / "cut.zip"), REJECTED, "is not a whole zip")
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 255
    (tmp_path / "spoilt.zip").write_bytes(spoilt)
    only(submissions.check("freihand", tmp_path / "spoilt.zip", samples=6), REJECTED)
    only(submissions.check("freihand", tmp_path / "none.zip"), REJECTED, "does not exist")
    (tmp_path / "text.zip").write_text(ONE)
    only(submissions.check("freihand", tmp_path / "text.zip"), REJECTED, "is not a whole zip")


def test_an_encrypted_zip(tmp_path):
    path = zipped(tmp_path, pred_json=ONE)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    only(submissions.check("freihand", path), REJECTED, "is encrypted")


def test_the_largest_size_leaves_room_for_every_way_to_write_numbers():
    assert archives.LARGEST > 20137 * (256 << 10)


# Other frames, orders and units


@pytest.mark.parametrize("server", ["ho3d_v2", "ho3d_v3"])
def test_opencv_axes_given_to_ho3d(server, tmp_path):
    good = official(server)
    problems = found(server, {key: array * [1, -1, -1] for key, array in good.items()}, tmp_path)
    assert [problem.severity for problem in problems] == [REJECTED, REJECTED, MISLEADING]
    assert "entry 0 (and 5 more: 1, 2, 3, …): all its joints have z > 0" in str(problems[0])
    assert "all its vertices have z > 0" in str(problems[1])
    assert "OpenCV axes (y down, z forward) were written, the server wants OpenGL" in str(problems[2])
    one = {key: array.copy() for key, array in good.items()}
    for array in one.values():
        array[4] *= [1, -1, -1]
    assert {problem.entry for problem in found(server, one, tmp_path)} == {4}


def test_opengl_axes_given_to_freihand(tmp_path):
    wrong = {key: array * [1, -1, -1] for key, array in official("freihand").items()}
    only(
        found("freihand", wrong, tmp_path),
        MISLEADING,
        "behind the camera",
        "OpenGL axes (y up, z backward) were written",
    )


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("factor", "unit"), [(1000, "millimetres"), (100, "centimetres"), (10, "no unit fits"), (1e-3, "no unit fits")]
)
def test_other_units(server, factor, unit, tmp_path):
    wrong = {key: array * factor for key, array in official(server).items()}
    only(found(server, wrong, tmp_path), MISLEADING, unit, "the server wants metres")


def test_mixed_units(tmp_path):
    wrong = official("freihand")
    for array in wrong.values():
        array[2] *= 1000
    only(found("freihand", wrong, tmp_path), MISLEADING, "entry 2: hands of another size than the rest", "mixed units")
    wrong = official("freihand")
    only(
        found("freihand", {key: array + [0, 0, 600] for key, array in wrong.items()}, tmp_path),
        MISLEADING, "601 m away, at the size of a hand", "another unit",
    )  # fmt: skip
    wrong = official("freihand")
    only(
        found("freihand", wrong | {"verts": wrong["verts"] * 1000}, tmp_path),
        MISLEADING,
        "times as large as its joints",
    )


@pytest.mark.parametrize("server", SERVERS)
def test_root_relative_is_a_note(server, tmp_path):
    good = official(server)
    relative = {key: array - good["xyz"][:, :1] for key, array in good.items()}
    only(found(server, relative, tmp_path), NOTE, "the wrist is at 0: root-relative", "only the aligned figures")
    middle = good["xyz"][:, [4 if server.startswith("ho3d") else 9]]
    only(
        found(server, {key: array - middle for key, array in good.items()}, tmp_path),
        NOTE,
        "middle finger's base is at 0",
    )


def test_joints_elsewhere_than_their_mesh(tmp_path):
    good = official("freihand")
    good["xyz"] = good["xyz"] - good["xyz"][:, :1]
    problems = found("freihand", good, tmp_path)
    assert [problem.severity for problem in problems] == [NOTE, MISLEADING]
    assert "outside their mesh" in str(problems[1]) and problems[1].entry == 0
    one = official("freihand")
    one["xyz"][3] += [0, 0, 0.2]
    only(found("freihand", one, tmp_path), MISLEADING, "entry 3: joints lie", "outside their mesh")


ORDERS = {
    "HO-3D's": list(HO3D),
    "InterHand2.6M's": [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0],
    "but tip to base": [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seed", range(3))
def test_other_joint_orders_given_to_freihand(order, seed, tmp_path):
    wrong = official("freihand", 12, seed)
    wrong["xyz"] = wrong["xyz"][:, ORDERS[order]]
    only(found("freihand", wrong, tmp_path), MISLEADING, "the joints are in another order", order)


def test_freihands_order_given_to_ho3d(tmp_path):
    wrong = official("ho3d_v2")
    wrong["xyz"] = wrong["xyz"][:, fields.reorder(fields.HO3D21, fields.HAND21)]
    only(found("ho3d_v2", wrong, tmp_path), MISLEADING, "the joints are in another order", "FreiHAND's")


def test_fingers_from_little_to_thumb_and_no_order_at_all(tmp_path):
    wrong = official("freihand")
    backwards = [0, *(5 * 4 - 3 - 4 * finger + part for finger in range(5) for part in range(4))]
    problem = only(
        found("freihand", wrong | {"xyz": wrong["xyz"][:, backwards]}, tmp_path), MISLEADING, "the thumb seems"
    )
    assert "little finger should be" in str(problem)
    mixed = np.random.default_rng(1).permutation(21)
    only(found("freihand", wrong | {"xyz": wrong["xyz"][:, mixed]}, tmp_path), MISLEADING, "the joints make no hand")


def test_zeros_are_a_note(tmp_path):
    wrong = official("freihand")
    for array in wrong.values():
        array[1] = 0
    only(found("freihand", wrong, tmp_path), NOTE, "entry 1: all zeros")


# Beside the truth


def test_left_hands_not_mirrored_back(tmp_path):
    truth = official("freihand", 12)
    wrong = {key: array.copy() for key, array in truth.items()}
    for array in wrong.values():
        array[[3, 7]] *= [-1, 1, 1]
    assert found("freihand", wrong, tmp_path) == []
    only(found("freihand", wrong, tmp_path, truth=truth), MISLEADING, "entry 3 (and 1 more: 7)", "mirrored back")


def test_shifted_rows(tmp_path):
    truth = official("freihand", 12)
    wrong = {key: np.roll(array, 1, 0) for key, array in truth.items()}
    only(found("freihand", wrong, tmp_path, truth=truth), MISLEADING, "shifted by one")


@pytest.mark.parametrize("server", SERVERS)
def test_a_noisy_prediction_shows_no_signs(server, tmp_path):
    for seed in range(5):
        truth = official(server, 30, seed)
        rng = np.random.default_rng(seed)
        noisy = {key: array + rng.normal(0, 0.008, array.shape) for key, array in truth.items()}
        assert found(server, noisy, tmp_path, truth=truth) == []


def test_negated_axes(tmp_path):
    truth = official("freihand", 12)
    root = truth["xyz"][:, :1]
    wrong = {key: (array - root) * [1, -1, -1] + root for key, array in truth.items()}
    only(found("freihand", wrong, tmp_path, truth=truth), MISLEADING, "y and z are negated")


def test_truth_of_another_length_is_refused(tmp_path):
    with pytest.raises(InputError, match="truth: field 'xyz': has shape"):
        found("freihand", official("freihand"), tmp_path, truth=official("freihand", 5))


def test_an_unknown_option_is_named():
    with pytest.raises(InputError, match="'sample': is not an option(.|\n)*samples, truth"):
        submissions.check("freihand", "x", sample=4)
    with pytest.raises(InputError, match="'samples': is not an option(.|\n)*frame, decimals"):
        submissions.write("dexycb", {}, "x", samples=4)


def test_an_unknown_server_is_named():
    with pytest.raises(InputError, match="no server 'frei'(.|\n)*freihand, ho3d_v2"):
        submissions.check("frei", "x")
    assert submissions.names() == ["freihand", "ho3d_v2", "ho3d_v3", "dexycb", "interhand", "agora_smplx", "agora_smpl"]
