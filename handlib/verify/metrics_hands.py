"""FreiHAND, HO-3D, DexYCB and OakInk: every case, figure and stored array of their evaluators.

Tolerances are those of the reference's README: 1e-9 (m, AUC, F), DexYCB 1e-6 mm, OakInk 1e-6 relative (float32). In
the cases `perfect` and `edges` distances sit exactly on thresholds: there aligned AUCs, F-scores and the mean over the
thresholds of an aligned PCK curve may be off by 0.01, unaligned ones not at all.
"""

import re
import tempfile
from pathlib import Path

import numpy as np

from handlib import protocols
from handlib.files import InputError
from handlib.protocols import dexycb, hands, oakink
from handlib.submissions import dexycb as result_file
from handlib.verify import Row, Skip
from handlib.verify.reference import deviation

TOLERANCE, TOLERANCE_MM, RELATIVE = 1e-9, 1e-6, 1e-6
ON_THRESHOLDS, LOOSE = ("perfect", "edges"), 0.01


def check_freihand(reference):
    """freihand.json / .npz."""
    yield from _mesh_cases(reference, "freihand", lambda cases: [(name, name, "freihand") for name in cases])


def check_ho3d(reference):
    """ho3d.json / .npz, v2 and v3."""
    yield from _mesh_cases(
        reference, "ho3d", lambda cases: [(f"{v}/{name}", (v, name), f"ho3d_{v}") for v in cases for name in cases[v]]
    )


def _mesh_cases(reference, stem, listed):
    if not reference.has(f"{stem}.json"):
        yield Skip(stem, f"there is no {stem}.json in {reference.folder}")
        return
    cases, stored = reference.json(f"{stem}.json"), reference.npz(f"{stem}.npz")
    for case, keys, protocol in listed(cases):
        entry = cases[keys] if isinstance(keys, str) else cases[keys[0]][keys[1]]
        arrays = _of_case(stored, case)
        yield from _mesh_case(f"{stem}/{case}", protocol, entry, arrays)


def _of_case(stored, case):
    return {name.removeprefix(f"{case}/"): array for name, array in stored.items() if name.startswith(f"{case}/")}


def _mesh_case(case, protocol, entry, arrays):
    """One case of FreiHAND or HO-3D."""
    pair = {"xyz": arrays["xyz_pred"], "verts": arrays["verts_pred"]}, {name: arrays[name] for name in ("xyz", "verts")}
    loose = LOOSE if case.rpartition("/")[2] in ON_THRESHOLDS else TOLERANCE
    running = protocols.running(protocol).update(*pair)
    figures, errors = running.figures(warn=False), running.per_sample(*pair)
    names = {name: loose if "_al" in name and "mean" not in name else TOLERANCE for name in entry["scores_txt"]}
    for what, tolerance in (("as printed", TOLERANCE), ("as printed, on thresholds", LOOSE)):
        expected = [name for name in names if names[name] == tolerance]
        if expected:  # both sides have six decimals: equal, or at least 1e-6 apart
            printed = figures[expected].round(6)
            values = [entry["scores_txt"][name] for name in expected]
            yield Row(case, f"{len(expected)} figures {what}", deviation(printed, values), tolerance)
    yield from _figure_rows(case, figures, errors, entry["figures"], loose)
    yield from _array_rows(case, errors, arrays, loose)
    if "rigid_without_reflection" in entry:
        yield from _rigid_rows(case, protocol, pair, entry["rigid_without_reflection"])


def _figure_rows(case, figures, errors, expected, loose):
    for name, values in expected.items():
        if name.startswith("F"):
            figure = name.replace("F@", "f_score_").replace("F_al@", "f_al_score_")
            yield Row(case, figure, deviation(figures[figure], values), loose if "_al" in name else TOLERANCE)
            continue
        ours = {"mean_m": figures[f"{name}_mean3d"] / 100, "auc": figures[f"{name}_auc3d"]}
        ours["median_m"] = hands.median(errors[f"{name}_m"])
        for quantity, value in values.items():
            tolerance = loose if quantity == "auc" and "_al" in name else TOLERANCE
            yield Row(case, f"{name} {quantity}", deviation(ours[quantity], value), tolerance)


