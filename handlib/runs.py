"""Run folders, receipts and the notebook runner.

A run leaves ``outputs/<data folder's name>/<notebook>/``: figures, tables, checkpoints and ``receipt.json``; the runner
adds the executed notebook and its HTML report.
"""

import ast
import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from handlib.files import InputError, read_text, require, require_known, shown, write_atomic, write_json

PACKAGES = ("handlib", "torch", "numpy", "opencv-python", "lightning", "smplx", "embreex", "pandas")
PICTURES, TABLES = "figures", "tables"
CHOICES = ("dataset", "recipe", "subject")  # parameters of notebooks whose runs lie side by side


def project_root():
    """The nearest folder at or above the working directory that holds ``notebooks/``, else the working directory.

    JupyterLab starts a kernel inside ``notebooks/``, the runner in the project's root: a relative path means the same.
    """
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "notebooks").is_dir()), here)


def from_root(path):
    """An absolute path; a relative one counts from the project's root."""
    path = Path(path).expanduser()
    return path if path.is_absolute() else Path(os.path.normpath(project_root() / path))


def data_outputs(data):
    """``outputs/<data folder's name>``: where everything made from one data root goes."""
    return from_root("outputs") / from_root(data).name


class Run:
    """The folder of one run: ``folder``, ``data`` (the data root), ``packs`` (the packs made from that root)."""

    def __init__(self, name, data, folder):
        self.name, self.data, self.folder = name, from_root(data), Path(folder)
        self.packs = data_outputs(data) / "packs"
        self.started = datetime.datetime.now(datetime.UTC)
        self.written = {PICTURES: [], TABLES: []}
        self.folder.mkdir(parents=True, exist_ok=True)

    def figure(self, name, figure):
        """Write a matplotlib figure or an image array as PNG, a plotly figure as stand-alone HTML; returns the path."""
        suffix = ".html" if hasattr(figure, "write_html") else ".png"
        path = self.folder / PICTURES / f"{name}{suffix}"
        with write_atomic(path) as temporary:
            if suffix == ".html":
                figure.write_html(temporary, include_plotlyjs=True)
            elif hasattr(figure, "savefig"):
                figure.savefig(temporary, dpi=120, bbox_inches="tight")
            else:
                _write_png(temporary, figure)
        self.written[PICTURES].append(path.name)
        return path

    def table(self, name, frame):
        """Write a DataFrame as CSV, Parquet, LaTeX, Markdown and HTML; returns the frame, for a cell to end with."""
        from handlib import tables

        tables.export(frame, self.folder / TABLES, name)
        self.written[TABLES].append(name)
        return frame

    def finish(self, **facts):
        """Write receipt.json: commit, seed, device, versions and what the run states about itself; returns its path.

        Facts by convention: recipe, overrides, pack (manifest hash), checkpoint (hash), seed, device, protocol,
        results (`handlib.tables.record`).
        """
        seconds = (datetime.datetime.now(datetime.UTC) - self.started).total_seconds()
        receipt = {
            "run": self.name,
            "data": self.data,
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(seconds, 1),
            "commit": commit(),
            "python": platform.python_version(),
            "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
            **self.written,
            **facts,
        }
        path = self.folder / "receipt.json"
        write_json(path, receipt)
        return path


def start(name, data="data/demo", out="", **choices):
    """Open the run ``name`` (a notebook's stem) on the data root ``data``.

    ``out`` is the run folder; empty means ``outputs/<data folder's name>/<name>``. choices: parameters (`CHOICES`) that
    give a run a folder of its own, ``<name>_<choice>``, where they differ from the notebook's default: another data set
    or recipe. Raises InputError when there is no such ``data``.
    """
    data = from_root(data)
    mend = "`make demo` (or `handlib demo`) makes data/demo; for your own data see README.md, 'Where each file goes'"
    require(data, mend)
    notebook = project_root() / "notebooks" / f"{name}.ipynb"
    own = parameters(notebook) if choices and notebook.exists() else {}
    others = [Path(value).stem for choice, value in choices.items() if value != own.get(choice, value)]
    return Run(name, data, from_root(out) if out else data_outputs(data) / "_".join([name, *others]))


def processors():
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit():
    """The checkout's commit, with '+' when tracked files differ from it; None outside a git checkout."""

    def git(*words):
        return subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout

    try:
        return git("rev-parse", "HEAD").strip() + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _write_png(path, image):
    import numpy as np

    from handlib import pictures

    image = np.asarray(image)
    if image.dtype != np.uint8:
        image = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    pictures.write(path, image)


# ---------------------------------------------------------------------------------------------- the notebook runner


def find_notebook(name):
    """``"05"``, ``"05_train_interacting"`` or a path -> the notebook's path; InputError lists what there is."""
    if str(name).endswith(".ipynb") and Path(name).exists():
        return Path(name)
    folder = project_root() / "notebooks"
    found = [path for path in notebooks() if path.stem == str(name) or path.stem.split("_")[0] == str(name)]
    if len(found) != 1:
        names = ", ".join(path.stem for path in notebooks())
        raise InputError(folder, f"no notebook is called '{name}'", f"name one of: {names or 'none here'}")
    return found[0]


