"""OakInk's hand-mesh benchmark (Yang et al., CVPR 2022) as its own metric classes compute it.

predictions: ``joints_3d`` (N, 21, 3), also called ``xyz``, ``xyz_pred`` or ``joints``, and ``verts_3d`` (N, V, 3),
also called ``verts`` or ``verts_pred``; truth: the same two, and optionally ``visible`` (N, 21), 0 where a joint is
hidden. **Metres**, camera frame (x right, y down, z forward), nothing root-aligned; joints wrist, thumb, index,
middle, ring, little, each base to tip.

Figures, ``<metric class>.<figure>``: ``MeanEPE.joints_3d_mepe`` and ``MeanEPE2.verts_3d_mepe`` (m);
``Hand3DPCK.epe_mean_all`` (m), ``Hand3DPCK.auc_all`` (0 to 0.05 m, **20** thresholds), the same per joint as
``Hand3DPCK.epe_mean_per_kp.<i>`` and ``Hand3DPCK.auc_per_kp.<i>``, and ``Hand3DPCK.h3dpck``, the printed PCK at 2 cm;
``PAEval.pa_mpjpe``, ``PAEval.mpjpe`` (m), ``PAEval.pa_mpvpe``, ``PAEval.mpvpe`` (mm).

Quirks, all of them the default:
- Units are mixed: the joints' errors of ``PAEval`` are metres, its vertices' millimetres. ``mixed_units=False`` gives
  all four in mm, under names that say so (``PAEval.pa_mpjpe_mm``), as the printed line has them.
- Only the PCK looks at ``visible``. ``visible_only=True`` leaves hidden joints out of ``MeanEPE``, ``PAEval.mpjpe``
  and ``PAEval.pa_mpjpe`` too (the fit still takes all joints).
- The alignment of ``PAEval`` allows reflections; a warning counts mirrored samples and gives the figure without.
  ``reflection=False`` fits by proper rotations only.
- Points are taken in float32, as are the distances that the PCK counts.

Where this differs: the official PCK fails on a batch of one sample; here it is a sample like others. A joint that is
visible nowhere is NaN and left out of the means over joints (as officially), with a warning. Predictions without
``verts_3d`` have their joints scored; the mesh figures are NaN, with a warning. NaN, infinite numbers and empty input
are refused (InputError).
"""

import numpy as np

from handlib import alignment
from handlib.files import InputError
from handlib.protocols import arrays, hands

OPTIONS = {"reflection": True, "mixed_units": True, "visible_only": False}
ALIGNMENT = "none (MeanEPE, Hand3DPCK); similarity with reflections, joints and mesh each by their own fit (PAEval)"
THRESHOLDS = np.linspace(0, 0.05, 20)  # metres
PRINTED_PCK = 0.02  # metres
_JOINTS = ("xyz", "xyz_pred", "joints")
_VERTS = ("verts", "verts_pred")
_PARTS = {"joints": "mpjpe", "verts": "mpvpe"}


def unit(figure):
    """The unit of a figure."""
    if figure.endswith(("_mm", "mpvpe")):
        return "mm"
    return "m" if "mepe" in figure or "epe_mean" in figure or "mpjpe" in figure else ""


def per_sample(predictions, truth, reflection=True, **options):
    """Arrays (see the module) -> named arrays, a row per sample; distances in metres.

    joints_m, pa_joints_m (N, 21), verts_m, pa_verts_m (N, V): raw and after the similarity; visible (N, 21) bool;
    joints_mirrored, verts_mirrored (N,) bool: the best fit is a mirror image; joints_rigid_m, verts_rigid_m (N,): mean
    aligned error without reflection. Nothing of the vertices where none are predicted.
    """
    true = {"joints": arrays.take(truth, "truth", "joints_3d", (None, 21, 3), _JOINTS)}
    n = len(true["joints"])
    if n == 0:
        raise InputError("truth", "holds no samples", "give at least one sample", field="joints_3d")
    mine = {"joints": arrays.take(predictions, "predictions", "joints_3d", (n, 21, 3), _JOINTS)}
    if any(name in predictions for name in ("verts_3d", *_VERTS)):
        true["verts"] = arrays.take(truth, "truth", "verts_3d", (n, None, 3), _VERTS)
        count = true["verts"].shape[1]
        if count == 0:
            raise InputError("truth", "has no vertices", "give the true mesh of each sample", field="verts_3d")
        mine["verts"] = arrays.take(predictions, "predictions", "verts_3d", (n, count, 3), _VERTS)
    visible = np.ones((n, 21), bool)
    if "visible" in truth:
        visible = arrays.numbers(arrays.take(truth, "truth", "visible", (n, 21)), "truth", "visible")
        arrays.refuse_nan(visible, "truth", "visible", "use 1 for a visible joint and 0 for a hidden one")
        visible = visible != 0

    def of_rows(rows):
        errors = {"visible": visible[rows]}
        for part in mine:
            errors |= _errors(
                part, _float32(mine, part, rows, "predictions"), _float32(true, part, rows, "truth"), reflection
            )
        return errors

    return hands.in_blocks(n, of_rows)


def _float32(given, part, rows, where):
    return hands.points(given[part][rows], where, f"{part}_3d").astype(np.float32)


