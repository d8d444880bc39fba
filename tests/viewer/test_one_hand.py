"""The viewer on a one-hand data set: windows of pictures, annotated meshes, no part masks, no cameras in a world."""

import numpy as np
import one_hand
import pytest

from handlib.geometry import centred_square, project
from handlib.viewer import browser, errors, gallery, mesh, overview, palette, static


@pytest.fixture(scope="module")
def held():
    return one_hand.Pack()


def test_a_window_has_its_own_camera_and_box(held, layers):
    raw, seen = held[0], browser.read(held, layers, 0)
    corner = raw["window"][:2]
    assert corner.min() > 0, "the fixture's window should not start at the picture's corner"
    shift = project(raw["joints_cam"][0], raw["K"]) - project(raw["joints_cam"][0], seen["K"])
    assert np.allclose(shift, corner)
    assert np.allclose(seen["bbox"], raw["bbox"] - [*corner, 0, 0])
    assert not seen["part_mask_valid"] and not browser.has_masks(held)
    assert np.array_equal(raw["K"], one_hand.K), "the pack's own sample is left as it is"


def test_what_was_not_packed_is_paper(held, layers):
    raw, seen = held[0], browser.read(held, layers, 0)
    centre = centred_square(raw["bbox"])[0] - raw["window"][:2]
    y, x = np.indices(raw["image"].shape[:2])
    outside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 > raw["reach"] ** 2
    assert outside.any() and not outside.all()
    assert (seen["image"][outside] == palette.rgb(palette.PAPER)).all()
    assert np.array_equal(seen["image"][~outside], raw["image"][~outside])


def test_the_annotated_mesh_is_drawn_and_the_sliders_start_on_it(held, layers):
    seen = browser.read(held, layers, 1)
    (hand,) = browser.meshes(seen, layers).values()
    assert hand.side == "right" and np.array_equal(hand.verts, held[1]["verts_cam"][0])
    start = mesh.pose(mesh.cases(layers, seen)["right"])
    assert np.abs(start.verts - hand.verts).max() < 1e-5  # metres
    assert np.abs(start.joints - held[1]["joints_cam"][0]).max() < 1e-5


def test_meshes_of_another_model_are_not_drawn(layers):
    foreign = one_hand.Pack(1, fits_of="MANO")
    seen = browser.read(foreign, layers, 0)
    assert browser.meshes(seen, layers) == {} and "whose files are not here" in seen["fits_drawn"]
    assert set(browser.skeletons(seen, {})) == {"right"}


def test_captions_say_what_is_done(held, layers):
    figure = static.contact_sheet(held, [0, 1], layers, browser.State(box=False, joints=False, mesh=True))
    assert [axes.get_title() for axes in figure.axes] == ["0: D00000, hold", "1: D00001, use"]
    assert "D00001, use" in browser.figure(held, layers, browser.State(1, parts=True)).layout.title.text


def test_overview_by_intent(held):
    summary = overview.summary(held)
    assert list(summary.index) == ["hold", "use"] and list(summary["frames"]) == [2, 2]
    assert list(summary[["sequences", "subjects", "objects", "cameras"]].loc["hold"]) == [2, 2, 1, 2]
    titles = [axes.get_title() for axes in overview.figure(held).axes]
    assert titles[:3] == ["frames by intent", "the commonest of 2 objects", "longer side of the hand's box"]


def test_the_gallery_draws_in_the_window(held, layers):
    predicted = held[0]["joints_cam"] + [0, 0.01, 0]
    page = gallery.page(held, layers, {"The worst": [0]}, {0: predicted}, {0: "words"}, "title")
    assert "words" in page.text
    flat = gallery.inspector(held, layers, 0, predicted).data[-2]
    pixels = project(predicted[0], one_hand.K) - held[0]["window"][:2]
    assert np.allclose([flat.x[0], flat.y[0]], pixels[0], atol=1e-3)


def test_surface_takes_the_mesh_where_there_is_one(layers):
    on_hands = {"right": np.full(21, 3.0), "left": np.full(21, np.nan)}
    spread, words = errors.surface(layers, on_hands)
    assert list(spread) == ["right"] and np.allclose(spread["right"][1], 3) and "spread" in words
    mm = np.linspace(0, 9, 778)
    own, words = errors.surface(layers, on_hands, mm)
    assert np.array_equal(own["right"][1], mm) and "mesh" in words
