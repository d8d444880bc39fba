"""DexYCB's setups: which subjects, cameras and sequences are in which split, and the toolkit's order of their images.

Each subject grasps 20 objects 5 times; sorted by name (that is, by time), sequence i of a subject's 100 is trial i % 5
with object i // 5. Facts from the official toolkit (github.com/NVlabs/dex-ycb-toolkit).
"""

import bisect
import itertools
from typing import NamedTuple

from handlib.files import InputError

SUBJECTS = (
    "20200709-subject-01", "20200813-subject-02", "20200820-subject-03", "20200903-subject-04", "20200908-subject-05",
    "20200918-subject-06", "20200928-subject-07", "20201002-subject-08", "20201015-subject-09", "20201022-subject-10",
)  # fmt: skip
SERIALS = (
    "836212060125", "839512060362", "840412060917", "841412060263",
    "932122060857", "932122060861", "932122061900", "932122062010",
)  # fmt: skip
OBJECTS = (  # numbered from 1
    "002_master_chef_can", "003_cracker_box", "004_sugar_box", "005_tomato_soup_can", "006_mustard_bottle",
    "007_tuna_fish_can", "008_pudding_box", "009_gelatin_box", "010_potted_meat_can", "011_banana", "019_pitcher_base",
    "021_bleach_cleanser", "024_bowl", "025_mug", "035_power_drill", "036_wood_block", "037_scissors",
    "040_large_marker", "051_large_clamp", "052_extra_large_clamp", "061_foam_brick",
)  # fmt: skip
SPLITS = ("train", "val", "test")
SETUPS = ("s0", "s1", "s2", "s3")  # seen subjects, cameras, objects; unseen subjects; unseen cameras; unseen objects
SEQUENCES = 100  # of each subject
_ALL = range(10), range(8), range(SEQUENCES)


class Piece(NamedTuple):
    """What a split consists of, each as places from 0: of SUBJECTS, of SERIALS, of a subject's sequences."""

    subjects: tuple
    serials: tuple
    sequences: tuple


def piece(setup, split):
    """The `Piece` of one of SETUPS and one of SPLITS. Raises InputError for another."""
    for field, value, known in (("setup", setup, SETUPS), ("split", split, SPLITS)):
        if value not in known:
            raise InputError(field, f"DexYCB has no {field} '{value}'", f"use one of: {', '.join(known)}", field)
    return Piece(*(tuple(part) for part in _RULES[setup](SPLITS.index(split))))


def _by_trial(split):
    """s0: the last trial of each object is held out; its first two subjects validate."""
    held_out = [place for place in _ALL[2] if place % 5 == 4]
    if split == 0:
        return *_ALL[:2], [place for place in _ALL[2] if place % 5 != 4]
    return ((0, 1), range(2, 10))[split - 1], _ALL[1], held_out


def _by_subject(split):
    return ((0, 1, 2, 3, 4, 5, 9), (6,), (7, 8))[split], *_ALL[1:]


def _by_camera(split):
    return _ALL[0], (range(6), (6,), (7,))[split], _ALL[2]


def _by_object(split):
    held_out = ((), (3, 19), (7, 11, 15))
    kept = [n for n in range(20) if n not in held_out[1] + held_out[2]]
    return *_ALL[:2], [place for place in _ALL[2] if place // 5 in (kept, *held_out[1:])[split]]


_RULES = {"s0": _by_trial, "s1": _by_subject, "s2": _by_camera, "s3": _by_object}


class Entry(NamedTuple):
    """One image of a split: its sequence (as given to `Listing`), its camera's place in SERIALS, its frame's number."""

    sequence: object
    camera: int
    frame: int


class Listing:
    """A split's images in the toolkit's order, none of them held: ``len(listing)``; ``listing[i]`` is an `Entry`.

    sequences: objects with ``frames``, in order; cameras: places in SERIALS. Within a sequence all frames of the first
    camera come first.
    """

    def __init__(self, sequences, cameras):
        self.sequences, self.cameras = sequences, cameras
        counts = (sequence.frames * len(cameras) for sequence in sequences)
        self._ends = list(itertools.accumulate(counts))

    def __len__(self):
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = bisect.bisect_right(self._ends, index)
        sequence = self.sequences[place]
        camera, frame = divmod(index - (self._ends[place - 1] if place else 0), sequence.frames)
        return Entry(sequence, self.cameras[camera], frame)
