"""A server's joint order, axes and unit; and the signs that a file holds others.

Nothing here is known for certain from a prediction alone: a sign is what a right prediction practically never shows.
With the truth beside it (`against_truth`) more can be told.
"""

import dataclasses

import numpy as np

from handlib import alignment, fields
from handlib.submissions.problems import MISLEADING, NOTE, REJECTED, Problem, of_entries

HAND = 0.15  # metres: the diagonal of the box around a hand's joints is 0.06 to 0.35
_UNITS = {0: "metres", 2: "centimetres", 3: "millimetres"}  # powers of ten of what is written for one metre
_FLIP = np.array([1.0, -1.0, -1.0])
_RIGHT = [joint[2:] for joint in fields.INTERHAND42.joints[:21]]
_TIPS_FIRST = ["wrist", *(f"{finger}{part}" for finger in fields.FINGERS for part in (4, 3, 2, 1))]
_ORDERS = {
    "FreiHAND's and DexYCB's (wrist, thumb to little finger, base to tip)": fields.HAND21.joints,
    "HO-3D's (MANO's 16, then the tips)": fields.HO3D21.joints,
    "InterHand2.6M's (tip to base, wrist last)": _RIGHT,
    "wrist, thumb to little finger, but tip to base": _TIPS_FIRST,
}


@dataclasses.dataclass(frozen=True)
class Frame:
    """What a server's file is written in. ``per_metre``: 1 for metres, 1000 for millimetres."""

    joints: fields.JointSet
    opengl: bool
    per_metre: float = 1.0

    def official(self, points, joints=False):
        """House points (..., P, 3), metres, OpenCV axes -> the server's; ``joints``: the 21 in the house's order."""
        points = np.asarray(points, np.float64)
        if joints:
            points = points[..., fields.reorder(fields.HAND21, self.joints), :]
        points = points * _FLIP if self.opengl else points
        return points * self.per_metre if self.per_metre != 1 else points

    def house(self, points, joints=False):
        """The server's points -> the house's order, axes and unit."""
        points = np.asarray(points, np.float64)
        if joints:
            points = points[..., fields.reorder(self.joints, fields.HAND21), :]
        return (points * _FLIP if self.opengl else points) / self.per_metre

    @property
    def axes(self):
        return "OpenGL axes (y up, z backward)" if self.opengl else "OpenCV axes (y down, z forward)"

    @property
    def other_axes(self):
        return dataclasses.replace(self, opengl=not self.opengl).axes


def problems(frame, joints, boxes=None, names=None):
    """Signs of another order, frame or unit -> [Problem].

    joints (N, 21, 3) as in the file; boxes (N, 2, 3): lowest and highest corner of each mesh, as in the file; entries
    with NaN are left out. names (N,): what messages call the entries (default: their numbers).
    """
    names = np.arange(len(joints)) if names is None else np.asarray(names)
    joints = frame.house(joints, joints=True)
    empty = (joints == 0).all((1, 2))
    found = of_entries(NOTE, names[empty], "all zeros, as the template's own prediction")
    usable = np.isfinite(joints).all((1, 2)) & ~empty
    usable &= True if boxes is None else np.isfinite(boxes).all((1, 2))
    if not usable.any():
        return found
    rows, joints = names[usable], joints[usable]
    boxes = None if boxes is None else frame.house(boxes[usable])
    of_units, power = _units(frame, joints, rows)
    joints = joints / power[:, None, None]
    found += of_units + _places(frame, joints, rows) + _order(frame, joints)
    if boxes is not None:
        found += _meshes(joints, boxes / power[:, None, None], rows)
    return found


def _units(frame, joints, rows):
    """[Problem], and (N,) the power of ten by which each entry is too large."""
    size = np.linalg.norm(np.ptp(joints, axis=1), axis=-1)
    with np.errstate(divide="ignore"):
        exponent = np.where(size > 0, np.rint(np.log10(size / HAND)), 0).clip(-30, 30).astype(int)
    kinds, counts = np.unique(exponent, return_counts=True)
    common = int(kinds[counts.argmax()])
    written = round(np.log10(frame.per_metre))
    wanted, given = _UNITS[written], _UNITS.get(written + common)
    found = []
    if common:
        guess = f"{given} were written" if given else "no unit fits"
        text = f"the hands are {np.median(size):.3g} m large: {guess}, the server wants {wanted}"
        found.append(Problem(MISLEADING, None, text))
    odd = exponent != common
    text = f"hands of another size than the rest ({size[odd][0]:.3g} m): mixed units" if odd.any() else ""
    return found + of_entries(MISLEADING, rows[odd], text), 10.0**exponent


def _places(frame, joints, rows):
    """Root-relative hands, hands behind the camera or far beyond it."""
    at_zero = (np.abs(joints) < 1e-6).all(-1)
    name, number = max((("wrist", 0), ("middle finger's base", 9)), key=lambda root: at_zero[:, root[1]].mean())
    relative = at_zero[:, number]
    if relative.mean() > 0.5:
        text = f"the {name} is at 0: root-relative. That is legal, but only the aligned figures mean anything"
        return [Problem(NOTE, None, text)] + of_entries(MISLEADING, rows[~relative], "not root-relative as the rest is")
    found = of_entries(MISLEADING, rows[relative], f"its {name} is at 0, unlike the rest")
    depth = joints[..., 2].mean(-1)
    behind = (depth < 0) & ~relative
    far = np.abs(depth) > 20
    if behind.mean() > 0.5:
        text = f"the hands are behind the camera: {frame.other_axes} were written, the server wants {frame.axes}"
        found.append(Problem(MISLEADING, None, text))
    else:
        found += of_entries(MISLEADING, rows[behind], "behind the camera: other axes than the rest")
    if far.any():
        text = f"{abs(depth[far][0]):.0f} m away, at the size of a hand: its place is in another unit than its joints"
        found += of_entries(MISLEADING, rows[far], text)
    return found


