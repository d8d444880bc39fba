"""Reading persons from a pack with decoding and crop, one process, and the fits' targets on the batch, beside decoding
the pictures as the data sets have them: JPEG of 640 x 480 (MSCOCO), PNG crops of 384 x 512 (AGORA).

The published readers of Hand4Whole and OSX pose SMPL-X for every sample, in four to five tenths of their time. They
were measured in a process with two threads; so is ours where it has a bar, and with one, as in a loader's worker.
"""

import functools
import itertools
import tempfile

import cv2
import numpy as np

from handlib import bodies, body_joints, geometry, packs, pictures
from handlib.benchmarks import Row, interleaved
from handlib.benchmarks.data import DENSITY, encoded_near, natural_picture
from handlib.benchmarks.handoccnet_data import SMOOTH
from handlib.crops.person_targets import targets_from_fits
from handlib.datasets import coco, people
from handlib.networks import heap
from handlib.training import data

BATCH, PICTURES = 64, 8  # samples of a batch; different pictures among them
MSCOCO, AGORA = (640, 480), (384, 512)
# ms of the published readers in training over ms of decoding the same pictures: {set: {program: ratio}}
PUBLISHED = {
    "mscoco": {"Hand4Whole": 12.6 / 1.0, "OSX": 12.5 / 1.0},
    "agora": {"Hand4Whole": 12.1 / 2.3, "OSX": 13.2 / 2.3},
}
FASTER, THREADS = 5, 2


class SyntheticPeople(people.People):
    """Persons of MSCOCO in whole pictures, or of AGORA in crops, each with a fit and everything else of a sample."""

    def __init__(self, name, count):
        super().__init__("synthetic", name)
        self.people = [(number,) for number in range(count)]
        self.complete = complete

    def sample(self, number):
        rng = np.random.default_rng(number)
        size = coco.Picture("", *(MSCOCO if self.split == "mscoco" else AGORA), {})
        out = people.start(f"{self.split}/{number}", "", size, number, 0) | people.fit_fields(
            rng.normal(0, 0.2, (55, 3)), rng.normal(0, 0.5, 10), rng.normal(0, 0.5, 10), (0, 0.3, 4), np.ones(4, bool)
        )
        if self.split == "mscoco":
            box = np.array([*rng.uniform(20, 250, 2), 180, 220])
            found = people.joints(body_joints.COCO_WHOLEBODY, rng.uniform(50, 400, (134, 2)), rng.random(134) > 0.3)
            found |= people.boxed(out["key"], box, False, size)
        else:
            box = np.array([0, 0, *AGORA])
            found = people.no_joints() | {"is_3d": np.bool_(True), "joints_of_fit": np.bool_(True)}
            found |= {"bbox": box.astype(np.float32), "bbox_whole": np.bool_(False), "bbox_final": np.bool_(True)}
            found |= {"picture": "", "gender": "neutral", "picture_affine": np.eye(3)[:2]}
        parts = people.part_boxes(*(box * [1, 1, 0.2, 0.2] + [shift, shift, 0, 0] for shift in (10, 60, 90)))
        K = people.virtual_camera(box, size, bool(found["bbox_final"]))
        return out | found | parts | {"K": K}


def complete(sample):
    """With its picture, packed as the readers do it."""
    return people.packed(sample, picture_file(sample))


def picture_file(sample):
    """A file with natural-picture-like content: JPEG or, of AGORA's crops, PNG."""
    return _picture_file(sample["image_id"] % PICTURES, sample["height"], sample["width"], bool(sample["bbox_final"]))


@functools.lru_cache(maxsize=PICTURES)
def _picture_file(number, height, width, png):
    picture = natural_picture(np.random.default_rng(number), height, width)
    if not png:
        return encoded_near(picture, DENSITY * height * width)
    return cv2.imencode(".png", cv2.GaussianBlur(picture, (0, 0), SMOOTH))[1].tobytes()


def bench_reader():
    """Passes over a batch of samples: decoding alone, training items, these with the fits' targets made on the batch;
    and the bytes of a sample.
    """
    heap.keep()  # as in every process that has made a network
    threads = cv2.getNumThreads()
    try:
        layer = bodies.load(None, "smplx_neutral")
        for name, published in PUBLISHED.items():
            with tempfile.TemporaryDirectory() as folder:
                yield from _rows(name, published, SyntheticPeople(name, BATCH), folder, layer)
    finally:
        cv2.setNumThreads(threads)


def _rows(name, published, reader, folder, layer):
    pack = packs.write_from(reader, f"{folder}/{name}", workers=0)
    files = [picture_file(sample) for sample in reader]
    crops = data.Crops(pack, geometry.PersonInput(), "gt", augmentation={})
    rounds = itertools.count()

    def decode():
        for file in files:
            pictures.decode(file)

    def items(threads=1):
        cv2.setNumThreads(threads)
        number = next(rounds)
        return crops.batch([(number, index) for index in range(BATCH)])

    def batch(threads=1):
        targets_from_fits(items(threads)["targets"], layer)

    kinds = [decode, items, batch, functools.partial(batch, THREADS)]
    floor, reading, single, whole = (seconds / BATCH for seconds in interleaved(kinds, repeats=11))
    yardstick = "JPEG decoding" if name == "mscoco" else "PNG decoding"
    ratio = min(published.values())  # of the quicker program
    yield Row(f"{name}, reading and crop, one thread", reading, yardstick, floor)
    yield Row(f"{name}, training sample, one thread", single, yardstick, floor)
    yield Row(f"{name}, training sample", whole, yardstick, floor, ratio, ratio / FASTER)
    sizes = [sum(map(len, kept)) / BATCH / 1e6 for kept in (map(pack.encoded, range(BATCH)), files)]
    yield Row(f"{name}, picture (ms stand for kB)", sizes[0], "its file", sizes[1])


BENCHES = [bench_reader]
