"""The crop that a one-hand network takes, and the targets in it.

It follows OakInk's mesh-recovery benchmark (OakInk-HMR; Yang et al., CVPR 2022): a square of whole-pixel centre about
the joints' box, turned, grown and recoloured at random in training. ``published=True`` keeps its approximations;
without a rotation both give the same crop, so a published checkpoint sees the same picture either way.
"""

import dataclasses
import functools

import cv2
import numpy as np

from handlib import geometry
from handlib.files import InputError

SCALE, ROTATION_DEGREES, COLOUR = 0.125, 60.0, 0.3  # the published strengths
ROTATION_CHANCE, OCCLUSION_CHANCE = 1.0, 0.1
LARGEST_OCCLUDER, OCCLUDER_RATIOS = 0.2, (0.5, 2.0)  # share of the box's area; height / width
ENOUGH = 0.3  # a hand with a smaller share of its points in sight trains nothing
JOINTS = 21
_TOUCHED = 2  # pixels beside a crop's corner that interpolation may touch


@dataclasses.dataclass(frozen=True, eq=False)
class Occluder:
    """A rectangle of noise. ``area`` as a share of the box's, ``ratio`` height / width, ``x`` and ``y`` its place in
    the box, 0..1; ``noise``: a seed, or the noise itself, (h, w, 3) in 0..1.
    """

    area: float
    ratio: float
    x: float
    y: float
    noise: object = 0

    def rectangle(self, centre, side, width, height):
        """(x, y, w, h) whole pixels of a picture of the given size; None where it would not lie fully inside."""
        left, top = centre[0] - side * 0.5, centre[1] - side * 0.5
        across, down = (left + side) - left, (top + side) - top
        area = self.area * across * down
        h, w = np.sqrt(area * self.ratio), np.sqrt(area / self.ratio)
        x, y = self.x * (across - w - 1) + left, self.y * (down - h - 1) + top
        inside = x >= 0 and y >= 0 and x + w < width and y + h < height
        return (int(x), int(y), int(w), int(h)) if inside else None

    def pixels(self, w, h):
        """(h, w, 3) uint8."""
        if isinstance(self.noise, np.ndarray):
            return (self.noise * 255).astype(np.uint8)
        return np.random.default_rng(self.noise).integers(0, 255, (h, w, 3), np.uint8)


@dataclasses.dataclass(frozen=True)
class SingleAugmentation:
    """One draw: the box grows by ``scale``, the crop's content turns by ``rotation`` (radians, from x towards y), an
    `Occluder` or None covers a part of the picture, and the crop's channels are multiplied by ``colour``.
    """

    scale: float = 1.0
    rotation: float = 0.0
    occluder: Occluder | None = None
    colour: tuple = (1.0, 1.0, 1.0)


def draw_single(
    rng, scale=SCALE, rotation_degrees=ROTATION_DEGREES, colour=COLOUR,
    rotation_chance=ROTATION_CHANCE, occlusion_chance=OCCLUSION_CHANCE,
):  # fmt: skip
    """A random augmentation of the given strengths (defaults: the published ones); ``rng`` is a numpy Generator."""
    grown = 1 + scale * max(-1.0, min(rng.standard_normal(), 1.0))
    degrees = rotation_degrees * max(-2.0, min(rng.standard_normal(), 2.0))
    rotation = np.deg2rad(degrees) if rng.random() <= rotation_chance else 0.0
    occluder = None
    if rng.random() <= occlusion_chance:
        area, ratio = rng.uniform(0, LARGEST_OCCLUDER), rng.uniform(*OCCLUDER_RATIOS)
        occluder = Occluder(area, ratio, rng.random(), rng.random(), int(rng.integers(2**63)))
    factors = tuple(rng.uniform(1 - colour, 1 + colour, 3).tolist())
    return SingleAugmentation(float(grown), float(rotation), occluder, factors)


def draw_single_published(
    np_rng, py_rng, sample, input=geometry.HandInput(), occlusion_chance=OCCLUSION_CHANCE  # noqa: B008 (frozen)
):  # fmt: skip
    """The draws of the published code in its order; ``np_rng`` is a numpy RandomState, ``py_rng`` a random.Random (or
    the two modules). The sample matters: how much noise is drawn depends on its box.
    """
    scale = np.clip(np_rng.randn() * SCALE + 1, 1 - SCALE, 1 + SCALE)
    degrees = np.clip(np_rng.randn() * ROTATION_DEGREES, -2 * ROTATION_DEGREES, 2 * ROTATION_DEGREES)
    rotation = np.deg2rad(degrees) if np_rng.rand() <= ROTATION_CHANCE else 0.0
    occluder = None
    if np_rng.rand() <= occlusion_chance:
        low, high = OCCLUDER_RATIOS
        area, ratio = py_rng.random() * LARGEST_OCCLUDER, py_rng.random() * (high - low) + low
        occluder = Occluder(area, ratio, py_rng.random(), py_rng.random())
        centre, side = geometry.centred_square(sample["bbox"], input.box_scale)
        place = occluder.rectangle(centre, side * scale, sample["width"], sample["height"])
        noise = np_rng.rand(place[3], place[2], 3) if place else np.zeros((0, 0, 3))
        occluder = dataclasses.replace(occluder, noise=noise)
    colour = tuple(py_rng.uniform(1 - COLOUR, 1 + COLOUR) for _ in range(3))
    return SingleAugmentation(scale, float(rotation), occluder, colour)


