"""One's own pictures: from a file, an array or a PIL image to upright RGB, and what their EXIF says of the lens."""

import dataclasses
import io
from pathlib import Path

import cv2
import numpy as np

from handlib import pictures
from handlib.files import InputError, require

SUFFIXES = tuple(".jpg .jpeg .png .bmp .tif .tiff .webp .gif .ppm .pgm .jp2".split())
_EXIF, _ORIENTATION = 0x8769, 0x0112
_FOCAL, _FOCAL_35, _WIDTH, _PER_UNIT, _UNIT = 0x920A, 0xA405, 0xA002, 0xA20E, 0xA210
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0}
_DIAGONAL_35 = float(np.hypot(36, 24))  # mm; EXIF's "35 mm film" focal length keeps the diagonal's angle of view
_MEND = "save it as JPEG or PNG"


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """``image``: uint8 (h, w, 3) RGB as shown (EXIF orientation applied); ``name``; ``focal``: pixels, from EXIF, or
    None; ``lens``: what EXIF said, in words.
    """

    image: np.ndarray
    name: str
    focal: float | None = None
    lens: str = ""

    @property
    def size(self):
        """(width, height) pixels."""
        return self.image.shape[1], self.image.shape[0]


def read(given, name=None):
    """A path, an array or a PIL image -> `Picture`.

    Arrays (h, w), (h, w, 1), (h, w, 3) RGB or (h, w, 4) RGBA: uint8, uint16 (white 65535) or floating point (0..1).
    16-bit pictures are brought to 8 bits, grey ones to three equal channels, CMYK ones to RGB; what is transparent is
    laid on black, as what lies outside a picture. Of several pages the first is taken.

    Raises InputError for addresses of the web, what is missing, cut short or no picture, and arrays of other kinds.
    """
    if isinstance(given, Picture):
        return given if name is None else dataclasses.replace(given, name=name)
    if isinstance(given, str | Path):
        return _file(given, name)
    if isinstance(given, np.ndarray):
        return Picture(_from_array(given, name or "array"), name or "picture")
    if hasattr(given, "getexif"):
        return _from_pil(given, name or Path(getattr(given, "filename", "") or "picture").name)
    problem = f"is a {type(given).__name__}"
    raise InputError(name or "picture", problem, "give a path, a numpy array (h, w, 3) RGB or a PIL image")


def _file(path, name):
    if "://" in str(path):
        raise InputError(path, "is an address, not a file", "download it and give the file's path")
    path = require(path, "give the path of a picture")
    if path.is_dir():
        raise InputError(path, "is a folder", "give a picture, or the folder as a source to handlib.predict.run")
    data = path.read_bytes()
    try:
        pictures.require_whole(data)
    except pictures.BrokenPicture as error:
        raise InputError(path, f"is no whole picture: {error}", "copy it again") from error
    return _from_pil(_opened(data, path), name or path.name, data)


def _opened(data, path):
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data))
    except Exception as error:  # as in `_from_pil`; a picture of more than 179 million pixels is refused too
        raise InputError(path, f"cannot be read as a picture ({_said(error)})", _MEND) from error


def _said(error):
    """In few words: of a file in memory PIL shows the memory."""
    return f"{type(error).__name__}: {error}"[:200].partition("<_io")[0]


def _from_pil(picture, name, data=None):
    """``data``: the file's bytes, where there are any: plain pictures are decoded by OpenCV, as in all of handlib."""
    try:
        exif = picture.getexif()
        image = None
        if data is not None and picture.mode in ("RGB", "L") and picture.format in ("JPEG", "PNG", "BMP"):
            image = _plain(data, name)
        if image is None:
            image = _converted(picture, name)
        turned = _upright(image, exif.get(_ORIENTATION, 1))
        focal, lens = _lens(exif, turned.shape)
    except InputError:
        raise
    except Exception as error:  # PIL's readers of two dozen formats raise a dozen kinds at damage
        raise InputError(name, f"cannot be read as a picture ({_said(error)})", _MEND) from error
    return Picture(turned, name, focal, lens)


def _plain(data, name):
    try:
        return pictures.decode(data)
    except pictures.BrokenPicture as error:
        raise InputError(name, f"is no whole picture: {error}", "copy it again") from error


def _converted(picture, name):
    """Any PIL picture -> uint8 (h, w, 3)."""
    if picture.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        values = np.asarray(picture)
        if values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 65535:
            return _from_array(values.astype(np.uint16), name)
        return _from_array(values, name)
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return _from_array(np.asarray(picture.convert("RGBA")), name)
    return np.ascontiguousarray(picture.convert("RGB"))


def _from_array(array, name):
    if array.ndim not in (2, 3) or not array.size or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InputError(name, f"has shape {array.shape}", "give (h, w), (h, w, 3) RGB or (h, w, 4) RGBA")
    array = _eight_bit(array[..., None] if array.ndim == 2 else array, name)
    if array.shape[2] == 4:
        seen = array[..., :3].astype(np.uint16) * array[..., 3:]
        array = ((seen + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def _eight_bit(array, name):
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            low, high = (f"{value:.4g}" for value in (array.min(), array.max()))
            raise InputError(name, f"holds numbers from {low} to {high}", "give floating point pictures in 0..1")
        return (array * 255).round().astype(np.uint8)
    raise InputError(name, f"holds {array.dtype}", "give uint8, uint16, or floating point in 0..1")


_TURNS = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}


def _upright(image, orientation):
    """EXIF's eight ways of lying; an unknown one is taken for upright."""
    if orientation in (2, 4):
        return cv2.flip(image, 1 if orientation == 2 else 0)
    if orientation in (5, 7):
        turned = cv2.transpose(image)
        return turned if orientation == 5 else cv2.flip(turned, -1)
    return cv2.rotate(image, _TURNS[orientation]) if orientation in _TURNS else image


def _lens(exif, shape):
    """(focal length in pixels, what was said) or (None, "")."""
    inside = exif.get_ifd(_EXIF) if hasattr(exif, "get_ifd") else {}
    of_film = _number(inside.get(_FOCAL_35))
    if of_film:
        return of_film / _DIAGONAL_35 * float(np.hypot(*shape[:2])), f"{of_film:g} mm on 35 mm film"
    focal, per_unit = _number(inside.get(_FOCAL)), _number(inside.get(_PER_UNIT))
    unit, width = _UNIT_MM.get(inside.get(_UNIT, 2)), _number(inside.get(_WIDTH))
    if focal and per_unit and unit and width:
        resized = max(shape[:2]) / max(width, _number(inside.get(0xA003)) or 0)
        return focal * per_unit / unit * resized, f"{focal:g} mm, {per_unit / unit:.4g} pixels per mm of the sensor"
    return None, ""


def _number(value):
    try:
        value = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return value if np.isfinite(value) and value > 0 else None
