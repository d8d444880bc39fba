"""HandOccNet: against the published one, loading, the hand model in its state, loss, attention, layouts."""

import copy

import pytest
import roma
import torch
from tolerances import assert_close

from handlib import bodies, geometry, networks
from handlib.files import InputError
from handlib.networks.blocks import attention, fpn, mano_head
from handlib.networks.blocks.resnet import ResNet
from handlib.networks.blocks.stages import forget, under
from handlib.networks.handoccnet import FITTING, HandOccNet
from handlib.verify import handoccnet_cases, reference

HAND = "regressor.mano_regHead.mano_layer.th_"


@pytest.fixture(scope="module")
def ref():
    return reference.shipped("handoccnet")


@pytest.fixture(scope="module")
def state(ref):
    return handoccnet_cases.state(ref)


@pytest.fixture(scope="module")
def net(ref):
    return handoccnet_cases.network(ref)


# Weights


def test_key_table_covers_the_published_names_both_ways(ref):
    with torch.device("meta"):
        net = networks.create("handoccnet")
    listed = reference.load_keys(ref.path("keys.json"))
    assert len(listed) == 901
    shapes = {net.keys.ours(key): shape for key, shape, _ in listed}
    assert shapes == {key: tuple(value.shape) for key, value in net.state_dict().items()}
    assert all(f"module.{net.keys.published(net.keys.ours(key))}" == key for key, _, _ in listed)
    assert sum(value.numel() for value in net.parameters()) == 39_319_352


def test_a_checkpoint_file_is_recognised_and_brings_its_hand(tmp_path, state):
    extra = {f"module.{name}": torch.zeros(()) for name in FITTING}
    torch.save({"epoch": 69, "network": state | extra, "optimizer": {"state": {}}}, tmp_path / "snapshot_70.pth.tar")
    net = networks.load(tmp_path / "snapshot_70.pth.tar")
    assert net.name == "handoccnet" and not net.training
    ours = net.state_dict()
    assert all(torch.equal(ours[net.keys.ours(name)], value) for name, value in state.items())
    hand = {name.rpartition("th_")[2]: value for name, value in state.items() if HAND in name}
    assert_close(net.layer.hands_mean, hand["hands_mean"][0])
    assert not net.layer.is_free and "snapshot_70" in net.layer.source
    verts = net.layer(pose=torch.zeros(48), mean_added=True)["verts"]
    assert_close(verts, hand["v_template"][0])


def test_our_own_files_keep_the_hand(tmp_path, net):
    networks.save(net, tmp_path / "own")
    again = networks.load(tmp_path / "own")
    pose, shape = torch.randn(2, 48) / 5, torch.randn(2, 10)
    ours, theirs = (mano_head.hand(n.layer, pose, shape) for n in (again, net))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_free_hand_is_known_again(tmp_path):
    net = HandOccNet()
    arrays = net.layer.skinning.arrays()
    fresh = HandOccNet()
    fresh.load_state_dict(net.state_dict())
    assert fresh.layer.is_free
    for name, value in fresh.layer.skinning.arrays().items():
        assert torch.equal(value, arrays[name])
    with pytest.raises(InputError, match="pose"):
        fresh.layer(pose=torch.zeros(3 + 7), pose_kind="pca", mean_added=False)


def test_wrong_keys_are_named(state):
    first = next(name for name in state if name.endswith("weight"))
    left = {name: value for name, value in state.items() if name != first}
    with torch.device("meta"):
        net = networks.create("handoccnet")
    with pytest.raises(InputError, match=f"1 missing: {first.removeprefix('module.')}; 1 unexpected: other"):
        networks.load_published(net, left | {"other": torch.zeros(1)})


def test_an_imagenet_file_fills_the_backbone(tmp_path):
    net, file = HandOccNet(), tmp_path / "resnet50.pth"
    theirs = ResNet().state_dict()
    torch.save(theirs | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, file)
    assert networks.load_backbone(net, file) == ["fc.weight", "fc.bias"]
    assert all(torch.equal(net.backbone.state_dict()[name], value) for name, value in theirs.items())


