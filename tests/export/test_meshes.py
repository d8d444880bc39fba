import numpy as np
import own_pictures
import pytest
import roma
import trimesh
from glb import Glb

from handlib import export, smoothing
from handlib.export import gltf, rigs
from handlib.files import InputError


@pytest.fixture(scope="module")
def layers():
    return own_pictures.layers()


@pytest.fixture(scope="module")
def pair(layers):
    return own_pictures.prediction(layers)


def test_obj_reads_back_as_the_hands_in_the_camera_frame(pair, tmp_path):
    (path,) = export.obj(pair, tmp_path / "pair.obj")
    mesh = trimesh.load(path, force="mesh", process=False)
    assert np.allclose(mesh.vertices, pair.verts_cam.reshape(-1, 3), atol=1e-6)
    assert np.array_equal(mesh.faces, np.concatenate([pair.faces(0), pair.faces(1) + 778]))
    assert path.read_text().count("\no hand_") == 2


def test_every_hand_can_have_its_own_obj_and_y_can_go_up(pair, tmp_path):
    paths = export.obj(pair, tmp_path / "pair.obj", "y_up", separate=True)
    assert [path.name for path in paths] == ["pair_0_right.obj", "pair_1_left.obj"]
    for path, hand in zip(paths, (0, 1), strict=True):
        mesh = trimesh.load(path, process=False)
        assert np.allclose(mesh.vertices, pair.verts_cam[hand] * [1, -1, -1], atol=1e-6)
        closed = trimesh.Trimesh(mesh.vertices, mesh.faces)
        trimesh.repair.fill_holes(closed)
        assert closed.volume > 1e-4, "wound so that the outside is outside"


def test_unknown_axes_and_pictures_without_hands_are_refused(layers, pair, tmp_path):
    nobody = own_pictures.prediction(layers, sides=())
    for write in (
        lambda p, **more: export.obj(p, tmp_path / "x", **more),
        lambda p, **more: export.glb(p, tmp_path / "x", layers, **more),
    ):
        with pytest.raises(InputError, match="(?s)no axes 'z_up'.*house, y_up"):
            write(pair, axes="z_up")
        with pytest.raises(InputError, match="no hand to write"):
            write(nobody)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("axes, turn", [("y_up", [1, -1, -1]), ("house", [1, 1, 1])])
def test_a_viewer_poses_the_glb_as_predicted(layers, pair, tmp_path, axes, turn):
    written = export.glb(pair, tmp_path / "pair.glb", layers, axes)
    assert (written.meshes, written.frames) == (2, 1)
    assert written.deviation_m < 1e-6 and 1e-5 < written.weights_deviation_m < 2e-3
    glb = Glb(tmp_path / "pair.glb")
    for hand, side in enumerate(("right", "left")):
        verts, faces = glb.posed(hand)
        assert np.abs(verts - pair.verts_cam[hand] * turn).max() < 1e-6
        assert np.array_equal(faces, layers[side].faces.numpy())
    assert [skin["name"] for skin in glb.content["skins"]] == ["right hand 0", "left hand 1"]
    assert "right hand 0 index2" in [node.get("name") for node in glb.nodes]


def test_the_glb_has_the_pictures_camera(layers, pair, tmp_path):
    export.glb(pair, tmp_path / "pair.glb", layers)
    camera = Glb(tmp_path / "pair.glb").content["cameras"][0]["perspective"]
    assert np.isclose(np.tan(camera["yfov"] / 2), 60 / 200) and np.isclose(camera["aspectRatio"], 4 / 3)


def test_trimesh_reads_the_glb(layers, pair, tmp_path):
    export.glb(pair, tmp_path / "pair.glb", layers)
    scene = trimesh.load(tmp_path / "pair.glb")
    assert sorted(scene.geometry) == ["left hand 1", "right hand 0"]
    assert all(len(mesh.vertices) == 778 for mesh in scene.geometry.values())


def test_a_clip_moves_as_predicted_and_hides_what_is_not_there(layers, tmp_path):
    steady = own_pictures.clip(layers, 8)
    steady[3] = own_pictures.prediction(layers, sides=())
    written = export.glb_clip(steady, tmp_path / "clip.glb", layers, fps=10)
    assert (written.meshes, written.frames) == (1, 8) and written.deviation_m < 1e-6
    glb = Glb(tmp_path / "clip.glb")
    for frame in (0, 2, 4, 7):
        verts, _ = glb.posed(0, frame / 10)
        assert np.abs(verts - steady[frame].verts_cam[0] * [1, -1, -1]).max() < 2e-6
    assert np.abs(glb.posed(0, 0.3)[0]).max() == 0, "of size 0"


def test_other_layers_than_the_predictions_are_refused(layers, pair, tmp_path):
    swapped = {"right": layers["left"], "left": layers["right"]}
    with pytest.raises(InputError, match="mm away from the one predicted"):
        export.glb(pair, tmp_path / "x.glb", swapped)
    assert not list(tmp_path.iterdir())


def test_one_rest_mesh_is_the_best_for_all_frames(layers):
    """Disturbing it in any direction makes the sum of squares larger."""
    rng = np.random.default_rng(0)
    turns = roma.random_rotmat((3, 5)).numpy() + 0.1 * rng.standard_normal((3, 5, 3, 3))
    shifts, verts = rng.standard_normal((2, 3, 5, 3))
    best = rigs.rest_mesh(turns, shifts, verts)
    cost = [
        ((np.einsum("fvij,vj->fvi", turns, best + step) + shifts - verts) ** 2).sum((0, 2))
        for step in (np.zeros(3), *(sign * 1e-3 * axis for axis in np.eye(3) for sign in (-1, 1)))
    ]
    assert (cost[0] < np.array(cost[1:])).all()


def test_strongest_weights_come_first_and_sum_to_one():
    places, weights = rigs.strongest(np.array([[0.1, 0.0, 0.3, 0.2, 0.15, 0.25]]))
    assert places.tolist() == [[2, 5, 3, 4]] and np.allclose(weights, np.array([[0.3, 0.25, 0.2, 0.15]]) / 0.9)


def test_gltf_takes_no_other_arrays():
    document = gltf.Document()
    for values in (np.zeros((3, 3)), np.zeros((0, 3), np.float32), np.zeros((2, 5), np.float32)):
        with pytest.raises(ValueError, match="no glTF accessor"):
            document.array(values)


def test_linear_colours():
    assert gltf.linear("#FF0000") == [1, 0, 0, 1] and np.isclose(gltf.linear("#808080")[0], 0.2159, atol=1e-4)


def test_clips_need_a_rate_and_tracks_can_be_given(layers, tmp_path):
    made = own_pictures.clip(layers, 3)
    with pytest.raises(InputError, match="give a number above 0"):
        export.glb_clip(made, tmp_path / "x.glb", layers, fps=0)
    only = [smoothing.Track("right", (0, 2), (0, 0))]
    export.glb_clip(made, tmp_path / "x.glb", layers, fps=10, tracks=only)
    assert np.abs(Glb(tmp_path / "x.glb").posed(0, 0.1)[0]).max() == 0
