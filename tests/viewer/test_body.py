"""The inspector of whole bodies: what is laid on what, and that every way of showing it shows the same."""

import base64
import dataclasses
import gzip
import io
import json
import re

import numpy as np
import plotly.graph_objects as go
import pytest

from handlib import bodies
from handlib.protocols import ehf
from handlib.viewer import body, body_page, body_static, widgets

STATES = [
    body.State(),
    body.State(1, truth=True, apart=True),
    body.State(0, "parts", ("hands", "face"), fit=True),
    body.State(1, "skin", ("body",), truth=True),
]


@pytest.fixture(scope="module")
def layer():
    return bodies.load(None, "smplx_neutral")


@pytest.fixture(scope="module")
def whole(layer):
    return body.surface(layer)


@pytest.fixture(scope="module")
def cases(layer):
    rng = np.random.default_rng(0)
    poses = {
        name: 0.15 * rng.standard_normal((2, 3 * count)) for name, count in (("body_pose", 21), ("lhand_pose", 15))
    }
    truth = layer(mean_added=False, transl=np.array([0.0, 0, 3.0]))["verts"].numpy()
    verts = layer(mean_added=False, transl=np.array([0.2, 0.1, 3.5]), **poses)["verts"].numpy()
    return [body.Case(one, truth, f"person {number}") for number, one in enumerate(verts)]


@pytest.mark.parametrize("fit", [False, True])
def test_means_are_those_of_the_protocol(cases, whole, fit):
    predictions, truth = ({"verts": np.stack([getattr(case, name) for case in cases])} for name in ("verts", "truth"))
    found = ehf.per_sample(predictions, truth, bodies="free", truth_frame="camera")
    for number, case in enumerate(cases):
        means = body.compared(case, whole, fit).means
        for part, name in (("all", "all"), ("hands", "hand"), ("face", "face")):
            expected = 1000 * found[f"{'pa_' if fit else ''}mpvpe_{name}_m"][number].mean()
            assert means[part] == pytest.approx(expected, abs=1e-6), part


def test_the_parts_are_all_of_the_mesh(whole, layer):
    faces = [rows[faces] for rows, faces in whole.pieces.values()]
    assert sum(map(len, faces)) == len(whole.faces) == 20908
    assert len(np.unique(np.sort(np.concatenate(faces), 1), axis=0)) == len(np.unique(np.sort(whole.faces, 1), axis=0))
    hands, _ = whole.pieces["hands"]
    assert set(hands) <= {*whole.ids["lhand"], *whole.ids["rhand"]}
    rows, joined = whole.joined(("hands", "face"))
    assert len(joined) == len(faces[1]) + len(faces[2]) and joined.max() == len(rows) - 1


def test_a_part_for_itself_lies_on_its_own_root(cases, whole):
    seen = body.compared(cases[0], whole)
    for part, ids in whole.ids.items():
        offsets = (seen.apart - seen.whole)[ids]
        assert np.ptp(offsets, axis=0).max() < 1e-9, "moved as one"
        row = whole.roots[part]
        assert np.allclose(row @ cases[0].verts + offsets[0] + (seen.whole - cases[0].verts)[0], row @ cases[0].truth)
    others = np.setdiff1d(np.arange(10475), np.concatenate(list(whole.ids.values())))
    assert np.array_equal(seen.apart[others], seen.whole[others])
    assert np.array_equal(seen.of("body", True)[0], seen.whole) and np.array_equal(seen.of("face", True)[0], seen.apart)


