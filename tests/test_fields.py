import numpy as np
import pytest
import torch

from handlib import fields
from handlib.verify.reference import shipped


def test_interhand_joints_are_those_of_skeleton_txt():
    lines = shipped("interhand").path("fixture/annotations/skeleton.txt").read_text().splitlines()
    official = [line.split() for line in lines if not line.startswith("#")]
    assert [name for name, _, _ in official] == fields.interhand_names()
    assert [int(parent) for _, _, parent in official] == list(fields.INTERHAND42.parents)
    assert len(fields.INTERHAND42.bones) == 40


def test_joint_orders_go_there_and_back():
    joints = np.random.RandomState(0).standard_normal((5, 2, 21, 3))
    official = fields.interhand42(joints)
    assert np.array_equal(official[:, 20], joints[:, 0, 0])  # right wrist
    assert np.array_equal(official[:, 41], joints[:, 1, 0])  # left wrist
    assert np.array_equal(official[:, 0], joints[:, 0, 4])  # tip of the right thumb
    assert np.array_equal(official[:, 24], joints[:, 1, 1])  # base of the left thumb
    assert np.array_equal(fields.house_hands(official), joints)
    tensor = torch.from_numpy(joints)
    assert torch.equal(fields.house_hands(fields.interhand42(tensor)), tensor)


def test_ho3d_order_is_manos_with_the_tips_behind_it():
    from_house = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20]
    assert list(fields.reorder(fields.HAND21, fields.HO3D21)) == from_house
    there_and_back = np.array(from_house)[fields.reorder(fields.HO3D21, fields.HAND21)]
    assert list(there_and_back) == list(range(21))
    assert list(fields.HO3D21.parents[-5:]) == [15, 3, 6, 12, 9]
    assert fields.FREIHAND21 is fields.DEXYCB21 is fields.HAND21


def test_every_parent_comes_from_the_same_finger_or_the_wrist():
    for joint_set in fields.JOINT_SETS.values():
        for child, parent in joint_set.bones:
            finger = joint_set.joints[child].rstrip("1234")
            assert joint_set.joints[parent].rstrip("1234") == finger or "wrist" in joint_set.joints[parent]


def test_reorder_names_what_is_missing():
    assert list(fields.reorder(fields.HAND21, fields.MANO16)[:4]) == [0, 5, 6, 7]
    with pytest.raises(KeyError, match="thumb4"):
        fields.reorder(fields.MANO16, fields.HAND21)


def test_every_field_is_known_by_its_own_name():
    assert all(
        name == field.name and field.kind in ("array", "image", "index") for name, field in fields.SAMPLE.items()
    )
