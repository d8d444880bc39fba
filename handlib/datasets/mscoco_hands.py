"""MSCOCO hand by hand: COCO-WholeBody's hands (Jin et al., ECCV 2020) with MANO fits of NeuralAnnot (Moon et al.).

``annotations/MSCOCO_train_MANO_NeuralAnnot.json`` is {annotation's id: {"left", "right": {"mano_param": {"pose" 48,
"shape" 10, "trans" 3}, "cam_param": {"focal", "princpt"}}}}. The published code stops at an id that the file lacks, and
at a hand that has none (null); here such a hand has its joints alone.
"""

import array
from pathlib import Path

import numpy as np

from handlib import geometry
from handlib.datasets import coco, people
from handlib.datasets.base import Reader, fits_of
from handlib.datasets.json_stream import items
from handlib.datasets.windows import MANO_SCALE, Window
from handlib.files import InputError, require

FITS = "MSCOCO_train_MANO_NeuralAnnot.json"
SIDES = ("left", "right")  # a person's hands in the published order
_SPEC = geometry.PersonInput(size=(256, 256), part="hand")
_SIZES = {"pose": 48, "shape": 10, "trans": 3, "focal": 2, "princpt": 2}


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
        self.fits = Fits()
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
        K = self.fits.camera((number, side))
        sample |= {
            "hands": name,
            "side": np.array([name == "left"], np.int8),
            "hand_type": np.ones(1, bool),
            "bbox_tight": np.bool_(False),
            "joints_img": points[None, :, :2],
            "joints_valid": points[None, :, 2] > 0,
            "is_3d": np.bool_(False),
            "joints_of_fit": np.bool_(False),
            "K": people.virtual_camera(box, picture, spec=_SPEC, pixels=_SPEC.size) if K is None else K,
        }
        return sample | self.fits.fields((number, side))


def _hands(path, item, where):
    """[(place in SIDES, box, whether in whole numbers, points (21, 3))] of an annotation, None where it has none."""
    found = []
    for side, name in enumerate(SIDES):
        if item.get(f"{name}hand_valid", False):
            box = coco.box(path, item, f"{name}hand_box", where)
            points = coco.numbers(path, item, f"{name}hand_kpts", (21, 3), where)
            found.append((side, *box, points.astype(np.float32)))
    return found or None


class Fits:
    """MANO fits by (annotation's id, place in SIDES), in few bytes each."""

    def __init__(self):
        self._rows, self._numbers = {}, array.array("f")

    def __contains__(self, key):
        return key in self._rows

    def add(self, key, path, item, where):
        """Take one in. Raises InputError naming the member."""
        for member in ("mano_param", "cam_param"):
            own = item.get(member) if isinstance(item, dict) else None
            names = ("pose", "shape", "trans") if member == "mano_param" else ("focal", "princpt")
            for name in names:
                values = coco.numbers(path, own, name, (_SIZES[name],), f"{where}.{member}")
                self._numbers.extend(values.astype(np.float32))
        self._rows[key] = len(self._rows)

    def _get(self, key):
        width = sum(_SIZES.values())
        row = np.frombuffer(self._numbers, np.float32, width, self._rows[key] * width * 4).astype(np.float64)
        return dict(zip(_SIZES, np.split(row, np.cumsum(list(_SIZES.values()))[:-1]), strict=True))

    def camera(self, key):
        """K (3, 3) of the fit, else None."""
        if key not in self._rows:
            return None
        own = self._get(key)
        return geometry.intrinsics(own["focal"], own["princpt"])

    def fields(self, key):
        """The fields of a sample; zeros, not valid, for a hand without a fit."""
        own = self._get(key) if key in self._rows else {name: np.zeros(size) for name, size in _SIZES.items()}
        return {
            "pose_from_mean": own["pose"][None],
            "shape": own["shape"][None],
            "transl_cam": own["trans"][None],
            "mano_valid": np.array([key in self._rows]),
        }


def read_fits(path, wanted):
    """The file of fits -> `Fits` of the annotations ``wanted``. Raises InputError for one that is missing or odd."""
    fits = Fits()
    for key, hands in items(require(path, coco.MEND), coco.MEND):
        number = int(key) if isinstance(key, str) and key.isdigit() else None
        if number is None or not isinstance(hands, dict):
            raise InputError(path, f"{str(key)[:40]!r} is no annotation's number with its hands", coco.MEND)
        for side, name in enumerate(SIDES):
            if number in wanted and hands.get(name) is not None:
                fits.add((number, side), path, hands[name], f"{key}.{name}")
    return fits
