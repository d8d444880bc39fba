"""Thin ipywidgets over the pure functions of the viewer: they read the controls into a State, no more.

A cell that is run again closes what its run before made, as its output goes too: a kernel keeps every widget, with its
meshes and pictures, until it is closed, and a drawer of boxes that is out of sight would still write its file.
"""

import functools
from html import escape
from pathlib import Path

import ipywidgets
import plotly.graph_objects as go

from handlib import viewer
from handlib.viewer import body, body_model, boxes, browser, frustum, mesh

_made = {}  # cell -> (its run, what that made)


def _replacing(make):
    @functools.wraps(make)
    def made(*arguments, **named):
        return _replace(make(*arguments, **named))

    return made


def _replace(widget):
    """Close what an earlier run of this cell made, and remember what this one does; returns the widget."""
    cell, run = _running()
    if cell is not None:
        before, others = _made.get(cell, (run, []))
        if before != run:
            for other in others:
                _close(other)
            others = []
        _made[cell] = run, [*others, widget]
    return widget


def _running():
    """(the cell, its run) that a notebook is in; (None, None) elsewhere, and where its program does not tell."""
    from IPython import get_ipython

    shell = get_ipython()
    asked = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return asked.get("metadata", {}).get("cellId"), asked.get("header", {}).get("msg_id")


def _close(widget):
    """With all that it holds: its layout and style are widgets as well."""
    for held in [*getattr(widget, "children", ()), *widget.trait_values().values()]:
        if isinstance(held, ipywidgets.Widget) and held.comm is not None:
            _close(held)
    widget.close()


@_replacing
def inspector(cases, state=None):
    """The mesh inspector: sliders and switches beside one FigureWidget. cases: as ``mesh.figure`` takes them."""
    state = state or mesh.State(side=next(iter(cases)))
    shown = go.FigureWidget(mesh.figure(cases, state))
    controls = {
        "side": _choice("hand", [side for side in mesh.SIDES if side in cases], state.side),
        "colour": _choice("colour", mesh.COLOURS, state.colour),
        "truth": _switch("ground truth over it", state.truth),
        "joints": _switch("joints and bones", state.joints),
        "align": _switch("compare with wrists together", state.align),
        "pose": [_slider(f"pose {i + 1}", value) for i, value in enumerate(state.pose)],
        "shape": [_slider(f"shape {i + 1}", value) for i, value in enumerate(state.shape)],
    }
    _follow(controls, lambda: mesh.update(shown, cases, mesh.State(**_values(controls))))
    sliders = ipywidgets.Accordion([ipywidgets.VBox(controls["pose"]), ipywidgets.VBox(controls["shape"])])
    sliders.titles, sliders.selected_index = ("pose", "shape"), 0
    switches = [controls[name] for name in ("side", "colour", "truth", "joints", "align")]
    return ipywidgets.HBox([ipywidgets.VBox([*switches, sliders], layout={"width": "360px"}), _filling(shown)])


def model(layers, sample):
    """The model that a sample's meshes are of, under sliders: `inspector` of hands, `body_inspector` of people."""
    if "person" in layers:
        return body_inspector(body_model.case(sample, layers))
    return inspector(mesh.cases(layers, sample))


@_replacing
def body_inspector(case, state=None):
    """The whole body model: sliders beside one FigureWidget. case: a `body_model.Case`."""
    state = state or body_model.State()
    shown = go.FigureWidget(body_model.figure(case, state))
    controls = {
        "shape": [_slider(f"shape {i + 1}", value) for i, value in enumerate(state.shape)],
        "expr": [_slider(f"expr {i + 1}", value) for i, value in enumerate(state.expr)],
        "hands": [_slider(f"hands {i + 1}", value) for i, value in enumerate(state.hands)],
        "jaw": ipywidgets.FloatSlider(state.jaw, min=0, max=0.6, step=0.01, description="jaw, rad"),
    }
    _follow(controls, lambda: body_model.update(shown, case, body_model.State(**_values(controls))))
    names = ("shape", "expr", "hands")
    sliders = ipywidgets.Accordion([ipywidgets.VBox(controls[name]) for name in names])
    sliders.titles, sliders.selected_index = ("shape", "expression", "hands"), 0
    return ipywidgets.HBox([ipywidgets.VBox([controls["jaw"], sliders], layout={"width": "360px"}), _filling(shown)])


