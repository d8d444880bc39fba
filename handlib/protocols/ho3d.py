"""HO-3D (Hampali et al., CVPR 2020 and 2022), v2 and v3, as its ``eval.py`` computes it: joints, mesh and F-scores.

predictions: ``xyz`` (N, 21, 3), also called ``xyz_pred`` or ``joints``, and ``verts`` (N, 778, 3), also called
``verts_pred``; truth: ``xyz`` (N, 21, 3) and ``verts`` (N, 778, 3). Metres, **OpenGL camera frame** (x right, y up,
z backward); joints in HO-3D's order: 0 wrist, 1-3 index, 4-6 middle, 7-9 little, 10-12 ring, 13-15 thumb, each base
outwards, then the tips of thumb, index, middle, ring, little. The v2 and v3 evaluators differ only in the number of
samples they insist on (11,524 and 20,137), which is the submission checker's matter (`handlib.submissions`).

Figures, names and units as in ``scores.txt`` (errors in **cm**, unrounded): ``xyz_mean3d``, ``xyz_auc3d`` as
submitted; ``xyz_procrustes_al_*`` after a similarity; ``xyz_scale_trans_al_*`` after scaling by the bone from the
wrist to the middle finger's base and moving the wrist onto the true one, without rotation; ``mesh_*``, ``mesh_al_*``;
``f_score_5``, ``f_al_score_5``, ``f_score_15``, ``f_al_score_15``.

Quirks and options are FreiHAND's (`handlib.protocols.freihand`): reflections are allowed (``reflection=False``), and
meshes of another vertex count get -1 (``other_mesh="similarity"``). Besides:
- A predicted bone of length 0 is not divided by in the scale-translation alignment.
- A wrong joint order ruins the aligned joint errors while the mesh errors stay good; a wrong frame ruins only the
  unaligned and scale-translation figures.
"""

from handlib.protocols import hands

OPTIONS = dict(hands.MESH_OPTIONS)
ALIGNMENT = "none; (procrustes_al, al) similarity with reflections; (scale_trans_al) one bone's length and the wrist"
FITS = {"xyz_procrustes_al": hands.procrustes, "xyz_scale_trans_al": hands.scale_translation}
unit = hands.mesh_unit


def per_sample(predictions, truth, reflection=True, other_mesh="official"):
    """As `handlib.protocols.freihand.per_sample`; joint errors are xyz_m, xyz_procrustes_al_m, xyz_scale_trans_al_m."""
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
