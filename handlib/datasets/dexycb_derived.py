"""DexYCB from the annotation files that HandOccNet's published code needs, DEX_YCB_s0_{train,test}_data.json.

They lie in ``annotations/`` below the folder of the subjects (the published code: data/DEX_YCB/data/annotations/), and
exist for setup s0 alone. Which joints, poses and frames they hold is known from their author's words only: PCA
coefficients turned into axis-angle by the file of the hand's own side, frames without a hand left out.
"""

import re

import numpy as np

from handlib import geometry
from handlib.datasets import derived
from handlib.datasets import dexycb_files as files
from handlib.datasets.base import Reader
from handlib.files import InputError, require

SETUP = "s0"
_MEND = (
    "get it from the page of HandOccNet's code, or leave out source='derived': the original release needs no such file"
)
_NUMBERS = {"joints_coord_cam": (21, 3), "joints_img": (21, 2), "cam_param.focal": (2,), "cam_param.princpt": (2,),
            "mano_param.pose": (48,), "mano_param.shape": (10,)}  # fmt: skip
_SIDES = ("right", "left")
_PICTURE = re.compile(r"(\d{8}-subject-(\d+)/[^/]+)/([^/]+)/color_(\d+)\.\w+")


def path_of(root, split):
    """Where a split's file lies below the folder of the subjects."""
    return root / "annotations" / f"DEX_YCB_{SETUP}_{split}_data.json"


def splits(root, setup):
    """The splits of which there is a derived file. InputError for none, and for another setup than s0."""
    _require_s0(setup)
    found = [split for split in ("train", "val", "test") if path_of(root, split).exists()]
    if not found:
        raise InputError(root / "annotations", f"holds no DEX_YCB_{SETUP}_…_data.json", _MEND)
    return found


def _require_s0(setup):
    if setup != SETUP:
        raise InputError("setup", f"there are no derived files of '{setup}'", "use setup='s0' with source='derived'")


class Derived(Reader):
    """Samples as of `handlib.datasets.dexycb.DexYCB`, in the file's order, without objects and cameras' places.

    root: the folder of the subjects; file: where the file is, if not in its usual place. ``image_id`` is the file's own
    number, which is not the toolkit's index. ``bbox`` is the tight box of the annotated ``joints_img``;
    ``pose_from_mean`` as annotated: no body model is needed. In training, hands that have no place in the picture are
    skipped. Raises InputError for a file that is missing, cut or not as published, naming the annotation.
    """

    name = "dexycb"

    def __init__(self, root, split, setup, window, file=None):
        super().__init__()
        _require_s0(setup)
        path = require(file or path_of(root, split), _MEND)
        self.split, self.root = split, root
        self.table = derived.read(path, _NUMBERS, {"hand_type": _SIDES})
        self._pictures = [_named(path, name) for name in self.table.file_names]
        self.complete = window.filled
        self.sources[f"annotations/{path.name}"] = path
        self.options = {"setup": setup, "source": "derived", "pixels": window.pixels}
        self.facts = {
            "version": "derived annotations of HandOccNet",
            "units": "metres, radians, pixels",
            "joint_order": "hand21 (wrist, thumb .. little, base to tip)",
            "fits_of": "MANO",
            "setup": setup,
            "official_ids": False,
        }

    def __len__(self):
        return len(self.table)

    def light(self, index):
        """The whole of a sample's annotation: it is in memory. Raises Skip."""
        sample = self.annotation(index)
        if self.split == "train":
            files.require_place(sample["key"], sample["bbox"], sample["width"], sample["height"])
        return sample

    def annotation(self, index):
        """The same of any sample."""
        sequence, subject, serial, frame = self._pictures[index]
        table = self.table
        own = {name: values[index] for name, values in table.numbers.items()}
        side = _SIDES.index(table.words["hand_type"][index])
        width, height = table.sizes[index].tolist()
        yes = np.ones((1, 21), bool)
        return {
            "key": f"{sequence}/{serial}/{frame:06d}",
            "image_path": str(self.root / table.file_names[index]),
            "hands": _SIDES[side],
            "sequence": sequence,
            "frame": frame,
            "camera": serial,
            "group": f"{sequence}/{frame:06d}",
            "subject": subject,
            "image_id": int(table.image_ids[index]),
            "width": width,
            "height": height,
            "side": np.array([side], np.int8),
            "hand_type": yes[:, 0],
            "joints_cam": own["joints_coord_cam"][None],
            "joints_valid": yes,
            "K": geometry.intrinsics(own["cam_param.focal"], own["cam_param.princpt"]),
            "joints_img": own["joints_img"][None].astype(np.float32),
            "bbox": geometry.tight_box(own["joints_img"]),
            "bbox_tight": np.bool_(True),
            "pose_from_mean": own["mano_param.pose"][None],
            "shape": own["mano_param.shape"][None],
            "mano_valid": yes[:, 0],
        }

    def __getitem__(self, index):
        return self.light(index)


def _named(path, name):
    """A picture's path -> (sequence, subject, serial, frame)."""
    found = _PICTURE.fullmatch(name)
    if not found:
        problem = f"'{name[:120]}' is not <subject>/<sequence>/<serial>/color_<frame>"
        raise InputError(path, problem, derived.MEND, "file_name")
    return found[1], int(found[2]), found[3], int(found[4])
