"""FreiHAND as Pose2Pose and I2L-MeshNet (Moon et al.) take it: their own annotation files, made of the release's.

``data/`` (or the folder itself) holds ``freihand_{train,eval}_coco.json`` (COCO's layout; a picture has ``db_idx``),
``freihand_{train,eval}_data.json`` ({db_idx: {"cam_param": {"focal", "princpt"}, "mano_param": {"pose" 48, "shape" 10,
"trans" 3}, "joint_3d" 21 x 3}}, of the evaluation the camera alone) and the pictures; the evaluation's boxes are in
``rootnet_output/bbox_root_freihand_output.json``, [{"image_id", "bbox", "root_cam"}], and are final: they are neither
brought inside the picture nor enlarged. None of it is needed to read the release: `freihand.FreiHand`.
"""

import numpy as np

from handlib import geometry
from handlib.datasets import coco, people
from handlib.datasets.base import Reader, Skip, fits_of
from handlib.datasets.json_stream import items
from handlib.datasets.rows import Rows
from handlib.datasets.windows import Window
from handlib.files import InputError, require

PARTS = {"training": "train", "evaluation": "eval"}
ROOTNET = "rootnet_output/bbox_root_freihand_output.json"
MEND = "use the file of Pose2Pose's page, unchanged; or leave out source='derived', which needs none"
_CAMERA = {"focal": (2,), "princpt": (2,)}
_FIT = {"pose": (48,), "shape": (10,), "trans": (3,)}


class FreiHandDerived(Reader):
    """Samples of one right hand each (H = 1), in the annotations' order; ``image_id`` is the release's number (db_idx).

    split: "training" or "evaluation". Of the evaluation nothing is known but the camera and RootNet's box.

    Raises InputError for a missing, cut or odd file, naming the entry. Skipped and counted in iterating: boxes that
    keep nothing of the picture, hands behind the camera.
    """

    name = "freihand"

    def __init__(self, root, split):
        super().__init__()
        self.split, part = split, PARTS[split]
        name = f"freihand_{part}_coco.json"
        self.folder = people.home(root, name, MEND)
        paths = [self.folder / name, self.folder / f"freihand_{part}_data.json"]
        self.pictures, self.rows = coco.read(paths[0], self._box(paths[0]), mend=MEND)
        self.rows = list(self.rows.values())
        self.numbers = {image: coco.whole(paths[0], self.pictures[image].members, "db_idx", f"images, id {image}")
                        for image, _ in self.rows}  # fmt: skip
        self.data = read_data(paths[1], set(self.numbers.values()), split == "training")
        self.boxes = None
        if split == "evaluation":
            paths.append(rootnet_file(root))
            self.boxes = read_boxes(paths[-1], {image for image, _ in self.rows})
        self.sources = {path.name: path for path in paths}
        self.complete = Window("whole", 1.0).filled
        self.options = {"source": "derived"}
        self.facts = {
            "version": "2",
            "units": "metres, radians, pixels",
            "joint_order": "hand21 (wrist, thumb .. little, base to tip)",
            "fits_of": fits_of(root),
            "truth": "given" if split == "training" else "kept on the server",
        }

    @staticmethod
    def _box(path):
        return lambda item, where, place: coco.box(path, item, "bbox", where)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        image, (box, whole) = self.rows[index]
        picture, number = self.pictures[image], self.numbers[image]
        key = f"{self.split}/{number:08d}"
        sample = people.start(key, self.folder / picture.name, picture, number, 0)
        del sample["person"]
        if self.boxes is None:
            sample |= people.boxed(key, box, whole, picture)
        else:
            sample |= {"bbox": self.boxes[image], "bbox_whole": np.bool_(False), "bbox_final": np.bool_(True)}
        own = self.data[number]
        sample |= {
            "hands": "right",
            "side": np.zeros(1, np.int8),
            "hand_type": np.ones(1, bool),
            "is_3d": np.bool_(True),
            "joints_of_fit": np.bool_(True),
            "bbox_tight": np.bool_(False),
            "K": geometry.intrinsics(own["focal"], own["princpt"]),
        }
        known = "pose" in own
        joints = own.get("joint_3d", np.zeros((21, 3)))
        if known and not (joints[:, 2] > 0).all():
            raise Skip(key, "hand is not in front of the camera", f"nearest joint at {joints[:, 2].min():.3f} m")
        fit = own if known else {name: np.zeros(shape) for name, shape in _FIT.items()}
        return sample | {
            "joints_cam": joints[None],
            "joints_valid": np.full((1, 21), known),
            "pose_from_mean": fit["pose"][None],
            "shape": fit["shape"][None],
            "transl_cam": fit["trans"][None],
            "mano_valid": np.array([known]),
        }


def read_data(path, wanted, fits):
    """A ``…_data.json`` -> `rows.Rows` by each ``db_idx`` in ``wanted``; fits: with ``mano_param`` and ``joint_3d``
    (m), else the camera alone. Raises InputError naming the entry.
    """
    found = Rows(_CAMERA | (_FIT | {"joint_3d": (21, 3)} if fits else {}), "d")
    for key, item in items(path, MEND):
        if isinstance(key, str) and key.isdigit() and int(key) in wanted:
            item = item if isinstance(item, dict) else {}
            members = {"joint_3d": (item, key)}
            for member, names in (("cam_param", _CAMERA), ("mano_param", _FIT)):
                members |= {name: (item.get(member), f"{key}.{member}") for name in names}
            found.add(int(key), path, members)
    lacking = found.missing(wanted)
    if lacking:
        raise InputError(path, "is missing", MEND, str(min(lacking)))
    return found


def rootnet_file(root):
    """RootNet's file of the evaluation below ``root``, or ``root``'s ``data``. InputError where there is none."""
    return people.home(root, ROOTNET, MEND) / ROOTNET


def read_boxes(path, wanted):
    """RootNet's boxes, {image_id: (4,) float32 px}; InputError where one of ``wanted`` is missing or odd."""
    boxes = {}
    for name, item in items(require(path, MEND), MEND):
        if name is not None:
            raise InputError(path, "holds named members, not one list of entries", MEND)
        where = f"entry {len(boxes)}"
        number = coco.whole(path, item, "image_id", where)
        boxes[number] = coco.numbers(path, item, "bbox", (4,), where).astype(np.float32)
        if (boxes[number][2:] <= 0).any():
            raise InputError(path, f"is {boxes[number].tolist()}: it has no area", MEND, f"image_id {number}.bbox")
    lacking = set(wanted) - set(boxes)
    if lacking:
        raise InputError(path, f"has no box of picture {min(lacking)}", MEND, "image_id")
    return boxes
