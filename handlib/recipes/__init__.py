"""Training settings: one YAML file per published recipe, values as they were published.

    recipe = recipes.read("digit_interhand", epochs=2, lr=1e-3)

An override, or a line of the file, that no recipe knows is an error that names the nearest right one.
"""

import dataclasses
import math
import os
import types
import typing
from pathlib import Path

from handlib import inputs
from handlib.files import InputError, read_yaml, require, require_known, shown

FOLDER = Path(__file__).parent

# Changing one of these between two halves of a training does not change what is learnt, only how long or how it runs.
TECHNICAL = (
    "epochs", "per_device_batch", "workers", "validate_every", "monitor", "validation_root_depth", "log_every",
    "explosion",
)  # fmt: skip

# These may be changed knowingly, after a fault for one: what was learnt so far can be gone on with.
CHANGEABLE = ("lr", "lr_end", "gamma", "milestones", "schedule", "epochs", "clip", "precision", "seed", "augmentation")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All settings of a training. Samples and steps are counted over all devices; epochs start at 0.

    ``samples``: use that many samples, evenly spaced over the pack. ``steps_per_epoch``: an epoch is that many steps,
    going through the samples as often as that takes; null: once through the samples.
    ``augmentation``: the crop's draws by name (handlib.crops.draw); none when null.
    ``clip``: largest norm of the gradient. ``published``: train with the faults of the published program that its
    figures were made with (the network's, the crop's, and ``clip`` for each parameter tensor on its own); false: as
    the papers mean it, ``clip`` for the whole gradient.
    ``settle``: after each epoch measure the batch norms' statistics anew, on its last so many passes; null: leave them
    to the running average, which the weights of a training of few steps outrun.
    ``dataset``, ``mode``: the packs that it is for; ``mode`` is OakInk's way of splitting, or DexYCB's setup.
    ``mix``: groups of data sets that are trained on together, each group as much as the others, where several packs
    are given (handlib.training.mixing); ``validation_dataset``: what it is validated on where it is not ``dataset``.
    ``schedule``: null, the rate falls by ``gamma`` at the ``milestones``; "cosine", at every step from ``lr`` to
    ``lr_end`` over all epochs (then ``epochs`` belongs to what is learnt).
    ``explosion``: the loss explodes where it stays above so many times the largest of the first steps; that and what is
    no number stop the training (handlib.training.watch); null: nothing does.
    ``network_options``: of the network's constructor, and attributes of it (OSX's decoder, camera_only, …).
    ``start``: what it begins with instead of fresh weights: a checkpoint of the network, or the file or files that
    ``transplant`` takes, the tool of `handlib.networks.transplants` by which it was published.
    """

    name: str
    network: str
    protocol: str
    epochs: int
    batch: int
    per_device_batch: int
    lr: float
    precision: str
    monitor: str
    optimizer: str = "adam"
    milestones: tuple = ()
    gamma: float = 0.1
    schedule: str | None = None
    lr_end: float | None = None
    drop_last: bool = True
    shuffle: bool = True
    validate_every: int = 1
    workers: int = 8
    seed: int = 1
    root_depth: str = "gt"
    validation_root_depth: str = "est"
    augmentation: dict | None = None
    backbone: str | None = None
    clip: float | None = None
    published: bool = False
    dataset: str = "interhand"
    mode: str | None = None
    mix: tuple | None = None
    validation_dataset: str | None = None
    network_options: dict | None = None
    transplant: str | None = None
    start: str | tuple | None = None
    samples: int | None = None
    steps_per_epoch: int | None = None
    settle: int | None = None
    log_every: int = 50
    explosion: float | None = 1000.0

    def learning_rate(self, epoch, step=0, steps=1):
        """The rate of a step of that epoch of ``steps``, from the numbers alone: a resumed training needs no scheduler
        state.
        """
        if self.schedule == "cosine":
            done = (epoch + step / steps) / self.epochs
            return self.lr_end + (self.lr - self.lr_end) * (1 + math.cos(math.pi * done)) / 2
        return self.lr * self.gamma ** sum(epoch >= milestone for milestone in self.milestones)

    def mixed(self):
        """Names of all data sets that it mixes."""
        return [name for group in self.mix or () for name in group]

    def accumulation(self, devices=1):
        """Forward passes per optimiser step. InputError when batch is not a multiple of per_device_batch * devices."""
        each = self.per_device_batch
        if self.batch % (each * devices):
            raise InputError(
                f"recipe {self.name}",
                f"batch {self.batch} is not a multiple of per_device_batch {each} x {devices} device(s)",
                "choose per_device_batch so that it divides batch / devices; batch counts the samples of all devices",
                field="per_device_batch",
            )
        return self.batch // (each * devices)

    def identity(self):
        """What must be equal for a training to be the same training (used when it resumes)."""
        free = set(TECHNICAL) - ({"epochs"} if self.schedule == "cosine" else set())
        return {key: value for key, value in dataclasses.asdict(self).items() if key not in free}


def names():
    """The recipes that come with handlib."""
    return sorted(file.stem for file in FOLDER.iterdir() if file.suffix == ".yaml")


def read(recipe, **overrides):
    """A Recipe from a name, a YAML file or a Recipe, with ``overrides`` on top.

    An ``augmentation`` override replaces the values it names and keeps the others; None switches it off.
    Raises InputError for an unknown recipe, an unknown or missing setting, and a value of a wrong type or range.
    """
    source, values = _values(recipe)
    if isinstance(overrides.get("augmentation"), dict):
        known = values.get("augmentation") or {}
        require_known(overrides["augmentation"], known, "augmentation override")
        overrides["augmentation"] = known | overrides["augmentation"]
    require_known(overrides, FIELDS, f"override of {source}")
    return _checked(values | overrides, source)


FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}
_TYPES = typing.get_type_hints(Recipe)
_POSITIVE = (
    "epochs", "batch", "per_device_batch", "lr", "validate_every", "samples", "steps_per_epoch", "log_every", "clip",
    "settle", "lr_end", "explosion",
)  # fmt: skip
SCHEDULES = (None, "cosine")
_SUFFIXES = (".yaml", ".yml")
TRANSPLANTS = {  # tools of `networks.transplants` -> the files that each takes, in order
    "convert_simple_to_pose2pose": ("Simple Baseline's 2D pose network",),
    "merge_hand_to_all": ("Hand4Whole's first stage", "hand-only Pose2Pose"),
    "reset_epoch": ("a snapshot",),
}


def _one_of():
    return f"use one of {', '.join(names())}, or a path that ends in .yaml"


def _values(recipe, above=()):
    """(where it comes from, {setting: value}). above: files that build on this one."""
    if isinstance(recipe, Recipe):
        return f"recipe {recipe.name}", dataclasses.asdict(recipe)
    path = Path(recipe)
    if path.suffix not in _SUFFIXES:
        if str(recipe) not in names():
            raise InputError(f"recipe {recipe}", "is not known", _one_of())
        path = FOLDER / f"{recipe}.yaml"
    require(path, f"give a recipe file, or one of the names {', '.join(names())}")
    inputs.note("file", path)
    values = read_yaml(path, "as in digit_interhand.yaml")
    base = values.pop("base", None)  # another recipe, of which this one replaces some values
    require_known(values, FIELDS, path)
    if base is not None and (not isinstance(base, str) or path.resolve() in above):
        raise InputError(
            path, f"is {shown(base)}", "name another recipe, that does not build on this one", field="base"
        )
    if base is not None and base not in names():
        if Path(base).suffix not in _SUFFIXES:
            raise InputError(path, f"builds on {shown(base)}, which is not known", _one_of(), field="base")
        base = path.parent / base
    below = {} if base is None else _values(base, (*above, path.resolve()))[1]
    return path, below | {"name": path.stem} | values


def _checked(values, source):
    for name, field in FIELDS.items():
        if name not in values and field.default is dataclasses.MISSING:
            raise InputError(source, "is missing", "add it, as in digit_interhand.yaml", field=name)
    values = {name: _typed(name, value, source) for name, value in values.items()}
    for name in _POSITIVE:
        if values.get(name) is not None and not values[name] > 0:
            raise InputError(source, f"must be positive, not {shown(values[name])}", "correct it", field=name)
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value) and (name, value) != ("explosion", math.inf):
            raise InputError(source, f"is {value}", "give a number", field=name)
    if not all(type(milestone) is int for milestone in values.get("milestones", ())):
        raise InputError(source, f"are {shown(values['milestones'])}", "give whole numbers of epochs", "milestones")
    recipe = Recipe(**values)
    for name, known in (("schedule", SCHEDULES), ("transplant", (None, *TRANSPLANTS))):
        if getattr(recipe, name) not in known:
            raise InputError(source, f"is {shown(values[name])}", f"one of {', '.join(map(str, known))}", field=name)
    if recipe.schedule == "cosine" and recipe.lr_end is None:
        raise InputError(source, "is missing", "say to what rate the cosine falls", field="lr_end")
    return recipe


def _typed(name, value, source):
    """The value as the type that the recipe declares; whole numbers do for floats and lists for tuples."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if name == "mix" and value is not None:
        return _groups(value, source)
    wanted = _TYPES[name]
    options = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    if float in options and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    if tuple in options and isinstance(value, list | tuple):
        return tuple(os.fspath(one) if isinstance(one, os.PathLike) else one for one in value)
    if isinstance(value, options) and not (isinstance(value, bool) and bool not in options):
        return value
    expected = " or ".join("null" if option is types.NoneType else option.__name__ for option in options)
    raise InputError(source, f"must be {expected}, not {shown(value)}", "correct it", field=name)


def _groups(value, source):
    """``mix`` as tuples of names."""
    groups = value if isinstance(value, list | tuple) else ()
    if not groups or not all(isinstance(group, list | tuple) and group for group in groups):
        mend = "write groups of data sets, as [[human36m], [mscoco, mpii]]"
        raise InputError(source, f"must be a list of lists of names, not {shown(value)}", mend, field="mix")
    return tuple(tuple(map(str, group)) for group in groups)