def _array_rows(case, errors, arrays, loose):
    """What the evaluator had inside: distances, curves, F-scores with their parts."""
    for path in (path for path in arrays if path.startswith("out/") and path != "out/fscore"):
        name, quantity = path.split("/")[1:]
        error = errors[f"{name}_m"]
        if quantity == "pck" and "_al" in name and loose == LOOSE:
            yield Row(case, f"{name} pck, mean", float(np.abs(hands.pck(error) - arrays[path]).mean()), loose)
            continue
        ours = {"dist": error, "dist_mean": error.mean(-1), "pck": hands.pck(error)}[quantity]
        yield Row(case, f"{name} {quantity}", deviation(ours, arrays[path]), TOLERANCE)
    for place, name in enumerate(("raw", "aligned")):
        off = deviation(errors["f_score"][:, :, place], arrays["out/fscore"][:, :, place])
        yield Row(case, f"F, P, R per sample, {name}", off, loose if place else TOLERANCE)


def _rigid_rows(case, protocol, pair, expected):
    """The fit without reflections, as HandOccNet, Hand4Whole and OSX have it."""
    errors = protocols.per_sample(protocol, *pair, reflection=False)
    joints = next(name for name in ("xyz_al_m", "xyz_procrustes_al_m") if name in errors)
    for part, name in (("xyz", joints), ("verts", "mesh_al_m")):
        if f"{part}_mean_m" in expected:
            ours = errors[name].mean(-1)
            yield Row(case, f"{part} rigid", deviation(ours.mean(), expected[f"{part}_mean_m"]), TOLERANCE)
            yield Row(case, f"{part} rigid per sample", deviation(ours, expected[f"{part}_per_sample_m"]), TOLERANCE)


# DexYCB


def check_dexycb(reference):
    """dexycb.json / .npz and the official result file."""
    if not reference.has("dexycb.json"):
        yield Skip("dexycb", f"there is no dexycb.json in {reference.folder}")
        return
    cases, stored = reference.json("dexycb.json"), reference.npz("dexycb.npz")
    for case, entry in cases.items():
        name = f"dexycb/{case}"
        arrays = _of_case(stored, case if f"{case}/joint_3d" in stored else "plain")
        truth = {"joint_3d": arrays["joint_3d"], "id": np.arange(len(arrays["joint_3d"]))}
        predicted = {"joint_3d": arrays["pred_mm"], "id": truth["id"]}
        if case == "missing_line":
            yield Row(name, "refused", 0.0 if _refused(predicted, truth) else np.inf, 0.0)
            continue
        if f"{case}/joint_3d" not in stored and case not in _CHANGES:
            yield Skip(name, f"its input is given in words: {entry.get('input')}")
            continue
        predicted = _CHANGES.get(case, lambda given: given)(predicted)
        yield from _dexycb_case(name, predicted, truth, entry["figures"])
        if f"{case}/joint_3d" in stored:
            yield from _dexycb_arrays(name, predicted, truth, arrays)
    if reference.has("dexycb_results.txt"):
        yield from _dexycb_file(reference, stored, cases)


def _mirrored(predicted):
    return predicted | {"joint_3d": predicted["joint_3d"] * [-1, 1, 1]}


def _extra_lines(predicted):
    """Two more lines: id 0 once more, holding sample 1; an id beyond the set. Through a result file, as officially."""
    joints = [*predicted["joint_3d"], predicted["joint_3d"][1], predicted["joint_3d"][1]]
    ids = [*predicted["id"], 0, len(predicted["id"]) + 5]
    return _through_file(joints, ids)


