"""``handlib bench``: speed as ratios within one run, because seconds do not carry over to another machine."""

import importlib
import os
import platform

from handlib.files import InputError

AREAS = (
    *("networks", "oakink_networks", "handoccnet", "wholebody_networks"),
    *("data", "oakink_data", "handoccnet_data", "wholebody_data"),
    *("bodies", "fitting", "rendering", "predict", "protocols", "agora", "package"),
)


def main(areas=()):
    """Print one table per area; exit code 1 when a ratio is above its bar."""
    unknown = set(areas) - set(AREAS)
    if unknown:
        raise InputError("bench", f"no area '{unknown.pop()}'", f"name of: {', '.join(AREAS)}")
    import torch

    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, ", end="")
    print(f"{torch.get_num_threads()} threads, Python {platform.python_version()}")
    missed = 0
    for area in areas or AREAS:
        module = importlib.import_module(f"handlib.benchmarks.{area}")
        print(f"\n{area:38s} {'ms':>9s}  {'yardstick':30s} {'ms':>9s} {'ratio':>7s} {'published':>9s} {'bar':>6s}")
        for bench in module.BENCHES:
            for row in bench():
                missed += not row.ok
                _print(row)
    return int(missed > 0)


def _print(row):
    published = "" if row.published_ratio is None else f"{row.published_ratio:.2f}"
    bar = "" if row.bar is None else f"{row.bar:.2f}"
    verdict = "" if row.bar is None else ("ok" if row.ok else "MISSED")
    print(
        f"{row.name:38s} {row.seconds * 1e3:9.2f}  {row.yardstick:30s} {row.yardstick_seconds * 1e3:9.2f} "
        f"{row.ratio:7.2f} {published:>9s} {bar:>6s} {verdict}",
        flush=True,
    )
