"""What the people of demo pictures wear, and how skin, hair, eyes and mouth of the free body look. Imports no torch.

Everything is said of places on the free body at rest: a T-pose, metres, x to its left, y up, z to the front.
"""

import dataclasses
import functools

import numpy as np
from scipy import sparse

from handlib import render
from handlib.bodies import free_body
from handlib.demo import arms, backdrops, skin, textiles
from handlib.demo.noise import Noise

_NOISE = Noise(11, channels=3)
_WAIST, _SOLE, _SHOE = -0.30, -1.365, -1.262
_NECK = np.array([0, 0.225, 0.035])
_SLEEVES = {"none": 0.215, "short": 0.36, "long": 0.715}  # |x| where they end
_LEGS = {"shorts": -0.74, "long": -1.268}  # y where they end
_HAIR = np.array([[8, 6, 5], [20, 13, 9], [52, 32, 20], [96, 62, 36], [150, 110, 66], [120, 118, 116]]) / 255.0
_IRIS = np.array([[58, 34, 18], [74, 52, 28], [70, 84, 60], [74, 100, 128]]) / 255.0
SKIN, TOP, LEGS, SHOES, HAIR, EYE, MOUTH = range(7)


@dataclasses.dataclass(frozen=True)
class Outfit:
    """A person's clothes and colouring; colours are linear RGB.

    sleeves: none, short, long; legs: shorts, long; loose: how far cloth stands off (m); hair_length: how far hair
    stands off the head (m), 0 for none.
    """

    skin: np.ndarray
    mottling: float
    top: np.ndarray
    pattern: str
    legs_colour: np.ndarray
    shoes: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    sleeves: str
    legs: str
    hem: float
    neckline: float
    loose: float
    hair_length: float
    seed: int


def draw(rng):
    """An `Outfit`."""
    top, other = (backdrops.palette("room", rng)[:3] for _ in range(2))
    denim = np.array([0.05, 0.09, 0.2]) * rng.uniform(0.4, 2.2)
    return Outfit(
        skin=skin.tone(rng),
        mottling=rng.uniform(0.02, 0.05),
        top=(0.7 * top + 0.3 * top.mean(1, keepdims=True)) * rng.uniform(0.3, 1.0),
        pattern=str(rng.choice(["plain", "plain", "plain", "stripes", "plaid"])),
        legs_colour=denim if rng.random() < 0.5 else other.mean(0) * rng.uniform(0.08, 0.6),
        shoes=np.full(3, 0.42) if rng.random() < 0.4 else other[0] * rng.uniform(0.05, 0.3),
        hair=_HAIR[rng.integers(len(_HAIR))] ** 2.2 * rng.uniform(0.8, 1.3),
        iris=_IRIS[rng.integers(len(_IRIS))] ** 2.2,
        sleeves=str(rng.choice(list(_SLEEVES), p=[0.15, 0.45, 0.4])),
        legs=str(rng.choice(list(_LEGS), p=[0.25, 0.75])),
        hem=_WAIST - rng.uniform(0.06, 0.16),
        neckline=rng.uniform(0.085, 0.115),
        loose=rng.uniform(0.007, 0.013),
        hair_length=float(rng.choice([0.0, 0.006, 0.014, 0.022], p=[0.1, 0.25, 0.35, 0.3])),
        seed=int(rng.integers(2**31)),
    )


@dataclasses.dataclass(frozen=True)
class _Body:
    """The free body once refined: faces; at_rest (V, FIELDS): place, then how much of what each vertex is."""

    refinement: arms.Refinement
    coarse: np.ndarray  # faces of the body itself
    faces: np.ndarray
    place: np.ndarray  # (10475, 3)
    at_rest: np.ndarray
    around: sparse.csr_matrix  # mean of the neighbours
    part: np.ndarray  # of each refined vertex: 0 body, 1 left hand, 2 right hand, 3 face
    part_coarse: np.ndarray  # the same of the body's own vertices


FIELDS = 9  # columns of ``at_rest``: place 3, hair, eye, iris, pupil, mouth, lips and brows together


