"""HO-3D's own files: lists of frames, annotation pickles and the truth of the evaluation split, in the vocabulary.

Checked against the data set's toolkit (github.com/shreyashampali/ho3d: ``vis_HO3D.py``, ``pred.py``, ``eval.py``):
names of folders and files, the lists, names of the annotation's members, frames without annotation, OpenGL axes, the
joints' order, the box's two corners, the one joint of the evaluation split, and ``evaluation_xyz.json`` and
``evaluation_verts.json`` in the order of ``evaluation.txt``. That ``handPose`` holds the mean pose follows from its
``flat_hand_mean=True``. The files themselves are not at hand here: pictures of 640 x 480 are what its ``pred.py`` says.
"""

import dataclasses
import re

import cv2
import numpy as np

from handlib import fields, geometry
from handlib.datasets import json_stream, numbers
from handlib.datasets.base import Skip
from handlib.datasets.pickled import read_sample
from handlib.files import InputError, read_text, require, shown

OFFICIAL = "unpack HO-3D's archive there (https://github.com/shreyashampali/ho3d)"
WIDTH, HEIGHT = 640, 480
ENDINGS = {".png": "v2", ".jpg": "v3"}
OPENGL = np.array([1.0, -1.0, -1.0])  # OpenGL <-> OpenCV: a half turn about x
_TO_HAND21 = fields.reorder(fields.HO3D21, fields.HAND21)
_FRAME = re.compile(r"([\w-]+)/(\d+)", re.ASCII)
_LONGEST = 200  # characters of a line
_CAPTURE = re.compile(r"(.*\d)(\d)")
_OFF = 0.005  # m; the true wrist and the annotated one are the same but for rounding


def folder(root):
    """``root``, or ``root``/data where that holds HO-3D (as HandOccNet's repository has it). InputError for neither."""
    root = require(root, "give the folder that holds train/, evaluation/ and their lists")
    for place in (root, root / "data"):
        if any((place / name).exists() for name in ("train.txt", "evaluation.txt", "train", "evaluation")):
            return place
    raise InputError(root, "holds neither train/ nor evaluation/", f"give the folder that holds them; {OFFICIAL}")


@dataclasses.dataclass(frozen=True)
class Frame:
    """One line of a list: the folder ("train" or "evaluation"), sequence, frame as written, and the line's number."""

    part: str
    sequence: str
    number: str
    line: int

    @property
    def key(self):
        return f"{self.part}/{self.sequence}/{self.number}"

    @property
    def columns(self):
        """Index columns. Names of what a capture's cameras saw at once end in the camera's number: ABF10, ABF11."""
        several = _CAPTURE.fullmatch(self.sequence)
        camera = several[2] if several else "0"
        return {"key": self.key, "sequence": self.sequence, "frame": int(self.number), "camera": camera,
                "image_id": self.line, "hands": "right", "width": WIDTH, "height": HEIGHT}  # fmt: skip


def capture(sequence):
    """The capture that a sequence belongs to: ABF1 for ABF10 to ABF14, which show the same moments; MC1 for MC1."""
    several = _CAPTURE.fullmatch(sequence)
    return several[1] if several else sequence


def frames(root, part):
    """The `Frame`s of ``root``/<part>.txt. InputError for a missing list or another kind of line."""
    path = root / f"{part}.txt"
    lines, found = read_text(path, OFFICIAL).split("\n"), []
    for number, line in enumerate(lines):
        entry = _FRAME.fullmatch(line.strip())
        if entry and len(line) <= _LONGEST:
            found.append(Frame(part, entry[1], entry[2], len(found)))
        elif line.strip():
            problem = f"line {number + 1}, {shown(line.strip())}, is not <sequence>/<frame>"
            raise InputError(path, problem, "use the official list, unchanged")
    if not found:
        raise InputError(path, "is empty", OFFICIAL)
    return found


