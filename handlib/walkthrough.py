"""The whole walk-through on one data root: every notebook, several at a time, then their tables."""

import concurrent.futures
import os
import subprocess
import sys
import time

from handlib import runs
from handlib.files import read_json

# A notebook reads what those of earlier steps left: packs, then checkpoints. Within a step they are independent.
STEPS = (("01",), ("02", "03", "04", "05", "06"), ("07", "08", "09"))
MOST = 4  # at a time; each holds a data set's pictures and a network in memory
# A run whose walk was killed must not go on beside the next one.
_RUN = (
    "import sys; from handlib import processes; processes.end_with(int(sys.argv.pop(1)), True); "
    "from handlib import cli; sys.exit(cli.main())"
)


def walk(data="data/demo", settings=None, jobs=None):
    """Run every notebook on one data root, then print each run's tables and what there is to look at.

    A notebook that takes ``dataset`` runs once for each data set that is there, each run in a folder of its own.
    settings: {notebook's stem: parameters}; jobs: how many run at a time, each in a process of its own with its share
    of the processors (None: one per processor, at most `MOST`). Returns the run folders in the notebooks' order.
    Raises RuntimeError naming the notebooks that failed, when those beside them have ended.
    """
    jobs = jobs or min(MOST, runs.processors())
    folders = []
    for step in STEPS:
        planned = [
            (path, more | (settings or {}).get(path.stem, {}))
            for path in runs.notebooks()
            if path.stem.startswith(step)
            for more in _each(path, data)
        ]
        folders += _together(planned, data, min(jobs, max(1, len(planned))))
    for folder in folders:
        _show(folder)
    return folders


def _each(notebook, data):
    """The parameters of a notebook's runs on a data root: one for each data set there, or one alone."""
    from handlib import datasets

    if "dataset" not in runs.parameters(notebook):
        return [{}]
    there = [name for name, folder in datasets.FOLDERS.items() if (runs.from_root(data) / folder).is_dir()]
    people = [name for name in there if name in datasets.PEOPLE]
    single = [name for name in there if name not in ("interhand", *people)]
    # 02 shows one set of each kind: two hands, one hand that holds something, whole people; these 09 measures, not 07.
    left_out = {"02": single[:-1] + people[:-1], "07": people}.get(notebook.stem[:2], [])
    return [{"dataset": name} for name in there if name not in left_out]


def _together(planned, data, jobs):
    """Run (notebook, parameters) pairs, ``jobs`` at a time; their folders in the order given."""
    if jobs == 1:
        return [runs.run_notebook(path.stem, given, data=data) for path, given in planned]
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, runs.processors() // jobs))}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        # The trainings take longest and have the highest numbers of their step: they start first.
        waiting = [pool.submit(_process, path, given, data, environment) for path, given in reversed(planned)]
        ended = [one.result() for one in reversed(waiting)]
    failed = [said for folder, said in ended if folder is None]
    if failed:
        raise RuntimeError("\n".join(failed))
    return [folder for folder, _ in ended]


def _process(notebook, given, data, environment):
    """One notebook in a process of its own -> (its run folder, or None; what it said)."""
    words = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    name, began = " ".join([notebook.stem, *(f"{key}={value}" for key, value in given.items())]), time.monotonic()
    print(f"{name}: started", flush=True)
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(os.getpid()), "run", str(notebook), *words, "--data", str(data)],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    print(f"{name}: {'failed' if done.returncode else 'done'} after {time.monotonic() - began:.0f} s", flush=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith(("handlib:", "  "))]
        return None, "\n".join(said[-4:]) or f"{name}: {done.stderr[-500:]}"
    return runs.from_root(done.stdout.strip().splitlines()[-1]), ""


def _show(folder):
    import pandas

    receipt = read_json(folder / "receipt.json")
    print(f"\n== {folder.name}  ({receipt['seconds']} s)\n{folder}/{receipt['run']}.html")
    for name in receipt[runs.TABLES]:
        print(f"\n{name}\n{pandas.read_parquet(folder / runs.TABLES / f'{name}.parquet').to_string()}")
    for name in receipt[runs.PICTURES]:
        print(folder / runs.PICTURES / name)
