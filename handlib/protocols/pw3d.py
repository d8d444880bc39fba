"""3DPW (von Marcard et al., ECCV 2018) as Pose2Pose, Hand4Whole's body-only code, scores it, in millimetres.

predictions: ``verts`` (N, 6890, 3) SMPL vertices in metres, in the camera frame (also ``smpl_mesh_cam``).
truth, same rows: ``verts`` (N, 6890, 3), the mesh of the annotated parameters with the gendered model (also
``smpl_mesh_cam_target``).

Figures:
- ``mpjpe``: 14 of Human3.6M's 17 joints, regressed from both meshes, relative to the regressed pelvis (which is not
  among the 14); ``pa_mpjpe``: after a similarity fit (no reflection) on those 14.
- ``mpvpe``: all vertices, both meshes moved so that the regressed pelvis is at the origin; ``pa_mpvpe``: after a
  similarity fit on all vertices.

The whole-body codes of Hand4Whole and OSX have no working 3DPW score: this one is behind Hand4Whole's figures, and
OSX's came from another project. The published code moves the caller's meshes; here nothing is changed.

Option: ``bodies``, the folder of J_regressor_h36m_smpl.npy (or Human36M/ beside it; see `handlib.bodies.wholebody`).
Arithmetic is float64; the published one is float32 in places (they differ by less than 1e-3 mm).
"""

from handlib.protocols import samplewise, wholebody

OPTIONS = {"bodies": wholebody.BODIES}
ALIGNMENT = "regressed pelvis; PA: similarity without reflection on the scored joints or vertices"
unit, sums, figures, remarks = samplewise.unit, samplewise.sums, samplewise.figures, samplewise.remarks


def per_sample(predictions, truth, bodies=wholebody.BODIES):
    """Arrays (see the module) -> {"mpjpe_m", "pa_mpjpe_m" (N, 14), "mpvpe_m", "pa_mpvpe_m" (N,), "mirrored_mesh"}.

    Metres. Raises InputError as `handlib.protocols.evaluate`, and naming a missing file.
    """
    rows17 = wholebody.regressor(str(bodies), "smpl", "h36m")
    n, meshes = wholebody.meshes(predictions, truth, "smpl")

    def errors(rows):
        mesh, target = meshes(rows)
        joints = wholebody.h36m_errors(rows17 @ mesh, rows17 @ target)
        return joints | wholebody.whole_mesh_errors(mesh, target, rows17[0])

    return samplewise.by_rows(errors, n)
