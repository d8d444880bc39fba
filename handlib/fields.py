"""The vocabulary: every named array with its shape, unit and frame; the joint sets and the maps between them.

Frames. ``camera``: x right, y down, z forward (OpenCV). ``world``: the data set's own. ``image``: pixels, (0, 0) is the
centre of the top-left pixel. ``crop``: pixels of the network's input.
H is the number of hands of a sample; a two-hand data set has H = 2, the right hand first. A sample of a whole body is
of one person; the joint sets of whole bodies are in `handlib.body_joints`.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Field:
    """One named array. ``kind``: "array" (memory-mapped in a pack), "image" (encoded bytes) or "index" (a column)."""

    name: str
    kind: str
    dtype: str
    shape: tuple
    unit: str
    frame: str
    meaning: str


def _field(name, kind, dtype, shape, unit, frame, meaning):
    return name, Field(name, kind, dtype, shape, unit, frame, meaning)


SAMPLE = dict(
    [
        _field("key", "index", "str", (), "", "", "unique name of the sample in its data set"),
        _field("hands", "index", "str", (), "", "", "'right', 'left' or 'interacting'"),
        _field("capture", "index", "int64", (), "", "", "capture session"),
        _field("camera", "index", "str", (), "", "", "camera of the capture"),
        _field("frame", "index", "int64", (), "", "", "frame number in its sequence"),
        _field("sequence", "index", "str", (), "", "", "sequence name"),
        _field("subject", "index", "int64", (), "", "", "person"),
        _field("image_id", "index", "int64", (), "", "", "the data set's own number of the picture"),
        _field("width", "index", "int64", (), "px", "image", "picture width"),
        _field("height", "index", "int64", (), "px", "image", "picture height"),
        _field("image", "image", "uint8", ("h", "w", 3), "", "image", "picture, RGB"),
        _field("part_mask", "image", "uint8", ("h", "w"), "", "image", "0 background, 1..16 right, 17..32 left hand"),
        _field("part_mask_valid", "array", "bool", (), "", "", "there is a part mask for exactly the hands in view"),
        _field("side", "array", "int8", ("H",), "", "", "0 right hand, 1 left hand"),
        _field("hand_type", "array", "bool", ("H",), "", "", "which of the hands are there"),
        _field("hand_type_valid", "array", "bool", (), "", "", "whether hand_type is trusted"),
        _field("bbox", "array", "float32", (4,), "px", "image", "annotated box x, y, width, height"),
        _field("bbox_tight", "array", "bool", (), "", "", "`bbox` is the tight box of the 21 projected joints"),
        _field("bbox_est", "array", "float32", (4,), "px", "image", "box of a detector or RootNet; NaN if absent"),
        _field("joints_cam", "array", "float64", ("H", 21, 3), "m", "camera", "joints, HAND21"),
        _field("joints_img", "array", "float32", ("H", 21, 2), "px", "image", "joints in the picture, where annotated"),
        _field("joints_valid", "array", "bool", ("H", 21), "", "", "joint annotated in this picture"),
        _field("joints3d_valid", "array", "bool", ("H", 21), "", "", "joint known in 3D, seen by this camera or not"),
        _field("root_depth_est", "array", "float64", ("H",), "m", "camera", "estimated wrist depth; NaN if absent"),
        _field("K", "array", "float64", (3, 3), "px", "image", "pinhole intrinsics"),
        _field("cam_rot", "array", "float64", (3, 3), "", "world to camera", "x_cam = cam_rot @ (x_world - cam_pos)"),
        _field("cam_pos", "array", "float64", (3,), "m", "world", "camera centre"),
        _field(
            "pose_from_mean", "array", "float64", ("H", 48), "rad", "world (InterHand2.6M), else camera",
            "axis-angle: global orientation, then 15 MANO joints as offsets from the mean pose",
        ),
        _field("shape", "array", "float64", ("H", 10), "", "", "MANO shape coefficients"),
        _field("transl_world", "array", "float64", ("H", 3), "m", "world", "MANO translation"),
        _field("transl_cam", "array", "float64", ("H", 3), "m", "camera", "MANO translation, where not `transl_world`"),
        _field("mano_valid", "array", "bool", ("H",), "", "", "there is a MANO fit of this hand"),
        _field("verts_cam", "array", "float32", ("H", 778, 3), "m", "camera", "MANO vertices"),
        _field(
            "pose_flat", "array", "float32", ("H", 48), "rad", "camera",
            "axis-angle: global orientation, then 15 MANO joints from the flat hand (no mean to be added)",
        ),
        _field("object_pose", "array", "float32", (4, 4), "m", "object to camera", "rigid pose of the object in hand"),
        _field("window", "array", "int32", (4,), "px", "image", "x, y, width, height of the part that `image` shows"),
        _field(
            "reach", "array", "float32", (), "px", "image",
            "`image` is whole within this radius of the box's centre and black beyond it; inf where it is all whole",
        ),
        _field("group", "index", "str", (), "", "", "the moment and hand that several views share"),
        _field("view", "index", "int64", (), "", "", "number of the view in its group"),
        _field("hand_number", "index", "int64", (), "", "", "which of the annotated hands of the picture, from 0"),
        _field("object", "index", "str", (), "", "", "the object in hand"),
        _field("intent", "index", "str", (), "", "", "what the hand does with the object"),
        _field("background", "index", "str", (), "", "", "how the picture's background was made"),
        _field("status", "index", "str", (), "", "", "the data set's own remark on the sequence, as JSON"),
        # Whole bodies, one person per sample
        _field("person", "index", "int64", (), "", "", "the data set's own number of the person (annotation or box)"),
        _field("gender", "index", "str", (), "", "", "'neutral', 'male' or 'female': the body model of the fit"),
        _field("scene", "index", "str", (), "", "", "kind of scene"),
        _field("picture", "index", "str", (), "", "", "file name of the picture that `image` was cut from"),
        _field(
            "picture_affine", "array", "float64", (2, 3), "px", "image",
            "pixels of that picture -> pixels of `image`; the identity where `image` is the whole of it",
        ),
        _field(
            "bbox_final", "array", "bool", (), "", "",
            "`bbox` is what the network sees: it is neither brought inside the picture nor enlarged",
        ),
        _field(
            "bbox_whole", "array", "bool", (), "", "",
            "`bbox` is annotated in whole numbers: published code then cuts the enlarged box to whole pixels",
        ),
        _field("person_joints_img", "array", "float32", (137, 2), "px", "image", "annotated joints, SMPLX137"),
        _field("person_joints_cam", "array", "float32", (137, 3), "m", "camera", "the same in 3D; 0 where 2D only"),
        _field("person_joints_valid", "array", "bool", (137,), "", "", "joint annotated, SMPLX137"),
        _field("joints_of_fit", "array", "bool", (), "", "", "the person's, or hand's, joints are those of the fit"),
        _field("is_3d", "array", "bool", (), "", "", "person_joints_cam, or joints_cam of a hand, is known"),
        _field(
            "smplx_pose", "array", "float32", (55, 3), "rad", "camera",
            "axis-angle of SMPL-X's joints (SMPLX55); of hands as offsets from the mean hand",
        ),
        _field("smplx_shape", "array", "float32", (10,), "", "", "SMPL-X shape coefficients"),
        _field("smplx_expr", "array", "float32", (10,), "", "", "SMPL-X expression coefficients"),
        _field(
            "smplx_transl", "array", "float32", (3,), "m", "camera",
            "SMPL-X translation; `smplx_world` says what is to be added to it",
        ),
        _field(
            "smplx_world", "array", "float64", (3, 3), "", "world to camera",
            "rotation of the frame that the fit was made in; with the unposed pelvis p in the model's own frame, "
            "(smplx_world - 1) @ p is to be added to smplx_transl; the identity where the fit is the camera's",
        ),
        _field("smplx_valid", "array", "bool", (4,), "", "", "there is a fit of body, left hand, right hand, face"),
        _field("smplx_joints_valid", "array", "bool", (137,), "", "", "joint of the fit is to be learned, SMPLX137"),
        _field("smplx_pose_valid", "array", "bool", (55,), "", "", "rotation of the fit is to be learned, SMPLX55"),
        _field("smplx_verts", "array", "float32", ("V", 3), "m", "camera", "SMPL-X vertices of the data set itself"),
        _field("smpl_pose", "array", "float32", (24, 3), "rad", "camera", "axis-angle of SMPL's joints (SMPL24)"),
        _field("smpl_shape", "array", "float32", (10,), "", "", "SMPL shape coefficients"),
        _field("smpl_transl", "array", "float32", (3,), "m", "camera", "SMPL translation"),
        _field(
            "smpl_world", "array", "float64", (3, 3), "", "world to camera",
            "as smplx_world, of the SMPL fit; its pelvis is the one regressed from the posed mesh",
        ),
        _field("smpl_valid", "array", "bool", (), "", "", "there is a fit of SMPL"),
        _field("lhand_bbox", "array", "float32", (4,), "px", "image", "box of the left hand, x, y, width, height"),
        _field("rhand_bbox", "array", "float32", (4,), "px", "image", "box of the right hand"),
        _field("face_bbox", "array", "float32", (4,), "px", "image", "box of the face"),
        _field("part_bbox_valid", "array", "bool", (3,), "", "", "there is a box of left hand, right hand, face"),
    ]
)  # fmt: skip


MAY_LACK = ("bbox_est", "root_depth_est", "object_pose", "reach")  # NaN or inf in these says that there is none

FINGERS = ("thumb", "index", "middle", "ring", "little")


@dataclasses.dataclass(frozen=True)
class JointSet:
    """An ordered set of named joints; ``parents[i]`` is the index of joint i's parent, -1 for a root."""

    name: str
    joints: tuple
    parents: tuple

    def __len__(self):
        return len(self.joints)

    @property
    def bones(self):
        """(child, parent) index pairs."""
        return [(child, parent) for child, parent in enumerate(self.parents) if parent >= 0]


