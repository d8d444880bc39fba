"""Several processes that run one command together, started by torchrun or srun: its ranks.

    with ranks.joined() as those:
        for number in those.dealt(100):      # each number goes to one rank, the one that asks next
            ...
        everyones = those.shared(mine)       # a list of what all ranks have, by rank
    if those.first: ...

A command started in the usual way is one rank, and nothing of this needs a network.
"""

import contextlib
import datetime
import os

TIMEOUT = datetime.timedelta(minutes=30)  # of ranks that wait for one another
_STOP = 2**40  # no such number is ever dealt


class Ranks:
    """One process's view: ``rank`` of ``world``, the ``local``-th on its node."""

    def __init__(self, rank=0, world=1, local=0, store=None):
        self.rank, self.world, self.local, self._store, self._deals = rank, world, local, store, 0

    @property
    def first(self):
        """Whether this is the rank that prints and writes."""
        return self.rank == 0

    def dealt(self, count):
        """Yield those of 0 … count - 1 that fall to this rank, in ascending order; all ranks together get each once.

        A rank that is quicker gets more. All ranks have to call it equally often.
        """
        self._deals += 1
        if self._store is None:
            yield from range(count)
            return
        with _naming_the_lost():
            while (number := self._store.add(f"deal_{self._deals}", 1) - 1) < count:
                yield number

    def shared(self, value):
        """What every rank has given, by rank. Waits for all of them; RuntimeError where one has ended."""
        if self._store is None:
            return [value]
        import torch.distributed

        everyones = [None] * self.world
        with _naming_the_lost():
            torch.distributed.all_gather_object(everyones, value)
        return everyones

    def device(self, wanted=None):
        """The torch.device of this rank: ``wanted``, None for a GPU where there is one; of several GPUs of a node each
        rank has its own.
        """
        import torch

        device = torch.device(wanted or ("cuda" if torch.cuda.is_available() else "cpu"))
        if self.world == 1 or device.type != "cuda" or device.index is not None:
            return device
        return torch.device("cuda", self.local % torch.cuda.device_count())

    def _give_up(self):
        """Nothing more is dealt to anyone: the others come at once to where they miss this rank."""
        for deal in (self._deals, self._deals + 1):  # the others may be one ahead
            with contextlib.suppress(RuntimeError):
                self._store.add(f"deal_{deal}", _STOP)


ALONE = Ranks()
_here = []  # the ranks that this process has joined


@contextlib.contextmanager
def joined(timeout=TIMEOUT):
    """Wait for the other ranks of this command -> Ranks. RuntimeError when they do not come within ``timeout``.

    torchrun's RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT count, or else those of a SLURM step. Within
    such a block another one has the same ranks.
    """
    place = _of_torchrun() or _of_slurm()
    if place is None or _here:
        yield _here[0] if _here else ALONE
        return
    import torch.distributed as dist

    rank, world, local = place
    try:
        store, *_ = next(dist.rendezvous("env://", rank, world, timeout=timeout))
        store = dist.PrefixStore("handlib", store)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timeout)
    except RuntimeError as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise RuntimeError(
            f"rank {rank} of {world} did not find the others at {where} within {_words(timeout)} ({_line(error)})\n"
            "  To mend it: see whether another rank failed first, whether the port is free (set MASTER_PORT) and the\n"
            "  nodes reach one another (set GLOO_SOCKET_IFNAME to their network interface)"
        ) from error
    those = Ranks(rank, world, local, store)
    _here.append(those)
    try:
        yield those
    except BaseException:
        those._give_up()
        raise
    finally:
        _here.clear()
        dist.destroy_process_group()


def machine():
    """Devices and nodes as the launcher has laid out the ranks, for Lightning: {"devices", "nodes"}; one of each where
    there is no launcher.
    """
    if _of_torchrun():
        each = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        return {"devices": each, "nodes": int(os.environ["WORLD_SIZE"]) // each}
    if _of_slurm():
        nodes = int(os.environ.get("SLURM_NNODES", 1))
        return {"devices": int(os.environ["SLURM_STEP_NUM_TASKS"]) // nodes, "nodes": nodes}
    return {"devices": 1, "nodes": 1}


def is_first():
    """Whether this process is the first rank, whoever has started it."""
    return (_of_torchrun() or _of_slurm() or (0,))[0] == 0


def _of_torchrun():
    """(rank, world, rank on the node), None where torchrun has not started this process, or it alone."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or "RANK" not in os.environ:
        return None
    return tuple(int(os.environ.get(name, 0)) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))


def _of_slurm():
    """The same of a step that srun has started; a batch script's own processes are none. The first rank's address
    goes where torch looks for it.
    """
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) == 1 or "SLURM_PROCID" not in os.environ:
        return None
    from lightning.fabric.plugins.environments import SLURMEnvironment

    known = SLURMEnvironment(auto_requeue=False)
    _ = known.main_address, known.main_port  # they set MASTER_ADDR and MASTER_PORT
    return known.global_rank(), known.world_size(), known.local_rank()


@contextlib.contextmanager
def _naming_the_lost():
    """torch says that a connection closed: say what that means."""
    try:
        yield
    except RuntimeError as error:
        raise lost(error) from error


def is_lost(error):
    """Whether an error is torch's for a rank that cannot be reached."""
    import torch.distributed

    return isinstance(error, torch.distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def lost(error):
    """RuntimeError for what torch raised when a rank could not be reached any more."""
    return RuntimeError(
        f"another rank has ended or does not answer ({_line(error)})\n"
        "  To mend it: its own message says why; the same command goes on with what is kept"
    )


def _line(error):
    return next(iter(str(error).splitlines()), type(error).__name__)


def _words(timeout):
    return f"{timeout.total_seconds() / 60:g} minutes"
