"""``fit``: a recipe, packs and an output folder -> a trained network. Lightning runs the loops."""

import contextlib
import dataclasses
import logging
import signal
import warnings
from pathlib import Path

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_only

from handlib import ranks, recipes
from handlib.files import InputError, write_json
from handlib.training import checkpoints, faults, mixing, stopping, targets, watch
from handlib.training.beginning import configured, network
from handlib.training.data import workers
from handlib.training.module import PackData, Training

PRECISIONS = ("16-mixed", "bf16-mixed", "32-true", "64-true")


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A finished training: the network, the folder it left, the recipe as it ran, and the precision that was used."""

    net: torch.nn.Module
    out: Path
    recipe: recipes.Recipe
    precision: str

    @property
    def last(self):
        """Folder of the last epoch's weights, for networks.load."""
        return self.out / "checkpoints" / "last"

    @property
    def best(self):
        """Folder of the best validated epoch's weights; None where nothing was validated."""
        link = self.out / "checkpoints" / "best"
        return link if link.is_symlink() else None

    @property
    def history(self):
        """DataFrame: epoch, step, lr, samples_per_s, the loss terms and their total."""
        return pd.read_csv(self.out / "history.csv")

    @property
    def validation(self):
        """DataFrame of the protocol's figures per validated epoch; empty where nothing was validated."""
        path = self.out / "validation.csv"
        return pd.read_csv(path) if path.exists() else pd.DataFrame()


def fit(
    recipe, pack, out, validation=None, *, net=None, bodies=None, accelerator="auto", devices=1, nodes=1, changed=(),
    **overrides,
):  # fmt: skip
    """Train by a recipe, or go on where ``out`` holds an unfinished training of the same recipe and packs -> Fitted.

    Arguments:
        recipe: name, YAML file or recipes.Recipe; ``overrides`` replace single settings.
        pack: an opened pack (handlib.packs.open), or several, which are mixed as the recipe's ``mix`` says; validation:
            one or None; without it there is no ``best``.
        out: folder for checkpoints, history and logs (see handlib.training.checkpoints).
        net: start from this network (fine-tuning) instead of a fresh one; the recipe's ``start`` is then left out.
        accelerator, devices, nodes: as Lightning's. The recipe's batch is shared among all devices, never multiplied.
            Several devices need a script, started once, by torchrun or by srun; a notebook uses one.
        changed: names of settings (`recipes.CHANGEABLE`: the rate, ``clip``, …) that may differ from those that ``out``
            was trained with so far, as after a fault; recipe.json and the checkpoints tell from which epoch on.

    A 16-mixed recipe needs a GPU; on a CPU it runs in 32-true, says so, and recipe.json records both.
    Interrupted (Ctrl-C), the last whole epoch is kept and KeyboardInterrupt raised; the same call goes on from there.
    So it does after SIGTERM, and SIGUSR1 in a SLURM job, which raise `stopping.Stopped`, a SystemExit.
    A loss or weights that are lost stop it with `watch.Diverged`, which names the batch's samples; a fault of the
    machine (a loader's worker, the GPU's memory, a full disk) with RuntimeError that names the mend. Then too the same
    call goes on after the last whole epoch.
    Raises InputError for wrong settings, a batch that does not divide, a sample that cannot be read, and an ``out``
    that belongs to another training.
    """
    recipe, out = recipes.read(recipe, **overrides), Path(out)
    groups = mixing.arranged(recipe, pack)
    if validation is not None:
        own = {recipe.validation_dataset or recipe.dataset, recipe.dataset, *recipe.mixed()}
        mixing.require_its(recipe, validation, own)
    precision, data_hash = _precision(recipe, accelerator, overrides), mixing.hashes(groups)
    identity = recipe.identity() | {"pack": data_hash, "precision": precision}
    start, done, changes = checkpoints.last(out), 0, []
    if start is not None:
        done, changes = checkpoints.require_same(start, identity, changed)
        checkpoints.drop_other_states(start)
        rank_zero_only(print)(f"{start}: {done} of {recipe.epochs} epochs are trained; going on from there.")
    net = network(recipe, bodies, start is None) if net is None else configured(net, recipe)
    net.train()  # Lightning would leave a loaded one in eval mode
    targets.require(net, [one for group in groups for one in group])
    data = PackData(recipe, net.input, groups, validation, done)
    module = Training(net, recipe)
    machine = {"accelerator": accelerator, "devices": devices, "num_nodes": nodes}
    validating = {"limit_val_batches": None if validation else 0, "check_val_every_n_epoch": recipe.validate_every}
    folders = checkpoints.EpochFolders(net, identity, changes)
    stop = stopping.Stop()
    callbacks = [TQDMProgressBar(), watch.Watch(out, recipe, data.pack), checkpoints.Keeper(out, recipe), stop]
    trainer = _trainer(recipe, out, folders, callbacks, precision=precision, **machine, **validating)
    if trainer.is_global_zero:
        said = {"recipe": dataclasses.asdict(recipe), "overrides": overrides, "precision": precision}
        passes = trainer.accumulate_grad_batches
        said |= {"passes_per_step": passes, "pack": data_hash, "changes": changes}
        write_json(out / "recipe.json", said | machine)
    with faults.named(_mends(recipe, precision), out):
        _run(trainer, module, data, start, stop)
    return Fitted(net, out, recipe, precision)