def endings(root, listed):
    """{sequence: ending of its pictures}, by each one's first listed frame that is there; else as the others'."""
    first = {}
    for frame in listed:
        first.setdefault(frame.sequence, frame)
    found = {sequence: _ending(root, frame) for sequence, frame in first.items()}
    usual = next(filter(None, found.values()), None)
    if usual is None:
        example = root / listed[0].part / listed[0].sequence / "rgb" / f"{listed[0].number}.png"
        raise InputError(example, "is missing, and so is every sequence's first picture (.png or .jpg)", OFFICIAL)
    return {sequence: ending or usual for sequence, ending in found.items()}


def _ending(root, frame):
    pictures = root / frame.part / frame.sequence / "rgb"
    return next((ending for ending in ENDINGS if (pictures / f"{frame.number}{ending}").exists()), None)


def read(root, frame):
    """The annotation of a frame, a dict. Raises Skip when it is missing, cut or no dict; `safe_pickle.Refused` when it
    is not harmless.
    """
    found = read_sample(root / frame.part / frame.sequence / "meta" / f"{frame.number}.pkl", frame.key)
    if not isinstance(found, dict):
        raise Skip(frame.key, "annotation cannot be read", "it is no dictionary")
    return found


def labels(found, frame, truth=None):
    """What an annotation says, in the vocabulary: camera frame, house order, metres. Raises Skip.

    truth: (joints (21, 3), vertices (778, 3)) as `Truth` has them, of an evaluation frame.
    """
    trained = frame.part == "train"
    needed = ("handPose", "handBeta") if trained else ("handBoundingBox",)
    for name in ("camMat", "handJoints3D", *needed):
        if name not in found:
            raise Skip(frame.key, "annotation lacks a member", name)
        if found[name] is None:
            raise Skip(frame.key, "frame has no hand annotation", f"{name} is None")
    sample = {
        "K": numbers.camera(frame.key, "camMat", found["camMat"]),
        "object": _name(found.get("objName"), frame),
        "object_pose": _object_pose(found, frame),
    }
    return sample | (_train(found, frame, sample["K"]) if trained else _evaluation(found, frame, truth))


def _train(found, frame, K):
    joints = in_camera(_array("handJoints3D", found["handJoints3D"], (21, 3), frame))[_TO_HAND21]
    pose = _array("handPose", found["handPose"], (48,), frame)
    pose[:3] = turned(pose[:3])
    shape = _array("handBeta", found["handBeta"], (10,), frame)
    return hand(frame.key, joints, K, shape) | {"pose_flat": pose[None].astype(np.float32)}


def hand(key, joints, K, shape, width=WIDTH, height=HEIGHT):
    """The fields of a wholly annotated right hand but for its pose. Raises Skip as the published reader leaves out."""
    if not (joints[:, 2] > 0).all():
        raise Skip(key, "hand is not in front of the camera", f"nearest joint at {joints[:, 2].min():.3f} m")
    bbox = geometry.tight_box(geometry.project(joints, K, eps=0.0))
    if geometry.mano_square(bbox, True, width, height) is None:
        raise Skip(key, "hand has no place in the picture", str(bbox.tolist()))
    return {**_one(joints, np.ones(21, bool), True), "shape": shape[None], "bbox": bbox, "bbox_tight": np.True_}


def wrist_only(key, wrist, bbox):
    """The fields of an evaluation frame's hand: the wrist (3,) m and an annotated box (4,) are all that is known.
    Raises Skip for a wrist behind the camera and a box without area.
    """
    if wrist[2] <= 0:
        raise Skip(key, "hand is not in front of the camera", f"wrist at {wrist[2]:.3f} m")
    if (bbox[2:] <= 0).any():
        raise Skip(key, "box is empty or not finite", str(bbox.tolist()))
    joints, valid = np.zeros((21, 3)), np.arange(21) == 0
    joints[0] = wrist
    nothing = {"pose_flat": np.zeros((1, 48), np.float32), "shape": np.zeros((1, 10))}
    return {**_one(joints, valid, False), **nothing, "bbox": np.float32(bbox), "bbox_tight": np.False_}


def _one(joints, valid, fitted):
    return {"side": np.zeros(1, np.int8), "hand_type": np.ones(1, bool), "joints_cam": joints[None],
            "joints_valid": valid[None], "mano_valid": np.array([fitted])}  # fmt: skip


