"""HO-3D and DexYCB folders made of a reference folder's annotations and formula pictures, and their samples."""

import re

import cv2
import numpy as np

from handlib import datasets, pictures

SETS = {"HO3D": "ho3d", "DEX_YCB": "dexycb"}  # the published names of the data sets, and ours
SPLITS = {
    ("HO3D", "train"): "train",
    ("HO3D", "test"): "evaluation",
}  # the published names of splits, where ours differ
SIZE = (640, 480)
_FILES = {"HO3D": "HO3D_{}_data.json", "DEX_YCB": "DEX_YCB_s0_{}_data.json"}


def formula(k, size=SIZE):
    """The reference's picture number k, uint8 (h, w, 3) RGB."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    waves = (2 * x + 3 * y + 37 * k, 5 * x - y + 1000 + 11 * k, x * y // 32 + 53 * k)
    folded = [np.where(wave % 510 <= 255, wave % 510, 510 - wave % 510) for wave in waves]
    return np.stack(folded, -1).astype(np.uint8)


def build(root, reference):
    """Write ``root``/HO3D and ``root``/DEX_YCB: derived annotations and the pictures that ``picture_index`` names."""
    for named, number in reference.json("preprocess.json")["picture_index"].items():
        name, split, file = re.fullmatch(r"(\w+)/(\w+): (.+)", named).groups()
        folder = root / name / _split(name, split) if name == "HO3D" else root / name
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), formula(number)[..., ::-1])
    for name, split in {tuple(case.split("/")) for case in reference.json("preprocess.json")["samples"]}:
        file = _FILES[name].format(_split(name, split))
        target = root / name / "annotations" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(reference.path(f"annotations/{file}").read_bytes())
    return root


def _split(name, split):
    return SPLITS.get((name, split), split)


def reader(root, case, pixels="whole"):
    """The derived reader of a case ("HO3D/train") of what `build` wrote."""
    name, split = case.split("/")
    return datasets.read(SETS[name], root / name, _split(name, split), source="derived", pixels=pixels)


def samples(root, case, pixels="whole"):
    """The case's samples in their order, pictures decoded."""
    read = reader(root, case, pixels)
    found = [read.complete(sample) for sample in read]
    return [sample | {"image": pictures.decode(sample["image"])} for sample in found]
