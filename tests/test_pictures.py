import subprocess
import sys

import cv2
import numpy as np
import pytest

from handlib import pictures

PICTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8), (0, 0), 2)


def jpeg(*options):
    return cv2.imencode(".jpg", PICTURE[..., ::-1], list(options))[1].tobytes()


def test_png_keeps_every_value():
    assert np.array_equal(pictures.decode(pictures.encode_png(PICTURE)), PICTURE)


@pytest.mark.parametrize("shape", [(64, 48), (1, 1), (3, 200)])
@pytest.mark.parametrize("values", [1, 2, 33, 256])
def test_runs_keep_every_value(shape, values):
    mask = np.random.default_rng(values).integers(0, values, shape).astype(np.uint8)
    data = pictures.encode_runs(mask)
    assert np.array_equal(pictures.decode_runs(data), mask)
    assert np.array_equal(pictures.decode_runs(pictures.encode_runs(mask.T[:, ::-1])), mask.T[:, ::-1])
    longer = data[:16] + (2**20).to_bytes(4, "little") + data[20:]
    for damaged in (data[:-1], data + b"0", b"", b"RUNS", data[1:], longer):
        with pytest.raises(pictures.BrokenPicture):
            pictures.decode_runs(damaged)


@pytest.mark.parametrize("shape", [(64, 48), (1, 1), (1, 7), (5, 1)])
def test_planes_keep_every_value(shape):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    data = pictures.encode_planes(picture)
    assert np.array_equal(pictures.decode(data), picture)
    assert np.array_equal(pictures.decode(pictures.encode_planes(picture[::-1, ::-1])), picture[::-1, ::-1])


@pytest.mark.parametrize("damage", [slice(0, 4), slice(0, 12), slice(0, -1), slice(0, 200)])
def test_broken_planes_are_seen(damage):
    data = pictures.encode_planes(PICTURE)
    for broken in (data[damage], data[:4] + (2**31).to_bytes(4, "little") + data[8:], data[:8] + bytes(4) + data[12:]):
        with pytest.raises(pictures.BrokenPicture):
            pictures.decode(broken)


def test_jpeg_is_rgb():
    assert np.abs(pictures.decode(jpeg()).astype(int) - PICTURE).mean() < 3


@pytest.mark.parametrize(
    "data",
    [
        jpeg(),
        jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        pictures.encode_png(PICTURE),
    ],
    ids=["baseline", "progressive", "restarts", "png"],
)
def test_every_cut_is_seen(data):
    pictures.require_whole(data)
    pictures.require_whole(data + b"\0" * 100)  # rubbish behind the end is common and harmless
    for end in range(0, len(data) - 1, 7):
        cut = data[:end]
        with pytest.raises(pictures.BrokenPicture):
            pictures.require_whole(cut)
            pictures.decode(cut)
        if len(data) - end > 8:
            with pytest.raises(pictures.BrokenPicture):  # the hole that an interrupted download leaves
                padded = cut + b"\0" * (len(data) - end)
                pictures.require_whole(padded)
                pictures.decode(padded)


def test_a_thumbnail_does_not_end_the_picture():
    data = jpeg()
    thumbnail = cv2.imencode(".jpg", PICTURE[:8, :8])[1].tobytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    with_thumbnail = data[:2] + segment + data[2:]
    pictures.require_whole(with_thumbnail)
    with pytest.raises(pictures.BrokenPicture, match="truncated"):
        pictures.require_whole(with_thumbnail[:-200])


@pytest.mark.parametrize("data", [b"", b"no picture at all"])
def test_no_picture(data):
    with pytest.raises(pictures.BrokenPicture):
        pictures.decode(data)


FORK = """
import os, sys, cv2, numpy as np
from handlib import pictures
cv2.setNumThreads(4)
picture = np.zeros((2000, 2000, 3), np.uint8)
warp = lambda: cv2.warpAffine(picture, np.eye(2, 3), (2000, 2000))
warp()  # starts OpenCV's threads
child = os.fork()
if child == 0:
    warp()
    cv2.setNumThreads(1)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert cv2.getNumThreads() == 4
"""


def test_opencv_works_on_both_sides_of_a_fork():
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)
