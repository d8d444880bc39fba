"""SMPL-X, SMPL and FLAME layers beside the smplx package's on files of made-up numbers, which official layouts hold."""

import pickle

import numpy as np
import pytest
import roma
import smplx as package
import torch

from handlib import bodies, body_joints
from handlib.bodies import files
from handlib.bodies.smplx import BodyLayer, contour_turn, select
from handlib.files import InputError
from handlib.verify import standin

METRE = 1e-6
FLAME_PARENTS = [-1, 0, 1, 1, 1]


def made_up(kind, shapes=20):
    """Like `standin`, but quick to draw."""
    draw = np.random.default_rng(7)
    parents, verts, count = {
        "smplx": (standin.SMPLX_PARENTS, 10475, 20908),
        "smpl": (standin.SMPL_PARENTS, 6890, 13776),
        "flame": (FLAME_PARENTS, 5023, 9976),
    }[kind]
    joints = len(parents)
    weights = draw.random((verts, joints)) ** 8
    arrays = {
        "v_template": draw.uniform(-1, 1, (verts, 3)) * [0.5, 0.9, 0.2],
        "f": draw.integers(0, verts, (count, 3)).astype(np.uint32),
        "weights": weights / weights.sum(1, keepdims=True),
        "J_regressor": np.zeros((joints, verts)),
        "kintree_table": np.stack([np.array(parents) % 2**32, np.arange(joints)]).astype(np.uint32),
        "shapedirs": draw.normal(0, 0.002, (verts, 3, shapes)),
        "posedirs": draw.normal(0, 0.0005, (verts, 3, 9 * (joints - 1))).astype(np.float32),
    }
    for row in arrays["J_regressor"]:
        row[draw.permutation(verts)[:12]] = 1 / 12
    if kind == "smplx":
        for side in "lr":
            arrays[f"hands_components{side}"] = np.linalg.qr(draw.normal(size=(45, 45)))[0]
            arrays[f"hands_mean{side}"] = draw.normal(0, 0.1, 45)
        for name, shape in (("", (51,)), ("dynamic_", (79, 17))):
            arrays[f"{name}lmk_faces_idx"] = draw.integers(0, count, shape)
            arrays[f"{name}lmk_bary_coords"] = draw.dirichlet([1, 1, 1], shape)
    return arrays


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bodies")
    for kind in ("smplx", "smpl", "flame"):
        (folder / kind).mkdir()
    np.savez(folder / "smplx" / "SMPLX_NEUTRAL.npz", **made_up("smplx"))
    for kind, shapes in (("smpl", 10), ("flame", 400)):
        (folder / kind / f"{kind.upper()}_NEUTRAL.pkl").write_bytes(pickle.dumps(made_up(kind, shapes)))
    landmarks = {"lmk_face_idx": np.arange(51), "lmk_b_coords": np.full((51, 3), 1 / 3)}
    (folder / "flame" / "flame_static_embedding.pkl").write_bytes(pickle.dumps(landmarks))
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return select(files.read(folder / "smplx" / "SMPLX_NEUTRAL.npz"))


@pytest.fixture(scope="module")
def layer(model):
    return BodyLayer(model, torch.float64)


