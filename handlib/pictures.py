"""Encoded pictures: decode, encode, and tell whole ones from cut ones.

Importing this also makes OpenCV safe to use on both sides of a fork: its threads do not live on in a forked child,
and the child waits for them for ever, be it a packing worker or a data loader's. So they are ended before a fork.
"""

import functools
import io
import os
import re
import struct
from pathlib import Path

import cv2
import numpy as np

_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
# In a scan, 0xFF followed by anything but a stuffed zero, a restart marker or a fill byte begins the next segment.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RUNS, _PLANES = b"RUNS", b"PLN1"
_BANDS = 4
_LARGEST = 1 << 28  # pixels that the size in a header may claim
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


class BrokenPicture(ValueError):
    """Bytes that are not a whole picture; the message says what is wrong."""


def decode(data, channels=3):
    """Encoded bytes (JPEG, PNG, …) -> uint8 (h, w, 3) RGB, or (h, w) for ``channels`` 1. EXIF orientation is not
    applied.

    Raises BrokenPicture when the decoder gives up, and for a header that claims more than 2^28 pixels; see
    `require_whole` for what it lets pass.
    """
    if data[:4] == _PLANES:
        return decode_planes(data)
    size(data)
    flags = _RGB if channels == 3 else cv2.IMREAD_GRAYSCALE
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        picture = None
    if picture is None:
        raise BrokenPicture("does not decode")
    return picture


def size(data):
    """(width, height) that the header of an encoded picture claims, read before anything is decoded. BrokenPicture for
    one that claims more than 2^28 pixels, and for bytes that begin like no picture.
    """
    found = _claimed(data)
    if found is None or min(found) < 1:
        raise BrokenPicture("does not decode")
    if found[0] * found[1] > _LARGEST:
        raise BrokenPicture(f"claims to be {found[0]} x {found[1]} pixels")
    return found


def _claimed(data):
    if is_png(data):
        return struct.unpack_from(">II", data, 16) if len(data) >= 24 else None
    if data[:2] == b"\xff\xd8":
        return _jpeg_size(data)
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.size
    except Image.DecompressionBombError as error:
        raise BrokenPicture("claims more pixels than a picture has") from error
    except Exception:  # whatever its many readers raise: it is no picture
        return None


