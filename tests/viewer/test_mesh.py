import dataclasses

import numpy as np
import plotly.graph_objects as go
import pytest

from handlib.bodies import joints21
from handlib.fields import HAND21
from handlib.geometry import world_to_camera
from handlib.viewer import mesh, palette

BENT = (0.8, -0.5, 0.3, 0.0, 0.0, 0.0)
STATES = [
    mesh.State(),
    mesh.State(pose=BENT, colour="error", truth=True),
    mesh.State(side="left", colour="parts", joints=True),
    mesh.State(side="left", shape=(2.0, *(0.0,) * 9), truth=True, align=False),
]


@pytest.fixture
def cases(layers):
    return mesh.cases(layers)


def _vertices(trace):
    return np.stack([trace.x, trace.y, trace.z], 1)


def test_the_mean_hand_stands_upright_and_shows_its_palm(layers):
    for side, towards_thumb in (("right", 1), ("left", -1)):
        joints = mesh.pose(mesh.rest(layers[side], side)).joints
        tips, bases = joints[8::4], joints[5::4]
        assert (bases[:, 1] < joints[0, 1] - 0.05).all(), "fingers point up, which is -y"
        assert towards_thumb * (joints[4, 0] - joints[20, 0]) > 0.03
        assert (tips[:, 2] < bases[:, 2]).all(), "fingers close towards the viewer, who is at -z"


def test_a_sample_is_shown_in_its_camera_frame(pair, layers):
    cases = mesh.cases(layers, pair)
    for hand, side in enumerate(("right", "left")):
        shown = mesh.pose(cases[side])
        assert np.allclose(shown.joints, pair["joints_cam"][hand], atol=1e-6)
        trace = mesh.figure(cases, mesh.State(side)).data[0]
        out = layers[side](
            pose=pair["pose_from_mean"][hand],
            shape=pair["shape"][hand],
            transl=pair["transl_world"][hand],
            mean_added=False,
        )
        verts = world_to_camera(out["verts"].numpy(), pair["cam_rot"], pair["cam_pos"])
        assert np.allclose(_vertices(trace), 1000 * verts, atol=1e-3)
        assert np.array_equal(np.stack([trace.i, trace.j, trace.k], 1), layers[side].faces.numpy())


def test_without_a_fit_it_says_so(bare, layers):
    cases = mesh.cases(layers, bare)
    for side in mesh.SIDES:
        assert "no MANO fit" in mesh.figure(cases, mesh.State(side)).layout.title.text
        assert "free hand" in mesh.figure(cases, mesh.State(side)).layout.title.text
    with pytest.raises(ValueError, match="train/bare.jpg: hand 1 has no MANO fit"):
        mesh.from_sample(bare, 1, layers["left"])


def test_the_hand_in_view_comes_first(pair, bare, layers):
    assert list(mesh.cases(layers, bare)) == ["left", "right"]
    assert list(mesh.cases(layers, pair)) == list(mesh.cases(layers)) == ["right", "left"]


def test_sliders_are_the_models_own_components(cases, layers):
    layer, case = layers["right"], cases["right"]
    pca = np.concatenate([np.zeros(3), BENT])
    shape = np.linspace(-1, 1, 10)
    out = layer(pose=pca, shape=shape, pose_kind="pca", mean_added=False)
    joints = joints21(out["verts"], out["joints"]).numpy() @ case.rotation.T
    state = mesh.State(pose=BENT, shape=tuple(shape))
    assert np.allclose(mesh.pose(case, state).joints, joints, atol=1e-6)


@pytest.mark.parametrize("after", STATES)
@pytest.mark.parametrize("before", STATES)
def test_an_updated_figure_is_the_figure_of_its_state(cases, same, before, after):
    shown = go.FigureWidget(mesh.figure(cases, before))
    mesh.update(shown, cases, after)
    same(shown, go.FigureWidget(mesh.figure(cases, after)))


def test_distances_to_the_truth(cases):
    right = cases["right"]
    start = mesh.pose(right)
    truth = dataclasses.replace(start, verts=start.verts + [0.003, 0, 0.004], joints=start.joints + [0.003, 0, 0.004])
    against = {"right": dataclasses.replace(right, truth=truth)}
    apart = mesh.view(against, mesh.State(align=False))
    assert np.allclose(apart.errors, 5) and "ground truth: mean 5.0 mm" in apart.title[1]
    assert np.allclose(mesh.view(against, mesh.State(align=True)).errors, 0, atol=1e-9)
    trace = mesh.figure(against, mesh.State(colour="error", align=False)).data[0]
    assert np.allclose(trace.intensity, 5, atol=1e-5)
    assert (trace.cmin, trace.cmax, trace.showscale) == (0, 10, True)


@pytest.mark.parametrize("errors, limit", [([0.0], 2), ([5.0], 5), ([5.1], 10), ([999.0], 200)])
def test_the_colour_bar_ends_at_a_round_number(errors, limit):
    assert mesh.error_limit(np.array(errors)) == limit


def test_parts_are_coloured_by_face(cases, layers):
    trace = mesh.figure(cases, mesh.State("left", colour="parts")).data[0]
    assert np.array_equal(trace.intensity, layers["left"].part_labels("faces")) and trace.intensitymode == "cell"
    for label, colour in enumerate(palette.segments("left")):
        place = (label - trace.cmin) / (trace.cmax - trace.cmin)
        below = [step for step in trace.colorscale if step[0] <= place][-1]
        above = next(step for step in trace.colorscale if step[0] >= place)
        assert below[1] == above[1] == palette.css(colour)


def test_the_skeleton_visits_every_bone(cases):
    trace = mesh.figure(cases, mesh.State(joints=True)).data[2]
    joints = 1000 * mesh.pose(cases["right"]).joints
    drawn = np.stack([_vertices(trace)[:-1], _vertices(trace)[1:]], 1)
    drawn = drawn[np.isfinite(drawn).all((1, 2))]
    expected = {(parent, child) for child, parent in HAND21.bones}
    found = {tuple(np.linalg.norm(joints - end, axis=1).argmin() for end in bone) for bone in drawn}
    assert found == expected and trace.visible
    assert trace.text[1] == "right thumb1"


def test_the_scene_keeps_its_limits_under_small_moves_and_holds_large_ones(cases):
    still, moved = (mesh.view(cases, mesh.State(pose=(value, 0, 0, 0, 0, 0))) for value in (0.0, 0.1))
    assert still.limits == moved.limits
    large = mesh.view(cases, mesh.State(shape=(3.0,) * 10))
    low, high = np.array([large.limits[axis] for axis in "xyz"]).T
    assert (1000 * large.hand.verts > low).all() and (1000 * large.hand.verts < high).all()
    assert np.ptp(high - low) < 1e-6, "a cube"


def test_states_that_cannot_be_are_refused(cases):
    with pytest.raises(ValueError, match="side is 'right' or 'left'"):
        mesh.State(side="both")
    with pytest.raises(ValueError, match="colour is one of skin, parts, error"):
        mesh.State(colour="red")
    with pytest.raises(KeyError, match="there is no left hand here"):
        mesh.figure({"right": cases["right"]}, mesh.State("left"))