SIZES = {"root_pose": 3, "body_pose": 63, "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3}
HANDS = {"lhand_pose": 45, "rhand_pose": 45}
THEIRS = {"root_pose": "global_orient", "lhand_pose": "left_hand_pose", "rhand_pose": "right_hand_pose"}
THEIRS |= {"shape": "betas"}


def parameters(batch, sizes=SIZES | HANDS, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = sizes | {"shape": 10, "expression": 10, "transl": 3}
    return {
        name: (torch.randn(batch, size, generator=generator, dtype=torch.float64) * 0.4).to(dtype)
        for name, size in sizes.items()
    }


def package_output(folder, kind, given, **options):
    dtype, batch = given["root_pose"].dtype, len(given["root_pose"])
    theirs = package.create(str(folder), kind, dtype=dtype, batch_size=batch, **options)
    out = theirs(**{THEIRS.get(name, name): value.clone() for name, value in given.items()})
    return {"verts": out.vertices.detach(), "joints": out.joints.detach()}


def assert_same(out, expected, atol=METRE):
    for name in ("verts", "joints"):
        torch.testing.assert_close(out[name], expected[name], rtol=0, atol=atol)


@pytest.mark.parametrize(
    "dtype, mean_added, batch", [(torch.float32, False, 3), (torch.float64, True, 2), (torch.float64, False, 1)]
)
def test_smplx_is_the_package_s(folder, model, dtype, mean_added, batch):
    given = parameters(batch, dtype=dtype)
    given["body_pose"][0] = 0
    options = {"ext": "npz", "use_pca": False, "flat_hand_mean": mean_added}
    expected = package_output(folder, "smplx", given, use_face_contour=True, **options)
    out = BodyLayer(model, dtype)(**given, mean_added=mean_added, joint_set="smplx144")
    assert out["verts"].dtype == dtype and out["verts"].shape == (batch, 10475, 3)
    assert_same(out, expected)


def test_hand_components_are_the_package_s(folder, layer):
    given = parameters(2, SIZES | {"lhand_pose": 12, "rhand_pose": 12})
    expected = package_output(folder, "smplx", given, ext="npz", num_pca_comps=12)
    assert_same(layer(**given, mean_added=False, hand_pose_kind="pca"), expected)


def test_joint_sets_are_parts_of_one_another(layer):
    given = parameters(2)
    joints = {name: layer(**given, mean_added=True, joint_set=name)["joints"] for name in layer.joint_sets}
    assert layer(**given, mean_added=True)["joints"].shape == (2, 127, 3)
    for name, found in joints.items():
        whole = joints["smplx144"][:, body_joints.from_smplx144(body_joints.JOINT_SETS[name])]
        torch.testing.assert_close(found, whole, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["smplx", "smpl", "flame"])
def test_joints_without_the_mesh_are_those_with_it(folder, kind):
    layer = bodies.load(folder, f"{kind}_neutral", dtype=torch.float64)
    given = parameters(2, {part: 3 * count for part, count in layer.parts.items()})
    if kind == "smpl":
        del given["expression"]
    given["mean_added"] = True
    for name in layer.joint_sets:
        alone = layer(**given, joint_set=name, mesh=False)
        whole = layer(**given, joint_set=name)
        assert list(alone) == ["joints"]
        torch.testing.assert_close(alone["joints"], whole["joints"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("degrees, row", [(-0.4, 0), (-7, 7), (-38.6, 39), (-80, 39), (0.6, 40), (12, 51), (70, 78)])
def test_the_contour_s_row_follows_the_neck(degrees, row):
    neck = roma.rotvec_to_rotmat(torch.tensor([[0.0, np.radians(degrees), 0.0]]))
    assert contour_turn(neck).tolist() == [row]


def test_the_contour_turns_with_root_and_spine(layer):
    turned = {"root_pose": torch.tensor([0.0, 0.2, 0.0]), "body_pose": torch.zeros(63)}
    turned["body_pose"][6 + 1] = 0.1  # the first joint of the spine
    own = {"root_pose": torch.tensor([0.0, 0.3, 0.0])}
    one, other = (layer(**pose, mean_added=True, joint_set="smplx144", transforms=True) for pose in (turned, own))
    rows = [contour_turn(out["transforms"][None, 12, :3, :3]).item() for out in (one, other)]
    assert rows == [56, 56] and one["joints"].shape == (144, 3)


@pytest.mark.parametrize("kind", ["smpl", "flame"])
def test_smpl_and_flame_are_the_package_s(folder, kind):
    layer = bodies.load(folder, f"{kind}_neutral", dtype=torch.float64)
    given = parameters(2, {part: 3 * count for part, count in layer.parts.items()})
    if kind == "smpl":
        del given["expression"]
    expected = package_output(folder, kind, given)
    expected["joints"] = expected["joints"][:, : 45 if kind == "smpl" else 5]
    assert_same(layer(**given), expected)


def test_matrices_give_the_same_body_and_left_out_parts_are_at_rest(layer):
    given = parameters(2)
    poses = {name: given.pop(name) for name in list(given) if name.endswith("_pose")}
    matrices = {name: roma.rotvec_to_rotmat(pose.unflatten(-1, (-1, 3))) for name, pose in poses.items()}
    assert_same(
        layer(**matrices, **given, mean_added=True, pose_kind="matrix"), layer(**poses, **given, mean_added=True), 1e-12
    )
    mean = {f"{side}hand_pose": layer.pose_mean[rows] for side, rows in (("l", slice(25, 40)), ("r", slice(40, 55)))}
    assert_same(layer(mean_added=False), layer(**mean, mean_added=True), 1e-12)
    assert (layer(mean_added=False)["verts"] - layer(mean_added=True)["verts"]).abs().max() > 0.01


def test_leading_shapes_broadcast_and_transforms_are_the_joints(layer):
    given = parameters(6)
    given["shape"] = given["shape"][0]
    flat = layer(**given, mean_added=True, transforms=True)
    grid = layer(
        **{name: value if value.ndim == 1 else value.view(2, 3, -1) for name, value in given.items()},
        mean_added=True, transforms=True,
    )  # fmt: skip
    assert grid["verts"].shape == (2, 3, 10475, 3) and grid["transforms"].shape == (2, 3, 55, 4, 4)
    assert_same({name: value.flatten(0, 1) for name, value in grid.items()}, flat, 1e-15)
    torch.testing.assert_close(flat["transforms"][..., :3, 3], flat["joints"][:, :55], rtol=0, atol=0)
    assert layer(root_pose=torch.zeros(0, 3), mean_added=True)["verts"].shape == (0, 10475, 3)


def test_gradcheck(layer):
    given = parameters(1)
    names = ["root_pose", "body_pose", "lhand_pose", "jaw_pose", "shape", "expression", "transl"]

    def some(*values):
        out = layer(**dict(zip(names, values, strict=True)), mean_added=False, joint_set="smplx144")
        return out["verts"][:, ::2500], out["joints"][:, ::11]

    values = [given[name].requires_grad_() for name in names]
    assert torch.autograd.gradcheck(some, values, fast_mode=True)


def test_autocast_changes_nothing(model):
    layer, given = BodyLayer(model), parameters(2, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = layer(**given, mean_added=False, joint_set="smplx137")
    assert_same(inside, layer(**given, mean_added=False, joint_set="smplx137"), 0)


def test_one_graph(layer):
    given = parameters(2)
    explained = torch._dynamo.explain(lambda: layer(**given, mean_added=False, joint_set="smplx137"))()
    assert explained.graph_count == 1 and explained.graph_break_count == 0


def test_no_model_in_the_state_dict(layer):
    assert not layer.state_dict()


def test_files_and_what_is_wrong_with_them(folder, tmp_path):
    assert "smplx_female" in bodies.names()
    path = folder / "smplx" / "SMPLX_NEUTRAL.npz"
    assert bodies.load(path, "smplx_neutral").shape_size == 10
    for wrong, name, words in (
        (path, "smplx_male", "is the neutral model"),
        (path, "smpl_neutral", "is a file of smplx"),
        (folder, "smplx_female", "SMPLX_FEMALE"),
        (tmp_path / "nothing", "flame_neutral", "does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            bodies.load(wrong, name)
    with pytest.raises(InputError, match="holds 10 shapes"):
        bodies.load(path, "smplx_neutral", shapes=11)
    spoiled = made_up("smplx")
    spoiled["lmk_faces_idx"][3] = 20908
    with pytest.raises(InputError, match="names faces outside 0..20907"):
        BodyLayer(select(files.model(spoiled, "spoiled")))


@pytest.mark.parametrize(
    "given, words",
    [
        ({}, "mean_added"),
        ({"mean_added": True, "neck_pose": torch.zeros(3)}, "neck_pose"),
        ({"mean_added": True, "body_pose": torch.zeros(69)}, "body_pose"),
        ({"mean_added": True, "shape": torch.zeros(11)}, "shape"),
        ({"mean_added": True, "joint_set": "smpl45"}, "joint_set"),
        ({"mean_added": False, "pose_kind": "matrix"}, "mean_added"),
        ({"mean_added": False, "pose_kind": "sixd"}, "pose_kind"),
        ({"mean_added": False, "hand_pose_kind": "pca", "lhand_pose": torch.zeros(46)}, "lhand_pose"),
    ],
)
def test_wrong_arguments_are_named(layer, given, words):
    with pytest.raises(InputError) as caught:
        layer(**given)
    assert caught.value.field == words
