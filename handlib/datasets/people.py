"""What the readers of whole bodies share: samples of one person, SMPL-X fits, boxes of hands and face."""

import array

import cv2
import numpy as np

from handlib import body_joints, geometry, pictures
from handlib.datasets import coco
from handlib.datasets.base import Reader, Skip, check_picture, read_bytes
from handlib.datasets.json_stream import items
from handlib.files import InputError, require, shown

# Parts of a fit as its file names them -> how many numbers.
PARTS = {"root_pose": 3, "body_pose": 63, "jaw_pose": 3, "lhand_pose": 45, "rhand_pose": 45, "shape": 10, "expr": 10,
         "trans": 3}  # fmt: skip
CAMERA = {"focal": 2, "princpt": 2}
_OPTIONAL = ("jaw_pose", "lhand_pose", "rhand_pose", "expr")
_FLAGS = ("lhand_valid", "rhand_valid", "face_valid")
_UNSAID = -1.0
_SIZES = [*PARTS.values(), *CAMERA.values(), *(1 for _ in _FLAGS)]
_NAMES = [*PARTS, *CAMERA, *_FLAGS]
_ENDS = np.cumsum(_SIZES)
_HANDS = {"lhand": slice(25, 40), "rhand": slice(40, 55)}  # joints of SMPLX55
_BODY, _JAW = slice(0, 22), 22
# What fits to body joints alone do not know: MPII, Human3.6M and MPI-INF-3DHP leave it out.
BODY_ONLY = {
    "poses": ("L_Ankle", "R_Ankle", "L_Wrist", "R_Wrist"),
    "joints": ("L_Big_toe", "L_Small_toe", "L_Heel", "R_Big_toe", "R_Small_toe", "R_Heel"),
}
FACTS = {"units": "metres, radians, pixels", "joint_order": "smplx137", "fits_of": "SMPL-X"}


class People(Reader):
    """Samples of one person each, listed in ``people``: whatever ``sample`` makes one of.

    A person that is listed but cannot be used stands in ``people`` as a `Skip`.
    """

    def __init__(self, name, split):
        super().__init__()
        self.name, self.split, self.people = name, split, []
        self.complete = complete
        self.facts = dict(FACTS)

    def __len__(self):
        return len(self.people)

    def __getitem__(self, index):
        person = self.people[index]
        if isinstance(person, Skip):
            raise person
        return self.sample(*person)

    def sample(self, *person):
        """One entry of ``people`` as a sample. Raises Skip."""
        raise NotImplementedError


def complete(sample):
    """The sample with its picture's file and the data set's own vertices, where it names some. Raises Skip."""
    return packed(sample, read_bytes(sample))


def packed(sample, data):
    """The sample with a picture's file: as it is, or a PNG, which is slow to decode, as planes of the same pixels."""
    image = check_picture(sample, data)
    return {**sample, "image": pictures.encode_planes(image) if pictures.is_png(data) else data}


def start(key, image_path, picture, image_id, person):
    """What every sample begins with. picture: something with ``width`` and ``height``."""
    return {
        "key": key,
        "image_path": str(image_path),
        "image_id": image_id,
        "person": person,
        "width": picture.width,
        "height": picture.height,
    }


def boxed(key, box, whole, picture):
    """The fields of a person's box. Raises Skip where it keeps nothing of the picture (`geometry.inside_box`)."""
    if geometry.inside_box(box, picture.width, picture.height) is None:
        raise Skip(key, "box is empty or outside the picture", f"{box.tolist()} in {picture.width} x {picture.height}")
    return {"bbox": np.asarray(box, np.float32), "bbox_whole": np.bool_(whole), "bbox_final": np.bool_(False)}


def home(root, marker, mend):
    """``root``, or the folder ``data`` in it, whichever holds ``marker``, as Path. InputError for neither."""
    root = require(root, mend)
    found = next((folder for folder in (root / "data", root) if (folder / marker).exists()), None)
    return found or require(root / "data" / marker, mend).parent


