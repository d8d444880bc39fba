"""The crop that a two-hand network takes, and the targets in it.

It follows DIGIT (Fan et al., 3DV 2021) and InterNet (Moon et al., ECCV 2020) to the bit, with one fault
mended: the random shift of the box is not written back into the sample, so reading a sample again does not make its
box wander.
"""

import dataclasses
import functools

import cv2
import numpy as np

from handlib import fields, geometry
from handlib.bodies import parts
from handlib.files import InputError

SHIFT, SCALE, ROTATION_DEGREES, COLOUR = 0.15, 0.25, 45.0, 0.2  # the published strengths
ROTATION_CHANCE, MIRROR_CHANCE = 0.6, 0.5
_MIRRORED_CLASSES = parts.flip_classes(np.arange(parts.CLASSES, dtype=np.uint8))


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """One draw: the box moves by ``shift`` (fractions of its side) and grows by ``scale``, turns by ``rotation``
    (radians), the picture may be mirrored before that, and its channels are multiplied by ``colour``.
    """

    shift: tuple = (0.0, 0.0)
    scale: float = 1.0
    rotation: float = 0.0
    mirror: bool = False
    colour: tuple = (1.0, 1.0, 1.0)

    def moved(self, box):
        """A new box (4,) float32, shifted."""
        box = np.array(box, np.float32)
        box[:2] += box[2:] * np.float32(self.shift)
        return box


NO_AUGMENTATION = Augmentation()


def draw(
    rng, shift=SHIFT, scale=SCALE, rotation_degrees=ROTATION_DEGREES, colour=COLOUR,
    rotation_chance=ROTATION_CHANCE, mirror_chance=MIRROR_CHANCE,
):  # fmt: skip
    """A random augmentation of the given strengths (defaults: the published ones); ``rng`` is a numpy Generator."""
    moved = tuple(rng.uniform(-shift, shift, 2))
    grown = 1 + scale * np.clip(rng.standard_normal(), -1, 1)
    turned = rng.random() <= rotation_chance
    rotation = np.deg2rad(rotation_degrees) * np.clip(rng.standard_normal(), -2, 2) if turned else 0.0
    mirror = bool(rng.random() <= mirror_chance)
    return Augmentation(moved, float(grown), float(rotation), mirror, tuple(rng.uniform(1 - colour, 1 + colour, 3)))


def draw_published(np_rng, py_rng):
    """The draws of the published code in its order; ``np_rng`` is a numpy RandomState, ``py_rng`` a random.Random (or
    the two modules).
    """
    shift = (np_rng.uniform(-SHIFT, SHIFT), np_rng.uniform(-SHIFT, SHIFT))
    scale = np.clip(np_rng.standard_normal(), -1.0, 1.0) * SCALE + 1.0
    turned = py_rng.random() <= ROTATION_CHANCE
    degrees = np.clip(np_rng.standard_normal(), -2.0, 2.0) * ROTATION_DEGREES if turned else 0.0
    mirror = py_rng.random() <= MIRROR_CHANCE
    colour = tuple(py_rng.uniform(1 - COLOUR, 1 + COLOUR) for _ in range(3))
    return Augmentation(shift, float(scale), float(np.pi * degrees / 180), mirror, colour)


def wrist_rule(joints_valid):
    """(..., 21) bool in house order -> the same, where a hand without a valid wrist has no valid joint at all."""
    return joints_valid & joints_valid[..., :1]


def input_box(sample, root_depth="gt", spec=geometry.HandPairInput()):  # noqa: B008 (frozen)
    """The square box (4,) float32 that is cropped, and the wrists' absolute depths (2,) in metres, right first.

    ``root_depth`` "gt": annotated box, squared and enlarged, and true depths; "est": the estimator's box and depths
    (RootNet's boxes are square and enlarged already). Raises InputError when the sample has no estimate.
    """
    if root_depth == "gt":
        return geometry.square_box(sample["bbox"], spec.box_scale), sample["joints_cam"][:, 0, 2]
    if root_depth != "est":
        raise InputError(
            "root_depth", f"unknown value {root_depth!r}", "write 'gt' (annotation) or 'est' (RootNet's output)"
        )
    if np.isnan(sample["bbox_est"]).any() or np.isnan(sample["root_depth_est"]).any():
        raise InputError(
            sample.get("key", "sample"),
            "has no estimated box and root depth",
            "pack with the RootNet output in rootnet_output/, or use root_depth='gt'",
            field="bbox_est, root_depth_est",
        )
    return np.asarray(sample["bbox_est"], np.float32), sample["root_depth_est"]


