"""A table as files: CSV and Parquet in full precision, LaTeX (booktabs), Markdown and HTML for reading."""

from pathlib import Path

import pandas

from handlib.files import InputError, write_atomic
from handlib.tables.cells import numeric, text
from handlib.tables.pages import html


def export(frame, folder, name):
    """Write ``folder/name`` as .csv, .parquet (full precision), .tex (booktabs), .md and .html (rounded) -> paths.

    A Series becomes two columns. Each file appears whole or not at all. In .tex, .md and .html millimetres have two
    decimals, centimetres three, metres five, other numbers four significant digits, and NaN is a dash. Raises
    InputError for a name with a folder in it, or when two columns have one name.
    """
    if Path(name).name != name or name[:1] in ("", "."):
        raise InputError(name, "is not a plain file name", "give the folder and the name apart", field="name")
    frame = _plain(frame, name)
    printed = pandas.DataFrame({column: [text(column, value) for value in frame[column]] for column in frame})
    writers = {
        "csv": lambda path: frame.to_csv(path, index=False, encoding="utf-8"),
        "parquet": lambda path: frame.to_parquet(path, index=False),
        "tex": lambda path: path.write_text(_latex(printed), encoding="utf-8"),
        "md": lambda path: path.write_text(_markdown(printed), encoding="utf-8"),
        "html": lambda path: path.write_text(html(frame, name.replace("_", " ")), encoding="utf-8"),
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


# What a cell must not be: another cell, a tag, a link, code, emphasis or a formula.
_MD = str.maketrans({letter: f"\\{letter}" for letter in "\\|`*[]$"} | {"<": "&lt;", "\n": " ", "\r": " "})


def _markdown(printed):
    def line(cells):
        return "| " + " | ".join(cell.translate(_MD) for cell in cells) + " |"

    rule = ["---:" if numeric(printed[column]) else "---" for column in printed]
    return "\n".join([line(printed.columns), line(rule), *map(line, printed.itertuples(index=False, name=None)), ""])


_TEX = str.maketrans(
    {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "\n": " ", "\r": " "}
    | {letter: f"\\{letter}" for letter in "&%$#_{}"}
)


def _latex(printed):
    def line(cells):
        return " & ".join(cell.translate(_TEX) for cell in cells) + r" \\"

    columns = "".join("r" if numeric(printed[column]) else "l" for column in printed)
    body = [line(printed.columns), r"\midrule", *map(line, printed.itertuples(index=False, name=None))]
    head = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    return "\n".join([*head, *body, r"\bottomrule", r"\end{tabular}", ""])
