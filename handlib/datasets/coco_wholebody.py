"""Annotations of COCO-WholeBody (Jin et al., ECCV 2020), as MSCOCO's and UBody's files have them.

Beside COCO's members: ``foot_kpts`` 6 x 3, ``lefthand_kpts`` and ``righthand_kpts`` 21 x 3, ``face_kpts`` 68 x 3, and
``lefthand``, ``righthand``, ``face`` + ``_valid`` and ``_box``. A keypoint is there where its third number is above 0.
"""

import dataclasses

import numpy as np

from handlib import body_joints
from handlib.datasets import coco, people
from handlib.datasets.base import Skip

_KEYPOINTS = {"keypoints": 17, "foot_kpts": 6, "lefthand_kpts": 21, "righthand_kpts": 21, "face_kpts": 68}
PARTS = ("lefthand", "righthand", "face")
_FIRST_OF_FACE = 17 + 1 + 6 + 21 + 21
_PLACE = {name: body_joints.COCO_WHOLEBODY.joints.index(name) for name in ("Nose", "Face_18", "L_Hip", "R_Hip")}


@dataclasses.dataclass(frozen=True)
class Person:
    """box (4,) px; whole: it is in whole numbers; joints (134, 3) float32 px and visibility, `COCO_WHOLEBODY`; seen:
    whether left hand, right hand and face are marked valid; boxes: of these, (3, 4) px.
    """

    box: np.ndarray
    whole: bool
    joints: np.ndarray
    seen: tuple
    boxes: np.ndarray


def person(path, item, where):
    """An annotation -> `Person`; or why it is none, as text. Raises InputError for odd members."""
    if item.get("iscrowd"):
        return "annotation is a crowd's"
    if not item.get("num_keypoints"):
        return "person has no keypoints"
    box, whole = coco.box(path, item, "bbox", where)
    body, feet, *rest = (coco.numbers(path, item, name, (n, 3), where) for name, n in _KEYPOINTS.items())
    hips = body[[_PLACE["L_Hip"], _PLACE["R_Hip"]]]
    pelvis = np.append(hips[:, :2].mean(0), hips[0, 2] * hips[1, 2])
    joints = np.concatenate([body, pelvis[None], feet, *rest]).astype(np.float32)
    seen = tuple(bool(item.get(f"{part}_valid", False)) for part in PARTS)
    boxes = np.zeros((3, 4), np.float32)
    for place, part in enumerate(PARTS):
        if seen[place]:
            boxes[place] = coco.numbers(path, item, f"{part}_box", (4,), where)
    return Person(box, whole, joints, seen, boxes)


def face_points(found):
    """The 68 points of the face (68, 2) px, those that are not visible as well."""
    return found.joints[_FIRST_OF_FACE:, :2]


def fields(found):
    """The fields of a person's joints. A nose stands in for a tip of the nose that is not visible, as published."""
    joints = found.joints.copy()
    if joints[_PLACE["Face_18"], 2] <= 0:
        joints[_PLACE["Face_18"]] = joints[_PLACE["Nose"]]
    return people.joints(body_joints.COCO_WHOLEBODY, joints[:, :2], joints[:, 2] > 0)


def sample(key, image_path, picture, image_id, number, found, fits, parts):
    """A `Person` and its fit, if ``fits`` has one by ``number``, as a sample; parts: fields of the parts' boxes.

    The camera is the fit's, else `people.virtual_camera`. Raises Skip.
    """
    out = people.start(key, image_path, picture, image_id, number)
    out |= people.boxed(key, found.box, found.whole, picture)
    camera = fits.camera(number)
    out["K"] = people.virtual_camera(found.box, picture) if camera is None else camera
    return out | fields(found) | fits.fields(number, found.seen) | parts


def listed(rows, key_of):
    """[(annotation's number, picture's number, `Person`) or Skip] of what `coco.read` gave."""
    return [
        Skip(key_of(image, number), found) if isinstance(found, str) else (number, image, found)
        for number, (image, found) in rows.items()
    ]
