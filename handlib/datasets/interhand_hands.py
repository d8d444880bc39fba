"""InterHand2.6M hand by hand: a sample for each hand of a picture, as hand-only Pose2Pose takes them.

A wrist that is not annotated in a picture takes its hand's joints with it: the published code learns them relative to
the wrist. A hand without any is not listed.
"""

import numpy as np

from handlib import fields, geometry
from handlib.datasets import interhand_files as files
from handlib.datasets.base import Reader, Skip
from handlib.datasets.windows import Window

CAMERAS = 10  # of a sequence that are kept in training, about, as published
SIDES = ("right", "left")
_OF_PICTURE = ("image_path", "capture", "camera", "frame", "sequence", "subject", "image_id", "width", "height",
               "K", "cam_rot", "cam_pos")  # fmt: skip
_OF_HAND = ("joints_cam", "joints_valid", "joints3d_valid", "pose_from_mean", "shape", "transl_world", "mano_valid")


class InterHandHands(Reader):
    """Samples of one hand each (H = 1), a picture's right hand before its left one, pictures in the file's order.

    pairs: `interhand.InterHand`, whose samples are taken apart; cameras: only about so many of each sequence count, by
    the published rule (every n-th of its sorted cameras, n = count // cameras); None: all. The box is the tight one of
    the joints annotated in the picture.

    Iterating skips, and counts in ``skipped``, what ``pairs`` skips, and hands whose joints are behind the camera or
    have no area in the picture.
    """

    name = "interhand"

    def __init__(self, pairs, cameras):
        super().__init__()
        self.pairs, self.split, self.sources, self.notes = pairs, pairs.split, pairs.sources, []
        self.notes += [note for note in pairs.notes if "part masks" not in note]
        places = np.sort(pairs.order)  # the published code keeps the file's order
        if cameras is not None:
            kept = places[kept_cameras(pairs.table, cameras)[places]]
            self.notes.append(f"{len(kept)} of {len(places)} pictures are of about {cameras} cameras of each sequence")
            places = kept
        found = listed_hands(pairs.table, places)
        self.rows, self.sides = places[found[:, 0]], found[:, 1]
        self.index_of = {int(row): index for index, row in enumerate(pairs.order)}
        self.complete = Window("whole", 1.0).filled
        self.facts = {name: value for name, value in pairs.facts.items() if name != "part_masks"}
        self.facts["joint_order"] = "hand21 (wrist, thumb .. little, base to tip)"
        self.options = {"part": "hand", "cameras": cameras, "source": pairs.source, "version": pairs.options["version"]}

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row, side = int(self.rows[index]), int(self.sides[index])
        pair = self.pairs[self.index_of[row]]
        key, hand = f"{pair['key']}/{SIDES[side]}", slice(side, side + 1)
        sample = {name: pair[name] for name in _OF_PICTURE} | {name: pair[name][hand] for name in _OF_HAND}
        sample |= {
            "key": key,
            "hands": SIDES[side],
            "side": np.array([side], np.int8),
            "hand_type": np.ones(1, bool),
            "is_3d": np.bool_(True),
            "joints_of_fit": np.bool_(False),
            "bbox_tight": np.bool_(True),
        }
        joints = sample["joints_cam"][0, sample["joints_valid"][0]]
        if (joints[:, 2] <= 0).any():
            raise Skip(key, "hand is not in front of the camera", f"nearest joint at {joints[:, 2].min():.3f} m")
        sample["bbox"] = geometry.tight_box(geometry.project(joints, sample["K"], eps=0.0))
        box = geometry.hand_box(sample["bbox"], True)
        if geometry.inside_box(box, sample["width"], sample["height"]) is None:
            raise Skip(key, "box is empty or outside the picture", str(sample["bbox"].tolist()))
        return sample


def listed_hands(table, places):
    """Hands in view whose wrist is annotated: (N, 2) int64 of places in ``places`` and sides, 0 right."""
    valid = fields.house_hands(table["joint_valid"][places][..., None])[..., 0]
    kind = table["hands"][places]
    there = np.stack([kind != files.HANDS.index("left"), kind != files.HANDS.index("right")], 1)
    return np.argwhere(there & valid[..., 0])


def kept_cameras(table, cameras):
    """(N,) bool: whether each picture's camera is among the kept ones of its sequence."""
    kept = np.zeros(len(table["id"]), bool)
    sequences = np.stack([table["capture"], table["seq_name"]], 1)
    _, number = np.unique(sequences, axis=0, return_inverse=True)
    order = np.argsort(number.ravel(), kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(number.ravel()[order])) + 1):
        own = np.unique(table["camera"][rows])  # their numbers are in the order of the names
        step = max(len(own) // cameras, 1)
        kept[rows] = np.isin(table["camera"][rows], own[::step])
    return kept