@_replacing
def whole_bodies(cases, whole, state=None):
    """The inspector of whole bodies: cases and whole as `body.figure` takes them."""
    state = state or body.State()
    shown = go.FigureWidget(body.figure(cases, whole, state))
    persons = [(case.name, number) for number, case in enumerate(cases)]
    controls = {
        "number": ipywidgets.Dropdown(options=persons, value=state.number, description="person"),
        "colour": _choice("colour", body.COLOURS, state.colour),
        "shown": [_switch(part, part in state.shown) for part in body.PARTS],
        "truth": _switch("true mesh", state.truth),
        "apart": _switch("each part for itself", state.apart),
        "fit": _switch("after the best similarity (PA)", state.fit),
    }

    def redraw():
        values = _values(controls)
        there = tuple(part for part, yes in zip(body.PARTS, values["shown"], strict=True) if yes)
        body.update(shown, cases, whole, body.State(**values | {"shown": there}))

    _follow(controls, redraw)
    switches = [*controls["shown"], controls["truth"], controls["apart"], controls["fit"]]
    rows = ipywidgets.VBox([ipywidgets.HBox([controls["number"], controls["colour"]]), ipywidgets.HBox(switches)])
    return ipywidgets.VBox([rows, ipywidgets.HBox([_filling(shown)])])


@_replacing
def dataset_browser(pack, layers, state=None):
    """The dataset browser: pick a frame of ``pack`` and what is drawn over it. layers: ``viewer.of(pack).layers``."""
    state, shows = state or browser.State(), viewer.of(pack)
    shown = go.FigureWidget(shows.figure(pack, layers, state))
    controls = {
        "frame": ipywidgets.IntSlider(
            state.frame, 0, max(len(pack) - 1, 0), description="frame", layout={"width": "600px"}
        ),
        "box": _switch("box", state.box),
        "joints": _switch("joints", state.joints),
        "mesh": _switch("mesh", state.mesh),
    }
    if shows.has_masks(pack):
        controls["parts"] = _switch("part mask", state.parts)
    _follow(controls, lambda: shows.update(shown, pack, layers, browser.State(**_values(controls))))
    frame, *switches = controls.values()
    return ipywidgets.VBox([frame, ipywidgets.HBox(switches), ipywidgets.HBox([_filling(shown)])])


@_replacing
def in_frustum(image, prediction, state=None):
    """A picture's hands or persons in its frustum (`frustum.figure`): opacity, a switch for each, the view."""
    state = state or frustum.State()
    shown = go.FigureWidget(frustum.figure(image, prediction, state, controls=False))
    names = frustum.names(prediction)
    controls = {
        "opacity": ipywidgets.FloatSlider(state.opacity, min=0, max=1, step=0.05, description="opacity"),
        "chosen": [_switch(name, state.shows(number)) for number, name in enumerate(names)],
        "view": _choice("from", frustum.VIEWS, state.view),
        "backdrop": _switch("backdrop", state.backdrop),
        "boxes": _switch("boxes", state.boxes),
    }

    def redraw():
        values = _values(controls)
        chosen = tuple(number for number, there in enumerate(values["chosen"]) if there)
        frustum.update(shown, prediction, frustum.State(**values | {"chosen": chosen}))

    _follow(controls, redraw)
    row = [controls["opacity"], *controls["chosen"], controls["backdrop"], controls["boxes"], controls["view"]]
    wrapping = {"flex_flow": "row wrap"}
    return ipywidgets.VBox([ipywidgets.Box(row, layout=wrapping), ipywidgets.HBox([_filling(shown)])])


