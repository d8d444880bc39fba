"""UBody (Lin et al., CVPR 2023) as OSX scores it: whole-body meshes of people cut by the picture, in millimetres.

predictions: ``verts`` (N, 10475, 3) SMPL-X vertices in metres (also ``smplx_mesh_cam``).
truth, same rows: ``verts`` (N, 10475, 3), the mesh of the pseudo-label parameters with their own translation, before
OSX's virtual camera (also ``smplx_mesh_cam_pseudo_gt``); ``bb2img_trans`` (N, 2, 3), from the 384 x 512 crop to the
picture; ``image_size`` (N, 2), the picture's width and height in pixels.

Figures: those of `ehf`, aligned in the same way.

Quirks, all of them the default:
- Only points whose *true* projection lies strictly inside the picture count in the means, while alignments use all
  points, seen or not. ``inside=False`` lets every point count (then the truth needs its meshes only).
- A hand without a visible point is left out, and the other one is the sample's hand error; a sample without a visible
  hand or face is left out of that figure. So the figures are means over different samples.
- The projection is that of OSX's virtual camera (focal length 5000 for a body crop of 192 x 256 pixels), not of the
  picture's own.

Where this differs: with no visible vertex or body joint at all the published mean is NaN and so is the figure; here the
sample is left out of it, and a warning says how many samples counted.

Other options: ``bodies``, the folder of the official index files and regressors (see `handlib.bodies.wholebody`);
``published=True``: both meshes' pelvis, wrists and neck regressed in float32, as the published program has it
(`wholebody.regressed`), which moves a sample's MPVPE by some 0.001 mm. Otherwise the arithmetic is float64.
"""

import numpy as np

from handlib.files import InputError
from handlib.protocols import arrays, samplewise, wholebody
from handlib.protocols.arrays import take

OPTIONS = {"bodies": wholebody.BODIES, "inside": True, "published": False}
ALIGNMENT = (
    "MPVPE: translation of pelvis, wrists or neck; PA: similarity without reflection on all points of the part; means "
    "over points inside the picture"
)
FOCAL, CENTRE = 5000.0, np.array([96.0, 128.0])  # the virtual camera, in pixels of the 192 x 256 body crop
_CROP = np.array([384.0, 512.0]) / [192.0, 256.0]  # body crop -> whole crop
_EPS = 1e-4  # metres, added to every depth
unit, sums, figures, remarks = samplewise.unit, samplewise.sums, samplewise.figures, samplewise.remarks


def per_sample(predictions, truth, bodies=wholebody.BODIES, inside=True, published=False):
    """Arrays (see the module) -> {"<figure>_m": metres, "mirrored_<part>": bool}, a row per sample.

    Shapes as in `ehf.per_sample`; NaN for what does not count. Raises InputError as `handlib.protocols.evaluate`, and
    naming a missing file.
    """
    body = wholebody.parts(str(bodies))
    n, meshes = wholebody.meshes(predictions, truth, "smplx")
    pictures = _pictures(truth, n) if inside else None
    single = wholebody.BOTH if published else wholebody.NEITHER

    def errors(rows):
        mesh, target = meshes(rows)
        seen = (lambda points: inside_picture(points, *(array[rows] for array in pictures))) if inside else None
        found = wholebody.vertex_errors(mesh, target, body, seen(target) if inside else None, single)
        return found | wholebody.joint_errors(mesh, target, body, seen)

    return samplewise.by_rows(errors, n)


def inside_picture(points, bb2img_trans, image_size):
    """(n, P, 3) points in metres, (n, 2, 3) maps, (n, 2) width and height -> (n, P) bool: projected strictly inside."""
    pixels = (points[..., :2] / (points[..., 2:] + _EPS) * FOCAL + CENTRE) * _CROP
    pixels = pixels @ bb2img_trans[:, :, :2].swapaxes(1, 2) + bb2img_trans[:, None, :, 2]
    return ((pixels > 0) & (pixels < image_size[:, None])).all(-1)


def _pictures(truth, n):
    """(N, 2, 3) maps and (N, 2) sizes in float64, checked."""
    found = []
    for field, shape in (("bb2img_trans", (n, 2, 3)), ("image_size", (n, 2))):
        array = arrays.numbers(take(truth, "truth", field, shape), "truth", field)
        arrays.refuse_nan(array, "truth", field, "give a number for every sample")
        found.append(array)
    if (found[1] <= 0).any():
        raise InputError("truth", "holds sizes that are not positive", "give width and height in pixels", "image_size")
    return found
