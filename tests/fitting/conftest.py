import pytest
import roma
import torch

from handlib import bodies
from handlib.fitting import poses


@pytest.fixture(scope="session")
def layer():
    return bodies.load(None, "mano_right")


@pytest.fixture(scope="session")
def hands(layer):
    """Eight plausible hands half a metre from the camera: pose, shape, verts, joints (float64)."""
    generator = torch.Generator().manual_seed(3)
    turn = roma.unitquat_to_rotvec(
        torch.nn.functional.normalize(torch.randn(8, 4, generator=generator, dtype=torch.float64), dim=1)
    )
    pose = torch.cat([turn, poses.of(layer).sample(8, generator)], 1)
    shape = torch.randn(8, 10, generator=generator, dtype=torch.float64)
    out = layer(pose=pose, shape=shape, mean_added=True, transl=torch.tensor([0.05, -0.03, 0.5]))
    joints = bodies.joints21(out["verts"], out["joints"])
    return {"pose": pose, "shape": shape, "verts": out["verts"], "joints": joints.double()}


def mean_mm(a, b):
    return 1000 * (a.double() - b.double()).norm(dim=-1).mean().item()