def _mends(recipe, precision):
    """What helps where the GPU's memory, or that of the machine, did not suffice."""
    half = recipe.per_device_batch // 2
    smaller = f"per_device_batch={half} (the step's batch stays {recipe.batch})" if half else "another network or GPU"
    cheaper = ", or precision='16-mixed' with changed=('precision',)" if precision == "32-true" else ""
    at_work = workers(recipe.workers)
    fewer = f"workers={at_work // 2} (now {at_work})" if at_work else smaller
    return faults.Mends(smaller + cheaper, fewer, at_work)


def _precision(recipe, accelerator, overrides):
    if recipe.precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise InputError(
            f"recipe {recipe.name}", f"no precision {recipe.precision!r}", f"use one of {known}", "precision"
        )
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
    if recipe.precision != "16-mixed" or not on_cpu:
        return recipe.precision
    if "precision" in overrides:
        raise InputError("override", "16-mixed needs a GPU", "use 32-true or bf16-mixed on a CPU", field="precision")
    rank_zero_only(print)("No GPU: this 16-mixed recipe runs in 32-true (recorded in recipe.json).")
    return "32-true"


def _trainer(recipe, out, folders, callbacks, **settings):
    plugins = [folders]
    if SLURMEnvironment.detect():  # a requeued job goes on at the last whole epoch, not in the middle of one
        plugins.append(SLURMEnvironment(auto_requeue=False))
    with _quiet():
        trainer = pl.Trainer(
            **settings,
            max_epochs=recipe.epochs,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # data.Order deals the batches
            default_root_dir=out,
            logger=TensorBoardLogger(out / "logs", name="", version=""),
            enable_checkpointing=False,  # Keeper does it
            enable_model_summary=False,
            log_every_n_steps=1,  # Keeper logs, by the recipe's log_every
            callbacks=callbacks,
            plugins=plugins,
        )
    trainer.accumulate_grad_batches = recipe.accumulation(trainer.num_devices * trainer.num_nodes)
    return trainer


def _run(trainer, module, data, start, stop):
    """Lightning answers Ctrl-C by switching it off and leaving Python; here it stays on and is an exception. What is
    raised because other processes have ended, or were told to, is named so.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        with _quiet(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found .* in eval mode")  # frozen batch norms, on purpose
            trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
    except SystemExit as error:
        if type(error) is not SystemExit or not trainer.interrupted:  # `Stopped` is a subclass
            raise
        raise KeyboardInterrupt("training interrupted; the same call goes on after the last whole epoch") from None
    except Exception as error:
        if stop.signum:  # SLURM sends it to the loader's workers, too, and they die of it
            raise stopping.Stopped(stop.signum) from error
        if trainer.world_size > 1 and ranks.is_lost(error):
            raise ranks.lost(error) from error
        raise
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def _quiet():
    """Lightning's remarks about the machine, kept off the reader's screen; its warnings still come through."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
