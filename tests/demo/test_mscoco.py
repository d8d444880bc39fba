"""MSCOCO's demo data: official layout, read back, joints and fits of one person."""

import cv2
import numpy as np
import pytest
import torch

from handlib import bodies, body_joints, datasets, geometry
from handlib.demo import mscoco
from handlib.files import InputError

PELVIS = body_joints.SMPLX137.joints.index("Pelvis")


@pytest.fixture(scope="module")
def data(tmp_path_factory, grey):
    root = tmp_path_factory.mktemp("demo") / "MSCOCO"
    return mscoco.make(root, pictures=4, processes=1, show_progress=False)


def test_the_reader_reads_it(data):
    assert datasets.read("mscoco", data, "train").notes == []
    for split, pictures in (("train", 3), ("val", 1)):
        samples = list(datasets.read("mscoco", data, split))
        assert len({sample["image_id"] for sample in samples}) == pictures
        for sample in samples:
            assert cv2.imread(sample["image_path"]).shape[:2] == (sample["height"], sample["width"])
            x, y, w, h = sample["bbox"]
            assert x >= 0 and y >= 0 and x + w <= sample["width"] and y + h <= sample["height"]
            assert sample["smplx_valid"][0] == (split == "train")


def test_joints_and_fits_are_of_one_person(data):
    layer, seen = bodies.load(None, "smplx_neutral"), 0
    for sample in datasets.read("mscoco", data, "train"):
        pose = torch.tensor(sample["smplx_pose"])
        blends = {name: sample[f"smplx_{short}"] for name, short in
                  (("shape", "shape"), ("expression", "expr"), ("transl", "transl"))}  # fmt: skip
        parts = {"root": pose[0], "body": pose[1:22], "jaw": pose[22], "lhand": pose[25:40], "rhand": pose[40:]}
        parts = {f"{name}_pose": rows for name, rows in parts.items()}
        out = layer(**parts, **blends, mean_added=False, joint_set="smplx137")
        pixels = geometry.project(out["joints"].numpy().astype(float), sample["K"])[:, :2]
        both = sample["person_joints_valid"] & sample["smplx_joints_valid"]
        both[PELVIS] = False  # COCO's is the middle of the hips
        np.testing.assert_allclose(pixels[both], sample["person_joints_img"][both], atol=0.05)
        seen += both.sum()
    assert seen > 300


def test_too_few_pictures_are_refused(tmp_path):
    with pytest.raises(InputError, match="too few"):
        mscoco.make(tmp_path / "x", pictures=2)
