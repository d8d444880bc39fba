"""The crop that a network takes which answers with MANO's parameters, and the targets in it.

It follows HandOccNet (Park et al., CVPR 2022) to the bit, on the arithmetic of OpenCV 4. A left hand is shown
mirrored, as a right one.
"""

import dataclasses

import cv2
import numpy as np

from handlib import geometry
from handlib.files import InputError

SCALE, ROTATION_DEGREES, COLOUR, ROTATION_CHANCE = 0.25, 30.0, 0.2, 0.6  # the published strengths
POSES = ("pose_flat", "pose_from_mean")
_TOUCHED = 2  # pixels beside a crop's corner that interpolation may touch
_MIRROR = np.array([-1, 1, 1], np.float32)


@dataclasses.dataclass(frozen=True)
class ManoAugmentation:
    """One draw: the box grows by ``scale`` and turns by ``rotation`` (radians, from x towards y; the crop's content
    turns the other way), and the crop's channels are multiplied by ``colour``.
    """

    scale: float = 1.0
    rotation: float = 0.0
    colour: tuple = (1.0, 1.0, 1.0)


NO_AUGMENTATION = ManoAugmentation()


def draw_mano(
    rng, scale=SCALE, rotation_degrees=ROTATION_DEGREES, colour=COLOUR, rotation_chance=ROTATION_CHANCE
):  # fmt: skip
    """A random augmentation of the given strengths (defaults: the published ones); ``rng`` is a numpy Generator."""
    grown = 1 + scale * np.clip(rng.standard_normal(), -1, 1)
    turned = rng.random() <= rotation_chance
    rotation = np.deg2rad(rotation_degrees) * np.clip(rng.standard_normal(), -2, 2) if turned else 0.0
    return ManoAugmentation(float(grown), float(rotation), tuple(rng.uniform(1 - colour, 1 + colour, 3).tolist()))


def draw_mano_published(np_rng, py_rng):
    """The draws of the published code in its order; ``np_rng`` is a numpy RandomState, ``py_rng`` a random.Random (or
    the two modules).
    """
    scale = np.clip(np_rng.standard_normal(), -1.0, 1.0) * SCALE + 1.0
    turned = py_rng.random() <= ROTATION_CHANCE
    degrees = np.clip(np_rng.standard_normal(), -2.0, 2.0) * ROTATION_DEGREES if turned else 0.0
    colour = tuple(py_rng.uniform(1 - COLOUR, 1 + COLOUR) for _ in range(3))
    return ManoAugmentation(float(scale), float(np.pi * degrees / 180), colour)


def mano_hand(
    sample, augmentation=None, root_depth="gt", input=geometry.ManoInput(), published=False  # noqa: B008 (frozen)
):  # fmt: skip
    """One item for a network that answers with MANO's parameters (HandOccNet).

    sample: a pack's sample with ``image``, one hand (H = 1); augmentation: a `ManoAugmentation` or None; root_depth:
    only "gt", the true depth of the wrist; input: the network's ``input``; published: changes nothing here. A sample
    whose box keeps nothing of the picture (`handlib.geometry.inside_square`) shows all of it, stretched. Returns a
    dict:

    - ``image`` float32 (3, h, w) RGB 0..1, not normalised; black outside the picture
    - ``targets``, float32, all of the turned crop, left hands mirrored: ``joints_img`` (21, 2) pixels / crop size;
      ``joints_cam`` (21, 3) m from the wrist; where the sample has them ``pose_flat`` or ``pose_from_mean`` (48,),
      ``shape`` (10,), ``mano_valid`` ()
    - ``meta``: ``affine`` (mirrored) picture -> crop and ``inverse`` back, float32 (2, 3); ``bbox`` (4,) float64, what
      was cropped, before mirroring; ``flipped``, ``index``, ``hw_size``; and the hand as it was: ``K``, ``joints_cam``
      (21, 3), ``joints_valid`` (21,), pose, ``shape``, ``mano_valid`` and ``verts_cam`` where the sample has them

    Raises InputError for a sample of several hands, and where the sample's picture was packed without what this crop
    shows.
    """
    if root_depth != "gt":
        raise InputError(
            "root_depth", f"{root_depth!r} is not known for one hand", "write 'gt': the true depth is given"
        )
    augmentation = augmentation or NO_AUGMENTATION
    view = View(sample, augmentation, input)
    targets = targets_of(sample, augmentation, input, view)
    return {"image": shown(sample, view, augmentation.colour), "targets": targets, "meta": meta_of(sample, view)}


