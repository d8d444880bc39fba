"""HO-3D v2 and v3 (Hampali et al., CVPR 2020 and 2022): a right hand that holds an object, by one to five cameras.

``root`` is the folder that holds ``train/``, ``evaluation/``, ``train.txt`` and ``evaluation.txt`` as released, or one
whose ``data/`` holds them. Which version it is, the pictures' ending says: PNG is v2, JPEG v3. The truth of the
evaluation split, where it has been put there (``evaluation_xyz.json``, ``evaluation_verts.json``), is used.
"""

import dataclasses
import functools

from handlib import geometry
from handlib.datasets import ho3d_files as files
from handlib.datasets.base import Reader, fits_of
from handlib.datasets.ho3d_derived import Derived, path_of
from handlib.datasets.windows import MANO_SCALE, Window
from handlib.files import InputError, require, require_choice, require_known

SPLITS = {"train": "train", "evaluation": "evaluation", "train_part": "train", "val": "train"}  # and what lists them
PARTS = ("train", "evaluation")
SOURCES = ("annotations", "derived")
EVERY = 5  # of the captures one is held out by default


def splits(root, source="annotations"):
    """The official splits that are there: "train", "evaluation" or both. InputError for none."""
    require_choice("source", source, SOURCES)
    root = files.folder(root)
    place = {part: path_of(root, part) if source == "derived" else root / f"{part}.txt" for part in PARTS}
    found = [part for part in PARTS if place[part].exists()]
    if not found:
        raise InputError(place["train"], "is missing, and so is the evaluation split's", files.OFFICIAL)
    return found


def variant(source="annotations", held_out=()):
    """What tells packs of one split apart, as a name."""
    return "_".join([*(["derived"] if source == "derived" else []), *sorted(held_out)])


def reader(root, split, source="annotations", held_out=(), pixels="reach"):
    """`HO3D`."""
    return HO3D(root, split, source, held_out, pixels)


class HO3D(Reader):
    """Samples of one right hand each (H = 1) in the order of the list (source "derived": of the file).

    split: "train" or "evaluation" as released; or "train_part" and "val", the two parts of "train" for an evaluation of
    one's own: "val" is the captures of ``held_out`` (["MC1", "ABF1"]; default: every fifth by name), all cameras of a
    capture together, since they show the same moments. The official split does not keep to that: cameras of one
    capture (SB1) are in both.

    source: "annotations", the released pickles: ``pose_flat``, the global orientation turned into the camera frame; or
    "derived", HandOccNet's JSON files (`ho3d_derived`): ``pose_from_mean``; no objects. file: where the derived file
    lies, if elsewhere. pixels: what ``complete`` keeps of a picture, see `Window`.

    Of an evaluation frame only the wrist and an annotated box are known: ``joints_valid`` is False but for the wrist,
    the other joints are zeros, ``mano_valid`` is False. With the truth in ``root`` its joints are all there, and
    ``verts_cam``; the box stays the annotated one. ``image_id`` is the number of the frame's line in the list (derived:
    the file's own), so that a submission knows its rows when samples were skipped.

    Raises InputError for a missing folder or list, an unknown option, a truth of another version, a pickle that is not
    harmless. Iterating skips, and counts in ``skipped``, frames whose annotation is missing, cut, None, of another
    shape or not finite, and training frames whose hand is behind the camera or has no place in the picture.
    """

    name = "ho3d"

    def __init__(self, root, split, source="annotations", held_out=(), pixels="reach", file=None):
        super().__init__()
        require_known([split], SPLITS, "HO-3D", "split")
        require_choice("source", source, SOURCES)
        require_choice("pixels", pixels, ("reach", "whole"))
        self.split, self.part, self.root = split, SPLITS[split], files.folder(root)
        held_out = tuple([held_out] if isinstance(held_out, str) else held_out)
        self.options = {"source": source, "held_out": sorted(held_out), "pixels": pixels}
        self._derived, listed = None, None
        if source == "derived":
            self._derived = Derived(file or path_of(self.root, self.part), self.part)
            self.sources[self._derived.table.path.name] = self._derived.table.path
            listed = self._derived.frames
        else:
            listed = files.frames(self.root, self.part)
            self.sources[f"{self.part}.txt"] = self.root / f"{self.part}.txt"
        self.list = self._chosen(listed, held_out)
        self._endings = files.endings(self.root, self.list) if self._derived is None else None
        self._has_truth = self.part == "evaluation" and self._derived is None and self._found_truth()
        self.complete = Completion(self.root, Window(pixels, MANO_SCALE, geometry.ManoInput()))
        self.facts = {
            "version": self._version(),
            "units": "metres, radians, pixels",
            "joint_order": "hand21 (wrist, thumb .. little, base to tip)",
            "fits_of": fits_of(self.root),
            "source": source,
        }

    def _chosen(self, listed, held_out):
        if self.split == self.part:
            return listed
        captures = sorted({files.capture(frame.sequence) for frame in listed})
        require_known(held_out, captures, f"HO-3D, {self.part}.txt", "capture")
        held = set(held_out or captures[EVERY // 2 :: EVERY] or captures[-1:])
        if len(held) == len(captures):
            mend = "hold out fewer captures; with one alone there is nothing to split"
            raise InputError("held_out", "leaves nothing to train on", mend, "held_out")
        self.notes.append(f"held out for val: {', '.join(sorted(held))} of {len(captures)} captures")
        return [frame for frame in listed if (files.capture(frame.sequence) in held) == (self.split == "val")]

    def _found_truth(self):
        if not files.Truth.there(self.root):
            self.notes.append("evaluation_xyz.json and evaluation_verts.json are absent: only the wrists are known")
            return False
        self.sources |= {name: self.root / name for name in files.Truth.FILES}
        return True

    def _version(self):
        if self._derived is None:
            first = self._endings[self.list[0].sequence]
        else:
            first = "." + self._derived.table.file_names[self.list[0].line].rpartition(".")[2]
        return files.ENDINGS.get(first, "unknown")

    @functools.cached_property
    def _truth(self):
        require(self.root / "evaluation.txt", files.OFFICIAL)
        return files.Truth(self.root, len(self.list))

    def __len__(self):
        return len(self.list)

    def light(self, index):
        """What the list says of a sample; from the derived file and of the truth, everything."""
        frame = self.list[index]
        if self._derived is not None:
            picture = self.root / frame.part / self._derived.table.file_names[frame.line]
            return {"image_path": str(picture), **self._derived.sample(frame.line)}
        picture = self.root / frame.part / frame.sequence / "rgb" / f"{frame.number}{self._endings[frame.sequence]}"
        sample = {**frame.columns, "image_path": str(picture)}
        return sample | ({"truth": self._truth[frame.line]} if self._has_truth else {})

    def __getitem__(self, index):
        return self.complete.annotated(self.light(index))


@dataclasses.dataclass(frozen=True)
class Completion:
    """The heavy part of a sample: its annotation file and its picture."""

    root: object
    window: Window

    def annotated(self, sample):
        """The arrays of a light sample. Raises Skip; `safe_pickle.Refused` for a file that is not harmless."""
        if "joints_cam" in sample:
            return sample
        sample, part = dict(sample), sample["key"].split("/")[0]
        truth = sample.pop("truth", None)
        frame = files.Frame(part, sample["sequence"], sample["key"].split("/")[2], sample["image_id"])
        return {**sample, **files.labels(files.read(self.root, frame), frame, truth)}

    def __call__(self, sample):
        sample = self.annotated(sample)
        return self.window.filled(sample)
