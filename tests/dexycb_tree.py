"""A small DexYCB folder for tests, in the official layout."""

import json

import cv2
import numpy as np
import yaml

from handlib import geometry
from handlib.datasets import dexycb_splits

SIDES = ("right", "left")
FRAMES = 2


def dump(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values))


def meta(side, frames=FRAMES, **more):
    return {
        "serials": list(dexycb_splits.SERIALS), "num_frames": frames, "extrinsics": "20200702_151821",
        "mano_calib": [f"one_{side}"], "mano_sides": [side], "ycb_ids": [3, 14], "ycb_grasp_ind": 1, **more,
    }  # fmt: skip


def calibration(root):
    folder, rng = root / "calibration", np.random.default_rng(1)
    transforms = {}
    for number, serial in enumerate(dexycb_splits.SERIALS):
        color = {"fx": 610.0 + number, "fy": 611.0, "ppx": 312.5, "ppy": 241.0}
        dump(folder / "intrinsics" / f"{serial}_640x480.yml", {"color": color, "depth": color})
        transforms[serial] = (
            np.column_stack([cv2.Rodrigues(rng.normal(size=3))[0], rng.normal(size=3)]).ravel().tolist()
        )
    transforms["apriltag"] = transforms[dexycb_splits.SERIALS[0]]
    dump(folder / "extrinsics_20200702_151821" / "extrinsics.yml", {"extrinsics": transforms, "master": "x"})
    for side in SIDES:
        dump(folder / f"mano_one_{side}" / "mano.yml", {"betas": rng.normal(size=10).tolist()})


def labels(number, K, hand=True):
    rng = np.random.default_rng(number)
    joints = rng.uniform(-0.07, 0.07, (1, 21, 3)) + [0.02, 0.01, 0.7]
    out = {
        "seg": np.zeros((480, 640), np.uint8), "pose_y": rng.normal(size=(2, 3, 4)).astype(np.float32),
        "pose_m": rng.normal(size=(1, 51)).astype(np.float32), "joint_3d": joints.astype(np.float32),
        "joint_2d": geometry.project(joints, K).astype(np.float32),
    }  # fmt: skip
    if not hand:
        out |= {"pose_m": 0 * out["pose_m"], "joint_3d": 0 * out["joint_3d"] - 1, "joint_2d": 0 * out["joint_2d"] - 1}
    return out


def filled(root, name, cameras=8):
    """Pictures and labels of a sequence; the first frame of its first camera has no hand."""
    picture = cv2.imencode(".jpg", np.random.default_rng(3).integers(0, 255, (480, 640, 3), np.uint8))[1].tobytes()
    for camera, serial in enumerate(dexycb_splits.SERIALS[:cameras]):
        K = np.array([[610.0 + camera, 0, 312.5], [0, 611.0, 241.0], [0, 0, 1]])
        (root / name / serial).mkdir()
        for frame in range(FRAMES):
            own = labels(camera * FRAMES + frame, K, hand=camera + frame > 0)
            np.savez_compressed(root / name / serial / f"labels_{frame:06d}.npz", **own)
            (root / name / serial / f"color_{frame:06d}.jpg").write_bytes(picture)


def whole(root):
    """Subjects 1 and 3 with all their sequences; the fifth, right, and the tenth, left, have pictures."""
    calibration(root)
    for subject in (0, 2):
        for place in range(100):
            name = f"{dexycb_splits.SUBJECTS[subject]}/20200709_{140000 + place}"
            dump(root / name / "meta.yml", meta(SIDES[place % 2]))
            if place in (4, 9):
                filled(root, name)
    return root


def one(root):
    """One sequence of "val" that says its own place; pictures of two cameras."""
    calibration(root)
    name = f"{dexycb_splits.SUBJECTS[0]}/20200709_140004"
    dump(root / name / "meta.yml", meta("right", place=4))
    filled(root, name, 2)
    return root


def derived(reader, samples, path, change=lambda annotations: annotations):
    """The derived file of what a reader gave, as HandOccNet's has it."""
    images, annotations = [], []
    for number, sample in enumerate(samples):
        name = sample["image_path"].removeprefix(f"{reader.root}/")
        images.append({"id": number + 7, "file_name": name, "width": 640, "height": 480})
        K = sample["K"]
        annotations.append({
            "id": number, "image_id": number + 7, "hand_type": sample["hands"],
            "joints_coord_cam": sample["joints_cam"][0].tolist(),
            "joints_img": [[*map(float, point), 1.0] for point in sample["joints_img"][0]],
            "cam_param": {"focal": [K[0, 0], K[1, 1]], "princpt": K[:2, 2].tolist()},
            "mano_param": {"pose": sample["pose_from_mean"][0].tolist(), "shape": sample["shape"][0].tolist()},
        })  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": change(annotations)}))
    return path
