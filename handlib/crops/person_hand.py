"""The crop that Pose2Pose's hand network takes, and the targets in it that need no hand model.

It follows hand-only Pose2Pose (Moon et al., CVPRW 2022), on the arithmetic of OpenCV 4. A left hand is always shown
mirrored, as a right one; a right hand never is: the published program draws as `handlib.crops.draw_person_published`
and leaves the flip out of account, as is done here. What needs MANO is made on the batch: `handlib.crops.hand_targets`.
"""

import cv2
import numpy as np

from handlib import geometry
from handlib.crops import mano, person
from handlib.files import InputError

INPUT = geometry.PersonInput(size=(256, 256), volume=(8, 8, 8), part="hand")
LARGEST_SHAPE = 3.0  # beyond it a fit's shape is not learned
_MIRROR = np.array([-1, 1, 1], np.float32)


def person_hand(sample, augmentation=None, root_depth="gt", input=INPUT, published=False):
    """One item for Pose2Pose's hand network.

    sample: a pack's sample of one hand (H = 1) with ``image``; augmentation: a `handlib.crops.ManoAugmentation` or
    None; root_depth: only "gt"; input: the network's ``input``; published: cut boxes annotated in whole numbers to
    whole pixels, as the published code does without meaning to. A box that is the tight one of the joints
    (``bbox_tight``) is enlarged by 1.5 first; one that is final is taken as it is; one that keeps nothing of the
    picture shows all of it.

    Returns {"image": float32 (3, h, w) RGB 0..1, "targets", "meta"}. Targets, float32, in the turned crop, left hands
    mirrored; volume: cells of ``input.volume``, 0.3 m of depth about the wrist:

    - ``joint_img`` (21, 3) volume, the depth in the middle where 2D alone; ``joint_cam`` (21, 3) m from the wrist;
      ``joint_valid``, ``joint_trunc`` (21, 1), the latter 0 outside the volume; ``is_3D`` (). Joints in 3D count only
      with their wrist. Of a data set whose joints are those of its fits (FreiHAND) none is valid: the fits say it all
    - ``mano_pose`` (48,) from the mean hand, ``mano_shape`` (10,), ``mano_pose_valid`` (48,), ``mano_shape_valid`` (),
      ``mano_joint_valid`` (21, 1)
    - ``fit_…``: what `hand_targets` makes the rest of, and takes away

    Meta: as `handlib.crops.mano_hand`. Raises InputError for a sample that is not of one hand, and where its
    picture was packed without what this crop shows.
    """
    if root_depth != "gt":
        mend = "write 'gt': the network answers relative to the wrist"
        raise InputError("root_depth", f"{root_depth!r} is not known for one hand", mend)
    augmentation = augmentation or mano.NO_AUGMENTATION
    view = View(sample, augmentation, input, published)
    return {
        "image": mano.shown(sample, view, augmentation.colour),
        "targets": targets_of(sample, augmentation, input, view),
        "meta": meta_of(sample, view),
    }


class View(person.View):
    """Where the crop lies; see `handlib.crops.mano.View`."""

    def __init__(self, sample, augmentation, spec, published):
        if len(sample.get("side", ())) != 1:
            mend = "pack InterHand2.6M and MSCOCO with part='hand': a sample for each hand"
            raise InputError(sample.get("key", "sample"), "is not of one hand", mend, field="side")
        seen = {name: sample[name] for name in ("width", "height", "bbox")}
        seen |= {name: bool(sample.get(name, False)) for name in ("bbox_final", "bbox_whole")}
        seen["bbox"] = geometry.hand_box(sample["bbox"], sample.get("bbox_tight", False))
        drawn = augmentation.scale, augmentation.rotation, augmentation.colour
        super().__init__(seen, person.PersonAugmentation(*drawn, sample["side"][0] == 1), spec, published)
        centres = (geometry.centred_square(box)[0] for box in (seen["bbox"], sample["bbox"]))
        self.needed += np.hypot(*np.subtract(*centres))  # both are cut to whole pixels


def targets_of(sample, augmentation, spec, view):
    """See `person_hand`."""
    turn = geometry.turn(-augmentation.rotation)
    out = _joints(sample, spec, view, turn) | _fit(sample, view, turn)
    return {name: np.asarray(value, np.float32) for name, value in out.items()}


def _joints(sample, spec, view, turn):
    three = bool(sample.get("is_3d", True))
    valid, known = _valid(sample, three)
    pixels, relative = np.zeros((21, 2), np.float32), np.zeros((21, 3), np.float32)
    if "joints_img" in sample:
        pixels[known] = sample["joints_img"][0][known]
    if three and known.any():
        joints = sample["joints_cam"][0]
        relative[known] = (joints - joints[:1])[known]
        if "joints_img" not in sample:
            pixels[known] = geometry.project(joints[known], sample["K"], eps=0.0)
    if view.flipped:
        pixels[:, 0] = sample["width"] - 1 - pixels[:, 0]
        relative = relative * _MIRROR
    depth = geometry.encode_depth(relative[:, 2], person.SPANS["rhand"], spec.volume[0])
    return person.joint_targets(pixels, relative, depth, valid, known, spec, view.affine, turn) | {"is_3D": three}


def _valid(sample, three):
    """Which joints are learned, and of which something stands in the targets."""
    valid = np.array(sample["joints_valid"][0], bool)
    if sample.get("joints_of_fit", False):
        return valid & False, valid & False
    if three:  # what is relative to a wrist that is not known is not known
        valid &= valid[0]
        return valid, valid
    return valid, np.ones(21, bool)


def _fit(sample, view, turn):
    """Parameters of the fit, mirrored and turned; and in the camera's frame as they are, for the joints."""
    placed = "transl_world" in sample or "transl_cam" in sample
    valid = bool(sample.get("mano_valid", (False,))[0]) and "pose_from_mean" in sample
    valid = valid and (placed or bool(sample["joints_valid"][0, 0]))
    pose, shape, transl = np.zeros(48, np.float32), np.zeros(10, np.float32), np.zeros(3)
    world, shift = np.eye(3), np.zeros(3)
    if valid:
        pose, shape = np.array(sample["pose_from_mean"][0], np.float32), np.array(sample["shape"][0], np.float32)
        if "transl_world" in sample:
            world, transl = sample["cam_rot"], sample["transl_world"][0]
            shift = -world @ sample["cam_pos"]
            turned = np.asarray(world, np.float32) @ cv2.Rodrigues(pose[:3])[0]
            pose[:3] = cv2.Rodrigues(turned)[0][:, 0]
        elif placed:
            transl = sample["transl_cam"][0]
        else:
            shift = sample["joints_cam"][0, 0]
    return {
        "mano_pose": mano.turned_pose(pose, turn, view.flipped) if valid else pose,
        "mano_shape": shape * (np.abs(shape) <= LARGEST_SHAPE).all(),
        "mano_pose_valid": np.full(48, valid),
        "mano_shape_valid": valid,
        "mano_joint_valid": np.full((21, 1), valid),
        "fit_pose": pose,
        "fit_shape": shape,
        "fit_transl": transl,
        "fit_world": world,
        "fit_shift": shift,
        "fit_at_wrist": not placed,
        "fit_flipped": view.flipped,
        "fit_K": sample["K"],
        "fit_affine": view.affine,
        "fit_turn": turn,
        "fit_width": sample["width"],
    }


def meta_of(sample, view):
    """See `person_hand`."""
    return mano.meta_of(sample, view)
