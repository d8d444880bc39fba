"""OakInk's four networks: against the published ones, loading, what is frozen, and what published=True changes."""

import json

import numpy as np
import pytest
import torch
from tolerances import assert_close

from handlib import bodies, geometry, networks
from handlib.files import InputError
from handlib.networks import i2l_meshnet, iknet, integral_pose, rle
from handlib.networks.blocks import heads, lixels, meshes
from handlib.networks.blocks.flow import RealNVP
from handlib.networks.blocks.norms import BatchNorm, folded
from handlib.networks.blocks.resnet import ResNet
from handlib.verify import Row, oakink_cases, oakink_network, reference

PUBLISHED = {"integral_pose": "IntegralPose", "rle": "RegressFlow3D", "i2l_meshnet": "I2L_MeshNet", "iknet": "IKNet"}
OWN_ENTRIES = {"middle_tip", "body_mark"}  # of I2L-MeshNet, not in a published state


def ref():
    return reference.shipped("oakink")


def off(check, folder=None):
    rows = [row for row in check(folder or ref()) if isinstance(row, Row)]
    assert rows
    return [row for row in rows if not row.ok]


@pytest.mark.parametrize("check", oakink_network.CHECKS[:-1], ids=lambda check: check.__name__)
def test_equal_to_the_published_implementation(check):
    assert not off(check)


def small_folder(tmp_path, cases, arrays=lambda arrays: arrays):
    """A reference folder with these cases only; keys come from the shipped one."""
    (tmp_path / "networks.json").write_text(json.dumps(cases(ref().json("networks.json"))))
    np.savez(tmp_path / "networks.npz", **arrays(ref().npz("networks.npz")))
    return reference.Reference(tmp_path, "oakink")


def test_the_folder_decides_the_cases(tmp_path):
    folder = small_folder(
        tmp_path,
        lambda cases: {"UVD_LOSS/new": cases["UVD_LOSS/alone"], "Riddle/new": {}},
        lambda arrays: {name.replace("alone", "new"): value for name, value in arrays.items() if "UVD" in name},
    )
    rows = [row for check in oakink_network.CHECKS for row in check(folder)]
    assert {row.case for row in rows} == {"UVD_LOSS/new", "Riddle/new", "IKNet"}
    assert all(row.ok for row in rows if isinstance(row, Row))


@pytest.mark.parametrize("name", ["RealNVP/flow/z", "I2L_Loss/alone/dloss_dmesh_coord_img_faces_1538x3"])
def test_a_wrong_reference_value_is_seen(tmp_path, name):
    folder = small_folder(tmp_path, dict, lambda arrays: {k: v * (1.01 if k == name else 1) for k, v in arrays.items()})
    found = off(oakink_network.flow, folder) + off(oakink_network.losses, folder)
    assert [f"{row.case}/{row.quantity}" for row in found if "forward" not in row.quantity] == [name]


# Weights


@pytest.mark.parametrize("name", PUBLISHED)
def test_key_table_covers_the_published_names_both_ways(name):
    with torch.device("meta"):
        net = networks.create(name)
    listed = reference.load_keys(ref().path(f"keys_{PUBLISHED[name]}.json"))
    listed = [(key, shape) for key, shape, _ in listed if not key.startswith(i2l_meshnet.MANO_PREFIX)]
    shapes = {net.keys.ours(key): shape for key, shape in listed}
    own = {key: tuple(value.shape) for key, value in net.state_dict().items() if key not in OWN_ENTRIES}
    assert shapes == own
    assert all(net.keys.published(net.keys.ours(key)) == key for key, _ in listed)


@pytest.mark.parametrize("name, entries, parameters", [
    ("integral_pose", 315, 33_078_028), ("rle", 380, 23_802_210), ("i2l_meshnet", 731, 137_272_839),
])  # fmt: skip
def test_published_sizes(name, entries, parameters):
    assert len(reference.load_keys(ref().path(f"keys_{PUBLISHED[name]}.json"))) == entries
    with torch.device("meta"):
        net = networks.create(name)
    constant = [m for m in net.modules() if isinstance(m, BatchNorm) and m.num_batches_tracked is None]
    count = sum(value.numel() for value in net.parameters())
    assert count - sum(m.weight.numel() + m.bias.numel() for m in constant) == parameters


