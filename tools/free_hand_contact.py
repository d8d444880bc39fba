"""Makes a described pose true: finger pads meet where they should and no finger passes through another.

The hand is taken as capsules (a segment with a radius per bone, four for the palm); angles move as little as they must.
"""

import numpy as np
from free_hand_rig import FINGERS, PARENTS, unit
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

# An angle that strays this much (degrees) from its description; a closed finger keeps closed, the thumb goes round it:
STRAY, STRAY_CLOSED, STRAY_THUMB = 14.0, 4.0, 25.0  # costs as much as
PIERCE = 0.0002  # m of one capsule inside another, or
MISS = 0.0012  # m between points that should touch
PALM_PAD = 0.0012  # m: the palm swells between its bones
SQUEEZE = 0.0008  # m of overlap that soft skin allows


class Body:
    """Capsules and named skin points of the flat hand."""

    def __init__(self, verts, normals, joints, tips, weights, axes):
        self.joints, self.axes = joints, axes
        self.bone, self.ends, self.radius = [], [], []
        label = weights.argmax(1)
        for f in range(5):
            chain = np.vstack([joints[1 + 3 * f : 4 + 3 * f], tips[f]])
            for k in range(3):
                self._capsule(1 + 3 * f + k, chain[k], chain[k + 1], verts[label == 1 + 3 * f + k], tip=k == 2)
        for j in (1, 4, 7, 10):
            beside = np.abs(verts[:, 2] - joints[j, 2]) < 0.010
            near = verts[(label == 0) & beside & (verts[:, 0] < joints[0, 0] - 0.03)]
            self._capsule(0, joints[0] + 0.4 * (joints[j] - joints[0]), joints[j], near, tip=False)
            self.radius[-1] += PALM_PAD
        self.bone, self.ends, self.radius = np.array(self.bone), np.array(self.ends), np.array(self.radius)
        self.pairs = self._pairs()
        self.points = self._points(verts, normals, tips, axes.flexes())
        start = self._gaps(*self.move(np.zeros(21)))
        self.allowed = np.maximum(-start, 0) + SQUEEZE  # neighbours lie close at rest already

    def _capsule(self, bone, a, b, skin, tip):
        t = np.clip((skin - a) @ (b - a) / np.sum((b - a) ** 2), 0, 1)
        radius = float(np.median(np.linalg.norm(skin - a - t[:, None] * (b - a), axis=1)))
        if tip:
            b = b - radius * unit(b - a)
        self.bone.append(bone)
        self.ends.append((a, b))
        self.radius.append(radius)

    def _pairs(self):
        """Pairs of capsules that may not overlap: of different fingers, or a finger's outer bones with the palm."""
        finger = np.where(self.bone == 0, -1, (self.bone - 1) // 3)
        outer = (self.bone - 1) % 3 > 0
        root = (self.bone - 1) % 3 == 0
        pairs = [
            (i, j)
            for i in range(len(finger))
            for j in range(i)
            if finger[i] != finger[j]
            and not (root[i] and root[j])
            and (min(finger[i], finger[j]) >= 0 or (outer[i] if finger[i] >= 0 else outer[j]))
        ]
        return np.array(pairs).T

    def _points(self, verts, normals, tips, flexes):
        """Skin points by name: (bone, place, normal).

        The middle of each bone is <finger>_<first|mid|end>_<palm|back|side>, side towards the thumb; then <finger>_tip,
        and <finger>_root, the palm below the knuckle.
        """
        out = {}

        def add(name, bone, place):
            v = int(np.argmin(np.linalg.norm(verts - place, axis=1)))
            out[name] = (bone, verts[v], normals[v])

        for f, finger in enumerate(FINGERS):
            first = 1 + 3 * f
            chain, flex = np.vstack([self.joints[first : first + 3], tips[f]]), flexes[3 * f]
            for k, (part, share) in enumerate((("first", 0.5), ("mid", 0.5), ("end", 0.62))):
                along, radius = chain[k + 1] - chain[k], self.radius[3 * f + k]
                back = np.cross(unit(along), flex)
                for side, direction in (("back", back), ("palm", -back), ("side", flex)):
                    add(f"{finger}_{part}_{side}", first + k, chain[k] + share * along + radius * direction)
            add(f"{finger}_tip", first + 2, tips[f])
            add(f"{finger}_root", 0, chain[0] - self.radius[3 * f] * np.cross(unit(chain[1] - chain[0]), flex))
        return out

    def move(self, angles):
        """World rotations (16, 3, 3) and joints (16, 3) for 21 angles in degrees."""
        turns = Rotation.from_rotvec(self.axes.pose(angles).reshape(15, 3)).as_matrix()
        local = np.concatenate([np.eye(3)[None], turns])
        world, place = local.copy(), self.joints.copy()
        for j in range(1, 16):
            parent = PARENTS[j]
            world[j] = world[parent] @ local[j]
            place[j] = place[parent] + world[parent] @ (self.joints[j] - self.joints[parent])
        return world, place

    def _gaps(self, world, place):
        """Free distance between the capsules of every pair; negative: overlap."""
        rest = self.ends - self.joints[self.bone][:, None]
        ends = np.einsum("cij,cej->cei", world[self.bone], rest) + place[self.bone][:, None]
        i, j = self.pairs
        return _segments(ends[i, 0], ends[i, 1], ends[j, 0], ends[j, 1]) - self.radius[i] - self.radius[j]

    def _point(self, name, world, place):
        bone, point, normal = self.points[name]
        return place[bone] + world[bone] @ (point - self.joints[bone]), world[bone] @ normal

    def settle(self, angles, touches, low, high):
        """Angles (21,) near the described ones that make the touches [(point, point, gap in m)] and pierce nothing."""
        angles = np.clip(angles, low + 1e-6, high - 1e-6)
        closed = np.repeat(angles[[2, 6, 10, 14]] > 80, 4)
        stray = np.concatenate([np.where(closed, STRAY_CLOSED, STRAY), np.full(5, STRAY_THUMB)])

        def misfit(trial):
            world, place = self.move(trial)
            parts = [(trial - angles) / stray, np.maximum(-self._gaps(world, place) - self.allowed, 0) / PIERCE]
            for first, second, gap in touches:
                (a, na), (b, nb) = self._point(first, world, place), self._point(second, world, place)
                parts += [(a + gap * na - b) / MISS, 0.7 * (na + nb)]
            return np.concatenate(parts)

        return (
            least_squares(misfit, angles, bounds=(low, high), diff_step=1e-4, x_scale=10.0, max_nfev=80).x.round(2)
            + 0.0
        )


def _segments(a, b, c, d):
    """Distance between the segments a-b and c-d, rows at a time."""
    u, v, w = b - a, d - c, a - c
    uu, uv, vv, uw, vw = (np.sum(p * q, -1) for p, q in ((u, u), (u, v), (v, v), (u, w), (v, w)))
    s = np.clip((uv * vw - vv * uw) / np.maximum(uu * vv - uv * uv, 1e-12), 0, 1)
    t = np.clip((uv * s + vw) / vv, 0, 1)
    s = np.clip((uv * t - uw) / uu, 0, 1)
    return np.linalg.norm(w + s[:, None] * u - t[:, None] * v, axis=-1)