def box_crop(image, box, side=0, input=geometry.ManoInput(), scale=None):  # noqa: B008 (frozen)
    """The crop of a picture that has no annotation but a box -> crop float32 (3, h, w), affine, inverse (2, 3) float32.

    image: uint8 (h, w, 3) RGB; box (x, y, w, h) px; side: 0 or "right", 1 or "left" (mirrored: the affine maps are then
    those of the mirrored picture, as in ``meta`` of `mano_hand`); scale: how much larger than the box, default
    ``input.box_scale``; HandOccNet's own demo has 1.25. Raises InputError for a box that keeps nothing of the picture.
    """
    seen, back, affine, inverse = box_source(image, box, side, input, scale)
    return warped(*cut(seen, back, input.size), input.size), affine, inverse


def box_source(image, box, side, input, scale):
    """The (mirrored) picture, the map (2, 3) float64 from crop to it, and ``affine`` and ``inverse`` of `box_crop`."""
    height, width = image.shape[:2]
    square = geometry.inside_square(box, width, height, input.box_scale if scale is None else scale)
    if square is None:
        problem = f"{np.asarray(box).tolist()} is empty or lies outside the picture of {width} x {height} pixels"
        raise InputError("box", problem, "give x, y, width, height in pixels of the picture", field="boxes")
    flipped = side in (1, "left")
    affine, inverse = _affines(square, flipped, width, input.size, NO_AUGMENTATION)
    return image[:, ::-1] if flipped else image, back(affine), affine, inverse


class View:
    """Where the crop lies: ``box`` (4,) in the picture, ``affine`` (mirrored) picture -> crop and ``inverse``,
    ``flipped``; ``needed``: it shows nothing that is further from the middle of the sample's box (pixels).
    """

    def __init__(self, sample, augmentation, spec):
        if len(sample["joints_cam"]) != 1:
            raise InputError(
                sample.get("key", "sample"), "has several hands", "use crops.hand_pair", field="joints_cam"
            )
        width, height = sample["width"], sample["height"]
        self.flipped = bool(sample["side"][0] == 1)
        self.box = geometry.mano_square(sample["bbox"], sample["bbox_tight"], width, height, spec)
        if self.box is None:
            self.box = np.array([0.0, 0.0, width - 1, height - 1])
        self.affine, self.inverse = _affines(self.box, self.flipped, width, spec.size, augmentation)
        self.size = spec.size
        beside = self.box[:2] + self.box[2:] / 2 - geometry.centred_square(sample["bbox"])[0]
        self.needed = np.hypot(*beside) + np.hypot(*self.box[2:]) * augmentation.scale / 2


def _affines(box, flipped, width, size, augmentation):
    """Picture (mirrored if so) -> crop, and back: (2, 3) float32 each."""
    centre_x, centre_y = box[0] + 0.5 * box[2], box[1] + 0.5 * box[3]
    if flipped:
        centre_x = width - centre_x - 1
    scale, rotation = augmentation.scale, augmentation.rotation
    return tuple(
        geometry.crop_affine((centre_x, centre_y), box[2:], size, scale, rotation, back) for back in (False, True)
    )


def targets_of(sample, augmentation, spec, view):
    """See `mano_hand`."""
    joints = sample["joints_cam"][0]
    if "joints_img" in sample:
        pixels = np.array(sample["joints_img"][0], np.float32)
    else:  # zeros where nothing is known
        known, pixels = sample["joints_valid"][0], np.zeros((len(joints), 2), np.float32)
        pixels[known] = geometry.project(joints[known], sample["K"], eps=0.0)
    relative = (joints - joints[:1]).astype(np.float32)
    if view.flipped:
        pixels[:, 0] = sample["width"] - 1 - pixels[:, 0]
        relative = relative * _MIRROR
    turn = geometry.turn(-augmentation.rotation)
    placed = geometry.apply_affine(pixels, view.affine) / np.float32(spec.size)
    targets = {"joints_img": placed.astype(np.float32), "joints_cam": (relative @ turn.T).astype(np.float32)}
    for name in POSES:
        if name in sample:
            targets[name] = turned_pose(sample[name][0], turn, view.flipped)
    if "shape" in sample:
        targets["shape"] = sample["shape"][0].astype(np.float32)
    if "mano_valid" in sample:
        targets["mano_valid"] = np.float32(sample["mano_valid"][0])
    return targets


