import base64

import cv2
import numpy as np
import plotly.graph_objects as go
import pytest

from handlib.files import InputError
from handlib.geometry import project
from handlib.viewer import browser, mesh, palette

STATES = [
    browser.State(0),
    browser.State(0, mesh=True, parts=True, box=False),
    browser.State(1, parts=True),
    browser.State(1, joints=False),
]


def _trace(figure, name):
    return dict(zip(browser._TRACES, figure.data, strict=True))[name]


def _decoded(trace):
    data = base64.b64decode(trace.source.removeprefix("data:image/jpeg;base64,"))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_the_picture_is_the_samples(pack, layers, pair, bare):
    for number, sample in enumerate((pair, bare)):
        figure = browser.figure(pack, layers, browser.State(number))
        h, w = sample["image"].shape[:2]
        shown = _decoded(_trace(figure, "picture"))
        assert shown.shape == (h, w, 3)
        blurred, expected = (cv2.blur(image, (8, 8)).astype(int) for image in (shown, sample["image"]))
        assert np.abs(blurred - expected).mean() < 4  # JPEG of noise
        assert figure.layout.xaxis.range == (-0.5, w - 0.5) and figure.layout.yaxis.range == (h - 0.5, -0.5)


def test_joints_lie_where_the_camera_sees_them(pack, layers, pair):
    figure = browser.figure(pack, layers, browser.State(0))
    pixels = project(pair["joints_cam"], pair["K"])
    for hand, side in enumerate(mesh.SIDES):
        trace = _trace(figure, f"joints {side}")
        shown = np.stack([trace.x, trace.y], 1)
        for name, point in zip(trace.text, shown, strict=True):
            joint = (
                "wrist thumb1 thumb2 thumb3 thumb4".split().index(name.split()[1])
                if "thumb" in name or "wrist" in name
                else None
            )
            if joint is not None and np.isfinite(point).all():
                assert np.allclose(point, pixels[hand, joint], atol=1e-3)
    left = _trace(figure, "joints left")
    assert np.isnan(left.x[left.text.index("left thumb4")]), "a joint that is not annotated is not drawn"


def test_box_and_switches(pack, layers):
    trace = _trace(browser.figure(pack, layers, browser.State(0)), "box")
    assert (min(trace.x), max(trace.x), min(trace.y), max(trace.y)) == (20, 110, 10, 80) and trace.visible
    figure = browser.figure(pack, layers, browser.State(0, box=False, joints=False))
    assert not any(_trace(figure, name).visible for name in ("box", "joints right", "joints left"))


def test_hands_in_3d_are_meshes_where_there_are_fits(pack, layers, pair):
    figure = browser.figure(pack, layers, browser.State(0))
    for hand, side in enumerate(mesh.SIDES):
        trace = _trace(figure, f"mesh {side}")
        centre = np.array([np.mean(trace.x), np.mean(trace.y), np.mean(trace.z)])
        assert trace.visible and np.linalg.norm(centre / 1000 - pair["joints_cam"][hand, 9]) < 0.05
        assert not _trace(figure, f"skeleton {side}").visible


def test_hands_in_3d_are_skeletons_where_there_are_none_and_it_says_so(pack, layers, pair):
    figure = browser.figure(pack, layers, browser.State(1, parts=True))
    assert not _trace(figure, "mesh right").visible and not _trace(figure, "mesh left").visible
    assert _trace(figure, "skeleton left").visible and not _trace(figure, "skeleton right").visible
    trace = _trace(figure, "skeleton left")
    assert np.allclose([trace.x[0], trace.y[0], trace.z[0]], 1000 * pair["joints_cam"][1, 0], atol=1e-2)
    assert "no MANO fit" in figure.layout.title.text and "no part mask" in figure.layout.title.text
    assert "free hand" in browser.figure(pack, layers, browser.State(0)).layout.title.text


@pytest.mark.parametrize("after", STATES)
@pytest.mark.parametrize("before", STATES)
def test_an_updated_figure_is_the_figure_of_its_state(pack, layers, same, before, after):
    shown = go.FigureWidget(browser.figure(pack, layers, before))
    browser.update(shown, pack, layers, after)
    same(shown, go.FigureWidget(browser.figure(pack, layers, after)))


def test_the_part_mask_tints_its_pixels_only(pair):
    picture = browser.canvas(pair, {}, browser.State(parts=True))
    inside = pair["part_mask"] > 0
    assert np.array_equal(picture[~inside], pair["image"][~inside])
    share = browser.PART_OPACITY
    expected = (1 - share) * pair["image"][inside] + share * palette.PARTS[pair["part_mask"][inside]]
    assert np.abs(picture[inside] - expected).max() <= 0.5


def test_the_mesh_overlay_covers_the_hands(pair, layers):
    posed = browser.meshes(pair, layers)
    picture = browser.canvas(pair, posed, browser.State(mesh=True))
    changed = (picture != pair["image"]).any(-1)
    for hand in posed.values():
        x, y = project(hand.verts, pair["K"]).mean(0).astype(int)
        assert changed[y, x]
    pixels = np.concatenate([project(hand.verts, pair["K"]) for hand in posed.values()])
    rows, columns = np.nonzero(changed)
    assert columns.min() >= pixels[:, 0].min() - 1 and columns.max() <= pixels[:, 0].max() + 1
    assert rows.min() >= pixels[:, 1].min() - 1 and rows.max() <= pixels[:, 1].max() + 1


def test_fits_of_mano_are_not_drawn_with_the_free_hand(pack, pair, layers):
    pack = type(pack)([pair])
    pack.manifest["fits_of"] = "MANO"
    figure = browser.figure(pack, layers, browser.State(0, mesh=True))
    assert not _trace(figure, "mesh right").visible and _trace(figure, "skeleton right").visible
    assert "whose files are not here" in figure.layout.title.text
    cases = mesh.cases(layers, browser.read(pack, layers, 0))
    assert "mean pose (this frame: fits of MANO" in mesh.figure(cases, mesh.State()).layout.title.text


def test_layers_of_a_data_root_without_bodies_are_free_and_with_them_are_not_guessed(tmp_path):
    assert all(layer.is_free for layer in browser.layers(tmp_path).values())
    (tmp_path / "bodies").mkdir()
    with pytest.raises(InputError, match="MANO_RIGHT.pkl"):
        browser.layers(tmp_path)
