"""FreiHAND (Zimmermann et al., ICCV 2019), version 2: one right hand in a picture of 224 x 224.

``root`` is the folder that holds ``training/`` and ``evaluation/`` and, beside them, the annotation lists:
``<split>_K.json``, ``_xyz.json``, ``_mano.json``, ``_verts.json``. For years the evaluation's truth was kept on a
server; the later release has its lists too, and both are read.

Conventions, as the official toolkit uses its files: metres, camera frame (x right, y down, z forward), joints in the
house's own order with the tips on MANO's vertices 744, 320, 443, 555, 672. A row of ``_mano`` is 61 numbers: 48 angles,
10 shape coefficients, and the pixel and scale that put joint 9 into the weak-perspective camera. The angles are
axis-angle, not principal components, and the toolkit poses the hand with the mean pose added: they are offsets from it.
``evaluation_scale.json`` (metres from joint 9 to joint 10, which the benchmark gives to a method) is not needed here.
"""

import functools
import math
from pathlib import Path

import numpy as np

from handlib import geometry
from handlib.datasets import freihand_derived, json_stream, numbers
from handlib.datasets.base import Reader, Skip, fits_of
from handlib.datasets.windows import Window
from handlib.files import InputError, require, require_choice, require_known

SPLITS = ("training", "evaluation")
SIZE = 224
BACKGROUNDS = ("gs", "hom", "sample", "auto")  # green screen; three ways of painting another background
OFFICIAL = "put the official FreiHAND_pub_v2 (and, for the evaluation's truth, FreiHAND_pub_v2_eval) there"
_BLOCK = 256  # entries that stand in memory as Python numbers
_SHAPES = {"K": (3, 3), "xyz": (21, 3), "mano": (61,), "verts": (778, 3)}


def splits(root, source="official"):
    """The splits that are in ``root``: "training", "evaluation". InputError for none."""
    found = [split for split in SPLITS if (Path(root) / f"{split}_K.json").exists()]
    if source == "derived":
        homes = (Path(root) / "data", Path(root))
        found = [split for split, part in freihand_derived.PARTS.items()
                 if any((home / f"freihand_{part}_coco.json").exists() for home in homes)]  # fmt: skip
        if not found:
            raise InputError(root, "holds no data/freihand_train_coco.json", freihand_derived.MEND)
    if not found:
        raise InputError(root, "holds neither training_K.json nor evaluation_K.json", OFFICIAL)
    return found


def variant(backgrounds="all", source="official", boxes="own"):
    """What tells packs of one split apart, as a name."""
    words = [backgrounds, source, boxes]
    return "_".join(word for word in words if word not in ("all", "official", "own"))


def reader(root, split, backgrounds="all", source="official", boxes="own"):
    """`FreiHand`; or, with source "derived", `freihand_derived.FreiHandDerived`: Pose2Pose's own annotation files."""
    require_choice("source", source, ("official", "derived"))
    if source == "official":
        return FreiHand(root, split, backgrounds, boxes)
    require_known([split], SPLITS, "FreiHAND", "split")
    require_choice("backgrounds", backgrounds, ("all",))  # the files list what they list
    require_choice("boxes", boxes, ("own", "rootnet"))  # of the evaluation they are RootNet's in any case
    return freihand_derived.FreiHandDerived(root, split)


