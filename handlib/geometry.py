"""Cameras, square boxes, crops as affine maps, and 2.5D coordinates. Arrays are numpy or torch; nothing of handlib is
used.

Units are metres, pixels and radians. Camera frame: x right, y down, z forward. Pixel (0, 0) is the centre of the
top-left pixel. Crops and 2.5D coordinates follow InterHand2.6M's InterNet (Moon et al., ECCV 2020) and DIGIT (Fan et
al., 3DV 2021); uvd coordinates OakInk's mesh-recovery benchmark (Yang et al., CVPR 2022).
"""

import dataclasses
import sys

import cv2
import numpy as np

PUBLISHED_EPS = 1e-11  # metres; the published projections add 1e-8 to a depth in millimetres


def _namespace(array):
    """numpy or torch, whichever ``array`` belongs to; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(array, torch.Tensor) else np


# Cameras


def world_to_camera(points, rotation, position):
    """(..., N, 3) world points -> camera frame: ``rotation @ (x - position)``; rotation (..., 3, 3), position (...,
    3) in metres.
    """
    return (points - position[..., None, :]) @ rotation.swapaxes(-1, -2)


def camera_to_world(points, rotation, position):
    """The inverse of `world_to_camera`."""
    return points @ rotation + position[..., None, :]


def project(points, K, eps=PUBLISHED_EPS):
    """(..., N, 3) camera points in metres -> (..., N, 2) pixels; K (..., 3, 3). ``eps`` is added to the depth, as
    published.
    """
    depth = points[..., 2:] + eps
    return points[..., :2] / depth * _focal(K) + K[..., None, :2, 2]


def project_homogeneous(points, K, eps=1e-6):
    """(..., N, 3) camera points in metres -> (..., N, 2) pixels, with OakInk's rounding: ``eps`` is added to the depth
    after the intrinsics, so the principal point shrinks with it.
    """
    homogeneous = (K @ points.swapaxes(-1, -2)).swapaxes(-1, -2)
    return homogeneous[..., :2] / (homogeneous[..., 2:] + eps)


def back_project(pixels, depth, K):
    """(..., N, 2) pixels and (..., N) depths in metres -> (..., N, 3) camera points. The depth is taken as it is (no
    eps).
    """
    xy = (pixels - K[..., None, :2, 2]) / _focal(K) * depth[..., None]
    return _namespace(pixels).concatenate((xy, depth[..., None]), -1)


def _focal(K):
    return _namespace(K).stack((K[..., 0, 0], K[..., 1, 1]), -1)[..., None, :]


def intrinsics(focal, centre):
    """fx, fy and cx, cy in pixels -> K (3, 3) float64."""
    return np.array([[focal[0], 0.0, centre[0]], [0.0, focal[1], centre[1]], [0.0, 0.0, 1.0]])


# Boxes and crops


def square_box(box, enlarge=1.25):
    """Box (x, y, w, h) -> the square about the same centre with the longer side times ``enlarge``; float32, as
    published.

    The published code rounds to float32 at every step; with more precision some pixels of a crop differ by one grey
    level.
    """
    x, y, w, h = np.asarray(box, np.float32)
    centre_x, centre_y = x + w / np.float32(2), y + h / np.float32(2)
    side = max(w, h) * np.float32(enlarge)
    half = side / np.float32(2)
    return np.array([centre_x - half, centre_y - half, side, side], np.float32)


def centred_square(box, enlarge=1.7):
    """Box (x, y, w, h) -> centre (2,) in whole pixels, and the square's side, the longer side times ``enlarge``.

    As OakInk's benchmark: the centre is cut, not rounded, to whole pixels; float32.
    """
    x, y, w, h = np.asarray(box, np.float32)
    centre = np.array([int((x + (x + w)) / 2), int((y + (y + h)) / 2)])
    return centre, max(w, h) * np.float32(enlarge)


def turn(rotation):
    """(3, 3) float32: the picture's plane turned by ``rotation`` radians, from x towards y."""
    matrix = np.eye(3, dtype=np.float32)
    if rotation:
        sin, cos = np.sin(rotation), np.cos(rotation)
        matrix[0, :2], matrix[1, :2] = (cos, -sin), (sin, cos)
    return matrix