def stand_in(name):
    return dict(oakink_cases.stand_ins(ref().path(f"keys_{PUBLISHED[name]}.json")))


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("wrap", [dict, lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}}])
def test_published_files_are_recognised_among_all_networks(tmp_path, name, wrap):
    state = stand_in(name)
    content = {"model": state, "epoch": 3} if name == "iknet" else wrap(state)
    torch.save(content, tmp_path / "net.pth.tar")
    net = networks.load(tmp_path / "net.pth.tar")
    assert net.name == name and not net.training
    for key, value in state.items():
        if not key.startswith(i2l_meshnet.MANO_PREFIX):
            assert torch.equal(net.state_dict()[net.keys.ours(key)], value), key


@pytest.mark.parametrize("name", PUBLISHED)
def test_wrong_keys_are_named(name):
    state = stand_in(name)
    first = next(key for key in state if key.endswith("weight"))
    moved = state.pop(first)
    with pytest.raises(InputError, match=f"1 missing: {first}; 1 unexpected: other"):
        networks.load_published(networks.create(name), state | {"other": moved})
    with pytest.raises(InputError, match=f"1 of another shape: {first}"):
        networks.load_published(networks.create(name), state | {first: moved[:1]})


def test_iknet_is_found_in_handtailors_whole_network(tmp_path):
    state = stand_in("iknet")
    whole = {f"iknet.{name}": value for name, value in state.items()}
    whole |= {"iknet.mano_layer.faces": torch.zeros(2), "hand2d.conv.weight": torch.zeros(1)}
    torch.save({"model": whole, "epoch": 7}, tmp_path / "model.pt")
    net = networks.load(tmp_path / "model.pt")
    assert torch.equal(net.layers[0].weight, state["invk_layers.0.weight"])


# I2L-MeshNet and its hand model


@pytest.fixture(scope="module")
def i2l():
    net = networks.create("i2l_meshnet").eval()
    networks.load_published(net, stand_in("i2l_meshnet"))
    return net


def test_a_published_i2l_brings_the_hand_model_with_it(i2l):
    state = stand_in("i2l_meshnet")
    assert torch.equal(i2l.faces, state["human_model_layer.th_faces"])
    verts = torch.rand(2, 778, 3)
    joints = bodies.joints21(verts, state["human_model_layer.th_J_regressor"] @ verts, "pose2pose")
    assert_close(i2l.regressor21 @ verts, joints)


@pytest.mark.parametrize("published, vertex", [(True, 445), (False, 444)])
def test_the_middle_tip_is_the_published_one_only_where_asked_or_loaded(published, vertex):
    net = i2l_meshnet.I2LMeshNet(published=published)
    assert net.regressor21[12].nonzero().tolist() == [[vertex]]
    networks.load_published(net, stand_in("i2l_meshnet"))
    assert net.regressor21[12].nonzero().tolist() == [[445]]


def test_own_weights_keep_the_tip_and_go_with_their_hand_model(tmp_path, i2l):
    fresh = i2l_meshnet.I2LMeshNet(published=True)
    networks.save(fresh, tmp_path / "free")
    assert torch.equal(networks.load(tmp_path / "free").regressor21, fresh.regressor21)
    networks.save(i2l, tmp_path / "mano")
    with pytest.raises(InputError, match="field 'bodies'.*another hand model than the free hand"):
        networks.load(tmp_path / "mano")


def test_a_hand_model_of_another_shape_is_named():
    state = stand_in("i2l_meshnet")
    net = networks.create("i2l_meshnet")
    before = net.regressor21.clone()
    with pytest.raises(InputError, match="human_model_layer.th_faces"):
        networks.load_published(net, state | {"human_model_layer.th_faces": torch.zeros(5, 3)})
    state.pop("human_model_layer.th_betas")
    with pytest.raises(InputError, match=r"human_model_layer.th_betas \(missing\)"):
        networks.load_published(net, state)
    assert torch.equal(net.regressor21, before)


