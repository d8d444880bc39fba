"""What part of a picture a pack keeps: all of it, or what the crops of one hand can show."""

import dataclasses

import numpy as np

from handlib import geometry, pictures

_MARGIN = 3  # pixels beyond the crop's corner that interpolation and rounding may touch


@dataclasses.dataclass(frozen=True)
class Window:
    """How much of a picture is kept: "whole", or "reach", what the crop and its augmentation can show.

    A crop is a square about the box's centre, at most ``largest`` times the box and turned by any angle, so it shows
    nothing beyond a circle: the circle's rectangle inside the picture is kept, black outside the circle. ``window``
    and ``reach`` of the sample say what it is. The crops are those of the whole picture to the bit.
    """

    pixels: str
    largest: float

    def __call__(self, sample, data, image):
        """The fields ``image``, ``window``, ``reach``. data: the picture's file; image: the same, decoded."""
        height, width = image.shape[:2]
        if self.pixels == "whole":
            return {"image": data, "window": np.array([0, 0, width, height], np.int32), "reach": np.float32(np.inf)}
        centre, side = geometry.centred_square(sample["bbox"], self.largest)
        radius = side / np.sqrt(2) + _MARGIN
        low = np.clip(np.floor(centre - radius), 0, (width - 1, height - 1)).astype(int)
        high = np.clip(np.ceil(centre + radius) + 1, low + 1, (width, height)).astype(int)
        part = image[low[1] : high[1], low[0] : high[0]].copy()
        x, y = (np.arange(*span) - middle for *span, middle in zip(low, high, centre, strict=True))
        part[y[:, None] ** 2 + x**2 > radius**2] = 0
        window = np.array([*low, *(high - low)], np.int32)
        return {"image": pictures.encode_planes(part), "window": window, "reach": np.float32(radius)}