def test_fresh_weights_are_drawn_as_published():
    torch.manual_seed(0)
    net = HandOccNet(published=True)
    assert float(net.fit.conv1[0].weight.detach().std()) == pytest.approx(0.001, rel=0.01)
    assert float(net.set.layers[0].mlp[0].weight.detach().std()) == pytest.approx(0.01, rel=0.01)
    assert float(net.fit.layers[0].query_embedding.detach().std()) == pytest.approx(1, rel=0.01)
    assert float(net.pyramid.top.weight.detach().std()) > 0.005 and bool((net.mano.pose.bias == 0).all())
    assert not net.pyramid.smooth2.weight.requires_grad


# Answers


@pytest.fixture(scope="module")
def case(ref, net):
    """The smallest picture that the reference has, and what the network makes of it."""
    facts = ref.json("forward.json")["noise_b2"]
    images = handoccnet_cases.picture(facts["input"])
    with torch.inference_mode():
        return images, net(images), facts


def test_answers_equal_the_published_ones(ref, net, case):
    _, out, facts = case
    arrays = ref.npz("forward.npz")
    bars = {
        "out.joints_coord_cam": 5e-6,
        "out.mesh_coord_cam": 5e-6,
        "out.joints_coord_img": 2e-5,
        "out.mano_pose": 1e-4,
    }
    ours = {"out.joints_coord_cam": "joints", "out.mesh_coord_cam": "verts", "out.joints_coord_img": "joints_img"}
    for name, bar in bars.items():
        known = facts["tensors"][name]
        value = out[ours.get(name, "pose_from_mean")]
        assert handoccnet_cases.compared("", name, value, arrays[f"noise_b2/{name}"], known, bar).ok, name


def test_a_wrong_value_is_seen(ref, case):
    _, out, facts = case
    known, stored = facts["tensors"]["out.mesh_coord_cam"], ref.npz("forward.npz")["noise_b2/out.mesh_coord_cam"]
    moved = out["verts"].clone()
    moved[1, 5, 2] += 1e-5
    assert not handoccnet_cases.compared("", "verts", moved, stored, known, 5e-6).ok
    assert not handoccnet_cases.compared("", "verts", out["verts"][:1], stored, known, 5e-6).ok
    turned = torch.tensor([[0.0, torch.pi, 0.0]])
    assert handoccnet_cases.from_turns(-turned, turned) < 1e-6 < handoccnet_cases.from_turns(turned + 0.1, turned)


def test_axes_and_transforms(case):
    _, out, _ = case
    assert_close(out["transforms"][:, 0, :3, 3], out["joints"][:, 0])
    turn = out["transforms"][:, 0, :3, :3]
    assert_close(turn, out["rotations_from_mean"][:, 0])
    assert tuple(out["transforms"][0, 3, 3]) == (0, 0, 0, 1)


def test_attention_is_what_the_blocks_use(net, case):
    images = case[0][:1]
    found = net.attention(images)
    assert found["fit"].shape == found["set"].shape == (1, 4, 1024, 1024)
    assert_close(found["fit"].sum(3), found["gate"])
    assert_close(found["set"].sum(3), torch.ones(1, 4, 1024))
    assert_close(found["primary"] / (found["primary"] + found["secondary"]), found["mask"].expand(1, 256, 32, 32))
    kept = {}
    with torch.inference_mode():
        asking = net.fit.layers[0](found["secondary"], found["primary"], forget)
        net.fit.layers[1](asking, found["primary"], under(kept.__setitem__, ""))
    value = attention.by_head(net.fit.layers[1].value(found["primary"]))
    assert_close(kept["attn"], (found["fit"] @ value).transpose(1, 2).flatten(2))


def test_the_gate_needs_no_table():
    torch.manual_seed(0)
    x, y = torch.randn(2, 2, 256, 32, 32, dtype=torch.float64)  # in float32 the table's sums depend on the processor
    block = attention.Block(gated=True).double()
    q, k = attention.by_head(block.gate_query(x)), attention.by_head(block.gate_key(y))
    assert_close(block.gate(x, y), (q @ k.mT / 8).sum(3).sigmoid())


