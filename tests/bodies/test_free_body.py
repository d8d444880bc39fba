"""The free body: SMPL-X's format, a whole body, hands that are the free hand, a face that moves."""

import numpy as np
import pytest
import smplx as package
import torch
import trimesh

from handlib import bodies, body_joints
from handlib.bodies import free, free_body, free_poses, wholebody
from handlib.files import InputError

JOINT = {joint: place for place, joint in enumerate(body_joints.SMPLX55.joints)}


@pytest.fixture(scope="module")
def layer():
    return bodies.load(None, "smplx_neutral")


@pytest.fixture(scope="module")
def rest(layer):
    return {name: value.numpy() for name, value in layer(mean_added=True, joint_set="smplx144").items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("free")
    assert all(path.is_file() for path in free.write_official(folder, models=("smplx",)))
    return folder


@pytest.fixture(scope="module")
def twins(rest):
    twin = free_body.twins()
    np.testing.assert_allclose(rest["verts"][twin] * [-1, 1, 1], rest["verts"], atol=1e-6)
    assert (twin[twin] == np.arange(10475)).all()
    return twin


def test_the_package_reads_what_is_written(folder, layer):
    for gender in free_body.GENDERS:
        assert (folder / "smplx" / f"SMPLX_{gender.upper()}.npz").stat().st_size < 6e6
    theirs = package.create(str(folder), model_type="smplx", gender="neutral", use_face_contour=True, use_pca=False)
    body = torch.randn(1, 63, generator=torch.Generator().manual_seed(0)) * 0.3
    expected = theirs(body_pose=body, expression=torch.full((1, 10), 0.3))
    out = layer(body_pose=body, expression=torch.full((1, 10), 0.3), mean_added=False, joint_set="smplx144")
    torch.testing.assert_close(out["verts"], expected.vertices, rtol=0, atol=2e-6)
    torch.testing.assert_close(out["joints"], expected.joints, rtol=0, atol=2e-6)
    assert bodies.load(folder, "smplx_female").is_free and layer.is_free and "not SMPL-X" in layer.source


def test_index_files_are_found_beside_it(folder, rest):
    found = wholebody.index_files(folder)
    assert all(len(np.unique(ids)) == len(ids) for name, ids in found.items() if name != "j14")
    assert wholebody.joint_regressor(folder).shape == (55, 10475)
    h36m = wholebody.h36m_regressor(folder) @ rest["verts"]
    assert h36m[body_joints.HUMAN36M17.joints.index("Head_top"), 1] == rest["verts"][:, 1].max()
    j14 = found["j14"] @ rest["verts"]
    np.testing.assert_allclose(j14[[6, 0]], rest["joints"][[21, 8]], atol=1e-5)
    face = rest["verts"][found["face"]]
    assert face[:, 1].min() > rest["joints"][JOINT["Neck"], 1] - 0.05
    assert np.isin([9120, 9929, 9448, 616, 6], found["face"]).all()


def test_the_mesh_is_closed_but_for_the_eyes_and_has_smplx_s_counts(layer, rest):
    faces = layer.faces.numpy()
    assert rest["verts"].shape == (10475, 3) and faces.shape == (20908, 3)
    mesh = trimesh.Trimesh(rest["verts"], faces, process=False)
    parts = mesh.split(only_watertight=False)
    assert sorted(len(part.vertices) for part in parts) == [409, 409, 9657] and mesh.is_winding_consistent
    body = max(parts, key=lambda part: len(part.vertices))
    assert body.is_watertight and 0.05 < body.volume < 0.10  # m3, outside is outside
    areas = mesh.area_faces
    assert areas.min() > 1e-9 and np.linalg.norm(np.diff(rest["verts"][faces], axis=1), axis=2).max() < 0.08


def test_it_is_its_own_mirror_image(layer, twins):
    weights = layer.weights.numpy()
    swap = body_joints.mirrored(body_joints.SMPLX55)
    np.testing.assert_allclose(weights[twins][:, swap], weights, atol=1e-4)
    right = torch.zeros(21, 3)
    right[JOINT["R_Elbow"] - 1, 1], right[JOINT["R_Knee"] - 1, 0] = 1.2, 0.8
    left = torch.zeros(21, 3)
    left[JOINT["L_Elbow"] - 1, 1], left[JOINT["L_Knee"] - 1, 0] = -1.2, 0.8
    one, other = (layer(body_pose=pose, mean_added=True)["verts"].numpy() for pose in (right, left))
    np.testing.assert_allclose(one[twins] * [-1, 1, 1], other, atol=1e-4)


def test_joints_lie_inside_a_person_of_a_plausible_size(rest):
    verts, joints = rest["verts"], rest["joints"]
    assert 1.6 < np.ptp(verts[:, 1]) < 1.95 and 1.6 < np.ptp(verts[:, 0]) < 2.0
    body = trimesh.Trimesh(verts, bodies.load(None, "smplx_neutral").faces.numpy(), process=False)
    aside = [1e-3, 0, 0]  # a ray along the mesh's middle edges cannot tell inside from outside
    inside = [joint + aside for name, joint in zip(JOINT, joints[:55], strict=True) if "Eye" not in name]
    assert body.contains(inside).all()
    pupil, centre = verts[9448], joints[JOINT["L_Eye_SMPLH"]]
    np.testing.assert_allclose(pupil[:2], centre[:2], atol=1e-3)
    assert 0.010 < pupil[2] - centre[2] < 0.020
    assert (np.diff(joints[[10, 7, 4, 1, 12, 15], 1]) > 0).all() and (joints[[13, 16, 18, 20], 0] > 0).all()


def test_its_hands_are_the_free_hand(layer):
    pose = {side: torch.tensor(free.demo_poses(side)["fist"], dtype=torch.float32) for side in ("left", "right")}
    verts = layer(lhand_pose=pose["left"], rhand_pose=pose["right"], mean_added=True)["verts"]
    index = free_body.index_files()
    for side in ("left", "right"):
        hand = bodies.load(None, f"mano_{side}")(pose=torch.cat([torch.zeros(3), pose[side]]), mean_added=True)["verts"]
        ours = verts[index[f"{side}_hand"]]
        shift = (ours - hand).mean(0)
        torch.testing.assert_close(ours, hand + shift, rtol=0, atol=5e-5)
    rest = free.arrays("right")
    np.testing.assert_allclose(layer.pose_mean[40:].reshape(-1), rest["hands_mean"], atol=1e-6)
    np.testing.assert_allclose(layer.rhand_components, rest["hands_components"], atol=1e-6)
    assert body_joints.SMPLX144.joints[71] == "R_Thumb_4" and index["right_hand"][744] == 8079


def test_bent_limbs_keep_their_volume(layer, rest):
    faces = layer.faces.numpy()
    volume = trimesh.Trimesh(rest["verts"], faces, process=False).volume
    for joint, turn in (("R_Knee", [2.0, 0, 0]), ("L_Elbow", [0, -2.0, 0]), ("R_Shoulder", [0, 0, 1.2])):
        pose = torch.zeros(21, 3)
        pose[JOINT[joint] - 1] = torch.tensor(turn)
        verts = layer(body_pose=pose, mean_added=True)["verts"].numpy()
        assert abs(trimesh.Trimesh(verts, faces, process=False).volume / volume - 1) < 0.015


def test_the_face_moves_and_nothing_else_does(layer, rest, twins):
    lower_lip, collar = 76 + 49, rest["joints"][JOINT["Neck"], 1] - 0.08
    for component in range(10):
        out = layer(expression=torch.eye(10)[component] * 2, mean_added=True)["verts"].numpy()
        moved = np.linalg.norm(out - rest["verts"], axis=1)
        assert 0.003 < moved.max() < 0.05 and rest["verts"][moved > 1e-5, 1].min() > collar
        turned = np.abs(out[twins] * [-1, 1, 1] - out).max()
        assert (turned < 1e-5) == (component != 9)
    open_mouth = layer(jaw_pose=torch.tensor([0.3, 0, 0]), mean_added=True, joint_set="smplx144")["joints"].numpy()
    assert open_mouth[lower_lip, 1] < rest["joints"][lower_lip, 1] - 0.01
    eyes = layer(leye_pose=torch.tensor([0, 0.4, 0]), mean_added=True)["verts"].numpy()
    assert eyes[9448, 0] > rest["verts"][9448, 0] + 0.003 and eyes[9929, 0] == pytest.approx(rest["verts"][9929, 0])


def test_poses_and_faces_are_those_of_people(layer, rest):
    faces = layer.faces.numpy()
    volume = trimesh.Trimesh(rest["verts"], faces, process=False).volume
    poses, expressions = free_poses.body_poses(), free_poses.faces()
    assert len(poses) >= 12 and len(expressions) >= 8
    verts = layer(body_pose=np.stack(list(poses.values())), mean_added=False)["verts"].numpy()
    for name, mesh in zip(poses, verts, strict=True):
        lost = 1 - trimesh.Trimesh(mesh, faces, process=False).volume / volume
        assert abs(lost) < 0.08, name  # a bent belly is squeezed
    for name, (expression, jaw) in expressions.items():
        moved = np.abs(layer(expression=expression, jaw_pose=jaw, mean_added=True)["verts"].numpy() - rest["verts"])
        assert (moved.max() > 0.003) == (name != "neutral") and moved.max() < 0.05


def test_landmarks_lie_where_their_names_say(rest):
    marks = dict(zip(body_joints.SMPLX144.joints, rest["joints"], strict=True))
    points = np.stack([marks[f"Face_{number}"] for number in range(5, 73)])
    order = body_joints.mirrored(body_joints.SMPLX137)[69:] - 69
    np.testing.assert_allclose(points[order][:51] * [-1, 1, 1], points[:51], atol=1e-6)
    brow, bridge, base, eye, mouth, chin = points[2], points[10], points[16], points[19:25], points[31:51], points[59]
    assert brow[1] > eye[:, 1].max() > eye[:, 1].min() > base[1] > mouth[:, 1].max() > mouth[:, 1].min() > chin[1]
    assert brow[0] < 0 < points[7, 0] and abs(bridge[0]) < 1e-6 and points[51, 0] < 0 < points[67, 0]
    assert (np.diff(points[51:60, 1]) <= 1e-6).all()  # from the ear down to the chin


def test_shape_directions_change_people_as_people_differ(layer, rest):
    heights = [
        np.ptp(layer(shape=torch.eye(10)[k] * 2, mean_added=True)["verts"].numpy()[:, 1]) - np.ptp(rest["verts"][:, 1])
        for k in range(10)
    ]
    assert 0.1 < heights[0] < 0.3 and max(heights) == heights[0]


def test_what_the_skin_shows(layer, rest):
    shown, names = free_body.surfaces()
    assert shown.shape == (10475,) and names[shown[9448]] == "pupil"
    hair = rest["verts"][shown == names.index("hair")]
    lips = rest["verts"][shown == names.index("lips")]
    assert hair[:, 1].max() == rest["verts"][:, 1].max() and len(lips) > 20 and np.ptp(lips[:, 1]) < 0.04


def test_both_free_models_go_into_one_folder(tmp_path):
    with pytest.raises(InputError, match="no free 'smpl'"):
        free.write_official(tmp_path, models=("smpl",))
    names = [path.name for path in free.write_official(tmp_path, models=("mano", "smplx"))]
    assert {"MANO_LEFT.pkl", "SMPLX_MALE.npz", "SMPLX_to_J14.pkl"} < set(names)
    assert free.write_official(tmp_path, models=("mano", "smplx"))  # its own files may be replaced


def test_a_licensed_file_is_not_overwritten(tmp_path):
    (tmp_path / "smplx").mkdir()
    np.savez(tmp_path / "smplx" / "SMPLX_NEUTRAL.npz", v_template=np.zeros((3, 3)))
    with pytest.raises(InputError, match="not of the free body"):
        free_body.write_official(tmp_path)
    (tmp_path / "smplx" / "SMPLX_NEUTRAL.npz").unlink()
    np.save(tmp_path / "smplx" / "SMPL-X__FLAME_vertex_ids.npy", np.arange(5023))
    with pytest.raises(InputError, match="SMPL-X__FLAME_vertex_ids"):
        free_body.write_official(tmp_path)
    assert not (tmp_path / "smplx" / "SMPLX_NEUTRAL.npz").exists()