def test_the_volume_is_convolved_as_if_it_were_there():
    torch.manual_seed(0)
    places, weight = 63 * torch.rand(2, 3, 3, dtype=torch.float64), torch.randn(5, 3 * 64, 3, 3, dtype=torch.float64)
    dense = lixels.gaussian_volume(places, 2.5).flatten(1, 2)
    expected = torch.nn.functional.conv2d(dense, weight, padding=1)
    assert_close(lixels.convolved_volume(places, 2.5, weight), expected)


def test_the_published_mesh_losses_see_nine_vertices():
    torch.manual_seed(0)
    faces = torch.arange(24).view(8, 3)
    truth, valid = torch.randn(2, 24, 3), torch.ones(2, 24)
    for find, axis, seen in ((meshes.batched_corners, 1, 9), (meshes.corners, 2, 24)):
        ours = torch.randn(2, 24, 3, requires_grad=True)
        corners, known = find(ours, valid, faces)
        loss = meshes.edge_loss(corners, find(truth, valid, faces)[0], known, axis)
        (grad,) = torch.autograd.grad(loss, ours)
        assert grad.abs().sum(2)[0].count_nonzero() == seen


# Frozen batch norms


def frozen(net):
    return [name for name, m in net.backbone.named_modules() if isinstance(m, BatchNorm) and m.frozen]


@pytest.mark.parametrize("cls", [integral_pose.IntegralPose, rle.RegressFlow3D])
def test_frozen_batch_norms_stay_so_in_training(cls):
    net = cls(published=True)
    names = frozen(net)
    assert len(names) == 1 + 4 * 3 + 4
    assert {"bn1", "layer1.0.bn1", "layer4.0.downsample.1"} <= set(names) and "layer1.1.bn1" not in names
    net.train()
    modules = dict(net.backbone.named_modules())
    assert not any(modules[name].training for name in names) and modules["layer1.1.bn1"].training
    assert not any(modules[name].weight.requires_grad for name in names)
    assert len(frozen(cls())) == 53 and not frozen(cls(freeze="none"))
    with pytest.raises(InputError, match="known: none, first, all"):
        net.freeze("some")


def test_imagenet_file_fills_the_backbone_whatever_it_counts(tmp_path):
    torch.manual_seed(1)
    state = ResNet().state_dict() | {"fc.weight": torch.zeros(1000, 2048)}
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    for content in (state, old):
        torch.save(content, tmp_path / "resnet50.pth")
        net = networks.create("rle")
        dropped = networks.load_backbone(net, tmp_path / "resnet50.pth")
        assert "fc.weight" in dropped and ("bn1.num_batches_tracked" in dropped) == (content is state)
        own = net.backbone.state_dict()
        assert all(torch.equal(own[name], value) for name, value in old.items() if name != "fc.weight")


# What they answer


def test_rle_puts_the_wrist_at_the_given_depth_at_test_only():
    net = networks.create("rle")
    images, K, depth = torch.rand(2, 3, 224, 224), torch.eye(3).expand(2, 3, 3), torch.tensor([[0.5], [0.7]])
    with torch.inference_mode():
        assert_close(net.eval().place(net(images), K, depth)["joints_cam"][:, 0, 2], depth[:, 0])
        net.root_shift = False
        out = net(images)
        assert torch.equal(out["joints_uvd"], out["joints_uvd_unshifted"])
        net.root_shift = True
        out = net.train()(images)
        assert torch.equal(out["joints_uvd"], out["joints_uvd_unshifted"])


@pytest.mark.parametrize("published", [True, False])
def test_rle_takes_hidden_joints_for_seen_only_as_published(published):
    torch.manual_seed(0)
    net = rle.RegressFlow3D(published=published)
    out = {"joints_uvd_unshifted": torch.rand(1, 21, 3), "sigma": torch.rand(1, 21, 3)}
    targets = {"joints_uvd": torch.rand(1, 21, 3), "joints_valid": torch.ones(1, 21)}
    everything = net.loss(out, targets)["total"]
    targets["joints_valid"][0, 3:] = 0
    assert torch.equal(net.loss(out, targets)["total"], everything) == published


@pytest.mark.parametrize("published", [True, False])
def test_the_flow_hides_nan_only_as_published(published):
    value = RealNVP(published=published).log_prob(torch.tensor([[0.0, float("nan"), 0.0]]))
    assert bool(value.isnan()) != published


