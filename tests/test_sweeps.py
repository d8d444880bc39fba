"""Sweeps: what their file may say, when a run is done, and how many of them end well, badly, by a kill."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import sweep_toys

from handlib import cli, inputs, sweeps
from handlib.files import InputError, locked
from handlib.sweeps import child, plan, record

psutil = pytest.importorskip("psutil")

SWEEP = "notebook: 01\nset: {nap: 0}\ngrid:\n  epochs: [1, 2]\n  rate: [0.1, 1e-3]\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one notebook and a sweep of it; a toy (`sweep_toys`) runs in its place."""
    monkeypatch.chdir(sweep_toys.project(tmp_path))
    monkeypatch.setattr(child, "_COMMAND", sweep_toys.COMMAND)
    monkeypatch.setattr(inputs, "code_hash", lambda: "toys")
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    return tmp_path


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def identity(one):
    return record.identity(inputs.notebook_hash(one.notebook), one.parameters)


def attempts(folder):
    return len((folder / "attempts.txt").read_text().splitlines())


# The file


def test_a_grid_and_a_list(project):
    (project / "mine.yaml").write_text("a: 1\n")
    (project / "sweep.yaml").write_text(
        "notebook: 01_small\nname: all\nset: {nap: 0, rate: 5}\n"
        "grid: {epochs: [1, 2], recipe: [digit, mine.yaml, a/b]}\n"
        "runs:\n- {name: plain, set: {rate: 0.5, recipe: x}}\n- set: {names: [a, b]}\n- notebook: '01'\n"
    )
    sweep = sweeps.read("sweep.yaml")
    assert sweep.folder == project / "outputs" / "data" / "all" and sweep.data == project / "data"
    names = [one.name for one in sweep.runs]
    assert names[0] == "epochs-1_recipe-digit" and len(names) == 9
    assert names[1] == "epochs-1_recipe-mine.yaml" and names[2].startswith("epochs-1_recipe-b-")
    assert names[6] == "plain" and names[7].startswith("names-a.b-") and names[8] == "01_small"
    assert sweep.runs[6].parameters == {
        "data": str(project / "data"), "out": str(sweep.folder / "plain"), "epochs": 1, "rate": 0.5, "nap": 0.0,
        "recipe": "x", "names": [],
    }  # fmt: skip
    assert sweep.runs[0].given == {"nap": 0.0, "rate": 5.0, "epochs": 1, "recipe": "digit"}
    assert sweeps.read("sweep.yaml", out="elsewhere").folder == project / "elsewhere"


def test_settings_of_the_recipe(project, monkeypatch):
    from handlib import recipes

    (project / "mine").mkdir()
    (project / "mine" / "wide.yaml").write_text("base: digit_interhand\nepochs: 3\n")
    text = "notebook: 01\ngrid: {recipe: [digit_interhand, mine/wide.yaml], recipe.seed: [1, 2]}\n"
    (project / "sweep.yaml").write_text(text)
    sweep = sweeps.read("sweep.yaml")
    assert sweep.runs[1].name == "recipe-digit_interhand_recipe.seed-2"
    assert sweeps.run(sweep).state.tolist() == ["done"] * 4
    found = recipes.read(sweep.runs[3].parameters["recipe"])
    assert (found.seed, found.epochs) == (2, 3) and found.lr == recipes.read("digit_interhand").lr
    assert [Path(entry["path"]).name for entry in record.read(sweep.runs[3].folder)["inputs"]] == [
        f"{sweep.runs[3].name}.yaml"
    ]
    for wrong, words in (
        ("recipe.sed: [1]", "field 'grid.recipe.sed'.*\n.*'seed'"),
        ("recipe.lr: [-1]", "grid.recipe.lr"),
    ):
        (project / "sweep.yaml").write_text(f"notebook: 01\nset: {{recipe: digit_interhand}}\ngrid: {{{wrong}}}\n")
        with pytest.raises(InputError, match=words):
            sweeps.read("sweep.yaml")


