"""OakInk's figures on given predictions: the benchmark's metric classes and its table, and FreiHAND's evaluator.

Tolerances are those of the reference's README, section 9.
"""

import numpy as np

from handlib import alignment, protocols
from handlib.protocols import oakink
from handlib.verify import Row, Skip, metrics
from handlib.verify.metrics_hands import printed_rows
from handlib.verify.reference import deviation

TOLERANCE_MM, RATIO = 1e-4, 1e-6
POINTS_MM = 1e-3  # of stored points: float32 has steps of 1.2e-4 mm at a metre from the camera
TABLE = {  # the columns of the published table
    "MPJPE_mm": "MeanEPE.joints_3d_mepe",
    "PCK_AUC": "Hand3DPCK.auc_all",
    "MPVPE_mm": "MeanEPE2.verts_3d_mepe",
    "PA_MPJPE_mm": "PAEval.pa_mpjpe",
    "PA_MPVPE_mm": "PAEval.pa_mpvpe",
}
_MM = {"": 1.0, "mm": 1.0, "cm": 10.0, "m": 1000.0}
_FREIHAND = {"kp": "xyz", "kp_al": "xyz_al", "mesh": "mesh", "mesh_al": "mesh_al"}


def _cases(reference):
    """(name, JSON entry, arrays, predictions, truth) of every case that has figures."""
    if not reference.has("metrics.json"):
        return
    arrays = reference.npz("metrics.npz")
    for case, entry in reference.json("metrics.json").items():
        if "figures" in entry:
            own = metrics.of_case(arrays, case)
            truth = {name: own[f"target_{name}"] for name in ("joints_3d", "verts_3d")}
            truth["visible"] = own["target_joints_vis"]
            predictions = {name: own[f"pred_{name}"] for name in ("joints_3d", "verts_3d")}
            yield case.removeprefix("metrics/"), entry, own, predictions, truth


def figure_rows(case, figures, entry, tolerance_mm=TOLERANCE_MM, ratio=RATIO):
    """A Row per entry of ``figures`` and ``table`` of a case; distances in mm. figures: `protocols.evaluate`'s."""
    expected = {f"{group}.{name}": value for group, table in entry["figures"].items() for name, value in table.items()}
    for name, value in expected.items():
        unit = protocols.unit("oakink", name)
        off = _MM[unit] * deviation(figures[name], value)
        yield Row(case, f"{name}{unit and ' mm'}", off, tolerance_mm if unit else ratio)
    for column, name in TABLE.items():
        unit = protocols.unit("oakink", name)
        off = deviation(_MM[unit] * figures[name], entry["table"][column])
        yield Row(case, f"table {column}", off, tolerance_mm if unit else ratio)


def check_figures(reference):
    """Every figure, from the reference's batches, and the printed line."""
    if not reference.has("metrics.json"):
        yield Skip("metrics", f"there is no metrics.json in {reference.folder}")
    for case, entry, _, predictions, truth in _cases(reference):
        yield from figure_rows(case, _in_batches(predictions, truth, entry["batches"]), entry)
        whole = protocols.running("oakink", mixed_units=False).update(predictions, truth).figures(warn=False)
        yield from printed_rows(case, whole, [entry["printed"]])


def _in_batches(predictions, truth, sizes):
    running, ends = protocols.running("oakink"), np.cumsum(sizes)
    for end, size in zip(ends, sizes, strict=True):
        rows = slice(end - size, end)
        running.update(*({name: array[rows] for name, array in given.items()} for given in (predictions, truth)))
    return running.figures(warn=False)


def check_joints(reference):
    """Errors and PCK curves of each joint that is visible somewhere; the aligned joints."""
    for case, _, stored, predictions, truth in _cases(reference):
        running = protocols.running("oakink").update(predictions, truth)
        figures, errors = running.figures(warn=False), running.per_sample(predictions, truth)
        curves, seen = oakink.pck_curves(errors), errors["visible"].any(0)
        each = {name: _per_joint(figures, name)[seen] for name in ("epe_mean_per_kp", "auc_per_kp")}
        off = 1000 * deviation(each["epe_mean_per_kp"], stored["Hand3DPCK/epe_mean_per_kp"])
        yield Row(case, "Hand3DPCK.epe_mean_per_kp mm", off, TOLERANCE_MM)
        for name, ours in (("auc_per_kp", each["auc_per_kp"]), ("pck_curve_per_kp", curves[seen])):
            yield Row(case, f"Hand3DPCK.{name}", deviation(ours, stored[f"Hand3DPCK/{name}"]), RATIO)
        off = 1000 * deviation(oakink.THRESHOLDS, stored["Hand3DPCK/thresholds"])
        yield Row(case, "Hand3DPCK.thresholds mm", off, TOLERANCE_MM)
        expected = stored["aligned_joints_first3"]
        first = (given["joints_3d"][: len(expected)] for given in (predictions, truth))
        aligned, _ = alignment.similarity(*first)  # in float32, as officially
        yield Row(case, "aligned joints mm", 1000 * deviation(aligned, expected), POINTS_MM)


def _per_joint(figures, name):
    return figures[[f"Hand3DPCK.{name}.{joint}" for joint in range(21)]].to_numpy()


def check_freihand(reference):
    """FreiHAND's evaluator, which knows no visibility, on the same data."""
    for case, entry, _, predictions, truth in _cases(reference):
        given = ({"xyz": arrays["joints_3d"], "verts": arrays["verts_3d"]} for arrays in (predictions, truth))
        figures = protocols.running("freihand").update(*given).figures(warn=False)
        for name, values in entry["freihand_evaluator"].items():
            ours = _FREIHAND[name]
            off = 10 * deviation(figures[f"{ours}_mean3d"], values["mean_cm"])
            yield Row(case, f"FreiHAND {name} mm", off, TOLERANCE_MM)
            yield Row(case, f"FreiHAND {name} AUC", deviation(figures[f"{ours}_auc3d"], values["auc"]), RATIO)


def check_batches_of_one(reference):
    """The official PCK fails on a batch of one sample; here such batches give the figures of the whole."""
    if not reference.has("metrics.json") or "metrics/batch_of_one" not in reference.json("metrics.json"):
        return
    for case, entry, _, predictions, truth in _cases(reference):
        alone = _in_batches(predictions, truth, [1] * entry["samples"])
        worst = max(figure_rows(case, alone, entry), key=lambda row: row.deviation / row.tolerance)
        yield Row(case, f"batches of one: {worst.quantity}", worst.deviation, worst.tolerance)


CHECKS = [check_figures, check_joints, check_freihand, check_batches_of_one]