def single_hand(
    sample, augmentation=None, root_depth="gt", input=geometry.HandInput(), published=False  # noqa: B008 (frozen)
):  # fmt: skip
    """One item for a one-hand network (IntegralPose, RLE, I2L-MeshNet).

    sample: a pack's sample with ``image``, one hand (H = 1); augmentation: a `SingleAugmentation`, or None outside
    training, where every joint counts as visible; root_depth: only "gt", the true depth of the root; input: the
    network's ``input``; published: turn and project as the benchmark does. A left hand is shown mirrored, as a right
    one; so are its targets (``flipped``). Returns a dict:

    - ``image`` float32 (3, h, w) RGB 0..1, not normalised; black outside the picture
    - ``targets``, float32: ``joints_uvd`` (21, 3); ``joints_valid`` (21,); ``joints_cam`` (21, 3) m, turned with the
      crop; ``K`` (3, 3) of the crop; ``root_depth`` (1,) m; where the sample has vertices ``verts_uvd``, ``verts_cam``
      (778, 3) and ``verts_valid`` (778,)
    - ``meta``: ``affine`` float32 (3, 3) picture -> crop, ``inverse`` the other way; ``turn`` (3, 3) camera -> crop's
      camera; ``K``, ``root_depth`` as above; ``joints_cam`` (21, 3), ``verts_cam`` m, the hand as it was; ``centre``
      (2,) and ``side`` of the square in the picture; ``flipped``, ``index``, ``hw_size``

    Raises InputError for a sample of several hands, and where the sample's picture was packed without what this crop
    shows.
    """
    if root_depth != "gt":
        raise InputError(
            "root_depth", f"{root_depth!r} is not known for one hand", "write 'gt': the true depth is given"
        )
    view = View(sample, augmentation, input, published)
    targets = targets_of(sample, augmentation, input, view)
    meta = meta_of(sample, view, targets)
    return {"image": picture(sample, augmentation, input, view), "targets": targets, "meta": meta}


class View:
    """Where the crop lies: ``centre`` and ``side`` in the picture, ``affine`` picture -> crop, ``turn`` of the camera,
    ``K`` of the crop, ``camera_K`` of the (mirrored) picture.
    """

    def __init__(self, sample, augmentation, spec, published):
        if len(sample["joints_cam"]) != 1:
            raise InputError(
                sample.get("key", "sample"), "has several hands", "use crops.hand_pair", field="joints_cam"
            )
        self.published = published
        self.flipped = bool(sample["side"][0] == 1)
        self.centre, self.side = geometry.centred_square(sample["bbox"], spec.box_scale)
        rotation = 0.0
        if augmentation is not None:
            self.side, rotation = self.side * np.float64(augmentation.scale), augmentation.rotation
        self.camera_K, centre, mirror = sample["K"].astype(np.float32), self.centre, np.eye(3)
        if self.flipped:
            last = sample["width"] - 1
            mirror[0, 0], mirror[0, 2] = -1, last
            centre = np.array([last - centre[0], centre[1]])
            self.camera_K[0, 2] = last - self.camera_K[0, 2]
        self.turn = geometry.turn(rotation)
        affine, crop = geometry.turned_affines(centre, self.side, spec.size, rotation, self.camera_K, published)
        self.to_crop = affine  # from the picture as the targets see it
        self.affine = affine if not self.flipped else affine @ mirror
        self.K = crop.dot(self.camera_K)

    def points(self, points):
        """(N, 3) camera points -> float32, mirrored where the picture is."""
        points = points.astype(np.float32)
        return points * np.array([-1, 1, 1], np.float32) if self.flipped else points


