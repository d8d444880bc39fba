"""The crop that a whole-body network takes of one person, and the targets in it that need no body model.

It follows Hand4Whole (Moon et al., CVPRW 2022) and OSX (Lin et al., CVPR 2023), on the arithmetic of OpenCV 4. What
needs SMPL-X is made on the batch: `handlib.crops.person_targets`.
"""

import dataclasses

import cv2
import numpy as np

from handlib import body_joints, geometry
from handlib.crops import mano
from handlib.files import InputError

FLIP_CHANCE = 0.5  # as published
SPANS = {"body": 2.0, "lhand": 0.3, "rhand": 0.3, "face": 0.3}  # metres of depth that the heat volume covers
_PARTS = body_joints.PARTS137
_ROOTS = {"lhand": _PARTS["lwrist"], "rhand": _PARTS["rwrist"], "face": _PARTS["neck"]}  # what they are relative to
_MIRROR137, _MIRROR53, _MIRROR24 = (
    body_joints.mirrored(joints) for joints in (body_joints.SMPLX137, body_joints.POSES53, body_joints.SMPL24)
)
_FROM55 = np.array([body_joints.SMPLX55.joints.index(name) for name in body_joints.POSES53.joints])
_LARGEST_SHAPE = 3.0  # beyond it a fit's shape is not learned
BOXES = ("lhand_bbox", "rhand_bbox", "face_bbox")


@dataclasses.dataclass(frozen=True)
class PersonAugmentation(mano.ManoAugmentation):
    """One draw: as `ManoAugmentation`, and ``flip``: the picture is mirrored first, so left and right change places."""

    flip: bool = False


NO_AUGMENTATION = PersonAugmentation()


def draw_person(
    rng, scale=mano.SCALE, rotation_degrees=mano.ROTATION_DEGREES, colour=mano.COLOUR,
    rotation_chance=mano.ROTATION_CHANCE, flip_chance=FLIP_CHANCE,
):  # fmt: skip
    """A random augmentation of the given strengths (defaults: the published ones, those of `handlib.crops.draw_mano`);
    ``rng`` is a numpy Generator.
    """
    drawn = mano.draw_mano(rng, scale, rotation_degrees, colour, rotation_chance)
    return PersonAugmentation(drawn.scale, drawn.rotation, drawn.colour, bool(rng.random() <= flip_chance))


def draw_person_published(np_rng, py_rng):
    """The draws of the published code in its order; see `handlib.crops.draw_mano_published`."""
    drawn = mano.draw_mano_published(np_rng, py_rng)
    return PersonAugmentation(drawn.scale, drawn.rotation, drawn.colour, py_rng.random() <= FLIP_CHANCE)


def person(
    sample, augmentation=None, root_depth="gt", input=geometry.PersonInput(), published=False  # noqa: B008 (frozen)
):  # fmt: skip
    """One item for a whole-body network (Hand4Whole, OSX; of a body alone, Pose2Pose's).

    sample: a pack's sample of a person, with ``image``; augmentation: a `PersonAugmentation` or None; root_depth: only
    "gt"; input: the network's ``input``; published: cut boxes annotated in whole numbers to whole pixels, as the
    published code does without meaning to. A sample whose box keeps nothing of the picture shows all of it.

    Returns {"image": float32 (3, h, w) RGB 0..1, "targets", "meta"}. Targets, float32, in the turned and mirrored crop;
    volume: cells of ``input.volume``, metres of depth of a part on ``SPANS``:

    - ``joint_img`` (137, 3) volume, depth 0 where 2D alone; ``joint_cam`` (137, 3) m from the pelvis, of hands from
      their wrist, of the face from the neck; ``joint_valid``, ``joint_trunc`` (137, 1), the latter 0 outside the
      volume; ``is_3D`` (); zeros where a data set has no such joint
    - ``lhand_bbox_center``, ``_size`` (2,) volume and ``lhand_bbox_valid`` (), so for rhand and face
    - ``smplx_pose`` (159,) of POSES53, ``smplx_shape``, ``smplx_expr`` (10,), ``smplx_pose_valid`` (159,),
      ``smplx_shape_valid``, ``smplx_expr_valid`` (), ``smplx_joint_valid`` (137, 1)
    - ``fit_…``: what `person_targets.targets_from_fits` makes the rest of, and takes away
    - of a sample that may have a fit of SMPL also ``smpl_pose``, ``smpl_pose_valid`` (72,), ``smpl_shape`` (10,),
      ``smpl_shape_valid`` (), and what `smpl_targets` makes the rest of

    Meta: ``affine`` (mirrored) picture -> crop and ``inverse``, float32 (2, 3); ``bbox`` (4,) float32 what was cropped,
    before mirroring; ``flipped``, ``index``, ``hw_size``, ``K``; ``picture_inverse`` (2, 3) crop -> the picture that
    the sample's was cut from, ``smplx_verts`` where the sample has them.
    """
    if root_depth != "gt":
        raise InputError("root_depth", f"{root_depth!r} is not known for a person", "write 'gt'")
    augmentation = augmentation or NO_AUGMENTATION
    view = View(sample, augmentation, input, published)
    return {
        "image": mano.shown(sample, view, augmentation.colour),
        "targets": {name: value[0] for name, value in targets_of([sample], [augmentation], input, [view]).items()},
        "meta": meta_of(sample, view),
    }


