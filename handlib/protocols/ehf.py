"""EHF (Pavlakos et al., CVPR 2019) as Hand4Whole and OSX score it: whole-body meshes, in millimetres.

predictions: ``verts`` (N, 10475, 3) SMPL-X vertices in metres, in the camera frame (also called ``smplx_mesh_cam``).
truth, same rows: ``verts`` (N, 10475, 3), the scan's vertices as ``NN_align.ply`` holds them, metres (also
``smplx_mesh_cam_target``).

Figures, each the mean over samples of the sample's mean distance:
- ``pa_mpvpe_all``, ``pa_mpvpe_hand``, ``pa_mpvpe_face``: after a similarity fit (rotation, scale, translation, no
  reflection) on exactly the vertices that are scored; each hand for itself, then the mean of left and right.
- ``mpvpe_all``, ``mpvpe_hand``, ``mpvpe_face``: after a translation only, of the regressed pelvis, of that hand's
  wrist, of the neck. Not rotated: so the hand figure holds the arm's error of orientation too.
- ``pa_mpjpe_body`` 14 joints, ``pa_mpjpe_hand`` 21 joints of each hand: after a similarity fit.

Options: ``bodies``, the folder of the official index files and regressors (see `handlib.bodies.wholebody`);
``truth_frame``: "scan" (the official files; the truth is turned into the camera frame first, by the one fixed rotation
of the data set, without translation) or "camera" (already turned); ``published=True``: the prediction's
pelvis, wrists and neck regressed in float32, as the published programs have it (`wholebody.regressed`), which moves a
sample's MPVPE by some 0.001 mm. Otherwise the arithmetic is float64.
"""

from handlib.datasets.ehf import ROTATION as SCAN_TO_CAMERA
from handlib.files import InputError
from handlib.protocols import samplewise, wholebody

OPTIONS = {"bodies": wholebody.BODIES, "truth_frame": "scan", "published": False}
ALIGNMENT = (
    "MPVPE: translation of pelvis, wrists or neck; PA: similarity without reflection on the scored points, each hand "
    "for itself"
)
unit, sums, figures, remarks = samplewise.unit, samplewise.sums, samplewise.figures, samplewise.remarks


def per_sample(predictions, truth, bodies=wholebody.BODIES, truth_frame="scan", published=False):
    """Arrays (see the module) -> {"<figure>_m": metres, "mirrored_<part>": bool}, a row per sample.

    Vertex errors are (N,), those of hands (N, 2) left and right; joint errors (N, 14) and (N, 2, 21). ``mirrored_…``:
    a mirror image would fit better. Raises InputError as `handlib.protocols.evaluate`, and naming a missing file.
    """
    if truth_frame not in ("scan", "camera"):
        raise InputError("protocol 'ehf'", f"there is no frame '{truth_frame}'", "scan or camera", "truth_frame")
    body = wholebody.parts(str(bodies))
    n, meshes = wholebody.meshes(predictions, truth, "smplx")
    single = wholebody.MINE if published else wholebody.NEITHER

    def errors(rows):
        mesh, target = meshes(rows)
        if truth_frame == "scan":
            target = target @ SCAN_TO_CAMERA.T
        found = wholebody.vertex_errors(mesh, target, body, single=single)
        return found | wholebody.joint_errors(mesh, target, body)

    return samplewise.by_rows(errors, n)
