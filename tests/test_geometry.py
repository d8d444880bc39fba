import numpy as np
import pytest
import torch

from handlib import geometry
from handlib.verify import interhand_data
from handlib.verify.reference import shipped


@pytest.fixture
def camera():
    rng = np.random.default_rng(3)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    return geometry.intrinsics((1200.0, 1180.0), (170.0, 250.0)), rotation, rng.uniform(-1, 1, 3)


def test_functions_as_published():
    rows = list(interhand_data.check_functions(shipped("interhand")))
    assert len(rows) > 25
    assert not [row for row in rows if not row.ok]


def test_world_and_camera_are_inverse(camera):
    _, rotation, position = camera
    points = np.random.default_rng(0).standard_normal((5, 21, 3))
    there = geometry.world_to_camera(points, rotation, position)
    assert np.allclose(geometry.camera_to_world(there, rotation, position), points, atol=1e-12)
    assert np.allclose(geometry.world_to_camera(position[None], rotation, position), 0, atol=1e-12)


def test_a_point_on_the_axis_falls_on_the_principal_point(camera):
    K = camera[0]
    assert np.allclose(geometry.project(np.array([[0.0, 0.0, 0.7]]), K), K[:2, 2])


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_projection_and_back_projection(camera, kind):
    convert = torch.from_numpy if kind == "torch" else np.asarray
    K = convert(np.stack([camera[0], camera[0] * 1.1]))
    points = np.random.default_rng(1).uniform(-0.2, 0.2, (2, 42, 3)) + [0, 0, 1]
    points = convert(points)
    back = geometry.back_project(geometry.project(points, K), points[..., 2], K)
    assert type(back) is type(points)
    assert float(abs(back - points).max()) < 1e-10


def test_square_box_keeps_the_centre_and_takes_the_longer_side():
    box = geometry.square_box((10, 20, 30, 80))
    assert box.dtype == np.float32
    assert np.allclose(box[:2] + box[2:] / 2, (25, 60))
    assert np.allclose(box[2:], 100)


@pytest.mark.parametrize("rotation", [0.0, 0.7, -2.0])
def test_crop_affines(rotation):
    there = geometry.crop_affine((120, 90), (100, 100), (256, 256), 1.3, rotation)
    back = geometry.crop_affine((120, 90), (100, 100), (256, 256), 1.3, rotation, inverse=True)
    assert np.allclose(geometry.apply_affine(np.array([[120.0, 90.0]]), there), 128, atol=1e-4)
    assert np.isclose(np.linalg.det(there[:, :2]), (256 / 130) ** 2, rtol=1e-5)
    assert np.allclose(geometry.invert_affine(there), back, atol=1e-3)
    points = torch.rand(4, 42, 2) * 300
    maps = torch.from_numpy(there).expand(4, 2, 3)
    round_trip = geometry.apply_affine(geometry.apply_affine(points, maps), geometry.invert_affine(maps))
    assert torch.allclose(round_trip, points, atol=1e-3)


def test_depth_scale():
    assert geometry.encode_depth(0.0) == 32
    assert geometry.encode_depth(0.2) == 64
    assert np.isclose(geometry.encode_depth(0.00625) - geometry.encode_depth(0.0), 1)
    assert np.isclose(geometry.decode_depth(geometry.encode_depth(-0.123)), -0.123)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_25d_goes_there_and_back(camera, kind, mirrored):
    """lift_25d undoes projection, crop and the subtraction of each hand's own wrist."""
    convert = torch.from_numpy if kind == "torch" else np.asarray
    K = camera[0]
    joints = np.random.default_rng(2).uniform(-0.1, 0.1, (3, 42, 3)) + [0, 0, 0.9]
    affine = geometry.crop_affine((170, 250), (200, 200), rotation=0.4)
    pixels = geometry.apply_affine(geometry.project(joints, K), affine)
    wrists = joints.reshape(3, 2, 21, 3)[:, :, 20, 2]
    depth = (joints[..., 2].reshape(3, 2, 21) - wrists[..., None]).reshape(3, 42)
    coord = geometry.encode_25d(pixels, depth)
    as_in_picture = wrists[:, ::-1].copy() if mirrored else wrists
    inverse = np.broadcast_to(geometry.invert_affine(affine.astype(np.float64)), (3, 2, 3)).copy()
    flipped = np.full(3, mirrored)
    arguments = [convert(value) for value in (coord, inverse, as_in_picture, np.stack([K] * 3), flipped)]
    assert float(abs(geometry.lift_25d(*arguments) - convert(joints)).max()) < 1e-9
    assert np.allclose(geometry.decode_25d(coord)[0], pixels)


def test_the_orthographic_camera_goes_there_and_back():
    rng = np.random.default_rng(0)
    xyz, root, camera = rng.standard_normal((4, 21, 3)), rng.standard_normal((4, 3)), rng.uniform(50, 200, (4, 3))
    uvd = geometry.xyz_to_orthographic_uvd(xyz, root, camera)
    assert np.abs(geometry.orthographic_uvd_to_xyz(uvd, root, camera) - xyz).max() < 1e-12
    tensor = geometry.xyz_to_orthographic_uvd(*map(torch.from_numpy, (xyz, root, camera)))
    assert np.array_equal(tensor.numpy(), uvd)
    pixels = uvd[0, :, :2] * 224
    assert np.abs(geometry.fit_orthographic(xyz[0] - root[0], pixels) - camera[0]).max() < 1e-9


@pytest.mark.parametrize("rotation", [0.0, 0.7, -2.0])
def test_a_turned_crop_shows_turned_points_where_its_camera_sees_them(camera, rotation):
    K, _, _ = camera
    points = np.random.default_rng(1).uniform(-0.1, 0.1, (21, 3)) + [0, 0, 0.7]
    affine, crop = geometry.turned_affines((150, 240), 200.0, (224, 192), rotation, K)
    shown = geometry.apply_affine(geometry.project(points, K, eps=0.0), affine[:2])
    seen = geometry.project(points @ geometry.turn(rotation).T, crop @ K, eps=0.0)
    assert np.abs(shown - seen).max() < 1e-3
    assert np.abs(geometry.apply_affine(np.array([[150.0, 240.0]]), affine[:2]) - [112, 96]).max() < 1e-3


def test_the_published_projection_shrinks_the_principal_point():
    K = geometry.intrinsics((600.0, 600.0), (400.0, 200.0))
    found = geometry.project_homogeneous(np.array([[0.0, 0.0, 0.5]]), K, eps=0.5)
    assert found.tolist() == [[200.0, 100.0]]
