"""Errors of whole-body meshes as Hand4Whole (Moon et al., CVPRW 2022) and OSX (Lin et al., CVPR 2023) compute them.

The core of the protocols `ehf`, `agora_val`, `ubody`, `pw3d` and `human36m`, which say what goes in and how it is
aligned. All similarity alignments here turn, scale and move, but do not mirror.
"""

import dataclasses
import functools

import numpy as np

from handlib import alignment
from handlib.bodies import wholebody as bodies
from handlib.metrics import ratio
from handlib.protocols import samplewise
from handlib.protocols.arrays import take
from handlib.protocols.hands import distances

BODIES = "data/bodies"  # the default folder of the official index files and regressors
VERTICES = {kind: bodies.SIZES[kind][0] for kind in ("smplx", "smpl")}
PERSON_M = (0.1, 20.0)  # extent of a person's points in metres; beyond it lies another unit
H36M_14 = [1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16]  # the joints that Human3.6M and 3DPW figures count
_PELVIS, _NECK, _LEFT_WRIST, _RIGHT_WRIST = range(4)
_ROOT_ROWS = [0, 12, 20, 21]  # their rows in the SMPL-X regressor
NEITHER, MINE, BOTH = (False, False), (True, False), (True, True)  # of mesh and truth: regressed in float32
_SUMMED = 320  # columns that OpenBLAS sums on their own, on processors with AVX2


@dataclasses.dataclass(frozen=True)
class Parts:
    """Vertex numbers and regressors of SMPL-X.

    vertices: {"all", "hand", "face"} -> list of (vertex numbers or None for all, row of ``roots``), two for "hand",
    left and right; roots (4, 10475); joints: {"body", "hand"} -> list of regressors.
    """

    vertices: dict
    roots: np.ndarray
    joints: dict


@functools.lru_cache(maxsize=4)
def parts(folder):
    """`Parts` from the official files in ``folder`` (see `handlib.bodies.wholebody`); read once."""
    index, regressor = bodies.index_files(folder), bodies.joint_regressor(folder, "smplx")
    hands = bodies.hand_regressors(regressor)
    vertices = {
        "all": [(None, _PELVIS)],
        "hand": [(index["left_hand"], _LEFT_WRIST), (index["right_hand"], _RIGHT_WRIST)],
        "face": [(index["face"], _NECK)],
    }
    return Parts(vertices, regressor[_ROOT_ROWS], {"body": [index["j14"]], "hand": [hands["left"], hands["right"]]})


@functools.lru_cache(maxsize=4)
def regressor(folder, kind, name):
    """The regressor "joints" (of the model) or "h36m" (17 joints) for meshes of ``kind``; read once."""
    return (bodies.joint_regressor if name == "joints" else bodies.h36m_regressor)(folder, kind)


def meshes(predictions, truth, kind):
    """Check shapes -> function of a slice that gives (predicted, true) meshes (n, V, 3) in float64.

    The fields are "verts" in both; the projects' own names are taken too.
    """
    own = "smplx_mesh_cam" if kind == "smplx" else "smpl_mesh_cam"
    theirs = take(truth, "truth", "verts", (None, VERTICES[kind], 3), (f"{own}_target", f"{own}_pseudo_gt"))
    mine = take(predictions, "predictions", "verts", theirs.shape, (own,))
    return len(theirs), lambda rows: (
        samplewise.points(mine[rows], "predictions", "verts", PERSON_M),
        samplewise.points(theirs[rows], "truth", "verts", PERSON_M),
    )


def vertex_errors(mesh, truth, body, seen=None, single=NEITHER):
    """(n, 10475, 3) meshes -> {"pa_mpvpe_<part>_m", "mpvpe_<part>_m", "mirrored_<part>"} for all, hand, face.

    (n,) each, (n, 2) for the left and the right hand; ``seen`` (n, 10475) bool: the vertices that count in the means
    (alignments use all); NaN where none does. ``single``: the roots of which meshes are `regressed` in float32.
    """
    shift = _shift(body.roots, mesh, truth, single)
    fitted, moved, mirrored = {}, {}, {}
    for part, sets in body.vertices.items():
        found = [_part_errors(mesh, truth, ids, shift[:, root], seen) for ids, root in sets]
        fitted[f"pa_mpvpe_{part}_m"], moved[f"mpvpe_{part}_m"], mirrored[f"mirrored_{part}"] = (
            _columns(column) for column in zip(*found, strict=True)
        )
    return fitted | moved | mirrored


