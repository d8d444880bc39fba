"""MSCOCO hand by hand: COCO-WholeBody's hands (Jin et al., ECCV 2020) with MANO fits of NeuralAnnot (Moon et al.).

``annotations/MSCOCO_train_MANO_NeuralAnnot.json`` is {annotation's id: {"left", "right": {"mano_param": {"pose" 48,
"shape" 10, "trans" 3}, "cam_param": {"focal", "princpt"}}}}. The published code stops at an id that the file lacks, and
at a hand that has none (null); here such a hand has its joints alone.
"""

from pathlib import Path

import numpy as np

from handlib import geometry
from handlib.datasets import coco, people
from handlib.datasets.base import Reader, fits_of
from handlib.datasets.json_stream import items
from handlib.datasets.rows import Rows
from handlib.datasets.windows import MANO_SCALE, Window
from handlib.files import InputError, require

FITS = "MSCOCO_train_MANO_NeuralAnnot.json"
SIDES = ("left", "right")  # a person's hands in the published order
_SPEC = geometry.PersonInput(size=(256, 256), part="hand")
_FIT, _CAMERA = {"pose": (48,), "shape": (10,), "trans": (3,)}, {"focal": (2,), "princpt": (2,)}


class MsCocoHands(Reader):
    """Samples of one hand each (H = 1), 2D alone, in the annotation file's order, a person's left hand first.

    path: COCO-WholeBody's file; pictures: their folder; fits: the file of fits, or None; pixels: what ``complete``
    keeps of a picture, see `windows.Window`. Listed are the hands that are marked valid; hands of crowds and of persons
    without keypoints count, as published. ``joints_cam`` is not known. Where there is a fit, ``K`` is its camera;
    elsewhere one of the published focal length, 5000 px of 256 across the crop.

    Raises InputError for a missing, cut or odd file, naming the annotation. Skipped and counted in iterating: boxes
    that keep nothing of the picture.
    """

    name = "mscoco"

    def __init__(self, root, split, path, pictures, fits, pixels="reach"):
        super().__init__()
        self.split, self.folder = split, pictures
        self.pictures, rows = coco.read(path, lambda item, where, place: _hands(path, item, where))
        self.hands = [(number, image, *hand) for number, (image, hands) in rows.items() for hand in hands]
        self.sources[f"annotations/{path.name}"] = path
        self.fits = Rows({})
        if fits is not None:
            self.fits = read_fits(fits, {number for number, *_ in self.hands})
            self.sources[f"annotations/{fits.name}"] = fits
            without = sum((number, side) not in self.fits for number, _, side, *_ in self.hands)
            if without:
                self.notes.append(f"{without} hands have no fit in {fits.name}")
        elif split == "train":
            self.notes.append(f"no fits: {FITS} is not there, or not wanted")
        self.complete = Window(pixels, MANO_SCALE, hand=_SPEC).filled
        self.options = {"part": "hand", "fits": fits.name if fits else "none", "pixels": pixels}
        self.facts = {
            "version": "COCO-WholeBody 1.0",
            "units": "metres, radians, pixels",
            "joint_order": "hand21 (wrist, thumb .. little, base to tip)",
            "fits_of": fits_of(root),
        }

    def __len__(self):
        return len(self.hands)

    def __getitem__(self, index):
        number, image, side, box, whole, points = self.hands[index]
        picture, name = self.pictures[image], SIDES[side]
        key = f"{Path(picture.name).stem}/{number}/{name}"
        sample = people.start(key, self.folder / picture.name, picture, image, number)
        sample |= people.boxed(key, box, whole, picture)
        sample |= {
            "hands": name,
            "side": np.array([name == "left"], np.int8),
            "hand_type": np.ones(1, bool),
            "bbox_tight": np.bool_(False),
            "joints_img": points[None, :, :2],
            "joints_valid": points[None, :, 2] > 0,
            "is_3d": np.bool_(False),
            "joints_of_fit": np.bool_(False),
            "K": self._camera(box, picture, (number, side)),
        }
        return sample | _fields(self.fits, (number, side))

    def _camera(self, box, picture, key):
        if key not in self.fits:
            return people.virtual_camera(box, picture, spec=_SPEC, pixels=_SPEC.size)
        own = self.fits[key]
        return geometry.intrinsics(own["focal"], own["princpt"])


def _hands(path, item, where):
    """[(place in SIDES, box, whether in whole numbers, points (21, 3))] of an annotation, None where it has none."""
    found = []
    for side, name in enumerate(SIDES):
        if item.get(f"{name}hand_valid", False):
            box = coco.box(path, item, f"{name}hand_box", where)
            points = coco.numbers(path, item, f"{name}hand_kpts", (21, 3), where)
            found.append((side, *box, points.astype(np.float32)))
    return found or None


def read_fits(path, wanted):
    """The file of fits -> `rows.Rows` by (annotation's id, place in SIDES), of the annotations ``wanted``. Raises
    InputError for one that is missing or odd.
    """
    fits = Rows(_FIT | _CAMERA)
    for key, hands in items(require(path, coco.MEND), coco.MEND):
        number = int(key) if isinstance(key, str) and key.isdigit() else None
        if number is None or not isinstance(hands, dict):
            raise InputError(path, f"{str(key)[:40]!r} is no annotation's number with its hands", coco.MEND)
        for side, name in enumerate(SIDES):
            if number in wanted and hands.get(name) is not None:
                item = hands[name] if isinstance(hands[name], dict) else {}
                own = {"mano_param": _FIT, "cam_param": _CAMERA}
                members = {part: (item.get(member), f"{key}.{name}.{member}") for member in own for part in own[member]}
                fits.add((number, side), path, members)
    return fits


def _fields(fits, key):
    """The fields of a hand's fit; zeros, not valid, for one without."""
    own = fits[key] if key in fits else {name: np.zeros(shape) for name, shape in _FIT.items()}
    return {
        "pose_from_mean": own["pose"][None],
        "shape": own["shape"][None],
        "transl_cam": own["trans"][None],
        "mano_valid": np.array([key in fits]),
    }
