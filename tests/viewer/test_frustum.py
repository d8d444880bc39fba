import base64
import dataclasses

import cv2
import numpy as np
import own_pictures
import plotly.graph_objects as go
import pytest

from handlib import export
from handlib.geometry import project
from handlib.viewer import frustum, palette, widgets

W, H = own_pictures.SIZE


@pytest.fixture(scope="module")
def pair(layers):
    return own_pictures.prediction(layers)


@pytest.fixture(scope="module")
def image():
    y, x = np.indices((H, W))
    return np.stack([x, 2 * y, np.full_like(x, 128)], -1).astype(np.uint8)


def _by_owner(figure, prediction):
    return {owner: trace for owner, trace in zip(frustum._owners(prediction), figure.data, strict=True)}


def _decoded(uri):
    data = np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)


def test_the_backdrop_is_the_picture_in_its_place(pair, image):
    trace = _by_owner(frustum.figure(image, pair), pair)["backdrop", 2]
    points = np.stack([trace.x, trace.y, trace.z], 1) / 1000
    assert np.ptp(points[:, 2]) < 1e-6 and points[0, 2] > pair.verts_cam[..., 2].max()
    pixels = project(points, pair.K)
    assert np.allclose([pixels.min(0), pixels.max(0)], [[-0.5, -0.5], [W - 0.5, H - 0.5]], atol=1e-3)
    colours = np.stack([palette.rgb(colour) for colour in trace.vertexcolor]).astype(int)
    inside = (pixels > 3).all(1) & (pixels < [W - 4, H - 4]).all(1)
    x, y = pixels[inside].round().astype(int).T
    assert np.abs(colours[inside] - image[y, x]).max() <= 6
    corners = np.stack([trace.i, trace.j, trace.k], 1)
    assert corners.max() == len(points) - 1 and len(np.unique(corners)) == len(points)


def test_layers_are_the_overlay_taken_apart(pair, image):
    figure = _by_owner(frustum.figure(image, pair, frustum.State(opacity=1.0)), pair)
    for hand in (0, 1):
        rgba = _decoded(figure[hand, 1].source)
        alone = export.overlay(image, pair, opacity=1.0, which=[hand])
        cover = rgba[..., 3:] / 255
        assert np.abs(image * (1 - cover) + rgba[..., 2::-1] * cover - alone).max() < 4


def test_hands_stand_in_space_where_they_were_predicted(pair, image):
    figure = _by_owner(frustum.figure(image, pair), pair)
    for hand in (0, 1):
        trace = figure[hand, 2]
        assert np.allclose(np.stack([trace.x, trace.y, trace.z], 1), 1000 * pair.verts_cam[hand], atol=0.01)
    assert [owner for owner, column in figure if column == 1][1:3] == [0, 1] or pair.verts_cam[
        0, :, 2
    ].mean() < pair.verts_cam[1, :, 2].mean()


def test_from_the_camera_the_scenes_eye_is_the_cameras_place(pair):
    limits = frustum._limits(pair)
    eye = frustum._camera("camera", limits)["eye"]
    low, high = np.array([limits[axis] for axis in "xyz"]).T
    assert np.allclose(np.array([eye[axis] for axis in "xyz"]) * (high - low) + (low + high) / 2, 0, atol=1e-6)


def test_hands_far_away_are_shown_without_the_room_before_them(pair):
    far = dataclasses.replace(pair, verts_cam=pair.verts_cam + [0, 0, 9.0])
    low, high = frustum._limits(far)["z"]
    assert low > 5000 and low < 1000 * far.verts_cam[..., 2].min() and high > 1000 * far.verts_cam[..., 2].max()
    assert frustum._limits(pair)["z"][0] <= 0


@pytest.mark.parametrize("state", [frustum.State(0.4, (1,), "camera", False, False), frustum.State(chosen=())])
def test_the_widget_shows_what_the_figure_of_its_state_shows(pair, image, state, same):
    shown = go.FigureWidget(frustum.figure(image, pair, controls=False))
    frustum.update(shown, pair, state)
    same(shown, go.FigureWidget(frustum.figure(image, pair, state, controls=False)))