def _shift(roots, mesh, truth, single):
    mine, theirs = single
    return regressed(roots, truth, theirs) - regressed(roots, mesh, mine)


def regressed(rows, mesh, single=False):
    """Rows (R, V) of a joint regressor times meshes (n, V, 3) -> (n, R, 3), float64.

    single: in float32, as the published programs have it. Far from the camera that is coarse (0.0019 mm at 20 m), and
    the order of the sum shows: it is that of numpy's product with OpenBLAS on processors with AVX2, bit for bit.
    """
    if not single:
        return rows @ mesh
    rows, mesh = rows.astype(np.float32), mesh.astype(np.float32)
    made = np.zeros((len(mesh), len(rows), 3), np.float32)
    for number, row in enumerate(rows):
        for columns in _summed_together(len(row)):
            part = np.zeros((len(mesh), 3), np.float32)
            for column in columns[row[columns] != 0]:  # multiplied and added with one rounding
                part = (np.float64(row[column]) * mesh[:, column].astype(np.float64) + part).astype(np.float32)
            made[:, number] += part
    return made.astype(np.float64)


def _summed_together(count):
    """Numbers 0..count-1 in blocks; what is left before the last is halved, in steps of eight."""
    first = 0
    while first < count:
        rest = count - first
        size = _SUMMED if rest >= 2 * _SUMMED else -(-(rest // 2) // 8) * 8 if rest > _SUMMED else rest
        yield np.arange(first, first + size)
        first += size


def _part_errors(mesh, truth, ids, shift, seen):
    points, target, counts = (
        array if ids is None or array is None else array.take(ids, 1) for array in (mesh, truth, seen)
    )
    aligned, mirrored = alignment.similarity(points, target, reflection=False)
    moved = points + shift[:, None]
    return _mean(aligned, target, counts), _mean(moved, target, counts), mirrored


def _mean(points, target, counts):
    """(n, P, 3) -> (n,): mean distance over the points that count; NaN where none does."""
    distance = distances(points, target)
    return distance.mean(1) if counts is None else ratio((distance * counts).sum(1), counts.sum(1))


def _columns(found):
    """[(n, ...)] of one set -> (n, ...); of two (left, right) -> (n, 2, ...)."""
    return found[0] if len(found) == 1 else np.stack(found, 1)


def joint_errors(mesh, truth, body, seen=None):
    """(n, 10475, 3) meshes -> {"pa_mpjpe_body_m" (n, 14), "pa_mpjpe_hand_m" (n, 2, 21)}, similarity-aligned.

    ``seen``: function of true joints (n, J, 3) -> (n, J) bool, those that count in the means; the others are NaN.
    """
    found = {}
    for part, regressors in body.joints.items():
        errors = [regressed_errors(mesh, truth, rows, seen) for rows in regressors]
        found[f"pa_mpjpe_{part}_m"] = _columns(errors)
    return found


def regressed_errors(mesh, truth, rows, seen):
    """Distances (n, J) of joints ``rows @ mesh`` from the true ones after a similarity fit; NaN where not seen."""
    target = rows @ truth
    aligned, _ = alignment.similarity(rows @ mesh, target, reflection=False)
    distance = distances(aligned, target)
    return distance if seen is None else np.where(seen(target), distance, np.nan)


def h36m_errors(joints, target):
    """17 joints of Human3.6M (n, 17, 3), in metres -> {"mpjpe_m", "pa_mpjpe_m"} (n, 14), "mirrored_joints" (n,).

    Relative to joint 0, then the 14 joints that count; the similarity fit is on those 14.
    """
    joints, target = ((points - points[:, :1])[:, H36M_14] for points in (joints, target))
    aligned, _ = alignment.similarity(joints, target, reflection=False)
    return {"mpjpe_m": distances(joints, target), "pa_mpjpe_m": distances(aligned, target)}


def whole_mesh_errors(mesh, truth, root, single=NEITHER):
    """(n, V, 3) meshes, ``root`` (V,) a regressor row -> {"mpvpe_m", "pa_mpvpe_m", "mirrored_mesh"} (n,).

    ``single`` as in `vertex_errors`.
    """
    shift = _shift(root[None], mesh, truth, single)[:, 0]
    pa, moved, mirrored = _part_errors(mesh, truth, None, shift, None)
    return {"mpvpe_m": moved, "pa_mpvpe_m": pa, "mirrored_mesh": mirrored}
