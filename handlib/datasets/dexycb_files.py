"""DexYCB's files: meta.yml of each sequence, calibration/, and the labels of each image."""

import dataclasses
import zipfile
import zlib
from pathlib import Path

import numpy as np
import yaml

from handlib import geometry
from handlib.bodies import files as models
from handlib.bodies import free
from handlib.datasets import dexycb_splits as lists
from handlib.datasets.base import Skip
from handlib.files import InputError, require

OFFICIAL = "unpack DexYCB's archives there, one per subject, and calibration (https://dex-ycb.github.io)"
LABELS = {"joint_3d": (1, 21, 3), "joint_2d": (1, 21, 2), "pose_m": (1, 51), "pose_y": (None, 3, 4)}
NO_HAND = -1
_DAMAGED = (  # whatever numpy and zipfile raise
    OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError,
    NotImplementedError,
)  # fmt: skip
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # as safe_load, in C where PyYAML has it


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
        return {name: _array(path, f"extrinsics.{name}", found[name], 12).reshape(3, 4) for name in names}


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
        raise InputError(path, f"is {sides}", "use the official file: it is a list of 'right' or 'left'", "mano_sides")
    ids = _array(path, "ycb_ids", meta.get("ycb_ids"), (None,))
    if not len(ids) or not np.isin(ids, np.arange(1, len(lists.OBJECTS) + 1)).all():
        raise InputError(path, f"is {meta.get('ycb_ids')}", "use the official file: numbers from 1 to 21", "ycb_ids")
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
    try:
        found = _Loader(require(path, OFFICIAL).read_text(encoding="utf-8")).get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())[:200]
        raise InputError(path, f"is no whole YAML ({problem})", "it was cut or damaged: copy it again") from error
    if not isinstance(found, dict):
        raise InputError(path, "holds no named values", "it was cut or damaged: copy it again")
    return found


def _array(path, name, value, shape):
    """``value`` as finite float64 of ``shape`` (None: any length); InputError naming file and field."""
    shape = (shape,) if isinstance(shape, int) else shape
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    fits = array.ndim == len(shape) and all(size in (None, own) for size, own in zip(shape, array.shape, strict=True))
    if not fits or not np.isfinite(array).all():
        wanted = f"{shape[0] or 'some'} finite numbers" if shape else "a finite number"
        raise InputError(path, f"is not {wanted}", "use the official file, unchanged", name)
    return array


def _whole_number(path, meta, name):
    value = meta.get(name)
    if type(value) is not int or value < 0:
        raise InputError(path, f"is {value}, no whole number from 0", "use the official file, unchanged", name)
    return value


def _plain_name(path, field, value):
    """Part of a folder's name; nothing that leads elsewhere."""
    if not isinstance(value, str) or any(mark in value for mark in "/\\\0"):
        raise InputError(path, f"is {value!r}, no name", "use the official file, unchanged", field)
    return value


def labels(path, key):
    """{"joint_3d" (21, 3), "joint_2d" (21, 2), "pose_m" (51,), "pose_y" (objects, 3, 4)}, float32, of one image.

    Raises Skip when the file is missing, damaged, or an array is absent, of another shape or kind, or not finite.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in LABELS}
    except FileNotFoundError as error:
        raise Skip(key, "annotation is missing", path.name) from error
    except KeyError as error:
        raise Skip(key, "annotation lacks a member", str(error.args[0])[:80]) from error
    except _DAMAGED as error:
        raise Skip(key, "annotation cannot be read", f"{path.name}: {error}"[:200]) from error
    for name, shape in LABELS.items():
        own = found[name]
        fits = own.ndim == len(shape) and all(size in (None, n) for size, n in zip(shape, own.shape, strict=True))
        if not fits or own.dtype.kind != "f":
            raise Skip(key, "annotation has another shape", f"{name}: {own.dtype}{list(own.shape)}")
        if not np.isfinite(own).all():
            raise Skip(key, "annotation is not finite", name)
    one = {name: found[name][0].astype(np.float32) for name in ("joint_3d", "joint_2d", "pose_m")}
    return one | {"pose_y": found["pose_y"].astype(np.float32)}


def require_place(key, bbox, width, height):
    """Skip a hand whose tight box keeps nothing of the picture, as the published training does."""
    if geometry.mano_square(bbox, True, width, height) is None:
        raise Skip(key, "hand has no place in the picture", str(bbox.tolist()))
