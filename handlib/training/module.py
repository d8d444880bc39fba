"""The one LightningModule, for any network with ``loss(out, targets)`` -> named terms and "total"; its data module."""

import collections
import functools

import lightning.pytorch as pl
import numpy as np
import torch

from handlib.files import InputError
from handlib.training import mixing
from handlib.training.data import Crops, Order, loader, workers
from handlib.training.predictions import Collector
from handlib.training.targets import completed

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


class Training(pl.LightningModule):
    """Trains ``net`` by a recipes.Recipe.

    ``terms``: the loss terms of the last pass, on the device, detached. ``figures``: the protocol's figures over the
    whole validation pack after an epoch that was validated, else None; equal on every process.
    """

    def __init__(self, net, recipe):
        super().__init__()
        self.net, self.recipe = net, recipe
        self.terms, self.figures, self.collector = {}, None, None
        self.passes = collections.deque(maxlen=recipe.settle or 0)
        if recipe.optimizer not in OPTIMIZERS:
            problem = f"no optimizer {recipe.optimizer!r}"
            raise InputError(f"recipe {recipe.name}", problem, f"use one of {', '.join(OPTIMIZERS)}", "optimizer")

    def configure_optimizers(self):
        return OPTIMIZERS[self.recipe.optimizer](self.net.parameters(), lr=self.recipe.learning_rate(0))

    def on_train_epoch_start(self):
        """Rate and random state of the epoch, both from the epoch's number alone (drop-out, where a network has it)."""
        self.figures = None
        self.passes.clear()
        for group in self.optimizers().param_groups:
            group["lr"] = self.recipe.learning_rate(self.current_epoch)
        state = np.random.SeedSequence([self.recipe.seed, self.current_epoch, self.global_rank]).generate_state(1)
        torch.manual_seed(int(state[0]))

    def on_train_batch_start(self, batch, batch_idx):
        """The rate of the step, where it is another at each."""
        if self.recipe.schedule is not None:
            step, steps = batch_idx // self.trainer.accumulate_grad_batches, self.trainer.datamodule.order.steps
            for group in self.optimizers().param_groups:
                group["lr"] = self.recipe.learning_rate(self.current_epoch, step, steps)

    def training_step(self, batch, _):
        losses = self.net.loss(self.net(batch["image"]), completed(self.net, batch["targets"]))
        self.terms = {name: value.detach() for name, value in losses.items()}
        self.log("loss", self.terms["total"], prog_bar=True, logger=False)
        return losses["total"]

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.passes.append(batch["image"])
        if self.recipe.settle and self.trainer.is_last_batch:
            settle(self.net, self.passes)

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        """The recipe's ``clip``: of the whole gradient, or as published of each parameter tensor on its own."""
        if self.recipe.clip is None:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for together in [[p] for p in parameters] if self.recipe.published else [parameters]:
            torch.nn.utils.clip_grad_norm_(together, self.recipe.clip)

    def on_validation_epoch_start(self):
        self.collector = Collector(self.net, self.trainer.datamodule.validation)

    def validation_step(self, batch, _):
        """What the loader filled up with (see `PackData.val_dataloader`) is another process's."""
        mine = batch["index"].cpu().numpy() % self.trainer.world_size == self.global_rank
        self.collector.add(self.net(batch["image"]), batch, mine)

    def on_validation_epoch_end(self):
        merged, protocol = self.collector.merged(), self.recipe.protocol
        self.collector = None
        if self.trainer.world_size > 1:  # sums travel, not meshes
            states = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(states, merged.running(protocol))
            figures = functools.reduce(lambda first, second: first.merge(second), states).figures()
        else:
            figures = merged.evaluate(protocol)
        self.figures = {name: float(value) for name, value in figures.items()}


@torch.no_grad()
def settle(net, passes):
    """Measure the statistics of the batch norms that are in training mode, as the mean over ``passes`` (tensors of
    images) through the weights as they are (Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021).
    """
    norms = [part for part in net.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
    norms = [part for part in norms if part.training and part.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean of what comes
    for images in passes:
        net(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


class PackData(pl.LightningDataModule):
    """The loaders of one training. ``groups``: packs as `mixing.arranged` gives them; ``validation``: a pack or None,
    always whole and unaugmented. ``done``: how many epochs are trained already.
    """

    def __init__(self, recipe, spec, groups, validation=None, done=0):
        super().__init__()
        self.recipe, self.spec, self.validation, self.done, self.order = recipe, spec, validation, done, None
        self.pack, self.mixture = mixing.mixture(groups, recipe.samples)
        length = len(self.mixture)
        if recipe.drop_last and not recipe.steps_per_epoch and length < recipe.batch:
            raise InputError(
                f"recipe {recipe.name}",
                f"batch {recipe.batch} is larger than the {length} samples to train on",
                f"use a batch of at most {length}, or steps_per_epoch to go through them several times",
                field="batch",
            )

    def train_dataloader(self):
        recipe, trainer = self.recipe, self.trainer
        self.order = Order(
            self.mixture,
            recipe.batch,
            recipe.per_device_batch,
            seed=recipe.seed,
            shuffle=recipe.shuffle,
            drop_last=recipe.drop_last,
            steps=recipe.steps_per_epoch,
            rank=trainer.global_rank,
            world=trainer.world_size,
        )
        # Workers draw from it before Lightning says which epoch a resumed training is in.
        self.order.set_epoch(self.done)
        items = Crops(
            self.pack, self.spec, recipe.root_depth, recipe.augmentation, recipe.seed, published=recipe.published
        )
        return loader(items, self.order, recipe.per_device_batch, workers(recipe.workers), drop_last=True)

    def val_dataloader(self):
        if self.validation is None:
            return []
        trainer = self.trainer
        # Filled up so that all processes make the same number of passes; what came twice is dropped.
        count = -(-len(self.validation) // trainer.world_size) * trainer.world_size
        mine = np.resize(np.arange(len(self.validation)), count)[trainer.global_rank :: trainer.world_size]
        recipe, places = self.recipe, [(0, int(index)) for index in mine]
        items = Crops(self.validation, self.spec, recipe.validation_root_depth, meta=True)
        return loader(items, places, recipe.per_device_batch, workers(recipe.workers))
