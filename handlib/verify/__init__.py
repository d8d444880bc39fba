"""Does this code compute what the published implementations compute? Runs every case of a reference folder.

``handlib verify [SYSTEM] [--reference FOLDER]`` prints a row per case and quantity. A system is a list of check
functions ``f(reference) -> iterator of Row or Skip``; the data in the folder decide which cases there are.
"""

import dataclasses
import importlib
from pathlib import Path

from handlib.verify.reference import SHIPPED, Reference

SYSTEMS = {
    "interhand": ["interhand_network", "interhand_data", "interhand_metrics", "interhand_mano", "interhand_end_to_end"],
    "oakink": ["oakink_network", "oakink_data", "oakink_fit", "oakink_metrics", "oakink_end_to_end"],
    "handoccnet": [
        "handoccnet_network",
        "handoccnet_loss",
        "handoccnet_data",
        "handoccnet_fitting",
        "handoccnet_end_to_end",
    ],
    "wholebody": [
        "wholebody_layers",
        "wholebody_joints",
        "wholebody_primitives",
        "wholebody_pose2pose",
        "wholebody_hand4whole",
        "wholebody_osx",
        "wholebody_tools",
        "wholebody_training",
        "wholebody_data",
        "wholebody_agora",
        "wholebody_hands",
        "wholebody_metrics",
        "wholebody_submissions",
        "wholebody_published",
        "wholebody_rest",
    ],
    "metrics": ["metrics", "metrics_hands", "metrics_agora"],
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One compared quantity: ``deviation`` must not exceed ``tolerance`` (both in the unit the quantity says)."""

    case: str
    quantity: str
    deviation: float
    tolerance: float

    @property
    def ok(self):
        return bool(self.deviation <= self.tolerance)  # False for NaN


@dataclasses.dataclass(frozen=True)
class Skip:
    """A case that was not run, and why."""

    case: str
    reason: str


def run(system, folder=None):
    """Yield (module, Row or Skip) for every check of ``system``; one that breaks is a Row with infinite deviation."""
    reference = Reference(folder or SHIPPED / system, system)
    for name in SYSTEMS[system]:
        module = importlib.import_module(f"handlib.verify.{name}")
        for check in module.CHECKS:
            try:
                for result in check(reference):
                    yield name, result
            except Exception as error:  # one broken check must not hide the others
                yield name, Row(f"{check.__name__} stopped", f"{type(error).__name__}: {error}", float("inf"), 0.0)


def find_folder(system, reference):
    """``reference`` may be the system's own folder or the one above it; None is the shipped one."""
    if reference is None:
        return None
    folder = Path(reference)
    return folder / system if (folder / system).is_dir() else folder


def main(systems, reference=None):
    """Print the table; exit code 0 when all is well, 1 when a figure is off or when nothing ran."""
    failed = ran = skipped = 0
    print(f"{'case':44s} {'quantity':44s} {'deviation':>11s} {'tolerance':>10s}")
    for system in systems or list(SYSTEMS):
        for module, result in run(system, find_folder(system, reference)):
            case = f"{module.removeprefix(system + '_')}/{result.case}"
            if isinstance(result, Skip):
                skipped += 1
                print(f"{case:44s} skipped: {result.reason}", flush=True)
                continue
            ran += 1
            failed += not result.ok
            verdict = "ok" if result.ok else "OFF"
            print(
                f"{case:44s} {result.quantity:44s} {result.deviation:11.3g} {result.tolerance:10.3g} {verdict}",
                flush=True,
            )
    print(f"{ran} quantities compared, {failed} off, {skipped} cases skipped")
    return 0 if ran and not failed else 1
