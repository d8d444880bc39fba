"""What the package itself costs: its import and its size on disk."""

import subprocess
import sys
import time
from pathlib import Path

import handlib
from handlib.benchmarks import Row


def bench_import():
    """``import handlib`` in a fresh interpreter, less the bare interpreter's start; the bar is half a second."""

    def seconds(code):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    bare = min(seconds("pass") for _ in range(5))
    ours = min(seconds("import handlib") for _ in range(5))
    return [Row("import handlib", max(ours - bare, 1e-6), "half a second", 0.5, bar=1.0)]


def bench_size():
    """Installed size of handlib itself (the package folder without byte code), as a share of 10 MB."""
    folder = Path(handlib.__file__).parent
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return [Row("installed size (ms stand for MB)", size / 1e9, "10 MB", 0.01, bar=1.0)]


BENCHES = [bench_import, bench_size]
