"""Networks with MANO's parameters on HO-3D, DexYCB and FreiHAND: predictions, figures, pictures, submissions."""

import mano_packs
import numpy as np
import pytest

from handlib import cli, evaluation, fields, networks, packs, submissions, tables, training
from handlib.files import InputError

DATASETS = list(mano_packs.FACTS)
OFF = (0.003, 0.004, 0.0)  # metres, so that every error but the wrist's is 5 mm


def predicted(pack, off=(0, 0, 0)):
    return training.predict(mano_packs.Oracle(pack, off), pack, "gt", batch=3, device="cpu")


@pytest.mark.parametrize("dataset", DATASETS)
def test_true_answers_have_no_error(dataset):
    """Left hands are mirrored there and back, true meshes made of the parameters, everything put on the true wrist."""
    pack = mano_packs.Pack(dataset)
    seen = evaluation.measured(predicted(pack), pack)
    assert seen.joints_mm.max() < 1e-3 and seen.vertices_mm().max() < 1e-3
    for row, (joints, verts) in enumerate(pack.made):
        assert np.abs(seen.joints["predictions"][row] - joints).max() < 1e-6
        assert np.abs(seen.verts["truth"][row] - verts).max() < 1e-6


@pytest.mark.parametrize(
    "dataset, protocol", [("ho3d", "ho3d_v2"), ("dexycb", "dexycb_handoccnet"), ("freihand", "freihand")]
)
def test_errors_in_the_common_words(dataset, protocol):
    pack = mano_packs.Pack(dataset)
    made = evaluation.with_mesh(predicted(pack, OFF), pack, mano_packs.Oracle(pack).layer)
    seen = evaluation.measured(made, pack)
    assert seen.protocol == protocol and made.facts["mesh"] == "the network's own"
    assert np.allclose(seen.joints_mm[:, 1:], 5, atol=1e-3) and seen.joints_mm[:, 0].max() < 1e-3
    assert np.allclose(seen.vertices_mm(), 5, atol=1e-3)
    frames = seen.frames()
    assert np.allclose(frames["mpjpe_mm"], 100 / 21, atol=1e-3) and (frames["pa_mpjpe_mm"] < frames["mpjpe_mm"]).all()
    assert {"key", "hands", "object", "sequence", "mpvpe_mm"} <= set(frames)
    curves = seen.curves()
    assert np.allclose(curves["wrists together"][1], 5, atol=1e-3) and curves["aligned (PA)"][1].shape == (4, 21)
    assert seen.captions([0])[0] == "can, right hand, 4.8 mm"
    assert seen.main in set(seen.short()["figure"]) and list(seen.on_hands(np.arange(21))) == ["right"]


def test_ho3ds_joints_come_back_in_the_houses_order():
    pack = mano_packs.Pack("ho3d")
    made = predicted(pack)
    order = fields.reorder(fields.HAND21, fields.HO3D21)
    assert np.allclose(made.truth["xyz"][0], pack.made[0][0][order] * [1, -1, -1], atol=1e-6)
    made.predictions["xyz"] = made.predictions["xyz"].copy()
    made.predictions["xyz"][:, 17] += [0.009, 0, 0]  # HO-3D's tip of the index finger
    seen = evaluation.measured(made, pack)
    assert np.allclose(seen.joints_mm.mean(0)[fields.HAND21.joints.index("index4")], 9, atol=1e-3)
    assert (seen.joints_mm > 1).sum() == len(pack)


def test_dexycb_has_both_protocols():
    pack = mano_packs.Pack("dexycb")
    made = predicted(pack, OFF)
    assert evaluation.protocol_names(pack) == ("dexycb_handoccnet", "dexycb")
    own, official = (made.evaluate(protocol) for protocol in evaluation.protocol_names(pack))
    assert np.isclose(own["mpjpe"], 100 / 21, atol=1e-3) and np.isclose(official["root-relative_mpjpe"], own["mpjpe"])