def virtual_camera(box, picture, final=False, spec=geometry.PersonInput(), pixels=(192, 256)):  # noqa: B008 (frozen)
    """K (3, 3) that Hand4Whole, OSX and Pose2Pose assume where none is known: focal length 5000 px of ``pixels`` that
    show the box as the network sees it, looking at its middle. final: the box is what the network sees.
    """
    seen = box if final else geometry.person_box(box, picture.width, picture.height, spec)
    x, y, w, h = seen.astype(np.float64)
    return geometry.intrinsics((5000 / pixels[0] * w, 5000 / pixels[1] * h), (x + w / 2, y + h / 2))


def joints(joint_set, pixels, valid, camera=None):
    """Annotated joints of a set -> the fields in SMPLX137; camera: (J, 3) m, None where they are in 2D alone."""
    three = np.zeros((len(joint_set), 3)) if camera is None else camera
    both = np.concatenate([pixels, three], 1).astype(np.float32)
    moved, known = body_joints.by_name(both, np.asarray(valid, bool), joint_set, body_joints.SMPLX137)
    return {
        "person_joints_img": moved[:, :2],
        "person_joints_cam": moved[:, 2:],
        "person_joints_valid": known,
        "is_3d": np.bool_(camera is not None),
        "joints_of_fit": np.bool_(False),
    }


def no_joints():
    """The same where a data set has none."""
    return joints(body_joints.SMPLX137, np.zeros((137, 2)), np.zeros(137, bool))


def part_boxes(left=None, right=None, face=None):
    """Boxes (x, y, w, h) of hands and face, None where there is none; one without area counts as none."""
    boxes = {"lhand_bbox": left, "rhand_bbox": right, "face_bbox": face}
    valid = [box is not None and box[2] > 0 and box[3] > 0 for box in boxes.values()]
    none = (0, 0, 1, 1)  # as published
    kept = {
        name: np.array(box if yes else none, np.float32) for (name, box), yes in zip(boxes.items(), valid, strict=True)
    }
    return kept | {"part_bbox_valid": np.array(valid)}


class Fits:
    """SMPL-X fits by key, in few bytes each: as NeuralAnnot (Moon et al., 2022) writes them, and like ones.

    Parameters: ``root_pose`` 3, ``body_pose`` 63, ``shape`` 10, ``trans`` 3, and where they are known ``lhand_pose``
    and ``rhand_pose`` 45 (from the mean hand), ``jaw_pose`` 3, ``expr`` 10, ``lhand_valid``, ``rhand_valid``,
    ``face_valid``.
    """

    def __init__(self):
        self._rows, self._numbers = {}, array.array("f")

    def __contains__(self, key):
        return key in self._rows

    def __len__(self):
        return len(self._rows)

    def add(self, key, path, parameters, camera, where):
        """Take one in; ``camera``: its focal and princpt, or None. Raises InputError naming the member."""
        row = []
        for name, size in PARTS.items():
            absent = name in _OPTIONAL and (not isinstance(parameters, dict) or parameters.get(name) is None)
            row.extend(np.full(size, np.nan) if absent else coco.numbers(path, parameters, name, (size,), where))
        for name, size in CAMERA.items():
            row.extend(np.full(size, np.nan) if camera is None else coco.numbers(path, camera, name, (size,), where))
        row.extend(_flag(path, parameters, name, where) for name in _FLAGS)
        place = self._rows.setdefault(key, len(self._rows))
        self._numbers[place * len(row) : (place + 1) * len(row)] = array.array("f", row)

    def fields(self, key, said=(True, True, True), turn=None, shift=None, without=None):
        """The fields of a sample; all of them, not valid, for a key that has no fit.

        said: whether left hand, right hand and face are to be seen, for a fit that does not say itself; turn (3, 3),
        shift (3,) m: of a fit in a world's frame, x_camera = turn @ x_world + shift; without: `BODY_ONLY` or None.
        """
        found = self._get(key) if key in self._rows else None
        if found is None:
            return no_fit()
        flags = [
            bool(yes) if found[name] == _UNSAID else bool(found[name]) for name, yes in zip(_FLAGS, said, strict=True)
        ]
        there = {part: np.isfinite(found[f"{part}_pose"]).all() for part in _HANDS}
        face = flags[2] and np.isfinite(found["jaw_pose"]).all() and np.isfinite(found["expr"]).all()
        valid = np.array([True, flags[0] and there["lhand"], flags[1] and there["rhand"], face])
        pose = np.zeros((55, 3), np.float32)
        pose[0], pose[1:22] = found["root_pose"], found["body_pose"].reshape(21, 3)
        for (part, rows), yes in zip(_HANDS.items(), valid[1:3], strict=True):
            if yes:
                pose[rows] = found[f"{part}_pose"].reshape(15, 3)
        if face:
            pose[_JAW] = found["jaw_pose"]
        transl, world = found["trans"], np.eye(3)
        if turn is not None:
            world = np.asarray(turn, np.float64)
            pose[0] = turned(pose[0], world)
            transl = world @ transl + shift
        return fit_fields(pose, found["shape"], found["expr"] if face else np.zeros(10), transl, valid, world, without)

    def camera(self, key):
        """K (3, 3) of a fit that has one of its own, else None."""
        found = self._get(key) if key in self._rows else None
        if found is None or not np.isfinite(found["focal"]).all():
            return None
        return geometry.intrinsics(found["focal"].astype(np.float64), found["princpt"].astype(np.float64))

    def _get(self, key):
        place, width = self._rows[key], int(_ENDS[-1])
        row = np.frombuffer(self._numbers, np.float32, width, place * width * 4).copy()
        parts = dict(zip(_NAMES, np.split(row, _ENDS[:-1]), strict=True))
        return parts | {name: float(parts[name][0]) for name in _FLAGS}


