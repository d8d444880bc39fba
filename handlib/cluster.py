"""A Dask cluster to hand work to: one that runs already, or SLURM jobs. ``connect`` is for packing and for sweeps.

What a worker does, it does with the rights of whoever started it, and a Dask scheduler takes work from whoever reaches
it: let it listen where only those can whom you trust. Here nothing listens on a network that was not named: a cluster
on this machine on 127.0.0.1 alone, that of SLURM jobs on the ``interface`` of its settings; there is no dashboard
unless the settings ask for one.
"""

import contextlib
import logging
import shutil
import sys
import warnings

import handlib
from handlib import inputs
from handlib.files import InputError, read_yaml, require_known

MEND_INSTALL = "pip install 'handlib[cluster]' (dask, distributed and dask-jobqueue)"
SETTINGS = (
    "queue", "account", "walltime", "cores", "memory", "processes", "job_cpu", "job_mem", "job_extra_directives",
    "job_directives_skip", "job_script_prologue", "job_name", "log_directory", "local_directory", "interface",
    "protocol", "security", "shared_temp_directory", "scheduler_options", "worker_extra_args", "death_timeout", "nanny",
    "python", "shebang",
)  # fmt: skip
_QUIET = {"dashboard": False, "dashboard_address": None}  # then what it serves stays on the scheduler's own interface
WORKERS = "HANDLIB_WORKERS"  # in a job's environment: how many workers share its processors
_QUIET_WORKER = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]  # Dask's own default is every interface


@contextlib.contextmanager
def connect(scheduler="", slurm="", local=0, patience=60.0):
    """A dask.distributed Client of the cluster that was asked for; None when none was.

    scheduler: address of a running Dask scheduler ("tcp://node7:8786"; with TLS as Dask's own configuration says).
    slurm: a YAML file: ``jobs``, how many to keep running, and the settings of dask_jobqueue.SLURMCluster (`SETTINGS`;
    what it does not say, Dask's own jobqueue.yaml may). local: so many worker processes on this machine. The cluster
    that was started here ends with the block.

    patience: seconds to wait for the scheduler and for its first worker; SLURM's first job is waited for without end.
    Raises InputError for settings that cannot be used; RuntimeError, with the mend, when Dask is missing, when nobody
    answers, when there are no workers or no sbatch, and when workers have another version of handlib than this process.
    """
    asked = [name for name, value in (("scheduler", scheduler), ("slurm", slurm), ("local", local)) if value]
    if len(asked) > 1:
        raise InputError(" and ".join(asked), "are two clusters", "give one of them")
    if not asked:
        yield None
        return
    with contextlib.ExitStack() as stack:
        if scheduler:
            client = _reach(scheduler, patience)
        else:
            cluster = stack.enter_context(_slurm(slurm) if slurm else _local(local))
            client = _distributed().Client(cluster, set_as_default=False)
        stack.enter_context(client)
        _first_worker(client, None if slurm else patience, scheduler or slurm)
        require_same_code(client)
        yield client


def _distributed():
    try:
        import distributed
    except ImportError as error:
        raise RuntimeError(f"a cluster needs Dask, which is not installed ({error})\n  {MEND_INSTALL}") from error
    return distributed


def _reach(address, patience):
    distributed = _distributed()
    try:
        return distributed.Client(address, timeout=patience, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise RuntimeError(
            f"no Dask scheduler answers at '{address}' within {patience:g} s ({type(error).__name__}: {error})\n"
            "  start one (dask scheduler --interface NAME --no-dashboard), or give the address that it prints"
        ) from error


def _local(workers):
    distributed = _distributed()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*Port .* is already in use")  # of the dashboard that is not wanted
        return distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None,
            silence_logs=logging.ERROR,
        )  # fmt: skip


@contextlib.contextmanager
def _slurm(file):
    jobs, cluster = slurm_cluster(file)
    with cluster:
        cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # a job that dies, or whose time is up, is replaced
        print(f"{jobs} SLURM jobs asked for (squeue shows them); waiting for the first", file=sys.stderr, flush=True)
        yield cluster


def slurm_cluster(file):
    """(jobs, a dask_jobqueue.SLURMCluster without jobs as yet) of a settings file; ``cluster.job_script()`` shows what
    sbatch will be given. Raises as `connect` does.
    """
    settings = read_yaml(file, "as docs/cluster.md shows")
    require_known(settings, ("jobs", *SETTINGS), file)
    jobs = settings.pop("jobs", None)
    if type(jobs) is not int or jobs < 1:
        raise InputError(file, f"is {jobs!r}, not a number of jobs", "write e.g. jobs: 4", field="jobs")
    try:
        import dask
        import dask_jobqueue
    except ImportError as error:
        raise RuntimeError(f"SLURM jobs need dask-jobqueue, which is missing ({error})\n  {MEND_INSTALL}") from error
    options = settings.get("scheduler_options") or {}
    named = settings.get("interface") or dask.config.get("jobqueue.slurm.interface", None)
    if not (named or options.get("host") or options.get("interface")):
        mend = "name the one that compute nodes reach, e.g. interface: ib0 (`ip -brief address` lists them)"
        raise InputError(file, "is missing: Dask would listen on every network of this machine", mend, "interface")
    if not shutil.which("sbatch"):
        raise RuntimeError("sbatch is not on the PATH\n  run this on a login node of the SLURM cluster")
    settings["scheduler_options"] = _QUIET | options
    processes = settings.get("processes") or dask.config.get("jobqueue.slurm.processes", None) or 1
    settings["processes"] = processes
    # A worker does one thing at a time, with the processors of the job (or its share of them) to itself.
    settings["worker_extra_args"] = ["--nthreads", "1", *_QUIET_WORKER, *(settings.get("worker_extra_args") or [])]
    settings["job_script_prologue"] = [f"export {WORKERS}={processes}", *(settings.get("job_script_prologue") or [])]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(?s).*Port .* is already in use")
            return jobs, dask_jobqueue.SLURMCluster(**settings)
    except (ValueError, TypeError, AttributeError, OSError, ImportError, RuntimeError) as error:
        raise InputError(file, f"makes no SLURM cluster: {error}", "correct it, as docs/cluster.md shows") from error


def _first_worker(client, patience, source):
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError as error:
        raise RuntimeError(
            f"the Dask scheduler at {source or 'this machine'} has no workers after {patience:g} s\n"
            "  start some (dask worker ADDRESS --interface NAME --no-dashboard --dashboard-address 127.0.0.1:0)"
        ) from error


def require_same_code(client):
    """RuntimeError naming the workers whose handlib is not this process's, or who have none."""
    ours = code_version()
    theirs = client.run(_version_here, on_error="return")
    wrong = [f"{worker}: {_said(found)}" for worker, found in sorted(theirs.items()) if found != ours]
    if wrong:
        raise RuntimeError(
            f"workers have another handlib than this process ({ours}):\n  " + "\n  ".join(wrong[:8]) + "\n"
            "  start them in the same environment, then again; those that run keep what they had imported"
        )


def _version_here():
    """Sent by name: a worker without handlib, or with one that has no such module, raises here."""
    from handlib import cluster

    return cluster.code_version()


def _said(found):
    return f"handlib cannot be imported there: {found}" if isinstance(found, BaseException) else found


def code_version():
    """``0.1.0 (code 1a2b3c4d5e6f)``: the version, and a hash of the package's files as this process found them."""
    return f"{handlib.__version__} (code {inputs.code_hash()[:12]})"
