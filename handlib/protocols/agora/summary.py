"""AGORA's summary: from every person's error to precision, recall, F1, MPJPE, MVE and their normalised forms."""

import numpy as np

from handlib.protocols.agora.errors import PARTS

MEASURES = {"MPJPE": "joints", "MVE": "verts"}  # official name -> name of the errors
_NORMALISED = {"MPJPE": "NMJE", "MVE": "NMVE"}
_COUNTS = ("people", "missed", "seen", "found")  # of the valid people; seen: in images with a prediction


def sums(errors, onlybfh=False, model="smplx"):
    """What adds up over images, from `handlib.protocols.agora.per_sample`'s result: {name: (N,)}.

    Counts of the people that count (``people``, ``missed``, ``seen`` in images with predictions, ``found``) and of
    children among them (``kid_…``), ``false_positives``, ``images``, ``empty_images``, and the summed errors.
    """
    counted = errors["trusted"] if onlybfh else np.ones_like(errors["trusted"])
    valid = errors["valid"] & counted[:, None]
    found = valid & (errors["match"] >= 0)
    seen = valid & (errors["predictions"] > 0)[:, None]
    result = {
        "images": counted,
        "empty_images": counted & (errors["predictions"] == 0),
        "false_positives": errors["false_positives"] * counted,
    }
    for prefix, who in (("", True), ("kid_", errors["kid"])):
        for name, people in zip(_COUNTS, (valid, valid & ~found, seen, found), strict=True):
            result[prefix + name] = (people & who).sum(1)
        for part in PARTS[model]:
            for measure in MEASURES.values():
                name = f"{part}_{measure}_m"
                result[prefix + name] = np.where(found & who, errors[name], 0.0).sum(1)
    return {name: np.asarray(array, np.float64) for name, array in result.items()}


def figures(totals, model="smplx", misses_as_zero=True, rounding=True):
    """`sums` added over images -> the official figures: mm and ratios."""
    digits = _Rounding(rounding)
    rates, errors = {}, {}
    for prefix in ("", "kid_"):
        rates[prefix] = _rates(totals, prefix, digits)
    for prefix, label in (("", ""), ("kid_", "kid-")):
        errors |= _errors(totals, prefix, label, model, misses_as_zero, digits)
        f1 = rates[prefix][2]
        for measure, normalised in _NORMALISED.items():
            errors[f"{label}body-{normalised}"] = digits.mm(_divide(errors[f"{label}body-{measure}"], f1))
        if model == "smplx":
            for measure, normalised in _NORMALISED.items():
                parts = [errors[f"{label}{part}-{measure}"] for part in PARTS[model]]
                whole = parts[0] + (1 / 3) * parts[1] + (1 / 3) * parts[2] + (1 / 3) * parts[3]
                errors[f"{label}fullbody-{measure}"] = digits.mm(whole)
                # the children's whole body too is divided by everyone's F1
                quotient = _divide(errors[f"{label}fullbody-{measure}"], rates[""][2])
                errors[f"{label}fullbody-{normalised}"] = digits.mm(quotient)
    names = ("precision", "recall", "f1")
    return {prefix + name: rate for prefix in rates for name, rate in zip(names, rates[prefix], strict=True)} | errors


def _rates(totals, prefix, digits):
    """Precision, recall, F1; the children's with everyone's false positives."""
    missed, wrong = totals[prefix + "missed"], totals["false_positives"]
    right = totals[prefix + "people"] - missed
    if totals[prefix + "people"] == 0:
        return (np.nan,) * 3 if prefix else (0.0,) * 3
    whole = right + wrong, right + missed, right + 0.5 * (wrong + missed)
    return tuple(digits.ratio(_divide(right, count)) for count in whole)


def _errors(totals, prefix, label, model, misses_as_zero, digits):
    result = {}
    for part in PARTS[model]:
        zeros = misses_as_zero and part != "body"
        count = totals[prefix + ("seen" if zeros else "found")]
        for measure, name in MEASURES.items():
            error = digits.mm(_divide(1000 * totals[f"{prefix}{part}_{name}_m"], count))
            result[f"{label}{part}-{measure}"] = error
    return result


class _Rounding:
    """The official rounding, which later figures are computed from: 0.1 mm as numpy does, 0.01 as Python does."""

    def __init__(self, wanted):
        self.wanted = wanted

    def mm(self, value):
        return np.round(value, 1) if self.wanted else value

    def ratio(self, value):
        return np.float64(round(float(value), 2)) if self.wanted else value


def _divide(value, count):
    """As numpy does it: NaN for 0 / 0, infinity for an error over an F1 that was rounded to 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.float64(value) / np.float64(count)


def remarks(totals, misses_as_zero=True, model="smplx"):
    """What a reader of the figures should know, in words."""
    people, missed = int(totals["people"]), int(totals["missed"])
    if totals["empty_images"]:
        yield (
            f"{int(totals['empty_images'])} of {int(totals['images'])} images have no prediction; their people count "
            "as misses" + (", but do not enter the hand and face errors" if model == "smplx" else "")
        )
    zeros = int(totals["seen"] - totals["found"])
    if zeros and misses_as_zero and model == "smplx":
        yield (
            f"{zeros} missed persons enter the hand and face errors as 0, as in the official figures "
            "(misses_as_zero=False leaves them out)"
        )
    if people == 0:
        yield "no valid person, so every error is NaN"
    elif missed == people:
        yield f"none of {people} persons is matched, so every error of the body is NaN"
    if people and not totals["kid_people"]:
        yield "no child among the valid persons, so the figures of children are NaN"