def targets_of(sample, augmentation, spec, view):
    groups = {"joints": (sample["joints_cam"][0], sample["joints_valid"][0])}
    if "verts_cam" in sample:
        groups["verts"] = sample["verts_cam"][0], sample["mano_valid"][0]
    points = view.points(np.concatenate([points for points, _ in groups.values()]))
    root_depth = points[spec.root, 2:]  # the joints come first
    pixels = geometry.project_homogeneous(points if view.published else points[:JOINTS], view.camera_K)
    turned = np.ascontiguousarray(view.turn.dot(points.T).T)
    if view.published:
        uvd = _published_uvd(points, pixels, root_depth, spec, view)
    else:
        uvd = geometry.xyz_to_uvd(turned, view.K, root_depth, spec)
    uvd, visible = uvd.astype(np.float32), _inside(uvd[:, :2], (1, 1))
    targets, start = {"K": view.K, "root_depth": root_depth}, 0
    for name, (its, valid) in groups.items():
        part, start = slice(start, start + len(its)), start + len(its)
        valid = np.broadcast_to(valid, len(its)).astype(np.float32)
        if augmentation is not None:
            enough = visible[part].sum() >= ENOUGH * len(its)
            if name == "joints":
                in_picture = _inside(pixels[:JOINTS], (sample["width"], sample["height"]))
                enough = enough and in_picture.sum() >= ENOUGH * len(its)
            valid = valid * visible[part] * enough
        targets |= {f"{name}_uvd": uvd[part], f"{name}_cam": turned[part], f"{name}_valid": valid}
    return targets


def meta_of(sample, view, targets):
    meta = {
        "affine": view.affine.astype(np.float32),
        "inverse": np.linalg.inv(view.affine).astype(np.float32),
        "turn": view.turn,
        "K": targets["K"],
        "root_depth": targets["root_depth"],
        "joints_cam": sample["joints_cam"][0],
        "centre": view.centre,
        "side": view.side,
        "flipped": view.flipped,
        "index": sample.get("index", -1),
        "hw_size": np.array([sample["height"], sample["width"]]),
    }
    return meta | ({"verts_cam": sample["verts_cam"][0]} if "verts_cam" in sample else {})


def _published_uvd(points, pixels, root_depth, spec, view):
    """The picture's pixels moved into the crop, where `geometry.xyz_to_uvd` would see the turned points."""
    moved = geometry.apply_affine(pixels.astype(np.float64), view.to_crop[:2]).astype(np.float32)
    depth = 0.5 + (points[:, 2:] - root_depth) / spec.depth_span
    return np.concatenate([moved / np.array(spec.size), depth], 1)


def _inside(pixels, size):
    return ((pixels >= 0) & (pixels < size)).all(-1)


def picture(sample, augmentation, spec, view):
    """float32 (3, h, w): the crop of ``sample['image']``, which may show a window of the picture only."""
    image, inverse = source(sample, augmentation, spec, view)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(image, inverse, spec.size, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    tables = grey_tables((1.0, 1.0, 1.0) if augmentation is None else augmentation.colour)
    out = np.empty((3, spec.size[1], spec.size[0]), np.float32)
    for channel, plane in enumerate(cv2.split(crop)):
        cv2.LUT(plane, tables[channel], dst=out[channel])
    return out


def source(sample, augmentation, spec, view):
    """The pixels that the crop is taken from, occluded, uint8 (h, w, 3), and the map (2, 3) float64 from crop to them.

    Raises InputError where the sample's picture was packed without what this crop shows.
    """
    image = sample["image"]
    corner = sample["window"][:2] if "window" in sample else (0, 0)
    needed = view.side * np.hypot(*spec.size) / spec.size[0] / 2
    reach = sample.get("reach", np.inf)
    if needed + _TOUCHED > reach:
        problem = f"was packed with {reach:.0f} pixels about its hand, and this crop needs {needed + _TOUCHED:.0f}"
        raise InputError(sample["key"], problem, "pack with pixels='whole', or augment less", field="image")
    if augmentation is not None and augmentation.occluder is not None:
        image = _occluded(image, corner, sample, augmentation.occluder, view)
    # The inverse map is OpenCV's own; moving it by whole pixels keeps every interpolation weight.
    inverse = cv2.invertAffineTransform(view.affine[:2].astype(np.float64))
    inverse[:, 2] -= corner
    return image, inverse


def _occluded(image, corner, sample, occluder, view):
    place = occluder.rectangle(view.centre, view.side, sample["width"], sample["height"])
    if place is None:
        return image
    (x, y, w, h), image = place, image.copy()
    image[y - corner[1] : y - corner[1] + h, x - corner[0] : x - corner[0] + w] = occluder.pixels(w, h)
    return image


@functools.lru_cache(maxsize=1)  # every picture of a test set has the same
def grey_tables(colour):
    """(3, 256) float32: grey level -> network input, per channel; coloured levels are cut to whole ones."""
    levels = np.clip(np.arange(256) * np.array(colour)[:, None], 0, 255).astype(np.uint8)
    return levels.astype(np.float32) / np.float32(255)
