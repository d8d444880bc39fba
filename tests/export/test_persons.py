import dataclasses

import numpy as np
import own_pictures
import pytest
import trimesh
from glb import Glb

from handlib import body_joints, export, smoothing
from handlib.files import InputError

W, H = own_pictures.SIZE


@pytest.fixture(scope="module")
def layers():
    return own_pictures.person_layers()


@pytest.fixture(scope="module")
def pair(layers):
    return own_pictures.persons(layers)


def test_obj_holds_every_person(pair, tmp_path):
    (path,) = export.obj(pair, tmp_path / "pair.obj")
    mesh = trimesh.load(path, force="mesh", process=False)
    assert np.allclose(mesh.vertices, pair.verts_cam.reshape(-1, 3), atol=1e-6) and len(mesh.faces) == 2 * 20908
    assert "\no person_0\n" in path.read_text() and "\no person_1\n" in path.read_text()
    first, _ = export.obj(pair, tmp_path / "each.obj", "y_up", separate=True)
    mesh = trimesh.load(first, process=False)
    assert first.name == "each_0_person.obj" and mesh.volume > 0.02, "wound so that the outside is outside"


def test_a_viewer_poses_the_glb_as_predicted(layers, pair, tmp_path):
    written = export.glb(pair, tmp_path / "pair.glb", layers)
    assert (written.meshes, written.frames) == (2, 1) and written.deviation_m < 2e-6 < written.weights_deviation_m
    glb = Glb(tmp_path / "pair.glb")
    for number in (0, 1):
        verts, faces = glb.posed(number)
        assert np.abs(verts - pair.verts_cam[number] * [1, -1, -1]).max() < 3e-6
        assert np.array_equal(faces, pair.faces_of(number))
    names = [node.get("name") for node in glb.nodes]
    assert [f"person 1 {joint}" for joint in body_joints.SMPLX55.joints] == names[57 : 57 + 55]
    assert [len(skin["joints"]) for skin in glb.content["skins"]] == [55, 55]
    parents = {child: node["name"] for node in glb.nodes for child in node.get("children", [])}
    for joint, parent in zip(body_joints.SMPLX55.joints, body_joints.SMPLX55.parents, strict=True):
        above = "skeleton" if parent < 0 else body_joints.SMPLX55.joints[parent]
        assert parents[names.index(f"person 0 {joint}")] == f"person 0 {above}"


def test_a_clip_moves_as_predicted(layers, tmp_path):
    made = own_pictures.person_clip(layers, 4)
    made[2] = made[2].only(slice(0, 0))
    written = export.glb_clip(made, tmp_path / "clip.glb", layers, fps=10)
    assert (written.meshes, written.frames) == (1, 4) and written.deviation_m < 2e-3
    glb = Glb(tmp_path / "clip.glb")
    for frame in (0, 1, 3):
        assert np.abs(glb.posed(0, frame / 10)[0] - made[frame].verts_cam[0] * [1, -1, -1]).max() < 2e-3
    assert np.abs(glb.posed(0, 0.2)[0]).max() == 0, "of size 0"


def test_another_body_is_refused(layers, pair, tmp_path):
    taller = dataclasses.replace(pair, shape=pair.shape + 1)
    with pytest.raises(InputError, match="mm away from the one predicted"):
        export.glb(taller, tmp_path / "x.glb", layers)
    with pytest.raises(InputError, match="no person to write"):
        export.obj(pair.only([]), tmp_path / "x.obj")
    assert not list(tmp_path.iterdir())


def test_persons_are_drawn_where_their_joints_are(pair):
    paper = np.full((H, W, 3), 90, np.uint8)
    changed = (export.overlay(paper, pair) != paper).any(-1)
    x, y = pair.joints_img[0, :25].round().astype(int).T
    assert changed[y.clip(0, H - 1), x.clip(0, W - 1)].mean() > 0.8 and 0.01 < changed.mean() < 0.4
    one = (export.overlay(paper, pair, which=[1]) != paper).any(-1)
    assert one.any() and one.sum() < changed.sum()


@pytest.mark.parametrize("end", ["json", "npz"])
def test_parameters_come_back(pair, tmp_path, end):
    for written in (pair, pair.only([])):
        written = dataclasses.replace(written, skipped=((2, "outside"),))
        back = export.read_parameters(export.parameters(written, tmp_path / f"one.{end}"))
        assert (back.model, back.skipped, len(back)) == ("smplx", ((2, "outside"),), len(written))
        for name in written.SHAPES if len(written) else ():
            assert np.array_equal(getattr(back, name), getattr(written, name), equal_nan=True), name
    text = (tmp_path / "one.json").read_text() if end == "json" else ""
    assert end == "npz" or all(f'"{name}": ' in text for name in ("lhand_pose", "jaw_pose", "expression"))


def test_a_json_of_something_else_is_refused(pair, tmp_path):
    path = export.parameters(pair, tmp_path / "one.json")
    path.write_text(path.read_text().replace('"subject": "person"', '"subject": "dog"'))
    with pytest.raises(InputError, match="hand, person"):
        export.read_parameters(path)


@pytest.mark.parametrize("method", smoothing.METHODS)
def test_a_clip_of_a_person_is_made_steady(layers, method):
    noisy = own_pictures.person_clip(layers, 10, noise=0.01)
    made = smoothing.smooth(noisy, 25, layers, method)
    assert np.ptp(np.stack([one.shape[0] for one in made]), axis=0).max() < 1e-12
    layer, one = layers["person"], made[4]
    out = layer(**one.parameters, transl=one.transl, mean_added=False, joint_set="smplx55")
    assert np.abs(out["verts"].numpy() - one.verts_cam).max() < 5e-6
    assert np.abs(out["joints"].numpy() - one.skeleton_cam).max() < 5e-6
    assert one.reprojection_px[0] < 1
    table = smoothing.compare({"before": noisy, "after": made}, 25).set_index(["clip", "track"])
    seen = table["jitter_mm_per_frame2_pelvis"].unstack()["0 person"]
    assert seen["after"] < (0.5 if method == "zero_lag" else 1.0 + 1e-9) * seen["before"]


def test_persons_are_followed_by_their_place(layers, pair):
    turned = pair.only([1, 0])
    assert smoothing.tracks([pair, turned]) == [
        smoothing.Track("person", (0, 1), (0, 1)),
        smoothing.Track("person", (0, 1), (1, 0)),
    ]
