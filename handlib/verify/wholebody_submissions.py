"""The persons of AGORA's submissions, made of what the networks say, beside the files that the published code wrote."""

import types

import numpy as np
import torch

from handlib import networks
from handlib.evaluation import agora
from handlib.training import people
from handlib.verify import Row, Skip, standin
from handlib.verify.reference import deviation

RELATIVE = 1e-6  # of sums and of pixels up to some thousands, float32
# entry -> the server's name
ENTRIES = {"AGORA_files_val": "agora_smplx", "AGORA_files_test": "agora_smplx", "AGORA_smpl_files": "agora_smpl"}
NETWORKS = {"h4w": "hand4whole", "osx": "osx_b", "p2p": "pose2pose_body"}
SIZES = {"root_pose": 3, "body_pose": 63, "lhand_pose": 45, "rhand_pose": 45, "jaw_pose": 3, "shape": 10, "expr": 10,
         "cam": 3}  # fmt: skip
OURS = {"translation": "transl", "root_pose": "global_orient"}  # of names that the server does not know
KEPT = 0, 1, 24, -1  # rows of joints that are stored


def check_agora_files(ref):
    """Every file of every metrics/metrics_*.json. Published joints have a leading axis, which the server rejects."""
    for source, network in NETWORKS.items():
        name = f"metrics/metrics_{source}.json"
        if not ref.has(name):
            yield Skip(source, f"there is no {name}")
            continue
        stored = ref.json(name)
        for entry in (entry for entry in ENTRIES if entry in stored):
            files = stored[entry].get("files", stored[entry])
            made = _made(stored["tag"], stored["samples"], networks._network_class(network).input, entry)
            pictures = np.array([f"{number}.png" for number in range(len(made))])
            persons = [one for _, (one,) in agora.persons(made, pictures, ENTRIES[entry])]
            persons = persons[-len(files) :]  # OSX's of one picture overwrite each other in validation
            for (file, expected), person in zip(files.items(), persons, strict=True):
                yield from _person(f"{source}/{entry}/{file}", person, expected)


def _made(tag, count, spec, entry):
    """Predictions by the formula of the reference's README."""
    found, cells = [], []
    for i in range(count):
        r = standin.rng(f"metric-param:{tag}:{i}")
        numbers = {name: r.standard_normal(size).astype(np.float32) for name, size in SIZES.items()}
        cells.append(r.uniform(0, 8, (144, 2)).astype(np.float32))
        if ENTRIES[entry] == "agora_smpl":
            pose = standin.rng(f"metric-smpl:{tag}:{i}").standard_normal(72).astype(np.float32)
            numbers = {"root_pose": pose[:3], "body_pose": pose[3:], "shape": numbers["shape"], "cam": numbers["cam"]}
            cells[-1] = cells[-1][:45]
        numbers["transl"] = numbers.pop("cam")
        found.append(numbers)
    back = torch.tensor([[[2.5, 0, 700 + 100 * i], [0, 2.5, 300]] for i in range(count)])
    predictions = {name: np.stack([one[name] for one in found]) for name in found[0]}
    pixels = people._in_picture(torch.from_numpy(np.stack(cells)), spec, {"picture_inverse": back})
    return _Made(predictions | {"joints_img": pixels.numpy()})


class _Made(types.SimpleNamespace):
    def __init__(self, predictions):
        super().__init__(predictions=predictions)

    def __len__(self):
        return len(self.predictions["joints_img"])


def _person(case, person, expected):
    names = {OURS.get(name, name): facts for name, facts in expected["params"].items()}
    yield Row(case, "parameters that differ in name", len(names.keys() ^ person["params"].keys()), 0)
    for name, facts in names.items():
        ours = person["params"][name].astype(np.float64)
        off = deviation([*ours.ravel()[: len(facts["values"])], ours.sum()], [*facts["values"], facts["sum"]])
        yield Row(case, name, off, 1e-5)
    joints, facts = person["joints"].astype(np.float64), expected["joints"]
    yield Row(case, "joints, shape", float(list(joints.shape) != facts["shape"][1:]), 0)
    yield Row(case, "joints px", deviation(joints[[*KEPT]], facts["values"]), RELATIVE * np.abs(joints).max())
    yield Row(case, "sum of joints, relative", abs(joints.sum() / facts["sum"] - 1), RELATIVE)


CHECKS = [check_agora_files]
