"""Thin ipywidgets over the pure functions of ``mesh`` and ``browser``: they read the controls into a State, no more."""

import ipywidgets
import plotly.graph_objects as go

from handlib.viewer import browser, mesh


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


def dataset_browser(pack, layers, state=None):
    """The dataset browser: pick a frame of ``pack`` and what is drawn over it. layers: {"right": …, "left": …}."""
    state = state or browser.State()
    shown = go.FigureWidget(browser.figure(pack, layers, state))
    controls = {
        "frame": ipywidgets.IntSlider(
            state.frame, 0, max(len(pack) - 1, 0), description="frame", layout={"width": "600px"}
        ),
        "box": _switch("box", state.box),
        "joints": _switch("joints", state.joints),
        "mesh": _switch("mesh", state.mesh),
        "parts": _switch("part mask", state.parts),
    }
    _follow(controls, lambda: browser.update(shown, pack, layers, browser.State(**_values(controls))))
    frame, *switches = controls.values()
    return ipywidgets.VBox([frame, ipywidgets.HBox(switches), ipywidgets.HBox([_filling(shown)])])


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
