"""Free hands in the layouts that hand-only Pose2Pose learns from: FreiHAND (the release, and files derived from it),
InterHand2.6M, MSCOCO. Pictures show the joints as blobs, each of its own colour.
"""

import json

import cv2
import numpy as np
import torch

from handlib import bodies, fields, geometry
from handlib.bodies import mirror

K = geometry.intrinsics((480.0, 470.0), (112.0, 110.0))
MODEL = {"model": "handlib free hand"}
COLOURS = np.random.default_rng(9).integers(60, 255, (21, 3)).tolist()


def layer(side):
    return bodies.load("free", ("mano_right", "mano_left")[side])


def posed(number, side=0, place=(0.0, 0.0, 0.6)):
    """A hand's pose (48,) from the mean, shape (10,), transl (3,), verts (778, 3), joints (21, 3) with FreiHAND's tips;
    metres.
    """
    rng = np.random.default_rng(number)
    pose = np.concatenate([0.5 * rng.standard_normal(3), 0.15 * rng.standard_normal(45)])
    shape = 0.5 * rng.standard_normal(10)
    made = layer(side)(pose=torch.tensor(pose), shape=torch.tensor(shape), mean_added=False)
    transl = np.array(place) - made["joints"][0].double().numpy()
    verts, joints = (made[name].double().numpy() + transl for name in ("verts", "joints"))
    joints = bodies.joints21(verts, joints, "freihand")
    return {"pose": pose, "shape": shape, "transl": transl, "joints": joints, "verts": verts}