def _flag(path, parameters, name, where):
    """Whether a part of a fit counts, 0 or 1; `_UNSAID` where it does not say."""
    value = parameters.get(name, _UNSAID)
    if value not in (0, 1, _UNSAID):
        raise InputError(path, f"is {shown(value)}", "true or false", f"{where}.{name}")
    return float(value)


def turned(rotvec, turn):
    """Axis-angle (3,) after a rotation (3, 3), float32, as the published code does it."""
    matrix = np.asarray(turn, np.float32) @ cv2.Rodrigues(np.asarray(rotvec, np.float32))[0]
    return cv2.Rodrigues(matrix)[0][:, 0].astype(np.float32)


def fit_fields(pose, shape, expr, transl, valid, world=None, without=None):
    """A fit as fields. pose (55, 3); valid (4,) of body, left hand, right hand, face; without: as `Fits.fields`."""
    body, left, right, face = (bool(one) for one in valid)
    poses, points = np.zeros(55, bool), np.zeros(137, bool)
    poses[_BODY], poses[_JAW] = body, face
    parts = {"body": body, "lhand": left, "rhand": right, "face": face}
    for part, yes in parts.items():
        points[body_joints.PARTS137[part]] = yes
        if part in _HANDS:
            poses[_HANDS[part]] = yes
    if without is not None:
        poses[[body_joints.SMPLX55.joints.index(name) for name in without["poses"]]] = False
        points[[body_joints.SMPLX137.joints.index(name) for name in without["joints"]]] = False
    return {
        "smplx_pose": np.asarray(pose, np.float32),
        "smplx_shape": np.asarray(shape, np.float32),
        "smplx_expr": np.asarray(expr, np.float32),
        "smplx_transl": np.asarray(transl, np.float32),
        "smplx_world": np.eye(3) if world is None else np.asarray(world, np.float64),
        "smplx_valid": np.array([body, left, right, face]),
        "smplx_pose_valid": poses,
        "smplx_joints_valid": points,
    }


def no_fit():
    """The fields of a person without a fit."""
    return fit_fields(np.zeros((55, 3)), np.zeros(10), np.zeros(10), np.zeros(3), np.zeros(4, bool))


def read_fits(path, wanted=None):
    """A file {key: {smplx_param, cam_param}} -> `Fits`, by the key as a whole number.

    wanted: keys to keep, None for all. Raises InputError for a file that is missing, cut or odd.
    """
    fits = Fits()
    for key, item in items(path, coco.MEND):
        number = int(key) if isinstance(key, str) and key.isdigit() else None
        if number is None or not isinstance(item, dict):
            raise InputError(path, f"{str(key)[:40]!r} is no annotation's number with its fit", coco.MEND)
        if wanted is None or number in wanted:
            fits.add(number, path, item.get("smplx_param"), item.get("cam_param"), key)
    return fits
