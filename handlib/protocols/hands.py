"""What FreiHAND, HO-3D and DexYCB share: point errors, the area under the PCK curve, mesh errors and F-scores.

Their evaluators share one accumulator (Zimmermann et al., ICCV 2019). Error: the mean over keypoints of the mean over
samples. PCK at t: the share of samples with a distance **of at most** t, at 100 thresholds from 0 to 5 cm, both ends
included. AUC: the trapezoid area under it, divided by 5 cm, mean over keypoints. It adds up over samples, because each
distance has an area of its own: 1 when it is exactly 0, 0.99495 when it is 1e-17, 0 beyond 5 cm.

`mesh_errors`, `mesh_sums`, `mesh_figures` and `mesh_remarks` are the evaluation of joints and a mesh that FreiHAND and
HO-3D have in common; their modules say which alignments of the joints they report.
"""

import numpy as np

from handlib import alignment
from handlib.files import InputError
from handlib.metrics import as_array
from handlib.protocols import arrays
from handlib.protocols.fscores import THRESHOLDS as F_THRESHOLDS
from handlib.protocols.fscores import fscores

THRESHOLDS = np.linspace(0, 0.05, 100)  # metres
VERTICES = 778
MESH_OPTIONS = {"reflection": True, "other_mesh": "official"}
OTHER_MESH = ("official", "similarity")
_BLOCK = 64  # samples computed at a time: their points stay in the processor's cache


# Distances and curves


def distances(predicted, truth):
    """(..., 3), (..., 3) -> Euclidean distances (...), in the unit and the precision given."""
    squares = predicted - truth
    squares *= squares
    total = squares[..., 0] + squares[..., 1]  # in the official order, and faster than a sum over three
    total += squares[..., 2]
    return np.sqrt(total, out=total)


def areas(distance, thresholds=THRESHOLDS):
    """Each distance's share of the AUC, 0 to 1: the normalised area under its own step. Any shape; NaN gives 0.

    thresholds: equally spaced, from 0; in the unit of the distances.
    """
    last = len(thresholds) - 1
    limits = np.append(thresholds, np.inf)
    first = np.fmin(np.ceil(distance * (last / thresholds[-1])), last + 1).astype(int)  # the first that is not less
    first += limits[first] < distance  # where the division was rounded, the thresholds themselves decide
    first -= (first > 0) & (limits[first - 1] >= distance)
    return np.where(first > 0, np.maximum(last + 0.5 - first, 0), last) / last


def pck(distance, thresholds=THRESHOLDS):
    """(N, K) distances, NaN where one does not count -> the PCK curve (thresholds,), mean over keypoints."""
    counts = np.stack([(distance <= limit).sum(0) for limit in thresholds])
    return (counts / (~np.isnan(distance)).sum(0)).mean(-1)


def median(distance):
    """(N, K) -> mean over keypoints of each keypoint's median: the evaluators compute it and do not print it."""
    return float(np.nanmedian(distance, 0).mean())


# Joints and a mesh


def mesh_errors(predictions, truth, fits, reflection=True, other_mesh="official"):
    """The errors of every sample, arrays as `handlib.protocols.freihand.per_sample` describes them.

    fits: {name: f(predicted joints, true joints, reflection) -> aligned joints (N, 21, 3), mirrored (N,) or None}.
    """
    if other_mesh not in OTHER_MESH:
        raise InputError("options", f"'{other_mesh}' is no way", f"use one of: {', '.join(OTHER_MESH)}", "other_mesh")
    xyz, verts, true_xyz, true_verts = _taken(predictions, truth)
    same = not isinstance(verts, list) and verts.shape[1] == VERTICES

    def of_rows(rows):
        joints = points(xyz[rows], "predictions", "xyz"), points(true_xyz[rows], "truth", "xyz")
        mesh = _mesh_points(verts[rows]), points(true_verts[rows], "truth", "verts")
        errors = _joint_errors(*joints, fits, reflection)
        if same:
            return errors | _mesh_errors(*mesh, reflection)
        return errors | _other_mesh_errors(*mesh, joints, reflection, other_mesh)

    return in_blocks(len(true_xyz), of_rows)


def in_blocks(n, errors_of):
    """``errors_of(slice) -> {name: (rows, ...)}`` over all of n rows, joined; messages count rows from the first."""
    blocks, first = [], arrays.first_row()
    for start in range(0, n, _BLOCK):
        with arrays.rows_from(first + start):
            blocks.append(errors_of(slice(start, start + _BLOCK)))
    return {name: np.concatenate([errors[name] for errors in blocks]) for name in blocks[0]}


