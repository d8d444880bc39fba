import ipywidgets
import plotly.graph_objects as go

from handlib.viewer import browser, mesh, widgets


def _inside(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _inside(child)


def _control(widget, label):
    return next(one for one in _inside(widget) if getattr(one, "description", None) == label)


def _figure(widget):
    return next(one for one in _inside(widget) if isinstance(one, go.FigureWidget))


def test_every_control_of_the_inspector_reaches_the_figure(layers, same):
    cases = mesh.cases(layers)
    widget = widgets.inspector(cases)
    same(_figure(widget), mesh.figure(cases, mesh.State()))
    for label, value in {
        "hand": "left", "colour": "error", "ground truth over it": True, "joints and bones": True,
        "compare with wrists together": False, "pose 2": 0.5, "shape 10": -1.0,
    }.items():  # fmt: skip
        _control(widget, label).value = value
    state = mesh.State(
        "left", (0, 0.5, 0, 0, 0, 0), (0,) * 9 + (-1.0,), colour="error", truth=True, joints=True, align=False
    )
    same(_figure(widget), go.FigureWidget(mesh.figure(cases, state)))


def test_every_control_of_the_browser_reaches_the_figure(pack, layers, same):
    widget = widgets.dataset_browser(pack, layers, browser.State(frame=1))
    frame = _control(widget, "frame")
    assert isinstance(frame, ipywidgets.IntSlider) and (frame.value, frame.max) == (1, 1)
    for label, value in {"frame": 0, "box": False, "joints": False, "mesh": True, "part mask": True}.items():
        _control(widget, label).value = value
    state = browser.State(0, box=False, joints=False, mesh=True, parts=True)
    same(_figure(widget), go.FigureWidget(browser.figure(pack, layers, state)))


def test_a_starting_state_is_kept(layers):
    widget = widgets.inspector(mesh.cases(layers), mesh.State("left", colour="parts"))
    assert _control(widget, "hand").value == "left" and _control(widget, "colour").value == "parts"


def test_a_cell_that_is_run_again_closes_what_it_made(layers, monkeypatch):
    cases, running = mesh.cases(layers), [("one", 1)]
    monkeypatch.setattr(widgets, "_running", lambda: running[0])
    monkeypatch.setattr(widgets, "_made", {})
    first, second = widgets.inspector(cases), widgets.inspector(cases)
    running[0] = ("two", 2)
    other = widgets.inspector(cases)
    assert all(_figure(one).comm is not None for one in (first, second, other)), "two of one run stay"
    running[0] = ("one", 3)
    last = widgets.inspector(cases)
    assert all(inside.comm is None for one in (first, second) for inside in _inside(one))
    assert all(inside.comm is not None for one in (other, last) for inside in _inside(one))


def test_without_a_notebook_nothing_is_closed(layers):
    first = widgets.inspector(mesh.cases(layers))
    widgets.inspector(mesh.cases(layers))
    assert widgets._running() == (None, None) and _figure(first).comm is not None
