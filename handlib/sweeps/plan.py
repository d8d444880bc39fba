"""A sweep's YAML file -> its runs, all checked before anything runs.

::

    notebook: 05_train_interacting     # of all runs that name no other
    data: data                         # the data root; --data goes before it
    name: rates                        # the folder outputs/<data root's name>/rates (default: the file's name)
    set: {epochs: 30, split: train}    # parameters of all runs
    grid:                              # a run for every combination
      recipe: [digit_interhand, mine/wide.yaml]
      learning_rate: [1e-3, 1e-4]
    runs:                              # and these
      - name: small                    # default: from what it sets
        set: {recipe: mine/small.yaml}
      - notebook: 07_eval_hands
        set: {checkpoint: data/checkpoints/digit/db7cba8c1.pt}

``recipe.seed: [1, 2]`` in a grid (or ``recipe.seed: 1`` in a ``set``) varies one setting of the recipe that the run
takes, whatever parameters the notebook has: the run's recipe is written to ``recipes/`` in the sweep's folder.

``set`` of the top goes below a grid's values and a run's own. Relative paths count from the project's root, as in the
notebooks. A run's folder is named by what the grid, or its own ``set``, gives it; a value that a folder cannot be named
by (a path, a list) counts by its last part and six characters of a hash.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import os
import re
from pathlib import Path

from handlib import runs
from handlib.files import InputError, read_yaml, require, require_known, shown

KEYS = ("notebook", "data", "name", "set", "grid", "runs")
RUN_KEYS = ("name", "notebook", "set")
MOST = 10_000  # runs of one sweep
LONGEST = 100  # characters of a run's name
RECIPE = "recipe."  # before a setting of the recipe
MARK = "sweep.json"  # in the folder of a sweep
_MEND = "write it as `python -m pydoc handlib.sweeps.plan` shows"
_UNSAFE = re.compile(r"[^A-Za-z0-9.+-]+")


@dataclasses.dataclass(frozen=True)
class Planned:
    """One run: its name, the notebook, all parameters that are given to it (``data`` and ``out`` among them), those of
    them (and settings of its recipe) that the sweep's file gives, and its folder.
    """

    name: str
    notebook: Path
    parameters: dict
    given: dict
    folder: Path
    recipe: dict | None = None  # what to write to the file that the parameter ``recipe`` names


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep: its name, its folder, the data root and the runs."""

    name: str
    folder: Path
    data: Path
    runs: list


def read(file, data="", out=""):
    """The sweep that a YAML file describes; data, out: in place of the file's data root and of the sweep's folder.

    Raises InputError naming the file, the field and the mend: for names that do not exist, values that a notebook does
    not take, two equal runs or names, a missing data root, and a folder that holds anything else.
    """
    settings = read_yaml(file, _MEND)
    require_known(settings, KEYS, file)
    for key, kind in (("set", dict), ("grid", dict), ("runs", list), ("name", str), ("data", str)):
        _require_kind(file, key, settings.get(key, kind()), kind)
    _parameters.cache_clear()
    name = settings.get("name") or Path(file).stem
    _require_name(file, "name", name)
    wanted = list(itertools.chain(_of_grid(file, settings), _of_list(file, settings)))
    if not wanted:
        raise InputError(file, "describes no runs", "give a grid, or a list of runs", field="grid")
    root = runs.from_root(data or settings.get("data") or _own_data(wanted))
    require(root, "give another data root (data: in the file, or --data); `handlib demo` makes data/demo")
    folder = runs.from_root(out) if out else runs.data_outputs(root) / name
    checked = {}
    planned = [_planned(file, *one, root, folder, checked) for one in wanted]
    _require_all_different(file, planned)
    _require_ours(folder)
    return Sweep(name, folder, root, planned)


def _require_kind(file, key, value, kind):
    if not isinstance(value, kind):
        words = {dict: "'name: value' pairs", list: "a list", str: "a text"}[kind]
        raise InputError(file, f"must be {words}, not {shown(value)}", _MEND, field=key)


def _require_name(file, field, name):
    if _UNSAFE.sub("", name.replace("_", "")) != name.replace("_", "") or name[:1] in (".", "-") or not name:
        mend = "use letters, digits, and _ . + - inside"
        raise InputError(file, f"'{name}' cannot name a folder everywhere", mend, field=field)
    if len(name) > LONGEST:
        raise InputError(file, f"has {len(name)} characters", f"use at most {LONGEST}", field=field)


def _of_grid(file, settings):
    """(where it stands, notebook, the run's name, what names it, all it sets) of every combination."""
    grid = settings.get("grid", {})
    for name, values in grid.items():
        _require_kind(file, f"grid.{name}", values, list)
        if not values:
            raise InputError(file, "has no values", "give some, or leave it out", field=f"grid.{name}")
        if name in settings.get("set", {}):
            raise InputError(file, "stands in 'set', too", "leave one out", field=f"grid.{name}")
    count = math.prod(len(values) for values in grid.values()) if grid else 0
    if count + len(settings.get("runs", [])) > MOST:
        raise InputError(file, f"makes {count} runs", f"a sweep has at most {MOST}", field="grid")
    notebook = _notebook(file, "notebook", settings.get("notebook")) if grid else None
    for values in itertools.product(*grid.values()) if grid else ():
        own = dict(zip(grid, values, strict=True))
        yield "grid", notebook, "", own, settings.get("set", {}) | own


