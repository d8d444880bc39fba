"""What a Predictor says about one picture: its hands, or its persons."""

import dataclasses
import json
from pathlib import PurePath
from typing import ClassVar

import numpy as np

from handlib import npz
from handlib.bodies import posing
from handlib.files import InputError, require, shown, write_atomic
from handlib.geometry import project
from handlib.predict.subjects import HAND, PERSON, SIDES

MODELS = ("smplx", "smpl")  # of persons
DOUBTFUL, LEAST = 0.1, 0.2  # of the box's longer side
PART_BOXES = ("lhand_bbox", "rhand_bbox", "face_bbox")
_BODY = 25  # of the joints seen in the picture, a person's without hands
_MEND = "remove it and run again"


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """N hands or persons of a picture; camera frame (x right, y down, z forward), metres; pixels of the picture as
    shown. What both have; see `HandPrediction` and `PersonPrediction` for the rest.

    name; size (w, h); K (3, 3) float64 and K_source, where it comes from in words; boxes (N, 4) x, y, w, h; joints_cam
    (N, J, 3) and verts_cam (N, V, 3), at their places in space; joints_img (N, I, 2) as the network saw them in the
    picture; pose_from_mean (N, 3 S) axis-angle of the S joints that turn, hands as offsets from the mean pose; shape
    (N, 10) and transl (N, 3); reprojection_px (N,): mean distance between joints_img and these joints in space seen by
    K; score (N,) of the detector, NaN where there was none; skipped: (number of the box, why) for each that was left
    out.
    """

    subject: ClassVar = None
    SHAPES: ClassVar = {
        "K": (3, 3), "boxes": ("N", 4), "joints_cam": ("N", "J", 3), "verts_cam": ("N", "V", 3),
        "joints_img": ("N", "I", 2), "pose_from_mean": ("N", "P"), "shape": ("N", 10), "transl": ("N", 3),
        "reprojection_px": ("N",), "score": ("N",),
    }  # fmt: skip
    KINDS: ClassVar = {}  # of arrays that are no floating point numbers
    WORDS: ClassVar = ("name", "K_source")
    MOVED: ClassVar = ("joints_cam", "verts_cam", "pose_from_mean", "shape", "transl", "reprojection_px")

    name: str
    size: tuple
    K: np.ndarray
    K_source: str
    boxes: np.ndarray
    joints_cam: np.ndarray
    verts_cam: np.ndarray
    joints_img: np.ndarray
    pose_from_mean: np.ndarray
    shape: np.ndarray
    transl: np.ndarray
    reprojection_px: np.ndarray
    score: np.ndarray
    skipped: tuple = ()

    def __len__(self):
        return len(self.boxes)

    @property
    def labels(self):
        """N words: "right" or "left", "person"; `Predictor.layers` has a layer for each."""
        return list(self.subject.labels) * len(self)

    def faces_of(self, number):
        """(F, 3) corners of a mesh, counter-clockwise seen from outside."""
        raise NotImplementedError

    @property
    def doubtful(self):
        """(N,) bool: joints in space and in the picture disagree by more than a tenth of the box, or the joints fill
        less than a fifth of it: as where a box holds nobody, is far too large, the other side of a hand was said, or
        the network is not trained enough.
        """
        box = self.boxes[:, 2:].max(1, initial=0)
        spread = np.ptp(self.joints_img, axis=1).max(1, initial=0) if len(self) else box
        return (self.reprojection_px > DOUBTFUL * box) | (spread < LEAST * box)

    def only(self, chosen):
        """The given ones only (a slice, a mask or places)."""
        rows = {name: getattr(self, name)[chosen] for name, shape in self.SHAPES.items() if shape[0] == "N"}
        return dataclasses.replace(self, **rows)

    def save(self, path):
        """Write one .npz, whole or not at all."""
        facts = {name: getattr(self, name) for name in self.WORDS}
        facts |= {"subject": self.subject.noun, "size": list(self.size), "skipped": self.skipped}
        with write_atomic(path) as temporary, open(temporary, "wb") as file:
            arrays = {name: getattr(self, name) for name in self.SHAPES}
            small = {name: value.astype(np.uint16) for name, value in arrays.items() if name.endswith("_faces")}
            np.savez(file, facts=np.array(json.dumps(facts)), **arrays | small)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote, hands or persons. InputError when it is missing, damaged or another kind of file."""
        file = npz.read(require(path, "write it with Prediction.save"), _MEND)
        try:
            facts = json.loads(str(file["facts"]))
            kind = BY_SUBJECT[facts.get("subject", HAND.noun)]
            arrays = {name: file[name] for name in kind.SHAPES}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(path, f"holds no prediction ({error!r})"[:300], _MEND) from error
        return kind.checked(facts, arrays, path, _MEND)

    @classmethod
    def checked(cls, facts, arrays, path, mend):
        """One from what a file holds: words, size and what was skipped, and arrays. InputError naming what is wrong.

        A name that leads out of the folder that results are written to is refused.
        """
        try:
            words = {name: str(facts[name]) for name in cls.WORDS}
            width, height = (int(length) for length in facts["size"])
            skipped = tuple((int(number), str(why)) for number, why in facts["skipped"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(path, f"holds no prediction ({error!r})"[:300], mend) from error
        name = PurePath(words["name"])
        if name.is_absolute() or ".." in name.parts or "\0" in words["name"] or not name.name:
            raise InputError(path, f"{shown(words['name'])} is no picture's name", mend, field="name")
        if min(width, height) < 1:
            raise InputError(path, f"is {width} x {height}", mend, field="size")
        if words.get("model", "smplx") not in MODELS:
            raise InputError(path, f"is {shown(words['model'])}", mend, field="model")
        cls.check(arrays, path, mend)
        arrays = {name: array.astype(cls.KINDS.get(name, array.dtype)) for name, array in arrays.items()}
        return cls(**words, **arrays, size=(width, height), skipped=skipped)

    @classmethod
    def check(cls, arrays, path, mend):
        """InputError naming the first array without its shape in ``SHAPES``, where each letter is one length, or that
        holds what it cannot: text, NaN where a mesh stands, a side or a corner that is none.
        """
        lengths = {"N": len(arrays["boxes"]) if arrays["boxes"].ndim else 0}
        for name, shape in cls.SHAPES.items():
            got = arrays[name].shape
            wanted = tuple(lengths.get(want, want) for want in shape)
            fits = len(got) == len(wanted) and all(
                isinstance(want, str) or want == there for want, there in zip(wanted, got, strict=True)
            )
            if not fits:
                problem = f"has shape {got}, not {shape} of {cls.subject.counted(lengths['N'])}"
                raise InputError(path, problem, mend, field=name)
            lengths |= {want: there for want, there in zip(shape, got, strict=True) if isinstance(want, str)}
            if problem := cls._wrong(name, arrays[name], lengths):
                raise InputError(path, problem, mend, field=name)

    @classmethod
    def _wrong(cls, name, array, lengths):
        """What is wrong with the values of an array; None where nothing is."""
        if array.dtype.kind not in ("iu" if name in cls.KINDS else "fiu"):
            return f"holds {array.dtype}"
        if name in ("K", *cls.MOVED) and name != "reprojection_px" and not np.isfinite(array).all():
            return "holds NaN or infinity"
        largest = {"side": len(SIDES), "right_faces": lengths.get("V"), "mesh_faces": lengths.get("V")}.get(name)
        if largest and array.size and not 0 <= array.min() <= array.max() < largest:
            return f"holds numbers outside 0..{largest - 1}"
        return None

    @classmethod
    def none(cls, name, size, K, K_source, lengths, skipped=(), **constants):
        """A picture without any; lengths: those of the letters in ``SHAPES``; constants: what does not depend on N."""
        lengths = lengths | {"N": 0}
        arrays = {
            key: np.zeros([lengths.get(want, want) for want in shape], cls.KINDS.get(key, np.float32))
            for key, shape in cls.SHAPES.items() if shape[0] == "N"
        }  # fmt: skip
        facts = {"name": name, "size": size, "K": K, "K_source": K_source, "skipped": tuple(skipped)}
        return cls(**facts, **arrays, **constants)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class HandPrediction(Prediction):
    """Hands: what `Prediction` says, and side (N,) int8, 0 right, 1 left; right_faces (1538, 3), see `faces`.

    joints_cam and joints_img have 21 joints (fields.HAND21), verts_cam MANO's 778 vertices; pose_from_mean is (N, 48),
    with ``verts_cam = layer(pose, shape) + transl`` of the hand's own side (``Predictor.layers``).
    """

    subject: ClassVar = HAND
    SHAPES: ClassVar = Prediction.SHAPES | {
        "side": ("N",), "joints_cam": ("N", 21, 3), "joints_img": ("N", 21, 2), "pose_from_mean": ("N", 48),
        "right_faces": ("F", 3),
    }  # fmt: skip
    KINDS: ClassVar = {"side": np.int8, "right_faces": np.int64}

    side: np.ndarray
    right_faces: np.ndarray

    @property
    def labels(self):
        return [SIDES[int(side)] for side in self.side]

    def faces(self, side):
        """(1538, 3) corners, counter-clockwise seen from outside; side: "right", "left", 0 or 1."""
        left = side == "left" or (not isinstance(side, str) and int(side) == 1)
        return self.right_faces[:, [1, 0, 2]] if left else self.right_faces

    def faces_of(self, number):
        return self.faces(self.side[number])

    @property
    def seen_rows(self):
        """Rows of joints_cam that joints_img are."""
        return posing.seen_rows("mano")

    def placing(self, joints_cam, joints_img, K):
        """The rows of joints, and their pixels (…, 2), that say where a hand of another size stands."""
        return self.seen_rows, joints_img


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PersonPrediction(Prediction):
    """Persons: what `Prediction` says, and of SMPL-X

    skeleton_cam (N, 55, 3), the joints that turn (body_joints.SMPLX55); expression (N, 10); lhand_bbox, rhand_bbox,
    face_bbox (N, 4): x, y, w, h of what the network cut out, NaN where it does not; mesh_faces (20908, 3); model:
    "smplx". joints_cam are 137 (body_joints.SMPLX137), joints_img 65 (SMPLX65), verts_cam 10475; pose_from_mean
    (N, 165) is in the order of the skeleton, and `parameters` takes it apart, with
    ``verts_cam = layer(**parameters, mean_added=False) + transl`` (``Predictor.layers["person"]``).

    Of a network that ends in SMPL ("smpl"): 45 joints (SMPL45), 25 in the picture (SMPL25), 24 that turn (SMPL24),
    6890 vertices, pose (N, 72), no expression (N, 0).

    The network sees a person through a virtual camera of very long focal length about the box. ``transl`` is the place
    at which the body's 25 points, seen by K, are nearest to where that camera sees them; the pose is the network's own.
    ``reprojection_px`` compares with the joints that the network found in its heat volumes, which is another answer of
    it.
    """

    subject: ClassVar = PERSON
    SHAPES: ClassVar = Prediction.SHAPES | {
        "skeleton_cam": ("N", "S", 3), "expression": ("N", "E"), "lhand_bbox": ("N", 4), "rhand_bbox": ("N", 4),
        "face_bbox": ("N", 4), "mesh_faces": ("F", 3),
    }  # fmt: skip
    KINDS: ClassVar = {"mesh_faces": np.int64}
    WORDS: ClassVar = (*Prediction.WORDS, "model")
    MOVED: ClassVar = (*Prediction.MOVED, "skeleton_cam", "expression")

    model: str
    skeleton_cam: np.ndarray
    expression: np.ndarray
    lhand_bbox: np.ndarray
    rhand_bbox: np.ndarray
    face_bbox: np.ndarray
    mesh_faces: np.ndarray

    def faces_of(self, number):
        return self.mesh_faces

    @property
    def parameters(self):
        """{root_pose (N, 3), body_pose (N, 63), jaw_pose, leye_pose, reye_pose, lhand_pose (N, 45), …, shape,
        expression}, as the layer takes them; of SMPL root_pose, body_pose (N, 69) and shape.
        """
        made = posing.named(self.model, self.pose_from_mean) | {"shape": self.shape}
        return made | ({"expression": self.expression} if self.expression.shape[1] else {})

    @property
    def seen_rows(self):
        """Rows of joints_cam that joints_img are."""
        return posing.seen_rows(self.model)

    def placing(self, joints_cam, joints_img, K):
        """The rows of joints, and their pixels (…, 2), that say where a person of another size stands: the body's,
        where they were seen.
        """
        rows = self.seen_rows[:_BODY]
        return rows, project(joints_cam[..., rows, :], K)


BY_SUBJECT = {kind.subject.noun: kind for kind in (HandPrediction, PersonPrediction)}