def _jpeg_size(data):
    """(width, height) of the first frame, None where there is none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _JPEG_FRAMES:
            return struct.unpack_from(">HH", data, at + 5)[::-1]
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def is_png(data):
    return data.startswith(_PNG_START)


def encode_png(picture):
    """uint8 (h, w, 3) RGB -> PNG bytes, made to decode quickly rather than to be small."""
    picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def write(path, picture, settings=()):
    """Write uint8 (h, w, 3) RGB or (h, w) to a file, in the format that its name ends in. OSError where that fails, of
    which OpenCV's own imwrite says nothing.

    settings: OpenCV's, as ``(cv2.IMWRITE_JPEG_QUALITY, 95)``.
    """
    path = Path(path)
    done, data = cv2.imencode(path.suffix, picture[..., ::-1] if picture.ndim == 3 else picture, settings)
    if not done:
        raise OSError(f"{path} could not be encoded")
    path.write_bytes(data)


def encode_planes(picture):
    """uint8 (h, w, 3) RGB -> bytes, lossless: smaller than a quickly made PNG and decoded in a fifth of its time.

    Green, red - green and blue - green, each row less the one above it, compressed with Zstandard. The picture lies in
    `_BANDS` bands side by side, so that few long rows are added up in decoding instead of many short ones.
    """
    height, width = picture.shape[:2]
    rows = -(-height // _BANDS)
    red, green, blue = cv2.split(picture)
    planes = np.zeros((3, _BANDS * rows, width), np.uint8)
    planes[:, :height] = green, red - green, blue - green  # modulo 256, as all arithmetic here
    lying = planes.reshape(3, _BANDS, rows, width).transpose(2, 0, 1, 3).copy()
    lying[1:] -= lying[:-1].copy()
    header = np.array([height, width], "<u4").tobytes()
    return _PLANES + header + _zstd().compress(lying.tobytes(), asbytes=True)


def decode_planes(data):
    """The inverse of `encode_planes`. Raises BrokenPicture when the bytes are not whole."""
    height, width = np.frombuffer(data, "<u4", 2, 4).tolist() if len(data) >= 12 else (0, 0)
    if not 0 < height * width <= _LARGEST:
        raise BrokenPicture("is no whole picture of planes")
    rows = -(-height // _BANDS)
    try:
        steps = _zstd().decompress(memoryview(data)[12:], rows * _BANDS * 3 * width)
    except OSError as error:
        raise BrokenPicture("is no whole picture of planes") from error
    steps = np.frombuffer(steps, np.uint8).reshape(rows, -1)
    lying = np.empty_like(steps)
    lying[0] = steps[0]
    for above, step, row in zip(lying, steps[1:], lying[1:], strict=False):  # quicker than np.add.accumulate
        np.add(above, step, row)
    bands = lying.reshape(rows, 3, _BANDS, width)
    bands[:, 1:] += bands[:, :1]
    picture = np.empty((_BANDS * rows, width, 3), np.uint8)
    for band in range(_BANDS):
        green, red, blue = (bands[:, channel, band] for channel in range(3))
        cv2.merge([red, green, blue], picture[band * rows : (band + 1) * rows])
    return picture[:height]


@functools.lru_cache(maxsize=1)
def _zstd():
    import pyarrow

    return pyarrow.Codec("zstd", compression_level=1)  # 5 is at most a tenth smaller and a third slower to decode


def encode_runs(mask):
    """uint8 (h, w) of few areas of equal value (class numbers) -> bytes, lossless; `decode_runs` takes a sixth of a
    PNG's time.
    """
    flat = np.ascontiguousarray(mask, np.uint8).ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(starts, append=flat.size).astype("<u4")
    header = np.array([*mask.shape, len(starts)], "<u4")
    return _RUNS + header.tobytes() + lengths.tobytes() + flat[starts].tobytes()


def decode_runs(data):
    """The inverse of `encode_runs`. Raises BrokenPicture when the bytes are not whole."""
    header = np.frombuffer(data, "<u4", 3, 4) if data[:4] == _RUNS and len(data) >= 16 else None
    if header is None or len(data) != 16 + 5 * int(header[2]):
        raise BrokenPicture("is no whole run-length mask")
    height, width, count = header.tolist()
    lengths, values = np.frombuffer(data, "<u4", count, 16), np.frombuffer(data, np.uint8, count, 16 + 4 * count)
    if lengths.sum(dtype=np.uint64) != height * width or height * width > _LARGEST:
        raise BrokenPicture("is no whole run-length mask")
    return values.repeat(lengths).reshape(height, width)


def require_whole(data):
    """Raise BrokenPicture for a JPEG or PNG that ends too early, which OpenCV decodes without a word; other formats
    pass.
    """
    if not data:
        raise BrokenPicture("empty")
    if data[:2] == b"\xff\xd8":
        if not _jpeg_ends(data):
            raise BrokenPicture("truncated")
    elif is_png(data) and _PNG_END not in data:
        raise BrokenPicture("truncated")


def _jpeg_ends(data):
    """Whether the walk over the segments reaches the end marker. A thumbnail's end marker inside a segment does not
    count.
    """
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return False
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:  # start of scan: coded data up to the next marker
            found = _JPEG_MARKER.search(data, at)
            if not found:
                return False
            at = found.start()
        if data[at : at + 2] == b"\xff\xd9":
            return True
    return False


_threads = 1


def _end_threads():
    global _threads
    _threads = cv2.getNumThreads()
    cv2.setNumThreads(1)


def _restore_threads():
    cv2.setNumThreads(_threads)


os.register_at_fork(before=_end_threads, after_in_parent=_restore_threads)