def picture(path, pixels, size=(224, 224)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((*size[::-1], 3), 30, np.uint8)
    for (x, y), colour in zip(pixels, COLOURS, strict=True):
        cv2.circle(image, (round(x), round(y)), 4, colour, -1)
    cv2.imwrite(str(path), image)


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def freihand(root, count=3, truth=True):
    """The release: ``count`` hands in training, with four backgrounds, and in evaluation. Returns {split: hands}."""
    hands = {"training": [posed(n) for n in range(count)], "evaluation": [posed(50 + n) for n in range(count)]}
    for split, own in hands.items():
        write(root / f"{split}_K.json", [K.tolist()] * count)
        if truth or split == "training":
            write(root / f"{split}_xyz.json", [one["joints"].tolist() for one in own])
            write(root / f"{split}_verts.json", [one["verts"].tolist() for one in own])
            mano = [[[*one["pose"], *one["shape"], 0, 0, 1]] for one in own]
            write(root / f"{split}_mano.json", mano)
        for number in range(count * (4 if split == "training" else 1)):
            pixels = geometry.project(own[number % count]["joints"], K)
            picture(root / split / "rgb" / f"{number:08d}.jpg", pixels)
    write(root / "body_model.json", MODEL)
    return hands


def derived(root, hands):
    """Pose2Pose's files of the same release; RootNet's boxes are the whole pictures."""
    camera = {"focal": [K[0, 0], K[1, 1]], "princpt": [K[0, 2], K[1, 2]]}
    for part, split in (("train", "training"), ("eval", "evaluation")):
        images, notes, data = [], [], {}
        for number, one in enumerate(hands[split]):
            name = f"{split}/rgb/{number:08d}.jpg"
            images.append({"id": number, "file_name": name, "width": 224, "height": 224, "db_idx": number})
            box = geometry.tight_box(geometry.project(one["joints"], K)).tolist() if part == "train" else [0, 0, 1, 1]
            notes.append({"id": number, "image_id": number, "bbox": box})
            data[number] = {"cam_param": camera}
            if part == "train":
                fit = {"pose": one["pose"].tolist(), "shape": one["shape"].tolist(), "trans": one["transl"].tolist()}
                data[number] |= {"mano_param": fit, "joint_3d": one["joints"].tolist()}
        write(root / f"freihand_{part}_coco.json", {"images": images, "annotations": notes})
        write(root / f"freihand_{part}_data.json", data)
    boxes = [{"image_id": n, "bbox": [0.0, 0.0, 224.0, 224.0], "root_cam": [0, 0, 600]} for n in range(len(images))]
    write(root / "rootnet_output" / "bbox_root_freihand_output.json", boxes)
    return root


def interhand(root, cameras=2, frames=2):
    """Two hands seen by some cameras; the last frame's left wrist is not annotated. Returns both hands, right first."""
    hands = [posed(number, side, (0.06 - 0.12 * side, 0.02, 0.05)) for number, side in ((1, 0), (2, 1))]
    world = fields.interhand42(np.stack([one["joints"] for one in hands]))
    data, camera = {"images": [], "annotations": []}, {name: {} for name in ("campos", "camrot", "focal", "princpt")}
    for c in range(cameras):
        turn = cv2.Rodrigues(np.array([0.1, 0.2 * c, 0.05]))[0]
        position = -turn.T @ [0.0, 0.0, 0.7]
        camera["campos"][str(400 + c)], camera["camrot"][str(400 + c)] = (position * 1000).tolist(), turn.tolist()
        camera["focal"][str(400 + c)], camera["princpt"][str(400 + c)] = [500.0, 510.0], [160.0, 120.0]
        for frame in range(frames):
            number, name = len(data["images"]), f"Capture0/ROM01/cam{400 + c}/image{frame}.png"
            valid = np.ones(42, int)
            valid[41] = frame < frames - 1
            place = {"capture": 0, "subject": 0, "seq_name": "ROM01", "camera": str(400 + c), "frame_idx": frame}
            data["images"].append({"id": number, "file_name": name, "width": 320, "height": 240} | place)
            note = {"id": number, "image_id": number, "bbox": [10.0, 10, 300, 220], "joint_valid": valid.tolist()}
            data["annotations"].append(note | {"hand_type": "interacting", "hand_type_valid": 1})
            shown = geometry.project(world[:21] @ turn.T + [0, 0, 0.7], geometry.intrinsics((500, 510), (160, 120)))
            picture(root / "images" / "train" / name, shown, (320, 240))
    fits = {side: {"pose": one["pose"].tolist(), "shape": one["shape"].tolist(), "trans": one["transl"].tolist()}
            for side, one in zip(("right", "left"), hands, strict=True)}  # fmt: skip
    joints = {"world_coord": (world * 1000).tolist(), "joint_valid": [[1]] * 42, "hand_type": "interacting"}
    for kind, value in {
        "data": data, "camera": {"0": camera}, "joint_3d": {"0": {str(f): joints for f in range(frames)}},
        "MANO_NeuralAnnot": {"0": {str(f): fits for f in range(frames)}},
    }.items():  # fmt: skip
        write(root / "annotations" / "train" / f"InterHand2.6M_train_{kind}.json", value)
    write(root / "annotations" / "body_model.json", MODEL)
    return hands


def mscoco(root, persons=2):
    """Persons whose hands both lie in the picture; the last one is a crowd's, has no fit, and its right box no area."""
    notes, fits, hands = [], {}, {}
    for number in range(persons):
        note = {"id": 10 + number, "image_id": number, "iscrowd": int(number == persons - 1), "num_keypoints": 0}
        for side, name in enumerate(("right", "left")):
            one = hands[10 + number, name] = posed(20 + 2 * number + side, side, (0.08 - 0.16 * side, 0, 0.6))
            pixels = geometry.project(one["joints"], K)
            note |= {f"{name}hand_valid": True, f"{name}hand_box": geometry.tight_box(pixels).tolist()}
            note[f"{name}hand_kpts"] = np.c_[pixels, np.full(21, 2)].ravel().tolist()
            fit = {"pose": one["pose"].tolist(), "shape": one["shape"].tolist(), "trans": one["transl"].tolist()}
            camera = {"focal": [K[0, 0], K[1, 1]], "princpt": [K[0, 2], K[1, 2]]}
            fits.setdefault(10 + number, {})[name] = {"mano_param": fit, "cam_param": camera}
        notes.append(note)
        shown = geometry.project(hands[10 + number, "right"]["joints"], K)
        picture(root / "images" / "train2017" / f"{number:03d}.png", shown)
    del fits[10 + persons - 1]
    notes[-1]["righthand_box"] = [10.0, 10.0, 0.0, 5.0]
    images = [{"id": n, "file_name": f"{n:03d}.png", "width": 224, "height": 224} for n in range(persons)]
    write(root / "annotations" / "coco_wholebody_train_v1.0.json", {"images": images, "annotations": notes})
    write(root / "annotations" / "MSCOCO_train_MANO_NeuralAnnot.json", fits)
    write(root / "body_model.json", MODEL)
    return hands


def mirrored(sample):
    """A sample of a right hand as that of its mirror image, a left one."""
    flip, width = np.array([-1, 1, 1]), sample["width"]
    x, y, w, h = sample["bbox"]
    camera = sample["K"].copy()
    camera[0, 2] = width - 1 - camera[0, 2]
    other = sample | {
        "side": np.ones(1, np.int8),
        "hands": "left",
        "K": camera,
        "image": sample["image"][:, ::-1].copy(),
    }
    other |= {name: sample[name] * flip for name in ("joints_cam", "verts_cam", "transl_cam") if name in sample}
    other["pose_from_mean"] = mirror.mirrored_pose(sample["pose_from_mean"])
    return other | {"bbox": np.array([width - 1 - x - w, y, w, h], np.float32)}
