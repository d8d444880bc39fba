import pickle

import numpy as np
import pytest
import roma
import smplx
import torch

from handlib import bodies, fields
from handlib.bodies.mano import TIPS
from handlib.files import InputError
from handlib.verify import standin

METRE = 1e-6  # the layer equals smplx's to this


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bodies") / "mano"
    folder.mkdir()
    for side in ("right", "left"):
        with open(folder / f"MANO_{side.upper()}.pkl", "wb") as file:
            pickle.dump(standin.mano(side), file)
    return folder


@pytest.fixture(scope="module")
def layer(folder):
    return bodies.load(folder, "mano_right", dtype=torch.float64)


def parameters(batch, size=48, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda n, scale: torch.randn(batch, n, generator=generator, dtype=torch.float64).to(dtype) * scale  # noqa: E731
    return {"pose": draw(size, 0.5), "shape": draw(10, 1.0), "transl": draw(3, 0.1)}


def smplx_output(folder, side, given, components, mean_added):
    layer = smplx.create(
        str(folder.parent), "mano", is_rhand=side == "right", use_pca=components is not None, flat_hand_mean=mean_added,
        num_pca_comps=components or 6, dtype=given["pose"].dtype,
    )  # fmt: skip
    pose = given["pose"]
    out = layer(global_orient=pose[:, :3], hand_pose=pose[:, 3:].clone(), betas=given["shape"], transl=given["transl"])
    return {"verts": out.vertices, "joints": out.joints}


def assert_same(out, expected, atol=METRE):
    for name in ("verts", "joints"):
        torch.testing.assert_close(out[name], expected[name], rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mean_added", [True, False])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("batch", [1, 3])
def test_equal_to_smplx(folder, side, mean_added, dtype, batch):
    layer = bodies.load(folder, f"mano_{side}", dtype=dtype)
    assert layer.corrections == () and not layer.is_free and str(folder) in layer.source
    given = parameters(batch, dtype=dtype)
    given["pose"][0, 6:12] = 0
    out = layer(**given, mean_added=mean_added)
    assert out["verts"].dtype == dtype and out["verts"].is_contiguous()
    assert_same(out, smplx_output(folder, side, given, None, mean_added))


@pytest.mark.parametrize("components", [6, 30])
@pytest.mark.parametrize("mean_added", [True, False])
def test_pca_poses_are_those_of_smplx(folder, layer, components, mean_added):
    given = parameters(2, 3 + components)
    out = layer(**given, pose_kind="pca", mean_added=mean_added)
    assert_same(out, smplx_output(folder, "right", given, components, mean_added))


def test_matrix_and_sixd_poses_give_the_same_hand(layer):
    given = parameters(3)
    matrices = roma.rotvec_to_rotmat(given["pose"].view(3, 16, 3))
    sixd = torch.cat([matrices[..., 0], 2 * matrices[..., 1] + 0.3 * matrices[..., 0]], -1)  # needs orthonormalising
    rest = {"shape": given["shape"], "transl": given["transl"], "mean_added": True}
    expected = layer(pose=given["pose"], **rest)
    assert_same(layer(pose=matrices, pose_kind="matrix", **rest), expected, 1e-12)
    assert_same(layer(pose=sixd, pose_kind="sixd", **rest), expected, 1e-12)


def test_the_mean_is_added_exactly_where_asked(layer):
    zero = torch.zeros(1, 48, dtype=torch.float64)
    mean = torch.cat([zero[:, :3], layer.hands_mean[None]], 1)
    added = layer(pose=zero, mean_added=False)
    assert_same(added, layer(pose=mean, mean_added=True), 1e-15)
    assert (added["verts"] - layer(pose=zero, mean_added=True)["verts"]).abs().max() > 0.01
    with pytest.raises(TypeError, match="mean_added"):
        layer(pose=zero)


def test_leading_shapes_broadcast(layer):
    given = parameters(6)
    flat = layer(**given, mean_added=True)
    grid = layer(**{name: value.view(2, 3, -1) for name, value in given.items()}, mean_added=True)
    assert grid["verts"].shape == (2, 3, 778, 3) and grid["joints"].shape == (2, 3, 16, 3)
    assert_same({name: value.flatten(0, 1) for name, value in grid.items()}, flat, 1e-15)
    shared = layer(pose=given["pose"], shape=given["shape"][0], mean_added=True)
    alone = layer(pose=given["pose"][4], shape=given["shape"][0], mean_added=True)
    assert alone["verts"].shape == (778, 3)
    assert_same({name: value[4] for name, value in shared.items()}, alone, 1e-12)
    assert layer(pose=torch.zeros(0, 48), mean_added=True)["verts"].shape == (0, 778, 3)
    lists = layer(pose=given["pose"][4].tolist(), shape=given["shape"][0].numpy(), mean_added=True)
    assert_same(lists, alone, 1e-15)


@pytest.mark.parametrize("kind, size", [("rotvec", (48,)), ("pca", (9,)), ("sixd", (16, 6))])
def test_gradcheck(layer, kind, size):
    generator = torch.Generator().manual_seed(1)
    pose = torch.randn(1, *size, generator=generator, dtype=torch.float64, requires_grad=True)
    shape = torch.randn(1, 10, generator=generator, dtype=torch.float64, requires_grad=True)

    def sparse_output(pose, shape):
        out = layer(pose=pose, shape=shape, pose_kind=kind, mean_added=kind == "sixd")
        return out["verts"][:, ::97], out["joints"]

    assert torch.autograd.gradcheck(sparse_output, (pose, shape))


def test_gradients_at_the_rest_pose_are_finite_and_right(layer):
    zero = torch.zeros(1, 48, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda pose: layer(pose=pose, mean_added=True)["joints"], (zero,))


@pytest.mark.parametrize("kind", ["rotvec", "sixd"])
def test_compiles_to_one_graph(layer, kind):
    torch.compiler.reset()
    given = parameters(2)
    if kind == "sixd":
        given["pose"] = torch.randn(2, 16, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    run = lambda given: layer(**given, pose_kind=kind, mean_added=True)  # noqa: E731
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    given["pose"].requires_grad_()
    out = compiled(given)
    assert_same(out, run(given), 1e-12)
    gradient = torch.autograd.grad(out["verts"].square().sum(), given["pose"])[0]
    expected = torch.autograd.grad(run(given)["verts"].square().sum(), given["pose"])[0]
    torch.testing.assert_close(gradient, expected)


def test_autocast_does_not_cost_precision(folder):
    layer = bodies.load(folder, "mano_right")
    given = parameters(2, dtype=torch.float32)
    expected = layer(**given, mean_added=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(**given, mean_added=False)
        assert torch.is_autocast_enabled("cpu")
    assert out["verts"].dtype == torch.float32
    assert_same(out, expected, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_on_a_gpu(folder):
    layer = bodies.load(folder, "mano_right", dtype=torch.float64)
    given = parameters(3)
    expected = layer(**given, mean_added=False)
    out = layer.cuda()(**{name: value.cuda() for name, value in given.items()}, mean_added=False)
    assert_same({name: value.cpu() for name, value in out.items()}, expected)


def test_the_module_moves_whole_and_keeps_licensed_arrays_out_of_checkpoints(layer):
    assert not layer.state_dict() and not list(layer.parameters())
    moved = bodies.load(None, "mano_right").to("meta")
    assert {buffer.device.type for buffer in moved.buffers()} == {"meta"}
    assert moved(pose=torch.zeros(2, 48, device="meta"), mean_added=False)["verts"].device.type == "meta"


@pytest.mark.parametrize(
    "given, problem",
    [
        ({"pose": torch.zeros(2, 45)}, r"'pose': has shape \(2, 45\)"),
        ({"pose": torch.zeros(2, 48), "pose_kind": "matrix"}, "'pose': has shape"),
        ({"pose": torch.zeros(2, 49), "pose_kind": "pca"}, "'pose': has shape"),
        ({"pose": torch.zeros(2, 48), "pose_kind": "euler"}, "'euler' is unknown"),
        ({"pose": torch.zeros(16, 6), "pose_kind": "sixd", "mean_added": False}, "mean cannot be added to 'sixd'"),
        ({"pose": torch.zeros(2, 48), "shape": torch.zeros(2, 11)}, "'shape': has 11 values"),
    ],
)
def test_wrong_arguments_are_named(layer, given, problem):
    with pytest.raises(InputError, match=problem):
        layer(**{"mean_added": True, **given})


def test_joints21_puts_tips_and_joints_in_house_order(layer):
    out = layer(**parameters(2), mean_added=True)
    joints = bodies.joints21(out["verts"], out["joints"], tips="ho3d")
    assert joints.shape == (2, 21, 3)
    for finger, vertex in zip(fields.FINGERS, TIPS["ho3d"], strict=True):
        assert torch.equal(joints[:, fields.HAND21.joints.index(f"{finger}4")], out["verts"][:, vertex])
    for joint, name in enumerate(fields.MANO16.joints):
        assert torch.equal(joints[:, fields.HAND21.joints.index(name)], out["joints"][:, joint])
    arrays = bodies.joints21(out["verts"].numpy(), out["joints"].numpy(), tips=TIPS["ho3d"])
    np.testing.assert_array_equal(arrays, joints)
    with pytest.raises(InputError, match="'mine' is unknown.*"):
        bodies.joints21(out["verts"], out["joints"], tips="mine")


def test_named_tip_sets():
    """The vertex ids that the projects publish; smplx's come from its own table."""
    from smplx.vertex_ids import vertex_ids

    assert TIPS["smplx"] == tuple(vertex_ids["mano"][name] for name in ("thumb", "index", "middle", "ring", "pinky"))
    assert TIPS["freihand"] == TIPS["oakink"] == (744, 320, 443, 555, 672)
    assert TIPS["ho3d"] == (744, 333, 444, 555, 672)
    assert TIPS["manopth"] == TIPS["handoccnet"] == (745, 317, 444, 556, 673)
    assert TIPS["pose2pose"] == (745, 317, 445, 556, 673)


def test_fit_error_is_the_mean_over_valid_joints():
    truth = np.zeros((3, 4, 3))
    joints = truth + np.array([[3, 4, 0]])
    joints[1, 0] = 100
    valid = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(bodies.fit_error(joints, truth, valid), [5, 5, np.nan])


def test_loading_names_what_is_wrong(folder, tmp_path):
    assert {"mano_left", "mano_right"} < set(bodies.names())
    assert bodies.load(folder / "MANO_LEFT.pkl", "mano_left").side == "left"
    with pytest.raises(InputError, match="file of the left hand, 'mano_right' was asked for"):
        bodies.load(folder / "MANO_LEFT.pkl", "mano_right")
    with pytest.raises(InputError, match="there is no body model 'mano'"):
        bodies.load(folder, "mano")
    with pytest.raises(InputError, match="holds no MANO_RIGHT.pkl"):  # and not the free hand instead
        bodies.load(tmp_path, "mano_right")
    with pytest.raises(InputError, match="does not exist"):
        bodies.load(tmp_path / "nowhere", "mano_right")
