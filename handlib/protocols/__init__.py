"""Which figures a benchmark reports, and how they are aligned: one module per protocol.

``evaluate(protocol, predictions, truth)`` takes the arrays that the official evaluator takes, in its units, and names
the figures as it does. The default is the official figure, quirks included; a protocol's module docstring names
arrays, quirks and options.

A protocol's module makes figures in three steps, so that streaming, merging, confidence intervals and breakdowns are
the same few lines for all: ``per_sample(predictions, truth)`` -> errors, a row per sample; ``sums(errors)`` -> what
adds up over samples; ``figures(totals)`` -> the figures by their official names. Beside these it has ``OPTIONS``
(name -> the default, which is the official behaviour), ``ALIGNMENT`` in words, ``unit(figure)`` and
``remarks(totals)``, what a reader of the figures should know.
"""

import importlib

from handlib.files import InputError
from handlib.protocols.totals import Running

_MODULES = {
    "interhand": "interhand",
    "freihand": "freihand",
    "ho3d_v2": "ho3d",
    "ho3d_v3": "ho3d",
    "dexycb": "dexycb",
    "oakink": "oakink",
    "agora_smplx": "agora",
    "agora_smpl": "agora",
    "ehf": "ehf",
    "agora_val": "agora_val",
    "agora_val_smpl": "agora_val",
    "ubody": "ubody",
    "pw3d": "pw3d",
    "human36m": "human36m",
    "dexycb_handoccnet": "handoccnet",
}
_PRESET = {  # what a name says beyond its module
    "agora_smplx": {"model": "smplx"},
    "agora_smpl": {"model": "smpl"},
    "agora_val": {"model": "smplx"},
    "agora_val_smpl": {"model": "smpl"},
}


def names():
    """The protocols that `evaluate` knows."""
    return list(_MODULES)


def evaluate(protocol, predictions, truth, **options):
    """Figures of ``predictions`` against ``truth`` -> pandas.Series, named as the official evaluator names them.

    protocol: one of `names()`; predictions, truth: mappings of arrays (numpy, torch or lists), see
    ``help(handlib.protocols.interhand)``. A field ``id`` (N,) in both lines the rows up; else they are in one order.
    The arguments are not changed; memory is flat in the number of samples. Raises InputError naming the field when an
    array is missing, has another shape, or holds NaN where it counts, and naming the sample when one is missing or
    there twice; warns when a figure has no samples or hides something. ``series.attrs`` holds protocol, alignment,
    options and the number of samples.
    """
    return running(protocol, **options).update(predictions, truth).figures()


def running(protocol, **options):
    """An empty `Running`: feed it batches, merge it with others, ask for the figures."""
    return Running(protocol, _module(protocol, options), options | _PRESET.get(protocol, {}))


def per_sample(protocol, predictions, truth, **options):
    """Every sample's errors, before any mean: named arrays, rows in the order of ``truth`` (see the module)."""
    return running(protocol, **options).per_sample(predictions, truth)


def sums(protocol, errors, **options):
    """What adds up over samples, from what `per_sample` gave: {name: (N, ...)}."""
    return _module(protocol, options).sums(errors, **options | _PRESET.get(protocol, {}))


def figures(protocol, totals, **options):
    """Figures by name from `sums` that were added over samples: {name: (...)} -> {figure: float}."""
    return _module(protocol, options).figures(totals, **options | _PRESET.get(protocol, {}))


def options(protocol):
    """The names of the options that `evaluate` takes for a protocol."""
    return [name for name in _module(protocol, {}).OPTIONS if name not in _PRESET.get(protocol, {})]


def unit(protocol, figure):
    """The unit of a figure: "mm", "cm", "m", or "" of a ratio."""
    return _module(protocol, {}).unit(figure)


def _module(protocol, options):
    if protocol not in _MODULES:
        raise InputError("protocols", f"'{protocol}' is not known", f"name one of: {', '.join(_MODULES)}")
    module = importlib.import_module(f"handlib.protocols.{_MODULES[protocol]}")
    public = [name for name in module.OPTIONS if name not in _PRESET.get(protocol, {})]
    for name in options:
        if name not in public:
            mend = f"its options are: {', '.join(public) or 'none'}"
            raise InputError(f"protocol '{protocol}'", "is not an option", mend, field=name)
    return module
