"""What a training leaves on disk, whole at every moment.

<out>/checkpoints/epoch_0003/   weights.safetensors and network.json, as networks.save writes them, with the
                                training's identity; state.pt (optimiser, scaler, progress) of the last epoch only
<out>/checkpoints/last, best    links to one of these folders
<out>/history.csv               a row per ``log_every`` steps; <out>/validation.csv: a row per validated epoch
"""

import csv
import shutil
import time
from pathlib import Path

import lightning.pytorch as pl
from lightning.fabric.plugins import CheckpointIO

from handlib import networks, recipes
from handlib.atomic import naming_full_disk, there
from handlib.files import InputError, require_choice, write_atomic
from handlib.networks import checkpoints as weights
from handlib.networks import torch_files

STATE = "state.pt"


class EpochFolders(CheckpointIO):
    """Lightning's way to the disk: a checkpoint is a folder; the weights lie apart from the state needed to go on."""

    def __init__(self, net, identity, changes=()):
        self.net, self.training = net, {"training": identity, "changes": list(changes)}

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        facts = {"epoch": checkpoint["epoch"], "step": checkpoint["global_step"], **self.training}
        with write_atomic(path) as folder:
            networks.save(self.net, folder, facts)
            state = {key: value for key, value in checkpoint.items() if key != "state_dict"}
            weights.write_whole(state, folder / STATE)

    def load_checkpoint(self, path, map_location="cpu", weights_only=True):
        mend = f"delete {Path(path).parent} to begin anew"
        state = torch_files.read(Path(path) / STATE, mend)
        for key in ("epoch", "global_step"):
            if not isinstance(state, dict) or type(state.get(key)) is not int:
                raise InputError(Path(path) / STATE, "is not the state of a training", mend, field=key)
        tensors, _ = weights.read(path)
        return state | {"state_dict": {f"net.{name}": value for name, value in tensors.items()}}

    def remove_checkpoint(self, path):
        shutil.rmtree(path)


def last(out):
    """The folder to resume from, or None where nothing was trained yet. InputError when it is not whole."""
    link = Path(out) / "checkpoints" / "last"
    for name in ("best", "last"):
        there(link.with_name(name))
    if not link.is_symlink():
        return None
    folder = link.resolve()
    if not (folder / STATE).exists():
        raise InputError(folder, f"has no {STATE}: its training cannot go on", f"delete {link.parent} to begin anew")
    return folder


def require_same(folder, identity, changed=()):
    """(epochs trained in ``folder``, changes): InputError when that training had another recipe, pack or precision.

    changed: settings (`recipes.CHANGEABLE`) that may differ. changes: of the training so far and now, one dict for
    each time: the ``epoch`` from which on a setting was changed, and {setting: [before, after]}.
    """
    for name in changed:
        require_choice("changed", name, recipes.CHANGEABLE)
    facts, now = weights.read(folder)[1].get("facts", {}), _as_json(identity)
    for key, kind in (("training", dict), ("epoch", int), ("changes", list)):
        if not isinstance(facts.get(key, [] if key == "changes" else None), kind):
            mend = f"delete {folder.parent} to begin anew"
            raise InputError(folder / weights.FACTS, "says nothing of a training", mend, field=key)
    before, done = facts["training"], facts["epoch"] + 1
    differ = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    refused = [key for key in differ if key not in changed]
    if refused:
        what = "; ".join(f"{key} was {before.get(key)!r}, now {now.get(key)!r}" for key in refused)
        knowingly = (
            f", or changed={tuple(refused)!r} to go on with it" if set(refused) <= set(recipes.CHANGEABLE) else ""
        )
        raise InputError(
            folder, f"belongs to another training: {what}",
            f"give the former value again{knowingly}, another `out`, or delete {folder.parent} to begin anew",
            field=refused[0],
        )  # fmt: skip
    change = {"epoch": done} | {key: [before.get(key), now.get(key)] for key in differ}
    return done, facts.get("changes", []) + ([change] if differ else [])


def _as_json(value):
    """Tuples become lists, as they come back from a file."""
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, list | tuple) else value


def point(link, folder):
    """Let the relative link name ``folder`` (its sibling), in one step."""
    with write_atomic(link) as temporary:
        temporary.symlink_to(folder.name)


