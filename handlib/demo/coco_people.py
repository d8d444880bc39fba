"""People of a picture as COCO-WholeBody annotates them, and their parameters as NeuralAnnot writes its fits."""

import numpy as np

from handlib import __version__, body_joints, geometry
from handlib.bodies import free_body
from handlib.files import write_json

_KEYPOINTS = {"keypoints": (0, 17), "foot_kpts": (18, 24), "lefthand_kpts": (24, 45), "righthand_kpts": (45, 66),
              "face_kpts": (66, 134)}  # fmt: skip  # rows of COCO_WHOLEBODY
PARTS = {"lefthand": 1, "righthand": 2, "face": 3}  # rows of `people_studio.PARTS`
_ENOUGH = 0.5  # of a hand or face must be seen to be annotated
_NOT_FITTED = ("transl", "leye_pose", "reye_pose")


def annotations(shot, found):
    """The members of one annotation per person of a `Shot`, None for somebody of whom nothing is seen.

    found: what `people_studio.seen` says. Third numbers of keypoints: 2 seen, 1 hidden, 0 not there.
    """
    height, width = shot.camera.size
    made = []
    for number, person in enumerate(shot.people):
        box = found["boxes"][number, 0]
        if not box[2:].all():
            made.append(None)
            continue
        pixels = geometry.project(person.joints, shot.camera.K)[:, :2]
        inside = ((pixels > -0.5) & (pixels < [width - 0.5, height - 0.5])).all(1) & (person.joints[:, 2] > 0)
        points = np.concatenate([pixels.round(2), (inside + (inside & found["visible"][number]))[:, None]], 1)
        points[~inside] = 0
        item = {"category_id": 1, "iscrowd": 0, "bbox": box.tolist(), "area": float(box[2] * box[3])}
        item |= {"segmentation": []} | _parts(points, found["boxes"][number], found["shares"][number])
        item["num_keypoints"] = int((np.array(item["keypoints"])[2::3] > 0).sum())
        made.append(item)
    return made


def _parts(points, boxes, shares):
    """The members of body, feet, hands and face. points (137, 3)."""
    source, target = body_joints.SMPLX137, body_joints.COCO_WHOLEBODY
    rows, _ = body_joints.by_name(points, np.ones(len(points), bool), source, target)
    for side in "LR":  # a hand's first point is the wrist
        rows[target.joints.index(f"{side}_Wrist_Hand")] = points[source.joints.index(f"{side}_Wrist")]
    made = {}
    for part, row in PARTS.items():
        seen = bool(shares[row] > _ENOUGH)
        made[f"{part}_valid"], made[f"{part}_box"] = seen, boxes[row].tolist() if seen else [0.0] * 4
        if not seen:
            low, high = _KEYPOINTS[f"{part}_kpts"]
            rows[low:high] = 0
    return made | {name: rows[low:high].ravel().tolist() for name, (low, high) in _KEYPOINTS.items()}


def fit(person, camera, item, K=None):
    """A person's parameters and camera as an entry of a file of fits; item: the annotation, which says what is seen.

    K (3, 3): another camera than the one that took the picture; the person stands before it as large, the pelvis at
    the same pixel.
    """
    named = {name: value for name, value in person.parameters.items() if name not in _NOT_FITTED}
    named["trans"] = person.parameters["transl"] + (0 if K is None else _moved(person.joints[0], camera.K, K))
    made = {name: np.asarray(value, np.float64).round(7).tolist() for name, value in named.items()}
    made |= {f"{short}_valid": item[f"{part}_valid"] for short, part in
             (("lhand", "lefthand"), ("rhand", "righthand"), ("face", "face"))}  # fmt: skip
    K = camera.K if K is None else K
    return {
        "smplx_param": made,
        "cam_param": {"focal": [float(K[0, 0]), float(K[1, 1])], "princpt": [float(K[0, 2]), float(K[1, 2])]},
    }


def _moved(point, old, new):
    """What takes a point (3,) m before one camera to where another one sees it as large at the same pixel."""
    depth = point[2] * new[0, 0] / old[0, 0]
    there = np.linalg.inv(new) @ (old @ point / point[2]) * depth
    return there - point


def image(number, name, size):
    """An entry of ``images``; size (height, width)."""
    return {"id": number, "file_name": name, "height": size[0], "width": size[1]}


def write_marker(folder):
    """Say beside the annotations which body model they are of."""
    write_json(folder / "body_model.json", {"model": "handlib free body", "version": __version__,
                                            "source": free_body.SOURCE})  # fmt: skip
