"""AGORA's own evaluation of a pack's predictions: matched by 2D joints, the missed counted, meshes of parameters."""

import numpy as np
import pandas
import pytest

from handlib import bodies, evaluation, tables
from handlib.training import Predictions

AWAY = np.array([[-0.6, 0.1, 4.0], [0.7, 0.0, 5.0]])  # m: two persons in one picture


class Pack:
    """What is asked of a pack of AGORA's validation set."""

    def __init__(self):
        self.index = pandas.DataFrame({"picture": ["a_bfh_00001.png", "a_bfh_00001.png"], "key": ["1/0", "1/1"]})
        self.manifest = {"dataset": "agora", "split": "validation"}

    def __len__(self):
        return 2


@pytest.fixture(scope="module")
def people():
    """Parameters of two persons as a network answers them, and their joints and vertices."""
    rng = np.random.default_rng(0)
    sizes = {
        "root_pose": 3,
        "body_pose": 63,
        "lhand_pose": 45,
        "rhand_pose": 45,
        "jaw_pose": 3,
        "shape": 10,
        "expr": 10,
    }
    arrays = {name: 0.1 * rng.standard_normal((2, size)) for name, size in sizes.items()}
    arrays["root_pose"][:, 0] += np.pi  # upright before the camera
    layer = bodies.load(None, "smplx_neutral")
    named = {("expression" if name == "expr" else name): value for name, value in arrays.items()}
    made = layer(**named, transl=AWAY, mean_added=False, joint_set="smplx144")
    joints, verts = made["joints"].numpy().astype(float), made["verts"].numpy().astype(float)
    pixels = joints[..., :2] / joints[..., 2:] * 3000 + [1920, 1080]
    return arrays | {"transl": AWAY, "joints_img": pixels}, joints, verts


@pytest.fixture
def root(tmp_path, people):
    """A data set's folder with the validation set's data frame alone."""
    predictions, joints, verts = people
    rows = {
        "imgPath": ["a_bfh_00001.png"],
        "isValid": [[True, True]],
        "occlusion": [[10.0, 20.0]],
        "kid": [[False, True]],
    }
    pixels = [list(predictions["joints_img"][:, :127])]
    rows |= {"gt_joints_2d": pixels, "gt_joints_3d": [list(joints[:, :127])], "gt_verts": [list(verts)]}
    folder = tmp_path / "data" / "validation_SMPLX" / "SMPLX"
    folder.mkdir(parents=True)
    table = pandas.DataFrame({name: pandas.Series(column, dtype=object) for name, column in rows.items()})
    table.columns = pandas.Index(list(rows), dtype=object)
    table.to_pickle(folder / "validation_0_withjv.pkl")
    return tmp_path


def _made(people, **changed):
    arrays = {name: np.asarray(value, np.float32) for name, value in (people[0] | changed).items()}
    return Predictions(arrays, {}, np.arange(2), {"weights": "0"})


def test_the_truth_has_no_error(people, root):
    figures, persons = evaluation.agora.official(_made(people), Pack(), root, "free")
    assert figures["f1"] == 1 and figures["fullbody-NMVE"] < 0.1 and figures["rhand-MPJPE"] < 0.1
    assert list(persons["miss"]) == [False, False] and persons["face_mve_mm"].max() < 0.1
    row = tables.result(figures, method="mine", split="val", data="two persons")
    assert row["protocol"][0] == "agora_smplx" and row["f1"][0] == 1


def test_somebody_missed_lowers_f1_and_raises_what_is_normalised(people, root):
    pixels = people[0]["joints_img"].copy()
    pixels[1] += 3000  # whoever that is, it is not the second
    pose = people[0]["body_pose"].copy()
    pose[0, :3] += 0.5  # and a leg of the first one is turned
    figures, persons = evaluation.agora.official(_made(people, joints_img=pixels, body_pose=pose), Pack(), root, "free")
    assert (figures["precision"], figures["recall"], figures["f1"]) == (0.5, 0.5, 0.5)
    assert list(persons["miss"]) == [False, True] and persons["body_mve_mm"][0] > 5
    assert figures["body-NMVE"] == pytest.approx(2 * figures["body-MVE"], rel=0.01)
    assert figures["body-MVE"] == pytest.approx(persons["body_mve_mm"][0], abs=0.1)


def test_without_data_frames_there_is_none(people, tmp_path):
    assert evaluation.agora.official(_made(people), Pack(), tmp_path, "free") is None
