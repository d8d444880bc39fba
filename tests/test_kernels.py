"""Notebooks in a real kernel, run once more and restarted; and what of handlib's doings listens to a network."""

import ipaddress
import json
import threading

import interhand_tree
import jupyter_client
import psutil
import pytest
import toy

from handlib import packs, training

CELLS = {
    "start": """
from handlib import bodies, runs
from handlib.viewer import browser, figures, mesh, static, widgets
import ipywidgets.widgets.widget as registry, json, matplotlib.pyplot as plt, pathlib
run = runs.Run("again", ".", "run")
layers = {side: bodies.load("free", f"mano_{side}") for side in mesh.SIDES}""",
    "turn": "cases = mesh.cases(layers)\nshown = widgets.inspector(cases)\nshown",
    "draw": """
import numpy as np
drawer = widgets.BoxDrawer({"one": np.zeros((40, 60, 3), np.uint8)}, "run/boxes.json")
drawer.shown.layout.shapes = [dict(type="rect", x0=5, y0=5, x1=20, y1=20, line_color="red", name="right")]
drawer""",
    "still": "figure = static.inspector(cases, mesh.State('right'))\nrun.figure('still', figure)\nfigure",
}
LOOK = """
alive = list(registry._instances.values())
pose = next(one for one in alive if getattr(one, "description", None) == "pose 1")
before = np.array(shown.children[1].children[0].data[0].x)
pose.value = 1.0 if pose.value == 0 else 0.0
print(json.dumps({
    "widgets": len(alive), "figures": len(plt.get_fignums()),
    "observers": sum(len(one._trait_notifiers.get("value", {}).get("change", ())) for one in alive),
    "moved": bool((np.array(shown.children[1].children[0].data[0].x) != before).any()),
    "files": sorted(str(one) for one in pathlib.Path("run").rglob("*") if one.is_file()),
}))"""


class Notebook:
    """A kernel, and cells asked of it as JupyterLab asks: each with its id."""

    def __init__(self, folder):
        self.manager = jupyter_client.KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(folder))
        self._connect()

    def _connect(self):
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=300)

    def restart(self):
        self.client.stop_channels()
        self.manager.restart_kernel(now=True)
        self._connect()

    def run(self, name, code):
        """-> what the cell prints."""
        message = self.client.session.msg("execute_request", {"code": code, "silent": False}, metadata={"cellId": name})
        self.client.shell_channel.send(message)
        printed = ""
        while True:
            answer = self.client.get_iopub_msg(timeout=300)
            if answer["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            content = answer["content"]
            assert answer["msg_type"] != "error", "\n".join(content["traceback"])
            printed += content["text"] if answer["msg_type"] == "stream" and content["name"] == "stdout" else ""
            if content.get("execution_state") == "idle":
                return printed

    def run_all(self):
        for name, code in CELLS.items():
            self.run(name, code)
        return json.loads(self.run("look", LOOK))

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    made = Notebook(tmp_path_factory.mktemp("kernel"))
    yield made
    made.close()


def test_running_all_again_and_after_a_restart_changes_nothing(notebook):
    first = notebook.run_all()
    assert first["moved"] and first["figures"] == 0 and first["files"] == ["run/boxes.json", "run/figures/still.png"]
    assert notebook.run_all() == first, "what the run before made is left"
    notebook.restart()
    assert notebook.run_all() == first


# What listens


def listening(process):
    """(program, address, port) of every socket on which a process or one of its children waits for connections."""
    found = set()
    for one in [process, *process.children(recursive=True)]:
        try:
            sockets = one.net_connections("inet")
            found |= {(one.name(), *seen.laddr) for seen in sockets if seen.status == psutil.CONN_LISTEN}
        except psutil.NoSuchProcess:
            pass
    return found


class Listeners(threading.Thread):
    """Looks at this process and its children while a block runs."""

    def __enter__(self):
        self.before, self.found, self.done = listening(psutil.Process()), set(), threading.Event()
        self.start()
        return self

    def run(self):
        while not self.done.wait(0.05):
            self.found |= listening(psutil.Process()) - self.before

    def __exit__(self, *raised):
        self.done.set()
        self.join()

    @property
    def open_to_others(self):
        return [one for one in self.found if not ipaddress.ip_address(one[1].split("%")[0]).is_loopback]


def test_the_look_would_see_an_open_door():
    import socket

    with Listeners() as seen, socket.create_server(("0.0.0.0", 0)):
        seen.done.wait(1)
    assert [one[1] for one in seen.open_to_others] == ["0.0.0.0"]


def test_a_kernel_listens_to_this_machine_alone(notebook):
    found = listening(psutil.Process(notebook.manager.provisioner.pid))
    assert len(found) >= 4 and {address for _, address, _ in found} == {"127.0.0.1"}


def test_packing_and_training_listen_to_nobody(tmp_path, monkeypatch):
    """With processes that pack, a loader's worker, and the log that TensorBoard reads."""
    source = interhand_tree.build(tmp_path / "InterHand", splits=("val",))
    toy.install(monkeypatch.setitem, monkeypatch.setattr)
    monkeypatch.setattr(training.data.os, "sched_getaffinity", lambda process: {0, 1})
    with Listeners() as seen:
        packs.write("interhand", source, "val", tmp_path / "pack", workers=2)
        training.fit(toy.recipe(workers=1, epochs=1), toy.Pack(), tmp_path / "out", net=toy.Net(), accelerator="cpu")
    assert seen.open_to_others == []