@pytest.mark.parametrize("dataset", DATASETS)
def test_joints_and_meshes_lie_in_their_crops(dataset):
    pack = mano_packs.Pack(dataset)
    seen, rows = evaluation.measured(predicted(pack), pack), np.array([3, 1])
    crops = training.Crops(pack, mano_packs.Oracle.input, "gt", meta=True)
    items = [crops[0, int(row)] for row in rows]
    mine, true, valid = seen.in_crops(items, rows)
    assert np.abs(np.array(mine) - np.array(true)).max() < 0.01 and np.all(valid)  # pixels
    verts, K = seen.meshes_in_crops(items, rows)
    tips = [745, 317, 444, 556, 673]
    pixels = verts[:, tips] @ K.swapaxes(1, 2)
    assert np.abs(pixels[..., :2] / pixels[..., 2:] - np.array(true)[:, 4::4]).max() < 0.01
    assert np.allclose(seen.in_camera(rows)[3], pack.made[3][0], atol=1e-6)


def test_the_truth_of_another_hand_model_is_left_out():
    pack = mano_packs.Pack("dexycb", fits_of="MANO")
    made = predicted(pack)
    assert "verts_cam" not in made.truth and "xyz" in made.truth
    assert evaluation.measured(made, pack).vertices_mm() is None


@pytest.mark.parametrize(
    "dataset, split, data",
    [("ho3d", "evaluation", "HO-3D v2 evaluation split, 11524 samples"), ("dexycb", "s0", "DexYCB s0 test"),
     ("freihand", "evaluation", "FreiHAND evaluation set, 3960 samples")],
)  # fmt: skip
def test_rows_are_named_as_published(dataset, split, data, monkeypatch):
    pack = mano_packs.Pack(dataset)
    seen = evaluation.measured(predicted(pack), pack)
    facts = seen.facts("demo", "gt", None)
    assert facts["split"] == split and facts["data"].startswith("demo: ") and "free hand" in facts["data"]
    published = tables.published(seen.protocol)
    assert data in set(published["data"]), "the words are the published ones"
    pack.manifest["fits_of"] = "MANO"
    server = {name: type(one)(one.name, len(pack), one.frame) for name, one in submissions.hands.SERVERS.items()}
    monkeypatch.setattr(evaluation.mano, "SERVERS", server)
    expected = data.replace("11524", "4").replace("3960", "4")
    assert seen.facts("data", "gt", None)["data"] == expected


def test_the_table_has_handoccnets_figures_beside():
    pack = mano_packs.Pack("ho3d")
    seen = evaluation.measured(predicted(pack, OFF), pack)
    row = tables.result(seen.figures, method="mine", **seen.facts("demo", "gt", None))
    table = evaluation.as_printed(tables.beside_published([row]), seen.protocol).set_index("method")
    assert table.loc["HandOccNet", "pa_mpjpe_mm"] == pytest.approx(9.1) and table.loc["HandOccNet", "same_data"]
    assert not table.loc["mine", "same_data"] and table.loc["mine", "pa_mpjpe_mm"] < 5


# Hidden truth, submissions


def test_a_hidden_truth_gives_a_submission_alone(tmp_path):
    pack = mano_packs.Pack("ho3d", hidden=True)
    assert not evaluation.truth_known(pack)
    made = training.predict(mano_packs.Oracle(pack), pack, "gt", batch=2, device="cpu")
    assert not made.truth and set(made.predictions) == {"xyz", "verts"}
    with pytest.raises(InputError, match="the benchmark's server keeps it"):
        evaluation.refuse_hidden(pack)
    path, problems, words = evaluation.submission(made, pack, tmp_path)
    assert not problems and "4 entries" in words and "wants 11524" in words and "the truth is on the server" in words
    kept = submissions.read("ho3d_v2", path)
    assert np.abs(kept["xyz"] - made.predictions["xyz"]).max() == 0
    wrists = kept["xyz"][:, 0] * [1, -1, -1]
    assert np.allclose(wrists, pack.array("joints_cam")[:, 0, 0], atol=1e-6)


