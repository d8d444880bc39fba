import json

import numpy as np
import pytest

from handlib.files import InputError
from handlib.viewer import boxes, widgets

HANDS = [{"box": [10.0, 20.0, 30.0, 40.0], "side": "left"}, {"box": [60.5, 5.0, 20.0, 20.0], "side": "right"}]


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)


def _shapes(figure):
    return [shape.to_plotly_json() for shape in figure.layout.shapes]


def test_boxes_come_back_from_the_figure(image):
    figure = boxes.figure(image, HANDS, "left")
    assert boxes.read(_shapes(figure), (160, 120)) == HANDS
    assert figure.layout.newshape.name == "left" and figure.layout.newshape.label.text == "left"
    assert figure.layout.dragmode == "drawrect" and figure.layout.xaxis.range == (-0.5, 159.5)
    assert figure.layout.yaxis.range == (119.5, -0.5)


def test_strokes_from_any_corner_are_cut_to_the_picture():
    rect = dict(type="rect", name="right")
    drawn = [
        dict(rect, x0=50, x1=20.04, y0=90, y1=30),
        dict(rect, x0=-40, x1=30, y0=100, y1=500),
        dict(rect, x0=5, x1=6, y0=5, y1=50),  # hardly any width
        dict(rect, x0=-50, x1=-10, y0=5, y1=50),  # outside
        dict(type="line", name="right", x0=0, x1=50, y0=0, y1=50),
        dict(type="rect", name=None, x0=0, x1=50, y0=0, y1=50),
    ]
    found = boxes.read(drawn, (160, 120))
    assert [hand["box"] for hand in found] == [[20.0, 30.0, 30.0, 60.0], [-0.5, 100.0, 30.5, 19.5]]


def test_large_pictures_are_shown_smaller_in_their_own_pixels():
    trace = boxes.figure(np.zeros((1500, 3000, 3), np.uint8)).data[0]
    assert (trace.dx, trace.dy) == (3, 3) and trace.x0 == trace.y0 == 1


def test_a_file_of_boxes_is_added_to(tmp_path):
    from handlib.predict import BoxFile

    path = tmp_path / "boxes.json"
    boxes.write(path, {"a.jpg": HANDS})
    boxes.write(path, {"b.jpg": HANDS[:1]})
    boxes.write(path, {"a.jpg": HANDS[1:]})
    file = BoxFile(path)
    assert sorted(file.hands) == ["a.jpg", "b.jpg"]
    found, sides, _ = file.of("a.jpg", 0)
    assert found.tolist() == [HANDS[1]["box"]] and sides.tolist() == [0]
    path.write_text("{")
    with pytest.raises(InputError, match="not whole JSON"):
        boxes.write(path, {})


def test_the_drawer_keeps_every_stroke(image, tmp_path):
    file = tmp_path / "boxes.json"
    points = [[1.0, 2.0]] * 21
    file.write_text(json.dumps({"b": [{"keypoints": points, "side": "left"}], "other": []}))
    drawer = widgets.BoxDrawer({"a": image, "b": image[:60]}, file)
    drawer.shown.layout.shapes = boxes.shapes(HANDS)
    assert drawer.hands == {"a": HANDS, "b": []} and json.loads(file.read_text())["a"] == HANDS
    drawer.picture.value = "b"
    assert drawer.shown.layout.shapes == () and drawer.shown.layout.yaxis.range == (59.5, -0.5)
    drawer.side.value = "left"
    assert drawer.shown.layout.newshape.name == "left"
    drawer.shown.layout.shapes = boxes.shapes(HANDS[:1])
    drawer.picture.value = "a"
    assert boxes.read(_shapes(drawer.shown), (160, 120)) == HANDS
    saved = json.loads(file.read_text())
    assert saved["b"][0]["side"] == "left" and saved["b"][1] == {"keypoints": points, "side": "left"}
    assert "other" in saved and "a: 2, b: 1" in drawer.words.value
    again = widgets.BoxDrawer({"a": image}, file)
    assert again.hands == {"a": HANDS}
    undo = next(one for one in again.children[0].children if getattr(one, "description", "") == "remove the last")
    undo.click()
    assert json.loads(file.read_text())["a"] == HANDS[:1] and len(again.shown.layout.shapes) == 1


def test_strokes_in_the_browser_arrive(image, tmp_path):
    """As the browser tells of them: all shapes when one is drawn or erased, one number when one is pulled."""
    drawer = widgets.BoxDrawer({"a": image}, tmp_path / "boxes.json")
    stroke = drawer.shown.layout.newshape.to_plotly_json() | dict(type="rect", x0=1, x1=50, y0=3, y1=90, editable=True)
    for message, expected in (
        ({"shapes": [stroke]}, [[1, 3, 49, 87]]),
        ({"shapes": [stroke, stroke | {"x0": 80, "x1": 120}]}, [[1, 3, 49, 87], [80, 3, 40, 87]]),
        ({"shapes[1].x0": 90}, [[1, 3, 49, 87], [90, 3, 30, 87]]),
        ({"shapes": [stroke]}, [[1, 3, 49, 87]]),
        ({"shapes": []}, []),
    ):
        drawer.shown._js2py_relayout = {"relayout_data": message, "source_view_id": "browser"}
        assert [hand["box"] for hand in drawer.hands["a"]] == expected
        assert [shape.x0 for shape in drawer.shown.layout.shapes] == [box[0] for box in expected]


def test_boxes_of_other_files_and_shorter_names_are_gone_on_with(image, tmp_path):
    file = tmp_path / "boxes.csv"
    file.write_text("name,x,y,w,h,side\na,10,20,30,40,left\nb,1,2,30,40,right\n")
    drawer = widgets.BoxDrawer({"a.png": image, "c.png": image}, file)
    assert [hand["box"] for hand in drawer.hands["a.png"]] == [[10, 20, 30, 40]] and not drawer.hands["c.png"]
    drawer.picture.value = "c.png"
    drawer.shown.layout.shapes = boxes.shapes(HANDS[:1])
    saved = json.loads((tmp_path / "boxes.json").read_text())
    assert {name: len(hands) for name, hands in saved.items()} == {"a": 1, "b": 1, "c.png": 1}


def test_boxes_of_persons_have_no_side(image, tmp_path):
    from handlib.predict import PERSON, BoxFile

    file, persons = tmp_path / "boxes.json", [{"box": [10.0, 20.0, 30.0, 40.0]}]
    drawer = widgets.BoxDrawer({"a": image}, file, PERSON)
    assert drawer.side.options == ("person",) and drawer.shown.layout.newshape.name == "person"
    drawer.shown.layout.shapes = boxes.shapes(persons)
    assert drawer.hands["a"] == persons and json.loads(file.read_text()) == {"a": persons}
    assert BoxFile(file, PERSON).of("a", 0)[0].tolist() == [persons[0]["box"]]
    assert widgets.BoxDrawer({"a": image}, file, PERSON).hands["a"] == persons
