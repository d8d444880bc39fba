"""OSX: one picture against the published program; names, decoder settings and files on a narrow copy; its blocks."""

import pytest
import torch
from tolerances import assert_close
from torch import nn
from torch.nn import functional as F

from handlib import networks
from handlib.files import InputError
from handlib.networks import osx
from handlib.networks.blocks import deformable, products, vit
from handlib.verify import reference, wholebody_cases, wholebody_osx

BATCHED = ("body_joint_img", "img_feat", "task_tokens", "body_pose_6d", "cam_param", "lhand_box_xyxy", "face_box_xyxy",
           "face_joint_img", "face_neck_x4", "face_decoder_out", "expr", "jaw_pose_6d", "joint_proj", "joint_cam",
           "mesh_cam", "joint_proj_agora", "out_joint_img", "out_smplx_lhand_pose", "out_smplx_rhand_pose")  # fmt: skip
HANDS = ("hand_feat_x4", "hand_joint_img", "hand_decoder_out", "hand_pose_6d")  # left ones, then right ones


@pytest.fixture(scope="module")
def ref():
    return reference.shipped("wholebody")


@pytest.fixture(scope="module")
def body():
    return wholebody_cases.body("smplx")


@pytest.fixture
def narrow(monkeypatch):
    """Two blocks of width 64 for OSX-B, whatever the decoder."""
    monkeypatch.setattr(osx.OsxB, "vit", (64, 2, 2, 0.5))
    monkeypatch.setattr(osx.OsxB, "signature", {"encoder.task_tokens": (1, osx.TOKENS, 64)})
    torch.manual_seed(0)


def _with_boxes(net):
    """Fresh weights find boxes of no size, in which nothing can be compared."""
    for part in ("lhand", "rhand", "face"):
        nn.init.constant_(getattr(net.boxes, part)[-1].bias, 2.0)
    return net


def test_one_picture_equals_the_published_program(ref, body):
    facts, arrays = ref.json("osx/case_osx_b_normal_e.json"), ref.npz("osx/case_osx_b_normal_e.npz")
    net = networks._network_class("osx_b")(body).eval()
    listed = ref.json("osx/keys_osx_b_normal.json")["keys"]
    used = [row for row in listed if not net.keys.bare(row[0]).startswith(osx.UNUSED)]

    class Used:
        json = staticmethod(lambda name: {"keys": used})

    networks.load_published(net, wholebody_cases.state(Used, "", facts), "stand-ins")
    with torch.inference_mode():
        out = net(wholebody_cases.picture(facts)[:1], stages=True)
    for name in BATCHED + HANDS:
        known = facts["stages"][name]
        steps = known.get("stored_every", [1] * len(known["shape"]))
        ours = out[name].numpy()[tuple(slice(None, None, step) for step in steps)]
        theirs = arrays[name][::2] if name in HANDS else arrays[name][:1]
        assert abs(ours - theirs).max() <= max(1e-4, 10 * known["float32_noise"]), name


@pytest.mark.parametrize("decoder", ["normal", "wo_decoder"])
def test_key_table_covers_the_published_names_both_ways(ref, decoder):
    with torch.device("meta"):
        net = osx.OsxB(nn.Identity(), decoder=decoder)
    listed = ref.json(f"osx/keys_osx_b_{decoder}.json")["keys"]
    used = {name: tuple(shape) for name, shape, _ in listed if not net.keys.bare(name).startswith(osx.UNUSED)}
    assert used == {
        f"module.{net.keys.published(name)}": tuple(value.shape) for name, value in net.state_dict().items()
    }
    assert {net.keys.ours(name) for name in used} == set(net.state_dict())
    unused = ref.json(f"osx/unused_{decoder}.json")["parameters_never_reached_by_the_loss"]
    assert {row[0] for row in listed} - set(used) == {
        row[0] for row in listed if row[0].startswith(tuple(unused or "-"))
    }


@pytest.mark.parametrize("decoder", osx.DECODERS)
def test_files_tell_their_decoder(narrow, body, tmp_path, decoder):
    """Published ones under the older names, with parts that are not used, and our own folders."""
    net = networks.create("osx_b", body, decoder=decoder).eval()
    state = {f"module.{net.keys.published(name)}": value for name, value in net.state_dict().items()}
    if decoder != "wo_decoder":
        state["module.hand_decoder.backbone.conv1.weight"] = torch.zeros(1)
    for old, new in wholebody_osx.older(reference.shipped("wholebody")):
        state = {name.replace(new, old): value for name, value in state.items()}
    torch.save({"network": state, "epoch": 13}, tmp_path / "snapshot_13.pth.tar")
    networks.save(net, tmp_path / "ours")
    images = torch.rand(1, 3, 512, 384)
    with torch.inference_mode():
        expected = net(images)
        for file in ("snapshot_13.pth.tar", "ours"):
            found = networks.load(tmp_path / file, bodies=body)
            assert found.decoder == decoder
            torch.testing.assert_close(found(images)["verts"], expected["verts"], atol=1e-4, rtol=0)
    assert ("face_joints_img" in expected) == (decoder == "normal")


