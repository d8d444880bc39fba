"""Rows of one's own, from figures, predictions, files and receipts, and the same beside the published ones."""

import warnings
from pathlib import Path

import numpy as np
import pandas

from handlib import npz, protocols
from handlib.files import InputError, read_json, require, sha256, shown
from handlib.tables import facts as known
from handlib.tables.facts import FACTS, SUMMARY, UNSTATED
from handlib.tables.pages import NO_RECEIPT

_NPZ = "give an .npz file of named arrays, as numpy.savez writes it"
RESULTS = "results"  # where a receipt keeps what `record` gives


def result(
    figures, *, method, split, data, root_depth=None, checkpoint=None, receipt=None, source="own run", note=None
):
    """One row for figures of one's own -> DataFrame with one row, columns as `published`.

    figures: what ``handlib.protocols.evaluate`` returns; its protocol, options and alignment are noted. data: which
    data, worded as in `published` where it is the same ("InterHand2.6M v1.0 5 fps"). root_depth: where absolute wrist
    depths come from ("RootNet", "ground truth"). receipt: path of the run's receipt.json; a row without one is marked
    `NO_RECEIPT`. Raises InputError for figures that do not say how they were made.
    """
    made = getattr(figures, "attrs", {})
    if "protocol" not in made:
        raise InputError("figures", "do not say by which protocol", "give what handlib.protocols.evaluate returns")
    facts = {"method": method, "split": split, "data": data, "root_depth": root_depth, "checkpoint": checkpoint}
    facts |= {"protocol": made["protocol"] + _words(made), "alignment": made["alignment"], "source": source}
    return known.frame([(facts | {"receipt": receipt or NO_RECEIPT, "note": note}, figures)])


def _words(made):
    """The options that change a figure, as they stand behind the protocol's name."""
    # The protocol's name says the first; the second is a folder of official files; the third, how the truth was given
    silent = {"model", "bodies", "truth_frame"}
    return "".join(f", {name}={value}" for name, value in made["options"].items() if name not in silent)


def own(predictions, truth=None, *, protocol, method, split, data, options=None, **facts):
    """A row for anyone's predictions, no network of ours involved -> DataFrame, see `result`.

    predictions: the arrays that the protocol takes; or a file: what ``Predictions.save`` wrote, an .npz of these
    arrays, or a submission as ``handlib.submissions`` reads it (FreiHAND, HO3D, DexYCB …). truth: arrays or an .npz
    of them; a file of ``Predictions.save`` brings its own. options: the protocol's. The row names the file and its
    SHA-256 as its source, and has no receipt unless ``receipt`` is given. Raises InputError naming what cannot be used.
    """
    source = "arrays given by the user"
    if isinstance(predictions, str | Path):
        path = require(predictions, "give the file of predictions, or their arrays")
        source = f"{path.name}, sha256 {sha256(path)[:12]}" if path.is_file() else f"folder {path.name}"
        predictions, brought = _read(protocol, path)
        truth = brought if truth is None else truth
    if isinstance(truth, str | Path):
        truth = npz.read(truth, _NPZ)
    if truth is None:
        raise InputError("truth", "is missing", "give the ground truth's arrays, or an .npz of them")
    figures = protocols.evaluate(protocol, predictions, truth, **options or {})
    return result(figures, method=method, split=split, data=data, **{"source": source} | facts)


def _read(protocol, path):
    """A file -> predictions as the protocol takes them, and the truth that the file brings (or None)."""
    if path.suffix != ".npz":
        from handlib import submissions

        return submissions.read(protocol, path), None
    arrays = npz.read(path, _NPZ)
    groups = {"predictions": {}, "truth": {}}
    for key, array in arrays.items():
        group, _, name = key.partition("/")
        if name and group in groups:
            groups[group][name] = array
    return (groups["predictions"], groups["truth"] or None) if groups["predictions"] else (arrays, None)


# Receipts


def record(rows):
    """Rows of `result` as ``run.finish(results=record(rows))`` keeps them in the receipt, for `collect`."""
    return [
        {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}
        for row in rows.to_dict("records")
    ]


def collect(where, against=None, published=True):
    """The results of all runs -> one DataFrame, `beside_published` (or the runs' rows alone: ``published=False``).

    where: a folder (``outputs``), in which every receipt.json is read, or a list of receipts and folders. The newest
    run comes last; its row's ``receipt`` is the path that was read. A receipt of a benchmark that keeps no results
    (written before receipts kept them) is warned of. Raises InputError when no receipt holds results, or one cannot be
    read.
    """
    places = [where] if isinstance(where, str | Path) else list(where)
    paths = [path for place in places for path in _receipts(Path(place))]
    found, silent = [], []
    for path in dict.fromkeys(paths):
        started, rows, benchmark = _of_receipt(path)
        if rows is not None:
            found.append((started, rows))
        elif benchmark:
            silent.append(str(path))
    if silent:
        warnings.warn(f"tables: no results in {', '.join(silent)}; run these notebooks again", stacklevel=2)
    if not found:
        mend = "evaluate first (handlib run 07); a receipt keeps tables.record(rows) as 'results'"
        raise InputError(" and ".join(map(str, places)), "holds no receipt with results", mend)
    rows = [rows for _, rows in sorted(found, key=lambda pair: pair[0])]
    return beside_published(rows, against) if published else _joined(rows)