def square_affine(centre, side, size):
    """(3, 3) float64: the map that brings a square's centre to the crop's middle (w/2, h/2), ``side`` to its width."""
    width, height = size
    ratio = float(width) / float(height)
    return np.array([
        [float(width) / side, 0.0, width * (-float(centre[0]) / side + 0.5)],
        [0.0, float(height) / side * ratio, height * (-float(centre[1]) / side * ratio + 0.5)],
        [0.0, 0.0, 1.0],
    ])  # fmt: skip


def turned_affines(centre, side, size, rotation, K, published=False):
    """Two maps (3, 3) float32 of a crop about ``centre``, whose content is turned by ``rotation``: from the picture's
    pixels to the crop's, and from the turned camera's pixels to the crop's (times K: the crop's intrinsics).

    Points turned by `turn` about the optical axis, seen with the crop's intrinsics, are where the crop shows them.
    ``published`` turns the picture about its origin and the centre about the principal point as if fx were fy, as
    OakInk's benchmark does: then they lie up to half a pixel beside (nothing differs without rotation).
    """
    matrix = turn(rotation)
    homogeneous = np.array([*centre, 1.0])
    if published:
        shift = np.eye(3)
        shift[:2, 2] = K[:2, 2]
        turned = shift @ matrix @ np.linalg.inv(shift) @ homogeneous
        crop = square_affine(turned[:2], side, size)
        return (square_affine((matrix @ homogeneous)[:2], side, size) @ matrix).astype(np.float32), crop.astype(
            np.float32
        )
    seen = K @ matrix @ np.linalg.inv(K) if rotation else np.eye(3)
    crop = square_affine((seen @ homogeneous)[:2], side, size)
    return (crop @ seen).astype(np.float32), crop.astype(np.float32)


def crop_affine(centre, box_size, out_size=(256, 256), scale=1.0, rotation=0.0, inverse=False):
    """The affine map (2, 3) float32 from picture pixels to crop pixels, or back when ``inverse``.

    centre, box_size: (x, y) and (w, h) of the box in picture pixels; out_size (w, h) of the crop; ``scale`` enlarges
    the box; ``rotation`` in radians turns the box (so the crop's content turns the other way). The box's centre goes
    to out_size / 2. Rounding is the published code's (float32 corner points), so that crops agree to the bit.
    """
    sin, cos = np.sin(rotation), np.cos(rotation)
    half_w, half_h = np.float32(box_size[0] * scale * 0.5), np.float32(box_size[1] * scale * 0.5)
    source = np.empty((3, 2), np.float32)
    source[:] = centre
    source[1] += np.array([0.0 * cos - half_h * sin, 0.0 * sin + half_h * cos], np.float32)
    source[2] += np.array([half_w * cos - 0.0 * sin, half_w * sin + 0.0 * cos], np.float32)
    w, h = out_size
    target = np.array([[w / 2, h / 2], [w / 2, h], [w, h / 2]], np.float32)
    pair = (target, source) if inverse else (source, target)
    return cv2.getAffineTransform(*pair).astype(np.float32)


def apply_affine(points, affine):
    """(..., N, 2) points through (..., 2, 3) affine maps."""
    return points @ affine[..., :2].swapaxes(-1, -2) + affine[..., None, :, 2]


def invert_affine(affine):
    """(..., 2, 3) -> the inverse maps, same shape."""
    linear = _namespace(affine).linalg.inv(affine[..., :2])
    return _namespace(affine).concatenate((linear, -(linear @ affine[..., 2:])), -1)


# 2.5D coordinates