def test_another_decoders_file_and_missing_names_are_refused(narrow, body):
    net = networks.create("osx_b", body, decoder="wo_decoder")
    state = {f"module.{net.keys.published(name)}": value for name, value in net.state_dict().items()}
    with pytest.raises(InputError, match="wo_decoder"):
        networks.load_published(networks.create("osx_b", body, decoder="normal"), state)
    del state["module.encoder.last_norm.bias"]
    state["module.encoder.cls_token"] = torch.zeros(1)
    with pytest.raises(InputError, match=r"1 missing: encoder.last_norm.bias; 1 unexpected: module.encoder.cls_token"):
        networks.load_published(net, state)
    with pytest.raises(InputError, match="normal, wo_face_decoder, wo_decoder"):
        networks.create("osx_b", body, decoder="none")
    with pytest.raises(InputError, match="no option 'decoder'"):
        networks.create("hand4whole", body, decoder="normal")


def test_encoder_file_fills_the_encoder_but_its_tokens(narrow, body, tmp_path):
    net = networks.create("osx_b", body, decoder="wo_decoder")
    tokens = net.encoder.task_tokens.clone()
    state = {f"backbone.{name}": torch.full_like(value, 3.0) for name, value in net.encoder.state_dict().items()}
    state |= {"keypoint_head.final_layer.weight": torch.zeros(1)}
    del state["backbone.task_tokens"]
    torch.save({"state_dict": state}, tmp_path / "osx_vit_b.pth")
    assert networks.load_backbone(net, tmp_path / "osx_vit_b.pth") == ["keypoint_head.final_layer.weight"]
    assert torch.equal(net.encoder.task_tokens, tokens)
    assert all((value == 3).all() for name, value in net.encoder.named_parameters() if name != "task_tokens")


@pytest.mark.parametrize(("decoder", "reached"), [("wo_face_decoder", {"smplx_shape"}), ("wo_decoder", {
    "smplx_pose", "smplx_shape", "smplx_expr", "joint_cam", "smplx_joint_cam"})])  # fmt: skip
def test_what_the_weight_of_agora_reaches(ref, narrow, body, decoder, reached):
    net = _with_boxes(networks.create("osx_b", body, decoder=decoder)).eval()
    given = wholebody_cases.targets(ref, "osx/targets_e.npz")
    with torch.no_grad():
        out = net(torch.rand(2, 3, 512, 384))
        once = net.loss(out, given)
        net.smplx_loss_weight = 2.0
        twice = net.loss(out, given)
    ratios = {name: float(twice[name] / once[name]) for name in once if name != "total"}
    assert {name for name, ratio in ratios.items() if ratio == 2} == reached
    assert {ratio for name, ratio in ratios.items() if name not in reached} == {1.0}


def test_every_parameter_learns(ref, narrow, body):
    net = _with_boxes(networks.create("osx_b", body))
    net.loss(net(torch.rand(2, 3, 512, 384)), wholebody_cases.targets(ref, "osx/targets_e.npz"))["total"].backward()
    assert {name for name, value in net.named_parameters() if value.requires_grad and value.grad is None} == set()


def test_attention_and_code_equal_the_published_ones(ref):
    rows = list(wholebody_osx.operations(ref))
    assert len(rows) == 3 and all(row.ok for row in rows)


def test_gathering_equals_torchs_sampling_with_and_without_gradient():
    torch.manual_seed(0)
    sizes, heads, points = [(5, 7), (3, 2)], 3, 4
    memory = torch.randn(2, 5 * 7 + 3 * 2, 8)
    looks, weights = torch.rand(2, 6, heads, 2, points, 2) * 1.6 - 0.3, torch.rand(2, 6, heads, 2, points)
    expected, first = 0, 0
    for level, (h, w) in enumerate(sizes):
        features = memory[:, first : first + h * w].mT.unflatten(2, (h, w))
        sampled = F.grid_sample(features, 2 * looks[:, :, :, level].flatten(2, 3) - 1, align_corners=False)
        weighted = sampled.unflatten(3, (heads, points)) * weights[:, None, :, :, level]
        expected, first = expected + weighted.sum(4).permute(0, 2, 3, 1), first + h * w
    with torch.no_grad():
        assert_close(deformable.gather(memory, looks, weights, sizes), expected)
    assert_close(deformable.gather(memory, looks, weights, sizes), expected)
    looks = looks.double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda places: deformable.gather(memory.double(), places, weights.double(), sizes), looks, atol=1e-4
    )


def test_linear_layers_are_the_same_as_convolutions(monkeypatch):
    torch.manual_seed(0)
    layer, x = nn.Linear(16, 24), torch.randn(2, 5, 16)
    monkeypatch.setattr(products, "_WORTH", 0)
    for quicker in (True, False):
        monkeypatch.setattr(products, "convolution_is_quicker", lambda threads, quicker=quicker: quicker)
        with torch.inference_mode():
            assert_close(products.linear(layer, x), layer(x))
    assert products.linear(layer, x).requires_grad


def test_blocks_are_passed_by_for_some_samples_in_training_only():
    torch.manual_seed(0)
    block, x = vit.Block(8, 2, drop_path=0.5), torch.randn(1, 3, 8).expand(64, -1, -1)
    with torch.no_grad():
        trained, plain = block(x), block.eval()(x)
    assert len(plain.unique(dim=0)) == 1
    assert len(trained.unique(dim=0)) == 4  # both branches, one, the other, none
    assert (trained == x).all((1, 2)).any()
