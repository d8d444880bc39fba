"""Every benchmark's errors in the same words; meshes fitted to joints; figures under their printed names."""

import numpy as np
import one_hand
import pandas as pd
import pytest
import torch

from handlib import bodies, evaluation, fields, networks, packs, protocols, tables, training
from handlib.files import InputError
from handlib.training import Predictions
from handlib.verify.interhand_data import fixture_samples
from handlib.verify.reference import shipped


@pytest.fixture(scope="module")
def pack():
    return one_hand.Pack(4)


@pytest.fixture(scope="module")
def layer():
    return bodies.load("free", "mano_right")


def off_by(pack, shift, verts=False):
    """Predictions that are beside the truth by ``shift`` (3,) metres."""
    joints, mesh = pack.array("joints_cam")[:, 0], pack.array("verts_cam")[:, 0]
    mine = {"joints_3d": joints + shift} | ({"verts_3d": mesh + shift} if verts else {})
    facts = {"root_depth": "gt", "weights": "0" * 64, "mesh": "the network's own"}
    return Predictions(mine, {"joints_3d": joints, "verts_3d": mesh}, np.arange(len(pack)), facts)


# Meshes


def test_a_fit_puts_the_mesh_on_the_joints(pack, layer, tmp_path):
    made = evaluation.with_mesh(off_by(pack, [0, 0, 0.01]), pack, layer, file=tmp_path / "made.npz")
    away = np.linalg.norm(made.predictions["verts_3d"] - made.truth["verts_3d"] - [0, 0, 0.01], axis=-1)
    assert away.mean() < 0.004 and made.facts["mesh"] == "fit from closed form"
    kept = evaluation.with_mesh(off_by(pack, [0, 0, 0.01]), pack, layer, file=tmp_path / "made.npz")
    assert np.array_equal(kept.predictions["verts_3d"], made.predictions["verts_3d"])
    other = evaluation.with_mesh(off_by(pack, [0, 0, 0.01]), pack, layer, networks.create("iknet").eval(),
                                 file=tmp_path / "made.npz")  # fmt: skip
    assert other.facts["mesh"] == "fit from IKNet", "a file of another fit is not taken for this one"


def test_no_mesh_where_one_is_there_or_the_hand_model_is_another(pack, layer):
    own = off_by(pack, 0, verts=True)
    assert evaluation.with_mesh(own, pack, layer).predictions["verts_3d"] is own.predictions["verts_3d"]
    foreign = one_hand.Pack(1, fits_of="MANO")
    made = evaluation.with_mesh(off_by(foreign, 0), foreign, layer)
    assert "verts_3d" not in made.predictions and made.facts["mesh"].startswith("none: the truth is of MANO")
    two_hands = Predictions({"joint_coord": np.zeros((1, 42, 3))}, {}, np.arange(1))
    assert evaluation.with_mesh(two_hands, pack, layer) is two_hands


def test_the_published_fit_needs_a_start(pack, layer):
    with pytest.raises(InputError, match="starts from a network's pose"):
        evaluation.with_mesh(off_by(pack, 0), pack, layer, published=True)


def test_ways_to_a_mesh(pack, layer):
    joints, verts = pack.array("joints_cam")[:, 0], pack.array("verts_cam")[:, 0]
    torch.manual_seed(0)
    ways = evaluation.ways_to_a_mesh(joints, verts, layer, networks.create("iknet").eval())
    assert list(ways["fit"]) == ["none", "published, 20 steps", "to the end", "to the end"]
    alone, _, from_iknet, closed = ways["mpvpe_mm"]  # of an untrained IKNet
    assert alone > 20 and from_iknet < 0.5 * alone and closed < 4
    assert (ways["pa_mpvpe_mm"] <= ways["mpvpe_mm"] + 1e-6).all() and (ways["ms_per_hand"] > 0).all()


def test_mesh_errors_are_the_benchmarks(pack):
    made = off_by(pack, [0.003, 0.004, 0], verts=True)
    official = made.evaluate("oakink")
    errors = evaluation.mesh_errors(made.predictions["verts_3d"], made.truth["verts_3d"])
    assert np.isclose(errors["mpvpe_mm"], 5) and np.isclose(errors["mpvpe_mm"], official["PAEval.mpvpe"], atol=1e-3)
    assert np.isclose(errors["pa_mpvpe_mm"], official["PAEval.pa_mpvpe"], atol=1e-3)


# OakInk