def test_uvd_goes_both_ways():
    torch.manual_seed(0)
    spec = geometry.HandInput(size=(256, 192))
    xyz = torch.rand(2, 21, 3, dtype=torch.float64) + torch.tensor([0.0, 0.0, 0.5])
    K = torch.tensor([[900.0, 0, 120], [0, 800, 90], [0, 0, 1]], dtype=torch.float64).expand(2, 3, 3)
    uvd = geometry.xyz_to_uvd(xyz, K, xyz[:, 9, 2:], spec)
    assert_close(uvd[:, 9, 2], [0.5, 0.5])
    assert_close(uvd[..., 0] * 256, xyz[..., 0] / xyz[..., 2] * 900 + 120)
    assert_close(geometry.uvd_to_xyz(uvd.numpy(), K.numpy(), xyz[:, 9, 2:].numpy(), spec), xyz)


def test_iknet_answers_the_same_wherever_and_however_large_the_hand_is():
    torch.manual_seed(0)
    net, joints = networks.create("iknet").eval(), torch.rand(3, 21, 3)
    with torch.inference_mode():
        one, other = net(joints), net(2 * joints + 1)
    assert_close(one["pose_flat"], other["pose_flat"])
    assert_close(other["bone"], 2 * one["bone"])


def test_iknet_learns_a_rotation_whatever_the_sign_of_its_quaternion():
    out = {"pose_quat": torch.nn.functional.normalize(torch.randn(2, 16, 4), dim=2)}
    assert_close(networks.create("iknet").loss(out, {"pose_quat": -out["pose_quat"]})["total"], 0.0)


def test_no_rotation_has_a_gradient():
    quaternion = torch.tensor([1.0, 0.0, 0.0, 0.0], requires_grad=True)
    (grad,) = torch.autograd.grad(iknet.quaternion_to_rotvec(quaternion)[1], quaternion)
    assert_close(grad, [0.0, 0.0, 2.0, 0.0])


@pytest.mark.parametrize("name", PUBLISHED)
def test_folded_batch_norms_change_nothing_but_rounding(name):
    torch.manual_seed(0)
    net = networks.create(name).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    given = torch.rand(1, 21, 3) if name == "iknet" else torch.rand(1, 3, *net.input.size)
    key = "pose_quat" if name == "iknet" else "joints_uvd"
    other_net = folded(net)
    with torch.inference_mode():
        plain, other = net(given)[key], other_net(given)[key]
    parts = [getattr(other_net, part) for part in ("backbone", "layers", "mesh_head") if hasattr(other_net, part)]
    kinds = {type(module) for part in parts for module in part.modules()}
    assert not any(issubclass(kind, torch.nn.modules.batchnorm._BatchNorm) for kind in kinds)
    assert float((plain - other).abs().max()) < 1e-4


def test_batch_norms_join_their_convolutions_and_notice_new_weights():
    torch.manual_seed(0)
    convolution, norm = torch.nn.Conv2d(3, 4, 3, 2, padding=1, bias=False), BatchNorm(4).eval()
    x = torch.rand(2, 3, 8, 8)

    def both():
        with torch.no_grad():
            return norm.after(convolution, x), norm(convolution(x))

    assert_close(*both())
    for change in (convolution.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var):
        with torch.no_grad():
            change += 0.5
        assert_close(*both())
    convolution.load_state_dict({"weight": torch.randn(4, 3, 3, 3)}, assign=True)
    assert_close(*both())
    convolution.weight.data = 2 * convolution.weight.data
    assert_close(*both())
    norm.weight.data.mul_(3)  # not counted by torch
    norm.eval()
    assert_close(*both())
    norm.train()
    assert_close(norm.after(convolution, x).mean((0, 2, 3)), norm.bias)


@pytest.mark.parametrize("bias", [True, False])
def test_a_narrowing_transposed_convolution_is_the_same_by_one_product(bias):
    torch.manual_seed(0)
    layer, x = heads.Enlarge(16, 4, 4, 2, padding=1, bias=bias), torch.rand(2, 16, 5, 7)
    with torch.no_grad():
        assert_close(layer(x), torch.nn.ConvTranspose2d.forward(layer, x))
