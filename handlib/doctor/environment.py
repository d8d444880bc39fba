"""Python, packages and tools."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

from handlib.doctor.rows import BROKEN, MISSING, OLD, PRESENT, Row, reason

GROUP = "Python and packages"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
OLDEST_PYTHON = (3, 11)
LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"


def python(root):
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        yield Row(
            GROUP,
            "Python",
            OLD,
            f"{version}, but {'.'.join(map(str, OLDEST_PYTHON))} is the oldest that works",
            source="https://www.python.org",
        )
    else:
        yield Row(GROUP, "Python", PRESENT, version, sys.executable)


def torch(root):
    said, problem = _ask(
        "import json, torch; cuda = torch.cuda; torch.ones(2).sum(); "
        "names = [cuda.get_device_name(i) for i in range(cuda.device_count())] if cuda.is_available() else []; "
        "print(json.dumps([torch.__version__, names]))"
    )
    if problem:
        yield Row(GROUP, "torch", BROKEN, problem, source="https://pytorch.org/get-started/locally")
        return
    version, devices = json.loads(said)
    yield Row(GROUP, "torch", PRESENT, version)
    detail = ", ".join(devices) or "none that torch can use; the CPU serves for the demo"
    yield Row(GROUP, "GPU", PRESENT if devices else MISSING, detail)


def _ask(code):
    """Run Python code in a process of its own, which may crash -> (last line printed, None) or (None, why not)."""
    try:
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, reason(error)
    said, complaints = done.stdout.strip().splitlines(), done.stderr.strip().splitlines()
    if done.returncode or not said:
        return None, complaints[-1] if complaints else f"its process ended with code {done.returncode}"
    return said[-1], None


def locked_packages(root):
    """Installed versions against requirements.lock, which lies beside the package in a checkout only."""
    if not LOCK.exists():
        return
    other, absent = [], []
    pins = [line.partition("==") for line in LOCK.read_text(encoding="utf-8").splitlines() if "==" in line]
    for name, _, wanted in pins:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
            continue
        if found.partition("+")[0] != wanted:
            other.append(f"{name} {found} (lock: {wanted})")
    mend = "`make test` installs what the lock says"
    if other:
        yield Row(GROUP, "versions as in requirements.lock", OLD, _few(other), str(LOCK), mend)
    if absent:
        yield Row(GROUP, "packages of requirements.lock", MISSING, _few(absent), str(LOCK), mend)
    if not other and not absent:
        yield Row(GROUP, "versions as in requirements.lock", PRESENT, f"{len(pins)} packages", str(LOCK))


def tools(root):
    said, problem = _ask("import embreex, embreex.rtcore_scene; print('ok')")
    detail = problem or "ray casting for part masks and pictures"
    yield Row(GROUP, "embree", BROKEN if problem else PRESENT, detail, source="pip install embreex")
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    detail = "for the browser test only"
    yield Row(GROUP, "Chromium", PRESENT if browser else MISSING, detail, browser or "", "apt install chromium")


def _few(names, most=5):
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
