"""Sweeps: many runs of notebooks from one YAML file, each in a folder of its own, and one table of them all.

``run`` does one: in processes of this machine, or on a Dask cluster; what is done is not done again. `plan` says what
stands in the file, `record` what decides whether a run is done, `child` how one is run.
"""

from handlib.sweeps.plan import Planned, Sweep, read
from handlib.sweeps.running import run

__all__ = ["Planned", "Sweep", "read", "run"]
