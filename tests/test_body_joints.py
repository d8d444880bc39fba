import numpy as np
import pytest

from handlib import body_joints
from handlib.verify import Row, reference, wholebody_layers


def test_joint_sets_are_the_published_ones():
    rows = list(wholebody_layers.joint_sets(reference.shipped("wholebody")))
    assert len(rows) > 15 and all(isinstance(row, Row) and row.ok for row in rows), [row for row in rows if not row.ok]


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
