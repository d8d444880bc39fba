"""The browser, the overview and the model's inspector for whole people, on packs of a small tree."""

import numpy as np
import people_tree
import plotly.graph_objects as go
import pytest

from handlib import body_joints, geometry, packs, viewer
from handlib.files import InputError
from handlib.viewer import body_model, browser, overview, persons, static, widgets

NOSE = body_joints.SMPLX137.joints.index("Nose")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return persons.layers(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """Two persons, the first with a fit; the marker says that it is of the free body."""
    root = people_tree.mscoco(tmp_path_factory.mktemp("coco") / "MSCOCO")
    people_tree.write(root / "body_model.json", {"model": persons.FREE})
    return packs.write("mscoco", root, "train", root.parent / "pack", workers=0)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """The same as UBody; its fits are said to be SMPL-X's."""
    root = people_tree.ubody(tmp_path_factory.mktemp("ubody") / "UBody")
    return packs.write("ubody", root, "train", root.parent / "pack", workers=0, every=1)


def _trace(figure, name):
    return dict(zip(persons._TRACES, figure.data, strict=True))[name]


def test_a_pack_of_people_is_shown_by_persons(coco, pack):
    assert viewer.of(coco) is persons and viewer.of(pack) is browser


def test_the_free_body_stands_in_beside_mano_and_a_damaged_file_is_named(tmp_path):
    (tmp_path / "bodies/mano").mkdir(parents=True)
    (tmp_path / "bodies/mano/MANO_RIGHT.pkl").write_bytes(b"")
    assert persons.layers(tmp_path)["person"].is_free
    (tmp_path / "bodies/smplx").mkdir()
    (tmp_path / "bodies/smplx/SMPLX_NEUTRAL.npz").write_bytes(b"cut")
    with pytest.raises(InputError, match="SMPLX_NEUTRAL.npz"):
        persons.layers(tmp_path)


def test_the_mesh_is_that_of_the_fit(coco, people):
    sample = persons.read(coco, people, 0)
    assert sample["fits_drawn"] == "mesh: free body"
    verts = persons.meshes(sample, people)["person"].verts
    parts = {"root_pose": 0, "body_pose": slice(1, 22), "jaw_pose": 22, "lhand_pose": slice(25, 40)}
    pose = {name: sample["smplx_pose"][rows] for name, rows in parts.items()}
    blends = {"shape": sample["smplx_shape"], "expression": sample["smplx_expr"], "transl": sample["smplx_transl"]}
    out = people["person"](**pose, rhand_pose=np.zeros(45), **blends, mean_added=False)
    np.testing.assert_allclose(verts, out["verts"].numpy(), atol=1e-5)


def test_what_is_not_known_is_not_drawn_and_the_caption_says_so(coco, films, people):
    other = persons.read(coco, people, 1)
    assert not persons.meshes(other, people) and not persons.skeletons(other, {})
    assert "no mesh" in persons.caption(coco, other, browser.State(1))
    of_smplx = persons.read(films, people, 0)
    assert not persons.meshes(of_smplx, people) and "fits of SMPL-X" in of_smplx["fits_drawn"]
    valid = other["person_joints_valid"]
    assert np.isfinite(other["drawn_joints"]).all(1).tolist() == valid.tolist()
    figure = persons.figure(coco, people, browser.State(1, mesh=True))
    assert not _trace(figure, "mesh").visible and not _trace(figure, "rhand_bbox").visible
    assert _trace(figure, "lhand_bbox").visible and _trace(figure, "face joints").visible
    assert not _trace(figure, "rhand joints").visible


@pytest.mark.parametrize("after", [browser.State(0, mesh=True, joints=False), browser.State(1, box=False)])
@pytest.mark.parametrize("before", [browser.State(0), browser.State(1)])
def test_an_updated_figure_is_the_figure_of_its_state(coco, people, same, before, after):
    shown = go.FigureWidget(persons.figure(coco, people, before))
    persons.update(shown, coco, people, after)
    same(shown, go.FigureWidget(persons.figure(coco, people, after)))


def test_close_up_boxes_joints_and_camera_move_with_the_picture(coco, people):
    sample = persons.read(coco, people, 0)
    close = persons.closely(sample)
    assert close["image"].shape == (*persons.TILE[::-1], 3)
    point = np.array([[0.1, -0.2, 5.0]])
    before, after = (geometry.project(point, one["K"])[0, :2] for one in (sample, close))
    offset = before - sample["drawn_joints"][NOSE]
    scale = np.linalg.norm(close["bbox"][2:]) / np.linalg.norm(sample["bbox"][2:])
    np.testing.assert_allclose((after - close["drawn_joints"][NOSE]) / scale, offset, atol=1e-2)
    middle = close["bbox"][:2] + close["bbox"][2:] / 2
    np.testing.assert_allclose(middle, np.array(persons.TILE) / 2, atol=12)  # of a box of 30 px, enlarged tenfold


def test_the_joints_are_lines_of_their_part():
    for part, pairs in persons._BONES.items():
        rows = range(137)[body_joints.PARTS137[part]]
        wrists = [body_joints.PARTS137["lwrist"], body_joints.PARTS137["rwrist"]]
        assert all(row in rows or row in wrists for pair in pairs for row in pair)
    assert sum(map(len, persons._BONES.values())) == len(body_joints.BONES65) + 3


def test_static_twins_show_the_same(coco, people):
    for number, panels in ((0, 3), (1, 2)):
        figure = static.frame(coco, people, browser.State(number, mesh=True))
        assert len(figure.axes) == panels
    assert figure.axes[-1].get_title() == "nothing is known in 3D"
    sheet = static.contact_sheet(coco, [0, 1], people, browser.State(mesh=True))
    assert len(sheet.axes) == 2 and "right hand" not in sheet.axes[0].get_title()


def test_overview_of_people(coco, films):
    summary = overview.summary(coco)
    row = summary.loc["one hand, face"]
    assert (row["persons"], row["pictures"], row["fits_body"], row["fits_rhand"]) == (2, 2, 0.5, 0)
    assert overview.summary(films)["videos"].to_dict() == {"Movie": 1, "Talkshow": 1}
    assert overview.crossed(films).to_numpy().sum() == len(films)
    heights = [bar.get_height() for bar in overview.figure(coco).axes[2].patches]
    facts = overview.facts(coco)
    assert np.allclose(
        heights[:4], [100 * facts[f"joints_{part}"].mean() for part in ("body", "lhand", "rhand", "face")]
    )


def test_sliders_move_what_they_say(coco, people):
    case = body_model.case(persons.read(coco, people, 0), people)
    weights = people["person"].weights.numpy()
    for state, moving in ((body_model.State(jaw=0.3), [22]), (body_model.State(hands=(2.0,)), [*range(25, 55)])):
        _, millimetres = body_model.moved(case, state)
        still = weights[:, moving].sum(1) == 0
        assert millimetres.max() > 3 and millimetres[still].max() < 0.5
    assert body_model.moved(case, body_model.State())[1].max() == 0
    np.testing.assert_allclose(body_model.posed(case), persons.read(coco, people, 0)["drawn_verts"], atol=1e-6)
    assert "no mesh" in body_model.case(persons.read(coco, people, 1), people).name


def test_the_inspector_follows_its_controls(coco, people):
    sample = persons.read(coco, people, 0)
    widget = widgets.model(people, sample)
    panel, shown = widget.children
    shown = shown.children[0]
    before = np.array(shown.data[0].x)
    panel.children[1].children[0].children[0].value = 2.0  # shape 1
    expected = body_model.figure(body_model.case(sample, people), body_model.State(shape=(2.0, *[0.0] * 9)))
    assert np.abs(np.array(shown.data[0].x) - before).max() > 1
    np.testing.assert_allclose(shown.data[0].y, expected.data[0].y, atol=1e-3)