def test_oakink_in_the_common_words(pack):
    made = off_by(pack, [0.006, 0, 0.008], verts=True)
    seen = evaluation.measured(made, pack)
    assert seen.protocol == "oakink" and list(seen.joint_names) == list(fields.HAND21.joints)
    assert np.allclose(seen.joints_mm, 10, atol=1e-3) and np.allclose(seen.frame_mm, 10, atol=1e-3)
    assert np.allclose(seen.vertices_mm(), 10, atol=1e-3) and seen.vertices_mm().shape == (778,)
    frames = seen.frames()
    assert list(frames["object"]) == ["D00000", "D00001"] * 2
    assert np.allclose(frames[["mpjpe_mm", "mpvpe_mm"]], 10, atol=1e-3) and (frames["pa_mpjpe_mm"] < 0.1).all()
    assert seen.captions([1, 0]) == ["D00001, use, 10.0 mm", "D00000, hold, 10.0 mm"]
    curves = seen.curves()
    assert np.allclose(curves["in the camera's frame"][1], 10, atol=1e-3) and curves["aligned (PA)"][1].max() < 0.1
    assert np.isnan(seen.part_iou()[0]) and list(seen.on_hands(np.arange(21))) == ["right"]
    short = seen.short().set_index("figure")["value"]
    assert list(short.index) == ["MPJPE_mm", "PCK_AUC_0_50mm", "MPVPE_mm", "PA_MPJPE_mm", "PA_MPVPE_mm"]
    assert np.isclose(short["MPJPE_mm"], 10, atol=1e-3) and short["PA_MPVPE_mm"] < 0.1


def test_oakink_joints_in_crops_and_camera():
    pack = one_hand.Pack(3, whole=True)
    net = networks.create("integral_pose")
    seen = evaluation.measured(off_by(pack, 0), pack)
    rows = np.array([2, 0])
    crops = training.Crops(pack, net.input, "gt")
    items = [crops[0, int(row)] for row in rows]
    predicted, true, valid = seen.in_crops(items, rows)
    assert np.abs(np.array(predicted) - np.array(true)).max() < 0.01 and np.all(valid)  # pixels
    in_camera = seen.in_camera(rows)
    assert list(in_camera) == [2, 0] and np.array_equal(in_camera[0], pack[0]["joints_cam"])
    assert seen.vertices_mm() is None and "MPVPE_mm" not in set(seen.short()["figure"])


@pytest.mark.parametrize(
    "mode, split, named",
    [("default", "test", "SP0"), ("object", "test", "SP2"), ("subject", "train+val", "SP1 train+val"),
     ("handobject", "test", "handobject test")],
)  # fmt: skip
def test_rows_of_oakink_are_named_as_published(mode, split, named):
    pack = one_hand.Pack(2, split=split, mode=mode, fits_of="MANO")
    net = networks.create("integral_pose")
    seen = evaluation.measured(off_by(pack, 0), pack)
    facts = seen.facts("data", "gt", net)
    assert facts["split"] == named and facts["root_depth"] == "ground truth (joint 9)"
    published = tables.published("oakink")
    known = published.loc[published["split"] == named, "data"]
    frames = f"{evaluation.SP.get(mode, mode)} {split}, 2 frames"
    assert facts["data"] == f"OakInk-Image annotations v2.1, {frames}"
    if len(known):  # the very words, but for the number of frames: then the whole test set has the same data
        assert known.iloc[0].rsplit(",", 1)[0] == facts["data"].rsplit(",", 1)[0]


def test_the_benchmark_table_is_as_printed(pack):
    made = off_by(pack, [0.006, 0, 0.008], verts=True)
    seen = evaluation.measured(made, pack)
    net = networks.create("integral_pose")
    row = tables.result(seen.figures, method=seen.method(net), **seen.facts("demo", "gt", net))
    table = evaluation.as_printed(tables.beside_published([row]), "oakink").set_index("method")
    assert np.isclose(table.loc["integral_pose (this run)", "MPJPE_mm"], 10, atol=1e-3)
    assert np.isclose(table.loc["IntegralPose + IKNet", "MPJPE_mm"], 8.14)
    assert np.isclose(table.loc["IntegralPose + IKNet", "PA_MPVPE_mm"], 5.60)
    assert np.isclose(table.loc["IntegralPose + IKNet", "MPJPE_mm_difference"], 8.14 - 9.24)
    assert not table.loc["integral_pose (this run)", "same_data"] and not any("MeanEPE" in name for name in table)


def test_as_printed_leaves_other_protocols_alone():
    figures = pd.Series({"mpjpe_all": 3.0})
    assert evaluation.as_printed(figures, "interhand").equals(figures)


