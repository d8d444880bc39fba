"""A small HO-3D folder for tests, in the official layout, with annotations pickled as Python 2 and 3 do."""

import json
import pickle

import cv2
import numpy as np
import python2_pickle

TRAIN = ("ABF10/0000", "ABF11/0000", "MC1/0003", "MC1/0007", "SS2/0012")
EVALUATION = ("SM1/0001", "SM1/0002", "AP13/0005")
# From HO-3D's order (wrist; index, middle, little, ring, thumb base to end; tips thumb to little) to the house's.
TO_HOUSE = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]


def build(root, ending=".png", truth=False):
    """Write the tree below ``root``; returns ``root``."""
    for part, names in (("train", TRAIN), ("evaluation", EVALUATION)):
        for number, name in enumerate(names):
            write(root, part, name, annotation(part, number), ending)
        (root / f"{part}.txt").write_text("\n".join(names) + "\n")
    if truth:
        for kind, points in zip(("xyz", "verts"), truths(), strict=True):
            (root / f"evaluation_{kind}.json").write_text(json.dumps(points.tolist()))
    return root


def write(root, part, name, found, ending=".png"):
    sequence, number = name.split("/")
    path = root / part / sequence / "rgb" / f"{number}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.indices((480, 640))
    cv2.imwrite(str(path), np.stack([x // 3, 255 - y // 2, (x ^ y) % 256], 2).astype(np.uint8))
    path = meta(root, part, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(python2_pickle.dumps(found) if sequence == "MC1" else pickle.dumps(found, protocol=2))


def meta(root, part, name):
    sequence, number = name.split("/")
    return root / part / sequence / "meta" / f"{number}.pkl"


def annotation(part, number):
    """As the official ones: OpenGL axes, HO-3D's order of joints."""
    rng = np.random.default_rng([number, part == "train"])
    joints = rng.uniform(-0.06, 0.06, (21, 3)) + [0.02, -0.03, -0.6]
    found = {"camMat": np.array([[614.6, 0, 320.3], [0, 614.1, 241.2], [0, 0, 1]]), "objName": "006_mustard_bottle",
             "objLabel": 5, "objRot": rng.normal(0, 1, (3, 1)), "objTrans": joints[4] + 0.02}  # fmt: skip
    if part == "evaluation":
        return found | {"handJoints3D": truths()[0][number, 0], "handBoundingBox": [300, 210, 420, 350 + number]}
    return found | {"handPose": rng.normal(0, 0.4, 48), "handBeta": rng.normal(0, 1, 10), "handJoints3D": joints,
                    "handTrans": joints[0]}  # fmt: skip


def truths():
    """(joints (3, 21, 3), vertices (3, 778, 3)) of the evaluation frames."""
    rng = np.random.default_rng(3)
    return tuple(rng.uniform(-0.06, 0.06, (len(EVALUATION), count, 3)) + [0, 0, -0.55] for count in (21, 778))


def derived(root, part="train", mean=0.0, order=None):
    """HandOccNet's file of the same frames -> its path. The conversion is written out again here, not handlib's."""
    images, annotations = [], []
    names = TRAIN if part == "train" else EVALUATION
    for number in order or range(len(names)):
        found, flip = annotation(part, number), np.diag([1.0, -1, -1])
        sequence, frame = names[number].split("/")
        images.append({"id": 50 + number, "file_name": f"{sequence}/rgb/{frame}.png", "width": 640, "height": 480})
        K = found["camMat"]
        camera = {"focal": [K[0, 0], K[1, 1]], "princpt": [K[0, 2], K[1, 2]]}
        own = {"id": 900 - number, "image_id": 50 + number, "cam_param": camera}
        if part == "train":
            turn = cv2.Rodrigues(flip @ cv2.Rodrigues(found["handPose"][:3])[0])[0].ravel()
            pose = [*turn, *(found["handPose"][3:] - mean)]
            own["mano_param"] = {"pose": pose, "shape": found["handBeta"].tolist()}
            own["joints_coord_cam"] = (found["handJoints3D"] @ flip)[TO_HOUSE].tolist()
        else:
            x, y, right, bottom = found["handBoundingBox"]
            own |= {"root_joint_cam": (flip @ found["handJoints3D"]).tolist(), "bbox": [x, y, right - x, bottom - y]}
        annotations.append(own)
    path = root / "annotations" / f"HO3D_{part}_data.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path