def drop_other_states(folder):
    """Remove the states of all epochs but this one's: of the one before it, and of those that a kill left."""
    for state in folder.parent.glob(f"epoch_*/{STATE}"):
        if state.parent.name != folder.name:
            state.unlink(missing_ok=True)


class Keeper(pl.Callback):
    """Writes history and checkpoints. Its rows travel in the checkpoint, so tables and weights always agree."""

    def __init__(self, out, recipe):
        self.out, self.recipe = Path(out), recipe
        self.history, self.validation, self.best = [], [], None
        self._sums, self._passes, self._since, self._steps = {}, 0, None, 0

    def state_dict(self):
        return {"history": self.history, "validation": self.validation, "best": self.best}

    def load_state_dict(self, state):
        self.history, self.validation, self.best = state["history"], state["validation"], state["best"]

    def on_train_start(self, trainer, module):
        self._write_tables(trainer)
        self._reset(trainer)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        for name, value in module.terms.items():
            self._sums[name] = self._sums.get(name, 0) + value
        self._passes += 1
        if trainer.global_step - self._steps >= self.recipe.log_every:
            self._row(trainer)

    def _row(self, trainer):
        """One row: means of the loss terms over all passes and processes since the last one."""
        if not self._passes:
            return
        means = {name: value / self._passes for name, value in self._sums.items()}
        terms = {name: trainer.strategy.reduce(value, reduce_op="mean") for name, value in means.items()}
        steps, seconds = trainer.global_step - self._steps, time.perf_counter() - self._since
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "samples_per_s": round(steps * self.recipe.batch / seconds, 2),
            **{name: float(value) for name, value in terms.items()},
        }
        self.history.append(row)
        for logger in trainer.loggers:
            logger.log_metrics({key: value for key, value in row.items() if key != "step"}, step=trainer.global_step)
        if trainer.is_global_zero:
            path = self.out / "history.csv"
            with naming_full_disk(path), open(path, "a", newline="") as file:
                table = csv.DictWriter(file, list(self.history[0]))
                if len(self.history) == 1:
                    table.writeheader()
                table.writerow(row)
        self._reset(trainer)

    def _reset(self, trainer):
        self._sums, self._passes = {}, 0
        self._since, self._steps = time.perf_counter(), trainer.global_step

    def on_train_epoch_end(self, trainer, module):
        self._row(trainer)
        folder = self.out / "checkpoints" / f"epoch_{trainer.current_epoch:04d}"
        better = self._judge(trainer, module.figures)
        trainer.save_checkpoint(folder)  # every process takes part, the first one writes
        if trainer.is_global_zero:
            self._write_tables(trainer)
            if better:
                point(folder.with_name("best"), folder)
            point(folder.with_name("last"), folder)  # after all else: what goes on from here does not look back
            drop_other_states(folder)
        trainer.strategy.barrier()  # whoever returns from the training finds its files

    def _judge(self, trainer, figures):
        """Record the epoch's validation, if there was one; whether it is the best so far."""
        if figures is None:
            return False
        if self.recipe.monitor not in figures:
            problem = f"{self.recipe.monitor!r} is no figure of the validation"
            raise InputError("recipe", problem, f"use one of {', '.join(figures)}", "monitor")
        self.validation.append({"epoch": trainer.current_epoch, "step": trainer.global_step} | figures)
        for logger in trainer.loggers:
            logger.log_metrics({f"val/{name}": value for name, value in figures.items()}, step=trainer.global_step)
        value = figures[self.recipe.monitor]
        better = value < (float("inf") if self.best is None else self.best)  # never so for NaN
        self.best = value if better else self.best
        return better

    def _write_tables(self, trainer):
        """Both tables as the checkpoint knows them; rows of an epoch that was cut short go."""
        if not trainer.is_global_zero:
            return
        for name, rows in (("history", self.history), ("validation", self.validation)):
            if not rows:
                (self.out / f"{name}.csv").unlink(missing_ok=True)
                continue
            with write_atomic(self.out / f"{name}.csv") as temporary, open(temporary, "w", newline="") as file:
                table = csv.DictWriter(file, list(rows[0]))
                table.writeheader()
                table.writerows(rows)
