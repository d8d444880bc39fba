"""What `faults.py` kills and starves: packing, training, evaluation, submissions, notebooks, demo data."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the small data sets and the toy network of the tests

# Of no account: a log of times, what is there only while a process works, links to where notebooks are.
IGNORED = ("events.out.tfevents", ".lock", "notebooks")
TIMES = {"started", "seconds", "commit", "path", "samples_per_s", "ms_per_hand", "receipt", "checkpoint_path"}


@dataclasses.dataclass(frozen=True)
class Scenario:
    """prepare(inputs, small): make what the work reads, once; work(inputs, out): the work -> its exit code."""

    name: str
    about: str
    prepare: object
    work: object


# ------------------------------------------------------------------------------- what a file says, without its times


def meaning(path):
    """A text that is equal for equal results, whatever the times and random names in the file; any exception means that
    the file is not whole.
    """
    name = path.name
    if path.is_symlink():
        return f"-> {os.readlink(path)}"
    if name == "receipt.json" or name == "network.json":
        return json.dumps(_without_times(json.loads(path.read_text())), sort_keys=True)
    if name == "state.pt":
        return _state(path)
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text())["cells"]
        return hashlib.sha256(json.dumps([cell["source"] for cell in cells]).encode()).hexdigest()
    if path.suffix == ".html":
        text = path.read_text()
        if not text.rstrip().endswith(("</html>", "</table>", "</div>")):
            raise ValueError("ends in the middle of its HTML")
        return "whole"
    if name == "history.csv" or "packs." in name:  # these tables hold rates and seconds
        return _table(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _without_times(value):
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def _state(path):
    """Every tensor and number that a training goes on from."""
    import torch

    digest = hashlib.sha256()

    def take(value):
        if isinstance(value, dict):
            for key in value:
                if key not in TIMES:
                    digest.update(repr(key).encode())
                    take(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                take(item)
        elif isinstance(value, torch.Tensor):
            digest.update(str((value.dtype, tuple(value.shape))).encode() + value.numpy().tobytes())
        else:
            digest.update(repr(value).encode())

    take(torch.load(path, weights_only=True))
    return digest.hexdigest()


def _table(path):
    import pandas

    if path.suffix in (".tex", ".md"):
        return "whole" if path.read_text().endswith("\n") else path.read_text()
    read = pandas.read_parquet if path.suffix == ".parquet" else pandas.read_csv
    if path.suffix == ".csv" and not path.read_text().endswith("\n"):
        raise ValueError("ends in the middle of a line")
    table = read(path)
    table = table[[name for name in table if name not in TIMES | {"folder", "MB"}]]
    return table.to_csv(index=False)


# ------------------------------------------------------------------------------------------------------ the scenarios


def _interhand(inputs, times, split="test"):
    import interhand_tree

    root = interhand_tree.build(inputs / "InterHand", splits=(split,))
    interhand_tree.repeat(root, split, times)
    return root


def _pack(inputs, out):
    from handlib import cli, packs

    def work():
        packs.write("interhand", inputs / "InterHand", "test", out / "pack", workers=2, shard_size=20)

    return cli.reported(work)


def _train(inputs, out):
    """A network of half a million weights on the toy's data: files of 2 and 4 MB, four epochs, a loader's worker."""
    import torch
    import toy

    from handlib import cli, training

    toy.install()
    net = toy.Net(0.3)
    torch.manual_seed(0)
    net.layers = torch.nn.Sequential(
        torch.nn.Linear(6, 500), torch.nn.Tanh(), torch.nn.Dropout(0.3), torch.nn.Linear(500, 1000),
        torch.nn.Tanh(), torch.nn.Linear(1000, 2),
    )  # fmt: skip
    settings = toy.recipe(workers=1, lr=1e-3)

    def work():
        training.fit(settings, toy.Pack(24), out / "training", toy.Pack(5), net=net, accelerator="cpu")

    return cli.reported(work)


def _prepare_eval(inputs, small):
    """InterNet with fresh weights, and a pack of six pictures (small: two)."""
    import interhand_tree
    import torch

    from handlib import networks, packs

    root = _interhand(inputs, 1, "val")
    if small:
        listed = interhand_tree.annotations(root, "val", "data")
        interhand_tree.edit(listed, lambda data: data.update({kind: data[kind][:2] for kind in data}))
    packs.write("interhand", inputs / "InterHand", "val", inputs / "pack", workers=0)
    torch.manual_seed(0)
    networks.save(networks.create("internet"), inputs / "net")


def _eval(inputs, out):
    from handlib import cli

    words = ["eval", inputs / "net", inputs / "pack", "--out", out / "eval", "--keep", "--root-depth", "gt"]
    return cli.main([str(word) for word in [*words, "--batch", "1", "--workers", "1", "--device", "cpu"]])


def _prepare_submit(inputs, small):
    import numpy as np

    rng, count = np.random.default_rng(0), 200 if small else 800
    xyz = rng.normal(0, 0.1, (count, 21, 3)) + [0, 0, 0.7]
    verts = rng.normal(0, 0.1, (count, 778, 3)) + [0, 0, 0.7]
    np.savez(inputs / "predictions.npz", xyz=xyz.astype(np.float32), verts=verts.astype(np.float32))


def _submit(inputs, out):
    import numpy as np

    from handlib import cli

    with np.load(inputs / "predictions.npz") as stored:
        count = len(stored["xyz"])
    words = ["submit", "freihand", inputs / "predictions.npz", out / "pred.zip", "--samples", count]
    return cli.main([str(word) for word in words])


_CELLS = (
    'run = handlib.runs.start("01_faults", data=data, out=out)',
    'pack = handlib.packs.write("interhand", run.data / "InterHand", "test", run.folder / "pack", workers=2, '
    "shard_size=10)",
    'run.table("hands", pack.index.groupby("hands").size().rename("samples").reset_index())',
    "figure, axes = matplotlib.pyplot.subplots(2, 4)\nfor place, ax in enumerate(axes.flat):\n    ax.imshow(pack[place]"
    '["image"])\nrun.figure("pictures", figure)',
    'run.figure("joints", plotly.graph_objects.Figure(plotly.graph_objects.Scatter3d(**dict(zip("xyz", '
    'pack.array("joints_cam")[0, 0].T)))))',
    'run.finish(pack=pack.manifest["hash"])',
)


def _prepare_notebook(inputs, small):
    import nbformat

    _interhand(inputs, 4)
    (inputs / "notebooks").mkdir()
    head = [
        nbformat.v4.new_code_cell(f'data = "{inputs}"\nout = ""', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("import handlib\nimport matplotlib.pyplot\nimport plotly.graph_objects"),
    ]
    cells = [*head, *map(nbformat.v4.new_code_cell, _CELLS)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), inputs / "notebooks" / "01_faults.ipynb")


def _notebook(inputs, out):
    return _run(inputs / "notebooks", out, "01_faults", "--data", inputs, "--out", out / "run")


def _run(notebooks, out, *words):
    """``handlib run`` in a project of its own, whose notebooks are linked."""
    from handlib import cli

    if not (out / "notebooks").is_symlink():
        (out / "notebooks").symlink_to(notebooks)
    os.chdir(out)
    with contextlib.redirect_stdout(io.StringIO()):
        return cli.main(["run", *map(str, words)])


def _prepare_notebook_01(inputs, small):
    """InterHand2.6M's layout under the free hands' name, the package's own notebook."""
    _interhand(inputs / "data", 4)


