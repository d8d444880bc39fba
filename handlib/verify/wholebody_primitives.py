"""Single operations of the whole-body programs: rotations, soft-argmax, sampling, cuts, boxes, maps, camera, alignment.

Layers and regressors are compared in `wholebody_layers`.
"""

import numpy as np
import torch

from handlib import alignment, geometry
from handlib.networks import pose2pose, whole_body
from handlib.networks.blocks import heads, person, regions, sixd, volumes
from handlib.verify import Row, Skip
from handlib.verify.reference import deviation

EXACT, UNIT, PIXEL, CELL = 0.0, 1e-5, 1e-4, 1e-4
ELSEWHERE = ("smplx_", "mano_", "hand_regressor_", "j14", "deform_", "sine_")  # compared by other modules
VOLUMES = {"h4w": (8, 8, 6), "osx": (16, 16, 12)}


def operations(ref):
    """Every operation of every file of primitives/."""
    for source in ("h4w", "osx", "p2p"):
        name = f"primitives/primitives_{source}.npz"
        if not ref.has(name):
            yield Skip(source, f"there is no {name}")
            continue
        stored, known = ref.npz(name), set()
        for begin, check in CHECKED.items():
            names = {key for key in stored if key.startswith(begin)}
            if names:
                known |= names
                yield from check(source, stored)
        for key in sorted(key for key in stored.keys() - known if not key.startswith(ELSEWHERE)):
            yield Skip(f"{source}/{key}", "no check knows this operation")


def _rotations(source, stored):
    ours = sixd.rotvec(torch.from_numpy(stored["rot6d"]))
    yield Row(source, "rot6d_axis_angle rad", deviation(ours, stored["rot6d_axis_angle"]), UNIT)


def _soft_argmax(source, stored):
    volume, plane = (torch.from_numpy(stored[f"soft_argmax_{n}d_in"]) for n in (3, 2))
    places = volumes.expected_place(volumes.volume_softmax(volume))
    yield Row(source, "soft_argmax_3d cells", deviation(places, stored["soft_argmax_3d_out"]), UNIT)
    places = heads.expected_cell(heads.spatial_softmax(plane))
    yield Row(source, "soft_argmax_2d cells", deviation(places, stored["soft_argmax_2d_out"]), UNIT)


def _sampling(source, stored):
    ours = volumes.at_places(*(torch.from_numpy(stored[f"sample_{name}"]) for name in ("feat", "xy")))
    yield Row(source, "features sampled", deviation(ours, stored["sample_out"]), UNIT)


def _regions(source, stored):
    features, boxes = (torch.from_numpy(stored[name]) for name in ("roi_in", "roi_boxes"))
    for name in (name for name in stored if name.startswith("roi_out_")):
        size = tuple(int(cells) for cells in name.removeprefix("roi_out_").split("x"))
        ours = regions.roi_align(features, boxes[:, 1:], size, boxes[:, 0].long())
        yield Row(source, f"{name}", deviation(ours, stored[name]), UNIT)


def _alignment(source, stored):
    predicted, truth = stored["align_A"][None], stored["align_B"][None]
    ours, _ = alignment.similarity(predicted, truth, reflection=False)
    yield Row(source, "similarity", deviation(ours[0], stored["align_out"]), UNIT)


def _camera(source, stored):
    parameters = torch.from_numpy(stored["cam_param"])
    hand, body = pose2pose.Pose2PoseHand, pose2pose.Pose2PoseBody
    known = {
        "cam_trans": (person.PERSON_SPAN, person.PERSON),
        "cam_trans_hand": (hand.span, hand.input.size),
        "cam_trans_body": (body.span, body.input.size),
    }
    for name, (span, size) in known.items():
        if name in stored:
            yield Row(source, f"{name} m", deviation(person.camera(parameters, span, size), stored[name]), UNIT)


def _boxes(source, stored):
    """What is kept of boxes in a picture, and what is cut out for the network."""
    size = stored["bbox_in_image_wh"] if "bbox_in_image_wh" in stored else (400, 300)
    spec = pose2pose.Pose2PoseHand.input if source == "p2p" else geometry.PersonInput()
    cut = [geometry.person_box(box, *size, spec) for box in stored["bbox_in_xywh"]]
    if "process_bbox_ok" in stored:
        wrong = sum((box is not None) != ok for box, ok in zip(cut, stored["process_bbox_ok"], strict=True))
        yield Row(source, "boxes accepted (how many differ)", float(wrong), EXACT)
    yield Row(source, "process_bbox px", deviation(_or_zeros(cut), stored["process_bbox_out"]), PIXEL)
    if "sanitize_bbox_out" in stored:
        kept = _or_zeros([geometry.inside_box(box, *size) for box in stored["bbox_in_xywh"]])
        yield Row(source, "sanitize_bbox px", deviation(kept, stored["sanitize_bbox_out"]), PIXEL)


def _or_zeros(boxes):
    return np.array([np.zeros(4) if box is None else box for box in boxes])


def _maps(source, stored):
    size = geometry.PersonInput().size
    for name, back in (("affine_fwd", False), ("affine_inv", True)):
        ours = [
            geometry.crop_affine(row[:2], row[2:4], size, row[4], np.pi * row[5] / 180, back)
            for row in stored["affine_in_cx_cy_w_h_scale_rot"]
        ]
        yield Row(source, f"{name} px", deviation(ours, stored[name]), PIXEL)


def _restored(source, stored):
    """Boxes from centre and size, in the small picture's pixels."""
    _, height, width = VOLUMES[source]
    unit = torch.tensor([person.PERSON[0] / width, person.PERSON[1] / height])
    centre, size = (torch.from_numpy(stored[f"restore_{name}"]) * unit for name in ("center", "size"))
    for name, part in (("restore_hand_1_2", "rhand"), ("restore_face_1_1p5", "face")):
        ours = regions.around(centre, size, 1.0, whole_body.SCALES[part])
        yield Row(source, f"{name} px", deviation(ours, stored[name]), CELL)


def _resized(source, stored):
    """A box about its centre, given by its corners."""
    corners = stored["resize_bbox_in_xyxy"]
    for name in (name for name in stored if name.startswith("resize_bbox_0") or name.startswith("resize_bbox_1")):
        factor = float(name.removeprefix("resize_bbox_").replace("p", "."))
        ours = geometry.enlarged_box(np.concatenate([corners[:2], corners[2:] - corners[:2]]), factor)
        ours = np.concatenate([ours[:2], ours[:2] + ours[2:]])
        yield Row(source, f"{name} px", deviation(ours, stored[name]), PIXEL)


CHECKED = {  # what the names begin with
    "rot6d": _rotations, "soft_argmax": _soft_argmax, "sample_": _sampling, "roi_": _regions, "align_": _alignment,
    "cam_": _camera, "bbox_in": _boxes, "process_bbox": lambda *_: (), "sanitize_bbox": lambda *_: (),
    "affine_": _maps, "restore_": _restored, "resize_bbox": _resized,
}  # fmt: skip
CHECKS = [operations]