def _errors(part, predicted, truth, reflection):
    """One part's share of `per_sample`, from float32 points."""
    raw = hands.distances(predicted, truth).astype(np.float64)
    predicted, truth = predicted.astype(np.float64), truth.astype(np.float64)
    aligned, mirrored = alignment.similarity(predicted, truth, reflection)
    error = hands.distances(aligned, truth)
    rigid = hands.rigid_mean(predicted, truth, error, mirrored)
    return {f"{part}_m": raw, f"pa_{part}_m": error, f"{part}_mirrored": mirrored, f"{part}_rigid_m": rigid}


def pck_curves(errors):
    """What `per_sample` returns -> each joint's PCK curve (21, 20) over visible samples; NaN where there is none."""
    visible = errors["visible"]
    near = errors["joints_m"] <= THRESHOLDS[:, None, None]
    counts = visible.sum(0)
    return ((near & visible).sum(1) / np.where(counts > 0, counts, np.nan)).T


def sums(errors, visible_only=False, **options):
    """What `per_sample` returns -> what adds up over samples."""
    visible, joints = errors["visible"], errors["joints_m"]
    result = {
        "samples": np.ones(len(joints)),
        "visible": visible.astype(float),
        "epe": np.where(visible, joints, 0),
        "area": np.where(visible, hands.areas(joints, THRESHOLDS), 0),
        "pck": (visible & (joints <= PRINTED_PCK)).astype(float),
    }
    counted = visible if visible_only else np.ones_like(visible)
    result["counted"] = counted.any(1).astype(float)
    for name in ("joints", "pa_joints"):
        total = np.where(counted, errors[f"{name}_m"], 0).sum(1)
        result[name] = total / np.maximum(counted.sum(1), 1)
    has_mesh, nothing = "verts_m" in errors, np.zeros(len(joints))
    for part in _PARTS:
        there = part == "joints" or has_mesh
        result[f"{part}_mirrored"] = errors[f"{part}_mirrored"].astype(float) if there else nothing
        result[f"{part}_rigid"] = errors[f"{part}_rigid_m"] if there else nothing
    for name in ("verts", "pa_verts"):
        result[name] = errors[f"{name}_m"].mean(1) if has_mesh else nothing
    return result | {"with_mesh": nothing + has_mesh}


def figures(totals, mixed_units=True, **options):
    """Totals of `sums` -> the figures by name."""
    n, counted = float(totals["samples"]), float(totals["counted"]) or np.nan
    mean = {name: float(totals[name]) / counted for name in ("joints", "pa_joints")}
    meshes = float(totals["with_mesh"])
    if 0 < meshes < n:
        mend = "predict a mesh for every sample, or for none"
        raise InputError("predictions", f"have meshes for {meshes:.0f} of {n:.0f} samples", mend, field="verts_3d")
    mean |= {name: float(totals[name]) / (meshes or np.nan) for name in ("verts", "pa_verts")}
    seen = np.where(totals["visible"] > 0, totals["visible"], np.nan)
    per_joint = {name: totals[name] / seen for name in ("epe", "area", "pck")}
    over_joints = {name: _mean(values) for name, values in per_joint.items()}
    result = {"MeanEPE.joints_3d_mepe": mean["joints"], "MeanEPE2.verts_3d_mepe": mean["verts"]}
    result |= {"Hand3DPCK.epe_mean_all": over_joints["epe"], "Hand3DPCK.auc_all": over_joints["area"]}
    result["Hand3DPCK.h3dpck"] = over_joints["pck"]
    for part, name in _PARTS.items():
        suffix = "" if mixed_units else "_mm"
        scale = 1 if mixed_units and part == "joints" else 1000
        result |= {
            f"PAEval.pa_{name}{suffix}": scale * mean[f"pa_{part}"],
            f"PAEval.{name}{suffix}": scale * mean[part],
        }
    result |= {f"Hand3DPCK.epe_mean_per_kp.{joint}": float(value) for joint, value in enumerate(per_joint["epe"])}
    return result | {f"Hand3DPCK.auc_per_kp.{joint}": float(value) for joint, value in enumerate(per_joint["area"])}


def _mean(values):
    """Over the joints that are visible somewhere; NaN when there is none."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else np.nan


def remarks(totals, reflection=True, **options):
    """What the figures hide, in words."""
    n, counted = float(totals["samples"]), float(totals["counted"]) or np.nan
    found = []
    hidden = np.flatnonzero(np.asarray(totals["visible"]) == 0).tolist()
    if hidden:
        found.append(f"joints {', '.join(map(str, hidden))} are visible in no sample: their figures are NaN")
    if not float(totals["with_mesh"]):
        found.append("no meshes were predicted: the figures of vertices are NaN")
    for part, name in _PARTS.items():
        count = float(totals[f"{part}_mirrored"])
        if count:
            rows = counted if part == "joints" else n
            compared = 1000 * float(totals[f"pa_{part}"]) / rows, 1000 * float(totals[f"{part}_rigid"]) / n
            whose = f"the {part} of {count:.0f} of {n:.0f} predictions"
            found.append(hands.mirror_remark(whose, f"PAEval.pa_{name}", *compared, "mm", reflection))
    return found
