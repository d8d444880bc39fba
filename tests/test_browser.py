"""Notebook 02 in a real browser (JupyterLab, headless Chromium): a figure is drawn, a slider moves its mesh,
and so it is again in a kernel that was started anew.
"""

import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import chromium
import interhand_tree
import numpy as np
import pytest
from PIL import Image

from handlib import packs
from handlib.viewer import browser, mesh

sync_api = chromium.required()

NOTEBOOK = "02_explore_data.ipynb"
STEPS = 12  # presses of an arrow key

KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
CELLS = """window.jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code').map(
    cell => ({source: cell.model.sharedModel.source, count: cell.model.executionCount,
              errors: cell.model.outputs.toJSON().filter(output => output.output_type === 'error')}))"""
# The plot whose first trace is the inspector's hand, and that hand's vertices.
INSPECTOR = "[...document.querySelectorAll('.js-plotly-plot')].find(plot => plot._fullData?.[0]?.type === 'mesh3d')"
PLOTS = "document.querySelectorAll('.js-plotly-plot').length"
VERTICES = f"['x', 'y', 'z'].map(axis => Array.from({INSPECTOR}._fullData[0][axis]))"


@pytest.fixture(scope="module")
def project(tmp_path_factory, root):
    """A project folder with notebook 02 and a small pack of the reference fixture."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "notebooks").mkdir()
    shutil.copy(root / "notebooks" / NOTEBOOK, folder / "notebooks")
    source = interhand_tree.build(folder / "data/demo/InterHand", splits=("val",))
    packs.write("interhand", source, "val", folder / "outputs/demo/packs/interhand_val", workers=0)
    return folder


@pytest.fixture(scope="module")
def lab(project):
    """The address of a JupyterLab on the project, without token, on the loopback only."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = project / "settings" / "@jupyterlab"
    for name, value in {
        "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are in the page as well
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    }.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    options = {
        "ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "ServerApp.port_retries": 0, "ServerApp.root_dir": project,
        "ServerApp.open_browser": False, "IdentityProvider.token": "", "ServerApp.allow_root": True,
        "LabApp.expose_app_in_browser": True, "LabApp.user_settings_dir": project / "settings",
        "LabApp.workspaces_dir": project / "workspaces",
    }  # fmt: skip
    own = {name: str(project / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    with open(project / "lab.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())],
            stdout=log, stderr=log, env={**os.environ, **own},
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(server, f"{address}/api/status", project / "lab.log")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(server, url, log):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert server.poll() is None, f"JupyterLab ended:\n{log.read_text()}"
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return urllib.request.urlopen(url, timeout=5).read()
        time.sleep(0.3)
    raise TimeoutError(log.read_text())


@pytest.fixture
def page(lab):
    """Notebook 02 opened in the browser, its kernel ready."""
    with chromium.opened() as page:
        page.goto(f"{lab}/lab/tree/notebooks/{NOTEBOOK}?reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.wait_for_function(f"{KERNEL}?.status === 'idle'")
        yield page


def test_the_figure_is_drawn_and_a_slider_moves_the_mesh(page, project):
    _run_all(page)
    _wait_for_inspector(page)
    before = np.array(page.evaluate(VERTICES)).T
    pack, layers = packs.find(project / "outputs/demo/packs"), browser.layers(project / "data/demo")
    cases = mesh.cases(layers, browser.read(pack, layers, 0))
    side = next(iter(cases))
    assert np.allclose(before, 1000 * mesh.view(cases, mesh.State(side)).hand.verts, atol=0.01)  # mm
    drawn = _shown(page)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 100, "nothing is shaded: the mesh is not on the screen"

    handle = page.locator(".widget-slider:has-text('pose 1') .noUi-handle")
    handle.focus()
    for _ in range(STEPS):
        handle.press("ArrowRight")
    state = mesh.State(side, pose=(0.05 * STEPS, *mesh.State().pose[1:]))
    expected = 1000 * mesh.view(cases, state).hand.verts
    assert np.abs(expected - before).max() > 1, "the slider should move the hand by more than a millimetre"
    _settle(page, expected)
    assert (_shown(page) != drawn).any(), "the picture on the screen did not change"

    plots = page.evaluate(PLOTS)
    page.evaluate(f"{KERNEL}.restart()")
    _run_all(page)
    _wait_for_inspector(page)
    _settle(page, before)  # the slider stands where it began
    assert page.evaluate(PLOTS) == plots


def _run_all(page):
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    failed = [cell for cell in page.evaluate(CELLS) if cell["count"] is None or cell["errors"]]
    assert not failed, failed


def _wait_for_inspector(page, attempts=4):
    """anywidget gives up a widget whose script (5 MB of plotly) has not loaded in 2 s: then the cell is run again."""
    for _ in range(attempts):
        with contextlib.suppress(sync_api.TimeoutError):
            page.wait_for_function(f"{INSPECTOR} !== undefined", timeout=20_000)
            return
        page.evaluate(
            """() => {const notebook = window.jupyterapp.shell.currentWidget.content;
            notebook.activeCellIndex = notebook.widgets.findIndex(
                cell => cell.model.sharedModel.source.includes('widgets.model'));
            return window.jupyterapp.commands.execute('notebook:run-cell')}"""
        )
    raise AssertionError("the inspector was never drawn; the page says:\n" + "\n".join(page.said))


def _settle(page, expected):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        now = np.array(page.evaluate(VERTICES)).T
        if np.allclose(now, expected, atol=0.01):
            return
        time.sleep(0.2)
    raise AssertionError(f"the mesh in the page is up to {np.abs(now - expected).max():.2f} mm from the slider's")


def _shown(page):
    """Pixels (h, w, 3) of the inspector's plot on the screen."""
    plot = page.evaluate_handle(INSPECTOR).as_element()
    plot.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)  # let the last frame reach the screen
    return np.asarray(Image.open(io.BytesIO(plot.screenshot())).convert("RGB"))
