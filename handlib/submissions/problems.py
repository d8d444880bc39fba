"""What a check finds: what the server rejects, and what it takes although the figure will be wrong."""

from typing import NamedTuple

REJECTED = "rejected"  # the server, its evaluator or the benchmark's own template stops
MISLEADING = "misleading"  # it is taken, and the figures will not be those of the model
NOTE = "note"  # legal; something a reader of the figures should know


class Problem(NamedTuple):
    """severity: one of the three above; entry: the first entry concerned, None for the file; text: all of it."""

    severity: str
    entry: object
    text: str

    def __str__(self):
        return f"{self.severity}: {self.text}"


def of_entries(severity, entries, text, what="entry"):
    """[Problem] naming the first of ``entries`` and how many there are; [] when there are none."""
    entries = list(entries)
    if not entries:
        return []
    others = ", ".join(str(entry) for entry in entries[1:4]) + (", …" if len(entries) > 4 else "")
    more = f" (and {len(entries) - 1} more: {others})" if len(entries) > 1 else ""
    return [Problem(severity, entries[0], f"{what} {entries[0]}{more}: {text}")]


def rejected(error):
    """An InputError -> [Problem]."""
    return [Problem(REJECTED, None, str(error))]