def _through_file(joints, ids):
    lines = [
        ",".join([str(row), *map(repr, np.ravel(points).tolist())]) for row, points in zip(ids, joints, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.txt"
        path.write_text("\n".join(lines) + "\n")
        ids, joints = result_file.read(path)
    return {"joint_3d": joints, "id": ids}


_CHANGES = {"mirror": _mirrored, "extra_lines": _extra_lines}


def _refused(predicted, truth):
    """Whether a prediction without a sample that counts is refused."""
    kept = np.flatnonzero((truth["joint_3d"] != dexycb.NO_HAND).any((1, 2)))[0] != predicted["id"]
    try:
        protocols.evaluate("dexycb", _through_file(predicted["joint_3d"][kept], predicted["id"][kept]), truth)
    except InputError:
        return True
    return False


def _dexycb_case(case, predicted, truth, expected):
    running = protocols.running("dexycb").update(predicted, truth)
    figures, errors = running.figures(warn=False), running.per_sample(predicted, truth)
    for name, values in expected.items():
        median = hands.median(errors[f"{name}_mm"])
        ours = {"mpjpe": figures[f"{name}_mpjpe"], "auc": figures[f"{name}_auc"], "median": median}
        for quantity, value in values.items():
            tolerance = TOLERANCE if quantity == "auc" else TOLERANCE_MM
            yield Row(case, f"{name} {quantity}", deviation(ours[quantity], value), tolerance)


def _dexycb_arrays(case, predicted, truth, arrays):
    errors = protocols.per_sample("dexycb", predicted, truth)
    for path in (path for path in arrays if path.startswith("out/")):
        name, quantity = path.split("/")[1:]
        error = errors[f"{name}_mm"]
        error = error[~np.isnan(error).any(1)]
        ours = error if quantity == "dist" else hands.pck(error, dexycb.THRESHOLDS)
        tolerance = TOLERANCE_MM if quantity == "dist" else TOLERANCE
        yield Row(case, f"{name} {quantity}", deviation(ours, arrays[path]), tolerance)


def _dexycb_file(reference, stored, cases):
    """The official result file holds case `plain`."""
    ids, joints = result_file.read(reference.path("dexycb_results.txt"))
    arrays = _of_case(stored, "plain")
    order = np.argsort(ids)
    expected = arrays["pred_mm"]
    yield Row("dexycb/results.txt", "ids", deviation(ids[order], np.arange(len(expected))), 0.0)
    yield Row("dexycb/results.txt", "joints", deviation(joints[order], expected), 0.0)
    truth = {"joint_3d": arrays["joint_3d"], "id": np.arange(len(expected))}
    yield from _dexycb_case("dexycb/results.txt", {"joint_3d": joints, "id": ids}, truth, cases["plain"]["figures"])


# OakInk


def check_oakink(reference):
    """oakink.json; its inputs are case `plain` of freihand.npz."""
    if not reference.has("oakink.json"):
        yield Skip("oakink", f"there is no oakink.json in {reference.folder}")
        return
    arrays = _of_case(reference.npz("freihand.npz"), "plain")
    predictions = {"joints_3d": arrays["xyz_pred"], "verts_3d": arrays["verts_pred"]}
    for case, entry in reference.json("oakink.json").items():
        truth = {"joints_3d": arrays["xyz"], "verts_3d": arrays["verts"]}
        if "visible" in entry:
            truth["visible"] = np.array(entry["visible"])
        yield from _oakink_case(f"oakink/{case}", predictions, truth, entry)


def _oakink_case(case, predictions, truth, entry):
    running = protocols.running("oakink")
    start = 0
    for size in entry["batches"]:
        rows = slice(start, start + size)
        running.update(*({name: array[rows] for name, array in given.items()} for given in (predictions, truth)))
        start += size
    if start != len(truth["joints_3d"]):
        yield Row(case, f"batches hold {start} of {len(truth['joints_3d'])} samples", np.inf, 0.0)
    figures = running.figures(warn=False)
    for name, value in entry["figures"].items():
        if name == "str":
            printed = protocols.evaluate("oakink", predictions, truth, mixed_units=False)
            yield from printed_rows(case, printed, value)
        elif name == "Hand3DPCK.thresholds":
            yield Row(case, name, deviation(oakink.THRESHOLDS, value), TOLERANCE)
        elif name == "Hand3DPCK.pck_curve_per_kp":
            curves = oakink.pck_curves(running.per_sample(predictions, truth))
            yield Row(case, name, deviation(curves, value), RELATIVE)
        else:
            ours = (
                figures[[f"{name}.{joint}" for joint in range(len(value))]]
                if isinstance(value, list)
                else figures[name]
            )
            yield Row(
                case,
                f"{name}, relative",
                deviation(np.asarray(ours) / np.asarray(value), np.ones_like(value)),
                RELATIVE,
            )


def printed_rows(case, figures, lines):
    """The printed lines have four decimals, their errors in the units that `mixed_units=False` has."""
    shown = {name.rpartition(".")[2].removesuffix("_mm"): value for name, value in figures.items()}
    for name, text in re.findall(r"(\w+): ([-\d.]+)", " ".join(lines)):
        limit = 0.5 * 10.0 ** -len(text.partition(".")[2]) + RELATIVE * abs(float(text))
        yield Row(case, f"{name} as printed", deviation(shown[name], float(text)), limit)


CHECKS = [check_freihand, check_ho3d, check_dexycb, check_oakink]
