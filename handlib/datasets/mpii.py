"""MPII Human Pose (Andriluka et al., CVPR 2014), in COCO's layout, with SMPL-X fits of NeuralAnnot (Moon et al., 2022).

``root`` holds ``data/`` (or is it): ``annotations/train.json``, ``annotations/MPII_train_SMPLX_NeuralAnnot.json`` and
the pictures where ``file_name`` says. For training; 2D alone. Of the fits, made to body joints, ankles' and wrists'
rotations and toes and heels are not valid.
"""

from handlib import body_joints
from handlib.datasets import coco, people, smpl_fits
from handlib.files import require_choice, require_known

OFFICIAL = "put the files of the page of Hand4Whole's code there"
_FITS = "MPII_train_{}_NeuralAnnot.json"


def splits(root):
    """ "train" alone. InputError where its annotations are not there."""
    people.home(root, "annotations/train.json", OFFICIAL)
    return ["train"]


def variant(fits="smplx"):
    """What tells packs of one split apart, as a name."""
    return "" if fits == "smplx" else fits


def reader(root, split, fits="smplx"):
    """`Mpii`."""
    return Mpii(root, split, fits)


class Mpii(people.People):
    """Samples of one person each, in the file's order; without boxes of hands and face. fits: of "smplx" or "smpl"
    (`smpl_fits`), which lie in annotations/MPII_train_SMPL_NeuralAnnot.json.

    Raises InputError for missing, cut or odd files; skipped and counted in iterating: boxes that keep nothing of the
    picture.
    """

    def __init__(self, root, split, fits="smplx"):
        super().__init__("mpii", split)
        require_known([split], ["train"], "MPII", "split")
        self.folder = people.home(root, "annotations/train.json", OFFICIAL)
        require_choice("fits", fits, ("smplx", "smpl"))
        path, file = (self.folder / "annotations" / name for name in ("train.json", _FITS.format(fits.upper())))
        self.options["fits"], self.facts["fits_of"] = fits, "SMPL" if fits == "smpl" else "SMPL-X"

        def take(item, where, place):
            return *coco.box(path, item, "bbox", where), coco.numbers(path, item, "keypoints", (16, 3), where)

        self.pictures, rows = coco.read(path, take, mend=OFFICIAL)
        self.people = [(number, image, *taken) for number, (image, taken) in rows.items()]
        read, none = (smpl_fits.read, smpl_fits.SmplFits) if fits == "smpl" else (people.read_fits, people.Fits)
        self.fits = read(file, rows) if file.exists() else none()
        self.sources |= {f"annotations/{one.name}": one for one in (path, file) if one.exists()}
        without = sum(number not in self.fits for number in rows)
        if without:
            self.notes.append(
                f"{without} persons have no fit" + ("" if file.exists() else f": {file.name} is not there")
            )

    def sample(self, number, image, box, whole, keypoints):
        picture = self.pictures[image]
        key = f"{picture.name.rsplit('.', 1)[0]}/{number}"
        out = people.start(key, self.folder / picture.name, picture, image, number)
        out |= people.boxed(key, box, whole, picture)
        camera = self.fits.camera(number)
        out["K"] = people.virtual_camera(box, picture) if camera is None else camera
        out |= people.joints(body_joints.MPII16, keypoints[:, :2], keypoints[:, 2] > 0)
        return out | self.fits.fields(number, without=people.BODY_ONLY) | people.part_boxes()