def hand_pair(sample, augmentation=None, root_depth="gt", input=geometry.HandPairInput()):  # noqa: B008
    """One item for a two-hand network (DIGIT, InterNet).

    sample: a pack's sample with ``image``; augmentation: an `Augmentation` or None; root_depth: see `input_box`;
    input: the network's ``input``. Returns a dict:

    - ``image`` float32 (3, h, w) RGB 0..1, not normalised
    - ``targets``: ``joint_coord`` float32 (42, 3) 2.5D, InterHand order; ``joint_valid`` (42,) ; ``rel_root_depth``
      (1,), left wrist behind the right one in the same scale; ``root_valid`` (1,); ``hand_type`` (2,) right, left;
      ``hand_type_valid`` (); all float32; ``segm`` int64 (128, 128) part classes; ``segm_valid`` () float32
    - ``meta``: ``inv_trans`` float32 (2, 3) crop -> picture (mirrored when flipped); ``K``; ``root_depth`` (2,) m and
      ``joints_cam`` (2, 21, 3) m of the picture as it was, unmirrored; ``joints_valid`` (2, 21) the data set's
      validity after the wrist rule; ``bbox`` the box used, ``index`` the sample's place in its pack, ``flipped``,
      ``hw_size`` (2,) picture height and width

    Raises InputError when an estimate is asked for that the sample lacks.
    """
    augmentation = augmentation or NO_AUGMENTATION
    image = sample["image"]
    height, width = image.shape[:2]
    box, depths = input_box(sample, root_depth, input)
    box = augmentation.moved(box)
    trans, inv_trans = _affines(box, augmentation, width, input.size)
    targets = _joint_targets(sample, augmentation.mirror, trans, width, input)
    targets["segm"] = _mask_target(sample, augmentation.mirror, trans, input)
    targets["segm_valid"] = np.float32(sample["part_mask_valid"])
    meta = {
        "inv_trans": inv_trans,
        "K": sample["K"],
        "root_depth": depths,
        "joints_cam": sample["joints_cam"],
        "joints_valid": wrist_rule(sample["joints_valid"]),
        "bbox": box,
        "index": sample.get("index", -1),
        "flipped": augmentation.mirror,
        "hw_size": np.array([height, width]),
    }
    return {"image": _picture(image, augmentation, trans, input.size), "targets": targets, "meta": meta}


def _affines(box, augmentation, width, size):
    """Picture (mirrored if so) -> crop, and back. The centre is rounded to float32 before it is mirrored, as
    published.
    """
    half = np.float32(0.5)
    centre_x, centre_y = float(box[0] + half * box[2]), float(box[1] + half * box[3])
    if augmentation.mirror:
        centre_x = width - centre_x - 1
    box_size = float(box[2]), float(box[3])
    scale, rotation = augmentation.scale, augmentation.rotation
    return tuple(
        geometry.crop_affine((centre_x, centre_y), box_size, size, scale, rotation, inverse)
        for inverse in (False, True)
    )


def _picture(image, augmentation, trans, size):
    if augmentation.mirror:
        image = cv2.flip(image, 1)
    crop = cv2.warpAffine(image, trans, size, flags=cv2.INTER_LINEAR)
    # The crop's values are whole grey levels, so colour and division are a table: exact, and quicker than arithmetic.
    tables = _tables(augmentation.colour)
    out = np.empty((3, size[1], size[0]), np.float32)
    for channel, plane in enumerate(cv2.split(crop)):
        cv2.LUT(plane, tables[channel], dst=out[channel])
    return out


@functools.lru_cache(maxsize=1)  # every picture of a test set has the same
def _tables(colour):
    """(3, 256) float32: grey level -> network input, per channel."""
    levels = np.clip(np.arange(256) * np.array(colour)[:, None], 0, 255)
    return levels.astype(np.float32) / np.float32(255)


def _mask_target(sample, mirror, trans, spec):
    """int64 (128, 128): the even rows and columns of the nearest-neighbour crop, sampled directly (the same pixels)."""
    side = spec.mask_size
    if not sample["part_mask_valid"]:
        return np.zeros((side, side), np.int64)
    mask = cv2.flip(sample["part_mask"], 1) if mirror else sample["part_mask"]
    crop_to_picture = cv2.invertAffineTransform(trans.astype(np.float64))
    crop_to_picture[:, 0] *= spec.size[0] / side
    crop_to_picture[:, 1] *= spec.size[1] / side
    classes = cv2.warpAffine(mask, crop_to_picture, (side, side), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return (_MIRRORED_CLASSES[classes] if mirror else classes).astype(np.int64)


def _joint_targets(sample, mirror, trans, width, spec):
    joints, valid, hands = sample["joints_cam"], wrist_rule(sample["joints_valid"]), sample["hand_type"]
    pixels = geometry.project(joints, sample["K"])
    if mirror:
        pixels = pixels[::-1].copy()
        pixels[..., 0] = width - pixels[..., 0] - 1
        joints, valid, hands = joints[::-1], valid[::-1], hands[::-1]
    pixels = geometry.apply_affine(pixels, trans)
    valid = valid & ((pixels >= 0) & (pixels < spec.size)).all(-1)
    roots = joints[:, 0, 2]
    coord = geometry.encode_25d(pixels, joints[..., 2] - roots[:, None], spec)
    relative = geometry.encode_depth(roots[1] - roots[0], spec.root_range, spec.heatmap)
    root_valid = hands.all() and valid[:, 0].all() and 0 <= relative < spec.heatmap
    valid = valid & (coord[..., 2] >= 0) & (coord[..., 2] < spec.heatmap)
    return {
        "joint_coord": fields.interhand42(coord).astype(np.float32),
        "joint_valid": fields.interhand42(valid[..., None])[:, 0].astype(np.float32),
        "rel_root_depth": np.array([relative], np.float32),
        "root_valid": np.array([root_valid], np.float32),
        "hand_type": hands.astype(np.float32),
        "hand_type_valid": np.float32(sample["hand_type_valid"]),
    }