def test_a_name_does_not_hang_on_the_other_runs(project):
    before = [one.name for one in sweeps.read("sweep.yaml").runs]
    (project / "sweep.yaml").write_text(SWEEP.replace("[1, 2]", "[3, 1, 2]"))
    assert set(before) < {one.name for one in sweeps.read("sweep.yaml").runs}
    assert before == ["epochs-1_rate-0.1", "epochs-1_rate-0.001", "epochs-2_rate-0.1", "epochs-2_rate-0.001"]
    (project / "sweep.yaml").write_text(f"notebook: 01\ngrid: {{recipe: [{'a' * 300}/x, {'b' * 300}/x]}}\n")
    assert len({one.name for one in sweeps.read("sweep.yaml").runs}) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("notebok: 01\n", "field 'notebok'.*\n.*did you mean 'notebook'"),
        ("notebook: 01\n", "field 'grid': describes no runs"),
        ("grid: {epochs: [1]}\n", "field 'notebook': is missing"),
        ("notebook: 09\ngrid: {epochs: [1]}\n", "field 'notebook': no notebook is called '09'.*\n.*01_small"),
        ("notebook: 01\ngrid: {epochs: 1}\n", "field 'grid.epochs': must be a list, not 1"),
        ("notebook: 01\ngrid: {epochs: []}\n", "field 'grid.epochs': has no values"),
        ("notebook: 01\ngrid: {epoch: [1]}\n", "sweep.yaml: field 'grid.epoch': there is no such.*\n.*'epochs'"),
        ("notebook: 01\ngrid: {epochs: [1, two]}\n", "sweep.yaml: field 'grid.epochs': takes .* not 'two'"),
        ("notebook: 01\ngrid: {epochs: [1.5]}\n", "field 'grid.epochs'"),
        ("notebook: 01\ngrid: {rate: [true]}\n", "field 'grid.rate'"),
        ("notebook: 01\nset: {epochs: 1}\ngrid: {epochs: [1]}\n", "field 'grid.epochs': stands in 'set', too"),
        ("notebook: 01\nset: {out: x}\ngrid: {epochs: [1]}\n", "field 'grid.out': cannot be set"),
        ("notebook: 01\ngrid: {data: [x]}\n", "field 'grid.data': cannot be set"),
        ("notebook: 01\ngrid: {epochs: [1, 1]}\n", "runs 'epochs-1' and 'epochs-1' are the same"),
        ("notebook: 01\nruns: [{name: a, set: {epochs: 2}}, {name: A}]\n", "two runs are named"),
        ("notebook: 01\nruns: [{name: ../a}]\n", r"field 'runs\[0\].name': '../a' cannot name a folder"),
        ("notebook: 01\nruns: [{name: .a}]\n", "cannot name a folder"),
        ("notebook: 01\nruns: [{name: a, sets: 1}]\n", r"runs\[0\]: field 'sets'"),
        ("notebook: 01\nruns: [{}]\n", r"field 'runs\[0\]': neither has a name"),
        ("notebook: 01\nruns: [1]\n", r"field 'runs\[0\]': must be 'name: value' pairs"),
        ("notebook: 01\nname: a/b\nruns: [{name: a}]\n", "field 'name': 'a/b' cannot name a folder"),
        ("notebook: 01\nruns: [{name: a, set: {names: [2020-01-01]}}]\n", r"'runs\[0\].names': is no plain value"),
        (f"notebook: 01\ngrid: {{epochs: {[1] * 200}, rate: {[1] * 200}}}\n", "makes 40000 runs"),
        ("notebook: 01\ngrid: {epochs: [1]}\ngrid: {rate: [1]}\n", "a name stands here twice"),
        ("notebook: 01\ndata: nowhere\ngrid: {epochs: [1]}\n", "nowhere: does not exist"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_before_anything_runs(project, capsys, text, words):
    (project / "sweep.yaml").write_text(text)
    assert cli.main(["batch", "sweep.yaml"]) == 2
    assert re.search(words, capsys.readouterr().err)
    assert not (project / "outputs").exists()


def test_a_folder_that_holds_anything_else_is_left_alone(project):
    (project / "outputs" / "data" / "sweep").mkdir(parents=True)
    (project / "outputs" / "data" / "sweep" / "receipt.json").write_text("{}")
    with pytest.raises(InputError, match="outputs/data/sweep: holds something else"):
        sweeps.read("sweep.yaml")


# When a run is done


@pytest.fixture
def finished(project, monkeypatch):
    """A run that is done, in its folder; it read a file, a folder and a recipe that a parameter names."""
    (project / "mine.yaml").write_text("base: digit\n")
    (project / "tree").mkdir()
    (project / "weights").write_text("one")
    (project / "sweep.yaml").write_text("notebook: 01\nset: {recipe: mine.yaml}\ngrid: {epochs: [1]}\n")
    one = sweeps.read("sweep.yaml").runs[0]
    found = record.begin(one.folder, identity(one), {"run": one.name})
    monkeypatch.setenv(inputs.VARIABLE, str(one.folder / record.NOTES))
    record.note_named(one.parameters)
    (one.folder.parent / plan.MARK).write_text("{}")
    inputs.note("file", project / "weights")
    inputs.note("tree", project / "tree")
    inputs.note("tree", project / "bodies")  # is not there
    inputs.note("file", one.folder / "own.txt")  # its own
    monkeypatch.delenv(inputs.VARIABLE)
    (one.folder / "receipt.json").write_text("{}")
    (one.folder / "own.txt").write_text("result")
    record.end(one.folder, found, state=record.DONE, seconds=1.0, error=None)
    return one


def is_done(one):
    inputs._file_once.cache_clear()
    again = sweeps.read("sweep.yaml").runs[0]
    return record.done(again.folder, identity(again))


def test_a_run_is_done_until_something_that_decided_it_changes(finished, project, monkeypatch):
    assert is_done(finished)
    assert [Path(entry["path"]).name for entry in record.read(finished.folder)["inputs"]] == [
        "mine.yaml", "weights", "tree", "bodies",
    ]  # fmt: skip
    changes = {
        "mine.yaml": lambda: (project / "mine.yaml").write_text("base: digit\nseed: 2\n"),
        "weights": lambda: (project / "weights").write_text("two"),
        "tree": lambda: (project / "tree" / "picture.jpg").write_text(""),
        "bodies": lambda: (project / "bodies").mkdir(),
        "receipt": lambda: (finished.folder / "receipt.json").write_text('{"a": 1}'),
        "parameter": lambda: (project / "sweep.yaml").write_text("notebook: 01\ngrid: {epochs: [1]}\n"),
    }
    undo = {
        "mine.yaml": lambda: (project / "mine.yaml").write_text("base: digit\n"),
        "weights": lambda: (project / "weights").write_text("one"),
        "tree": lambda: (project / "tree" / "picture.jpg").unlink(),
        "bodies": lambda: (project / "bodies").rmdir(),
        "receipt": lambda: (finished.folder / "receipt.json").write_text("{}"),
        "parameter": lambda: (project / "sweep.yaml").write_text(
            "notebook: 01\nset: {recipe: mine.yaml}\ngrid: {epochs: [1]}\n"
        ),
    }
    for name, change in changes.items():
        change()
        assert not is_done(finished), name
        undo[name]()
        assert is_done(finished), name
    text = finished.notebook.read_text()
    finished.notebook.write_text(text.replace("epochs < 5", "epochs < 6"))
    assert not is_done(finished)
    finished.notebook.write_text(text.replace('"outputs": []', '"outputs": [ ]').replace("null", "3"))  # run in Jupyter
    assert is_done(finished)
    monkeypatch.setattr(inputs, "code_hash", lambda: "another")
    assert not is_done(finished)


def test_a_project_that_moved_is_the_same(finished, project, monkeypatch):
    before = identity(finished)
    moved = project.rename(project.with_name("moved"))
    monkeypatch.chdir(moved)
    again = sweeps.read("sweep.yaml").runs[0]
    assert identity(again) == before


def test_begun_again(finished):
    """The same goes on in its folder; another starts anew, and the result stays until there is a new one."""
    now = identity(finished)
    record.write(finished.folder, record.read(finished.folder) | {"state": record.FAILED})
    found = record.begin(finished.folder, now, {})
    assert (finished.folder / "own.txt").exists() and len(found["inputs"]) == 4
    record.end(finished.folder, found, state=record.DONE, seconds=1.0, error=None)
    before = finished.folder.with_name(finished.folder.name + ".before")
    found = record.begin(finished.folder, now | {"code": "another"}, {})
    assert (before / "own.txt").exists() and not (finished.folder / "own.txt").exists() and not found["inputs"]
    found = record.begin(finished.folder, now | {"code": "a third"}, {})
    assert before.exists()
    record.end(finished.folder, found, state=record.DONE, seconds=1.0, error=None)
    assert not before.exists()
    (finished.folder / record.FILE).rename(finished.folder / "other.json")
    with pytest.raises(InputError, match="no run of a sweep"):
        record.begin(finished.folder, now, {})


def test_whoever_reads_notes_it(tmp_path, monkeypatch):
    from handlib import bodies, datasets, networks, packs
    from handlib.packs import layout

    monkeypatch.setenv(inputs.VARIABLE, str(tmp_path / "run" / "inputs.jsonl"))
    (tmp_path / "run").mkdir()
    (tmp_path / "checkpoint").mkdir()
    for name in inputs.CHECKPOINT:
        (tmp_path / "checkpoint" / name).write_text(name)
    assert inputs.kind_of(tmp_path / "checkpoint") == "file" and inputs.kind_of(tmp_path) == "tree"
    before = inputs.identity("file", tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "network.json").write_text("other")
    assert inputs.identity("file", tmp_path / "checkpoint") != before
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "manifest.json").write_text("{}")
    assert inputs.kind_of(tmp_path / "pack") == "pack" and inputs.identity("pack", tmp_path / "pack") is None
    manifest = {
        "format": layout.FORMAT,
        "samples": 0,
        "dataset": "ho3d",
        "split": "train",
        "options": {},
        "skipped": {},
    }
    manifest |= {"shards": [], "images": [], "arrays": {}, "files": {"a": {"size": 1, "sha256": ""}}}
    manifest["hash"] = layout.manifest_hash(manifest)
    (tmp_path / "pack" / "manifest.json").write_text(json.dumps(manifest))
    readers = (
        lambda: packs.open(tmp_path / "pack"),  # no whole one
        lambda: bodies.load(tmp_path / "nothing", "mano_right"),
        lambda: networks.load(tmp_path / "pack" / "manifest.json"),
        lambda: datasets.read("ho3d", tmp_path / "checkpoint", "train"),
    )
    for reader in readers:
        with pytest.raises(InputError):
            reader()
    bodies.load(None, "mano_right")
    (tmp_path / "run" / "inputs.jsonl").open("a").write('{"kind": "fi')  # its writer was killed
    entries = inputs.noted(tmp_path / "run" / "inputs.jsonl")
    assert [(entry["kind"], Path(entry["path"]).name) for entry in entries] == [
        ("pack", "pack"), ("tree", "nothing"), ("file", "manifest.json"), ("tree", "checkpoint"),
    ]  # fmt: skip
    assert entries[0]["identity"] == manifest["hash"] and entries[1]["identity"] is None and not inputs.changed(entries)


