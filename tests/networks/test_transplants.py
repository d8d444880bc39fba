"""Hand4Whole's checkpoint tools: as published, loud where they would copy nothing, and into networks."""

import pytest
import torch
from torch import nn

from handlib import networks
from handlib.files import InputError
from handlib.networks import transplants
from handlib.networks.hand4whole import Hand4Whole
from handlib.networks.pose2pose import Pose2PoseHand
from handlib.verify import reference, wholebody_tools


@pytest.fixture(scope="module")
def keys():
    ref = reference.shipped("wholebody")
    return {name: ref.json(path)["keys"] for name, path in wholebody_tools.KEYS.items()}


@pytest.fixture
def snapshots(tmp_path, keys):
    """Files of Hand4Whole's first stage and of the hand, one number per tensor."""
    content = {"network": wholebody_tools.marked(keys["hand4whole"], 0), "epoch": 6}
    torch.save(content, tmp_path / "all.pth.tar")
    torch.save(content | {"network": wholebody_tools.marked(keys["pose2pose_hand"], 5000)}, tmp_path / "hand.pth.tar")
    return tmp_path / "all.pth.tar", tmp_path / "hand.pth.tar"


def test_tools_and_snapshots_are_the_published_ones():
    ref = reference.shipped("wholebody")
    rows = [row for check in wholebody_tools.CHECKS for row in check(ref)]
    assert len(rows) == 30 and all(row.ok for row in rows), [row for row in rows if not row.ok]


def test_merged_hands_fill_a_network(snapshots):
    made = transplants.merge_hand_to_all(*snapshots)
    assert "318 tensors copied, 823 in all, 11 removed: module.hand_position_net" in str(made)
    net = Hand4Whole(nn.Identity())
    before = net.hand_pose.weight.clone()
    fresh, unused = made.into(net)
    assert unused == [] and len(fresh) == 10  # all removed ones but the counter
    assert torch.equal(net.hand_pose.weight, before)
    network = torch.load(snapshots[1], weights_only=True)["network"]
    assert torch.equal(net.hand_backbone.conv1.weight, network["module.backbone.conv1.weight"])
    assert float(net.backbone.conv1.weight.detach().mean()) == 0  # the first name's mark


def test_nothing_copied_is_an_error(tmp_path, snapshots, keys):
    whole, hand = snapshots
    with pytest.raises(InputError, match="is a snapshot of hand4whole"):
        transplants.merge_hand_to_all(whole, whole)
    with pytest.raises(InputError, match="is no snapshot of Hand4Whole"):
        transplants.merge_hand_to_all(hand, hand)
    state = {f"module.other_{name}": value for name, value in wholebody_tools.marked(keys["pose2pose_hand"], 0).items()}
    torch.save({"network": state}, tmp_path / "other.pth.tar")
    with pytest.raises(InputError, match="has no backbone to copy"):
        transplants.merge_hand_to_all(whole, tmp_path / "other.pth.tar")
    torch.save({"network": {"module.backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}}, tmp_path / "part.pth.tar")
    with pytest.raises(InputError, match="has another backbone: module.hand_roi_net.backbone.bn1.bias"):
        transplants.merge_hand_to_all(whole, tmp_path / "part.pth.tar")


def test_a_sub_network_in_part_is_refused(snapshots):
    made = transplants.reset_epoch(snapshots[0])
    assert made.content["epoch"] == 0
    del made.content["network"]["module.face_regressor.expr_out.0.bias"]
    with pytest.raises(InputError, match="does not fit hand4whole: face_regressor.expr_out.0.bias"):
        made.into(Hand4Whole(nn.Identity()))
    with pytest.raises(InputError, match="does not fit"):
        made.into(Pose2PoseHand(nn.Identity()))


def test_a_2d_pose_network_becomes_a_backbone(tmp_path, keys):
    begin = "module.backbone."
    plain = [
        (name.removeprefix(begin), shape, kind) for name, shape, kind in keys["hand4whole"] if name.startswith(begin)
    ]
    state = wholebody_tools.marked(plain, 0) | {"final_layer.weight": torch.zeros(17, 256, 1, 1)}
    torch.save({name: value for name, value in state.items() if not name.endswith("tracked")}, tmp_path / "old.pth")
    made = transplants.convert_simple_to_pose2pose(tmp_path / "old.pth")
    net = Hand4Whole(nn.Identity())
    fresh, unused = made.into(net)
    assert unused == ["module.backbone.final_layer.weight"] and not any(name.startswith("backbone.") for name in fresh)
    assert float(net.backbone.bn1.weight.detach().mean()) == 1
    torch.save({"network": wholebody_tools.marked(keys["pose2pose_hand"], 0)}, tmp_path / "hand.pth.tar")
    with pytest.raises(InputError, match="is no plain ResNet-50"):
        transplants.convert_simple_to_pose2pose(tmp_path / "hand.pth.tar")


def test_our_own_folders_are_sources_too(tmp_path):
    whole, hand = networks.create("hand4whole"), networks.create("pose2pose_hand")
    networks.save(whole, tmp_path / "whole")
    networks.save(hand, tmp_path / "hand")
    made = transplants.merge_hand_to_all(tmp_path / "whole", tmp_path / "hand")
    assert made.copied == 318 and len(made.removed) == 11
    name = "module.hand_roi_net.backbone.layer4.2.conv3.weight"
    assert torch.equal(made.content["network"][name], hand.backbone.layer4[2].conv3.weight)
    with pytest.raises(InputError, match="is no snapshot"):
        torch.save({"weights": {}}, tmp_path / "x.pth.tar")
        transplants.reset_epoch(tmp_path / "x.pth.tar")


def test_networks_as_they_are_and_where_everything_comes_from():
    whole, hand = Hand4Whole(nn.Identity()), Pose2PoseHand(nn.Identity())
    made = transplants.merge_hand_to_all(whole, hand)
    assert made.source == "hand4whole as it is with the hands of pose2pose_hand as it is" and made.copied == 318
    rows = {row["published"]: row for row in made.rows(whole)}
    origins = {part: row["from"] for part, row in rows.items()}
    assert {part for part, origin in origins.items() if origin == "other"} == {"hand_roi_net"}
    assert {part for part, origin in origins.items() if origin == "fresh"} == set(transplants.FRESH)
    assert rows["hand_rotation_net"]["ours"] == "hand_features, hand_pose" and rows["hand_roi_net"]["tensors"] == 265
    assert sum(row["tensors"] for row in rows.values()) == len([1 for name in whole.state_dict() if "num_" not in name])
    backbone = transplants.convert_simple_to_pose2pose(whole.backbone)
    assert torch.equal(backbone.content["network"]["module.backbone.conv1.weight"], whole.backbone.conv1.weight)
    assert transplants.reset_epoch(whole).content["epoch"] == 0
    with pytest.raises(InputError, match="pose2pose_hand as it is: .*is no snapshot of Hand4Whole"):
        transplants.merge_hand_to_all(hand, hand)