def test_frames_that_packing_skipped_are_zeros(tmp_path):
    pack = mano_packs.Pack("freihand", listed=6)
    pack.index["image_id"] = [0, 2, 3, 5]
    path, problems, words = evaluation.submission(predicted(pack), pack, tmp_path)
    kept = submissions.read("freihand", path)["xyz"]
    assert (kept[[1, 4]] == 0).all() and np.abs(kept[[0, 2, 3, 5]]).min((1, 2)).max() > 0
    assert "2 were skipped and are zeros" in words and all(one.severity == "note" for one in problems)


def test_dexycbs_result_file_has_its_indices(tmp_path):
    pack = mano_packs.Pack("dexycb")
    pack.index["image_id"] = [7, 3, 9, 4]
    made = predicted(pack)
    path, problems, _ = evaluation.submission(made, pack, tmp_path)
    kept = submissions.read("dexycb", path)
    assert path.name == "dexycb.txt" and not problems and sorted(kept["id"]) == [3, 4, 7, 9]
    of_seven = kept["joint_3d"][list(kept["id"]).index(7)]
    assert np.allclose(of_seven, 1000 * pack.made[0][0], atol=1e-3)


def test_a_part_of_a_pack_is_no_submission(tmp_path):
    pack = mano_packs.Pack("ho3d")
    with pytest.raises(InputError, match="2 of the 4 frames"):
        evaluation.submission(predicted(pack).rows(slice(2)), pack, tmp_path)
    derived = mano_packs.Pack("ho3d", listed=6, options={"source": "derived"})
    with pytest.raises(InputError, match="lacks 2 of the file's 6 frames"):
        evaluation.submission(predicted(derived), derived, tmp_path)


def test_packs_with_and_without_truth(tmp_path, monkeypatch):
    """The one to measure on, and the one to submit."""
    there = {f"ho3d_{split}": mano_packs.Pack("ho3d", 1, hidden, tmp_path / f"ho3d_{split}", split=split)
             for split, hidden in (("evaluation", True), ("train", False))}  # fmt: skip
    for name in there:
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    opened = lambda folder: there[folder.name]  # noqa: E731
    monkeypatch.setattr(packs, "open", opened)
    monkeypatch.setattr(packs.finding, "open_pack", opened)
    for split in ("", "evaluation", "train"):
        assert evaluation.known_pack(tmp_path, "ho3d", split) is there["ho3d_train"]
    assert evaluation.to_submit(tmp_path, there["ho3d_train"]) is there["ho3d_evaluation"]
    assert evaluation.to_submit(tmp_path, mano_packs.Pack("dexycb", 1)).manifest["split"] == "test"
    del there["ho3d_train"]
    (tmp_path / "ho3d_train" / "manifest.json").unlink()
    with pytest.raises(InputError, match="the benchmark's server keeps it"):
        evaluation.known_pack(tmp_path, "ho3d")


def test_handlib_eval_uses_the_packs_protocol(monkeypatch, tmp_path, capsys):
    pack = mano_packs.Pack("dexycb")
    monkeypatch.setattr(packs, "open", lambda _: pack)
    monkeypatch.setattr(networks, "load", lambda _, bodies: mano_packs.Oracle(pack, OFF))
    given = ["eval", "checkpoint", "pack", "--device", "cpu", "--out", str(tmp_path / "eval")]
    assert cli.main([*given, "--submission", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "dexycb_handoccnet, depths: gt" in said and "procrustes_mpjpe" in said and "4.76" in said
    assert "nothing that a server would reject" in said and (tmp_path / "dexycb.txt").exists()
    hidden = mano_packs.Pack("ho3d", hidden=True)
    monkeypatch.setattr(packs, "open", lambda _: hidden)
    assert cli.main(given) == 2
    assert "has no truth" in capsys.readouterr().err


def test_the_reference_case_of_scoring():
    from handlib.verify import handoccnet_end_to_end
    from handlib.verify.reference import shipped

    rows = [*handoccnet_end_to_end.check_submission(shipped("handoccnet"))]
    assert len(rows) >= 4 and all(row.ok for row in rows), rows
