"""Ends a training at a signal, on all processes at the same step, and has SLURM begin the job again.

SIGTERM (SLURM before it takes a node away, ``scancel``, ``kill``): the training ends. SIGUSR1 in a SLURM job (as by
``#SBATCH --signal=USR1@300``, 300 seconds before its time is up): it ends, and the first process puts the job back into
the queue (``scontrol requeue``). The last whole epoch is kept, and the same command goes on from there.
"""

import os
import signal
import subprocess
import threading

import lightning.pytorch as pl
import torch


class Stopped(SystemExit):
    """A training was ended by a signal; the exit code is 128 + its number, as shells count."""

    def __init__(self, signum):
        super().__init__(128 + signum)


class Stop(pl.Callback):
    """Notices the signals. To be named after what keeps the epochs."""

    def __init__(self):
        self.signum, self.kept = 0, 0  # the signal that came; epochs kept since this process began

    def _noticed(self, signum, frame):
        self.signum = self.signum or signum

    def on_train_start(self, trainer, module):
        """Listen in place of Lightning, whose handler waits for all processes within the signal; it puts back those of
        before. All processes have to go on from the same epoch; a file system may show some of them older files.
        """
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._noticed)
            if job() is not None:
                signal.signal(signal.SIGUSR1, self._noticed)
        epoch = trainer.current_epoch
        first, last = -_largest(trainer, -epoch), _largest(trainer, epoch)
        if first != last:
            raise RuntimeError(
                f"processes go on from different epochs, {first} and {last}: some of them see older files\n"
                "  To mend it: run the same command again, when the file system shows all nodes the same"
            )

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if not trainer.is_last_batch:  # else the epoch is kept first
            self._check(trainer)

    def on_validation_batch_end(self, trainer, *which):
        self._check(trainer)

    def on_train_epoch_end(self, trainer, module):
        self.kept += 1
        if trainer.current_epoch + 1 < trainer.max_epochs:
            self._check(trainer)

    def _check(self, trainer):
        signum = _largest(trainer, self.signum)
        if not signum:
            return
        if trainer.is_global_zero:
            print(f"{signal.Signals(signum).name}: the training ends; {self._after(signum)}", flush=True)
        trainer.strategy.barrier()  # nobody is gone before the job is asked for again
        raise Stopped(signum)

    def _after(self, signum):
        """Ask for the job again, where that is wanted -> words for what comes now."""
        if signum != signal.SIGUSR1:
            return "the same command goes on after the last whole epoch."
        if not self.kept:
            return (
                f"no epoch became whole in this job, so {job()} is not requeued: it would do the same again.\n"
                "  To mend it: ask for more time, or cut the epochs (steps_per_epoch)."
            )
        return requeue()


def _largest(trainer, number):
    """The largest of the processes' numbers."""
    if trainer.world_size == 1:
        return number
    numbers = torch.tensor([number], device=trainer.strategy.root_device)
    torch.distributed.all_reduce(numbers, torch.distributed.ReduceOp.MAX)
    return int(numbers)


def job():
    """The id of this SLURM job (of an array, its task's), None outside of one."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def requeue():
    """Put this job back into the queue -> words for what came of it."""
    command = ["scontrol", "requeue", job()]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
        problem = (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else None
    except OSError as error:
        problem = str(error)
    if problem is None:
        return f"job {job()} is back in the queue and goes on after the last whole epoch."
    return (
        f"`{' '.join(command)}` failed: {problem}\n"
        "  To mend it: submit with `#SBATCH --requeue`; submitted again, the job goes on after the last whole epoch."
    )
