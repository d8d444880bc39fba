"""How a table's numbers are printed: rounding by unit, units out of column names, which end of a column is good."""

import re

import numpy as np
import pandas

DASH = "–"
_PLACES = {"mm": 2, "cm": 3, "m": 5}  # decimals: a hundredth of a millimetre, whatever the unit
_UNIT = re.compile(r"_(mm|cm|m)(?=_|$)")
_HIGH = re.compile(r"auc|pck|iou|acc|f_(al_)?score|(^|-|_)f1($|_)|precision|recall", re.IGNORECASE)
DIFFERENCE = "_difference"


def unit(column):
    """The unit in a column's name, "" without one: "mpjpe_all_mm_difference" -> "mm"."""
    found = _UNIT.findall(column)
    return found[-1] if found else ""


def heading(column):
    """A column's name without its unit and in words: "mpjpe_all_mm_difference" -> "Δ mpjpe all"."""
    name = column.removesuffix(DIFFERENCE)
    if unit(name):
        start = [match.start() for match in _UNIT.finditer(name)][-1]
        name = name[:start] + name[start:].replace(f"_{unit(name)}", "", 1)
    return ("Δ " if column.endswith(DIFFERENCE) else "") + name.replace("_", " ")


def better(column):
    """min or max, whichever end of a column of figures is good; None of a column that is no figure."""
    if column.endswith(DIFFERENCE):
        return None
    return max if _HIGH.search(column) else min if unit(column) else None


def text(column, value):
    """A cell as it is printed."""
    if pandas.api.types.is_scalar(value) and pandas.isna(value):
        return DASH
    if isinstance(value, float | np.floating):
        return f"{value:.{_PLACES[unit(column)]}f}" if unit(column) else f"{value:.4g}"
    return str(value)


def numeric(cells):
    """Whether all these printed cells are numbers."""
    return all(cell == DASH or cell.lstrip("-").replace(".", "", 1).isdigit() for cell in cells)
