"""AGORA's submissions of what the networks say, written and read again, beside the files of the published code."""

import re
import tempfile
import types
import zipfile
from pathlib import Path

import numpy as np
import torch

from handlib import networks, submissions
from handlib.evaluation import agora
from handlib.submissions import agora as official
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
_CROP = re.compile(r"_(person_id|ann_id|pid)_\d+\.png")  # how the crops of persons are called after their picture


def check_agora_files(ref):
    """Every file of every metrics/metrics_*.json. Published joints have a leading axis, which the server rejects."""
    for source, network in NETWORKS.items():
        name = f"metrics/metrics_{source}.json"
        if not ref.has(name):
            yield Skip(source, f"there is no {name}")
            continue
        stored = ref.json(name)
        for entry in (entry for entry in ENTRIES if entry in stored):
            spec = networks._network_class(network).input
            yield from _files(
                f"{source}/{entry}", stored[entry], _made(stored["tag"], stored["samples"], spec, entry), entry
            )


def _files(case, stored, made, entry):
    """All crops are of one picture, each of another person."""
    files, server = stored.get("files", stored), ENTRIES[entry]
    crops = stored.get("crop_image_names", [])
    (picture,) = {_CROP.sub("", name) for name in crops} or {official.NAME.fullmatch(name)["image"] for name in files}
    found = agora.persons(made, np.array([f"{picture}.png"] * len(made)), server)
    with tempfile.TemporaryDirectory() as folder:
        path = submissions.write(server, found, Path(folder) / "predictions.zip")
        with zipfile.ZipFile(path) as written:
            places = [Path(name) for name in written.namelist()]
        ((_, persons),) = submissions.read(server, path).items()
    names, folder = {place.name for place in places}, stored.get("folder_below_result_dir", official.FOLDER)
    yield Row(case, "names of files that we lack", float(len(files.keys() - names)), 0)
    yield Row(case, "files, one for each person", deviation(len(names), len(crops) or len(files)), 0)
    if folder == official.FOLDER:
        yield Row(case, "files in another folder", float(sum(place.parent != Path(folder) for place in places)), 0)
    else:
        yield Skip(
            f"{case}/folder", f"the published one, {folder}, is zipped by hand: the server wants {official.FOLDER}"
        )
    persons = persons[-len(files) :]  # OSX's of one picture overwrite each other in validation
    for (file, expected), person in zip(files.items(), persons, strict=True):
        yield from _person(f"{case}/{file}", person, expected, server)


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


def _person(case, person, expected, server):
    names = {OURS.get(name, name): facts for name, facts in expected["params"].items()}
    yield Row(case, "parameters that differ in name", len(names.keys() ^ person["params"].keys()), 0)
    for name, facts in names.items():
        value = person["params"][name]
        same = value.dtype == facts["dtype"] and value.size == np.prod(facts["shape"])
        same &= server == "agora_smpl" or list(value.shape) == facts["shape"]  # SMPL's are rejected as published
        ours = value.astype(np.float64)
        off = deviation([*ours.ravel()[: len(facts["values"])], ours.sum()], [*facts["values"], facts["sum"]])
        yield Row(case, name, off if same else float("inf"), 1e-5)
    joints, facts = person["joints"], expected["joints"]
    yield Row(
        case,
        "joints, shape and type",
        float([*joints.shape] != facts["shape"][1:] or joints.dtype != facts["dtype"]),
        0,
    )
    joints = joints.astype(np.float64)
    yield Row(case, "joints px", deviation(joints[[*KEPT]], facts["values"]), RELATIVE * np.abs(joints).max())
    yield Row(case, "sum of joints, relative", abs(joints.sum() / facts["sum"] - 1), RELATIVE)


CHECKS = [check_agora_files]
