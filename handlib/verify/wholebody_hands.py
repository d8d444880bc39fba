"""The data side of hand-only Pose2Pose: every data set read from its official layout, cropped, with every target; and
the file that FreiHAND's server takes.

The fits' joints are made on the batch by MANO's layers, of the stand-in models.
"""

import functools
import tempfile
from pathlib import Path

import numpy as np
import torch

from handlib import crops, submissions
from handlib.bodies import files, mano
from handlib.crops import hand_targets
from handlib.files import read_json
from handlib.training import person_hands
from handlib.verify import Row, Skip, standin, wholebody_cases, wholebody_data, wholebody_pose2pose
from handlib.verify.reference import deviation

SOURCE = "p2p"


def check_datasets(ref):
    """Every case of ``datasets/p2p``, with each forced augmentation."""
    for case, found, stored, augmentations in wholebody_data.cases(ref, SOURCE):
        if isinstance(found, list):
            yield from _case(case, found, stored, augmentations)
        else:
            yield found


def _case(case, found, stored, augmentations):
    keys = sorted({(drawn, int(index)) for drawn, index, *_ in (name.split("/") for name in stored)})
    for drawn, index in keys:
        start = f"{drawn}/{index}/"
        expected = {name.removeprefix(start): array for name, array in stored.items() if name.startswith(start)}
        yield from _sample(f"{case}/{drawn}/{index}", _cropped(found[index], augmentations[drawn]), expected)


def _cropped(sample, drawn):
    augmentation = crops.ManoAugmentation(drawn["scale"], np.pi * drawn["rot_degrees"] / 180, tuple(drawn["color"]))
    return crops.person_hand(sample, augmentation, published=True)


def _sample(case, item, expected):
    yield from wholebody_data.crop_rows(case, item["image"], expected)
    batch = {name: torch.from_numpy(np.array(value[None])) for name, value in item["targets"].items()}
    own = {name: value[0].numpy() for name, value in hand_targets.targets_from_fits(batch, *layers()).items()}
    given = {name.split("/")[1]: value for name, value in expected.items()}
    if own["is_3D"]:  # a joint that is not valid is zero here, and as published a point 1 mm before the camera
        given |= {name: given[name] * given["joint_valid"] for name in ("joint_img", "joint_cam") if name in given}
    for name, value in given.items():
        found = item["meta"]["inverse"] if name == "bb2img_trans" else own[name]
        bar = wholebody_data.RELATIVE * np.abs(value).max(initial=1.0)
        yield Row(case, name, deviation(found, value), bar)


@functools.cache
def layers():
    """(right, left) stand-ins of MANO."""
    return [mano.ManoLayer(files.model(standin.mano(side), "stand-in", "mano"), side) for side in ("right", "left")]


def check_submission(ref):
    """``pred.json`` of a case's hands: joints, made of the mesh, before vertices, the camera's translation in both."""
    folder = wholebody_pose2pose.FOLDER
    found = [one for one in wholebody_cases.cases(ref, folder, "hand")]
    if not found:
        yield Skip("pred.json", f"there is no {folder}/case_hand*.json")
    for case, facts in found:
        net, stored = wholebody_pose2pose.network(ref, case, facts), ref.npz(f"{folder}/case_{case}.npz")
        with torch.inference_mode():
            out = net(wholebody_cases.picture(facts))
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "pred.json"
            hands = {name: value.numpy() for name, value in person_hands.in_camera(net, out).items()}
            arrays = {"xyz": hands["joints"], "verts": hands["verts"]}
            submissions.write("freihand", arrays, path, samples=len(arrays["xyz"]))
            joints, verts = (np.array(part) for part in read_json(path))
        steps = facts["stages"]["mesh_cam"].get("stored_every", [1, 1, 1])
        bar = wholebody_cases.FLOOR
        mesh = verts[tuple(slice(None, None, step) for step in steps)]
        yield Row(f"pred.json {case}", "vertices, m", deviation(mesh, stored["mesh_cam"]), bar)
        wrist = joints[:, :1] - stored["joint_cam"][:, :1]
        yield Row(f"pred.json {case}", "joints, m", deviation(joints - wrist, stored["joint_cam"]), bar)
        made = mano.joints21(verts, layers()[0].joint_regressor.double().numpy() @ verts, hand_targets.TIPS)
        yield Row(f"pred.json {case}", "joints of the written mesh, m", deviation(joints, made), bar)


CHECKS = [check_datasets, check_submission]
