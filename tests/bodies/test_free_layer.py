import pickle

import numpy as np
import pytest
import smplx
import torch

from handlib import bodies, fields, render
from handlib.bodies import files, free
from handlib.bodies.mano import TIPS, ManoLayer
from handlib.files import InputError

MIRROR = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)


@pytest.fixture(scope="module")
def layers():
    return {side: bodies.load(None, f"mano_{side}", dtype=torch.float64) for side in ("right", "left")}


def draw(size=48, batch=3):
    generator = torch.Generator().manual_seed(0)
    pose = torch.randn(batch, size, generator=generator, dtype=torch.float64) * 0.4
    return pose, torch.randn(batch, 10, generator=generator, dtype=torch.float64)


def test_it_says_what_it_is(layers):
    for layer in layers.values():
        assert layer.is_free and "not MANO" in layer.source and layer.source in repr(layer)
        assert layer.corrections == ()
    assert bodies.load("free", "mano_left").is_free


def test_the_format_is_manos(layers):
    layer = layers["right"]
    assert layer.faces.shape == (1538, 3) and layer.weights.shape == (778, 16)
    assert layer.components.shape == (45, 45) and layer.hands_mean.shape == (45,)
    assert free.model("right").parents.tolist() == list(fields.MANO16.parents)
    torch.testing.assert_close(layer.weights.sum(1), torch.ones(778, dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_left_hand_is_the_mirrored_right_one(layers):
    """With the same shape and a mirrored pose: rotation vectors (x, -y, -z)."""
    pose, shape = draw()
    mirrored = pose * torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64).repeat(16)
    for mean_added in (True, False):
        right = layers["right"](pose=pose, shape=shape, mean_added=mean_added)
        left = layers["left"](pose=mirrored, shape=shape, mean_added=mean_added)
        for name in ("verts", "joints"):
            torch.testing.assert_close(left[name], right[name] * MIRROR, rtol=0, atol=1e-12)
    coefficients = draw(9)[0]
    coefficients[:, :3] = 0
    right, left = (layers[side](pose=coefficients, pose_kind="pca", mean_added=False) for side in ("right", "left"))
    torch.testing.assert_close(left["verts"], right["verts"] * MIRROR, rtol=0, atol=1e-12)


def test_pose_correctives_are_mirrored_too():
    """Made up here, so that every one of them is large enough to tell."""
    arrays = free.arrays("right")
    arrays["posedirs"] = np.random.default_rng(0).normal(0, 1e-3, (778, 3, 135))
    right = ManoLayer(files.model(arrays, "right"), "right", torch.float64)
    left = ManoLayer(files.model(free.mirrored(arrays), "left"), "left", torch.float64)
    pose, shape = draw()
    mirrored = pose * torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64).repeat(16)
    out = right(pose=pose, shape=shape, mean_added=True)["verts"] * MIRROR
    torch.testing.assert_close(left(pose=mirrored, shape=shape, mean_added=True)["verts"], out, rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", ["right", "left"])
def test_faces_are_wound_outward_and_the_wrist_is_one_ring_of_16(layers, side):
    layer = layers[side]
    verts = layer(pose=torch.zeros(48), mean_added=True)["verts"].numpy()
    assert [len(loop) for loop in render.boundary_loops(layer.faces.numpy())] == [16]
    verts, faces = render.seal(verts, layer.faces.numpy())
    assert verts.shape == (779, 3) and faces.shape == (1554, 3)
    corners = verts[faces]
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert 1e-4 < volume < 1e-3  # a hand is some 0.3 litres; inside out it would be negative


@pytest.mark.parametrize("tips", sorted(TIPS))
def test_every_tip_set_finds_the_finger_tips(layers, tips):
    """The named vertices lie on the last phalanx, farther out than its joint, near its very end."""
    layer = layers["right"]
    out = {name: value.numpy() for name, value in layer(pose=torch.zeros(48), mean_added=True).items()}
    labels = layer.part_labels()
    for finger, vertex in zip(fields.FINGERS, TIPS[tips], strict=True):
        last, before = (fields.MANO16.joints.index(f"{finger}{part}") for part in (3, 2))
        assert labels[vertex] == last
        along = out["joints"][last] - out["joints"][before]
        reach = (out["verts"][labels == last] - out["joints"][last]) @ along
        assert (out["verts"][vertex] - out["joints"][last]) @ along > 0.6 * reach.max()


def test_all_parts_are_there(layers):
    for of, count in (("vertices", 778), ("faces", 1538)):
        labels = layers["right"].part_labels(of)
        assert labels.shape == (count,) and set(labels) == set(range(16))
    classes = layers["left"].part_classes()
    assert set(classes) == set(range(17, 33))
    assert set(layers["right"].part_classes()) == set(range(1, 17))


def test_demo_poses(layers):
    right, left = free.demo_poses("right"), free.demo_poses("left")
    assert len(right) > 10 and list(right) == list(left)
    for name, pose in right.items():
        posed = layers["right"](pose=np.append(np.zeros(3), pose), mean_added=True)["verts"]
        mirrored = layers["left"](pose=np.append(np.zeros(3), left[name]), mean_added=True)["verts"]
        torch.testing.assert_close(mirrored, posed * MIRROR, rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("pca", [True, False])
def test_smplx_loads_the_written_files_unchanged(tmp_path, layers, side, pca):
    paths = free.write_official(tmp_path)
    assert paths == [tmp_path / "mano" / "MANO_RIGHT.pkl", tmp_path / "mano" / "MANO_LEFT.pkl"]
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "mano", *paths]), "and no leavings"
    theirs = smplx.create(
        str(tmp_path), model_type="mano", is_rhand=side == "right", use_pca=pca, num_pca_comps=6, dtype=torch.float64
    )
    pose, shape = draw(9 if pca else 48)
    expected = theirs(global_orient=pose[:, :3], hand_pose=pose[:, 3:].clone(), betas=shape)
    ours = layers[side](pose=pose, shape=shape, pose_kind="pca" if pca else "rotvec", mean_added=False)
    torch.testing.assert_close(ours["verts"], expected.vertices, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours["joints"], expected.joints, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(theirs.faces, layers[side].faces)


def test_written_files_are_known_again_and_licensed_ones_never_replaced(tmp_path):
    free.write_official(tmp_path)
    again = bodies.load(tmp_path, "mano_left")
    assert again.is_free and "not MANO" in again.source
    paths = free.write_official(tmp_path)
    licensed = {name: value for name, value in free.arrays("left").items() if name != free.MARK}
    paths[1].write_bytes(pickle.dumps(licensed))
    before = [path.read_bytes() for path in paths]
    with pytest.raises(InputError, match="MANO_LEFT.pkl: exists and is not the free hand"):
        free.write_official(tmp_path)
    assert [path.read_bytes() for path in paths] == before
