import pytest
import roma
import torch

from handlib import bodies
from handlib.bodies import files
from handlib.bodies.mano import ManoLayer
from handlib.files import InputError
from handlib.fitting.kinematics import Kinematics
from handlib.verify import standin


@pytest.fixture(params=["free right", "free left", "stand-in"])
def layer(request):
    """The stand-in's tips hang on all joints, so that every derivative counts."""
    if request.param == "stand-in":
        return ManoLayer(files.model(standin.mano("right"), "stand-in", "mano"), "right", torch.float64)
    return bodies.load(None, f"mano_{request.param.split()[1]}", dtype=torch.float64)


def drawn(count):
    generator = torch.Generator().manual_seed(0)
    pose = torch.randn(count, 16, 3, generator=generator, dtype=torch.float64) * 0.6
    pose[0, 3] = 0
    return roma.rotvec_to_rotmat(pose), torch.randn(count, 10, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("tips", ["manopth", "freihand", (1, 2, 3, 4, 5)])
def test_the_joints_are_the_layers(layer, tips):
    rotations, shape = drawn(4)
    out = layer(pose=rotations, pose_kind="matrix", shape=shape, mean_added=True)
    expected = bodies.joints21(out["verts"], out["joints"], tips)
    torch.testing.assert_close(Kinematics(layer, tips)(rotations, shape), expected, rtol=0, atol=1e-14)


def test_the_derivatives_are_those_of_autograd(layer):
    rotations, shape = drawn(3)
    kinematics = Kinematics(layer)
    joints, slopes = kinematics.derivatives(rotations, shape)
    torch.testing.assert_close(joints, kinematics(rotations, shape))

    def moved(turn, shape):
        return kinematics(rotations @ roma.rotvec_to_rotmat(turn.view(-1, 16, 3)), shape)

    by_turn, by_shape = torch.autograd.functional.jacobian(moved, (torch.zeros(3, 48, dtype=shape.dtype), shape))
    for hand in range(3):
        by_shift = torch.eye(3, dtype=shape.dtype).expand(21, 3, 3)
        expected = torch.cat([by_turn[hand, :, :, hand], by_shift, by_shape[hand, :, :, hand]], -1).permute(2, 1, 0)
        torch.testing.assert_close(slopes[hand], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("tips", ["none", (1, 2, 3), (1, 2, 3, 4, 900)])
def test_unknown_tips_are_named(layer, tips):
    with pytest.raises(InputError, match="tips"):
        Kinematics(layer, tips)
