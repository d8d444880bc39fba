"""AGORA's validation set as Hand4Whole, OSX and Pose2Pose score it themselves, person by person, in millimetres.

Not AGORA's official evaluator, which matches people and counts misses (`agora_smplx`, `agora_smpl`).

``agora_val``: predictions ``verts`` (N, 10475, 3) SMPL-X vertices in metres, in the camera frame (also
``smplx_mesh_cam``); truth, same rows, ``verts`` (also ``smplx_mesh_cam_target``). Figures ``pa_mpvpe_all``,
``pa_mpvpe_hand``, ``pa_mpvpe_face``, ``mpvpe_all``, ``mpvpe_hand``, ``mpvpe_face``, aligned as in `ehf`.
``agora_val_smpl``: the same with SMPL meshes (N, 6890, 3) (``smpl_mesh_cam``, ``smpl_mesh_cam_target``), as the
body-only Pose2Pose: ``pa_mpvpe`` after a similarity fit without reflection, ``mpvpe`` after moving the pelvis.

Quirk: two programs, two truths. Hand4Whole makes the true mesh with the neutral model from parameters that belong to
gendered ones; OSX takes the official vertices. Their figures on this set are not comparable; what is evaluated here is
what is given.

Options: ``bodies``, the folder of the official index files and regressors (see `handlib.bodies.wholebody`);
``published=True``: pelvis, wrists and neck regressed in float32, as the published programs have it
(`wholebody.regressed`; SMPL-X's of the prediction only, SMPL's of both), which moves a sample's MPVPE by some 0.001 mm.
Otherwise the arithmetic is float64.
"""

from handlib.protocols import samplewise, wholebody

OPTIONS = {"bodies": wholebody.BODIES, "model": "smplx", "published": False}
ALIGNMENT = (
    "MPVPE: translation of pelvis, wrists or neck; PA: similarity without reflection on the scored vertices, each hand "
    "for itself"
)
unit, sums, figures, remarks = samplewise.unit, samplewise.sums, samplewise.figures, samplewise.remarks


def per_sample(predictions, truth, bodies=wholebody.BODIES, model="smplx", published=False):
    """Arrays (see the module) -> {"<figure>_m": metres, "mirrored_<part>": bool}, a row per sample.

    (N,) each; those of hands (N, 2), left and right. ``model``: "smplx" or "smpl". Raises InputError as
    `handlib.protocols.evaluate`, and naming a missing file.
    """
    n, meshes = wholebody.meshes(predictions, truth, model)
    if model == "smplx":
        body = wholebody.parts(str(bodies))
        single = wholebody.MINE if published else wholebody.NEITHER
        return samplewise.by_rows(lambda rows: wholebody.vertex_errors(*meshes(rows), body, single=single), n)
    pelvis = wholebody.regressor(str(bodies), "smpl", "joints")[0]
    single = wholebody.BOTH if published else wholebody.NEITHER
    return samplewise.by_rows(lambda rows: wholebody.whole_mesh_errors(*meshes(rows), pelvis, single), n)