# Running


def test_a_sweep_of_notebooks(tmp_path, monkeypatch, capsys):
    """The notebooks themselves: two that end well and one that fails, two at a time; and again."""
    monkeypatch.chdir(sweep_toys.project(tmp_path))
    (tmp_path / "sweep.yaml").write_text("notebook: 01\ngrid: {epochs: [1, 7, 2]}\n")
    assert cli.main(["batch", "sweep.yaml", "--jobs", "2"]) == 1
    said = capsys.readouterr().out
    folder = tmp_path / "outputs" / "data" / "sweep"
    assert f"2 of 3 runs done: {folder}/summary.csv" in said
    assert re.search(r"failed: epochs-7: 01_small.ipynb: cell \[\d\] `assert epochs < 5.* failed with Assertion", said)
    table = pd.read_parquet(folder / "summary.parquet")
    assert list(table.run) == ["epochs-1", "epochs-7", "epochs-2"] and list(table.state) == ["done", "failed", "done"]
    assert table.mpjpe_mm[[0, 2]].tolist() == [0.1, 0.2] and "AssertionError: too many epochs" in table.error[1]
    receipt = Path(table.receipt[0])
    assert receipt == folder / "epochs-1" / "receipt.json" and table.receipt_sha256[0] == inputs.sha256(receipt)
    assert (folder / "epochs-1" / "01_small.html").exists() and (folder / "epochs-7" / "01_small.failed.html").exists()
    assert all((folder / f"summary.{suffix}").exists() for suffix in ("csv", "md", "tex", "html"))
    assert {path.name for path in folder.iterdir() if path.name.startswith(".")} == set()