def test_every_control_reaches_the_figure(pair, image):
    widget = widgets.in_frustum(image, pair)
    found = {one.description: one for one in _inside(widget) if getattr(one, "description", "")}
    shown = next(one for one in _inside(widget) if isinstance(one, go.FigureWidget))
    for label, value in {"opacity": 0.3, "0 right": False, "from": "camera", "backdrop": False, "boxes": False}.items():
        found[label].value = value
    traces = _by_owner(shown, pair)
    assert [traces[0, column].visible for column in (1, 2)] == [False, False]
    assert traces[1, 1].visible and traces[1, 1].opacity == 0.3 and traces[1, 2].visible
    assert not traces["backdrop", 2].visible and not traces["boxes", 1].visible
    assert shown.layout.scene.camera.eye.z == frustum._camera("camera", frustum._limits(pair))["eye"]["z"]


def _inside(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _inside(child)


def test_a_page_has_its_own_controls(pair, image):
    figure = frustum.figure(image, pair)
    owners = frustum._owners(pair)
    views, hands = figure.layout.updatemenus
    assert [button.label for button in hands.buttons] == ["0 right", "1 left"]
    for number, button in enumerate(hands.buttons):
        assert [owners[place][0] for place in button.args[1]] == [number, number]
        assert (button.args[0]["visible"], button.args2[0]["visible"]) == (False, True)
    step = figure.layout.sliders[0].steps[3]
    assert step.args[0] == {"opacity": 0.3} and {owners[place][1] for place in step.args[1]} == {1}
    assert [button.label for button in views.buttons] == ["from the camera", "from the side"]


def test_a_picture_without_hands_is_shown(layers, image):
    nobody = own_pictures.prediction(layers, ())
    assert "no hand" in frustum.caption(nobody)
    assert len(frustum.figure(image, nobody).data) == 4
    assert len(frustum.twin(image, nobody).axes) == 2


def test_the_static_twin_shows_picture_and_space(pair, image):
    left, right = (np.asarray(axes.images[0].get_array()) for axes in frustum.twin(image, pair).axes)
    assert np.array_equal(left, export.overlay(image, pair))
    backdrop = (np.abs(right.astype(int) - palette.rgb(palette.PAPER)) > 12).any(-1)
    assert 0.05 < backdrop.mean() < 0.6 and not backdrop[0].any() and not backdrop[:, 0].any()
    bare = frustum.twin(image, pair, frustum.State(chosen=(), boxes=False)).axes[0]
    assert np.array_equal(np.asarray(bare.images[0].get_array()), image) and not bare.lines


def test_states_that_cannot_be():
    with pytest.raises(ValueError, match="view is one of"):
        frustum.State(view="above")
    with pytest.raises(ValueError, match="opacity"):
        frustum.State(opacity=2)


def test_a_picture_made_smaller_keeps_hands_in_place(pair):
    tall = dataclasses.replace(pair, size=(2000, 1500), K=np.diag([12.5, 12.5, 1]) @ pair.K)
    tall.K[:2, 2] += (12.5 - 1) / 2
    small, K = frustum._shrunk(np.zeros((1500, 2000, 3), np.uint8), tall)
    assert small.shape[1] == frustum.PIXELS
    scale = frustum.PIXELS / 2000
    points = pair.joints_cam[0]
    assert np.allclose(project(points, K) + 0.5, scale * (project(points, tall.K) + 0.5), atol=1e-6)


def test_persons_stand_in_the_frustum(image):
    made = own_pictures.persons(own_pictures.person_layers())
    figure = frustum.figure(image, made)
    assert "2 persons" in frustum.caption(made) and frustum.names(made) == ["0 person", "1 person"]
    traces = _by_owner(figure, made)
    for number in (0, 1):
        trace = traces[number, 2]
        assert np.allclose(np.stack([trace.x, trace.y, trace.z], 1), 1000 * made.verts_cam[number], atol=0.01)
    assert traces[0, 2].color != traces[1, 2].color
    assert [button.label for button in figure.layout.updatemenus[1].buttons] == frustum.names(made)
    left = np.asarray(frustum.twin(image, made).axes[0].images[0].get_array())
    assert np.array_equal(left, export.overlay(image, made))
