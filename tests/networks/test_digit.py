import json

import numpy as np
import pytest
import torch
from tolerances import assert_close

from handlib import fields, networks
from handlib.files import InputError
from handlib.networks import digit
from handlib.networks.blocks.hrnet import HRNet
from handlib.verify import Row, interhand_network, reference


def off(check, ref=None):
    """The rows of a check that are off; there must be some rows."""
    rows = [row for row in check(ref or reference.shipped("interhand")) if isinstance(row, Row)]
    assert rows
    return [row for row in rows if not row.ok]


@pytest.mark.parametrize(
    "check",
    [
        interhand_network.digit_weights,
        interhand_network.digit_forward,
        interhand_network.digit_losses,
        interhand_network.digit_decode,
        interhand_network.digit_convert,
    ],
)
def test_equal_to_the_published_implementation(check):
    assert not off(check)


def small_folder(tmp_path, cases, arrays):
    """A reference folder with these cases only; keys come from the shipped one."""
    facts = json.loads(reference.shipped("interhand").path("digit_forward.json").read_text())
    (tmp_path / "digit_forward.json").write_text(json.dumps(facts | {"cases": cases(facts["cases"])}))
    np.savez(tmp_path / "digit_forward.npz", **arrays(reference.shipped("interhand").npz("digit_forward.npz")))
    return reference.Reference(tmp_path, "interhand")


def test_the_folder_decides_the_cases(tmp_path):
    ref = small_folder(
        tmp_path,
        lambda cases: {"somewhere": cases["decode"], "new": {"riddle": 1}},
        lambda known: {
            name.replace("decode/", "somewhere/"): value for name, value in known.items() if "decode" in name
        },
    )
    rows = [row for check in interhand_network.CHECKS for row in check(ref)]
    assert {row.case for row in rows if isinstance(row, Row)} == {"digit weights", "digit somewhere"}
    skipped = {row.case: row.reason for row in rows if not isinstance(row, Row)}
    assert "riddle" in skipped["digit new"] and "internet_forward.json" in skipped["internet"]


def test_a_wrong_reference_value_is_seen(tmp_path):
    ref = small_folder(
        tmp_path,
        lambda cases: {"decode": cases["decode"]},
        lambda known: {name: value + 0.01 * (name == "decode/zval") for name, value in known.items()},
    )
    assert [row.quantity for row in off(interhand_network.digit_decode, ref)] == ["zval"]


def test_bones_are_those_of_both_hands():
    child, parent = digit.BONES
    assert len(child) == 40 and ((child < 21) == (parent < 21)).all()
    names = fields.INTERHAND42.joints
    assert (names[child[0]], names[parent[0]]) == ("r_thumb4", "r_thumb3")


def test_invalid_joints_pull_at_nothing():
    torch.manual_seed(0)
    truth = 64 * torch.rand(1, 42, 3)
    joints = truth + 1e-2 * torch.rand(1, 42, 3)
    valid = torch.ones(1, 42)
    valid[0, 7] = 0
    moved = truth.clone()
    moved[0, 7] += 30
    assert_close(digit.bone_loss(joints, moved, valid), digit.bone_loss(joints, truth, valid))
    assert digit.bone_loss(joints, moved, torch.ones(1, 42)) > 1


def test_masks_that_are_not_valid_count_as_zero():
    torch.manual_seed(0)
    logits, classes = torch.randn(2, 33, 8, 8), torch.randint(33, (2, 8, 8), dtype=torch.uint8)
    one = digit.segmentation_loss(logits[:1], classes[:1], torch.ones(1))
    assert_close(digit.segmentation_loss(logits, classes, torch.tensor([1, 0])), one / 2)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """An HRNet-W32 classification file: the backbone, the last fusion's lower outputs, and the classifier's parts."""
    torch.manual_seed(1)
    backbone = HRNet(32)
    state = backbone.state_dict()
    for name in ("stage4.2.fuse_layers.1.0.0.0.weight", "stage4.2.fuse_layers.3.2.0.1.bias"):
        state[name] = torch.zeros(1)
    for name in ("incre_modules.0.0.conv1.weight", "final_layer.0.bias", "classifier.weight"):
        state[name] = torch.zeros(1)
    path = tmp_path_factory.mktemp("imagenet") / "hrnet_w32-36af842e.pth"
    torch.save(state, path)
    return path, state


def test_imagenet_file_fills_the_backbone_and_says_what_it_dropped(imagenet):
    path, state = imagenet
    net = networks.create("digit")
    head = net.heatmaps.weight.clone()
    dropped = networks.load_backbone(net, path)
    assert sorted(dropped) == sorted(name for name, value in state.items() if value.shape == (1,))
    assert all(torch.equal(value, state[name]) for name, value in net.backbone.state_dict().items())
    assert torch.equal(net.heatmaps.weight, head)


def test_imagenet_file_with_a_part_missing_is_refused(imagenet, tmp_path):
    _, state = imagenet
    cut = {name: value for name, value in state.items() if name != "stage3.1.branches.0.0.conv1.weight"}
    torch.save(cut, tmp_path / "cut.pth")
    with pytest.raises(InputError, match="1 missing: stage3.1.branches.0.0.conv1.weight"):
        networks.load_backbone(networks.create("digit"), tmp_path / "cut.pth")
