"""3DPW (von Marcard et al., ECCV 2018) in COCO's layout: people outdoors, each with a SMPL body of their gender.

``root`` holds ``data/`` (or is it): ``3DPW_{train,validation,test}.json`` (from the page of Hand4Whole's code) and
``imageFiles/<sequence>/``.
"""

import numpy as np

from handlib import geometry
from handlib.datasets import coco, people
from handlib.files import InputError, require_known, shown

SPLITS = ("train", "validation", "test")
OFFICIAL = "put 3DPW_train.json, 3DPW_validation.json, 3DPW_test.json and the official imageFiles there"
_SHAPES = {"pose": (24, 3), "shape": (10,), "trans": (3,)}
_GENDERS = ("neutral", "male", "female")


def splits(root):
    """The splits that are in ``root``. InputError for none."""
    found = [split for split in SPLITS if any((root / f"3DPW_{split}.json").exists() for root in _folders(root))]
    if not found:
        raise InputError(root, "holds no data/3DPW_….json", OFFICIAL)
    return found


def _folders(root):
    from pathlib import Path

    return Path(root) / "data", Path(root)


def reader(root, split):
    """`Pw3d`."""
    return Pw3d(root, split)


class Pw3d(people.People):
    """Samples of one person each, in the file's order, with ``smpl_pose``, ``smpl_shape``, ``smpl_transl`` in the
    camera's frame and ``gender``; without joints, SMPL-X fits, boxes of hands and face.

    Raises InputError for a missing, cut or odd file; skipped and counted in iterating: boxes that keep nothing of the
    picture.
    """

    def __init__(self, root, split):
        super().__init__("pw3d", split)
        require_known([split], SPLITS, "3DPW", "split")
        name = f"3DPW_{split}.json"
        self.folder = people.home(root, name, OFFICIAL)
        path = self.folder / name

        def take(item, where, place):
            fit = item.get("smpl_param")
            values = {member: coco.numbers(path, fit, member, shape, where) for member, shape in _SHAPES.items()}
            gender = fit.get("gender", "neutral")
            if gender not in _GENDERS:
                raise InputError(path, f"is {shown(gender)}", f"one of {', '.join(_GENDERS)}", f"{where}.gender")
            return *coco.box(path, item, "bbox", where), values, gender

        self.pictures, rows = coco.read(path, take, mend=OFFICIAL)
        self.people = [(number, image, *taken) for number, (image, taken) in rows.items()]
        self.cameras = {number: self._camera(path, picture, number) for number, picture in self.pictures.items()}
        self.sources[path.name] = path
        self.facts["fits_of"] = "SMPL"

    @staticmethod
    def _camera(path, picture, number):
        camera = picture.members.get("cam_param")
        where = f"images, id {number}, cam_param"
        return geometry.intrinsics(*(coco.numbers(path, camera, name, (2,), where) for name in ("focal", "princpt")))

    def sample(self, number, image, box, whole, fit, gender):
        picture = self.pictures[image]
        sequence = coco.relative(self.folder, picture.members.get("sequence"), f"picture {image}, sequence")
        key = f"{sequence}/{picture.name.rsplit('.', 1)[0]}/{number}"
        path = self.folder / "imageFiles" / sequence / picture.name
        out = people.start(key, path, picture, image, number) | people.boxed(key, box, whole, picture)
        out |= {"sequence": sequence, "gender": gender, "K": self.cameras[image]}
        out |= {f"smpl_{ours}": fit[name].astype(np.float32) for ours, name in
                (("pose", "pose"), ("shape", "shape"), ("transl", "trans"))}  # fmt: skip
        return out | people.no_joints() | people.no_fit() | people.part_boxes()
