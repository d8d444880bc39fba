import numpy as np
import pandas as pd
import pytest

from handlib import bodies
from handlib.geometry import world_to_camera


class TinyPack:
    """Two samples in the vocabulary, as a Pack gives them: a pair of hands with MANO fits, then a left hand without."""

    def __init__(self, samples):
        self.samples = samples
        self.manifest = {"dataset": "interhand", "split": "train", "hash": "0", "fits_of": "handlib free hand",
                         "images": ["image", "part_mask"]}  # fmt: skip
        columns = ("key", "hands", "camera", "capture")
        self.index = pd.DataFrame({name: [sample[name] for sample in samples] for name in columns})

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        return dict(self.samples[i])

    def array(self, name):
        return np.stack([sample[name] for sample in self.samples])


@pytest.fixture(scope="session")
def layers():
    return {side: bodies.load("free", f"mano_{side}") for side in ("right", "left")}


@pytest.fixture(scope="session")
def pair(layers):
    """A sample: both hands before a turned camera, the left thumb's tip not annotated, a mask of two classes."""
    rng = np.random.default_rng(0)
    turn = np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])
    position = -turn.T @ np.array([0, 0, 0.7])
    pose = np.zeros((2, 48))
    pose[:, :3] = 0.3 * rng.standard_normal((2, 3))
    shape, transl = 0.3 * rng.standard_normal((2, 10)), np.array([[-0.08, 0, 0], [0.08, 0, 0]])
    joints = []
    for hand, side in enumerate(("right", "left")):
        out = layers[side](pose=pose[hand], shape=shape[hand], transl=transl[hand], mean_added=False)
        joints.append(world_to_camera(bodies.joints21(out["verts"], out["joints"]).numpy(), turn, position))
    valid = np.ones((2, 21), bool)
    valid[1, 4] = False
    mask = np.zeros((120, 160), np.uint8)
    mask[10:20, 30:50], mask[60:80, 100:110] = 3, 20
    return {
        "key": "train/pair.jpg", "hands": "interacting", "camera": "400001", "capture": 0,
        "side": np.array([0, 1], np.int8), "hand_type": np.array([True, True]), "mano_valid": np.array([True, True]),
        "image": rng.integers(0, 255, (120, 160, 3), np.uint8), "part_mask": mask, "part_mask_valid": np.True_,
        "bbox": np.float32([20, 10, 90, 70]), "K": np.array([[200.0, 0, 79], [0, 200, 59], [0, 0, 1]]),
        "joints_cam": np.stack(joints), "joints_valid": valid, "joints3d_valid": np.ones((2, 21), bool),
        "cam_rot": turn, "cam_pos": position, "pose_from_mean": pose, "shape": shape, "transl_world": transl,
    }  # fmt: skip


@pytest.fixture(scope="session")
def bare(pair):
    """The same picture of the left hand alone, without MANO fits and without a part mask."""
    valid = np.stack([np.zeros(21, bool), np.ones(21, bool)])
    return pair | {
        "key": "train/bare.jpg", "hands": "left", "camera": "400002", "hand_type": np.array([False, True]),
        "joints_valid": valid, "joints3d_valid": valid, "mano_valid": np.zeros(2, bool), "part_mask_valid": np.False_,
        "image": np.ascontiguousarray(pair["image"].transpose(1, 0, 2)), "part_mask": np.zeros((160, 120), np.uint8),
    }  # fmt: skip


@pytest.fixture(scope="session")
def pack(pair, bare):
    return TinyPack([pair, bare])


@pytest.fixture(scope="session")
def same():
    """Whether two plotly figures show the same: every property of every trace, titles and axes."""

    def compare(one, other):
        for first, second in zip(one.data, other.data, strict=True):
            assert set(first) == set(second)
            for name in set(first) - {"uid"}:
                assert _equal(first[name], second[name]), f"{name} of {first.type}"
        assert one.layout.title.text == other.layout.title.text
        assert one.layout.scene.to_plotly_json() == other.layout.scene.to_plotly_json()
        assert one.layout.xaxis.range == other.layout.xaxis.range

    return compare


def _equal(first, second):
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second, equal_nan=True)
    return first == second
