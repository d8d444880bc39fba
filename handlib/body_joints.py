"""Joint sets of whole bodies, with the maps between them; names as the published projects write them.

SMPL-X's sets are those of the smplx package: 55 joints of the model, then 21 vertices (face, feet, finger tips) and 51
face landmarks (127 in all), then 17 points of the face's contour (144). Of them, Hand4Whole and OSX learn from 137
(`FROM_SMPLX144`). "Face_1".."Face_72" are those projects' face points: jaw, head, left eye, right eye, then the 51 and
the 17 landmarks, which are COCO-WholeBody's 68 in another order.
"""

import re

import numpy as np

from handlib.fields import JointSet

_BODY = (
    "Pelvis L_Hip R_Hip Spine_1 L_Knee R_Knee Spine_2 L_Ankle R_Ankle Spine_3 L_Foot R_Foot Neck L_Collar R_Collar "
    "Head L_Shoulder R_Shoulder L_Elbow R_Elbow L_Wrist R_Wrist"
).split()
_BODY_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
_MODEL_FINGERS = ("Index", "Middle", "Pinky", "Ring", "Thumb")  # as the models count them
_FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")
_HEAD = ["L_Ear", "R_Ear", "L_Eye", "R_Eye", "Nose"]
_FEET = [f"{side}_{part}" for side in "LR" for part in ("Big_toe", "Small_toe", "Heel")]
_LIMBS = "L_Hip R_Hip L_Knee R_Knee L_Ankle R_Ankle".split()
_ARMS = "L_Shoulder R_Shoulder L_Elbow R_Elbow L_Wrist R_Wrist".split()


def _model_hand(side):
    return [f"{side}_{finger}_{part}" for finger in _MODEL_FINGERS for part in (1, 2, 3)]


def _hand(side):
    return [f"{side}_{finger}_{part}" for finger in _FINGERS for part in (1, 2, 3, 4)]


def _face(first, last):
    return [f"Face_{number}" for number in range(first, last + 1)]


def _set(name, joints, parents=()):
    return JointSet(name, tuple(joints), tuple(parents))


def _hand_parents(first, wrist):
    return [wrist if joint % 3 == 0 else first + joint - 1 for joint in range(15)]


_TIPS = [f"{side}_{finger}_4" for side in "LR" for finger in _FINGERS]
SMPLX55 = _set(
    "smplx55",
    [*_BODY, "Jaw", "L_Eye_SMPLH", "R_Eye_SMPLH", *_model_hand("L"), *_model_hand("R")],
    [*_BODY_PARENTS, 15, 15, 15, *_hand_parents(25, 20), *_hand_parents(40, 21)],
)
SMPLX127 = _set("smplx127", [*SMPLX55.joints, *_HEAD[:1:-1], *_HEAD[1::-1], *_FEET, *_TIPS, *_face(5, 55)])
SMPLX144 = _set("smplx144", [*SMPLX127.joints, *_face(56, 72)])
SMPLX65 = _set("smplx65", ["Pelvis", *_LIMBS, "Neck", *_ARMS, *_FEET, *_HEAD, *_hand("L"), *_hand("R")])
SMPLX137 = _set("smplx137", [*SMPLX65.joints, *_face(1, 72)])
_LIMBS_DRAWN = (
    "Pelvis Neck Nose _Eye _Ear",
    "Neck _Shoulder _Elbow _Wrist",
    "Pelvis _Hip _Knee _Ankle _Big_toe",
    "_Ankle _Small_toe",
    "_Ankle _Heel",
)


def _bones65():
    pairs = set()
    for side in "LR":
        chains = [[side + name if name[0] == "_" else name for name in chain.split()] for chain in _LIMBS_DRAWN]
        chains += [[f"{side}_Wrist", *(f"{side}_{finger}_{part}" for part in range(1, 5))] for finger in _FINGERS]
        pairs |= {pair for chain in chains for pair in zip(chain, chain[1:], strict=False)}
    return sorted((SMPLX65.joints.index(one), SMPLX65.joints.index(other)) for one, other in pairs)


