"""A Dask cluster to hand work to: real worker processes here, and jobs of an sbatch that starts them here."""

import os
import socket
import stat
import subprocess
import sys
import time

import pytest

from handlib import cluster, inputs
from handlib.files import InputError

distributed = pytest.importorskip("distributed", reason="needs the extra 'cluster'")
psutil = pytest.importorskip("psutil")

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
SETTINGS = (
    f"jobs: 1\ncores: 2\nmemory: 1GB\nwalltime: '01:00:00'\nqueue: gpu\ninterface: {LOOPBACK}\ndeath_timeout: 30\n"
)
# Takes the script as SLURM does, keeps it, and runs it here.
SBATCH = '#!/bin/sh\ncd "$(dirname "$0")"\ncp "$1" script.sh\nsetsid sh script.sh >job.log 2>&1 &\n'
SBATCH += 'echo "Submitted batch job $!"\n'
SCANCEL = '#!/bin/sh\nkill -TERM -"$1"\n'


def listening(process):
    """The addresses on which a process and its children accept connections."""
    found = set()
    for one in [process, *process.children(recursive=True)]:
        found |= {conn.laddr.ip for conn in one.net_connections("tcp") if conn.status == psutil.CONN_LISTEN}
    return found


@pytest.fixture(scope="module")
def local():
    with cluster.connect(local=2) as client:
        yield client


def test_none_asked_for_is_none():
    with cluster.connect() as client:
        assert client is None


def test_real_processes_that_listen_on_this_machine_alone(local):
    assert len(local.scheduler_info(n_workers=-1)["workers"]) == 2
    assert local.submit(os.getpid).result() != os.getpid()
    assert listening(psutil.Process()) == {"127.0.0.1"}


def test_by_the_schedulers_address(local):
    with cluster.connect(scheduler=local.scheduler.address) as client:
        assert client.submit(sum, (1, 2)).result() == 3


def test_nobody_answers(tmp_path):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(RuntimeError, match=f"no Dask scheduler answers at '{address}' within 1 s"):
            with cluster.connect(scheduler=address, patience=1):
                pass
    assert time.monotonic() - began < 15
    with pytest.raises(RuntimeError, match="no Dask scheduler answers at 'nonsense://x'"):
        with cluster.connect(scheduler="nonsense://x", patience=1):
            pass
    with pytest.raises(InputError, match="two clusters"), cluster.connect("tcp://a:1", "slurm.yaml"):
        pass


def test_workers_with_another_handlib_or_none(local, monkeypatch):
    cluster.require_same_code(local)
    monkeypatch.setattr(cluster, "code_version", lambda: "0.2.0 (code abc)")
    with pytest.raises(RuntimeError, match=r"another handlib than this process \(0.2.0 .code abc.\):\n  tcp://127"):
        cluster.require_same_code(local)


def test_a_worker_that_cannot_import_handlib_is_named(local, tmp_path, monkeypatch):
    (tmp_path / "handlib").mkdir()
    (tmp_path / "handlib" / "__init__.py").write_text("__version__ = '0.0.1'\n")
    (tmp_path / "handlib" / "cluster.py").write_text("import a_module_that_is_missing_there\n")
    words = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--no-nanny", "--host", "127.0.0.1"]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", local.scheduler.address, "--name", "old", *words]
    with subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, stderr=subprocess.DEVNULL
    ) as worker:
        try:
            local.wait_for_workers(3, timeout=60)
            with pytest.raises(RuntimeError, match="another handlib than this.*\n.*ModuleNotFoundError.*missing_there"):
                cluster.require_same_code(local)
        finally:
            worker.kill()


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RuntimeError, match=r"pip install 'handlib\[cluster\]'"), cluster.connect(local=1):
        pass


# SLURM


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Settings, with an sbatch on the PATH."""
    pytest.importorskip("dask_jobqueue", reason="needs the extra 'cluster'")
    inputs.code_hash.cache_clear()  # others may have worked on handlib since
    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        path = tmp_path / "bin" / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "slurm.yaml"
    file.write_text(SETTINGS)
    return file


def test_the_job_script(slurm):
    slurm.write_text(
        SETTINGS + "account: hands\njob_cpu: 8\njob_extra_directives: ['--gres=gpu:1']\nlog_directory: logs\n"
        "job_script_prologue: ['module load cuda']\n"
    )
    jobs, made = cluster.slurm_cluster(slurm)
    with made:
        lines = made.job_script().splitlines()
    assert jobs == 1 and lines[0].startswith("#!")
    wanted = ["-J dask-worker", "-p gpu", "-A hands", "-n 1", "--cpus-per-task=8", "--mem=954M", "-t 01:00:00"]
    assert {f"#SBATCH {words}" for words in [*wanted, "--gres=gpu:1"]} <= set(lines)
    assert "module load cuda" in lines and lines.index("module load cuda") < len(lines) - 1
    assert lines[-1].startswith(f"{sys.executable} -m distributed.cli.dask_worker tcp://127.0.0.1:")
    assert "export HANDLIB_WORKERS=1" in lines and "--nthreads 1" in lines[-1]  # a run has the job's processors
    assert f"--interface {LOOPBACK}" in lines[-1] and "--no-dashboard --dashboard-address 127.0.0.1:0" in lines[-1]


def test_jobs_start_work_are_replaced_and_end(slurm):
    """The jobs are processes here. One that is killed is replaced; none is left when the block ends."""
    import dask

    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}), cluster.connect(slurm=slurm) as client:
        first = client.submit(os.getppid, pure=False).result()  # the nanny
        assert [one["nthreads"] for one in client.scheduler_info(n_workers=-1)["workers"].values()] == [1]
        assert "#SBATCH -p gpu" in (slurm.parent / "bin" / "script.sh").read_text()
        assert listening(psutil.Process(first)) | listening(psutil.Process()) == {"127.0.0.1"}
        os.killpg(os.getpgid(first), 9)
        second = client.submit(os.getppid, pure=False).result(60)
        assert second != first
    gone = psutil.wait_procs([psutil.Process(second)] if psutil.pid_exists(second) else [], timeout=20)[1]
    assert not gone


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("jobs: 0\n" + SETTINGS.partition("\n")[2], "field 'jobs': is 0, not a number of jobs"),
        (SETTINGS.partition("\n")[2], "field 'jobs': is None"),
        (SETTINGS + "qeue: gpu\n", "field 'qeue'.*\n.*did you mean 'queue'"),
        (SETTINGS.replace(f"interface: {LOOPBACK}\n", ""), "field 'interface'.*every network"),
        (SETTINGS.replace(LOOPBACK, "nonet7"), "makes no SLURM cluster.*nonet7"),
        (SETTINGS.replace("cores: 2\n", ""), "makes no SLURM cluster.*cores"),
        (SETTINGS.replace("1GB", "much"), "makes no SLURM cluster"),
        ("jobs: [1\n", "is not YAML"),
    ],
)
def test_settings_that_make_no_cluster(slurm, text, words):
    slurm.write_text(text)
    with pytest.raises(InputError, match=words), cluster.connect(slurm=slurm):
        pass


def test_no_sbatch_here(slurm, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match="sbatch is not on the PATH"), cluster.connect(slurm=slurm):
        pass
