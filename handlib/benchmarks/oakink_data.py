"""Reading OakInk-like samples from a pack with decoding and crop, one process, one sample at a time, beside decoding
the whole PNG frames, which is three quarters of the published reader's time.
"""

import tempfile

import cv2
import numpy as np

from handlib import crops, packs, pictures
from handlib.benchmarks import Row, interleaved
from handlib.benchmarks.data import natural_picture
from handlib.datasets.base import Reader
from handlib.datasets.oakink import HEIGHT, REACH, WIDTH
from handlib.datasets.windows import Window

FRAMES = 24
SMOOTH = 1.05  # blur in pixels that brings a frame's PNG near the 810 kB of the published measurement
BOX = 150  # pixels: a hand at 0.6 m
PUBLISHED = {"test": 5.8 / 4.6, "train": 6.0 / 4.6}  # ms of the published reader over ms of decoding its PNGs
FASTER = 4


class SyntheticFrames(Reader):
    """Frames of OakInk's size with everything that a one-hand sample has."""

    name, split = "synthetic", "test"

    def __init__(self, count, pixels="reach"):
        super().__init__()
        self.count, self.window = count, Window(pixels, REACH)
        self.complete = self.with_picture

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        K = np.array([[610.0, 0, 424], [0, 610.0, 240], [0, 0, 1]])
        joints = rng.uniform(-0.07, 0.07, (1, 21, 3)) + [0, 0, 0.6]
        corner = rng.uniform((WIDTH / 4, HEIGHT / 4), (WIDTH / 2, HEIGHT / 2))
        return {
            "key": f"synthetic/{index}", "hands": "right", "camera": "north_east_color", "frame": index, "view": 0,
            "sequence": "", "group": "", "hand_number": 0, "object": "", "intent": "use", "subject": 0,
            "status": "false", "width": WIDTH, "height": HEIGHT, "side": np.zeros(1, np.int8),
            "hand_type": np.ones(1, bool), "joints_cam": joints, "joints_valid": np.ones((1, 21), bool),
            "verts_cam": rng.uniform(-0.07, 0.07, (1, 778, 3)).astype(np.float32) + np.float32([0, 0, 0.6]),
            "pose_flat": np.zeros((1, 48), np.float32), "shape": np.zeros((1, 10)), "mano_valid": np.ones(1, bool),
            "object_pose": np.eye(4, dtype=np.float32), "K": K, "bbox": np.array([*corner, BOX, BOX], np.float32),
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
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            pack = packs.write_from(SyntheticFrames(FRAMES), folder + "/pack", workers=0)
            files = [frame(number) for number in range(FRAMES)]
            rng = np.random.default_rng(0)

            def decode():
                for file in files:
                    pictures.decode(file)

            def test():
                for index in range(FRAMES):
                    crops.single_hand(pack[index])

            def train():
                for index in range(FRAMES):
                    crops.single_hand(pack[index], crops.draw_single(rng))

            floor, *readers = (seconds / FRAMES for seconds in interleaved([decode, test, train], repeats=5))
            packed = sum(len(pack.encoded(index)) for index in range(FRAMES)) / FRAMES
    finally:
        cv2.setNumThreads(threads)
    for mode, seconds in zip(PUBLISHED, readers, strict=True):
        bar = PUBLISHED[mode] / FASTER
        yield Row(f"OakInk reader, {mode}", seconds, "PNG decoding, whole frame", floor, PUBLISHED[mode], bar)
    whole = sum(map(len, files)) / FRAMES
    yield Row("picture of a sample (ms stand for kB)", packed / 1e6, "PNG of the whole frame", whole / 1e6)


BENCHES = [bench_reader]
