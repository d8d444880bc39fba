"""A table as one self-contained HTML page: units in the head, the best value bold, rows without a receipt marked."""

from html import escape

import pandas

from handlib.tables import cells

NO_RECEIPT = "NONE"  # marks a row whose making nobody can check
_LONG = 28  # characters; a longer text is set smaller
_STYLE = """
body { margin: 2.5rem auto; padding: 0 1.5rem; width: fit-content; max-width: 96vw; color: #2b2d31; background: #fff;
  font: 14px/1.45 -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.15rem; font-weight: 600; margin: 0 0 .8rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; border-top: 2px solid #2b2d31; border-bottom: 2px solid #2b2d31; }
th, td { padding: .38rem .75rem; text-align: left; vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; white-space: nowrap; border-bottom: 1px solid #2b2d31; }
th small { display: block; color: #6b6e75; font-weight: 400; min-height: 1.2em; }
td { border-bottom: 1px solid #ebe9e4; }
tr:last-child td { border-bottom: 0; }
tr.gap td { border-top: 1px solid #9a9da3; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.short { white-space: nowrap; }
td.long { font-size: 12px; color: #6b6e75; min-width: 15rem; max-width: 26rem; overflow-wrap: anywhere; }
tr.published { color: #55585f; }
tr.own { background: #faf6ec; }
tr.unproved td:first-child::after { content: " †"; color: #c9186c; }
b { color: #0a0a0a; }
.good { color: #00705f; } .bad { color: #b0452c; }
p { color: #6b6e75; font-size: 12px; margin: .7rem 0 0; }
@media print { body { margin: 0; } tr.own { background: none; } }
"""


def html(frame, title):
    """A DataFrame -> the page's text.

    Figures (columns with a unit in their name, and ratios such as AUC) have their best value in bold, among the rows of
    one protocol and split where the table has these columns; a ``_difference`` is signed, green where it is an
    improvement. A row whose ``receipt`` is `NO_RECEIPT` carries a dagger.
    """
    printed = pandas.DataFrame({name: [cells.text(name, value) for value in frame[name]] for name in frame})
    numbers = [name for name in frame if cells.numeric(printed[name]) and (printed[name] != cells.DASH).any()]
    head = "".join(_head(name, name in numbers) for name in frame)
    best = {(row, name) for name in numbers for row in _best(frame, name)}
    body, before = [], None
    for row in range(len(frame)):
        group = _group(frame, row)
        kinds = _kinds(frame, row) + (["gap"] if before is not None and group != before else [])
        line = "".join(_cell(frame, printed, row, name, name in numbers, (row, name) in best) for name in frame)
        body.append(f'<tr class="{" ".join(kinds)}">{line}</tr>' if kinds else f"<tr>{line}</tr>")
        before = group
    note = "<p>† without a receipt: nobody can check how this row was made.</p>" if _unproved(frame).any() else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n<div><table>\n<thead><tr>{head}</tr></thead>\n"
        + "<tbody>\n" + "\n".join(body) + f"\n</tbody></table></div>{note}</body></html>\n"
    )  # fmt: skip


def _head(name, number):
    return f"<th{' class=n' if number else ''}>{escape(cells.heading(name))}<small>{cells.unit(name)}</small></th>"


def _cell(frame, printed, row, name, number, best):
    content = escape(printed[name].iloc[row])
    if not number:
        return f'<td class="{"long" if len(content) > _LONG else "short"}">{content}</td>'
    value = frame[name].iloc[row]
    if name.endswith(cells.DIFFERENCE) and content != cells.DASH and value != 0:
        good = (value < 0) == (cells.better(name.removesuffix(cells.DIFFERENCE)) is not max)
        content = f'<span class="{"good" if good else "bad"}">{"+" if value > 0 else ""}{content}</span>'
        content = content.replace("-", "−")
    return f'<td class="n">{f"<b>{content}</b>" if best else content}</td>'


def _best(frame, name):
    """The rows that hold the best value of a column (as printed), within each group of comparable rows."""
    pick = cells.better(name)
    if pick is None:
        return []
    values = [
        float("nan") if text == cells.DASH else float(text)
        for text in map(cells.text, [name] * len(frame), frame[name])
    ]
    groups = {}
    for row, value in enumerate(values):
        if value == value:
            groups.setdefault(_group(frame, row), []).append(row)
    found = [[row for row in rows if values[row] == pick(values[other] for other in rows)] for rows in groups.values()]
    return [row for rows, best in zip(groups.values(), found, strict=True) if len(rows) > len(best) for row in best]


def _group(frame, row):
    """What must be equal for two rows to be comparable."""
    return tuple(frame[name].iloc[row] for name in ("protocol", "split") if name in frame)


def _kinds(frame, row):
    if "receipt" not in frame:
        return []
    receipt = frame["receipt"].iloc[row]
    return ["published"] if receipt == "published" else ["own", "unproved"] if receipt == NO_RECEIPT else ["own"]


def _unproved(frame):
    return frame["receipt"] == NO_RECEIPT if "receipt" in frame else pandas.Series(dtype=bool)