def mirrored_pose(pose):
    """Axis-angle (..., 48) of a hand -> that of its mirror image across x; whole poses and offsets from the mean."""
    return (pose.reshape(*pose.shape[:-1], 16, 3) * -_MIRROR).reshape(pose.shape)


def turned_pose(pose, turn, flipped):
    """(48,) -> float32: mirrored where ``flipped``, then the global orientation turned; its angle ends in [0, pi]."""
    pose = np.array(mirrored_pose(pose) if flipped else pose, np.float32)
    pose[:3] = cv2.Rodrigues(turn @ cv2.Rodrigues(pose[:3])[0])[0][:, 0]
    return pose


def meta_of(sample, view):
    """See `mano_hand`."""
    meta = {
        "affine": view.affine,
        "inverse": view.inverse,
        "bbox": view.box,
        "flipped": view.flipped,
        "index": sample.get("index", -1),
        "hw_size": np.array([sample["height"], sample["width"]]),
        "K": sample["K"],
    }
    ofhand = ("joints_cam", "joints_valid", *POSES, "shape", "mano_valid", "verts_cam")
    return meta | {name: sample[name][0] for name in ofhand if name in sample}


def source(sample, view):
    """The pixels that the crop is taken from, uint8 (h, w, 3), mirrored where the hand is a left one, and the map (2,
    3) float64 from crop to them.

    Raises InputError where the sample's picture was packed without what this crop shows.
    """
    image, reach = sample["image"], sample.get("reach", np.inf)
    if view.needed + _TOUCHED > reach:
        problem = f"was packed with {reach:.0f} pixels about its hand, and this crop needs {view.needed + _TOUCHED:.0f}"
        raise InputError(sample["key"], problem, "pack with pixels='whole', or augment less", field="image")
    corner = np.array(sample["window"][:2] if "window" in sample else (0, 0), np.float64)
    if view.flipped:
        corner[0] = sample["width"] - corner[0] - image.shape[1]
        image = cv2.flip(image, 1)  # a view backwards would make a float picture of it ten times as slowly
    inverse = back(view.affine)
    inverse[:, 2] -= corner  # whole pixels: every interpolation weight stays
    return cut(image, inverse, view.size)


def shown(sample, view, colour=(1.0, 1.0, 1.0), out=None):
    """What a crop shows of a sample's picture, float32 (3, h, w) in 0..1; see `source` and `warped`."""
    image, inverse = source(sample, view)
    return warped(image, inverse, view.size, colour, out)


def back(affine):
    """OpenCV's own inverse of a map (2, 3), in double precision."""
    return cv2.invertAffineTransform(affine.astype(np.float64))


def warped(image, inverse, size, colour=(1.0, 1.0, 1.0), out=None):
    """float32 (3, h, w) in 0..1: bilinear, between whole grey levels too; black outside.

    image: uint8 (h, w, 3); inverse (2, 3) float64 crop -> image; size (w, h); colour: of the three channels; out: to
    be filled and returned.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(image.astype(np.float32), inverse, size, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    out = np.empty((3, size[1], size[0]), np.float32) if out is None else out
    cv2.mixChannels([crop], list(out), [0, 0, 1, 1, 2, 2])  # a third of the time of cv2.split
    if tuple(colour) == (1.0, 1.0, 1.0):
        return np.divide(out, np.float32(255), out=out)
    out *= np.float32(colour)[:, None, None] / np.float32(255)
    return cv2.threshold(out.ravel(), 1, 1, cv2.THRESH_TRUNC, out.ravel())[1].reshape(out.shape)  # none is negative


def cut(image, inverse, size):
    """What a crop shows of an image (h, w, 3), and the map (2, 3) float64 from the crop to that part."""
    corners = np.array([(x, y) for x in (0, size[0]) for y in (0, size[1])], np.float64)
    places = geometry.apply_affine(corners, inverse)
    limits = np.array(image.shape[1::-1])
    low = np.clip(np.floor(places.min(0)) - _TOUCHED, 0, limits - 1).astype(int)
    high = np.clip(np.ceil(places.max(0)) + _TOUCHED + 1, low + 1, limits).astype(int)
    inverse = inverse.copy()
    inverse[:, 2] -= low
    return image[low[1] : high[1], low[0] : high[0]], inverse
