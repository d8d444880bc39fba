"""What stops a training that is lost: a loss or a gradient that is no number, a loss that explodes.

The rule. Of every optimiser step the total loss (mean over its passes and all processes) and the norm of the gradient,
before it is clipped, are looked at:

- the total is NaN or infinite: stop.
- the gradient is: stop; in 16-mixed, whose scaler leaves such steps out and lowers its scale, after `OVERFLOWS` steps
  in a row, by when the scale is spent.
- the total explodes: for `PATIENCE` steps in a row (or at the end of an epoch) its size is more than the recipe's
  ``explosion`` times the largest of the training's first `FIRST` steps. A single wild batch, and a loss that rises
  from a good start, stop nothing; a large gradient alone does not either.
- a weight or a running statistic is no number at the end of an epoch: stop.

``explosion: null`` switches all of it off, ``.inf`` the third alone. No step waits for the device: the figures of a
step are fetched while the next one is under way, and the last one's before anything is written. All processes see the
same figures, so they stop at the same step.
"""

import collections
import dataclasses
import math
from pathlib import Path

import lightning.pytorch as pl
import torch

from handlib.files import write_json
from handlib.training import checkpoints

FIRST, PATIENCE, OVERFLOWS = 10, 5, 20
FAULTS = "faults"
_SHOWN = 4  # samples in the error's words; the file has all


class Diverged(RuntimeError):
    """A training was stopped by `Watch`. ``file``: JSON of where, which loss terms, and which samples."""

    def __init__(self, words, file=None):
        super().__init__(words)
        self.file = file

    def __reduce__(self):
        return type(self), (*self.args, self.file)


