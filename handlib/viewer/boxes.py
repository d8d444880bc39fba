"""Boxes drawn on pictures by hand: pure functions between boxes in picture pixels and the shapes of a plotly figure.

Boxes are x, y, width, height in pixels of the upright picture, (0, 0) the centre of its top-left pixel;
`handlib.predict` takes them, and the file that `write` makes, as they are.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import plotly.graph_objects as go

from handlib.files import InputError, read_json, write_text
from handlib.viewer import browser, palette

PIXELS = 1000  # longest side of the picture in the figure
COLOURS = {"right": palette.CYCLE[1], "left": palette.CYCLE[0], "person": palette.CYCLE[2]}  # stronger than skin
PERSON = "person"  # what a box without a side is of
SMALLEST = 3.0  # pixels; less is a click that was not meant


def figure(image, hands=(), side="right"):
    """A picture to draw on. image: uint8 (h, w, 3) RGB; hands: [{"box": [x, y, w, h], "side": …}, …] that are there,
    persons without a side; side: of the next one, or "person".
    """
    result = go.Figure(go.Image(hoverinfo="skip"))
    result.update_layout(
        dragmode="drawrect", height=560, margin=dict(l=0, r=0, t=8, b=8), paper_bgcolor="white", plot_bgcolor="white",
        modebar=dict(add=["drawrect", "eraseshape", "pan2d"], remove=["lasso2d", "select2d"]),
        font=dict(color=palette.INK),
    )  # fmt: skip
    result.update_yaxes(scaleanchor="x")
    change(result, image, hands, side)
    return result


def change(shown, image, hands, side):
    """Another picture, with its hands, in a figure that `figure` made."""
    height, width = image.shape[:2]
    scale = min(1.0, PIXELS / max(width, height))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    dx, dy = width / small.shape[1], height / small.shape[0]
    values = dict(source=browser.data_uri(small), dx=dx, dy=dy, x0=(dx - 1) / 2, y0=(dy - 1) / 2)
    shown.data[0].update(values)
    shown.update_xaxes(visible=False, constrain="domain", range=(-0.5, width - 0.5))
    shown.update_yaxes(visible=False, constrain="domain", range=(height - 0.5, -0.5))
    shown.layout.newshape = _look(side)
    shown.layout.shapes = shapes(hands)


def shapes(hands):
    """[{"box", "side"}, …] -> plotly's rectangles, which can be moved and pulled."""
    made = []
    for hand in hands:
        x, y, w, h = (float(value) for value in hand["box"])
        made.append(dict(_look(hand.get("side", PERSON)), type="rect", x0=x, y0=y, x1=x + w, y1=y + h, editable=True))
    return made


def _look(side):
    """The rectangles of a side, or of persons: name (by which they are known again), colour, words."""
    colour = COLOURS[side]
    label = dict(text=side, textposition="top left", font=dict(color=colour, size=13))
    return dict(name=side, line=dict(color=colour, width=3), fillcolor="rgba(255,255,255,0.08)", label=label)


def read(drawn, size):
    """plotly's shapes -> [{"box": [x, y, w, h], "side": …}, …], cut to the picture, (w, h), with a tenth of a pixel.

    Shapes of hardly any size, outside the picture, or of another kind are left out.
    """
    hands = []
    for shape in drawn:
        if shape["type"] != "rect" or shape["name"] not in COLOURS:
            continue
        x = np.clip(np.sort([shape["x0"], shape["x1"]]).astype(float), -0.5, size[0] - 0.5)
        y = np.clip(np.sort([shape["y0"], shape["y1"]]).astype(float), -0.5, size[1] - 0.5)
        box = [round(float(value), 1) for value in (x[0], y[0], x[1] - x[0], y[1] - y[0])]
        if min(box[2:]) >= SMALLEST:
            hands.append({"box": box} | ({} if shape["name"] == PERSON else {"side": shape["name"]}))
    return hands


def write(path, hands):
    """{picture's name: [{"box", "side"}, …]} as the .json that `handlib.predict` takes; other names in it are kept."""
    path = Path(path)
    found = read_json(path) if path.exists() else {}
    if not isinstance(found, dict):
        raise InputError(path, "holds no boxes by pictures' names", "give another file's name")
    found |= hands
    lines = (f"{json.dumps(name)}: {json.dumps(boxes)}" for name, boxes in found.items())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