def _of_list(file, settings):
    for number, one in enumerate(settings.get("runs", [])):
        where = f"runs[{number}]"
        _require_kind(file, where, one, dict)
        require_known(one, RUN_KEYS, f"{file}: {where}")
        own, name = one.get("set", {}), one.get("name", "")
        _require_kind(file, f"{where}.set", own, dict)
        _require_kind(file, f"{where}.name", name, str)
        if "name" in one:
            _require_name(file, f"{where}.name", name)
        notebook = _notebook(file, f"{where}.notebook", one.get("notebook", settings.get("notebook")))
        if not (name or own or "notebook" in one):
            raise InputError(file, "neither has a name nor sets anything", "give it a name", field=where)
        named_by = own if own else {"": notebook.stem}
        yield where, notebook, name, named_by, settings.get("set", {}) | own


def _notebook(file, field, name):
    if not isinstance(name, str | int):
        raise InputError(file, "is missing", "name a notebook, as notebook: 05_train_interacting", field=field)
    try:
        path = runs.find_notebook(name if isinstance(name, str) else f"{name:02d}")  # 05 is a number to YAML
        known = _parameters(path)
    except InputError as error:
        raise InputError(file, f"{error.problem} ({error.file})", error.mend, field=field) from error
    for parameter in ("data", "out"):
        if parameter not in known:
            mend = f'give its cell tagged "parameters" the line {parameter} = ""'
            raise InputError(
                path, "is not among its parameters: a sweep could not tell its runs apart", mend, parameter
            )
    return path.resolve()


def _own_data(wanted):
    """The data root that the runs' notebooks have of their own."""
    return _parameters(wanted[0][1])["data"]


@functools.lru_cache(64)
def _parameters(notebook):
    return runs.parameters(notebook)


def _planned(file, where, notebook, name, named_by, given, data, sweep, checked):
    for parameter, mend in (("data", "a sweep has one data root: give it at the top, or as --data"),
                            ("out", "leave it out: every run has a folder of its own")):  # fmt: skip
        if parameter in given:
            raise InputError(file, "cannot be set here", mend, field=f"{where}.{parameter}")
    settings = {name: value for name, value in given.items() if name.startswith(RECIPE)}
    given = {
        parameter: _value(file, where, notebook, parameter, value, checked)
        for parameter, value in given.items()
        if parameter not in settings
    }
    name = name or _name({parameter: given.get(parameter, value) for parameter, value in named_by.items()})
    folder, recipe = sweep / name, None
    parameters = _parameters(notebook) | given | {"data": str(data), "out": str(folder)}
    if settings:
        path = sweep / "recipes" / f"{name}.yaml"
        recipe = _recipe(file, where, notebook, parameters.get("recipe"), settings, path)
        parameters["recipe"] = str(path)
    return Planned(name, notebook, parameters, given | settings, folder, recipe)


def _recipe(file, where, notebook, base, settings, path):
    """The content of a run's own recipe file at ``path``: settings on top of the recipe that it would have taken."""
    from handlib import recipes

    if base is None:
        mend = "leave it out, or take a notebook that trains"
        raise InputError(file, f"{notebook.name} takes no recipe", mend, field=f"{where}.{next(iter(settings))}")
    values = {name.removeprefix(RECIPE): value for name, value in settings.items()}
    try:
        recipes.read(base, **values)
    except InputError as error:
        problem = f"{error.problem} (in {error.file})"
        raise InputError(file, problem, error.mend, field=f"{where}.{RECIPE}{error.field}") from error
    return {"base": base if base in recipes.names() else os.path.relpath(runs.from_root(base), path.parent)} | values


def _value(file, where, notebook, parameter, value, checked):
    """The value as the notebook takes it; the error names the sweep's file. checked: what was asked before."""
    try:
        key = notebook, parameter, type(value), json.dumps(value)
        if key not in checked:
            checked[key] = runs.checked(notebook, {parameter: value})[parameter]
        return checked[key]
    except InputError as error:
        problem = f"{error.problem} (of {notebook.name})"
        raise InputError(file, problem, error.mend, field=f"{where}.{error.field}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            file, f"is no plain value: {error}", "write a text or a number", f"{where}.{parameter}"
        ) from error


def _name(values):
    """``recipe-digit_interhand_seed-1``: readable, the same whatever other runs there are, and safe as a folder."""
    parts = [f"{parameter}-{_plain(value)}" if parameter else _plain(value) for parameter, value in values.items()]
    name = "_".join(parts)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 7]}-{_hash(values)}"


def _plain(value):
    text = str(value)
    if isinstance(value, str | int | float | bool | None) and not _UNSAFE.search(text.replace("_", "")) and text:
        return text
    last = Path(text).stem if isinstance(value, str) else text
    return f"{_UNSAFE.sub('.', last).strip('.')[:40]}-{_hash(value)}".strip("-")


def _hash(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:6]


def _require_all_different(file, planned):
    names, contents = {}, {}
    for one in planned:
        content = json.dumps([str(one.notebook), one.parameters | {"out": ""}], sort_keys=True)
        other = contents.setdefault(content, one)
        if other is not one:
            raise InputError(file, f"runs '{other.name}' and '{one.name}' are the same", "leave one out", field="runs")
        other = names.setdefault(one.name.casefold(), one)
        if other is not one:
            mend = "give them names of their own, that differ not only by capitals"
            raise InputError(file, f"two runs are named '{one.name}'", mend, field="runs")


def _require_ours(folder):
    """A sweep does not settle in a folder that holds anything else."""
    foreign = folder.is_dir() and any(path.name[0] != "." for path in folder.iterdir())
    if foreign and not (folder / MARK).exists():
        raise InputError(folder, "holds something else", "give the sweep another name (name: in its file, or --out)")
    if folder.exists() and not folder.is_dir():
        raise InputError(folder, "is a file", "give the sweep another name (name: in its file, or --out)")