@dataclasses.dataclass(frozen=True)
class HandPairInput:
    """The crop that a two-hand network takes and the box that it answers in (defaults: InterNet's and DIGIT's).

    ``size`` (w, h) of the crop in pixels; ``box_scale`` how much larger than the annotated box; ``heatmap`` cells
    along each axis of the 2.5D box; ``depth_range`` metres along its z axis, centred on the wrist; ``root_range``
    metres covered by the relative root depth; ``mask_size`` side of the part-mask target in pixels.
    """

    size: tuple = (256, 256)
    box_scale: float = 1.25
    heatmap: int = 64
    depth_range: float = 0.4
    root_range: float = 0.4
    mask_size: int = 128


def encode_depth(depth, span=0.4, bins=64):
    """Metres about a root -> bins: 0 m is bins / 2 and span / 2 is ``bins``."""
    return (depth / (span / 2) + 1) / 2 * bins


def decode_depth(value, span=0.4, bins=64):
    """The inverse of `encode_depth`."""
    return (value / bins * 2 - 1) * (span / 2)


def encode_25d(crop_xy, relative_depth, spec=HandPairInput()):
    """Crop pixels (..., N, 2) and metres behind the wrist (..., N) -> (..., N, 3) in the network's 2.5D box."""
    xp = _namespace(crop_xy)
    x = crop_xy[..., 0] / spec.size[0] * spec.heatmap
    y = crop_xy[..., 1] / spec.size[1] * spec.heatmap
    return xp.stack((x, y, encode_depth(relative_depth, spec.depth_range, spec.heatmap)), -1)


def decode_25d(coord, spec=HandPairInput()):
    """The inverse of `encode_25d`: (..., N, 3) -> crop pixels (..., N, 2), metres behind the wrist (..., N)."""
    x = coord[..., 0] / spec.heatmap * spec.size[0]
    y = coord[..., 1] / spec.heatmap * spec.size[1]
    return _namespace(coord).stack((x, y), -1), decode_depth(coord[..., 2], spec.depth_range, spec.heatmap)


def lift_25d(coord, inv_trans, root_depth, K, flipped=None, spec=HandPairInput()):
    """2.5D joints of H hands -> camera frame.

    coord (B, H*J, 3) in the 2.5D box, hand after hand, in any joint order; inv_trans (B, 2, 3) crop -> picture;
    root_depth (B, H) metres, of the hands as they are in the picture; K (B, 3, 3); flipped (B,) bool: the crop was
    mirrored, so the hands have each other's depths (DIGIT's rule; positions are not mirrored back). Returns (B, H*J,
    3) metres.
    """
    xp = _namespace(coord)
    xy, depth = decode_25d(coord, spec)
    if flipped is not None:
        root_depth = xp.where(flipped[:, None], xp.flip(root_depth, (1,)), root_depth)
    hands = root_depth.shape[-1]
    depth = (depth.reshape(len(depth), hands, -1) + root_depth[..., None]).reshape(depth.shape)
    return back_project(apply_affine(xy, inv_trans), depth, K)


# MANO in the crop's frame


@dataclasses.dataclass(frozen=True)
class ManoInput:
    """The crop that a network takes which answers with MANO's parameters (defaults: HandOccNet's).

    ``size`` (w, h) of the crop in pixels; ``box_scale`` how much larger than the box of the hand.
    """

    size: tuple = (256, 256)
    box_scale: float = 1.5


def tight_box(pixels):
    """(N, 2) pixels -> their box (x, y, w, h) float32."""
    low, high = np.asarray(pixels, np.float32).min(0), np.asarray(pixels, np.float32).max(0)
    return np.concatenate([low, high - low])


def enlarged_box(box, factor):
    """Box (x, y, w, h) about the same centre, both sides times ``factor``; float32 at every step, as published."""
    corner, sides = np.float32(box[:2]), np.float32(box[2:])
    middle, half = (corner + (corner + sides)) / np.float32(2), np.float32(0.5) * sides * np.float32(factor)
    return np.concatenate([middle - half, (middle + half) - (middle - half)])