class FreiHand(Reader):
    """Samples of one right hand each (H = 1).

    split: "training" (32,560 hands, each with four backgrounds: pictures n, n + 32,560, …) or "evaluation" (3,960).
    backgrounds: which of the training pictures, "gs" (green screen), "hom", "sample", "auto" (painted over), or "all".

    boxes: "own", as said below; or "rootnet", of the evaluation: those of RootNet's output for it
    (`freihand_derived.ROOTNET`), with which Pose2Pose is tested, as they are.

    Without the evaluation's lists its joints are not valid and stand at zero, its MANO parameters neither, and the box
    is the picture's middle, of which a crop 1.5 times as large shows the whole picture: the pictures are crops
    themselves. Otherwise the box is that of the 21 projected joints. Vertices are there where their list is; it is read
    when the first sample is asked for (1.5 GB of text in training, 300 MB as numbers).

    Raises InputError for a missing, cut or odd list, for lists of different lengths and an unknown option. Iterating
    skips, and counts in ``skipped``, samples with numbers of another shape or not finite, and hands behind the camera.
    """

    name = "freihand"

    def __init__(self, root, split, backgrounds="all", boxes="own"):
        super().__init__()
        self.root, self.split = require(root, OFFICIAL), split
        require_known([split], SPLITS, "FreiHAND", "split")
        require_known([backgrounds], ("all", *BACKGROUNDS), "FreiHAND", "choice of backgrounds")
        require_choice("boxes", boxes, ("own", "rootnet"))
        self.options = {"backgrounds": backgrounds} if split == "training" else {}
        self.lists = {kind: self._path(kind) for kind in _SHAPES if kind == "K" or self._path(kind).exists()}
        self.sources = {path.name: path for path in self.lists.values()}
        absent = [kind for kind in _SHAPES if kind not in self.lists]
        if split == "training" and {"xyz", "mano"} & set(absent):
            require(self._path("xyz"), OFFICIAL)
            require(self._path("mano"), OFFICIAL)
        self.notes += [f"{split}_{kind}.json is absent" for kind in absent]
        self.truth, self.boxes = "xyz" in self.lists, None
        if boxes == "rootnet" and split == "evaluation":
            path = freihand_derived.rootnet_file(self.root)
            self.boxes = freihand_derived.read_boxes(path, range(self.count))
            self.sources[path.name], self.options["boxes"] = path, boxes
        self.backgrounds = self._backgrounds(backgrounds)
        self.complete = Window("whole", 1.0).filled
        self.facts = {
            "version": "2",
            "units": "metres, radians, pixels",
            "joint_order": "hand21 (wrist, thumb .. little, base to tip)",
            "fits_of": fits_of(self.root),
            "truth": "given" if self.truth else "kept on the server",
        }

    def _path(self, kind):
        return self.root / f"{self.split}_{kind}.json"

    def _backgrounds(self, chosen):
        """[(name, number of the pictures' series)]"""
        if self.split == "evaluation":
            return [("", 0)]
        return [(name, place) for place, name in enumerate(BACKGROUNDS) if chosen in ("all", name)]

    @functools.cached_property
    def count(self):
        """Annotated hands."""
        return len(self._rows("K"))

    def _rows(self, kind):
        rows = _rows(self.lists[kind], kind, require(self.lists[kind], OFFICIAL).stat().st_mtime_ns)
        if kind != "K" and len(rows) != self.count:
            raise InputError(
                self.lists[kind], f"has {len(rows)} entries, {self.lists['K'].name} has {self.count}", OFFICIAL
            )
        return rows

    def __len__(self):
        return self.count * len(self.backgrounds)

    def __getitem__(self, index):
        series, hand = divmod(range(len(self))[index], self.count)
        background, place = self.backgrounds[series]
        number = hand + place * self.count
        sample = {
            "key": f"{self.split}/{number:08d}",
            "image_path": str(self.root / self.split / "rgb" / f"{number:08d}.jpg"),
            "hands": "right",
            "image_id": number,
            "frame": hand,
            "background": background,
            "width": SIZE,
            "height": SIZE,
            "side": np.zeros(1, np.int8),
            "hand_type": np.ones(1, bool),
            **self._hand(hand, f"{self.split}/{number:08d}"),
        }
        if "verts" in self.lists:
            sample["verts_cam"] = self._finite("verts", hand, sample["key"])[None].astype(np.float32)
        return sample

    def _hand(self, hand, key):
        """Joints, parameters, camera and box."""
        joints, mano = np.zeros((21, 3)), np.zeros(61)
        K = numbers.camera(key, f"{self.split}_K.json, entry {hand}", self._finite("K", hand, key))
        bbox = np.array([SIZE / 6, SIZE / 6, SIZE / 1.5, SIZE / 1.5], np.float32)
        if self.truth:
            joints = self._finite("xyz", hand, key)
            if not (joints[:, 2] > 0).all():
                raise Skip(key, "hand is not in front of the camera", f"nearest joint at {joints[:, 2].min():.3f} m")
            bbox = geometry.tight_box(geometry.project_homogeneous(joints, K))
        tight = self.truth and self.boxes is None
        if self.boxes is not None:
            bbox = self.boxes[hand]
        if "mano" in self.lists:
            mano = self._finite("mano", hand, key)
        return {
            "joints_cam": joints[None],
            "joints_valid": np.full((1, 21), self.truth),
            "pose_from_mean": mano[None, :48],
            "shape": mano[None, 48:58],
            "mano_valid": np.array(["mano" in self.lists]),
            "K": K,
            "bbox": bbox,
            "bbox_tight": np.array(tight),
            "bbox_final": np.bool_(self.boxes is not None),
            "joints_of_fit": np.bool_(True),
            "is_3d": np.bool_(True),
        }

    def _finite(self, kind, hand, key):
        row = self._rows(kind)[hand]
        if not np.isfinite(row).all():
            raise Skip(key, "annotation is not finite, or of another shape", f"{self.split}_{kind}.json, entry {hand}")
        return np.asarray(row, np.float64)


@functools.lru_cache(maxsize=8)
def _rows(path, kind, changed):
    """A list's entries as one array (N, *shape), float32 for vertices, else float64; NaN where an entry is odd.

    Read once for all readers of a process, unless the file has ``changed`` since.
    """
    shape, dtype = _SHAPES[kind], np.float32 if kind == "verts" else np.float64
    blocks, block = [np.empty((0, *shape), dtype)], []
    for name, item in json_stream.items(require(path, OFFICIAL), OFFICIAL):
        if name is not None:
            raise InputError(path, "holds named members, not one list of entries", OFFICIAL)
        block.append(_numbers(item, shape))
        if len(block) == _BLOCK:
            blocks.append(np.array(block, dtype))
            block = []
    return np.concatenate([*blocks, np.array(block, dtype).reshape(-1, *shape)])


def _numbers(item, shape):
    """One entry, which may lie in a list of its own, as the rows of _mano.json do; NaN for one of another shape."""
    row = numbers.array(item, math.prod(shape))
    return row.reshape(shape) if row is not None and row.shape in (shape, (1, *shape)) else np.full(shape, np.nan)