def test_what_is_done_is_not_done_again(project, capsys):
    folder = project / "outputs" / "data" / "sweep"
    (project / "sweep.yaml").write_text(SWEEP.replace("[1, 2]", "[1, 7]"))
    assert cli.main(["batch", "sweep.yaml", "--jobs", "4"]) == 1
    assert cli.main(["batch", "sweep.yaml"]) == 1
    assert "2 of 4 runs are done already" in capsys.readouterr().err
    counts = {path.name: attempts(path) for path in folder.iterdir() if path.is_dir()}
    assert counts == {
        "epochs-1_rate-0.1": 1,
        "epochs-1_rate-0.001": 1,
        "epochs-7_rate-0.1": 2,
        "epochs-7_rate-0.001": 2,
    }
    (project / "sweep.yaml").write_text(SWEEP.replace("[1, 2]", "[1]").replace("nap: 0", "names: [a]"))
    assert cli.main(["batch", "sweep.yaml", "--jobs", "2"]) == 0
    assert attempts(folder / "epochs-1_rate-0.1") == 1  # anew: the old folder gave way
    assert "names" in pd.read_csv(folder / "summary.csv")


def batch(project, *words):
    """`handlib batch` in a process of its own, with the toy."""
    code = "import sys, sweep_toys\nfrom handlib import cli\nsweep_toys.settle()\nsys.exit(cli.main(sys.argv[1:]))"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", code, "batch", "sweep.yaml", *words]
    return subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_ended_in_the_middle_it_leaves_no_process_and_goes_on(project, number, code):
    folder = project / "outputs" / "data" / "sweep"
    (project / "sweep.yaml").write_text("notebook: 01\nset: {nap: 300}\ngrid: {epochs: [1, 2, 3]}\n")
    running = batch(project, "--jobs", "2")
    halves = [folder / f"epochs-{epochs}" / "half" for epochs in (1, 2)]
    wait_for(lambda: all(half.exists() for half in halves))
    with pytest.raises(InputError, match=f"another batch works on this sweep .process {running.pid} on"):
        child_grace, child.GRACE = child.GRACE, 0.2
        try:
            sweeps.run(sweeps.read("sweep.yaml"))
        finally:
            child.GRACE = child_grace
    family = psutil.Process(running.pid).children(recursive=True)
    assert {int(half.read_text()) for half in halves} <= {one.pid for one in family} and len(family) == 4
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == code and (number == signal.SIGKILL or "run the same command again" in said)
    assert not psutil.wait_procs(family, timeout=20)[1]
    assert list(pd.read_csv(folder / "summary.csv").state) == ["waiting"] * 3
    (project / "sweep.yaml").write_text("notebook: 01\nset: {nap: 300}\ngrid: {epochs: [1, 2]}\n")
    assert cli.main(["batch", "sweep.yaml", "--jobs", "2"]) == 0  # at once: each went on where it was
    assert [attempts(half.parent) for half in halves] == [2, 2]


