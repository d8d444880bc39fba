"""Pose2Pose: the hand against the published program, names of all three, older names, layers."""

import pytest
import torch
from tolerances import assert_close
from torch import nn

from handlib import networks
from handlib.files import InputError
from handlib.networks.pose2pose import Pose2PoseBody, Pose2PoseFace
from handlib.verify import reference, wholebody_cases, wholebody_pose2pose

PARTS = {"hand": (335, "Pose2PoseHand"), "body": (335, "Pose2PoseBody"), "face": (326, "Pose2PoseFace")}


@pytest.fixture(scope="module")
def ref():
    return reference.shipped("wholebody")


@pytest.mark.parametrize("part", list(PARTS))
def test_key_table_covers_the_published_names_both_ways(ref, part):
    with torch.device("meta"):
        net = networks._network_class(f"pose2pose_{part}")(nn.Identity())
    listed = ref.json(f"pose2pose/keys_pose2pose_{part}.json")["keys"]
    shapes = {net.keys.ours(name): tuple(shape) for name, shape, _ in listed}
    assert shapes == {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert len(listed) == len(shapes) == PARTS[part][0]
    assert all(f"module.{net.keys.published(net.keys.ours(name))}" == name for name, _, _ in listed)
    state = {name: torch.empty(shape, device="meta") for name, shape, _ in listed}
    assert [name for name in networks.names() if networks._network_class(name).recognises(state)] == [net.name]


def test_the_hand_equals_the_published_one_in_stages_losses_and_gradients(ref):
    facts = ref.json("pose2pose/case_hand_a.json")
    net, targets = (
        wholebody_pose2pose.network(ref, "hand_a", facts),
        wholebody_cases.targets(ref, "pose2pose/targets_hand_a.npz"),
    )
    out = net(wholebody_cases.picture(facts), stages=True)
    rows = list(wholebody_cases.stage_rows("", out, facts, ref.npz("pose2pose/case_hand_a.npz")))
    elements, known = net.elements(out, targets), facts["training"]
    rows += wholebody_cases.loss_rows("", elements, known)
    total = net.loss(out, targets)["total"]
    assert_close(total, sum(value.mean() for value in elements.values()))
    rows += wholebody_cases.gradient_rows("", net, total, known, {}, {})
    assert len(rows) > 25 and all(row.ok for row in rows), [row for row in rows if not row.ok]
    stored = ref.npz("pose2pose/case_hand_a.npz")
    moved = out | {"cam_trans": out["cam_trans"] + 1e-3}
    wrong = [row.quantity for row in wholebody_cases.stage_rows("", moved, facts, stored) if not row.ok]
    assert wrong == ["cam_trans"]


def test_older_names_of_the_hand_are_known(ref):
    listed = ref.json("pose2pose/keys_pose2pose_hand.json")["keys"]
    state = {
        name.replace("module.backbone.", "module.hand_backbone."): torch.tensor(0.0).expand(shape)
        for name, shape, _ in listed
    }
    net = networks._network_class("pose2pose_hand")(nn.Identity())
    networks.load_published(net, state)
    assert not net.backbone.conv1.weight.any()
    assert networks._network_class("pose2pose_hand").recognises(state)


def test_a_body_has_flat_hands_and_joints_of_its_mesh():
    class Still(nn.Module):
        """A layer whose mesh is the numbers of its vertices."""

        joint_regressor = torch.eye(24, 6890)

        def forward(self, root_pose, body_pose, shape):
            self.given = root_pose, body_pose, shape
            return {"verts": torch.arange(6890.0)[:, None].expand(len(shape), 6890, 3)}

    net = Pose2PoseBody(Still())
    out = net.posed(torch.ones(2, 3), torch.ones(2, 63), torch.zeros(2, 10))
    assert out["body_pose"].shape == (2, 69) and not out["body_pose"][:, 63:].any()
    assert net.whole_pose(out).shape == (2, 72)
    rows = out["joints"][0, :, 0]
    # Pelvis, left hip, neck, right wrist are rows 0, 1, 12, 21 of SMPL; the index knuckles, nose and heel are vertices.
    assert rows[[0, 1, 7, 13, 14, 22, 32]].tolist() == [0, 1, 12, 21, 2274, 331, 6858]
    with pytest.raises(InputError, match="smpl"):
        Pose2PoseBody()


def test_a_face_without_flame_has_parameters_alone():
    net = Pose2PoseFace().eval()
    with torch.inference_mode():
        out = net(torch.rand(1, 3, 256, 192))
    assert {name: tuple(value.shape[1:]) for name, value in out.items()} == {
        "root_pose": (3,), "jaw_pose": (3,), "shape": (10,), "expr": (10,), "transl": (3,)
    }  # fmt: skip
    targets = {f"flame_{name}": out[name] + 1 for name in ("root_pose", "jaw_pose", "shape", "expr")}
    terms = net.loss(out, targets | {f"{name}_valid": torch.ones(1) for name in targets})
    assert float(terms["flame_expr"]) == pytest.approx(1) and float(terms["total"]) == pytest.approx(4)


def test_joints_of_a_mesh_keep_their_precision_under_autocast():
    net = networks.create("pose2pose_hand")
    assert not any(name.startswith("layer") for name in net.state_dict())
    given = torch.randn(2, 3), torch.randn(2, 45) / 3, torch.randn(2, 10)
    exact = net.posed(*given)
    with torch.autocast("cpu", torch.bfloat16):
        out = net.posed(*given)
    assert_close(out["joints"], exact["joints"])
