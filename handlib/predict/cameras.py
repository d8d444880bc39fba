"""Intrinsics of pictures that come without any, and the words that say what was assumed."""

import numpy as np

from handlib import geometry
from handlib.files import InputError

PUBLISHED_FOCAL = 500.0


def intrinsics(picture, K=None, focal=None):
    """The camera of a `reading.Picture`: K (3, 3) float64 in pixels, and where it comes from, in words.

    K: (3, 3), given; it is of the picture as shown. Otherwise the principal point is the picture's middle, and
    ``focal`` says the focal length: a number of pixels; "published": 500 pixels whatever the picture, its centre at
    half the size, as in HandOccNet's demo; None: what EXIF says of the lens, else the length of the picture's diagonal
    in pixels (an angle of view of 53 degrees across it), the assumption of Kissos et al. (ECCV workshops 2020) and of
    CLIFF (Li et al., ECCV 2022) for pictures in the wild. Depth is in proportion to the focal length: a wrong one moves
    hands and persons along their line of sight and leaves their shape alone. Raises InputError for what is no camera.
    """
    width, height = picture.size
    if K is not None:
        return checked(K, picture.name), "given"
    if focal == "published":
        centre = (width / 2, height / 2)
        words = "assumed: focal length 500 px whatever the picture, centre at half its size (HandOccNet's demo)"
        return geometry.intrinsics((PUBLISHED_FOCAL, PUBLISHED_FOCAL), centre), words
    if focal is None:
        focal = picture.focal or float(np.hypot(width, height))
        if picture.focal:
            words = f"assumed from EXIF: focal length {focal:.0f} px ({picture.lens}), centre in the middle"
        else:
            words = f"assumed: focal length {focal:.0f} px, the picture's diagonal, centre in the middle"
    else:
        focal = _positive(focal)
        words = f"focal length {focal:g} px given; assumed: centre in the middle"
    return geometry.intrinsics((focal, focal), ((width - 1) / 2, (height - 1) / 2)), words


def checked(K, name):
    """(3, 3) float64; InputError unless it is a pinhole camera without skew."""
    try:
        K = np.array(K, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, "is no matrix of numbers", "give (3, 3) intrinsics in pixels", "K") from error
    if K.shape != (3, 3) or not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise InputError(name, "is not (3, 3) with focal lengths above 0", "give intrinsics in pixels", "K")
    if K[0, 1] or K[1, 0] or (K[2] != (0, 0, 1)).any():
        raise InputError(name, "has skew, or a last row other than 0 0 1", "give [[fx 0 cx] [0 fy cy] [0 0 1]]", "K")
    return K


def _positive(focal):
    try:
        value = float(focal)
    except (TypeError, ValueError) as error:
        raise InputError("focal", f"is {focal!r}", "give pixels, 'published', or nothing") from error
    if not 0 < value < float("inf"):
        raise InputError("focal", f"is {focal!r}", "give a number of pixels above 0")
    return value