def _of_receipt(path):
    """(when it started, its rows or None, whether it has a benchmark's table) of a receipt."""
    mend = "run the notebook again: it writes a new one"
    receipt = read_json(path, mend)
    try:
        started, benchmark = str(receipt.get("started", "")), "benchmark" in receipt.get("tables", [])
        if not receipt.get(RESULTS):
            return started, None, benchmark
        rows = pandas.DataFrame(receipt[RESULTS]).assign(receipt=str(path))
        if not {"method", "split", "protocol"} <= set(rows.columns):
            raise ValueError("there is no method, split or protocol")
        for name in rows.columns:
            if name in FACTS and not all(isinstance(value, str) for value in rows[name].dropna()):
                raise ValueError(f"'{name}' is no text")
        unknown = set(rows["protocol"].str.partition(",")[0].dropna()) - set(SUMMARY)
        if unknown or rows["protocol"].isna().any():
            raise ValueError(f"there is no protocol {', '.join(map(shown, unknown))}")
        return started, rows.astype({name: float for name in rows.columns.drop(FACTS, errors="ignore")}), benchmark
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        raise InputError(
            path, f"holds no results as tables.record gives them ({error})", mend, field=RESULTS
        ) from error


def _receipts(place):
    require(place, "name a folder of runs (outputs) or receipt.json files")
    return sorted(place.rglob("receipt.json")) if place.is_dir() else [place]


def _joined(rows):
    """Rows in one table: the facts first, figures after them, text where a fact is missing."""
    table = pandas.concat(rows, ignore_index=True).dropna(axis=1, how="all")
    table = table.reindex(columns=[*FACTS, *table.columns.drop(FACTS, errors="ignore")])
    table[FACTS] = table[FACTS].fillna(UNSTATED)
    return table


# Beside the published figures


def beside_published(results, against=None):
    """Own rows, then the published rows of the same protocol and splits, with the difference to one published method.

    results: frames from `result`, `own` or `collect`, of one protocol or several. against: a published method; None:
    the one that the protocol's own code published (DIGIT, HandOccNet …). Only the protocol's `SUMMARY` is shown.
    ``<figure>_difference`` is the row's figure minus that of ``against`` on the same split, NaN where either is unknown
    or where options make it another figure. ``same_data`` says whether the row was made on the data of ``against``:
    only there does the difference speak of the method. Facts that no row states are left out; of a protocol without
    published figures the own rows stand alone. Raises InputError when ``against`` has no figures.
    """
    own = _joined(results)
    names = own["protocol"].str.partition(",")[0]
    parts = [_with_published(own[names == name], name, against) for name in names.unique()]
    table = pandas.concat(parts, ignore_index=True)
    figures = [known.column(name, figure) for name in names.unique() for figure in SUMMARY[name]]
    shown = [name for name in dict.fromkeys(figures) if name in table and table[name].notna().any()]
    differences = [f"{name}_difference" for name in shown if f"{name}_difference" in table]
    facts = [name for name in [*FACTS[2:3], "same_data", *FACTS[3:]] if (table[name] != UNSTATED).any()]
    return table[["method", "split", *shown, *differences, *facts]]


def _with_published(own, protocol, against):
    """One protocol's rows, own and published, with differences to a method; the own ones alone where none are known."""
    if protocol not in known.shipped():
        return own.assign(same_data=False)
    table = known.published(protocol)
    against = against or known.against(protocol)
    yardstick = table[table["method"] == against].set_index("split")
    if yardstick.empty:
        mend = f"name one of: {', '.join(table['method'].unique())}"
        raise InputError("published.json", f"holds no figures of '{against}'", mend)
    table = pandas.concat([own, table[table["split"].isin(own["split"])]], ignore_index=True)
    official = table["protocol"] == protocol
    differences = {
        f"{name}_difference": (table[name] - table["split"].map(yardstick[name])).where(official)
        for name in yardstick.columns.drop(FACTS, errors="ignore").intersection(table.columns)
    }
    differences["same_data"] = table["data"] == table["split"].map(yardstick["data"])
    return pandas.concat([table, pandas.DataFrame(differences)], axis=1)
