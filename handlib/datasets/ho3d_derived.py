"""HandOccNet's own annotation files of HO-3D, ``HO3D_train_data.json`` and ``HO3D_evaluation_data.json``.

What is read of them and what its values are is in HandOccNet's repository (data/HO3D/HO3D.py and issue 18): metres,
camera frame, the house's order of joints, the fingers' angles as offsets from the mean pose. Samples are in the order
of the annotations. No such file was at hand: `ho3d_check.compare_with_derived` is for those who have one.
"""

import numpy as np

from handlib import geometry
from handlib.datasets import derived
from handlib.datasets import ho3d_files as files
from handlib.files import InputError, require

MEND = "use HandOccNet's file, unchanged; or leave out source='derived', which needs none"
_CAMERA = {"cam_param.focal": (2,), "cam_param.princpt": (2,)}
_NUMBERS = {
    "train": {"joints_coord_cam": (21, 3), "mano_param.pose": (48,), "mano_param.shape": (10,), **_CAMERA},
    "evaluation": {"root_joint_cam": (3,), "bbox": (4,), **_CAMERA},
}


def path_of(root, part):
    """``<part>``'s file, below root/annotations, root/data/annotations or ``root`` itself; the usual place for none."""
    name = f"HO3D_{part}_data.json"
    places = [root / "annotations" / name, root / "data" / "annotations" / name, root / name]
    return next((place for place in places if place.exists()), places[0])


class Derived:
    """The annotations of one file: ``frames`` (`ho3d_files.Frame`; ``line`` is the place in the file) and
    ``sample(line)``.

    Raises InputError, naming the annotation, when the file is missing, cut, or an entry lacks a member or has another
    shape.
    """

    def __init__(self, path, part):
        self.table, self.part = derived.read(require(path, MEND), _NUMBERS[part]), part
        self.frames = [self._frame(line, name) for line, name in enumerate(self.table.file_names)]

    def _frame(self, line, name):
        parts = name.split("/")
        number = parts[-1].split(".")[0]
        if len(parts) != 3 or not number.isdigit():
            raise InputError(self.table.path, f"{name!r} is not <sequence>/rgb/<frame>.<ending>", MEND, "images")
        return files.Frame(self.part, parts[0], number, line)

    def sample(self, line):
        """An annotation in the vocabulary, without its picture. Raises Skip."""
        frame, own = self.frames[line], {name: rows[line] for name, rows in self.table.numbers.items()}
        width, height = self.table.sizes[line].tolist()
        K = geometry.intrinsics(own["cam_param.focal"], own["cam_param.princpt"])
        number = int(self.table.image_ids[line])
        common = {**frame.columns, "K": K, "width": width, "height": height, "image_id": number}
        if self.part == "evaluation":
            labels = files.wrist_only(frame.key, own["root_joint_cam"], own["bbox"])
            labels["pose_from_mean"] = labels.pop("pose_flat").astype(np.float64)
            return common | labels
        labels = files.hand(frame.key, own["joints_coord_cam"], K, own["mano_param.shape"], width, height)
        return common | labels | {"pose_from_mean": own["mano_param.pose"][None]}