def test_smoothing_and_pooling_in_one():
    torch.manual_seed(0)
    pyramid = fpn.FeaturePyramid(8)
    layers = [torch.randn(2, n, 32 // s, 32 // s) for n, s in ((256, 1), (512, 2), (1024, 4), (2048, 8))]
    assert_close(pyramid(layers, forget), pyramid(layers, {}.__setitem__))


def test_bfloat16_keeps_mesh_and_softmax_in_float32(net, case):
    images, exact, _ = case
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        out = net(images[:1])
    assert {value.dtype for value in out.values()} == {torch.float32}
    assert float((out["joints_img"] - exact["joints_img"][:1]).abs().max()) < 0.05


def test_input(net):
    assert net.input == geometry.ManoInput((256, 256), 1.5)
    with pytest.raises(InputError, match="images"):
        net(torch.zeros(1, 3, 224, 224))


# Loss


@pytest.fixture
def made():
    """A fresh network of the free hand, an answer of it in drawn numbers, and targets: loss needs no forward pass."""
    torch.manual_seed(1)
    net = HandOccNet()
    features = torch.randn(3, 1024)
    out = {"joints_img": torch.rand(3, 21, 2)} | net.mano(features, net.layer, forget)
    targets = {"pose_from_mean": torch.randn(3, 48) / 3, "shape": torch.randn(3, 10), "mano_valid": torch.ones(3)}
    return net, out, targets | {"joints_img": torch.rand(3, 21, 2)}


def test_losses_are_weighted_mean_squares(made):
    net, out, targets = made
    terms, truth = net.loss(out, targets), net.truth(targets)
    mse = torch.nn.functional.mse_loss
    assert_close(terms["vertices"], 1e4 * mse(out["verts"], truth["verts"]))
    assert_close(terms["joints"], 1e4 * mse(out["joints"], truth["joints"]))
    assert_close(terms["pose"], 10 * mse(out["rotations_from_mean"], truth["rotations_from_mean"]))
    assert_close(terms["shape"], 0.1 * mse(out["shape"], targets["shape"]))
    assert_close(terms["joints_img"], 100 * mse(out["joints_img"], targets["joints_img"]))
    assert_close(terms["total"], sum(value for name, value in terms.items() if name != "total"))


def test_a_whole_pose_is_the_one_from_the_mean(made):
    net, out, targets = made
    flat = dict(targets)
    flat["pose_flat"] = flat.pop("pose_from_mean").clone()
    flat["pose_flat"][:, 3:] += net.layer.hands_mean
    assert_close(net.truth(flat)["verts"], net.truth(targets)["verts"])
    direct = bodies.load(None, "mano_right")(pose=flat["pose_flat"], shape=flat["shape"], mean_added=True)
    assert_close(net.truth(flat)["verts"], direct["verts"])


def test_without_a_fit_only_the_picture_counts(made):
    net, out, targets = made
    targets["mano_valid"] = torch.zeros(3)
    terms = net.loss(out, targets)
    assert float(terms["total"].detach()) == float(terms["joints_img"])
    published = copy.copy(net)
    published.published = True
    assert float(published.loss(out, targets)["vertices"].detach()) > 0


def test_published_rounding_is_a_rounding():
    rotvecs = torch.randn(50, 3, dtype=torch.float64)
    off = (mano_head.published_rotmat(rotvecs) - roma.rotvec_to_rotmat(rotvecs)).abs().max()
    assert 1e-12 < float(off) < 1e-7


def test_training_reaches_every_parameter_but_the_unused_ones():
    """On the meta device, where a pass takes no time and leaves shapes alone."""
    with torch.device("meta"):
        net = networks.create("handoccnet", published=True).train()
        targets = {"pose_from_mean": torch.zeros(2, 48), "shape": torch.zeros(2, 10), "mano_valid": torch.ones(2)}
        out = net(torch.rand(2, 3, 256, 256))
        net.loss(out, targets | {"joints_img": torch.rand(2, 21, 2)})["total"].backward()
    without = {name for name, value in net.named_parameters() if value.grad is None}
    assert without == {"pyramid.smooth2.weight", "pyramid.smooth2.bias"}


def test_a_fresh_head_begins_at_the_mean_pose():
    head = mano_head.ManoHead()
    head.start_at_mean()
    rotations = mano_head.sixd_to_rotmat(head.pose.bias.unflatten(0, (16, 6)))
    assert torch.equal(rotations, torch.eye(3).expand(16, 3, 3))