class View:
    """Where the crop lies; see `handlib.crops.mano.View`."""

    def __init__(self, sample, augmentation, spec, published):
        width, height = sample["width"], sample["height"]
        self.flipped, self.size = bool(augmentation.flip), spec.size
        if sample["bbox_final"]:
            self.box = np.asarray(sample["bbox"], np.float32)
        else:
            whole = published and bool(sample["bbox_whole"])
            self.box = geometry.person_box(sample["bbox"], width, height, spec, whole)
            if self.box is None:
                self.box = geometry.person_box((0, 0, width, height), width, height, spec)
        x, y, w, h = self.box
        middle = (float(x + np.float32(0.5) * w), float(y + np.float32(0.5) * h))
        if self.flipped:
            middle = (width - middle[0] - 1, middle[1])
        scale, rotation = augmentation.scale, augmentation.rotation
        self.affine, self.inverse = (
            geometry.crop_affine(middle, (float(w), float(h)), spec.size, scale, rotation, back)
            for back in (False, True)
        )
        beside = self.box[:2] + self.box[2:] / 2 - geometry.centred_square(sample["bbox"])[0]
        self.needed = np.hypot(*beside) + np.hypot(*self.box[2:]) * scale / 2


def targets_of(samples, augmentations, spec, views):
    """See `person`; of a list of samples, their draws and views at once: float32 (B, ...) each."""
    turns = np.stack([geometry.turn(-one.rotation) for one in augmentations])
    flipped, affines = np.array([view.flipped for view in views]), np.stack([view.affine for view in views])
    placing = flipped, _column(samples, "width", np.float32), affines, turns
    out = _joints(samples, spec, *placing) | _boxes(samples, spec, *placing[:3]) | _fit(samples, *placing)
    out |= _smpl_fit(samples, flipped, turns) if "smpl_valid" in samples[0] else {}
    return {name: np.asarray(value, np.float32) for name, value in out.items()}


def _column(samples, name, dtype=None):
    return np.array([sample[name] for sample in samples], dtype)


def _exchanged(values, flipped, order):
    """(B, J, ...) with the joints of left and right exchanged where the picture is mirrored."""
    values[flipped] = values[flipped][:, order]
    return values


def _joints(samples, spec, flipped, widths, affines, turns):
    pixels, valid = _column(samples, "person_joints_img", np.float32), _column(samples, "person_joints_valid", bool)
    three = _column(samples, "is_3d", bool)
    relative = part_relative(np.where(three[:, None, None], _column(samples, "person_joints_cam", np.float32), 0))
    depth = volume_depth(relative[..., 2], spec) * three[:, None]
    known = valid | (pixels != 0).any(-1)
    pixels, relative, depth, valid, known = (
        _exchanged(values, flipped, _MIRROR137) for values in (pixels, relative, depth, valid, known)
    )
    pixels[flipped, :, 0] = widths[flipped, None] - 1 - pixels[flipped, :, 0]
    relative[flipped] *= np.array([-1, 1, 1], np.float32)
    placed = joint_targets(pixels, relative, depth, valid, known, spec, affines, turns)
    return placed | {"is_3D": three, "fit_joints": _column(samples, "joints_of_fit")}


def joint_targets(pixels, relative, depth, valid, known, spec, affine, turn):
    """Joints of the (mirrored) picture as targets: pixels (..., J, 2), relative (..., J, 3) m, depth (..., J) cells;
    ``valid`` ones are learned, those that are not ``known`` are zeros. affine (..., 2, 3), turn (..., 3, 3).
    """
    placed = np.concatenate([in_volume(geometry.apply_affine(pixels, affine), spec), depth[..., None]], -1)
    placed = placed * known[..., None]
    inside = ((placed >= 0) & (placed < np.array(spec.volume[::-1]))).all(-1)
    return {
        "joint_img": placed,
        "joint_cam": (relative @ turn.swapaxes(-1, -2)) * known[..., None],
        "joint_valid": valid[..., None],
        "joint_trunc": (valid & inside)[..., None],
    }


def part_relative(joints):
    """(137, 3) m -> from the pelvis, of hands from their wrists, of the face from the neck; numpy or torch (…)."""
    out = joints - joints[..., :1, :]
    for part, root in _ROOTS.items():
        out[..., _PARTS[part], :] = joints[..., _PARTS[part], :] - joints[..., root : root + 1, :]
    return out


def volume_depth(depth, spec):
    """(…, 137) m from each part's root -> cells of the heat volume; numpy or torch."""
    out = depth * 0
    for part, span in SPANS.items():
        out[..., _PARTS[part]] = geometry.encode_depth(depth[..., _PARTS[part]], span, spec.volume[0])
    return out


