"""Results as one pandas table beside the published figures, and its export to CSV, Parquet, LaTeX and Markdown."""

import functools
from pathlib import Path

import numpy as np
import pandas

from handlib.files import InputError, read_json, write_atomic

FACTS = ["method", "split", "data", "protocol", "alignment", "root_depth", "checkpoint", "receipt", "source"]
SUMMARY = ["mpjpe_all_mm", "mpjpe_sh_mm", "mpjpe_ih_mm", "mrrpe_mm", "handness_acc"]
NO_RECEIPT = "NONE"  # marks a row whose making nobody can check
_FRACTIONS = ("handness_acc", "handedness_accuracy")


def published(protocol):
    """The published figures of a protocol -> DataFrame, a row per method and split.

    Columns: `FACTS`, then every figure, millimetres as ``<figure>_mm``. A fact that the source does not state reads
    "not stated"; figures that it does not give are NaN. Raises InputError when no figures of the protocol are known.
    """
    known = _published_facts()
    if protocol not in known:
        raise InputError("published.json", f"holds no figures of '{protocol}'", f"name one of: {', '.join(known)}")
    shared = {"protocol": protocol, "alignment": known[protocol]["alignment"], "receipt": "published"}
    return _rows([(row | shared, row["figures"]) for row in known[protocol]["rows"]])


@functools.cache
def _published_facts():
    return read_json(Path(__file__).with_name("published.json"), mend="install handlib again")


def result(figures, *, method, split, data, root_depth, checkpoint=None, receipt=None, source="own run"):
    """One row for figures of one's own -> DataFrame with one row, columns as `published`.

    figures: what ``handlib.protocols.evaluate`` returns; its protocol, options and alignment are noted. data: which
    data, worded as in `published` where it is the same ("InterHand2.6M v1.0 5 fps"). root_depth: where absolute wrist
    depths come from ("RootNet", "ground truth"). receipt: path of the run's receipt.json; a row without one is marked
    `NO_RECEIPT`. Raises InputError for figures that do not say how they were made.
    """
    made = getattr(figures, "attrs", {})
    if "protocol" not in made:
        raise InputError("figures", "do not say by which protocol", "give what handlib.protocols.evaluate returns")
    options = "".join(f", {name}={value}" for name, value in made["options"].items())
    facts = {"method": method, "split": split, "data": data, "root_depth": root_depth, "checkpoint": checkpoint}
    facts |= {"protocol": made["protocol"] + options, "alignment": made["alignment"], "source": source}
    return _rows([(facts | {"receipt": receipt or NO_RECEIPT}, figures)])


def _rows(pairs):
    """[(facts, figures)] -> DataFrame."""
    return pandas.DataFrame(
        {name: str(facts[name]) if facts[name] else "not stated" for name in FACTS}
        | {name if name in _FRACTIONS else f"{name}_mm": float(value) for name, value in dict(figures).items()}
        for facts, figures in pairs
    )


def beside_published(results, against="DIGIT"):
    """Own rows, then the published rows of the same protocol and splits, with the difference to one published method.

    results: frames from `result`. Only the figures over all joints are shown. ``<figure>_difference`` is the row's
    figure minus that of ``against`` on the same split, NaN where either is unknown. ``same_data`` says whether the row
    was made on the data of ``against``: only there does the difference speak of the method. Raises InputError when
    ``against`` has no figures.
    """
    own = pandas.concat(results, ignore_index=True)
    protocols = own["protocol"].str.partition(",")[0].unique()
    known = pandas.concat([published(protocol) for protocol in protocols], ignore_index=True)
    yardstick = known[known["method"] == against].set_index("split")
    if yardstick.empty:
        mend = f"name one of: {', '.join(known['method'].unique())}"
        raise InputError("published.json", f"holds no figures of '{against}'", mend)
    table = pandas.concat([own, known[known["split"].isin(own["split"])]], ignore_index=True)
    shown = [name for name in SUMMARY if table[name].notna().any()]
    differences = {f"{name}_difference": table[name] - table["split"].map(yardstick[name]) for name in shown}
    table = pandas.concat([table[["method", "split", *shown]], pandas.DataFrame(differences), table[FACTS[2:]]], axis=1)
    table.insert(table.columns.get_loc("data") + 1, "same_data", table["data"] == table["split"].map(yardstick["data"]))
    return table


# Export


def export(frame, folder, name):
    """Write ``folder/name`` as .csv, .parquet (full precision), .tex (booktabs) and .md (rounded); returns the paths.

    A Series becomes two columns. Each file appears whole or not at all. In .tex and .md millimetres have two decimals,
    other numbers four significant digits, and NaN is a dash. Raises InputError for a name with a folder in it, or when
    two columns have one name.
    """
    if Path(name).name != name or name[:1] in ("", "."):
        raise InputError(name, "is not a plain file name", "give the folder and the name apart", field="name")
    frame = _plain(frame, name)
    printed = pandas.DataFrame({column: [_text(column, value) for value in frame[column]] for column in frame})
    writers = {
        "csv": lambda path: frame.to_csv(path, index=False, encoding="utf-8"),
        "parquet": lambda path: frame.to_parquet(path, index=False),
        "tex": lambda path: path.write_text(_latex(printed), encoding="utf-8"),
        "md": lambda path: path.write_text(_markdown(printed), encoding="utf-8"),
    }
    paths = [Path(folder) / f"{name}.{suffix}" for suffix in writers]
    for path, write in zip(paths, writers.values(), strict=True):
        with write_atomic(path) as temporary:
            write(temporary)
    return paths


def _plain(frame, name):
    """A DataFrame that every format can hold: text for column names, the index a column unless it counts the rows."""
    if isinstance(frame, pandas.Series):
        frame = frame.rename(frame.name or "value").rename_axis(frame.index.name or "figure").to_frame()
    frame = frame.copy() if isinstance(frame.index, pandas.RangeIndex) else frame.reset_index()
    frame.attrs = {}
    frame.columns = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns]
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise InputError(name, "occurs twice", "give every column its own name", field=repeated[0])
    for column in frame.columns:
        if frame[column].dtype == object:  # Parquet wants one kind in a column
            frame[column] = frame[column].map(lambda value: value if value is None else str(value))
    return frame


def _text(column, value):
    """A cell of .tex and .md."""
    if pandas.api.types.is_scalar(value) and pandas.isna(value):
        return "–"
    if isinstance(value, float | np.floating):
        return f"{value:.2f}" if "_mm" in column else f"{value:.4g}"
    return str(value)


def _numeric(cells):
    return all(cell == "–" or cell.lstrip("-").replace(".", "", 1).isdigit() for cell in cells)


def _markdown(printed):
    def line(cells):
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    rule = ["---:" if _numeric(printed[column]) else "---" for column in printed]
    return "\n".join([line(printed.columns), line(rule), *map(line, printed.itertuples(index=False, name=None)), ""])


_TEX = str.maketrans(
    {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "\n": " "}
    | {letter: f"\\{letter}" for letter in "&%$#_{}"}
)


def _latex(printed):
    def line(cells):
        return " & ".join(cell.translate(_TEX) for cell in cells) + r" \\"

    columns = "".join("r" if _numeric(printed[column]) else "l" for column in printed)
    body = [line(printed.columns), r"\midrule", *map(line, printed.itertuples(index=False, name=None))]
    head = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    return "\n".join([*head, *body, r"\bottomrule", r"\end{tabular}", ""])