def inside_square(box, width, height, factor=1.0):
    """Box (x, y, w, h) px -> the square about what is kept of it in a picture, its side times ``factor``: (4,) float64.

    None where nothing is kept, or the box is empty or not finite. As published (Moon et al., I2L-MeshNet, and all that
    follows it): a box that begins left of the picture or above it is moved in, not cut, so that one wholly outside
    there is kept; one that ends beyond the other sides is cut; what is kept is a pixel smaller than the box.
    """
    kept = _inside(box, width, height)
    if kept is None:
        return None
    left, top, right, bottom = kept
    across, down = right - left, bottom - top
    side = max(across, down) * factor
    if side <= 0:  # a box of one pixel, of which the published code makes a map to nowhere
        return None
    return np.array([left + across / 2 - side / 2, top + down / 2 - side / 2, side, side])


def _inside(box, width, height):
    """See `inside_square`: what is kept of a box as left, top, right, bottom, all on pixel centres; or None."""
    x, y, w, h = np.asarray(box, np.float64).tolist()
    if not np.isfinite([x, y, w, h]).all() or w <= 0 or h <= 0:
        return None
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(width - 1.0, left + max(0.0, w - 1)), min(height - 1.0, top + max(0.0, h - 1))
    return None if right < left or bottom < top else (left, top, right, bottom)


def inside_box(box, width, height):
    """Box (x, y, w, h) px -> what is kept of it in a picture, (4,) float64, by the rule of `inside_square`; None where
    that has no area.
    """
    left, top, right, bottom = _inside(box, width, height) or (0.0, 0.0, 0.0, 0.0)
    return np.array([left, top, right - left, bottom - top]) if right > left and bottom > top else None


def mano_square(bbox, tight, width, height, spec=ManoInput()):
    """The square (x, y, side, side) float64 that a `ManoInput` network sees of a hand; None where `inside_square` has
    none.

    bbox (x, y, w, h) px. ``tight``: it is exactly the box of the joints, and is enlarged by ``spec.box_scale`` before
    it is brought inside; another box is enlarged afterwards.
    """
    if tight:
        return inside_square(enlarged_box(bbox, spec.box_scale), width, height)
    return inside_square(bbox, width, height, spec.box_scale)


# A person, a hand or a face by Pose2Pose and those after it


@dataclasses.dataclass(frozen=True)
class PersonInput:
    """The crop that a network of Moon et al. (CVPRW 2022, "Hand4Whole") or OSX takes (defaults: Hand4Whole's).

    ``size`` (w, h) of the crop in pixels; ``box_scale`` how much larger than the box, which first grows to the crop's
    aspect ratio; ``volume`` cells (depth, height, width) of the heat volume that joints are found in; ``part`` what the
    crop shows: "body" a whole person, "hand", a right one, or "face".
    """

    size: tuple = (384, 512)
    box_scale: float = 1.25
    volume: tuple = (8, 8, 6)
    part: str = "body"


def hand_box(bbox, tight):
    """The box (4,) of a hand that `person_box` is given: where it is ``tight``, exactly the box of the joints, it is
    made 1.5 times as large, as hand-only Pose2Pose does.
    """
    return enlarged_box(bbox, 1.5) if tight else np.asarray(bbox, np.float32)


def person_box(bbox, width, height, spec=PersonInput(), whole=False):
    """The box (4,) float32 that a `PersonInput` network sees of a person: what `inside_box` keeps, grown on one side to
    the crop's aspect ratio, both sides times ``spec.box_scale``. None where nothing is kept.

    ``whole``: cut to whole pixels, as the published code does where the annotated box is in whole numbers.
    """
    box = inside_box(bbox, width, height)
    return None if box is None else grown_box(box, spec, whole).astype(np.float32)


