import json

import nbformat
import pandas as pd
import pytest
from matplotlib.figure import Figure

from handlib import cli, runs, walkthrough
from handlib.files import InputError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one notebook: two parameters, a derived value, a cell that may fail."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    cells = [
        nbformat.v4.new_markdown_cell("# A small one"),
        nbformat.v4.new_code_cell('data = "data"\nout = ""\nepochs = 1\nrate = 0.1', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell('import handlib\nrun = handlib.runs.start("01_small", data=data, out=out)'),
        nbformat.v4.new_code_cell('assert epochs < 5, "too many epochs"'),
        nbformat.v4.new_code_cell('import pandas\nrun.table("result", pandas.DataFrame({"epochs": [epochs]}))'),
        nbformat.v4.new_code_cell("run.finish(seed=1)"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "01_small.ipynb")
    return tmp_path


def test_a_run_leaves_its_folder_whole(project):
    folder = runs.run_notebook("01", {"epochs": "2"})
    assert folder == project / "outputs" / "data" / "01_small"
    assert sorted(path.name for path in folder.iterdir()) == [
        "01_small.html",
        "01_small.ipynb",
        "receipt.json",
        "tables",
    ]
    assert pd.read_csv(folder / "tables" / "result.csv").epochs.item() == 2
    receipt = json.loads((folder / "receipt.json").read_text())
    assert receipt["seed"] == 1 and receipt["tables"] == ["result"] and receipt["packages"]["torch"]


def test_a_failing_cell_is_named_and_the_old_result_stays(project, capsys):
    folder = runs.run_notebook("01")
    before = (folder / "01_small.ipynb").read_bytes()
    assert cli.main(["run", "01", "--set", "epochs=7"]) == 1
    assert (
        'cell [4] `assert epochs < 5, "too many epochs"` failed with AssertionError: too many epochs'
        in capsys.readouterr().err
    )
    assert (folder / "01_small.ipynb").read_bytes() == before
    assert (folder / "01_small.failed.ipynb").exists() and (folder / "01_small.failed.html").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("epoch=2", "did you mean 'epochs'"),
        ("epochs=two", "give a int"),
        ("epochs=1.5", "give a int"),
        ("x", "NAME=VALUE"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(project, capsys, setting, words):
    assert cli.main(["run", "01", "--set", setting]) == 2
    assert words in capsys.readouterr().err
    assert not (project / "outputs").exists()


def test_types_follow_the_notebook(project):
    notebook = runs.find_notebook("01_small")
    assert runs.checked(notebook, {"rate": "1"}) == {"rate": 1.0}
    assert runs.checked(notebook, {"data": "12"}) == {"data": "12"}
    with pytest.raises(InputError, match="not True"):
        runs.checked(notebook, {"epochs": "true"})
    with pytest.raises(InputError) as endless:
        runs.checked(notebook, {"epochs": [0] * 10_000})
    assert "(int), not [0, 0, 0" in str(endless.value) and len(str(endless.value)) < 500


def test_an_unknown_notebook_or_data_root(project):
    with pytest.raises(InputError, match="01_small"):
        runs.find_notebook("03")
    with pytest.raises(InputError, match="make demo"):
        runs.start("01_small", data="nowhere")


def test_paths_count_from_the_project_even_inside_notebooks(project, monkeypatch):
    monkeypatch.chdir(project / "notebooks")
    assert runs.from_root("data/x") == project / "data" / "x"
    assert runs.start("01_small", data="data").packs == project / "outputs" / "data" / "packs"


def test_figures_are_written_by_kind(project):
    run = runs.start("01_small", data="data")
    assert run.figure("line", Figure()).suffix == ".png"
    assert run.figure("picture", [[[0.0, 0.5, 1.0]]]).suffix == ".png"


@pytest.fixture
def choosing(project):
    """The project with a second notebook, which takes a data set, and a data root that holds two."""
    cells = [
        nbformat.v4.new_code_cell('data = "data"\nout = ""\ndataset = "interhand"', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            'import handlib\nrun = handlib.runs.start("02_choice", data=data, out=out, dataset=dataset)'
        ),
        nbformat.v4.new_code_cell('import pandas\nrun.table("which", pandas.DataFrame({"dataset": [dataset]}))'),
        nbformat.v4.new_code_cell("run.finish()"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), project / "notebooks" / "02_choice.ipynb")
    for folder in ("InterHand", "OakInk"):
        (project / "data" / folder).mkdir()
    return project


def test_another_choice_than_the_notebooks_own_has_its_own_folder(choosing):
    outputs = choosing / "outputs" / "data"
    assert runs.start("02_choice", "data", dataset="interhand").folder == outputs / "02_choice"
    assert runs.start("02_choice", "data", dataset="oakink").folder == outputs / "02_choice_oakink"
    assert runs.start("02_choice", "data", "here", dataset="oakink").folder == choosing / "here"
    assert runs.start("02_choice", "data", dataset="mine/set.yaml").folder == outputs / "02_choice_set"
    folder = runs.run_notebook("02", {"dataset": "oakink"})
    assert folder == outputs / "02_choice_oakink" and (folder / "02_choice.html").exists()
    assert (folder / "receipt.json").exists() and pd.read_csv(
        folder / "tables" / "which.csv"
    ).dataset.item() == "oakink"


def test_the_walk_through_runs_a_notebook_for_every_data_set_there(choosing, capsys):
    folders = walkthrough.walk("data", {"01_small": {"epochs": "3"}}, 2)
    assert [folder.name for folder in folders] == ["01_small", "02_choice", "02_choice_oakink"]
    said = capsys.readouterr().out
    assert f"{folders[2]}/02_choice.html" in said and "oakink" in said
    assert pd.read_csv(folders[0] / "tables" / "result.csv").epochs.item() == 3
    (choosing / "data" / "OakInk").rmdir()
    assert [folder.name for folder in walkthrough.walk("data", jobs=1)] == ["01_small", "02_choice"]


def test_the_walk_through_names_the_notebook_that_failed_and_ends_those_beside_it(choosing, capsys):
    with pytest.raises(RuntimeError, match="02_choice.ipynb: field 'colour'"):
        walkthrough.walk("data", {"02_choice": {"colour": "red"}}, 2)
    said = capsys.readouterr().out
    assert "dataset=oakink colour=red: failed" in said and "dataset=interhand colour=red: failed" in said


def test_options_of_a_pack_from_the_command_line(tmp_path, monkeypatch, capsys):
    from handlib import packs

    asked = []
    monkeypatch.setattr(packs, "write", lambda *place, **options: asked.append((place, options)) or range(3))
    words = ["pack", "mscoco", "data/MSCOCO", "train", str(tmp_path), "--set", "part=hand", "--set", "cameras=none"]
    assert cli.main([*words, "--set", "every=5"]) == 0
    options = dict(workers=None, client=None, part="hand", cameras=None, every=5)
    assert asked == [(("mscoco", "data/MSCOCO", "train", str(tmp_path)), options)]
    assert cli.main([*words, "--set", "every"]) == 2
    assert "has no '='" in capsys.readouterr().err
