"""OakInk-Image's split files: which samples belong to which split, and what a sample's name says."""

import dataclasses
from pathlib import Path

import numpy as np

from handlib.datasets.coco import is_name
from handlib.files import InputError, read_json, require, shown

MODES = {"default": "split0", "subject": "split1", "object": "split2", "handobject": "split0_ho"}  # SP0, SP1, SP2, SP0'
SPLITS = ("train+val", "train", "val", "test", "all")
VIEWS = ("north_east_color", "south_east_color", "north_west_color", "south_west_color")
INTENTS = {"0001": "use", "0002": "hold", "0003": "liftup", "0004": "handover"}
OFFICIAL = "unpack OakInk's image/anno_v2.1.zip there (https://oakink.net)"
_FILES = {
    "train+val": ("split", "seq_train.json"),  # the official name; it holds both
    "train": ("split_train_val", "example_split_train.json"),
    "val": ("split_train_val", "example_split_val.json"),
    "test": ("split", "seq_test.json"),
}


@dataclasses.dataclass(frozen=True)
class Sample:
    """One entry of a split file: the sequence ("<seq_id>/<timestamp>"), which hand, the frame and the camera."""

    sequence: str
    hand_number: int
    frame: int
    view: int

    @property
    def stem(self):
        """The annotation files' name without its ending."""
        return f"{self.sequence}__{self.hand_number}__{self.frame}__{self.view}".replace("/", "__")

    @property
    def group(self):
        """What the four views of one hand at one moment share."""
        return f"{self.sequence}__{self.hand_number}__{self.frame}".replace("/", "__")

    @property
    def picture(self):
        """The picture's path below stream_release_v2/."""
        return f"{self.sequence}/{VIEWS[self.view]}_{self.frame}.png"

    @property
    def object(self):
        return self.sequence.split("_")[0]

    @property
    def intent(self):
        """In words; the code itself where it is none of the official four."""
        code = (self.sequence.split("/")[0].split("_") + [""])[1]
        return INTENTS.get(code, code)

    @property
    def subject(self):
        """The person whose hand this is: giver and receiver are numbered like the hands; -1 where it cannot be read."""
        people = self.sequence.split("/")[0].split("_")[2:]
        known = self.hand_number < len(people) and people[self.hand_number].isdigit()
        return int(people[self.hand_number]) if known else -1


def list_file(image, split, mode, multiview=False):
    """The path of a split's list below the folder ``image``. Raises InputError for an unknown split or mode."""
    if split not in SPLITS:
        raise InputError("split", f"OakInk-Image has no split '{split}'", f"use one of: {', '.join(SPLITS)}", "split")
    if mode not in MODES:
        raise InputError("mode", f"OakInk-Image has no mode '{mode}'", f"use one of: {', '.join(MODES)}", "mode")
    if split == "all":
        return image / "anno" / "seq_all.json"
    if multiview and mode not in ("subject", "object"):
        problem = f"mode '{mode}' divides by view or frame, so four views of one moment would be torn apart"
        raise InputError("mode", problem, "use mode='subject' or mode='object' (or split='all')", "mode")
    folder, name = _FILES[split]
    return image / ("anno_mv" if multiview else "anno") / folder / MODES[mode] / name


def available(image, mode):
    """The splits that are there and do not overlap: "train+val" (or, without it, "train" and "val") and "test"."""
    there = [split for split in _FILES if list_file(Path(image), split, mode).exists()]
    return [split for split in there if "train+val" not in there or split not in ("train", "val")]


class Listing:
    """A split file's samples, compact: ``len(listing)``, ``listing[i]`` is a `Sample`.

    Raises InputError, naming the entry, when the file is missing, is no list, or an entry is not
    [sequence, 0 or 1, frame, camera 0..3].
    """

    def __init__(self, entries, path):
        if not isinstance(entries, list) or not entries:
            raise InputError(path, "is no list of samples, or an empty one", OFFICIAL)
        numbers = {}
        try:
            rows = [(numbers.setdefault(name, len(numbers)), hand, frame, view) for name, hand, frame, view in entries]
            self.rows = np.array(rows, np.int64)
        except (TypeError, ValueError, OverflowError):
            self.rows = None
        self.sequences = list(numbers)
        if self.rows is None or not self._sound(entries):
            self._refuse(entries, path)

    def _sound(self, entries):
        whole = all(type(number) is int for entry in entries for number in entry[1:])
        _, hand, frame, view = self.rows.T
        fits = ((hand == 0) | (hand == 1)).all() and (frame >= 0).all() and ((view >= 0) & (view < len(VIEWS))).all()
        return whole and fits and all(map(_is_sequence, self.sequences))

    @staticmethod
    def _refuse(entries, path):
        for place, entry in enumerate(entries):
            if not _is_entry(entry):
                problem = f'{shown(entry)} is not ["<sequence>/<time>", hand 0 or 1, frame, camera 0..3]'
                raise InputError(path, problem, "use the official file, unchanged", field=f"[{place}]")
        raise InputError(path, "holds entries that are none", OFFICIAL)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        sequence, *numbers = self.rows[index].tolist()
        return Sample(self.sequences[sequence], *numbers)


def _is_sequence(name):
    """Two plain folder names; nothing that could lead out of the data set's folder."""
    parts = name.split("/") if isinstance(name, str) else []
    return len(parts) == 2 and all(part not in ("", ".", "..") and "\\" not in part for part in parts) and is_name(name)


def _is_entry(entry):
    if not isinstance(entry, list) or len(entry) != 4 or not _is_sequence(entry[0]):
        return False
    _, hand, frame, view = entry
    whole = all(type(number) is int for number in entry[1:])
    return whole and hand in (0, 1) and 0 <= frame < 1 << 63 and 0 <= view < len(VIEWS)


def extend(entries):
    """A split's entries -> the multi-view list: its distinct (sequence, hand, frame), sorted, each with all cameras."""
    moments = sorted({tuple(entry[:3]) for entry in entries})
    return [[*moment, view] for moment in moments for view in range(len(VIEWS))]


def read(image, split, mode, multiview=False):
    """(`Listing`, path of the file it was read from, whether it had to be extended to four views here).

    multiview: the list of anno_mv/ where there is one, else the single-view list extended by `extend`. Raises
    InputError.
    """
    path = list_file(image, split, mode, multiview)
    extended = multiview and (split == "all" or not path.exists())
    if extended:
        path = image / "anno" / path.relative_to(image).relative_to("anno" if split == "all" else "anno_mv")
    entries = read_json(require(path, OFFICIAL), OFFICIAL)
    listing = Listing(entries, path)
    return (Listing(extend(entries), path) if extended else listing), path, extended