def _order(frame, joints):
    """A skeleton's bones are shortest when each joint is taken for what it is."""
    written = joints[:, fields.reorder(fields.HAND21, frame.joints)]
    bones = {
        name: _length(written[:, [list(order).index(j) for j in fields.HAND21.joints]])
        for name, order in _ORDERS.items()
    }
    mine = _length(joints)
    size = np.linalg.norm(np.ptp(joints, axis=1), axis=-1)
    best = min(bones, key=lambda name: np.median(bones[name]))
    if np.median(bones[best]) < 0.85 * np.median(mine):
        text = f"the joints are in another order: {best}; the server wants {', '.join(frame.joints.joints)}"
        return [Problem(MISLEADING, None, text)]
    if np.median(mine) > 6 * np.median(size):
        text = "the joints make no hand: the bones between them are too long for its size. Is their order another one?"
        return [Problem(MISLEADING, None, text)]
    reach = np.median(np.linalg.norm(joints[:, 1::4] - joints[:, :1], axis=-1), axis=0)
    first = int(reach.argmin())
    if first != 0 and reach[first] < 0.7 * np.sort(reach)[1]:
        finger = fields.FINGERS[first]
        text = f"the thumb seems to be where the {finger} finger should be: only its base is so near the wrist"
        return [Problem(MISLEADING, None, text)]
    return []


def _length(joints):
    """(N, 21, 3) in the house's order -> (N,) sum of the bones' lengths."""
    children, parents = np.array(fields.HAND21.bones).T
    return np.linalg.norm(joints[:, children] - joints[:, parents], axis=-1).sum(-1)


def _meshes(joints, boxes, rows):
    """Meshes of another size than their joints, or elsewhere."""
    boxes = np.stack([boxes.min(1), boxes.max(1)], 1)  # flipped axes have turned the corners
    low, high = joints.min(1), joints.max(1)
    ratio = np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=-1) / np.maximum(np.linalg.norm(high - low, axis=-1), 1e-12)
    other = (ratio > 5) | (ratio < 0.2)
    outside = np.maximum(boxes[:, 0] - low, high - boxes[:, 1]).max(-1)
    apart = (outside > 0.05) & ~other
    text = f"its mesh is {ratio[other][0]:.3g} times as large as its joints: other units" if other.any() else ""
    found = of_entries(MISLEADING, rows[other], text)
    text = (
        f"joints lie {outside[apart].max():.2f} m outside their mesh: the two are in other places or axes"
        if apart.any()
        else ""
    )
    return found + of_entries(MISLEADING, rows[apart], text)


def template(lowest, what):
    """HO-3D's own template refuses an entry whose joints, or vertices, all have z > 0: lowest z (N,) -> [Problem]."""
    text = (
        f"all its {what} have z > 0, which HO-3D's template refuses: OpenCV axes (z forward) were written, the server "
    )
    text += "wants OpenGL axes (y and z negated)"
    return of_entries(REJECTED, np.flatnonzero(lowest > 0), text)


def against_truth(frame, joints, truth, names=None):
    """What shows only beside the truth: left hands not mirrored back, flipped axes, rows shifted -> [Problem].

    joints, truth: (N, 21, 3) in the server's order, frame and unit; entries with NaN are left out. names: as there.
    """
    names = np.arange(len(joints)) if names is None else np.asarray(names)
    usable = np.isfinite(joints).all((1, 2)) & np.isfinite(truth).all((1, 2)) & (joints != 0).any((1, 2))
    if not usable.any():
        return []
    names, joints, truth = names[usable], joints[usable], truth[usable]
    mine, true = (frame.house(points - points[:, :1], joints=True) for points in (joints, truth))
    error = _error(mine, true)
    aligned, _ = alignment.similarity(mine, true)
    rigid, mirrored = alignment.similarity(mine, true, reflection=False)
    rigid = _error(rigid, true)
    mirrored &= (rigid > 0.005) & (_error(aligned, true) < 0.5 * rigid)
    text = "a mirror image of the truth: left hands must be mirrored back before they are written"
    found = of_entries(MISLEADING, names[mirrored], text)
    for flip, name in (((1, -1, -1), "y and z"), ((1, -1, 1), "y"), ((1, 1, -1), "z"), ((-1, -1, 1), "x and y")):
        if np.median(_error(mine * flip, true)) < 0.5 * np.median(error) and np.median(error) > 0.02:
            found.append(
                Problem(MISLEADING, None, f"against the truth {name} are negated: the server wants {frame.axes}")
            )
    for step in (-1, 1):
        if len(mine) > 2 and np.median(_error(mine, np.roll(true, step, 0))) < 0.5 * np.median(error):
            found.append(
                Problem(MISLEADING, None, "the rows are shifted by one against the truth: the order is another one")
            )
    return found


def _error(mine, true):
    return np.linalg.norm(mine - true, axis=-1).mean(-1)