def _hand21():
    joints, parents = ["wrist"], [-1]
    for finger in FINGERS:
        for part in (1, 2, 3, 4):  # 1 is the base, 4 the tip
            parents.append(0 if part == 1 else len(joints) - 1)
            joints.append(f"{finger}{part}")
    return JointSet("hand21", tuple(joints), tuple(parents))


def _mano16():
    joints, parents = ["wrist"], [-1]
    for finger in ("index", "middle", "little", "ring", "thumb"):
        for part in (1, 2, 3):
            parents.append(0 if part == 1 else len(joints) - 1)
            joints.append(f"{finger}{part}")
    return JointSet("mano16", tuple(joints), tuple(parents))


def _ho3d21():
    """MANO's 16, then the finger tips from thumb to little finger."""
    tips = tuple(f"{finger}4" for finger in FINGERS)
    parents = tuple(_mano16().joints.index(f"{finger}3") for finger in FINGERS)
    return JointSet("ho3d21", _mano16().joints + tips, _mano16().parents + parents)


def _interhand42():
    joints, parents = [], []
    for hand in "rl":
        start = len(joints)
        for finger in FINGERS:
            for part in (4, 3, 2, 1):  # from tip to base
                parents.append(start + 20 if part == 1 else len(joints) + 1)
                joints.append(f"{hand}_{finger}{part}")
        joints.append(f"{hand}_wrist")
        parents.append(-1)
    return JointSet("interhand42", tuple(joints), tuple(parents))


