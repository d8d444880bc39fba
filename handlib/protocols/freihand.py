"""FreiHAND (Zimmermann et al., ICCV 2019) as its ``eval.py`` computes it: joints, mesh and F-scores.

predictions: ``xyz`` (N, 21, 3), also called ``xyz_pred`` or ``joints``, and ``verts`` (N, 778, 3), also called
``verts_pred``; truth: ``xyz`` (N, 21, 3) and ``verts`` (N, 778, 3). Metres, camera frame (x right, y down, z
forward); joints wrist, thumb, index, middle, ring, little, each from base to tip; vertices in MANO's order.

Figures, names and units as in ``scores.txt`` (errors in **cm**, unrounded): ``xyz_mean3d``, ``xyz_auc3d`` with no
alignment at all; ``xyz_al_*`` after a similarity; ``mesh_*`` and ``mesh_al_*`` the same of the 778 vertices, which are
aligned by a fit of their own; ``f_score_5``, ``f_al_score_5``, ``f_score_15``, ``f_al_score_15``. Papers' PA-MPJPE and
PA-MPVPE in mm are ten times ``xyz_al_mean3d`` and ``mesh_al_mean3d``.

Quirks, all of them the default:
- The alignment may mirror the prediction, so a mirrored hand is forgiven: a warning counts such samples and gives the
  figure without. ``reflection=False`` fits by proper rotations only (as HandOccNet, Hand4Whole, OSX and HaMeR do).
- Meshes of another vertex count than 778 (all samples; a list of arrays where counts differ): mesh errors are -1 m,
  so -100 cm, their AUCs -1, and for the aligned F-scores the mesh is moved by the joints' fit in a way that is no
  alignment (see `handlib.alignment.Fit.without_scale_of_prediction`). ``other_mesh="similarity"`` applies the joints'
  fit as it is, and the mesh errors are NaN. A warning says so.
- A root-relative prediction is legal; then only the aligned figures mean anything. All-zero points land on the
  centroid of the truth.
- A perfect prediction has aligned distances of 1e-9 m, not 0, which miss the first PCK threshold: its aligned AUC is
  0.9949.

Where this differs: the official code looks at the first sample only to see whether the meshes have 778 vertices;
here a mixture is refused (InputError). So are NaN, infinite numbers and empty input. One sample is a set like others.
"""

from handlib.protocols import hands

OPTIONS = dict(hands.MESH_OPTIONS)
ALIGNMENT = "none; and (al) similarity with reflections, joints and mesh each by their own fit"
FITS = {"xyz_al": hands.procrustes}
unit = hands.mesh_unit


def per_sample(predictions, truth, reflection=True, other_mesh="official"):
    """Arrays (see the module) -> named arrays, a row per sample; distances in metres.

    xyz_m, xyz_al_m (N, 21); mesh_m, mesh_al_m (N, 778), NaN for meshes of another vertex count; f_score (N, 2, 2, 3):
    threshold (5 and 15 mm), raw and aligned, and F, P, R (see `handlib.protocols.fscores`); mirrored, mesh_mirrored
    (N,) bool: joints, vertices fit best as a mirror image; xyz_rigid_m, mesh_rigid_m (N,): mean aligned error without
    reflection.
    """
    return hands.mesh_errors(predictions, truth, FITS, reflection, other_mesh)


def sums(errors, **options):
    """What `per_sample` returns -> what adds up over samples."""
    return hands.mesh_sums(errors, FITS)


def figures(totals, reflection=True, other_mesh="official"):
    """Totals of `sums` -> the figures by name."""
    return hands.mesh_figures(totals, FITS, other_mesh)


def remarks(totals, reflection=True, other_mesh="official"):
    """What the figures hide, in words."""
    return hands.mesh_remarks(totals, FITS, reflection, other_mesh)