def in_volume(pixels, spec):
    """(…, 2) crop pixels -> cells of the heat volume; numpy."""
    return pixels / np.array(spec.size, np.float32) * np.array(spec.volume[:0:-1], np.float32)


def _boxes(samples, spec, flipped, widths, affines):
    """Corners mirrored, through the map, and the upright rectangle about them."""
    valid = _column(samples, "part_bbox_valid", bool)
    boxes = np.array([[sample[name] for name in BOXES] for sample in samples], np.float64)
    low, high = boxes[..., :2].copy(), boxes[..., :2] + boxes[..., 2:]
    ends = widths[flipped, None] - 1 - high[flipped, :, 0], widths[flipped, None] - 1 - low[flipped, :, 0]
    low[flipped, :, 0], high[flipped, :, 0] = ends
    low, high, valid = (_exchanged(values, flipped, [1, 0, 2]) for values in (low, high, valid))
    corners = np.empty((len(samples), len(BOXES), 4, 2), np.float32)
    corners[..., :2, 1], corners[..., 2:, 1] = low[..., 1:], high[..., 1:]
    corners[..., ::3, 0], corners[..., 1:3, 0] = low[..., :1], high[..., :1]
    placed = in_volume(geometry.apply_affine(corners, affines[:, None]), spec)
    low, high = placed.min(2), placed.max(2)
    low[~valid], high[~valid] = 0, 1  # as published
    out = {}
    for place, name in enumerate(BOXES):
        out[f"{name}_center"] = (low[:, place] + high[:, place]) / 2
        out[f"{name}_size"], out[f"{name}_valid"] = high[:, place] - low[:, place], valid[:, place]
    return out


def _fit(samples, flipped, widths, affines, turns):
    """Parameters of the fits, mirrored and turned; and as they are, for the joints."""
    body, face = _column(samples, "smplx_valid", bool)[:, [0, 3]].T
    own = {name: _column(samples, f"smplx_{name}") for name in ("pose", "shape", "expr", "transl", "world")}
    rotations = _exchanged(_column(samples, "smplx_pose_valid")[:, _FROM55], flipped, _MIRROR53)
    pose = _turned(own["pose"][:, _FROM55], body, flipped, turns, _MIRROR53)
    return {
        "smplx_pose": pose.reshape(-1, 159),
        "smplx_shape": _near(own["shape"]),
        "smplx_expr": own["expr"],
        "smplx_pose_valid": np.repeat(rotations, 3, 1),
        "smplx_shape_valid": body,
        "smplx_expr_valid": face,
        "smplx_joint_valid": _exchanged(_column(samples, "smplx_joints_valid"), flipped, _MIRROR137)[..., None],
        **{f"fit_{name}": values for name, values in own.items()},
        "fit_valid": body,
        "fit_K": _column(samples, "K"),
        "fit_affine": affines,
        "fit_turn": turns,
        "fit_flipped": flipped,
        "fit_width": widths,
    }


def _smpl_fit(samples, flipped, turns):
    """As `_fit`, of SMPL."""
    valid = _column(samples, "smpl_valid", bool)
    own = {name: _column(samples, f"smpl_{name}") for name in ("pose", "shape", "transl", "world")}
    return {
        "smpl_pose": _turned(own["pose"], valid, flipped, turns, _MIRROR24).reshape(-1, 72),
        "smpl_shape": _near(own["shape"]),
        "smpl_pose_valid": np.repeat(valid[:, None], 72, 1),
        "smpl_shape_valid": valid,
        **{f"fit_smpl_{name}": values for name, values in own.items()},
    }


def _turned(pose, valid, flipped, turns, mirror):
    """Axis-angle (B, J, 3), mirrored where the picture is, the first of ``valid`` ones turned with the crop."""
    pose = _exchanged(np.array(pose, np.float32), flipped, mirror)
    pose[flipped] *= np.array([1, -1, -1], np.float32)
    for place in np.flatnonzero(valid):
        pose[place, 0] = cv2.Rodrigues(turns[place] @ cv2.Rodrigues(pose[place, 0])[0])[0][:, 0]
    return pose


def _near(shape):
    """Shapes (B, 10), zeros where one is too far from the mean."""
    return shape * (np.abs(shape) <= _LARGEST_SHAPE).all(1)[:, None]


def meta_of(sample, view):
    """See `person`."""
    inverse = view.inverse.astype(np.float64)
    if "picture_affine" in sample:
        back = mano.back(sample["picture_affine"])
        inverse = back[:, :2] @ inverse
        inverse[:, 2] += back[:, 2]
    meta = {
        "affine": view.affine,
        "inverse": view.inverse,
        "picture_inverse": inverse,
        "bbox": view.box,
        "flipped": view.flipped,
        "index": sample.get("index", -1),
        "hw_size": np.array([sample["height"], sample["width"]]),
        "K": sample["K"],
    }
    return meta | {name: sample[name] for name in ("smplx_verts",) if name in sample}