def test_a_run_that_another_process_has_under_way_waits_then_fails(project, monkeypatch):
    (project / "sweep.yaml").write_text("notebook: 01\ngrid: {epochs: [1]}\n")
    one = sweeps.read("sweep.yaml").runs[0]
    toy = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import sweep_toys; "
    toy += "child = sweep_toys.child; sweep_toys.settle(); child.LOCK_PATIENCE = 0.2; child.main()"
    monkeypatch.setattr(child, "_COMMAND", (sys.executable, "-c", toy))
    with locked(one.folder.with_name(f".{one.folder.name}.lock"), "busy", "wait"):
        table = sweeps.run(sweeps.read("sweep.yaml"))
    assert table.state[0] == "failed" and "another process runs it" in table.error[0]


def test_a_process_that_ends_by_itself_is_named(project, monkeypatch):
    (project / "sweep.yaml").write_text("notebook: 01\ngrid: {epochs: [1, 2]}\n")
    for ending, words in (("os.kill(os.getpid(), 9)", "SIGKILL (out of memory?)"), ("os._exit(3)", "with code 3")):
        monkeypatch.setattr(child, "_COMMAND", (sys.executable, "-c", f"import os; {ending}"))
        table = sweeps.run(sweeps.read("sweep.yaml"), jobs=2)
        assert list(table.state) == ["failed"] * 2 and all(words in error for error in table.error)


