import numpy as np
import pytest

from handlib.viewer import browser, mesh, palette, static


def _image(axes):
    return np.asarray(axes.images[0].get_array())


def _hand_pixels(picture):
    return (np.abs(picture.astype(int) - palette.rgb(palette.PAPER)) > 8).any(-1)


def test_inspector_draws_the_whole_hand_large(layers):
    for side in mesh.SIDES:
        figure = static.inspector(mesh.cases(layers), mesh.State(side))
        inside = _hand_pixels(_image(figure.axes[0]))
        assert 0.1 < inside.mean() < 0.7
        border = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
        assert not border.any(), "the hand is cut at the picture's border"
        assert "free hand" in figure.axes[0].get_title()


def test_inspector_colours(layers):
    cases = mesh.cases(layers)
    error = static.inspector(cases, mesh.State(colour="error", pose=(1.0, 0, 0, 0, 0, 0)))
    assert error.axes[1].get_ylabel() == "mm"
    parts = _image(static.inspector(cases, mesh.State(colour="parts")).axes[0])
    hues = {tuple(colour) for colour in parts[_hand_pixels(parts)] // 32}
    assert len(hues) > 10
    plain = static.inspector(cases, mesh.State())
    assert len(plain.axes) == 1


def test_inspector_joints_lie_in_the_hand(layers):
    figure = static.inspector(mesh.cases(layers), mesh.State(joints=True))
    inside = _hand_pixels(_image(figure.axes[0]))
    points = figure.axes[0].collections[-1].get_offsets().round().astype(int)
    assert len(points) == 21
    assert inside[points[:, 1], points[:, 0]].all()


@pytest.mark.parametrize("number", [0, 1])
def test_frame_shows_picture_and_depth(pack, layers, number):
    figure = static.frame(pack, layers, browser.State(number))
    left, right = figure.axes
    assert (left.get_title(), right.get_title()[:5]) == ("annotation", "in 3D")
    assert np.array_equal(_image(left), pack[number]["image"])
    drawn_in_3d = _hand_pixels(_image(right)).any() or len(right.collections) > 0
    assert drawn_in_3d
    assert pack[number]["key"] in figure.get_suptitle()


def test_frame_has_a_panel_for_each_thing_there_is(pack, layers):
    names = [
        [axes.get_title() for axes in static.frame(pack, layers, browser.State(number, mesh=True, parts=True)).axes]
        for number in (0, 1)
    ]
    assert [panels[:-1] for panels in names] == [["annotation", "mesh", "part mask"], ["annotation"]]


def test_a_box_beyond_the_border_does_not_shrink_the_picture(pack, layers):
    outside = type(pack)([pack[0] | {"bbox": np.float32([-50, -50, 400, 400])}])
    axes = static.contact_sheet(outside, [0], layers).axes[0]
    assert axes.get_xlim() == (-0.5, 159.5) and axes.get_ylim() == (119.5, -0.5)


def test_contact_sheet_has_every_frame(pack, layers):
    figure = static.contact_sheet(pack, [0, 1], layers)
    assert [axes.get_title() for axes in figure.axes] == ["0: interacting", "1: left"]
    assert np.array_equal(_image(figure.axes[1]), pack[1]["image"])
