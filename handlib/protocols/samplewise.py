"""Figures that are plain means over samples, as the networks' own repositories compute them; in millimetres.

Every sample has an error (or one for each hand, each joint); a figure is the mean over samples of the mean within the
sample. NaN marks what does not count. The modules of these protocols share the steps here.
"""

import numpy as np

from handlib.files import InputError
from handlib.metrics import ratio
from handlib.protocols import arrays

ROWS = 32  # meshes computed at a time: a few megabytes each


def by_rows(errors_of, n, rows=ROWS):
    """``errors_of(slice)`` -> {name: (n, ...)}, called slice by slice and joined: memory stays flat in ``n``."""
    if n == 0:
        raise InputError("truth", "holds no samples", "give at least one sample")
    parts, first = [], arrays.first_row()
    for start in range(0, n, rows):
        with arrays.rows_from(first + start):
            parts.append(errors_of(slice(start, start + rows)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def points(array, where, field, extent):
    """A slice of points (n, P, 3) as float64, NaN refused, and refused where a sample is wider than ``extent`` (low,
    high): then the unit is another one.
    """
    values = arrays.numbers(array, where, field)
    arrays.refuse_nan(values, where, field, "see why there is no number, or leave the sample out of both")
    width = (values.max(1) - values.min(1)).max(-1)
    low, high = extent
    mend = f"its points lie {low:g} to {high:g} apart in the unit that is expected; see the protocol's docstring"
    arrays.refuse((width < low) | (width > high), where, field, "is in another unit (metres, millimetres?)", mend)
    return values


def unit(figure):
    """Every figure is in millimetres."""
    return "mm"


def sums(errors, **options):
    """{"<figure>_m": (N, ...) metres, "mirrored_<part>": (N, ...)} -> what adds up over samples.

    "<figure>_m" (N,) each sample's mean, "<figure>_samples" (N,) whether it counts, "mirrored_<part>" as floats,
    "rows" (N,) ones.
    """
    made = {}
    for name, error in errors.items():
        error = np.asarray(error, np.float64)
        made.setdefault("rows", np.ones(len(error)))
        if name.startswith("mirrored_"):
            made[name] = error
        elif name.endswith("_m"):
            mean = mean_within(error)
            counts = ~np.isnan(mean)
            made |= {name: np.where(counts, mean, 0.0), f"{name[:-2]}_samples": counts.astype(np.float64)}
    return made


def mean_within(error):
    """(N, ...) -> (N,): the mean over joints, then over hands, of what is not NaN."""
    while error.ndim > 1:
        error = ratio(np.nansum(error, -1), (~np.isnan(error)).sum(-1))
    return error


def figures(totals, **options):
    """{figure: mean over samples in mm}, in the order in which they are printed."""
    names = [name[:-2] for name in totals if name.endswith("_m")]
    return {name: float(ratio(totals[f"{name}_m"], totals[f"{name}_samples"])) * 1000 for name in names}


def remarks(totals, **options):
    """What the figures hide: samples that do not count, and meshes or hands that a mirror image would fit better."""
    rows = int(totals["rows"])
    counts = {name.removesuffix("_samples"): int(total) for name, total in totals.items() if name.endswith("_samples")}
    empty = [name for name, count in counts.items() if not count]
    found = [f"no sample counts for {', '.join(empty)}: NaN"] if empty else []
    fewer = [f"{name} over {count}" for name, count in counts.items() if 0 < count < rows]
    if fewer:
        found.append(f"{', '.join(fewer)} of {rows} samples: the others have no point that counts there")
    for name, total in totals.items():
        if name.startswith("mirrored_") and np.sum(total):
            what = name.removeprefix("mirrored_").replace("_", " ")
            share = f"{int(np.sum(total))} of {rows * np.size(total)}"
            found.append(f"{share} predictions ({what}) fit better as mirror images: look at left and right")
    return found
