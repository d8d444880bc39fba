"""HandOccNet's own annotation files of HO-3D, ``HO3D_train_data.json`` and ``HO3D_evaluation_data.json``: read, and
compared with what the released pickles say.

What is read of them and what its values are is in HandOccNet's repository (data/HO3D/HO3D.py and issue 18): metres,
camera frame, the house's order of joints, the fingers' angles as offsets from the mean pose. Samples are in the order
of the annotations. No such file was at hand: the comparison is for those who have one.
"""

import dataclasses

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
_COMPARED = {"train": ("joints_cam", "K", "shape", "pose_from_mean"), "evaluation": ("joints_cam", "K", "bbox")}
_ENOUGH = 200  # frames from which the mean pose is found


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
            labels = files.wrist_only(own["root_joint_cam"], own["bbox"])
            labels["pose_from_mean"] = labels.pop("pose_flat").astype(np.float64)
            return common | labels
        labels = files.hand(frame.key, own["joints_coord_cam"], K, own["mano_param.shape"], width, height)
        return common | labels | {"pose_from_mean": own["mano_param.pose"][None]}


def compare(original, other, bodies=None, show_progress=True):
    """`handlib.datasets.derived.Comparison` of HandOccNet's file and the released annotations: the largest difference
    of each field, and the frame it is of.

    original, other: readers of one split, of source "annotations" and "derived". Compared: joints (evaluation: the
    wrist), intrinsics, shape, pose (the angle between global orientations, or a finger's value where that is more), the
    box of evaluation frames. ``different["order"]`` counts the frames of the file that do not follow the list's order.

    The file's fingers lack MANO's mean pose. bodies: the folder of MANO_RIGHT.pkl, which has it; without one, what most
    frames differ by is taken for it.
    """
    part = original.part
    mean = np.zeros(45) if part == "evaluation" else _mean_pose(bodies) if bodies else _common(original, other)
    found = derived.compare(other, _FromMean(original, mean), _COMPARED[part], ("hands",), show_progress)
    places = {frame.key: place for place, frame in enumerate(original.list)}
    order = [places[frame.key] for frame in other.list if frame.key in places]
    return dataclasses.replace(found, different={**found.different, "order": int((np.diff(order) < 0).sum())})


class _FromMean:
    """A reader's samples with their fingers as offsets from a mean pose (45,)."""

    def __init__(self, reader, mean):
        self._reader, self._mean = reader, mean

    def __len__(self):
        return len(self._reader)

    def __getitem__(self, index):
        sample = self._reader[index]
        pose = sample["pose_flat"].astype(np.float64)
        pose[:, 3:] -= self._mean
        return sample | {"pose_from_mean": pose}


def _mean_pose(folder):
    from handlib import bodies

    return bodies.load(folder, "mano_right").hands_mean.double().numpy()


def _common(original, other):
    """(45,): what the fingers of frames in both differ by, by the median of evenly chosen ones."""
    places = {frame.key: place for place, frame in enumerate(original.list)}
    both = [(places[frame.key], place) for place, frame in enumerate(other.list) if frame.key in places]
    chosen = [both[place] for place in np.unique(np.linspace(0, len(both) - 1, _ENOUGH).astype(int))] if both else []
    pairs = [(original[mine]["pose_flat"], other[its]["pose_from_mean"]) for mine, its in chosen]
    if not pairs:
        raise InputError(other.root, "has no frame in common with the list", "compare files of one version")
    return np.median([(mine - its)[0, 3:] for mine, its in pairs], 0)
