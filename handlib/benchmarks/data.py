"""Reading from a pack with decoding and crop, one process, one sample at a time, beside plain JPEG decoding of the
same frames.
"""

import tempfile

import cv2
import numpy as np

from handlib import crops, geometry, packs
from handlib.benchmarks import Row, interleaved
from handlib.datasets.base import Reader

FRAMES, SIZE = 48, (512, 334)
DENSITY = 124e3 / (640 * 480)  # bytes per pixel of the frames that the published figures were measured with
PUBLISHED = {"test": 4.8 / 0.6, "train": 5.8 / 0.6}  # ms of DIGIT's reader over ms of decoding its JPEGs
FASTER = 3


def natural_picture(rng, height, width):
    """uint8 (h, w, 3): noise whose power falls with the square of the frequency, as in photographs."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    amplitude = 1 / np.maximum(np.hypot(rows, columns), 1 / max(height, width))
    phases = rng.uniform(0, 2 * np.pi, (3, *amplitude.shape))
    planes = np.fft.irfft2(amplitude * np.exp(1j * phases), (height, width))
    luma, *chroma = planes / planes.std((1, 2), keepdims=True)
    planes = 120 + 50 * luma + 12 * np.stack([chroma[0], np.zeros_like(luma), chroma[1]])
    return planes.clip(0, 255).astype(np.uint8).transpose(1, 2, 0).copy()


def encoded_near(picture, size):
    """The JPEG of the quality that comes nearest to ``size`` bytes."""
    files = [
        cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes() for quality in range(60, 100)
    ]
    return min(files, key=lambda data: abs(len(data) - size))


def hands_like_mask(rng, height, width):
    """uint8 (h, w): 32 overlapping ellipses of the classes 1..32 where two hands would be."""
    mask = np.zeros((height, width), np.uint8)
    for number in range(1, 33):
        centre = rng.normal((width / 2, height / 2), (width / 8, height / 8)).astype(int)
        axes = rng.integers(8, 28, 2)
        cv2.ellipse(mask, centre.tolist(), axes.tolist(), float(rng.uniform(0, 180)), 0, 360, number, -1)
    return mask


class SyntheticFrames(Reader):
    """Frames of InterHand2.6M's size with everything that a two-hand sample has."""

    name, split = "synthetic", "test"

    def __init__(self, count):
        super().__init__()
        self.count = count
        self.complete = complete

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        height, width = SIZE if index % 2 else SIZE[::-1]
        joints = rng.uniform(-0.1, 0.1, (2, 21, 3)) + [0, 0, 1]
        yes = np.ones((2, 21), bool)
        box = [width / 2 - 75, height / 2 - 75, 150, 150]
        return {
            "key": f"synthetic/{index}", "hands": "interacting", "capture": 0, "camera": "0", "frame": index,
            "sequence": "", "subject": 0, "image_id": index, "width": width, "height": height,
            "side": np.array([0, 1], np.int8), "hand_type": yes[:, 0], "hand_type_valid": True,
            "bbox": np.array(box, np.float32), "bbox_est": geometry.square_box(box), "root_depth_est": joints[:, 0, 2],
            "joints_cam": joints, "joints_valid": yes, "joints3d_valid": yes,
            "K": geometry.intrinsics((1200, 1200), (width / 2, height / 2)), "cam_rot": np.eye(3),
            "cam_pos": np.zeros(3), "pose_from_mean": np.zeros((2, 48)),
            "shape": np.zeros((2, 10)), "transl_world": np.zeros((2, 3)),
            "mano_valid": yes[:, 0],
        }  # fmt: skip


def complete(sample):
    rng = np.random.default_rng(sample["frame"])
    height, width = sample["height"], sample["width"]
    image = encoded_near(natural_picture(rng, height, width), DENSITY * height * width)
    return {**sample, "image": image, "part_mask": hands_like_mask(rng, height, width), "part_mask_valid": True}


def bench_reader():
    """One pass over the frames: decoding alone, test items, train items."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            pack = packs.write_from(SyntheticFrames(FRAMES), folder + "/pack", workers=0)
            files = [np.frombuffer(pack.encoded(index), np.uint8) for index in range(FRAMES)]
            rng = np.random.default_rng(0)

            def decode():
                for file in files:
                    cv2.imdecode(file, cv2.IMREAD_COLOR)

            def test():
                for index in range(FRAMES):
                    crops.hand_pair(pack[index], root_depth="est")

            def train():
                for index in range(FRAMES):
                    crops.hand_pair(pack[index], crops.draw(rng))

            floor, *readers = (seconds / FRAMES for seconds in interleaved([decode, test, train]))
    finally:
        cv2.setNumThreads(threads)
    return [
        Row(f"reader, {mode}", seconds, "JPEG decoding", floor, PUBLISHED[mode], PUBLISHED[mode] / FASTER)
        for mode, seconds in zip(PUBLISHED, readers, strict=True)
    ]


BENCHES = [bench_reader]