@functools.cache
def body():
    """What is the same for everyone."""
    arrays, index = free_body.arrays(), free_body.index_files()
    faces, place = arrays["f"].astype(np.int64), arrays["v_template"].astype(np.float64)
    shown, names = free_body.surfaces()
    is_a = {name: (shown == number).astype(np.float64) for number, name in enumerate(names)}
    lips = is_a["lips"] - is_a["brows"]
    kinds = [is_a[name] for name in ("hair", "eye", "iris", "pupil", "mouth")]
    refinement = arms.Refinement(faces, 1)
    fields = np.concatenate([place, np.stack([*kinds, lips], 1)], 1)
    part = np.zeros(len(place))
    head = np.isin(np.arange(len(place)), index["face"]) & (place[:, 1] > 0.25) & (is_a["hair"] == 0)
    part[head & (place[:, 2] > 0.075)] = 3
    part[index["left_hand"]], part[index["right_hand"]] = 1, 2
    chosen = np.stack([part == number for number in range(4)], 1).astype(np.float64)
    return _Body(
        refinement=refinement,
        coarse=faces,
        faces=refinement.faces,
        place=place,
        at_rest=refinement.values(fields).astype(np.float32),
        around=_neighbours(faces, len(place)),
        part=refinement.values(chosen).argmax(1),
        part_coarse=part.astype(int),
    )


def _neighbours(faces, count):
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, 1), axis=0)
    ones = np.ones(len(edges))
    half = sparse.coo_matrix((ones, edges.T), shape=(count, count))
    both = (half + half.T).tocsr()
    return sparse.diags(1 / np.maximum(both.sum(1).A1, 1)) @ both


def covers(outfit, place):
    """How deep places at rest (N, 3) lie inside top, trousers and shoes, m, negative outside: three times (N,)."""
    x, y = np.abs(place[:, 0]), place[:, 1]
    neck = np.sqrt(((place - _NECK) ** 2 * [1, 1, 0.8]).sum(1)) - outfit.neckline
    top = np.minimum.reduce([y - outfit.hem, _SLEEVES[outfit.sleeves] - x, neck, 0.205 - y])
    legs = np.minimum.reduce([_WAIST + 0.03 - y, y - _LEGS[outfit.legs], 0.4 - x])
    return top, legs, np.minimum(_SHOE - y, 0.4 - x)


def dressed(outfit, verts):
    """A posed body (10475, 3) -> the refined surface (V, 3) with clothes and hair on it.

    Cloth and shoes span what the body has of small hollows.
    """
    own = body()
    top, legs, shoes = covers(outfit, own.place)
    normals = render.vertex_normals(verts, own.coarse)
    worn, shod = np.clip(np.maximum(top, legs) / 0.03, 0, 1), 0.6 * (shoes > 0.02)[:, None]
    for _ in range(6):  # along the normals alone: patterns stay straight
        step = ((own.around @ verts - verts) * normals).sum(1)
        verts = verts + (0.6 * worn * step)[:, None] * normals
    for _ in range(40):  # every way: toes become one
        verts = verts + shod * (own.around @ verts - verts)
    verts = own.refinement.verts(verts)
    place = own.at_rest[:, :3].astype(np.float64)
    top, legs, shoes = covers(outfit, place)
    shift = np.array([outfit.seed % 31, outfit.seed % 29, outfit.seed % 23])
    folds = _NOISE(place * [9, 14, 9] + shift)[:, 0] + 0.5 * _NOISE(place * 25 + shift)[:, 1]
    off = _rising(top, 0.02) * (
        outfit.loose + 0.0035 * folds + 0.012 * np.clip(_WAIST + 0.1 - place[:, 1], 0, 0.2) / 0.2
    )
    leg = _rising(legs, 0.02) * (
        0.75 * outfit.loose + 0.003 * folds + 0.010 * np.clip(-0.5 - place[:, 1], 0, 0.6) / 0.6
    )
    off = np.maximum.reduce([off, leg, _rising(shoes, 0.01) * 0.012, np.zeros(len(off))])
    if outfit.hair_length:
        locks = 1 + 0.35 * _NOISE(place * [60, 25, 60] + shift)[:, 2]
        off = np.maximum(off, outfit.hair_length * locks * np.clip(own.at_rest[:, 3] * 1.4, 0, 1))
    return verts + off[:, None] * render.vertex_normals(verts, own.faces)


