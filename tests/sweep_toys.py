"""A run of a sweep whose notebook is a function: `python sweep_toys.py` in place of the child's own command.

It notes each attempt, starts a process as a notebook starts its kernel, waits for ``nap`` seconds unless an earlier
attempt got that far, fails where ``epochs`` is 7, and leaves a receipt.
"""

import subprocess
import sys
import time
from pathlib import Path

from handlib import inputs, runs
from handlib.files import write_json
from handlib.sweeps import child

COMMAND = (sys.executable, __file__)
PARAMETERS = 'data = "data"\nout = ""\nepochs = 1\nrate = 0.1\nnap = 0.0\nrecipe = ""\nnames = []'


def project(folder):
    """A project with one notebook, which does as the function here does."""
    import nbformat  # slow, and not for the runs

    (folder / "notebooks").mkdir()
    (folder / "data").mkdir()
    cells = [
        nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell('import handlib\nrun = handlib.runs.start("01_small", data=data, out=out)'),
        nbformat.v4.new_code_cell('assert epochs < 5, "too many epochs"'),
        nbformat.v4.new_code_cell('run.finish(seed=1, results=[{"protocol": "toy", "mpjpe_mm": epochs * rate}])'),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "notebooks" / "01_small.ipynb")
    return folder


def run_notebook(notebook, given):
    folder = Path(given["out"])
    with open(folder / "attempts.txt", "a") as file:
        file.write("attempt\n")
    if given["nap"] and not (folder / "half").exists():
        kernel = subprocess.Popen(["sleep", "600"])
        (folder / "half.part").write_text(str(kernel.pid))
        (folder / "half.part").rename(folder / "half")
        time.sleep(given["nap"])
        kernel.kill()
    if given["epochs"] == 7:
        raise RuntimeError("01_small.ipynb: cell [3] `assert epochs < 5` failed with AssertionError: too many epochs")
    write_json(folder / "receipt.json", {"results": [{"mpjpe_mm": given["epochs"] * given["rate"]}]})


def settle():
    """Runs started in this process are toys, and the code is not looked at: others may work on it meanwhile."""
    child._COMMAND = COMMAND
    inputs.code_hash = lambda: "toys"


def hurry():
    """A worker that waits less long for a file system to show something."""
    from handlib.sweeps import running

    running.SEEN_WITHIN = 1.0


def settle_workers(client):
    """Settle every worker of a cluster, those too that take the place of killed ones."""
    from distributed import WorkerPlugin

    class Settled(WorkerPlugin):
        def setup(self, worker):
            settle()

    client.register_plugin(Settled())


if __name__ == "__main__":
    settle()
    runs.run_notebook = run_notebook
    child.main()
