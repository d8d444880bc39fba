"""What is present, what is missing, and the exact place and official site of each missing file. Never a traceback.

Only the standard library is imported here: the doctor works where the rest does not.
"""

import itertools

from handlib import runs
from handlib.doctor import environment, official, own
from handlib.doctor.rows import BROKEN, MISSING, OLD, PRESENT, Row, reason

__all__ = ["BROKEN", "MISSING", "OLD", "PRESENT", "Row", "main", "report"]
LOOKS = (
    *(environment.python, environment.torch, environment.locked_packages, environment.tools, own.bodies),
    *official.LOOKS,
    *(own.packs, own.checkpoints, own.demo),
)


def report(data="data"):
    """Look at everything -> list of `Row`. ``data``: the data root. A look that fails is itself a row, "broken"."""
    root = runs.from_root(data)
    return [row for look in LOOKS for row in _guarded(look, root)]


def _guarded(look, root):
    rows = []
    try:
        for row in look(root):
            rows.append(row)
    except Exception as error:  # whatever is wrong with this machine, the other looks must still be taken
        rows.append(Row("Could not be looked at", look.__name__.replace("_", " "), BROKEN, reason(error)))
    return rows


def main(data="data"):
    """Print the report. Exit code 0, or 1 when Python or torch cannot be used."""
    rows = report(data)
    for group in dict.fromkeys(row.group for row in rows):
        print(f"\n{group}")
        for source, same in itertools.groupby((row for row in rows if row.group == group), lambda row: row.source):
            same = list(same)
            for row in same:
                place = f"-> {row.place}" if row.place and row.status != PRESENT else ""
                print("  " + "  ".join(filter(None, [f"{row.status:8s}", f"{row.what:32s}", row.detail, place])))
            if source and any(row.status != PRESENT for row in same):
                print(f"{'':12s}from {source}")
    print(f"\n{sum(row.status == PRESENT for row in rows)} of {len(rows)} present. `make demo` needs no licensed file.")
    return int(any(row.what in ("Python", "torch") and row.status != PRESENT for row in rows))
