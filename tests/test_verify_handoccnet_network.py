"""The checks of HandOccNet's network: the data decide the cases, all are right, and a wrong number is seen."""

import json

import numpy as np
import pytest

from handlib import verify
from handlib.verify import Row, Skip, handoccnet_loss, handoccnet_network, reference


def off(found):
    return [(row.case, row.quantity) for row in found if not (isinstance(row, Row) and row.ok)]


def shipped():
    return reference.shipped("handoccnet")


@pytest.fixture
def folder(tmp_path):
    """f(files): a folder that holds these files only, {name: JSON or arrays}."""

    def make(files):
        for name, content in files.items():
            if name.endswith(".npz"):
                np.savez(tmp_path / name, **content)
            else:
                (tmp_path / name).write_text(json.dumps(content))
        return reference.Reference(tmp_path, "handoccnet")

    return make


def test_the_hand_model_rotations_and_rates_equal_the_published_ones():
    checks = handoccnet_network.mano_layer, handoccnet_network.rotations, handoccnet_loss.learning_rates
    found = [row for check in checks for row in check(shipped())]
    assert len(found) == 9 and off(found) == []


def test_each_stage_alone_equals_the_published_one():
    found = list(handoccnet_network.stages(shipped()))
    outputs = [one["outputs"] for one in shipped().json("stages.json")["stages"].values()]
    assert len(found) == sum(map(len, outputs)) and off(found) == []


def test_wrong_values_and_unknown_stages_are_seen(folder):
    known, arrays = shipped().json("stages.json"), shipped().npz("stages.npz")
    kept = {name: known["stages"][name] for name in ("mano_regHead", "spatial_gate")}
    known["stages"] = kept | {"riddle": kept["spatial_gate"]}
    arrays["mano_regHead/verts3d"][3, 7, 1] += np.float32(1e-5)
    arrays["mano_regHead/mano_pose_aa"][1, 4] += np.float32(1e-3)
    kept["spatial_gate"]["outputs"]["secondary"]["mean"] += 1e-4
    found = list(handoccnet_network.stages(folder({"stages.json": known, "stages.npz": arrays})))
    wrong = [("mano_regHead", "verts3d"), ("mano_regHead", "mano_pose_aa"), ("spatial_gate", "secondary")]
    assert sorted(off([row for row in found if isinstance(row, Row)])) == sorted(wrong)
    assert [row.case for row in found if isinstance(row, Skip)] == ["riddle"]


def test_wrong_rotations_and_rates_are_seen(folder):
    arrays, loss = shipped().npz("rotations.npz"), shipped().json("loss.json")
    arrays["axis_angle_to_matrix"][9, 0, 1] += 2e-4
    loss["lr_by_epoch"]["HO3D"][10] *= 1.01
    ref = folder({"rotations.npz": arrays, "loss.json": loss})
    assert off(handoccnet_network.rotations(ref)) == [("rotations", "axis_angle_to_matrix")]
    assert off(handoccnet_loss.learning_rates(ref)) == [("lr_by_epoch", "HO3D, 70 epochs")]


def test_saturated_cases_have_their_own_bars():
    known = {"std": 2.0, "max_abs_diff_to_float64": 1e-6}
    assert handoccnet_network.saturated([["shape_reg.bias", 0.125]])
    assert not handoccnet_network.saturated([["encode_query2.weight", 1e-3]])
    assert handoccnet_network._bar("FIT", known, True) == 0.02
    assert (
        handoccnet_network._bar("secondary", known, True) == handoccnet_network._bar("FIT", known, False) == 20 * 1e-6
    )
    assert handoccnet_network._bar("out.mesh_coord_cam", known, True) == 2e-4


def test_a_folder_without_the_files_is_said(tmp_path):
    ref = reference.Reference(tmp_path, "handoccnet")
    checks = [check for check in handoccnet_network.CHECKS if check.__name__ != "keys"]
    assert {type(row) for check in checks for row in check(ref)} == {Skip}


def test_the_system_covers_the_network_and_its_training():
    assert verify.SYSTEMS["handoccnet"][:2] == ["handoccnet_network", "handoccnet_loss"]
