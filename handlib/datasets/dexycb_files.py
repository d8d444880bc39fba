"""DexYCB's files: meta.yml of each sequence, calibration/, and the labels of each image."""

import dataclasses
from pathlib import Path

import numpy as np
import yaml

from handlib import geometry, npz
from handlib.bodies import files as models
from handlib.bodies import free
from handlib.datasets import dexycb_splits as lists
from handlib.datasets import numbers
from handlib.datasets.base import Skip
from handlib.datasets.coco import is_name
from handlib.files import InputError, read_text, require, shown

OFFICIAL = "unpack DexYCB's archives there, one per subject, and calibration (https://dex-ycb.github.io)"
LABELS = {"joint_3d": (1, 21, 3), "joint_2d": (1, 21, 2), "pose_m": (1, 51), "pose_y": (None, 3, 4)}
NO_HAND = -1
_LARGEST = 1 << 20  # bytes of an image's labels that are read
_DEEPEST, _LONGEST = 1000, 1 << 20  # lists in a YAML file, and its characters


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """As safe_load, in C where PyYAML has it; mappings are not merged, which a few lines can make endless."""

    def flatten_mapping(self, node):
        pass


@dataclasses.dataclass(frozen=True)
class Sequence:
    """One sequence. ``name``: "<subject's folder>/<its own>"; ``subject`` from 1; ``place`` among the subject's 100;
    ``frames``: how many; ``side`` 0 right, 1 left; ``shape`` (10,) float64, MANO's; ``objects``: their names, in the
    labels' order, and which of them is ``grasped``; ``extrinsics``: {serial: (3, 4) camera to world}.
    """

    name: str
    subject: int
    place: int
    frames: int
    side: int
    shape: np.ndarray
    objects: tuple
    grasped: int
    extrinsics: dict


def root_folder(root):
    """``root``, or the ``data`` folder in it that the published code has. InputError where neither holds a subject."""
    root = require(root, "give the folder that holds 20200709-subject-01/ and calibration/")
    for folder in (root, root / "data"):
        if (folder / "calibration").is_dir() or any((folder / name).is_dir() for name in lists.SUBJECTS):
            return folder
    raise InputError(root, "holds no calibration/ and none of DexYCB's subjects", OFFICIAL)


class Calibration:
    """calibration/: every file is read once. Errors are InputErrors that name the file and the field."""

    def __init__(self, root):
        self._folder, self._read = Path(root) / "calibration", {}

    def intrinsics(self, serial):
        """K (3, 3) float64 of a camera, for pictures of 640 x 480."""
        path = self._folder / "intrinsics" / f"{serial}_640x480.yml"
        color = read_yaml(path).get("color")
        if not isinstance(color, dict):
            raise InputError(path, "is missing or has no members", OFFICIAL, "color")
        fx, fy, cx, cy = (float(_array(path, f"color.{name}", color.get(name), ()))
                          for name in ("fx", "fy", "ppx", "ppy"))  # fmt: skip
        if not numbers.is_focal((fx, fy)):
            raise InputError(path, f"is {fx}, {fy}: no focal lengths", OFFICIAL, "color.fx")
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])

    def extrinsics(self, name):
        """{serial: (3, 4) float64, x_world = [R t] x_camera}; the world is the master camera's."""
        return self._once(f"extrinsics_{name}/extrinsics.yml", self._transforms)

    def shape(self, name):
        """A hand's shape coefficients (10,) float64."""
        return self._once(f"mano_{name}/mano.yml", lambda path: _array(path, "betas", read_yaml(path).get("betas"), 10))

    def _once(self, place, read):
        if place not in self._read:
            self._read[place] = read(self._folder / place)
        return self._read[place]

    @staticmethod
    def _transforms(path):
        found = read_yaml(path).get("extrinsics")
        if not isinstance(found, dict):
            raise InputError(path, "is missing or has no members", OFFICIAL, "extrinsics")
        names = [serial for serial in lists.SERIALS if serial in found]
        read = {name: _array(path, f"extrinsics.{name}", found[name], 12).reshape(3, 4) for name in names}
        for name, transform in read.items():
            if not numbers.is_rotation(transform[:, :3]):
                raise InputError(path, "holds no rotation", OFFICIAL, f"extrinsics.{name}")
        return read


def sequences(root, subject, calibration, wanted):
    """The `Sequence`s of a subject (numbered from 0) whose places are ``wanted``, in order; [] without a folder.

    Raises InputError where there are not 100, unless each meta.yml says its ``place`` (demo data), and for a damaged
    meta.yml.
    """
    folder = root / lists.SUBJECTS[subject]
    if not folder.is_dir():
        return []
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    whole = len(names) == lists.SEQUENCES
    found = []
    for place, name in enumerate(names):
        if whole and place not in wanted:
            continue
        path = folder / name / "meta.yml"
        meta = read_yaml(path)
        if not whole:
            if "place" not in meta:
                problem = f"holds {len(names)} sequences, not {lists.SEQUENCES}: which split each is in cannot be told"
                raise InputError(folder, problem, f"{OFFICIAL}; a subject is all there or left out")
            place = _whole_number(path, meta, "place")
        if place in wanted:
            found.append(_sequence(path, meta, subject, place, calibration))
    return sorted(found, key=lambda sequence: sequence.place)


