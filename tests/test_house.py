"""The house itself: pins, notebooks, arrows between modules, what the package must not name."""

import ast
import re
import subprocess
import sys

import nbformat
import pytest
import yaml

from handlib import runs

NOTEBOOKS = runs.notebooks()


def test_environment_yml_equals_the_lock(root):
    lock = [line for line in (root / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    dependencies = yaml.safe_load((root / "environment.yml").read_text())["dependencies"]
    assert dependencies[-1]["pip"] == lock
    assert "torch==2.13.0" in lock
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+", line) for line in lock)


@pytest.mark.parametrize(
    "refused", "chumpy torchgeometry mmcv mmpose opendr pyrender pytorch3d torchvision manopth".split()
)
def test_refused_packages_are_not_pinned(root, refused):
    assert f"\n{refused}==" not in (root / "requirements.lock").read_text()


def test_import_brings_in_no_heavy_package():
    heavy = ("torch", "numpy", "cv2", "pandas", "plotly")
    code = f"import sys, handlib, handlib.cli; print([m for m in {heavy} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_lower_modules_know_nothing_of_upper_ones(root):
    allowed = {"fields": set(), "geometry": set(), "atomic": set(), "files": {"atomic"}}
    for name, may in allowed.items():
        assert _imports(root / "handlib" / f"{name}.py") <= may
    for path in (root / "handlib" / "networks").rglob("*.py"):
        assert not _imports(path) & {"datasets", "packs", "training", "viewer"}, path
    for path in (root / "handlib" / "datasets").rglob("*.py"):
        assert not _imports(path) & {"networks", "training", "viewer", "packs"}, path


def _imports(path):
    """Names of the handlib modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "handlib":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("handlib.")}
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_house_rules(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].metadata.get("tags") == ["parameters"], "the first code cell holds the parameters"
    assert {"data", "out"} <= set(runs.parameters(path))
    assert f'"{path.stem}"' in code[1].source, "the second one derives the run from them"
    assert 5 <= len(code) - 2 <= 15
    for cell in code:
        assert not cell.outputs and cell.execution_count is None, "sources carry no outputs"
        assert len(cell.source.splitlines()) <= 15
        nodes = list(ast.walk(ast.parse(cell.source)))
        assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda) for node in nodes)
        strings = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        assert not any(text.startswith(("/", "~")) for text in strings), "no absolute path"


def test_nothing_loads_plain_pickles_or_runs_code_from_files(root):
    for path in [*(root / "handlib").rglob("*.py"), *(root / "tools").rglob("*.py")]:
        text = path.read_text()
        assert not re.search(
            r"(?<!safe_)pickle\.loads?\(|weights_only\s*=\s*False|allow_pickle\s*=\s*True|yaml\.load\(|[^.\w]eval\(",
            text,
        ), path


def test_files_fit_in_ones_head(root):
    long = {
        path.name: count
        for path in (root / "handlib").rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 420
    }
    assert not long, long