def test_the_method_says_how_the_mesh_was_made(pack, layer):
    net = networks.create("integral_pose")
    words = {"the network's own": "", "fit from IKNet": " + IKNet", "published fit from IKNet": " + IKNet",
             "fit from closed form": " + fit", "none: no hand model": ""}  # fmt: skip
    for mesh, end in words.items():
        made = off_by(pack, 0)
        made.facts["mesh"] = mesh
        assert evaluation.measured(made, pack).method(net) == f"integral_pose{end} (this run)"


# InterHand2.6M


@pytest.fixture(scope="module")
def interhand():
    """The reference's samples, and predictions that are the targets."""
    from test_predictions import oracle

    samples = fixture_samples(shipped("interhand"), "test")

    class Pack(list):
        manifest = {"dataset": "interhand", "split": "test", "version": "1.0, 5 fps", "options": {}}
        index = pd.DataFrame(
            {"key": [s["key"] for s in samples], "hands": [s["hands"] for s in samples], "sequence": "one"}
        )

        def array(self, name):
            return np.stack([sample[name] for sample in self])

    return Pack(samples), oracle(samples, "gt")


def test_interhand_in_the_common_words(interhand):
    pack, made = interhand
    seen = evaluation.measured(made, pack)
    assert seen.protocol == "interhand" and np.nanmax(seen.joints_mm) < 1e-3 and len(seen.joint_names) == 42
    assert seen.figures["mpjpe_all"] == protocols.evaluate("interhand", made.predictions, made.truth)["mpjpe_all"]
    for words, (rows, mm) in seen.curves().items():
        assert mm.shape == (len(rows), 40)
        assert (made.truth["hand_type"][rows] == 2).all() == (words == "interacting hands")
    on_hands = seen.on_hands(np.arange(42))
    assert on_hands["right"][0] == 20 and on_hands["left"][0] == 41, "wrists"
    facts = seen.facts("data", "gt", None)
    assert facts == {"split": "test", "data": "InterHand2.6M v1.0 5 fps", "root_depth": "ground truth"}
    in_camera = seen.in_camera(np.arange(len(pack)))
    for place, sample in enumerate(pack):
        there = sample["hand_type"]
        assert np.isnan(in_camera[place][~there]).all()
        known = there[:, None] & sample["joints_valid"]
        wrists = sample["joints_valid"][:, 0]
        if wrists.all():  # placed by the wrists' true depths
            assert np.abs(in_camera[place] - sample["joints_cam"])[known].max() < 1e-4
    iou, masked = seen.part_iou()
    assert iou == 1.0 and masked > 0
    assert set(seen.short()["figure"]) >= {"mpjpe_all_mm", "mrrpe_mm", "handness_acc", "part_iou"}
    assert seen.captions([0])[0].startswith(pack.index["hands"].iloc[0])


# Where things are found


def test_the_training_pack_beside_a_pack(tmp_path):
    beside = tmp_path / "oakink_default_train+val"
    beside.mkdir()
    tested = one_hand.Pack(1, folder=tmp_path / "oakink_default_test")
    assert evaluation.training_pack(tested) is None, "a folder without a manifest is no pack"
    (beside / "manifest.json").write_text("{}")
    with pytest.raises(InputError):  # it is opened
        evaluation.training_pack(tested)
    own = one_hand.Pack(1, split="train+val", folder=beside)
    assert evaluation.training_pack(own) is None


def test_checkpoints_are_looked_for_where_notebooks_leave_them(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="run notebook 03 on this data root first"):
        evaluation.checkpoint("data/demo", "oakink")
    last = tmp_path / "outputs/demo/03_train_hands/checkpoints/last"
    last.mkdir(parents=True)
    assert evaluation.checkpoint("data/demo", "oakink") == last
    assert evaluation.checkpoint("data/demo", "oakink", str(tmp_path)) == tmp_path
    assert evaluation.iknet("data/demo") is None
    networks.save(networks.create("iknet"), tmp_path / "outputs/demo/03_train_hands/iknet")
    assert evaluation.iknet("data/demo").name == "iknet"
    with pytest.raises(InputError, match="does not exist"):
        evaluation.iknet("data/demo", "nowhere.pt")


def test_pack_names():
    assert packs.place("packs", "interhand", "val", bodies="x").name == "interhand_val"
    assert packs.place("packs", "oakink", "test").name == "oakink_default_test"
    assert (
        packs.place("packs", "oakink", "test", mode="subject", multiview=True).name == "oakink_subject_multiview_test"
    )
    assert packs.place("packs", "oakink", "all", pixels="whole").name == "oakink_default_all"
    with pytest.raises(InputError, match="did you mean 'mode'"):
        packs.place("packs", "oakink", "test", modes="subject")