def _rising(depth, width):
    share = np.clip(depth / width, 0, 1)
    return share * share * (3 - 2 * share)


def paint(outfit, at_rest):
    """Points (N, FIELDS) -> albedo (N, 3), relief (N, 3), shine (N,) and what each is of SKIN ... MOUTH (N,)."""
    place, (hair, eye, iris, pupil, mouth, lips) = at_rest[:, :3], at_rest[:, 3:].T
    wide, fine = _NOISE(place * 35), _NOISE(place * 300)
    albedo = outfit.skin * (1 + outfit.mottling * wide + 0.5 * outfit.mottling * fine)
    kind = np.full(len(place), SKIN)
    albedo += np.clip(lips, 0, 1)[:, None] * (outfit.skin * [0.80, 0.42, 0.42] - albedo)
    albedo += np.clip(-1.5 * lips, 0, 0.9)[:, None] * (outfit.hair * 0.8 - albedo)
    cheeks = np.exp(-(((np.abs(place) - [0.043, 0.325, 0.15]) / 0.022) ** 2).sum(1))
    albedo *= 1 - cheeks[:, None] * [0.0, 0.12, 0.10]
    relief = 0.02 * fine
    shine = np.full(len(place), 0.6)
    strands = _NOISE(place * [420, 60, 420])
    if outfit.hair_length:
        mine = hair + 0.12 * strands[:, 1] > 0.5
        shade = 1 + 0.35 * strands[:, :1] + 0.15 * wide[:, :1]
        albedo[mine], relief[mine], shine[mine], kind[mine] = (
            (outfit.hair * shade)[mine],
            0.35 * strands[mine],
            0.5,
            HAIR,
        )
    for depth, number, colour in zip(covers(outfit, place), (TOP, LEGS, SHOES), _colours(outfit, place), strict=True):
        mine = depth > 0
        if number == LEGS:
            mine &= kind == SKIN  # the top hangs over them
        albedo[mine], relief[mine], shine[mine], kind[mine] = colour[mine], 0.06 * fine[mine], 0, number
        edge = mine & (depth < 0.006)
        albedo[edge] *= 0.82  # a seam
    sole = (kind == SHOES) & (place[:, 1] < _SOLE + 0.009)
    albedo[sole] = 0.25 + 0.6 * albedo[sole]
    ball = (eye + iris + pupil > 0.5) & (place[:, 1] > 0.3)
    albedo[ball] = [0.62, 0.60, 0.58]
    albedo[ball & (iris + pupil > 0.5)] = outfit.iris
    albedo[ball & (pupil > 0.5)] = 0.006
    shine[ball], kind[ball] = 2.0, EYE
    inside = mouth > 0.5
    albedo[inside], shine[inside], kind[inside] = [0.22, 0.035, 0.03], 0.4, MOUTH
    return albedo.clip(0.002, 0.9).astype(np.float32), relief.astype(np.float32), shine.astype(np.float32), kind


def _colours(outfit, place):
    """Albedos (N, 3) of top, trousers and shoes."""
    x, y, z = place.T
    arm = np.abs(x) > 0.2
    around = np.where(arm, np.arctan2(y - 0.11, z - 0.03) * 0.05, np.arctan2(x, z + 0.02) * 0.15)
    where = np.stack([around, np.where(arm, x, y), np.zeros_like(x)], 1) * 0.4  # stripes wide enough for a shirt
    top = textiles.weave(where, outfit.pattern, outfit.top)[0]
    legs = outfit.legs_colour * (1 + 0.10 * _NOISE(place * 18)[:, :1] + 0.08 * _NOISE(place * [400, 900, 400])[:, :1])
    seam = np.abs(z - 0.02) < 0.003
    legs[seam] *= 0.8
    return top, legs, np.broadcast_to(outfit.shoes, place.shape)
