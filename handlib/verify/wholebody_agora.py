"""AGORA's originals: fits from the frames of their scans into the camera's, joints, boxes, with the stand-in models."""

import tempfile
from pathlib import Path

import numpy as np

from handlib.datasets import agora_parsing, agora_world
from handlib.datasets.agora_bodies import Bodies
from handlib.verify import Row, Skip, standin
from handlib.verify.reference import deviation

FILE = "agora/agora_conversion.json"
ROUNDED = 1e-5  # the reference has five digits after the point: half of the last, and float32 of the published program
PIXELS = 1e-3  # of numbers up to 4000 that were float32
_PERSON = ("X", "Y", "Z", "Yaw")


def check_conversion(ref):
    """Every entry of ``agora_conversion.json``."""
    if not ref.has(FILE):
        yield Skip("agora", f"there is no {FILE}")
        return
    entries = ref.json(FILE)
    with tempfile.TemporaryDirectory() as folder:
        for gender in sorted({entry["gender"] for entry in entries}):
            np.savez(Path(folder) / f"SMPLX_{gender.upper()}.npz", **standin.smplx(gender))
        bodies = Bodies(folder, Path(folder))
        for entry in entries:
            yield from _entry(f"agora/{Path(entry['image']).stem}", entry, bodies)


def _entry(case, entry, bodies):
    record, gender = entry["record"], entry["gender"]
    row = {"gender": [gender], "kid": [False]} | {
        key: [value] if key in _PERSON else value for key, value in record.items()
    }
    fit = {name: np.array(value) for name, value in entry["smplx_world"].items()}
    camera = agora_world.camera(row)
    turn, shift = agora_world.placed(row, 0, camera)
    truth = {name: points[0] for name, points in bodies.truth(row, [fit], case).items()}
    made = {"focal": camera.K[[0, 1], [0, 1]], "princpt": camera.K[:2, 2]}
    made["joints_world_first_5"] = ((truth["gt_joints_3d"] - shift) @ turn)[:5]
    made["joints_cam_first_5"], made["joints_2d_first_5"] = truth["gt_joints_3d"][:5], truth["gt_joints_2d"][:5]
    made["joint_count"] = len(truth["gt_joints_3d"])
    boxes = {part: agora_parsing.box(truth["gt_joints_2d"][rows]) for part, rows in agora_parsing.PARTS.items()}
    made |= boxes | {"bbox_xywh": boxes.pop("bbox")}
    root = bodies.root(gender, fit["betas"], fit["expression"])
    moved = agora_world.to_camera(fit["global_orient"], fit["transl"], root, turn, shift)
    made |= dict(zip(("global_orient_cam", "transl_cam"), moved, strict=True))
    for name, expected in entry.items():
        if name in made:
            bar = PIXELS if "bbox" in name or "2d" in name else ROUNDED
            yield Row(case, name, deviation(made[name], expected), bar)


CHECKS = [check_conversion]
