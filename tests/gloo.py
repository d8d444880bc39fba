"""Starts the ranks of one command: as srun does, whom nothing ends when another one dies, or through torchrun."""

import os
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OURS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def torch_env(rank, world, at):
    """What torchrun tells a process."""
    return {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": at,
            "MASTER_ADDR": "127.0.0.1"}  # fmt: skip


def slurm_env(rank, world, at):
    """What srun tells a task of a job of one node."""
    return {"SLURM_JOB_ID": 4242, "SLURM_JOB_NAME": "train", "SLURM_NTASKS": world, "SLURM_NTASKS_PER_NODE": world,
            "SLURM_STEP_NUM_TASKS": world, "SLURM_NNODES": 1, "SLURM_NODELIST": "127.0.0.1", "SLURM_PROCID": rank,
            "SLURM_LOCALID": rank, "SLURM_NODEID": 0, "SLURM_STEP_ID": 0, "MASTER_PORT": at}  # fmt: skip


def start(words, world, folder, env_of=torch_env, **more):
    """Popen of every rank of ``python WORDS``; what it prints goes to ``folder``."""
    at = port()
    return [_begun(words, folder, rank, env_of(rank, world, at) | more) for rank in range(world)]


def torchrun(words, world, folder):
    """Popen of torchrun with so many ranks, which print into one file."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", world]
    return _begun([*launcher, *words], folder, 0, {})


def _begun(words, folder, number, env):
    base = {name: value for name, value in os.environ.items() if name not in OURS and not name.startswith("SLURM_")}
    base |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
    base |= {name: str(value) for name, value in env.items()}
    with open(folder / f"said_{number}.txt", "w") as said:
        call = [sys.executable, *map(str, words)]
        return subprocess.Popen(call, env=base, stdout=said, stderr=subprocess.STDOUT)


def ended(processes, folder, timeout=300):
    """[(exit code, what it printed)] of all of them; whoever does not end in time is killed."""
    try:
        codes = [process.wait(timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(code, (folder / f"said_{rank}.txt").read_text()) for rank, code in enumerate(codes)]