HAND21 = _hand21()
MANO16 = _mano16()
HO3D21 = _ho3d21()
FREIHAND21 = DEXYCB21 = HAND21
INTERHAND42 = _interhand42()
JOINT_SETS = {joint_set.name: joint_set for joint_set in (HAND21, MANO16, HO3D21, INTERHAND42)}


def interhand_names():
    """The 42 names as skeleton.txt and the official evaluators write them ('pinky' for the little finger)."""
    return [name.replace("little", "pinky") for name in INTERHAND42.joints]


def reorder(source, target):
    """Indices i with ``target_joints = source_joints[..., i, :]``.

    Raises KeyError naming the joints of ``target`` that ``source`` lacks (MANO16 has no finger tips, for example).
    """
    missing = [joint for joint in target.joints if joint not in source.joints]
    if missing:
        raise KeyError(f"joint set {source.name} lacks {', '.join(missing)} of {target.name}")
    return np.array([source.joints.index(joint) for joint in target.joints])


_TWO_HANDS = JointSet("two_hands", tuple(f"{hand}_{joint}" for hand in "rl" for joint in HAND21.joints), ())
_TO_INTERHAND = reorder(_TWO_HANDS, INTERHAND42)
_FROM_INTERHAND = reorder(INTERHAND42, _TWO_HANDS)


def interhand42(joints):
    """(..., 2, 21, D) in house order, right hand first -> (..., 42, D) in InterHand2.6M's order; numpy or torch."""
    return joints.reshape(*joints.shape[:-3], 42, joints.shape[-1])[..., _TO_INTERHAND, :]


def house_hands(joints):
    """(..., 42, D) in InterHand2.6M's order -> (..., 2, 21, D) in house order, right hand first; numpy or torch."""
    return joints[..., _FROM_INTERHAND, :].reshape(*joints.shape[:-2], 2, 21, joints.shape[-1])
