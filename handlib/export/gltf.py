"""glTF 2.0 (Khronos, ISO/IEC 12113) in its binary form, .glb: arrays in, one file out; knows nothing of hands."""

import json
import struct

import numpy as np

from handlib.files import write_atomic

FLOAT, UNSIGNED_BYTE, UNSIGNED_SHORT = 5126, 5121, 5123
VERTICES, INDICES = 34962, 34963  # what the buffer view is for
_KINDS = {np.dtype("<f4"): FLOAT, np.dtype("u1"): UNSIGNED_BYTE, np.dtype("<u2"): UNSIGNED_SHORT}
_TYPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_MAGIC, _VERSION, _JSON, _BIN = 0x46546C67, 2, 0x4E4F534A, 0x004E4942


class Document:
    """A glTF asset under way: ``add(kind, **properties)`` appends an object and gives its number."""

    def __init__(self):
        self.content = {"asset": {"version": "2.0", "generator": "handlib"}}
        self._binary = bytearray()

    def add(self, kind, **properties):
        """Append to the list ``kind`` ("nodes", "meshes", …); returns the place in it."""
        things = self.content.setdefault(kind, [])
        things.append(properties)
        return len(things) - 1

    def array(self, values, target=None, bounds=False):
        """An accessor of float32, uint8 or uint16 values (N, …); (N, 4, 4) are row by row here, turned for glTF.

        target: VERTICES, INDICES or None; bounds: state least and largest (positions and key times must).
        """
        values = np.ascontiguousarray(values)
        if values.dtype.newbyteorder("<") not in _KINDS or values.shape[1:] not in _TYPES or not len(values):
            raise ValueError(f"no glTF accessor holds {values.dtype} {values.shape}")
        stored = np.ascontiguousarray(values.swapaxes(1, 2)) if values.ndim == 3 else values  # column by column
        self._binary.extend(bytes(-len(self._binary) % 4))
        view = dict(buffer=0, byteOffset=len(self._binary), byteLength=stored.nbytes)
        self._binary.extend(stored.tobytes())
        accessor = dict(
            bufferView=self.add("bufferViews", **view, **({"target": target} if target else {})),
            componentType=_KINDS[values.dtype.newbyteorder("<")], count=len(values), type=_TYPES[values.shape[1:]],
        )  # fmt: skip
        if bounds:
            flat = values.reshape(len(values), -1)
            accessor |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        return self.add("accessors", **accessor)

    def write(self, path):
        """Write the .glb, whole or not at all."""
        binary = bytes(self._binary) + bytes(-len(self._binary) % 4)
        content = self.content | {"buffers": [{"byteLength": len(binary)}]}
        text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        chunks = b"".join(struct.pack("<II", len(data), kind) + data for data, kind in ((text, _JSON), (binary, _BIN)))
        with write_atomic(path) as temporary:
            temporary.write_bytes(struct.pack("<III", _MAGIC, _VERSION, 12 + len(chunks)) + chunks)


def linear(colour):
    """'#RRGGBB' (sRGB) -> [r, g, b, 1] as glTF's factors are: linear, 0..1."""
    value = np.frombuffer(bytes.fromhex(colour.lstrip("#")), np.uint8) / 255
    return [*np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).round(5).tolist(), 1.0]
