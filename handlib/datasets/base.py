"""What every reader of a data set gives, and how it says that a sample cannot be used."""

import abc
import os
import stat
from pathlib import Path

from handlib import pictures
from handlib.files import InputError, read_json

_LARGEST = 1 << 28  # bytes of a picture's file


class Skip(Exception):
    """One sample that cannot be used. ``reason`` is the same for all samples with this fault, ``detail`` says it for
    this one.
    """

    def __init__(self, key, reason, detail=""):
        self.key, self.reason, self.detail = key, reason, detail
        super().__init__(key, reason, detail)  # the arguments, so that it crosses process borders whole

    def __str__(self):
        return f"{self.key}: {self.reason}" + (f" ({self.detail})" if self.detail else "")


class Reader(abc.ABC):
    """Official files -> samples in the vocabulary of `handlib.fields`, in the data set's official order.

    Iterating gives the samples that can be used and collects the others in ``skipped``. Subclasses set:

    - ``name``, ``split``; ``options``: what decides the content, as plain values
    - ``facts``: dict for the manifest (version, units, joint order …); ``notes``: what a user should know (files that
      are absent, …)
    - ``sources``: {name: path} of the annotation files read
    - ``complete``: a callable that can be sent to another process. ``complete(sample)`` does the heavy part: returns
      the sample with its pictures (encoded bytes, or uint8 arrays), checked, and part masks; raises Skip.
    """

    name = split = None
    complete = None

    def __init__(self):
        self.options, self.facts, self.sources, self.notes, self.skipped = {}, {}, {}, [], []

    @abc.abstractmethod
    def __len__(self):
        """How many samples the split lists, those that will be skipped included."""

    @abc.abstractmethod
    def __getitem__(self, index):
        """The sample without its pictures (``image_path`` says where they are). Raises Skip."""

    def light(self, index):
        """What ``complete`` starts from, where a reader can leave the opening of a sample's own files to the packing
        processes; otherwise the sample itself. Raises Skip.
        """
        return self[index]

    def __iter__(self):
        self.skipped = []
        for index in range(len(self)):
            try:
                yield self[index]
            except Skip as skip:
                self.skipped.append(skip)


def read_bytes(sample):
    """The bytes of ``sample['image_path']``; raises Skip when there is none, or none that a picture could be."""
    try:
        found = os.stat(sample["image_path"])
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:  # a pipe or a device may never end
            raise Skip(sample["key"], "image is no file of a picture", f"{found.st_size} bytes")
        return Path(sample["image_path"]).read_bytes()
    except (OSError, ValueError) as error:
        raise Skip(sample["key"], "image is missing", type(error).__name__) from error


def read_picture(sample):
    """`read_bytes`; raises Skip also when they are cut, do not decode, or are a picture of another size."""
    data = read_bytes(sample)
    check_picture(sample, data)
    return data


def check_picture(sample, data):
    """Decode ``data``; raises Skip when it is no whole picture of the size that the annotation says. Returns RGB."""
    try:
        pictures.require_whole(data)
        size = pictures.size(data)
        image = pictures.decode(data) if size == (sample["width"], sample["height"]) else None
    except pictures.BrokenPicture as error:
        raise Skip(sample["key"], f"image {error}") from error
    if image is None or image.shape[:2] != (sample["height"], sample["width"]):
        detail = f"{size[0]} x {size[1]}, annotated {sample['width']} x {sample['height']}"
        raise Skip(sample["key"], "image has another size than annotated", detail)
    return image


def fits_of(folder, official="MANO"):
    """The body model that a data set's poses and meshes are of: what ``folder``/body_model.json names (demo data are of
    the free hand or body), else ``official``.
    """
    marker = Path(folder) / "body_model.json"
    if not marker.exists():
        return official
    told = read_json(marker)
    model = told.get("model") if isinstance(told, dict) else None
    if not isinstance(model, str):
        raise InputError(marker, "names no body model", "take the file away where the fits are official ones", "model")
    return model
