"""Human3.6M (Ionescu et al., PAMI 2014) as Hand4Whole and OSX score a mesh on it, in millimetres.

predictions: ``verts`` (N, 10475, 3) SMPL-X vertices in metres (also ``smplx_mesh_cam``; the published code calls it
``smpl_mesh_cam``, which its whole-body networks do not have).
truth, same rows: ``joint_cam`` (N, 17, 3), the annotated joints in **millimetres**, as in the annotation files.

Figures: ``mpjpe``, 14 of the 17 joints, regressed from the mesh, relative to the pelvis (which is not among the 14);
``pa_mpjpe``, after a similarity fit (no reflection) on those 14.

Option: ``bodies``, the folder of J_regressor_h36m_smplx.npy (or Human36M/ beside it; see `handlib.bodies.wholebody`).
"""

from handlib.protocols import samplewise, wholebody
from handlib.protocols.arrays import take

OPTIONS = {"bodies": wholebody.BODIES}
ALIGNMENT = "pelvis; PA: similarity without reflection on the 14 joints"
_PERSON_MM = tuple(1000 * metres for metres in wholebody.PERSON_M)
unit, sums, figures, remarks = samplewise.unit, samplewise.sums, samplewise.figures, samplewise.remarks


def per_sample(predictions, truth, bodies=wholebody.BODIES):
    """Arrays (see the module) -> {"mpjpe_m", "pa_mpjpe_m"} (N, 14) in metres.

    Raises InputError as `handlib.protocols.evaluate`, and naming a missing file.
    """
    rows17 = wholebody.regressor(str(bodies), "smplx", "h36m")
    joints = take(truth, "truth", "joint_cam", (None, 17, 3))
    shape = (len(joints), wholebody.VERTICES["smplx"], 3)
    verts = take(predictions, "predictions", "verts", shape, ("smplx_mesh_cam", "smpl_mesh_cam"))

    def errors(rows):
        mesh = samplewise.points(verts[rows], "predictions", "verts", wholebody.PERSON_M)
        target = samplewise.points(joints[rows], "truth", "joint_cam", _PERSON_MM) / 1000
        return wholebody.h36m_errors(rows17 @ mesh, target)

    return samplewise.by_rows(errors, len(joints))
