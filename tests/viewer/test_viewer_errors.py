import base64
import gzip
import json
import re

import numpy as np
import pytest
from matplotlib.patches import Circle

from handlib import analysis
from handlib.geometry import project
from handlib.viewer import browser, errors, gallery, mesh, palette


@pytest.fixture
def hand(layers):
    return errors.upright(layers["right"], "right")


def dots(axes):
    """The joints' dots: circles with a rim."""
    return [patch for patch in axes.patches if isinstance(patch, Circle) and patch.get_linewidth() > 0]


def test_the_drawn_hand_has_every_joints_number_in_its_place():
    values = np.arange(21) + 0.5
    values[7] = np.nan
    figure = errors.joints_on_hand({"right": values, "left": 2 * values})
    left, right = figure.axes[:2]
    assert [text.get_text() for text in right.texts] == [
        "–" if joint == 7 else f"{joint + 0.5:.1f}" for joint in range(21)
    ]
    assert left.texts[20].get_text() == "41.0"
    places = {axes: np.array([dot.center for dot in dots(axes)]) for axes in (left, right)}
    assert np.array_equal(places[left] * [-1, 1], places[right])  # a left hand is a right one's mirror image
    assert places[right][4, 0] < 0 < places[right][20, 0]  # a right hand's back: the thumb on its left
    assert np.array_equal([text.get_position() for text in right.texts], places[right])


def test_a_larger_error_is_darker_and_both_hands_share_the_scale():
    figure = errors.joints_on_hand({"right": np.linspace(0, 20, 21), "left": np.full(21, 20.0)})
    left, right = figure.axes[:2]
    light = [sum(dot.get_facecolor()[:3]) for dot in dots(right)]
    assert light == sorted(light, reverse=True)
    assert dots(left)[0].get_facecolor() == dots(right)[20].get_facecolor()
    assert errors.round_limit([3.2, np.nan]) == 4 and errors.round_limit([]) == 1 and errors.round_limit([2e4]) == 2e4


def test_no_dot_covers_another():
    (axes, _) = errors.joints_on_hand({"right": np.ones(21)}).axes
    centres = np.array([dot.center for dot in dots(axes)])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1) + 9 * np.eye(21)
    assert apart.min() > 2 * dots(axes)[0].radius


def test_a_hand_with_other_joints_is_refused():
    with pytest.raises(ValueError, match="21 values"):
        errors.joints_on_hand({"right": np.ones(16)})
    with pytest.raises(ValueError, match="neither"):
        errors.joints_on_hand({"hand": np.ones(21)})


def test_curves_stand_in_the_figure_as_they_are():
    rng = np.random.default_rng(0)
    curve = analysis.pck(rng.gamma(2, 8, (30, 21)), resamples=20)
    (axes,) = errors.pck_curves({"ours": curve, "theirs": analysis.pck(rng.gamma(2, 9, (30, 21)), resamples=20)}).axes
    assert np.array_equal(axes.lines[0].get_ydata(), curve["pck"])
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(curve["high"].max()) and band[:, 1].min() == pytest.approx(0)
    assert f"AUC {curve.attrs['auc']:.3f}" in axes.get_legend().get_texts()[0].get_text()


def test_error_against_a_number_shows_every_bin_and_its_frames():
    rng = np.random.default_rng(0)
    table = analysis.against(rng.gamma(2, 8, 60), rng.random(60), name="occlusion", resamples=20)
    axes = errors.against({"share of joints hidden": table, "again": table}).axes
    assert len(axes) == 2 and axes[0].get_xlabel() == "share of joints hidden"
    assert np.array_equal(axes[0].lines[0].get_ydata(), table["value"])
    assert [text.get_text() for text in axes[0].texts] == table["samples"].astype(str).tolist()


def test_groups_stand_in_order_with_their_intervals():
    rng = np.random.default_rng(0)
    found = {
        "error_mm": rng.gamma(2, 8, (60, 42)), "mrrpe_mm": rng.gamma(2, 8, 60), "handedness_correct": np.ones(60),
        "interacting": np.arange(60) < 30,
    }  # fmt: skip
    table = analysis.breakdown("interhand", found, np.arange(60) % 3, ["mpjpe_all"], intervals={"resamples": 20})
    (axes,) = errors.by_group(table, "group", "mpjpe_all_mm").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0 (20)", "1 (20)", "2 (20)"]
    points = axes.collections[1].get_offsets()
    assert points[:, 0].tolist() == table["mpjpe_all_mm"].tolist()[:3] and points[0, 1] > points[2, 1]
    lines = np.array(axes.collections[0].get_segments())
    assert lines[:, 0, 0].tolist() == table["mpjpe_all_mm_low"].tolist()[:3]


# Vertices


def test_joint_errors_spread_over_the_surface_stay_what_they_are_at_the_joint(hand):
    values = np.arange(21.0)
    spread = errors.over_surface(hand, values)
    assert spread.shape == (len(hand.verts),) and 0 <= spread.min() and spread.max() <= 20
    tip = np.linalg.norm(hand.verts - hand.joints[12], axis=1).argmin()
    assert spread[tip] == pytest.approx(12, abs=0.6)
    assert errors.over_surface(hand, np.full(21, 3.0)) == pytest.approx(3.0)
    values[12] = np.nan
    assert np.isfinite(errors.over_surface(hand, values)).all()