def procrustes(predicted, truth, reflection):
    """The shared alignment, as one of the ``fits``."""
    return alignment.similarity(predicted, truth, reflection)


def scale_translation(predicted, truth, reflection):
    """HO-3D's second alignment, as one of the ``fits``; it never turns or mirrors."""
    return alignment.scale_translation(predicted, truth), None


def _taken(predictions, truth):
    """The four arrays, shapes checked; verts is a list where vertex counts differ."""
    true_xyz = arrays.take(truth, "truth", "xyz", (None, 21, 3))
    n = len(true_xyz)
    if n == 0:
        raise InputError("truth", "holds no samples", "give at least one sample", field="xyz")
    true_verts = arrays.take(truth, "truth", "verts", (n, VERTICES, 3))
    xyz = arrays.take(predictions, "predictions", "xyz", (n, 21, 3), ("xyz_pred", "joints"))
    verts = _ragged(predictions, n)
    if verts is None:
        verts = arrays.take(predictions, "predictions", "verts", (n, None, 3), ("verts_pred",))
        if verts.shape[1] == 0:
            raise InputError("predictions", "has no vertices", "give the predicted mesh of each sample", field="verts")
    return xyz, verts, true_xyz, true_verts


def _ragged(predictions, n):
    """Meshes with different vertex counts as a list of arrays; None where ``verts`` is one array."""
    field = next((name for name in ("verts_pred", "verts") if name in predictions), None)
    meshes = predictions.get(field)
    if not isinstance(meshes, list | tuple) or len({len(mesh) for mesh in meshes if hasattr(mesh, "__len__")}) < 2:
        return None
    if len(meshes) != n:
        raise InputError("predictions", f"has {len(meshes)} meshes", f"give {n}, one for each sample", field=field)
    meshes = [arrays.take({field: mesh}, "predictions", field, (None, 3)) for mesh in meshes]
    for row, mesh in enumerate(meshes):
        if len(mesh) in (0, VERTICES):
            problem = f"row {arrays.first_row() + row} has {len(mesh)} vertices and others have another number"
            raise InputError("predictions", problem, f"give all samples {VERTICES} vertices, or none", field=field)
    return meshes


def points(array, where, field):
    """Rows of points as float64; InputError when they hold NaN, infinite numbers or no numbers."""
    array = arrays.numbers(as_array(array), where, field)
    arrays.refuse_nan(array, where, field, "give a number for every coordinate, or leave the sample out everywhere")
    return array


def _mesh_points(verts):
    if not isinstance(verts, list):
        return points(verts, "predictions", "verts")
    meshes = []
    for row, mesh in enumerate(verts):
        with arrays.rows_from(arrays.first_row() + row):
            meshes.append(points(mesh[None], "predictions", "verts")[0])
    return meshes


def _joint_errors(predicted, truth, fits, reflection):
    errors = {"xyz_m": distances(predicted, truth)}
    for name, fit in fits.items():
        aligned, mirrored = fit(predicted, truth, reflection)
        errors[f"{name}_m"] = distances(aligned, truth)
        if mirrored is not None:
            errors["mirrored"] = mirrored
            errors["xyz_rigid_m"] = rigid_mean(predicted, truth, errors[f"{name}_m"], mirrored)
    return errors


def _mesh_errors(predicted, truth, reflection):
    aligned, mirrored = alignment.similarity(predicted, truth, reflection)
    errors = {"mesh_m": distances(predicted, truth), "mesh_al_m": distances(aligned, truth)}
    errors |= {"mesh_mirrored": mirrored, "mesh_rigid_m": rigid_mean(predicted, truth, errors["mesh_al_m"], mirrored)}
    return errors | {"f_score": fscores(truth, [predicted, aligned])}


def rigid_mean(predicted, truth, aligned_error, mirrored):
    """(N,) each sample's mean aligned error without reflection: another fit only where a mirror image fits best."""
    error = aligned_error.mean(-1)
    if mirrored.any():
        turned, _ = alignment.similarity(predicted[mirrored], truth[mirrored], reflection=False)
        error[mirrored] = distances(turned, truth[mirrored]).mean(-1)
    return error


