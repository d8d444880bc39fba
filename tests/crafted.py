"""Hostile files, each in the place of a file of a small data set."""

import json
import os
import pickle
import struct
import zipfile

import cv2
import numpy as np

DEEP = 100_000


class Attack:
    """Unpickled by whoever believes a pickle, it makes the file ``marker``."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


# ------------------------------------------------------------------------------------------------------ pickles


def _same_twice(kind):
    """A value that holds one value nine times, that holds one nine times, …: 9^14 of them."""
    value = [0.0]
    for _ in range(14):
        value = kind([value] * 9)
    return value


PICKLES = {
    "a key that is never hashed": b"}(K\x01" + b"2\x86" * 60 + b"Nu.",
    "a key too deep for the stack": b"})" + b"\x85" * 300_000 + b"Ns.",
    "lists in lists": b"]" * 200_000 + b"a" * 199_999 + b".",
    "a far place in the memo": b"(Nr\xff\xff\xff\x7fd.",
    "zeros without end": b"cbuiltins\nbytearray\n(I20000000000\ntR.",
    "a string that is not there": b"\x8e" + (1 << 40).to_bytes(8, "little") + b".",
    "an array of 10^12 numbers": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tU\1btR(K\1(\x8a\6"
    + (10**12).to_bytes(6, "little")
    + b"tcnumpy\ndtype\n(U\2f8K\0K\1tR(K\3U\1<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89U\10\0\0\0\0\0\0\0\0tb.",
    "objects that run code": pickle.dumps(np.array([Attack("/tmp/never")], object)),
}  # fmt: skip


# -------------------------------------------------------------------------------------------------------- JSON


def nested(depth=DEEP):
    return "[" * depth + "]" * depth


JSONS = {
    "nested deeply": nested(),
    "nested deeply in a member": '{"images": [' + '{"a":' * DEEP + "0" + "}" * DEEP + "]}",
    "a number of 10^5 digits": '{"images": [{"id": ' + "9" * 100_000 + "}]}",
    "not closed": '{"images": [{"id": 1}, ',
    "binary": "\x00\x01\x02",
    "a number alone": "3",
}


# ---------------------------------------------------------------------------------------------------- pictures


def png(width, height):
    """A picture of 8 x 8 whose header says otherwise."""
    import zlib

    data = bytearray(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def jpeg(width, height):
    data = bytearray(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def bmp(width, height):
    data = bytearray(cv2.imencode(".bmp", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def tiff(width, height):
    data = bytearray(cv2.imencode(".tiff", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    (at,) = struct.unpack_from("<I", data, 4)
    for entry in range(struct.unpack_from("<H", data, at)[0]):
        tag = struct.unpack_from("<H", data, at + 2 + 12 * entry)[0]
        if tag in (0x100, 0x101):
            struct.pack_into("<HII", data, at + 4 + 12 * entry, 4, 1, width if tag == 0x100 else height)
    return bytes(data)


HUGE = 65_500
PICTURES = {
    "PNG of gigapixels": png(HUGE, HUGE),
    "JPEG of gigapixels": jpeg(HUGE, HUGE),
    "BMP of gigapixels": bmp(HUGE, HUGE),
    "TIFF of gigapixels": tiff(HUGE, HUGE),
    "PNG as large as is let pass": png(16_384, 16_384),
    "PNG without an end": png(64, 48)[:-12],
    "JPEG of no frame": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "nothing": b"",
    "text": b"this is no picture",
    "a page": b"<html><script>alert(1)</script></html>",
}


# ------------------------------------------------------------------------------------------ numpy, zip, YAML, PLY


def npy(shape, descr="<f4", data=b""):
    """A .npy whose header claims any shape."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def npz(path, **members):
    """members: bytes of .npy files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)


def objects(marker):
    """Bytes of a .npy of objects, one of which runs code."""
    import io

    stream = io.BytesIO()
    np.save(stream, np.array([Attack(marker)], object), allow_pickle=True)
    return stream.getvalue()


_LAUGHS = "a: &a [0,0,0,0,0,0,0,0,0]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
YAMLS = {
    "an alias of aliases": _LAUGHS + "betas: *i\n",
    "mappings merged over and over": "a: &a {k: 1}\n" + "".join(
        f"{new}: &{new} {{<<: [{','.join([f'*{old}'] * 9)}]}}\n"
        for old, new in zip("abcdefghijk", "bcdefghijkl", strict=True)),
    "lists in lists": "betas: " + "[" * 50_000,
    "dashes in dashes": "- " * 50_000 + "0",
    "mappings in mappings": "a: " + "{a: " * 50_000,
    "a tag that runs code": "betas: !!python/object/apply:os.system ['touch MARKER']\n",
    "a date that is none": "betas: 2001-99-99\n",
    "a number of 5000 digits": "betas: " + "9" * 5000 + "\n",
    "no text": "\0",
}  # fmt: skip


def ply(count, form="ascii", body="0 0 0\n", extra=""):
    header = f"ply\nformat {form} 1.0\nelement vertex {count}\n"
    return header + "".join(f"property float {axis}\n" for axis in "xyz") + extra + "end_header\n" + body


PLYS = {
    "10^12 vertices in text": ply(10**12),
    "10^12 binary vertices": ply(10**12, "binary_little_endian"),
    "fewer than none": ply(-1, "binary_little_endian"),
    "no count": ply("many"),
    "none": ply(0, body=""),
    "not finite": ply(1, body="nan 0 0\n"),
    "beyond any measure": ply(1, body="1e300 0 0\n"),
    "words for numbers": ply(1, body="a b c\n"),
    "an element without a name": "ply\nformat\nelement\nproperty\nend_header\n",
    "a list for x": "ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar int x\nend_header\n0\n",
}


# ------------------------------------------------------------------------------------------------------ numbers

BOXES = (
    [float("nan"), 0, 5, 5], [0, 0, float("inf"), 5], [1e308, 0, 5, 5], [0, 0, 10**400, 5], [0, 0, 5], "0055", None,
    ["1", "2", "3", "4"], [[0, 0], [5, [5]]], {"x": 0}, [True, False, True, True], [None] * 4,
)  # fmt: skip
NAMES = (
    "../../../../../etc/passwd", "/../etc/passwd", "a/../../b.png", "..\\..\\b.png", "a\0.png", "\ud800.png",
    "a" * 1_000_000, "", ".", 7, ["a.png"],
)  # fmt: skip
SCRIPT = "<script>alert(1)</script>\n\t\"'&.png"


def dumped(value):
    """JSON text, numbers that are none as Python writes them."""
    return json.dumps(value)