def test_the_turning_mesh_carries_every_vertexs_error(hand):
    mm = np.linspace(0, 7, len(hand.verts))
    figure = errors.vertices(hand, mm, "title")
    (trace,) = figure.data
    assert np.array_equal(trace.intensity, mm.astype(np.float32)) and trace.cmax == 8 and trace.cmin == 0
    assert np.allclose(np.stack([trace.x, trace.y, trace.z], 1), 1000 * hand.verts, atol=1e-3)
    assert trace.hovertemplate.startswith("%{customdata") and figure.layout.title.text == "title"


def test_the_static_twin_shows_both_sides_of_every_hand(hand):
    mm = np.where(hand.verts[:, 1] < 0, 10.0, 0.0)  # towards the finger tips
    figure = errors.vertices_static({"right": (hand, mm)})
    assert [axes.get_title() for axes in figure.axes[:2]] == ["right, palm", "right, back"]
    for axes in figure.axes[:2]:
        picture = axes.images[0].get_array().astype(int)
        shown = (np.abs(picture - palette.rgb(palette.PAPER)) > 12).any(-1)
        assert 0.05 < shown.mean() < 0.6
        border = np.concatenate([shown[0], shown[-1], shown[:, 0], shown[:, -1]])
        assert not border.any()  # whole, not cut
        rows = np.flatnonzero(shown.any(1))
        blue = [picture[row][shown[row]][:, 2].mean() for row in (rows[3], rows[-4])]
        assert blue[0] < blue[1]  # the dark red end of the scale above, its pale end below


# The gallery


def packed(page, name):
    text = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', page).group(1)
    return gzip.decompress(base64.b64decode(text)).decode()


@pytest.fixture
def predicted(pair, bare):
    moved = {place: sample["joints_cam"] + [0.01, 0, 0.02] for place, sample in enumerate((pair, bare))}
    moved[1] = np.where(bare["hand_type"][:, None, None], moved[1], np.nan)
    return moved


def test_the_gallery_holds_all_it_needs_and_every_frame(pack, layers, predicted, tmp_path):
    captions = {0: "pair <1>", 1: "bare, 20 mm"}
    page = gallery.page(pack, layers, {"The worst": [1, 0], "The best": np.array([0])}, predicted, captions, "A & B")
    page.write_html(tmp_path / "gallery.html", include_plotlyjs=True)
    text = (tmp_path / "gallery.html").read_text()
    assert text == page.text and len(text) < 3e6
    assert "<title>A &amp; B</title>" in text and text.count("<button data-n=") == 3 and "pair &lt;1&gt;" in text
    assert not re.search(r"(src|href)=\"http", text) and "{{" not in text
    data = json.loads(packed(text, "data"))
    assert data["order"] == [1, 0, 0] and set(data["figures"]) == {"0", "1"}
    assert packed(text, "plotly").lstrip().startswith("/**\n* plotly.js")


def test_a_frame_without_prediction_is_an_error(pack, layers, predicted):
    with pytest.raises(KeyError):
        gallery.page(pack, layers, {"The worst": [0, 1]}, {0: predicted[0]}, {0: "a", 1: "b"}, "t")


def test_the_inspector_of_a_frame_has_the_prediction_in_picture_and_scene(pack, layers, pair, predicted):
    figure = gallery.inspector(pack, layers, 0, predicted[0])
    plain = browser.figure(pack, layers, browser.State(frame=0))
    added = figure.data[len(plain.data) :]
    assert [trace.type for trace in added] == ["scatter", "scatter3d"] * 2
    pixels = project(predicted[0][0], pair["K"])
    assert np.allclose(np.stack([added[0].x, added[0].y], 1)[:5], pixels[[0, 1, 2, 3, 4]], atol=1e-3)
    assert np.allclose(np.stack([added[1].x, added[1].y, added[1].z], 1)[0], 1000 * predicted[0][0, 0], atol=1e-3)
    limits = figure.layout.scene
    for axis, values in zip("xyz", 1000 * predicted[0].reshape(-1, 3).T, strict=True):
        low, high = limits[f"{axis}axis"].range
        assert low < values.min() and values.max() < high
    assert len(gallery.inspector(pack, layers, 1, predicted[1]).data) == len(plain.data) + 2


def test_the_thumbnail_shows_truth_and_prediction_about_the_box(pair, predicted):
    picture = gallery.thumbnail(pair | {"image": np.full((120, 160, 3), 90, np.uint8)}, predicted[0], 200)
    assert picture.shape == (200, 200, 3) and picture.dtype == np.uint8
    for colour in (palette.TRUTH, palette.PREDICTION):
        assert (np.abs(picture.astype(int) - palette.rgb(colour)).max(-1) < 30).sum() > 50
    nothing = gallery.thumbnail(pair | {"joints_valid": np.zeros((2, 21), bool)}, np.full((2, 21, 3), np.nan), 200)
    assert not (np.abs(nothing.astype(int) - palette.rgb(palette.TRUTH)).max(-1) < 5).all()


def test_posed_gives_the_meshes_that_occlusion_looks_at(pack, layers):
    hands = errors.posed(pack, layers)
    assert [part.shape for part in hands(0)[0]][::2] == [(778, 3), (21, 3)] and len(hands(0)) == 2 and hands(1) == []
    shares = analysis.occlusion(pack, hands)
    assert 0 <= shares[0] <= 1 and np.isnan(shares[1])
    assert mesh.SIDES == ("right", "left")
