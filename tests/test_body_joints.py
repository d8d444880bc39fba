import functools
import types

import numpy as np
import pytest

from handlib import body_joints
from handlib.verify import Row, Skip, reference, wholebody_joints


def compared(ref):
    return [row for check in wholebody_joints.CHECKS for row in check(ref)]


def test_joint_sets_rows_and_sizes_are_the_published_ones():
    found = compared(reference.shipped("wholebody"))
    rows = [row for row in found if isinstance(row, Row)]
    assert len(rows) == 81 and not [row for row in rows if not row.ok]
    assert [skip.case for skip in found if isinstance(skip, Skip)] == ["osx/config/input_hand_shape, input_face_shape"]


def other(ref, source, change):
    """The lists of one program alone, changed."""
    stored = ref.json(f"joints/joint_sets_{source}.json")
    change(stored)
    return types.SimpleNamespace(
        has=lambda name: name == f"joints/joint_sets_{source}.json", json=lambda name: stored, folder=ref.folder
    )


def swapped(*path):
    """The last two entries of a list change places."""

    def change(stored):
        listed = functools.reduce(lambda found, name: found[name], path, stored)
        listed[-2:] = listed[:-3:-1]

    return change


@pytest.mark.parametrize(
    ("source", "change", "off"),
    [
        ("p2p", swapped("mano_16", "names"), "joints that differ"),
        ("p2p", swapped("InterHand26M_21", "names"), "joints of the left hand, 21..41, that differ"),
        ("p2p", lambda stored: stored["mano_21"]["fingertip_vertices"].update(Middle_4=444), "vertices of the tips"),
        ("p2p", lambda stored: stored["config"]["face"].update(resnet_type=18), "layers of the ResNet"),
        ("h4w", swapped("hand_regressor_21_rows", "left"), "left, 21 rows"),
        ("h4w", lambda stored: stored["mesh_alignment_rows"].update(neck=15), "neck, row 15"),
        ("h4w", swapped("Human36M", "eval_joint"), "joints that are scored"),
        ("h4w", lambda stored: stored["position_net_65"]["parts"].update(lhand=[25, 43]), "lhand, rows that differ"),
        ("h4w", lambda stored: stored["config"].update(face_resnet_type=50), "layers of the ResNets"),
        ("osx", lambda stored: stored["AGORA_127"]["parts"]["face"].pop(), "joints of the box, face, that differ"),
        ("osx", lambda stored: stored["config"].update(test_sample_interval=10), "every so-manyth annotation of UBody"),
    ],
)
def test_a_list_that_differs_is_seen(source, change, off):
    found = compared(other(reference.shipped("wholebody"), source, change))
    assert off in [row.quantity for row in found if isinstance(row, Row) and not row.ok]


def test_a_list_that_nobody_knows_is_told():
    ref = other(reference.shipped("wholebody"), "osx", lambda stored: stored.update(toes={"names": []}))
    assert "osx/toes" in [skip.case for skip in compared(ref) if isinstance(skip, Skip)]


@pytest.mark.parametrize("joint_set", body_joints.JOINT_SETS.values(), ids=lambda one: one.name)
def test_mirroring_twice_changes_nothing(joint_set):
    order = body_joints.mirrored(joint_set)
    assert len(set(joint_set.joints)) == len(joint_set) and (order[order] == np.arange(len(joint_set))).all()


def test_joints_move_by_name():
    source, target = body_joints.MPII16, body_joints.SMPLX137
    joints = np.arange(2 * 16 * 2.0).reshape(2, 16, 2)
    valid = np.ones((2, 16), bool)
    valid[1, 0] = False
    moved, known = body_joints.by_name(joints, valid, source, target)
    assert moved.shape == (2, 137, 2) and known.sum() == 2 * 14 - 1  # thorax and the head's top have no partner
    np.testing.assert_array_equal(moved[:, target.joints.index("L_Knee")], joints[:, source.joints.index("L_Knee")])
    assert not known[1, target.joints.index("R_Ankle")] and not moved[:, 65:].any()
