"""MSCOCO with the annotations of COCO-WholeBody (Jin et al., ECCV 2020) and SMPL-X fits of NeuralAnnot (Moon et al.).

``root`` holds ``images/{train,val}2017/`` and ``annotations/``: ``coco_wholebody_{train,val}_v1.0.json`` and, for
training, ``MSCOCO_train_SMPLX_all_NeuralAnnot.json`` (as Hand4Whole takes it) or ``MSCOCO_train_SMPLX.json`` (OSX);
of the hands alone (part "hand") ``MSCOCO_train_MANO_NeuralAnnot.json``.

2D alone: a person's joints are pixels, ``is_3d`` is False. The fits are in the frame of a camera of their own each.
"""

from pathlib import Path

from handlib.datasets import coco, coco_wholebody, people, smpl_fits
from handlib.datasets.base import fits_of
from handlib.files import InputError, require, require_choice, require_known

SPLITS = ("train", "val")
_SMPLX = {"hand4whole": "MSCOCO_train_SMPLX_all_NeuralAnnot.json", "osx": "MSCOCO_train_SMPLX.json"}
FITS = _SMPLX | {"smpl": "MSCOCO_train_SMPL_NeuralAnnot.json"}
OFFICIAL = "put the files of COCO-WholeBody there, and the fits from the page of NeuralAnnot"


def splits(root):
    """The splits that are in ``root``: "train", "val". InputError for none."""
    found = [split for split in SPLITS if _annotations(Path(root), split).exists()]
    if not found:
        raise InputError(Path(root) / "annotations", "holds no coco_wholebody_…_v1.0.json", OFFICIAL)
    return found


def _annotations(root, split):
    return root / "annotations" / f"coco_wholebody_{split}_v1.0.json"


def variant(part="body", fits="any"):
    """What tells packs of one split apart, as a name."""
    return "smpl" if fits == "smpl" else "" if part == "body" else part


def reader(root, split, fits="any", part="body", pixels=None):
    """`MsCoco`, persons; or, with part "hand", `mscoco_hands.MsCocoHands`: their hands, each on its own. fits of hands:
    "any" (their file, where it is there), "mano" (it must be) or "none"; pixels, of hands: what is kept of a picture,
    "reach" (default) or "whole".
    """
    require_choice("part", part, ("body", "hand"))
    if part == "body":
        require_choice("pixels", pixels, (None,))  # pictures of persons are kept whole
        return MsCoco(root, split, fits)
    from handlib.datasets import mscoco_hands

    root = require(root, OFFICIAL)
    require_known([split], SPLITS, "MSCOCO", "split")
    require_choice("fits", fits, ("any", "mano", "none"))
    require_choice("pixels", pixels, (None, "reach", "whole"))
    file = root / "annotations" / mscoco_hands.FITS
    wanted = split == "train" and (fits == "mano" or (fits == "any" and file.exists()))
    path = require(_annotations(root, split), OFFICIAL)
    pictures, file = root / "images" / f"{split}2017", file if wanted else None
    return mscoco_hands.MsCocoHands(root, split, path, pictures, file, pixels or "reach")


class MsCoco(people.People):
    """Samples of one person each, in the annotation file's order.

    split: "train" (150,000 persons with keypoints) or "val"; fits: which file of fits in training, "hand4whole", "osx",
    "any" (the first of these that is there), "smpl" (of SMPL: `smpl_fits`) or "none". A person without a fit has no
    valid one; hands and face are valid where fit or annotation says so.

    Raises InputError for a missing, cut or odd file, naming the annotation. Skipped and counted in iterating: crowds,
    persons without keypoints, boxes that keep nothing of the picture.
    """

    def __init__(self, root, split, fits="any"):
        super().__init__("mscoco", split)
        self.root = require(root, OFFICIAL)
        require_known([split], SPLITS, "MSCOCO", "split")
        require_known([fits], ("any", *FITS, "none"), "MSCOCO", "choice of fits")
        path = require(_annotations(self.root, split), OFFICIAL)
        self.pictures, rows = coco.read(path, lambda item, where, place: coco_wholebody.person(path, item, where))
        self.people = coco_wholebody.listed(rows, self._key)
        self.sources[f"annotations/{path.name}"] = path
        self.fits = self._fits(fits)
        self.facts["version"] = "COCO-WholeBody 1.0"
        self.facts["fits_of"] = fits_of(root, "SMPL" if fits == "smpl" else "SMPL-X")

    def _key(self, image, number):
        return f"{Path(self.pictures[image].name).stem}/{number}"

    def _fits(self, chosen):
        known = _SMPLX.values() if chosen == "any" else [FITS[chosen]] if chosen in FITS else []
        names = list(known) if self.split == "train" else []
        paths = [self.root / "annotations" / name for name in names]
        path = next((path for path in paths if path.exists()), paths[0] if chosen in FITS and paths else None)
        self.options["fits"] = path.name if path else "none"
        if path is None:
            if self.split == "train" and chosen == "any":
                self.notes.append(f"no fits: neither {' nor '.join(names)} is there")
            return people.Fits()
        read = smpl_fits.read if chosen == "smpl" else people.read_fits
        fits = read(path, {person[0] for person in self.people if isinstance(person, tuple)})
        self.sources[f"annotations/{path.name}"] = path
        without = sum(person[0] not in fits for person in self.people if isinstance(person, tuple))
        if without:
            self.notes.append(f"{without} persons have no fit in {path.name}")
        return fits

    def sample(self, number, image, found):
        picture = self.pictures[image]
        path = self.root / "images" / f"{self.split}2017" / picture.name
        boxes = [box if yes else None for box, yes in zip(found.boxes, found.seen, strict=True)]
        parts = people.part_boxes(*boxes)
        return coco_wholebody.sample(self._key(image, number), path, picture, image, number, found, self.fits, parts)
