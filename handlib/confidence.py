"""How sure a figure is: bootstrap intervals over samples or over groups of them, and two models on the same frames.

Percentile bootstrap (Efron, Annals of Statistics, 1979): samples, or whole groups (sequence, subject, capture), are
drawn with replacement, as many as there are, and the protocol's own figures are made of each draw. Errors are never
computed again: every figure is made of sums over samples (`handlib.protocols.sums`), so a draw is a weighted sum.

Frames of one sequence resemble each other. Intervals over samples are then too narrow; give ``groups``.
"""

import warnings

import numpy as np
import pandas

from handlib import protocols
from handlib.files import InputError

FEW = 10  # fewer groups than this say little about what another draw would give
_BLOCK = 2**24  # numbers in one block of weights: 128 MB


def intervals(protocol, errors, groups=None, level=0.95, resamples=1000, seed=0, **options):
    """An interval for every figure of a protocol -> DataFrame: figure, value, low, high.

    Arguments:
        errors: what ``handlib.protocols.per_sample`` gives, a row per sample.
        groups: (N,) a label per sample; whole groups are drawn. None: samples are.
        level: share of the draws inside the interval; resamples: how many draws; seed: same seed, same interval.
        options: the protocol's.

    ``frame.attrs`` holds protocol, options, level, resamples, seed and the number of groups. A draw in which a figure
    has no samples (NaN) is left out of that figure's interval. Warns of fewer than `FEW` groups. Raises InputError
    naming the argument that cannot be used.
    """
    totals, count = _by_group(_sums(protocol, errors, options), groups)
    _check(level, resamples, count)
    value = _figures(protocol, [{name: rows.sum(0) for name, rows in totals.items()}], options).iloc[0]
    drawn = _drawn_figures(protocol, [totals], count, resamples, seed, options)[0]
    low, high = limits(drawn.to_numpy(), level)
    frame = pandas.DataFrame({"figure": value.index, "value": value.to_numpy(), "low": low, "high": high})
    frame.attrs = _facts(protocol, options, level, resamples, seed, count)
    return frame


def compare(protocol, errors_a, errors_b, groups=None, level=0.95, resamples=1000, seed=0, **options):
    """Two models on the same frames -> DataFrame: figure, a, b, difference (a - b), low, high, p.

    Both are measured on the same draws, so that what is hard for both does not widen the interval. p: twice the share
    of draws in which the difference has the other sign or is 0 (at most 1); it reads like a two-sided p-value, but
    of the draw, not of a test. Other arguments, attrs and errors raised as `intervals`. Raises InputError when the two
    have not the same number of rows, or ids that differ.
    """
    several = [_sums(protocol, errors, options) for errors in (errors_a, errors_b)]
    _same_rows(*several, errors_a, errors_b)
    (first, count), (second, _) = (_by_group(rows, groups) for rows in several)
    _check(level, resamples, count)
    totals = [first, second]
    a, b = (_figures(protocol, [{name: rows.sum(0) for name, rows in one.items()}], options).iloc[0] for one in totals)
    drawn_a, drawn_b = _drawn_figures(protocol, totals, count, resamples, seed, options)
    drawn = (drawn_a - drawn_b).to_numpy()
    low, high = limits(drawn, level)
    frame = pandas.DataFrame({"figure": a.index, "a": a.to_numpy(), "b": b.to_numpy()})
    frame = frame.assign(difference=frame["a"] - frame["b"], low=low, high=high, p=_share(drawn))
    frame.attrs = _facts(protocol, options, level, resamples, seed, count)
    return frame


def codes(labels, count, where="groups"):
    """(N,) labels -> whole numbers 0 .. G - 1 of their groups, in order of first appearance, and G.

    labels None: every row its own group. Raises InputError for another length or a label that is NaN or None.
    """
    if labels is None:
        return np.arange(count), count
    labels = pandas.Series(np.asarray(labels).tolist() if not isinstance(labels, pandas.Series) else labels)
    if len(labels) != count:
        raise InputError(where, f"has {len(labels)} labels for {count} samples", "give one label per sample")
    numbers, known = pandas.factorize(labels)
    if (numbers < 0).any():
        problem = f"row {int(np.flatnonzero(numbers < 0)[0])} has no label"
        raise InputError(where, problem, "give every sample a group, or leave it out")
    return numbers, len(known)