def test_gpus_are_shared_out(monkeypatch):
    from handlib.sweeps import running

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert running._gpus(3) == ["2", "3", "2"] and running._gpus(1) == [None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert running._gpus(2) == [None, None]


def test_the_figures_of_a_receipt(tmp_path):
    """Those that a table of methods shows; of two protocols with a figure of one name, both."""
    from handlib.sweeps import summary

    one = {"protocol": "interhand", "split": "test", "mpjpe_all_mm": 1.0, "mrrpe_mm": None, "r_wrist_all_mm": 9.0}
    rows = [one, {"protocol": "mine, quirk=True", "method": "x", "mpjpe_all_mm": 2.0}]
    (tmp_path / "receipt.json").write_text(json.dumps({"results": rows}))
    assert summary._figures(tmp_path / "receipt.json") == {
        "protocol": "interhand", "mpjpe_all_mm": 1.0, "mrrpe_mm": None,
        "mine, quirk=True: protocol": "mine, quirk=True", "mine, quirk=True: mpjpe_all_mm": 2.0,
    }  # fmt: skip
    (tmp_path / "receipt.json").write_text("{}")
    assert summary._figures(tmp_path / "receipt.json") == {}


def test_a_table_that_takes_long_is_written_less_often(project, monkeypatch):
    from handlib import tables
    from handlib.sweeps import summary

    written = []
    monkeypatch.setattr(
        tables, "export", lambda frame, folder, name: (time.sleep(0.05), written.append(list(frame.state)))
    )
    table = summary.Summary(sweeps.read("sweep.yaml"), {})
    assert table.write() is None and table.write() is None and len(written) == 1  # it stands there
    table.add("epochs-1_rate-0.1", {"state": "done", "seconds": 1.0})
    again = table.write()
    assert 0.1 <= again < 5 and len(written) == 1
    time.sleep(again)
    assert table.write() is None and written[1][0] == "done"
    table.add("epochs-2_rate-0.1", {"state": "failed", "error": "x"})
    assert table.write(now=True) is None and written[2][2] == "failed"


# On a cluster


@pytest.fixture(scope="module")
def client():
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    from handlib import cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "require_same_code", sweep_toys.settle_workers)
        with cluster.connect(local=2) as client:
            yield client


def test_a_worker_that_is_killed(project, client):
    """Its run is done by the other one, which goes on in the run's folder; the rest is as it was."""
    folder = project / "outputs" / "data" / "sweep"
    (project / "sweep.yaml").write_text(
        "notebook: 01\nruns: [{name: a, set: {nap: 300}}, {name: b}, {name: c, set: {epochs: 7}}]\n"
    )
    killed = []

    def kill():
        wait_for((folder / "a" / "half").exists)
        toy = psutil.Process(int((folder / "a" / "half").read_text()))
        worker = toy.parent().parent()
        killed.append((toy, worker.pid))
        worker.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    table = sweeps.run(sweeps.read("sweep.yaml"), client=client)
    thread.join()
    assert list(table.state) == ["done", "done", "failed"] and "cell [3]" in table.error[2]
    assert attempts(folder / "a") == 2 and killed[0][1] not in client.run(os.getpid).values()
    assert not psutil.wait_procs([killed[0][0]], timeout=10)[1]


def test_a_batch_that_is_killed_ends_its_runs_on_the_cluster(project, client):
    folder = project / "outputs" / "data" / "sweep"
    (project / "sweep.yaml").write_text("notebook: 01\nset: {nap: 300}\ngrid: {epochs: [1, 2]}\n")
    running = batch(project, "--scheduler", client.scheduler.address)
    halves = [folder / f"epochs-{epochs}" / "half" for epochs in (1, 2)]
    wait_for(lambda: all(half.exists() for half in halves))
    family = [psutil.Process(int(half.read_text())) for half in halves]
    running.kill()
    running.communicate()
    assert not psutil.wait_procs(family, timeout=30)[1]
    table = sweeps.run(sweeps.read("sweep.yaml"), client=client)
    assert list(table.state) == ["done"] * 2 and [attempts(half.parent) for half in halves] == [2, 2]


def test_a_worker_that_does_not_see_the_folder(project, client, monkeypatch):
    from handlib.sweeps import running

    (project / "sweep.yaml").write_text("notebook: 01\ngrid: {epochs: [1]}\n")
    monkeypatch.setattr(running, "write_text", lambda path, token: None)  # as another file system under the same path
    monkeypatch.setattr(running, "SEEN_WITHIN", 1.0)
    client.run(sweep_toys.hurry)
    table = sweeps.run(sweeps.read("sweep.yaml"), client=client)
    assert table.state[0] == "failed" and "does not see" in table.error[0] and "worker tcp://127" in table.error[0]