def grown_box(box, spec=PersonInput(), whole=False):
    """See `person_box`; of a box (4,) as it is, float64."""
    (x, y, w, h), ratio = np.asarray(box, np.float64).tolist(), spec.size[0] / spec.size[1]
    middle_x, middle_y = x + w / 2.0, y + h / 2.0
    if w > ratio * h:
        h = w / ratio
    elif w < ratio * h:
        w = h * ratio
    w, h = w * spec.box_scale, h * spec.box_scale
    if whole:
        w, h = float(int(w)), float(int(h))
    x, y = middle_x - w / 2.0, middle_y - h / 2.0
    return np.array([int(x), int(y), w, h] if whole else [x, y, w, h])


# uvd: picture coordinates and depth of one hand's crop


@dataclasses.dataclass(frozen=True)
class HandInput:
    """The crop that a one-hand network takes and the box that it answers in (defaults: OakInk's).

    ``size`` (w, h) of the crop in pixels; ``root`` the joint (of HAND21) whose depth is given, the middle of the box:
    9 the middle finger's base, 0 the wrist; ``box_scale`` how much larger than the joints' box; ``depth_span`` metres
    along the box's d axis.
    """

    size: tuple = (224, 224)
    root: int = 9
    box_scale: float = 1.7
    depth_span: float = 0.4


def xyz_to_uvd(xyz, K, root_depth, spec=HandInput(), bone=1.0):
    """Camera points (..., N, 3) metres -> uvd (..., N, 3): u, v = pixels / crop size, d = 0.5 at the root's depth.

    K (..., 3, 3) of the crop; root_depth (..., 1) metres. ``bone`` (..., 1), where given, is a reference length by
    which ``spec.depth_span`` is multiplied. The depth is divided by as it is (no eps).
    """
    pixels = project(xyz, K, eps=0.0)
    d = (xyz[..., 2] - root_depth) / (spec.depth_span * bone) + 0.5
    return _namespace(xyz).stack((pixels[..., 0] / spec.size[0], pixels[..., 1] / spec.size[1], d), -1)


def uvd_to_xyz(uvd, K, root_depth, spec=HandInput(), bone=1.0):
    """The inverse of `xyz_to_uvd`: (..., N, 3) -> camera points (..., N, 3) in metres."""
    z = (uvd[..., 2] - 0.5) * (spec.depth_span * bone) + root_depth
    pixels = _namespace(uvd).stack((uvd[..., 0] * spec.size[0], uvd[..., 1] * spec.size[1]), -1)
    return back_project(pixels, z, K)


# The same with a scaled orthographic camera (scale in pixels per metre, then the root's pixel x, y)


def xyz_to_orthographic_uvd(xyz, root, camera, spec=HandInput(), bone=1.0):
    """Camera points (..., N, 3), root (..., 3) metres, camera (..., 3) -> uvd (..., N, 3)."""
    relative = xyz - root[..., None, :]
    pixels = relative[..., :2] * camera[..., None, :1] + camera[..., None, 1:]
    d = relative[..., 2] / (spec.depth_span * bone) + 0.5
    return _namespace(xyz).stack((pixels[..., 0] / spec.size[0], pixels[..., 1] / spec.size[1], d), -1)


def orthographic_uvd_to_xyz(uvd, root, camera, spec=HandInput(), bone=1.0):
    """The inverse of `xyz_to_orthographic_uvd`."""
    xp = _namespace(uvd)
    pixels = xp.stack((uvd[..., 0] * spec.size[0], uvd[..., 1] * spec.size[1]), -1)
    xy = (pixels - camera[..., None, 1:]) / camera[..., None, :1]
    z = (uvd[..., 2] - 0.5) * (spec.depth_span * bone)
    return xp.concatenate((xy, z[..., None]), -1) + root[..., None, :]


def fit_orthographic(relative, pixels):
    """The camera (3,) float64 that brings points relative to the root (N, 3) nearest to their pixels (N, 2); numpy."""
    rows = np.zeros((2 * len(relative), 3))
    rows[:, 0], rows[::2, 1], rows[1::2, 2] = np.asarray(relative, np.float64)[:, :2].ravel(), 1, 1
    return np.linalg.lstsq(rows, np.asarray(pixels, np.float64).ravel(), rcond=None)[0]