BONES65 = _bones65()  # pairs of rows of SMPLX65 (so of SMPLX137) between which a skeleton has a line
POSES53 = _set("poses53", [*_BODY, *_model_hand("L"), *_model_hand("R"), "Jaw"])  # whose rotations the networks predict
_TORSO = {"Spine_1": "Torso", "Spine_2": "Spine", "Spine_3": "Chest"}  # as SMPL code calls them
SMPL24 = _set("smpl24", [*(_TORSO.get(joint, joint) for joint in _BODY), "L_Hand", "R_Hand"], [*_BODY_PARENTS, 20, 21])
SMPL45 = _set("smpl45", [*SMPL24.joints, *SMPLX127.joints[55:76]])
SMPL33 = _set(  # body-only Pose2Pose
    "smpl33",
    ["Pelvis", *_LIMBS, "Neck", *_ARMS, *(f"{side}_{finger}_1" for side in "LR" for finger in _FINGERS[1:])]
    + ["Nose", "L_Eye", "R_Eye", "L_Ear", "R_Ear", *_FEET],
)
SMPL25 = _set("smpl25", SMPLX65.joints[:25])
COCO_WHOLEBODY = _set(  # the file's 133 with the hands' own wrists, and a pelvis put in after the 17 of the body
    "coco_wholebody",
    ["Nose", "L_Eye", "R_Eye", "L_Ear", "R_Ear", *_ARMS, *_LIMBS, "Pelvis", *_FEET]
    + ["L_Wrist_Hand", *_hand("L"), "R_Wrist_Hand", *_hand("R"), *_face(56, 72), *_face(5, 55)],
)
MPII16 = _set(
    "mpii16",
    "R_Ankle R_Knee R_Hip L_Hip L_Knee L_Ankle Pelvis Thorax Neck Head_top R_Wrist R_Elbow R_Shoulder L_Shoulder "
    "L_Elbow L_Wrist".split(),
)
HUMAN36M17 = _set(
    "human36m17",
    "Pelvis R_Hip R_Knee R_Ankle L_Hip L_Knee L_Ankle Torso Neck Head Head_top L_Shoulder L_Elbow L_Wrist R_Shoulder "
    "R_Elbow R_Wrist".split(),
)
MPI_INF_3DHP17 = _set(
    "mpi_inf_3dhp17",
    "Head_top Neck R_Shoulder R_Elbow R_Wrist L_Shoulder L_Elbow L_Wrist R_Hip R_Knee R_Ankle L_Hip L_Knee L_Ankle "
    "Pelvis Torso Head".split(),
)
JOINT_SETS = {
    one.name: one
    for one in (SMPLX55, SMPLX65, SMPLX127, SMPLX137, SMPLX144, POSES53, SMPL24, SMPL25, SMPL33, SMPL45)
    + (COCO_WHOLEBODY, MPII16, HUMAN36M17, MPI_INF_3DHP17)
}
PARTS137 = {  # rows of the 137; wrists and neck are what hands and face are relative to
    "body": slice(0, 25), "lhand": slice(25, 45), "rhand": slice(45, 65), "face": slice(65, 137),
    "root": 0, "neck": 7, "lwrist": 12, "rwrist": 13,
}  # fmt: skip
# Four of the face's points are joints that also have a name of their own.
_ALSO = {"Face_1": "Jaw", "Face_2": "Head", "Face_3": "L_Eye", "Face_4": "R_Eye"}
# Mirrored face points: numbers first..last are each other's mirror image, n <-> total - n.
_FACE_MIRROR = (
    (3, 4, 7), (5, 14, 19), (19, 23, 42), (24, 27, 57), (30, 33, 57), (28, 29, 63), (34, 35, 63),
    (36, 42, 78), (43, 47, 90), (48, 52, 100), (53, 55, 108), (56, 72, 128),
)  # fmt: skip


def from_smplx144(joint_set):
    """Indices i with ``joints = joints144[..., i, :]``; KeyError for a set that the 144 do not hold."""
    return np.array([SMPLX144.joints.index(_ALSO.get(joint, joint)) for joint in joint_set.joints])


FROM_SMPLX144 = from_smplx144(SMPLX137)


def by_name(joints, valid, source, target):
    """Joints of one set put into another: those without a partner are dropped, missing ones are zero and not valid.

    joints (…, len(source), D), valid (…, len(source)); returns the same of ``target``; numpy.
    """
    places = {joint: place for place, joint in enumerate(source.joints)}
    pairs = [(place, places[joint]) for place, joint in enumerate(target.joints) if joint in places]
    there, taken = np.array(pairs, int).reshape(-1, 2).T
    moved = np.zeros((*joints.shape[:-2], len(target), joints.shape[-1]), joints.dtype)
    known = np.zeros((*valid.shape[:-1], len(target)), valid.dtype)
    moved[..., there, :], known[..., there] = joints[..., taken, :], valid[..., taken]
    return moved, known


def mirrored(joint_set):
    """Indices that swap left and right: row i of the mirrored person is row ``mirrored(joint_set)[i]``."""
    return np.array([joint_set.joints.index(_mirrored_name(joint)) for joint in joint_set.joints])


def _mirrored_name(joint):
    if side := re.match("([LR])_", joint):
        return ("R" if side[1] == "L" else "L") + joint[1:]
    if joint.startswith("Face_"):
        number = int(joint[5:])
        total = next((total for first, last, total in _FACE_MIRROR if first <= number <= last), 2 * number)
        return f"Face_{total - number}"
    return joint