def _other_mesh_errors(predicted, truth, joints, reflection, other_mesh):
    """Meshes of another vertex count: only F-scores, moved by the fit of the joints."""
    scores = []
    for row, (mesh, true_mesh) in enumerate(zip(predicted, truth, strict=True)):
        fit = alignment.fit_similarity(*(points[row : row + 1] for points in joints), reflection)
        moved = (fit.without_scale_of_prediction if other_mesh == "official" else fit)(mesh[None])
        scores.append(fscores(true_mesh[None], [mesh[None], moved]))
    n = len(truth)
    nowhere = np.full((n, VERTICES), np.nan)
    errors = {"mesh_m": nowhere, "mesh_al_m": nowhere, "mesh_mirrored": np.zeros(n, bool)}
    return errors | {"mesh_rigid_m": np.full(n, np.nan), "f_score": np.concatenate(scores)}


def mesh_sums(errors, fits):
    """What adds up over samples, from `mesh_errors` alone: a mean over points or a flag per sample."""
    has_mesh = ~np.isnan(errors["mesh_rigid_m"])
    sums = {"samples": np.ones(len(has_mesh)), "with_mesh": has_mesh.astype(float), "f_score": errors["f_score"]}
    for name in ("xyz", *fits, "mesh", "mesh_al"):
        sums[name] = _where(has_mesh, name, errors[f"{name}_m"].mean(-1))
        sums[f"{name}_area"] = _where(has_mesh, name, areas(errors[f"{name}_m"]).mean(-1))
    sums["mirrored"] = errors["mirrored"].astype(float)
    sums["mesh_mirrored"] = errors["mesh_mirrored"].astype(float)
    sums["xyz_rigid"] = errors["xyz_rigid_m"]
    sums["mesh_rigid"] = _where(has_mesh, "mesh", errors["mesh_rigid_m"])
    return sums


def _where(has_mesh, name, values):
    return np.where(has_mesh, values, 0.0) if name.startswith("mesh") else values


def mesh_figures(totals, fits, other_mesh):
    """Totals of `mesh_sums` -> the figures of scores.txt (errors in cm, unrounded), in its order."""
    n, meshes = float(totals["samples"]), float(totals["with_mesh"])
    if 0 < meshes < n:
        problem = f"{n - meshes:.0f} of {n:.0f} meshes have another vertex count than {VERTICES}"
        raise InputError("predictions", problem, f"give all samples {VERTICES} vertices, or none", field="verts")
    result = {}
    for name in ("xyz", *fits, "mesh", "mesh_al"):
        if name.startswith("mesh") and not meshes:
            mean, area = (-1.0, -1.0) if other_mesh == "official" else (np.nan, np.nan)
        else:
            mean, area = float(totals[name]) / n, float(totals[f"{name}_area"]) / n
        result |= {f"{name}_mean3d": 100 * mean, f"{name}_auc3d": area}
    for number, threshold in enumerate(F_THRESHOLDS):
        for place, name in enumerate(("f_score", "f_al_score")):
            result[f"{name}_{threshold * 1000:.0f}"] = float(totals["f_score"][number, place, 0]) / n
    return result


def mesh_remarks(totals, fits, reflection, other_mesh):
    """What a reader of `mesh_figures` should know: mirror images, meshes of another kind."""
    n = float(totals["samples"])
    procrustes_name = next(iter(fits))
    found = []
    for points, flags, name in (("joints", "mirrored", procrustes_name), ("meshes", "mesh_mirrored", "mesh_al")):
        count, rigid = float(totals[flags]), float(totals["mesh_rigid" if points == "meshes" else "xyz_rigid"]) / n
        if count:
            whose = f"the {points} of {count:.0f} of {n:.0f} predictions"
            compared = f"{name}_mean3d", 100 * float(totals[name]) / n, 100 * rigid, "cm"
            found.append(mirror_remark(whose, *compared, reflection))
    if not float(totals["with_mesh"]):
        written = {
            "official": "mesh errors are written as -100 cm and AUCs as -1, and aligned F-scores mean nothing, "
            "as the official evaluator has them (option other_mesh='similarity' moves the mesh with the joints)",
            "similarity": "there are no mesh errors, and F-scores are aligned by the fit of the joints",
        }[other_mesh]
        found.append(f"the predicted meshes do not have {VERTICES} vertices: {written}")
    return found


def mirror_remark(whose, figure, value, rigid, unit, reflection):
    """In words: whose points fit best as mirror images, and what that does to a figure."""
    if not reflection:
        return f"{whose} fit best as mirror images; {figure} is of fits without reflection"
    return (
        f"{whose} fit best as mirror images, which the official alignment forgives: {figure} is {value:.6f} {unit} "
        f"with them mirrored and {rigid:.6f} {unit} without reflection (option reflection=False)"
    )


def mesh_unit(figure):
    """The unit of a figure of `mesh_figures`."""
    return "cm" if figure.endswith("mean3d") else ""