def notebooks():
    """The walk-through's notebooks in order."""
    return sorted((project_root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def parameters(notebook):
    """``{name: default}`` of the cell tagged ``parameters``; its values must be plain literals."""
    import nbformat

    text = read_text(notebook, "give a notebook's .ipynb")
    try:
        cells = nbformat.reads(text, as_version=4).cells
        tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    except Exception as error:  # nbformat takes the text for what it should be
        problem = f"is no whole notebook ({type(error).__name__}: {error})"[:1000]
        raise InputError(notebook, problem, "mend its JSON, or fetch it again") from error
    if len(tagged) != 1:
        raise InputError(notebook, f"{len(tagged)} cells are tagged 'parameters'", "tag exactly one cell")
    try:
        assignments = [node for node in ast.parse(tagged[0].source).body if isinstance(node, ast.Assign)]
        return {node.targets[0].id: ast.literal_eval(node.value) for node in assignments}
    except (SyntaxError, ValueError, TypeError, AttributeError, MemoryError, RecursionError) as error:
        mend = "write one 'name = value' a line, plain numbers, texts and lists"
        raise InputError(notebook, f"cannot be read ({error})"[:1000], mend, field="parameters") from error


def checked(notebook, given):
    """``given`` (values, or text from the command line) with the notebook's own types.

    Raises InputError for an unknown name (naming the nearest right one) or a value of another type.
    """
    defaults = parameters(notebook)
    require_known(given, defaults, notebook, "parameter")
    return {name: _as_type_of(defaults[name], value, notebook, name) for name, value in given.items()}


def settings(texts):
    """{name: text} of --set NAME=VALUE."""
    pairs = [text.partition("=") for text in texts]
    wrong = next((text for text, (_, equals, _) in zip(texts, pairs, strict=True) if not equals), None)
    if wrong is not None:
        raise InputError("--set", f"'{wrong}' has no '='", "write --set NAME=VALUE")
    return {name: value for name, _, value in pairs}


def literal(text):
    """The value that a text from the command line means: a number, a list, true, false, none, or else the text."""
    try:
        return ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(text.lower(), text))
    except (ValueError, SyntaxError):
        return text


def _as_type_of(default, value, notebook, name):
    if isinstance(value, str) and not isinstance(default, str):
        value = literal(value)  # or text, which is refused below
    kinds = (int, float) if type(default) is float else type(default)
    fits = isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)
    if default is None or fits:
        return float(value) if type(default) is float else value
    kind = type(default).__name__
    problem = f"takes a value like {default!r} ({kind}), not {shown(value)}"
    raise InputError(notebook, problem, f"give a {kind}", field=name)


def run_notebook(name, given=None, data=None, out=None):
    """Run a notebook headless; returns its run folder.

    The executed copy and its HTML report appear in the run folder when the last cell has ended. When a cell fails they
    appear as ``<name>.failed.ipynb`` and ``.failed.html``, and RuntimeError names the cell.
    """
    notebook = find_notebook(name)
    given = dict(given or {})
    given.update({key: str(value) for key, value in (("data", data), ("out", out)) if value})
    values = checked(notebook, given)
    merged = {**parameters(notebook), **values}
    choices = {name: merged[name] for name in CHOICES if name in merged}
    folder = start(notebook.stem, merged["data"], merged["out"], **choices).folder
    for old in folder.glob(f"{notebook.stem}.failed.*"):
        old.unlink()
    failure = None
    with write_atomic(folder / f"{notebook.stem}.ipynb") as temporary:
        failure = _execute(notebook, temporary, values)
        stem = f"{notebook.stem}.failed" if failure else notebook.stem
        _write_report(temporary, folder / f"{stem}.html")
        if failure:
            os.replace(temporary, folder / f"{stem}.ipynb")
            raise RuntimeError(f"{notebook.name}: {failure}\n  the executed copy: {folder / f'{stem}.ipynb'}")
    return folder


def _execute(notebook, output, values):
    """Run ``notebook`` through papermill into ``output``; returns what failed, or None."""
    import papermill

    from handlib.kernels import KernelManager

    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    try:
        papermill.execute_notebook(
            notebook,
            output,
            values,
            kernel_name="python3",
            language="python",
            cwd=project_root(),
            kernel_manager_class=KernelManager,
            progress_bar={"desc": notebook.stem},
            extra_arguments=["--IPKernelApp.log_level=50"],  # what a cell raises arrives by another way
        )
    except papermill.PapermillExecutionError as error:
        first_line = error.source.strip().splitlines()[0]
        return f"cell [{error.exec_count}] `{first_line}` failed with {error.ename}: {error.evalue}"
    return None


def _write_report(notebook, path):
    import nbconvert

    html, _ = nbconvert.HTMLExporter().from_filename(str(notebook))
    with write_atomic(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
