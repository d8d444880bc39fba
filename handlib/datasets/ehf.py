"""EHF, expressive hands and faces (Pavlakos et al., CVPR 2019): 100 pictures of one person, each with a mesh.

``root`` holds ``data/`` (or is it): ``EHF.json`` (boxes, from the page of Hand4Whole's code), pictures ``NN_img.*`` and
meshes ``NN_align.ply``: SMPL-X's vertices, fitted to a scan, in the scanner's frame. One calibrated camera took all
pictures; with it the vertices are given in the camera's frame (protocol "ehf": ``truth_frame="camera"``).
"""

import cv2
import numpy as np

from handlib import geometry
from handlib.datasets import coco, people, ply
from handlib.datasets.base import Skip, fits_of
from handlib.files import require_known

OFFICIAL = "put EHF.json and the official pictures and meshes (…_img.jpg, …_align.ply) there"
K = geometry.intrinsics((1498.22426237, 1498.22426237), (790.263706, 578.90334))  # EHF's own calibration
ROTATION = cv2.Rodrigues(np.array([-2.98747896, 0.01172457, -0.05704687]))[0]  # x_camera = ROTATION @ x_scan + SHIFT
SHIFT = np.array([-0.03609917, 0.43416458, 2.37101226])  # m
_BOXES = {"lefthand_bbox": "left", "righthand_bbox": "right", "face_bbox": "face"}


def splits(root):
    """ "test" alone. InputError where EHF.json is not there."""
    people.home(root, "EHF.json", OFFICIAL)
    return ["test"]


def reader(root, split):
    """`Ehf`."""
    return Ehf(root, split)


class Ehf(people.People):
    """Samples of one person each, in the file's order; without joints or fits, with ``smplx_verts`` (10475, 3) m.

    Raises InputError for missing, cut or odd files; skipped and counted in iterating: pictures without a mesh.
    """

    def __init__(self, root, split):
        super().__init__("ehf", split)
        require_known([split], ["test"], "EHF", "split")
        self.folder = people.home(root, "EHF.json", OFFICIAL)
        path = self.folder / "EHF.json"

        def take(item, where, place):
            box, whole = coco.box(path, item, "body_bbox", where)
            return box, whole, {ours: coco.box(path, item, name, where)[0] for name, ours in _BOXES.items()}

        self.pictures, rows = coco.read(path, take, mend=OFFICIAL)
        self.people = [(number, image, *taken) for number, (image, taken) in rows.items()]
        self.sources[path.name] = path
        self.facts["fits_of"] = fits_of(self.folder, "SMPL-X")

    def sample(self, number, image, box, whole, parts):
        picture = self.pictures[image]
        key = picture.name.rsplit(".", 1)[0]
        mesh = self.folder / (picture.name.split("_")[0] + "_align.ply")
        if not mesh.exists():
            raise Skip(key, "there is no mesh", mesh.name)
        vertices = ply.vertices(mesh, OFFICIAL)
        out = people.start(key, self.folder / picture.name, picture, image, number)
        out |= people.boxed(key, box, whole, picture) | people.no_joints() | people.no_fit()
        camera = vertices.astype(np.float64) @ ROTATION.T + SHIFT
        return out | {"K": K.copy(), "smplx_verts": camera.astype(np.float32)} | people.part_boxes(**parts)