def _sequence(path, meta, subject, place, calibration):
    sides = meta.get("mano_sides")
    if not isinstance(sides, list) or sides[:1] not in (["right"], ["left"]):
        raise InputError(
            path, f"is {shown(sides)}", "use the official file: it is a list of 'right' or 'left'", "mano_sides"
        )
    ids = _array(path, "ycb_ids", meta.get("ycb_ids"), (None,))
    if not len(ids) or not np.isin(ids, np.arange(1, len(lists.OBJECTS) + 1)).all():
        raise InputError(
            path, f"is {shown(meta.get('ycb_ids'))}", "use the official file: numbers from 1 to 21", "ycb_ids"
        )
    grasped = _whole_number(path, meta, "ycb_grasp_ind")
    if grasped >= len(ids):
        raise InputError(path, f"is {grasped} of {len(ids)} objects", "use the official file", "ycb_grasp_ind")
    calib = meta.get("mano_calib")
    if not isinstance(calib, list) or not calib:
        raise InputError(path, "is no list", "use the official file", "mano_calib")
    return Sequence(
        name="/".join(path.parts[-3:-1]),
        subject=subject + 1,
        place=place,
        frames=_whole_number(path, meta, "num_frames"),
        side=int(sides[0] == "left"),
        shape=calibration.shape(_plain_name(path, "mano_calib", calib[0])),
        objects=tuple(lists.OBJECTS[int(number) - 1] for number in ids),
        grasped=grasped,
        extrinsics=calibration.extrinsics(_plain_name(path, "extrinsics", meta.get("extrinsics"))),
    )


def components(bodies, side):
    """(path, (45, 45) float64 PCA basis, a component per row) of MANO's file of one side, "right" or "left".

    bodies: the folder that holds it. Raises InputError when it is not there, is no MANO file, or is the free hand's.
    """
    mend = "give the folder of MANO_RIGHT.pkl and MANO_LEFT.pkl (https://mano.is.tue.mpg.de), or leave 'bodies' out"
    if str(bodies) == "free":
        raise InputError("bodies", "the poses are MANO's, not of the free hand", mend, "bodies")
    path = models.find(require(bodies, mend), f"MANO_{side.upper()}.pkl", mend)
    model = models.read(path, "mano")
    if free.MARK in model.extra:
        raise InputError(path, "is the free hand, and the poses are MANO's", mend)
    return path, model.need("hands_components", (45, 45))


def read_yaml(path):
    """A YAML file's mapping; nothing in it is run. Raises InputError when it is missing, damaged or no mapping."""
    text = read_text(path, OFFICIAL)
    if _depth(text) > _DEEPEST or len(text) > _LONGEST:
        raise InputError(path, "is larger, or nested deeper, than any of DexYCB's", "copy it again")
    try:
        found = _Loader(text).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())[:200]
        raise InputError(path, f"is no whole YAML ({problem})", "it was cut or damaged: copy it again") from error
    if not isinstance(found, dict):
        raise InputError(path, "holds no named values", "it was cut or damaged: copy it again")
    return found


def _depth(text):
    """More than lists and mappings can be nested in a YAML text, whose reader in C knows no bound and has a stack."""
    dashes = max((line.count("- ") + line.count("? ") for line in text.splitlines()), default=0)
    return text.count("[") + text.count("{") + dashes


def _array(path, name, value, shape):
    """``value`` as finite float64 of ``shape`` (None: any length); InputError naming file and field."""
    shape = (shape,) if isinstance(shape, int) else shape
    array = numbers.fitting(value, shape)
    if array is None:
        wanted = f"{shape[0] or 'some'} finite numbers" if shape else "a finite number"
        raise InputError(path, f"is not {wanted}", "use the official file, unchanged", name)
    return array


def _whole_number(path, meta, name):
    value = meta.get(name)
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise InputError(path, f"is {shown(value)}, no whole number from 0", "use the official file, unchanged", name)
    return value


def _plain_name(path, field, value):
    """Part of a folder's name; nothing that leads elsewhere."""
    if not isinstance(value, str) or any(mark in value for mark in "/\\") or not is_name(value):
        raise InputError(path, f"is {shown(value)}, no name", "use the official file, unchanged", field)
    return value


def labels(path, key):
    """{"joint_3d" (21, 3), "joint_2d" (21, 2), "pose_m" (51,), "pose_y" (objects, 3, 4)}, float32, of one image.

    Raises Skip when the file is missing, damaged, or an array is absent, of another shape or kind, or not finite.
    """
    if not path.is_file():
        raise Skip(key, "annotation is missing", path.name)
    try:
        found = npz.read(path, OFFICIAL, LABELS, most=_LARGEST)
    except InputError as error:
        raise Skip(key, "annotation cannot be read", f"{path.name}: {error.problem}"[:200]) from error
    for name, shape in LABELS.items():
        if name not in found:
            raise Skip(key, "annotation lacks a member", name)
        own = found[name]
        fits = own.ndim == len(shape) and all(size in (None, n) for size, n in zip(shape, own.shape, strict=True))
        if not fits or own.dtype.kind != "f":
            raise Skip(key, "annotation has another shape", f"{name}: {own.dtype}{list(own.shape)}")
        if not np.isfinite(own).all():
            raise Skip(key, "annotation is not finite", name)
        if (np.abs(own) > numbers.LARGEST).any():
            raise Skip(key, "annotation is beyond any measure", name)
    one = {name: found[name][0].astype(np.float32) for name in ("joint_3d", "joint_2d", "pose_m")}
    return one | {"pose_y": found["pose_y"].astype(np.float32)}


def require_place(key, bbox, width, height):
    """Skip a hand whose tight box keeps nothing of the picture, as the published training does."""
    if geometry.mano_square(bbox, True, width, height) is None:
        raise Skip(key, "hand has no place in the picture", str(bbox.tolist()))