@dataclasses.dataclass
class _Step:
    """One optimiser step. passes: (loss terms on the device, places of the samples) of each."""

    epoch: int
    step: int
    passes: list
    figures: torch.Tensor  # total, norm of the gradient; on its way to the host
    arrived: torch.cuda.Event | None

    def judged(self):
        """(total, norm of the gradient) as numbers."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.figures.tolist()


class Watch(pl.Callback):
    """Looks at every step of a training by a recipe into the folder ``out``; raises `Diverged`."""

    def __init__(self, out, recipe, pack):
        self.out, self.recipe, self.pack = Path(out), recipe, pack
        self.seen, self.first = 0, 0.0  # steps that made the reference, and the largest size of their totals
        self.above = self.overflows = 0  # steps in a row
        self._passes, self._gradient = [], None
        self._steps = collections.deque(maxlen=PATIENCE + 1)
        self._judged = 0

    def state_dict(self):
        return {"seen": self.seen, "first": self.first, "overflows": self.overflows}

    def load_state_dict(self, state):
        self.seen, self.first, self.overflows = state["seen"], state["first"], state["overflows"]

    def on_before_optimizer_step(self, trainer, module, optimizer):
        if self.recipe.explosion is None:
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self._gradient = torch.nn.utils.get_total_norm(gradients)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if self.recipe.explosion is None:
            return
        self._passes.append((module.terms, batch["index"]))
        if len(self._passes) == trainer.accumulate_grad_batches:
            self._take(trainer)
        lag = 0 if trainer.is_last_batch else 1
        while len(self._steps) - self._judged > lag:
            self._judged += 1
            self._judge(trainer, self._steps[self._judged - 1])
        if trainer.is_last_batch:
            self._close(trainer, module)

    def _take(self, trainer):
        """Send the step's figures on their way to the host."""
        total = torch.stack([terms["total"].float() for terms, _ in self._passes]).mean()
        figures = torch.stack([total, self._gradient.to(total)])
        if trainer.world_size > 1:
            torch.distributed.all_reduce(figures)
            figures /= trainer.world_size
        arrived = None
        if figures.is_cuda:
            host = torch.empty(figures.shape, pin_memory=True)
            figures, arrived = host.copy_(figures, non_blocking=True), torch.cuda.Event()
            arrived.record()
        if len(self._steps) == self._steps.maxlen:
            self._judged -= 1
        self._steps.append(_Step(trainer.current_epoch, trainer.global_step, self._passes, figures, arrived))
        self._passes, self._gradient = [], None

    def _judge(self, trainer, step):
        total, gradient = step.judged()
        if not math.isfinite(total):
            self._stop(trainer, step, "loss", f"the loss is {total:g}")
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        self.overflows = 0 if math.isfinite(gradient) else self.overflows + 1
        if self.overflows >= (OVERFLOWS if scaled else 1):
            often = f" for {self.overflows} steps in a row" if scaled else ""
            self._stop(trainer, step, "gradient", f"the loss is {total:g}, but its gradient is {gradient:g}{often}")
        if self.seen < FIRST:
            self.seen, self.first = self.seen + (total != 0), max(self.first, abs(total))
            return
        limit = self.recipe.explosion * self.first
        self.above = self.above + 1 if abs(total) > limit > 0 else 0
        if self.above >= PATIENCE:
            self._exploded(trainer)

    def _exploded(self, trainer):
        began = self._steps[self._judged - self.above]
        words = f"the loss explodes: {began.judged()[0]:.3g}, and no step since then is below"
        self._stop(
            trainer, began, "explosion",
            f"{words} {self.recipe.explosion:g} times the largest of the training's first {FIRST} ({self.first:.3g})",
        )  # fmt: skip

    def _close(self, trainer, module):
        """What must not be true of an epoch that is kept."""
        if self.above:
            self._exploded(trainer)
        tensors = {k: v for k, v in module.net.state_dict().items() if v.is_floating_point()}
        finite = torch.stack([torch.isfinite(value).all() for value in tensors.values()]).tolist()
        lost = [name for name, fine in zip(tensors, finite, strict=True) if not fine]
        if lost:
            self._stop(
                trainer, self._steps[-1], "weights", f"{lost[0]} and {len(lost) - 1} more weights are no numbers"
            )

    def _stop(self, trainer, step, kind, words):
        """Every process comes here at the same step."""
        passes = [
            {"rank": trainer.global_rank, "terms": {k: float(v) for k, v in terms.items()}, "places": places.tolist()}
            for terms, places in step.passes
        ]
        if trainer.world_size > 1:
            everyones = [None] * trainer.world_size
            torch.distributed.all_gather_object(everyones, passes)
            passes = [one for ranks in everyones for one in ranks]
        file = self.out / FAULTS / f"step_{step.step:08d}.json"
        kept = checkpoints.last(self.out)
        lr, gradient = trainer.optimizers[0].param_groups[0]["lr"], step.judged()[1]
        passes = [self._told(**one) for one in passes]
        if trainer.is_global_zero:
            facts = {"epoch": step.epoch, "step": step.step, "lr": lr, "kind": kind, "gradient": gradient}
            write_json(file, _text_for_no_number(facts | {"passes": passes, "kept": kept}))
        trainer.strategy.barrier()
        raise Diverged(_said(step, words, passes, kept, file, lr), file)

    def _told(self, rank, terms, places):
        """A pass for the file; ``off``: names of the loss terms that are no numbers."""
        off = [name for name, value in terms.items() if not math.isfinite(value)]
        samples = [dataclasses.asdict(self.pack.whose(place)) for place in places]
        return {"rank": rank, "terms": terms, "off": off, "samples": samples}


def _text_for_no_number(value):
    """NaN and infinities as text: JSON has no word for them."""
    if isinstance(value, dict):
        return {key: _text_for_no_number(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_text_for_no_number(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _said(step, words, passes, kept, file, lr):
    suspects = [one for one in passes if one["off"]] or passes
    terms = ", ".join(f"{name} {suspects[0]['terms'][name]:g}" for name in suspects[0]["off"] or suspects[0]["terms"])
    samples = [sample for one in suspects for sample in one["samples"]]
    keys = ", ".join(f"{one['key']!r}" for one in samples[:_SHOWN])
    more = f" and {len(samples) - _SHOWN} more" if len(samples) > _SHOWN else ""
    whole = f"{kept} keeps the last whole epoch, with the optimiser's state" if kept else "no epoch was whole yet"
    return (
        f"Training stopped in epoch {step.epoch} at step {step.step}: {words} ({terms}).\n"
        f"  Samples of that batch: {keys}{more} of {samples[0]['pack']}; all of them: {file}\n"
        f"  {whole}; nothing later was written.\n"
        "  To mend it: look at these samples; where they are right, the same call with another rate, as "
        f"lr={lr / 10:.3g} and changed=('lr',), goes on from there."
    )