class BoxDrawer(ipywidgets.VBox):
    """Draw a box about every hand, or person; each stroke is kept in a file that `handlib.predict` takes.

    pictures: {name: uint8 (h, w, 3) RGB, upright, or a path}; file: of `handlib.predict.box_files`, which is gone on
    with where it is there; what is drawn goes into a .json (``file``), for a .csv into one of the same name.
    subject: `handlib.predict.HAND` (None) or PERSON, whose boxes have no side.
    ``hands``: {name: [{"box": [x, y, w, h], "side": …}, …]} so far.
    """

    def __init__(self, pictures, file, subject=None):
        from handlib.predict import HAND, BoxFile

        subject = subject or HAND
        self.pictures, self.file = dict(pictures), Path(file).with_suffix(".json")
        before = BoxFile(file, subject) if Path(file).exists() else None
        self._all = {} if before is None else dict(before.hands)
        known = {name: before and before.key_of(name, number) for number, name in enumerate(self.pictures)}
        self._keys = {name: key or name for name, key in known.items()}
        there = {name: self._all.get(key, []) for name, key in self._keys.items()}
        self.hands = {name: [hand for hand in hands if "box" in hand] for name, hands in there.items()}
        self._others = {name: [hand for hand in hands if "box" not in hand] for name, hands in there.items()}
        first = next(iter(self.pictures))
        self.picture = ipywidgets.Dropdown(options=list(self.pictures), value=first, description="picture")
        self.side = _choice("draw", subject.labels, subject.labels[0])
        undo = ipywidgets.Button(description="remove the last")
        self.words = ipywidgets.HTML()
        self.shown = go.FigureWidget(boxes.figure(self._image(), self.hands[first], self.side.value))
        self._say()
        self.picture.observe(lambda change: self._turn_to(), "value")
        self.side.observe(lambda change: self._turn_to(), "value")
        undo.on_click(lambda button: self._keep(self.hands[self.picture.value][:-1]))
        self.shown.layout.on_change(lambda *stale: self._drawn(), "shapes")
        row = ipywidgets.HBox([self.picture, self.side, undo])
        super().__init__([row, ipywidgets.HBox([_filling(self.shown)]), self.words])
        _replace(self)

    def _image(self):
        from handlib.predict import read

        return read(self.pictures[self.picture.value]).image

    def _turn_to(self):
        with self.shown.batch_update():
            boxes.change(self.shown, self._image(), self.hands[self.picture.value], self.side.value)
        self._say()

    def _drawn(self):
        """A stroke came from the browser. plotly tells Python's shape objects nothing of it, and takes no move of a
        shape without an object; the bare content is right, and the objects are made anew from it.
        """
        height, width = self._image().shape[:2]
        found = boxes.read(self.shown.layout.to_plotly_json().get("shapes", ()), (width, height))
        if found != self.hands[self.picture.value]:
            self._keep(found)

    def _keep(self, hands):
        self.hands[self.picture.value] = hands
        self.shown.layout.shapes = boxes.shapes(hands)
        self._all[self._keys[self.picture.value]] = hands + self._others[self.picture.value]
        boxes.write(self.file, self._all)
        self._say()

    def _say(self):
        counts = ", ".join(f"{name}: {len(hands)}" for name, hands in self.hands.items())
        self.words.value = f"boxes in <code>{escape(str(self.file))}</code>: {escape(counts)}"


def _choice(label, options, value):
    style = {"button_width": "72px", "description_width": "48px"}
    return ipywidgets.ToggleButtons(options=options, value=value, description=label, style=style)


def _switch(label, value):
    return ipywidgets.Checkbox(value, description=label, indent=False, layout={"width": "max-content"})


def _slider(label, value):
    return ipywidgets.FloatSlider(value, min=-3, max=3, step=0.05, description=label)


def _values(controls):
    """{name: control or list of controls} -> {name: value or tuple of values}."""
    return {
        name: tuple(slider.value for slider in control) if isinstance(control, list) else control.value
        for name, control in controls.items()
    }


def _follow(controls, redraw):
    for control in controls.values():
        for one in control if isinstance(control, list) else [control]:
            one.observe(lambda change: redraw(), "value")


def _filling(shown):
    """A box that makes a figure as wide as there is room."""
    return ipywidgets.Box([shown], layout={"flex": "1 1 auto", "min_width": "0"})
