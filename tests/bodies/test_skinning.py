import numpy as np
import pytest
import torch
from smplx import lbs
from tolerances import assert_close

from handlib.bodies import files
from handlib.bodies.skinning import Skinning
from handlib.verify import standin


def smplx_lbs(arrays, rotations, shape):
    """The smplx package's skinning on the same arrays."""
    as_tensor = lambda name: torch.as_tensor(np.asarray(arrays[name], np.float64))  # noqa: E731
    parents = torch.as_tensor(arrays["kintree_table"][0].astype(np.int64))
    parents[0] = -1
    posedirs = as_tensor("posedirs").reshape(-1, arrays["posedirs"].shape[2]).T
    return lbs.lbs(
        shape, rotations, as_tensor("v_template"), as_tensor("shapedirs"), posedirs,
        as_tensor("J_regressor"), parents, as_tensor("weights"), pose2rot=False,
    )  # fmt: skip


def parameters(joints, shape, batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rotvecs = torch.randn(batch * joints, 3, generator=generator, dtype=torch.float64) * 0.6
    rotations = lbs.batch_rodrigues(rotvecs).view(batch, joints, 3, 3)
    coefficients = torch.randn(batch, shape, generator=generator, dtype=torch.float64)
    return rotations.requires_grad_(), coefficients.requires_grad_()


@pytest.mark.parametrize("arrays", [standin.mano("left"), standin.smpl("neutral")], ids=["mano", "smpl"])
def test_values_and_gradients_are_those_of_smplx(arrays):
    """SMPL's tree branches below the root, so that levels pick their parents; MANO's does not."""
    core = Skinning(files.model(arrays, "stand-in"), torch.float64)
    given = parameters(arrays["weights"].shape[1], arrays["shapedirs"].shape[2], batch=2)
    ours, theirs = core(*given), smplx_lbs(arrays, *given)
    for value, expected in zip(ours, theirs, strict=True):
        assert_close(value, expected)
    weights = [torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape) for out in ours]
    gradients = [
        torch.autograd.grad(sum((out * w).sum() for out, w in zip(outs, weights, strict=True)), given)
        for outs in (ours, theirs)
    ]
    for value, expected in zip(*gradients, strict=True):
        assert_close(value, expected)


def test_the_state_dict_carries_no_body_model():
    assert not Skinning(files.model(standin.mano("right"), "stand-in")).state_dict()


def test_an_empty_batch():
    core = Skinning(files.model(standin.mano("right"), "stand-in"))
    verts, joints = core(torch.zeros(0, 16, 3, 3), torch.zeros(0, 10))
    assert verts.shape == (0, 778, 3) and joints.shape == (0, 16, 3)