def _notebook_01(inputs, out):
    return _run(
        ROOT / "notebooks", out, "01", "--data", inputs / "data", "--set", "workers=2", "--set", "splits=['test']"
    )


def _demo(inputs, out):
    from handlib import cli, demo

    return cli.reported(lambda: demo.make_ho3d(out / "HO3D", frames=16, processes=2, show_progress=False) and 0)


def scenarios(small):
    """{name: Scenario}; small: of less, for tests."""
    made = (
        Scenario(
            "pack", "packing with two processes", lambda inputs, small: _interhand(inputs, 6 if small else 40), _pack
        ),
        Scenario("train", "four epochs of training with a loader's worker", lambda inputs, small: None, _train),
        Scenario("eval", "handlib eval --keep", _prepare_eval, _eval),
        Scenario("submit", "handlib submit freihand", _prepare_submit, _submit),
        Scenario("notebook", "handlib run of a notebook of six cells", _prepare_notebook, _notebook),
        Scenario("notebook01", "handlib run 01", _prepare_notebook_01, _notebook_01),
        Scenario("demo", "demo data in HO-3D's layout, two processes", lambda inputs, small: None, _demo),
    )
    return {one.name: one for one in made}


def volatile(name):
    """Whether a file is of no account."""
    return any(part in IGNORED or part.startswith(IGNORED[0]) for part in Path(name).parts)