def test_a_state_decides_what_is_drawn(cases, whole):
    figure = body.figure(cases, whole, body.State(0, shown=("hands",), truth=True))
    drawn = dict(zip([*body.PARTS, "truth"], figure.data, strict=True))
    assert [drawn[part].visible for part in body.PARTS] == [False, True, False] and drawn["truth"].visible
    rows, faces = whole.pieces["hands"]
    seen = body.compared(cases[0], whole)
    assert np.allclose(drawn["hands"].x, 1000 * seen.whole[rows, 0], atol=0.06)
    assert np.allclose(drawn["hands"].intensity, seen.whole_mm[rows], atol=0.06) and drawn["hands"].showscale
    assert drawn["hands"].i.dtype == np.int16 and np.array_equal(drawn["hands"].k, faces[:, 2])
    assert len(drawn["truth"].x) == len(rows), "the truth of what is shown alone"
    parts = body.figure(cases, whole, body.State(0, "parts")).data[1]
    assert set(np.unique(parts.intensity)) == {0, 1} and not parts.showscale


def test_an_updated_figure_is_the_figure_of_its_state(cases, whole, same):
    shown = go.FigureWidget(body.figure(cases, whole, STATES[0]))
    for state in (*STATES[1:], STATES[0]):
        body.update(shown, cases, whole, state)
        same(shown, go.FigureWidget(body.figure(cases, whole, state)))


def test_the_widget_shows_what_its_controls_say(cases, whole, same):
    box = widgets.whole_bodies(cases, whole)
    (persons, colour), switches = (row.children for row in box.children[0].children)
    persons.value, colour.value, switches[0].value, switches[5].value = 1, "parts", False, True
    shown = box.children[1].children[0].children[0]
    same(shown, go.FigureWidget(body.figure(cases, whole, body.State(1, "parts", ("hands", "face"), fit=True))))


def test_states_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="colour is one of error, parts, skin"):
        body.State(colour="red")
    with pytest.raises(ValueError, match="a part is one of body, hands, face"):
        body.State(shown=("feet",))


def _data(text):
    packed = re.search('id="data">([^<]+)<', text)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_the_page_holds_every_person_once(cases, whole, tmp_path):
    pictured = [dataclasses.replace(case, picture=np.full((64, 48, 3), 90, np.uint8)) for case in cases]
    page = body_page.page(pictured, whole, "a <title>", body.State(1, truth=True))
    page.write_html(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    data = _data(text)
    assert "a &lt;title&gt;" in text and "{{" not in text and len(text) < 4_000_000
    assert (
        [case["name"] for case in data["cases"]] == ["person 0", "person 1"] and data["number"] == 1 and data["truth"]
    )
    assert all(case["picture"].startswith("data:image/jpeg") for case in data["cases"])
    one, seen = data["cases"][0], body.compared(cases[0], whole, fit=True)
    assert data["compared"][3] == "PA-MPVPE: each part for itself" and "PA-MPVPE" in one["kinds"][3]["words"]
    points = np.frombuffer(base64.b64decode(one["kinds"][3]["points"]), "<i2").reshape(3, -1).T / 10 + one["middle"]
    assert np.allclose(points, 1000 * seen.apart, atol=0.06)
    errors = np.frombuffer(base64.b64decode(one["kinds"][3]["errors"]), "<u2") / 10
    assert np.allclose(errors, seen.apart_mm, atol=0.06)
    faces = np.frombuffer(base64.b64decode(data["pieces"]["face"]["faces"]), "<u2").reshape(3, -1).T
    assert np.array_equal(faces, whole.pieces["face"][1])


def test_static_twins_are_drawn(cases, whole, layer):
    figure = body_static.inspector(cases[1:], whole)
    figure.savefig(io.BytesIO(), format="png", dpi=30)
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    seen = body.compared(cases[1], whole)
    assert titles[0].startswith(f"person 1\nall {seen.means['all']:.0f}")
    assert titles[2] == f"left hand: {seen.apart_mm[whole.ids['lhand']].mean():.0f} mm"
    mm = np.linspace(0, 90, 10475)
    figure = body_static.vertices(layer, whole, mm, mm / 3, "words")
    figure.savefig(io.BytesIO(), format="png", dpi=30)
    assert figure.axes[4].get_title() == f"face: {mm[whole.ids['face']].mean() / 3:.0f} mm"
    assert figure.axes[0].get_title() == "front"
