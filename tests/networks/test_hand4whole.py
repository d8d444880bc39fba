"""Hand4Whole: one sample against the published program, loading, losses and what they teach, backbones."""

import pytest
import torch
from tolerances import assert_close
from torch import nn

from handlib import geometry, networks
from handlib.files import InputError
from handlib.networks.blocks.resnet import BasicBlock, ResNet
from handlib.networks.hand4whole import Hand4Whole
from handlib.verify import reference, wholebody_cases, wholebody_hand4whole

HANDS = ("hand_crops", "hand_feat", "hand_joint_hm", "hand_joint_img", "hand_pose_6d")  # left ones, then right ones


@pytest.fixture(scope="module")
def ref():
    return reference.shipped("wholebody")


@pytest.fixture(scope="module")
def case(ref):
    """The first sample of case a alone: (network, its answer with stages and gradient, facts, targets)."""
    facts = ref.json("hand4whole/case_a.json")
    net = wholebody_hand4whole.network(ref, facts)
    out = net(wholebody_cases.picture(facts)[:1], stages=True)
    targets = {name: value[:1] for name, value in wholebody_cases.targets(ref, "hand4whole/targets_a.npz").items()}
    return net, out, facts, targets


def test_key_table_covers_the_published_names_both_ways(ref):
    with torch.device("meta"):
        net = Hand4Whole(nn.Identity())
    listed = ref.json("hand4whole/keys_hand4whole.json")["keys"]
    shapes = {net.keys.ours(name): tuple(shape) for name, shape, _ in listed}
    assert len(listed) == 834 and shapes == {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert all(f"module.{net.keys.published(net.keys.ours(name))}" == name for name, _, _ in listed)


def test_every_stage_of_a_sample_equals_the_published_one(ref, case):
    _, out, facts, _ = case
    arrays = ref.npz("hand4whole/case_a.npz")
    for name, known in facts["stages"].items():
        value, stored = out[name].detach(), arrays[name]
        stored = stored[::2] if name in HANDS else stored[:1]
        steps = known.get("stored_every", [1] * value.ndim)
        value = value[tuple(slice(None, None, step) for step in steps)]
        bar = max(wholebody_cases.FLOOR, 10 * known["float32_noise"])
        assert value.shape == stored.shape and float((value - torch.from_numpy(stored)).abs().max()) <= bar, name


def test_losses_of_a_sample_equal_the_published_ones(case):
    net, out, facts, targets = case
    terms = net.loss(out, targets)
    known = facts["training"]["per_sample"]
    assert terms.keys() == known.keys() | {"total"}
    for name, values in known.items():
        assert float(terms[name].detach()) == pytest.approx(values[0], abs=1e-5), name
    assert float(terms["total"].detach()) == pytest.approx(sum(values[0] for values in known.values()), abs=1e-4)
    bare = {name.removeprefix("target_").removeprefix("valid_"): value for name, value in targets.items()}
    assert torch.equal(net.loss(out, bare)["total"], terms["total"])


def test_the_loss_reaches_every_parameter_and_changes_no_target(case):
    net, out, _, targets = case
    before = {name: value.clone() for name, value in targets.items()}
    net.zero_grad()
    net.loss(out, targets)["total"].backward(retain_graph=True)
    assert [name for name, value in net.named_parameters() if value.grad is None] == []
    assert all(torch.equal(value, before[name]) for name, value in targets.items())


def test_boxes_and_places_are_in_the_crop(case):
    net, out, _, _ = case
    for part in ("lhand", "rhand", "face"):
        corners = out[f"out_{part}_bbox"]
        assert_close(out[f"{part}_bbox"], torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1))
        assert_close(out[f"{part}_bbox"][:, 2], out[f"{part}_bbox"][:, 3])
    box = out["rhand_bbox"].detach()
    knuckle = out["joints_img"][0, 49, :2].detach() / torch.tensor([6.0, 8.0]) * torch.tensor([384.0, 512.0])
    inside = out["rhand_joints_img"][0, 4, :2].detach() / 8
    assert float((knuckle - box[0, :2] - inside * box[0, 2:]).abs().max()) < 1e-3  # pixels


def test_projections_alone_teach_the_camera_alone(case):
    net, out, _, targets = case
    pose = net.rotations.root_pose.bias
    for camera_only in (False, True):
        net.camera_only = camera_only
        term = net.elements(out | net._answer(out), targets)["joint_proj"].mean()
        taught, camera = torch.autograd.grad(term, [pose, net.rotations.cam.bias], retain_graph=True, allow_unused=True)
        assert bool(camera.any()) and (taught is None or not taught.any()) == camera_only
    net.camera_only = False


def test_a_backbone_file_goes_where_it_fits(tmp_path):
    net = Hand4Whole(nn.Identity())
    for name, theirs in {"50": ResNet(), "18": ResNet((2, 2, 2, 2), block=BasicBlock)}.items():
        torch.save(theirs.state_dict() | {"fc.bias": torch.zeros(1000)}, tmp_path / f"resnet{name}.pth")
        assert networks.load_backbone(net, tmp_path / f"resnet{name}.pth") == ["fc.bias"]
        filled = {"50": (net.backbone, net.hand_backbone), "18": (net.face_backbone,)}[name]
        for backbone in filled:
            assert torch.equal(backbone.layer4[1].conv2.weight, theirs.layer4[1].conv2.weight)


def test_the_free_body_stands_in_and_pictures_are_checked():
    net = networks.create("hand4whole")
    assert "free body" in net.layer.source and net.input == geometry.PersonInput((384, 512), 1.25, (8, 8, 6), "body")
    assert not any(name.startswith("layer") for name in net.state_dict())
    with pytest.raises(InputError, match=r"give \(B, 3, 512, 384\)"):
        net(torch.zeros(1, 3, 384, 512))