def draws(count, resamples, seed):
    """Blocks of bootstrap weights (r, count), how often each group was drawn; together ``resamples`` rows."""
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // count)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)


def warn_of_few(count, stacklevel=4):
    """The warning of too few groups."""
    if count < FEW:
        words = "1 group is" if count == 1 else f"{count} groups are"
        warnings.warn(f"confidence: {words} too few for an interval that means much", stacklevel=stacklevel)


def _sums(protocol, errors, options):
    rows = {name: np.asarray(array, np.float64) for name, array in protocols.sums(protocol, errors, **options).items()}
    if len(next(iter(rows.values()))) == 0:
        raise InputError("errors", "holds no samples", "give at least one sample")
    return rows


def _by_group(rows, groups):
    """The rows (N, ...) added within each group: {name: (G, ...)}, and G."""
    numbers, count = codes(groups, len(next(iter(rows.values()))))
    if groups is None:
        return rows, count
    totals = {name: np.zeros((count, *array.shape[1:])) for name, array in rows.items()}
    for name, array in rows.items():
        np.add.at(totals[name], numbers, array)
    return totals, count


def _same_rows(first, second, errors_a, errors_b):
    for name in first:
        if first[name].shape != second[name].shape:
            problem = f"{second[name].shape} in the second, {first[name].shape} in the first"
            raise InputError("errors", problem, "measure both models on the same frames", field=name)
    if "id" in errors_a and "id" in errors_b and not np.array_equal(errors_a["id"], errors_b["id"]):
        raise InputError("errors", "differs between the two", "give both in the same order", field="id")


def _check(level, resamples, count):
    if not 0 < level < 1:
        raise InputError("confidence", f"{level} is not between 0 and 1", "0.95 is usual", field="level")
    if not (isinstance(resamples, int | np.integer) and resamples >= 1):
        raise InputError("confidence", f"{resamples!r} is no number of draws", "1000 is usual", field="resamples")
    warn_of_few(count)


def _drawn_figures(protocol, several, count, resamples, seed, options):
    """For each of ``several`` totals the figures of every draw (DataFrames, a row per draw); the draws are shared."""
    found = [[] for _ in several]
    for weights in draws(count, resamples, seed):
        for place, totals in enumerate(several):
            sums = {
                name: (weights @ rows.reshape(count, -1)).reshape(-1, *rows.shape[1:]) for name, rows in totals.items()
            }
            parts = [{name: rows[draw] for name, rows in sums.items()} for draw in range(len(weights))]
            found[place].append(_figures(protocol, parts, options))
    return [pandas.concat(parts, ignore_index=True) for parts in found]


def _figures(protocol, totals, options):
    """A row of figures for each of ``totals``."""
    return pandas.DataFrame([protocols.figures(protocol, one, **options) for one in totals], dtype=float)


def limits(drawn, level):
    """(R, F) -> the percentile interval of every column, over the draws that are not NaN; NaN where none is."""
    edges = np.full((2, drawn.shape[1]), np.nan)
    known = ~np.isnan(drawn).all(0)
    if known.any():
        edges[:, known] = np.nanquantile(drawn[:, known], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return edges


def _share(drawn):
    """(R, F) differences -> twice the smaller share of draws on one side of 0, ties counting for both; at most 1."""
    known = ~np.isnan(drawn)
    counts = known.sum(0)
    sides = np.minimum((drawn <= 0).sum(0), (drawn >= 0).sum(0))
    return np.where(counts > 0, np.minimum(1, 2 * (sides + 1) / (counts + 1)), np.nan)


def _facts(protocol, options, level, resamples, seed, count):
    return {"protocol": protocol, "options": options, "level": level, "resamples": resamples, "seed": seed} | {
        "groups": count
    }
