"""What a caller hands to a writer: one mapping of arrays, or batches of them, in the house's frame or the server's."""

from collections.abc import Mapping

from handlib.files import InputError, shown
from handlib.protocols import arrays

ROWS = 256  # rows converted at a time
WHERE = "predictions"


def batches(predictions, fields):
    """Yield (number of the first row, mapping of arrays of at most `ROWS` rows).

    predictions: a mapping, or an iterable of mappings, of arrays whose rows are samples; only ``fields`` are looked
    at. Raises InputError when the arrays of a mapping differ in length.
    """
    first = 0
    for batch in [predictions] if isinstance(predictions, Mapping) else predictions:
        if not isinstance(batch, Mapping):
            raise InputError(
                WHERE, f"are {type(batch).__name__}", "give a dict of named arrays, or an iterable of dicts"
            )
        used = {name: batch[name] for name in fields if name in batch}
        for name, rows in used.items():
            if not hasattr(rows, "__len__") or not getattr(rows, "ndim", 1):
                raise InputError(WHERE, f"has no rows: {shown(rows)}", "give a row for each sample", field=name)
        lengths = {name: len(rows) for name, rows in used.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(WHERE, f"differ in length: {lengths}", "give as many rows of each")
        count = next(iter(lengths.values()), 0)
        if not lengths:
            arrays.take(batch, WHERE, fields[0], (None,))  # says what is missing
        for start in range(0, count, ROWS):
            yield first + start, {name: rows[start : start + ROWS] for name, rows in used.items()}
        first += count


def points(batch, start, frame, official, house, count, chosen=None):
    """(n, P, 3) float64 in the server's order, axes and unit, finite.

    official: the names of arrays in the server's frame, the first one its main name; house: the name of those in the
    house's; chosen: "official" or "house" says which it is whatever the name; count: points of an entry, None for any.
    """
    if chosen not in (None, "house", "official"):
        mend = 'use "house", "official", or None: then the arrays\' names say it'
        raise InputError("submissions", f"frame '{chosen}' is not known", mend)
    given = [name for name in (house, *official) if name in batch]
    if given[1:]:
        raise InputError(WHERE, f"hold {' and '.join(given)}, which are the same thing", "give one of them")
    name = given[0] if given else official[0]
    array = arrays.numbers(arrays.take(batch, WHERE, name, (None, count, 3)), WHERE, name)
    with arrays.rows_from(start):
        arrays.refuse_nan(array, WHERE, name, "a server takes numbers only: see why the network gave none here")
    kind = chosen or ("house" if name == house else "official")
    return frame.official(array, joints=count == 21) if kind == "house" else array