def _evaluation(found, frame, truth):
    given = found["handJoints3D"]
    given = given[0] if isinstance(given, np.ndarray) and given.shape == (21, 3) else given
    wrist = in_camera(_array("handJoints3D", given, (3,), frame))
    corners = _array("handBoundingBox", found["handBoundingBox"], (4,), frame)
    sample = wrist_only(frame.key, wrist, np.concatenate([corners[:2], corners[2:] - corners[:2]]))
    if truth is None:
        return sample
    joints, verts = in_camera(truth[0])[_TO_HAND21], in_camera(truth[1])
    off = np.linalg.norm(joints[0] - wrist)
    if off > _OFF:
        problem = f"its wrist of {frame.key} is {1000 * off:.0f} mm off the annotated one"
        raise InputError(Truth.FILES[0], problem, "put the truth of this version there, or take it away")
    every = _one(joints, np.ones(21, bool), False)
    return {**sample, **every, "verts_cam": verts[None].astype(np.float32)}


def in_camera(points):
    """(..., 3) m in OpenGL axes -> the camera frame (OpenCV axes); and back."""
    return np.asarray(points, np.float64) * OPENGL


def turned(rotation):
    """(3,) axis-angle in OpenGL axes -> the same rotation followed by the half turn into the camera frame."""
    return cv2.Rodrigues(np.diag(OPENGL) @ cv2.Rodrigues(np.asarray(rotation, np.float64))[0])[0].ravel()


def _object_pose(found, frame):
    """(4, 4) object to camera; NaN where the frame has none."""
    pose = np.full((4, 4), np.nan, np.float32)
    if found.get("objRot") is not None and found.get("objTrans") is not None:
        pose[:] = np.eye(4)
        pose[:3, :3] = cv2.Rodrigues(turned(_array("objRot", found["objRot"], (3,), frame)))[0]
        pose[:3, 3] = in_camera(_array("objTrans", found["objTrans"], (3,), frame))
    return pose


def _array(name, value, shape, frame):
    """``value`` as finite float64 of that shape; (3, 1) and (1, 3) pass for (3,). Raises Skip."""
    return numbers.member(frame.key, name, value, shape, single=True)


def _name(value, frame):
    """The object's name; a mapping without one has None."""
    if value is not None and not isinstance(value, str):
        raise Skip(frame.key, "annotation has another shape", f"objName: {type(value).__name__}")
    return value or ""


class Truth:
    """``evaluation_xyz.json`` and ``evaluation_verts.json``: joints (N, 21, 3) and vertices (N, 778, 3) float64 and
    float32, OpenGL axes, HO-3D's order, a row per line of evaluation.txt. ``truth[line]`` is a frame's pair.
    """

    FILES = ("evaluation_xyz.json", "evaluation_verts.json")

    def __init__(self, root, count):
        """Raises InputError when a file is cut or damaged, or has not ``count`` entries of its shape."""
        self.joints = _entries(root / self.FILES[0], count, 21, np.float64)
        self.verts = _entries(root / self.FILES[1], count, 778, np.float32)

    @classmethod
    def there(cls, root):
        """Whether both files are in ``root``. InputError for one without the other."""
        present = [(root / name).exists() for name in cls.FILES]
        if any(present) and not all(present):
            missing, other = sorted(cls.FILES, key=lambda name: (root / name).exists())
            raise InputError(root / missing, f"is missing beside {other}", "put both there, or take the other away")
        return all(present)

    def __getitem__(self, line):
        return self.joints[line], self.verts[line]


def _entries(path, count, points, dtype):
    """A list of ``count`` lists of points, read one by one: whole, v3's vertices would fill 8 GB."""
    array, filled = np.empty((count, points, 3), dtype), 0
    for _, entry in json_stream.items(path, OFFICIAL):
        entry = numbers.fitting(entry, (points, 3))
        if entry is None:
            raise InputError(path, f"is not {points} points of 3 finite numbers", OFFICIAL, field=f"[{filled}]")
        if filled < count:
            array[filled] = entry
        filled += 1
    if filled != count:
        problem = f"has {filled} entries, evaluation.txt has {count} lines"
        raise InputError(path, problem, "put the truth of the same version there, or take it away")
    return array
