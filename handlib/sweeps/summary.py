"""One table of a sweep: a row for each run, its parameters, how it ended, its figures and its receipt."""

import time

from handlib.files import InputError, read_json
from handlib.sweeps import record

NAME = "summary"


class Summary:
    """The table as it grows; ``records``: {name: record} of the runs that are known to be done."""

    def __init__(self, sweep, records):
        self.sweep = sweep
        self._rows = {one.name: _row(one, records.get(one.name)) for one in sweep.runs}
        self._planned = {one.name: one for one in sweep.runs}
        self._stale, self._not_before = True, 0.0

    def add(self, name, found):
        self._rows[name] = _row(self._planned[name], found)
        self._stale = True

    def failed(self):
        """The rows of the runs that failed."""
        return [row for row in self._rows.values() if row["state"] == record.FAILED]

    def frame(self):
        """A row per run, in the sweep's order: run, notebook, state, seconds, what the sweep's file sets, the figures
        of the receipt's results, its path and SHA-256, and the error of a failed one.
        """
        import pandas  # not before it is needed: the command line imports this

        frame = pandas.DataFrame(list(self._rows.values()))
        last = ["receipt", "receipt_sha256", "error"]
        return frame[[name for name in frame if name not in last] + last]

    def write(self, now=False):
        """Write it, unless it stands there already, or that would take more than a tenth of the time (thousands of
        runs) and need not be ``now``. Returns the seconds after which to come again; None: there is nothing to write.
        """
        from handlib import tables

        left = self._not_before - time.monotonic()
        if self._stale and (now or left <= 0):
            began = time.monotonic()
            tables.export(self.frame(), self.sweep.folder, NAME)
            self._stale, self._not_before = False, time.monotonic() + 9 * (time.monotonic() - began)
        return max(left, 0.1) if self._stale else None


def _row(one, found):
    found = found or {"state": record.WAITING}
    row = {"run": one.name, "notebook": one.notebook.stem, "state": found["state"], "seconds": found.get("seconds")}
    row |= {_apart(name, row): _cell(value) for name, value in one.given.items()}
    receipt = one.folder / record.RECEIPT
    done = found["state"] == record.DONE and receipt.is_file()
    for name, value in (_figures(receipt) if done else {}).items():
        row.setdefault(name, value)
    row["receipt"] = str(receipt) if done else None
    row["receipt_sha256"] = found.get("receipt") if done else None
    return row | {"error": found.get("error")}


def _apart(name, row):
    """A parameter's column; one that is called like a column of the table's own has its kind behind it."""
    return f"{name} (parameter)" if name in (*row, "receipt", "receipt_sha256", "error") else name


def _cell(value):
    return value if isinstance(value, str | int | float) else str(value)


def _figures(receipt):
    """{column: value} of a receipt's results: each row's protocol, and the figures that a table of methods shows (all
    of a protocol that is not handlib's). A name that an earlier row has, too, gets its protocol before it.
    """
    try:
        rows = read_json(receipt).get("results") or []
    except InputError:
        return {}
    found = {}
    for row in rows:
        for name in _shown(row):
            found[name if name not in found else f"{row.get('protocol')}: {name}"] = row[name]
    return found


def _shown(row):
    from handlib import tables

    protocol = str(row.get("protocol")).partition(",")[0]
    shown = [tables.column(protocol, figure) for figure in tables.SUMMARY.get(protocol, ())]
    figures = [name for name in row if name not in tables.FACTS]
    return [name for name in ("protocol", *(shown or figures)) if name in row]
