"""Which figures a benchmark reports, and how they are aligned: one module per protocol.

``evaluate(protocol, predictions, truth)`` takes the arrays that the official evaluator takes, in its units, and names
the figures as it does. The default is the official figure, quirks included; a protocol's module docstring names
arrays, quirks and options. A protocol's module has ``OPTIONS`` (name -> the default, which is the official
behaviour), ``ALIGNMENT`` in words, ``per_sample(predictions, truth)`` -> named arrays, ``figures(errors, **options)``.
"""

import importlib

import pandas

from handlib.files import InputError

_NAMES = ("interhand",)


def names():
    """The protocols that `evaluate` knows."""
    return list(_NAMES)


def evaluate(protocol, predictions, truth, **options):
    """Figures of ``predictions`` against ``truth`` -> pandas.Series, named as the official evaluator names them.

    protocol: one of `names()`; predictions, truth: mappings of arrays (numpy, torch or lists), see
    ``help(handlib.protocols.interhand)``. The arguments are not changed. Raises InputError naming the field when an
    array is missing, has another shape, or holds NaN where it counts; warns when a figure has no samples.
    ``series.attrs`` holds protocol, alignment and options.
    """
    module = _module(protocol, options)
    series = pandas.Series(module.figures(module.per_sample(predictions, truth), **options), dtype=float, name=protocol)
    series.attrs = {"protocol": protocol, "alignment": module.ALIGNMENT, "options": options}
    return series


def per_sample(protocol, predictions, truth):
    """Every sample's errors, before any mean: named arrays, rows in the order of the arguments (see the module)."""
    return _module(protocol, {}).per_sample(predictions, truth)


def _module(protocol, options):
    if protocol not in _NAMES:
        raise InputError("protocols", f"'{protocol}' is not known", f"name one of: {', '.join(_NAMES)}")
    module = importlib.import_module(f"handlib.protocols.{protocol}")
    for name in options:
        if name not in module.OPTIONS:
            mend = f"its options are: {', '.join(module.OPTIONS) or 'none'}"
            raise InputError(f"protocol '{protocol}'", "is not an option", mend, field=name)
    return module
