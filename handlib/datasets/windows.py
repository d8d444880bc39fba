"""What part of a picture a pack keeps: all of it, or what the crops of one hand can show."""

import dataclasses

import numpy as np

from handlib import geometry, pictures
from handlib.datasets.base import check_picture, read_bytes

MANO_SCALE = 1.25  # how much larger than its square HandOccNet's published augmentation makes a crop at most
_MARGIN = 3  # pixels beyond the crop's corner that interpolation and rounding may touch


@dataclasses.dataclass(frozen=True)
class Window:
    """How much of a picture is kept: "whole", or "reach", what the crop and its augmentation can show.

    A crop is a square turned by any angle, so it shows nothing beyond a circle. The circle is drawn about the box's
    centre: its rectangle inside the picture is kept, black outside the circle. ``window`` and ``reach`` of the sample
    say what it is. The crops are those of the whole picture to the bit.

    Which square: about the box's centre, at most ``largest`` times the box (OakInk); with ``mano``, where a
    `geometry.ManoInput` is given, what `geometry.mano_square` gives, at most ``largest`` times where the box is tight
    (training draws larger crops) and as it is where the box is an annotated one. That square may lie beside the box, so
    the circle is drawn larger by as much. Where the square has no place in the picture, everything is kept. With
    ``hand``, where a `geometry.PersonInput` of a hand is given, what `geometry.person_box` gives, ``largest`` times.
    """

    pixels: str
    largest: float
    mano: geometry.ManoInput | None = None
    hand: geometry.PersonInput | None = None

    def filled(self, sample):
        """The sample with what is kept of the file at its ``image_path``. Raises Skip."""
        data = read_bytes(sample)
        return {**sample, **self(sample, data, check_picture(sample, data))}

    def __call__(self, sample, data, image):
        """The fields ``image``, ``window``, ``reach``. data: the picture's file; image: the same, decoded."""
        height, width = image.shape[:2]
        radius = np.inf if self.pixels == "whole" else self._radius(sample, width, height)
        if np.isinf(radius):
            return {"image": data, "window": np.array([0, 0, width, height], np.int32), "reach": np.float32(np.inf)}
        centre, _ = geometry.centred_square(sample["bbox"])
        low = np.clip(np.floor(centre - radius), 0, (width - 1, height - 1)).astype(int)
        high = np.clip(np.ceil(centre + radius) + 1, low + 1, (width, height)).astype(int)
        part = image[low[1] : high[1], low[0] : high[0]].copy()
        x, y = (np.arange(*span) - middle for *span, middle in zip(low, high, centre, strict=True))
        part[y[:, None] ** 2 + x**2 > radius**2] = 0
        window = np.array([*low, *(high - low)], np.int32)
        return {"image": pictures.encode_planes(part), "window": window, "reach": np.float32(radius)}

    def _radius(self, sample, width, height):
        """Pixels from the box's centre beyond which no crop shows anything."""
        centre, side = geometry.centred_square(sample["bbox"], self.largest)
        if self.hand is not None:
            box = geometry.person_box(geometry.hand_box(sample["bbox"], sample["bbox_tight"]), width, height, self.hand)
            if box is None:
                return np.inf
            return np.hypot(*(box[:2] + box[2:] / 2 - centre)) + box[2] * self.largest / np.sqrt(2) + _MARGIN
        if self.mano is None:
            return side / np.sqrt(2) + _MARGIN
        tight = bool(sample["bbox_tight"])
        square = geometry.mano_square(sample["bbox"], tight, width, height, self.mano)
        if square is None:
            return np.inf
        beside = np.hypot(*(square[:2] + square[2:] / 2 - centre))
        return beside + square[2] * (self.largest if tight else 1.0) / np.sqrt(2) + _MARGIN
