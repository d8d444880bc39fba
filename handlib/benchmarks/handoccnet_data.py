"""Reading HO-3D-like samples from a pack with decoding and crop, one process, one sample at a time, beside decoding the
whole PNG frames, which is two thirds of the published reader's time.
"""

import tempfile

import cv2
import numpy as np

from handlib import crops, geometry, packs, pictures
from handlib.benchmarks import Row, interleaved
from handlib.benchmarks.data import natural_picture
from handlib.crops.mano import draw_mano
from handlib.datasets.base import Reader
from handlib.datasets.ho3d_files import HEIGHT, WIDTH
from handlib.datasets.windows import MANO_SCALE, Window
from handlib.networks import heap

FRAMES = 24
SMOOTH = 1.05  # blur in pixels, as `oakink_data`: a frame's PNG has 2 bytes per pixel
BOX = 140  # pixels: a hand at 0.6 m
PUBLISHED = 5.7 / 3.5  # ms of the published reader, test and train, over ms of decoding its PNGs
FASTER = 4


class SyntheticFrames(Reader):
    """Frames of HO-3D's size with everything that a sample of it has; tight boxes of training or annotated ones."""

    name = "synthetic"

    def __init__(self, split, count):
        super().__init__()
        self.split, self.count = split, count
        self.window = Window("reach", MANO_SCALE, geometry.ManoInput())
        self.complete = self.with_picture

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        joints = rng.uniform(-0.07, 0.07, (1, 21, 3)) + [0, 0, 0.6]
        corner = rng.uniform((WIDTH / 5, HEIGHT / 5), (WIDTH / 2, HEIGHT / 2))
        return {
            "key": f"synthetic/{index}", "hands": "right", "camera": "0", "frame": index, "sequence": "MC1",
            "image_id": index, "object": "", "width": WIDTH, "height": HEIGHT, "side": np.zeros(1, np.int8),
            "hand_type": np.ones(1, bool), "joints_cam": joints, "joints_valid": np.ones((1, 21), bool),
            "pose_flat": np.zeros((1, 48), np.float32), "shape": np.zeros((1, 10)), "mano_valid": np.ones(1, bool),
            "object_pose": np.eye(4, dtype=np.float32), "K": geometry.intrinsics((614.0, 614.0), (320.0, 240.0)),
            "bbox": np.array([*corner, BOX, BOX], np.float32), "bbox_tight": np.bool_(self.split == "train"),
        }  # fmt: skip

    def with_picture(self, sample):
        data = frame(sample["frame"])
        return {**sample, **self.window(sample, data, pictures.decode(data))}


def frame(number):
    """PNG bytes of a frame with natural-picture-like content."""
    picture = natural_picture(np.random.default_rng(number), HEIGHT, WIDTH)
    return cv2.imencode(".png", cv2.GaussianBlur(picture, (0, 0), SMOOTH))[1].tobytes()


def bench_reader():
    """One pass over the samples: decoding whole frames alone, test items, train items; and the bytes of a sample."""
    heap.keep()  # as in every process that has made a network
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            made = {split: _pack(split, folder) for split in ("test", "train")}
            files = [frame(number) for number in range(FRAMES)]
            rng = np.random.default_rng(0)

            def decode():
                for file in files:
                    pictures.decode(file)

            def test():
                for index in range(FRAMES):
                    crops.mano_hand(made["test"][index])

            def train():
                for index in range(FRAMES):
                    crops.mano_hand(made["train"][index], draw_mano(rng))

            floor, *readers = (seconds / FRAMES for seconds in interleaved([decode, test, train], repeats=5))
            packed = sum(len(made["train"].encoded(index)) for index in range(FRAMES)) / FRAMES
    finally:
        cv2.setNumThreads(threads)
    for mode, seconds in zip(made, readers, strict=True):
        bar = PUBLISHED / FASTER
        yield Row(f"HO-3D reader, {mode}", seconds, "PNG decoding, whole frame", floor, PUBLISHED, bar)
    whole = sum(map(len, files)) / FRAMES
    yield Row("picture of a sample (ms stand for kB)", packed / 1e6, "PNG of the whole frame", whole / 1e6)


def _pack(split, folder):
    return packs.write_from(SyntheticFrames(split, FRAMES), f"{folder}/{split}", workers=0)


BENCHES = [bench_reader]
