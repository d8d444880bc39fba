"""What is done to files in fuzzing: bytes of any kind, and the structure of those whose form is known.

`Mutants(draw, trace).change(folder, names)` changes files in place; every choice comes from ``draw``. Where a file can
name code, some mutants name code that would make the file ``trace``.
"""

import io
import json
import struct
from pathlib import Path

import numpy as np
from fuzz_formats import DEEP, Formats

VALUES = (  # in the place of another one
    None, True, False, 0, 1, -1, 2, 3, 10**6, -(2**31), 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e-300, 1e300, -1e39,
    float("nan"), float("inf"), float("-inf"), "", "x", "0", "nan", "é\u0000\ud7ff", "../../x", "/", "a" * 5000,
    [], {}, [None], [[]], {"": None}, [1, 2, 3], [[0.0] * 3] * 4, "@deep list@", "@deep dict@", [0] * 10_000,
)  # fmt: skip
_DEEP = {'"@deep list@"': "[" * DEEP + "]" * DEEP, '"@deep dict@"': '{"a":' * DEEP + "0" + "}" * DEEP}
DTYPES = (
    "f2",
    "f4",
    "f8",
    ">f8",
    "i1",
    "i4",
    "i8",
    "u1",
    "u4",
    "u8",
    "?",
    "c16",
    "U5",
    "S3",
    "M8[s]",
    "m8[s]",
    "O",
    "V8",
)


class Mutants(Formats):
    """Changes of files, drawn from a `random.Random`."""

    def __init__(self, draw, trace="ran"):
        self.draw, self.trace = draw, str(trace)
        self.numbers = np.random.default_rng(draw.getrandbits(64))

    def change(self, folder, names):
        """One to three changes of one or two of the files -> what was done, in words."""
        done = []
        for _ in range(self.draw.choice((1, 1, 1, 2, 3))):
            path = Path(folder) / self.draw.choice(names)
            if not path.is_file():
                continue
            if self.draw.random() < 0.04:
                done.append(f"{path.name}: {self._whole(path, Path(folder) / self.draw.choice(names))}")
                continue
            data = path.read_bytes()
            try:
                changed, how = self.mutate(data, path.suffix.lower())
            except Exception:
                changed, how = self.bytes(data)  # what an earlier change left has no such structure any more
            path.write_bytes(changed)
            done.append(f"{path.name}: {how}")
        return "; ".join(done)

    def _whole(self, path, other):
        """The file as such: gone, empty, a folder, another file's content."""
        kind = self.draw.choice(("gone", "empty", "folder", "another"))
        content = other.read_bytes() if other.is_file() else b""
        path.unlink()
        if kind == "folder":
            path.mkdir()
        elif kind != "gone":
            path.write_bytes(content if kind == "another" else b"")
        return kind

    def mutate(self, data, suffix):
        """(changed bytes, what was done) by the form of the file, or plainly as bytes."""
        if self.draw.random() < 0.3 or not data:
            return self.bytes(data)
        kinds = {
            ".json": self.json, ".ipynb": self.json, ".npy": self.npy, ".csv": self.lines, ".txt": self.lines,
            ".yaml": self.yaml, ".yml": self.yaml, ".safetensors": self.safetensors, ".parquet": self.parquet,
            ".png": self.picture, ".jpg": self.picture, ".tif": self.picture,
        }  # fmt: skip
        if data.startswith(b"PK\3\4"):
            return self.zip(data)
        if suffix in kinds:
            return kinds[suffix](data)
        if data[:1] == b"\x80" or suffix in (".pkl", ".pickle"):
            return self.pickle(data)
        return self.bytes(data)

    # ---- bytes

    def bytes(self, data):
        kind = self.draw.choice(
            ("flip", "flip", "cut", "cut front", "splice", "double", "insert", "zeros", "ones", "swap")
        )
        if not data:
            return bytes(self.draw.getrandbits(8) for _ in range(self.draw.randrange(64))), "noise"
        at = self.draw.randrange(len(data))
        length = min(self.draw.choice((1, 2, 4, 8, 64, 1024)), len(data) - at)
        if kind == "flip":
            changed = bytearray(data)
            for _ in range(self.draw.choice((1, 1, 2, 16))):
                changed[self.draw.randrange(len(data))] ^= 1 << self.draw.randrange(8)
            return bytes(changed), kind
        other = self.draw.randrange(len(data))
        made = {
            "cut": lambda: data[:at],
            "cut front": lambda: data[at:],
            "splice": lambda: data[:at] + data[other:],
            "double": lambda: data[: at + length] + data[at:],
            "insert": lambda: data[:at] + self.draw.randbytes(length) + data[at:],
            "zeros": lambda: data[:at] + bytes(length) + data[at + length :],
            "ones": lambda: data[:at] + b"\xff" * length + data[at + length :],
            "swap": lambda: data[:at] + data[other : other + length] + data[at + length :],
        }
        return made[kind](), f"bytes: {kind} at {at}"

    # ---- text

    def lines(self, data):
        """A table, or a list of names."""
        lines = data.split(b"\n")
        at = self.draw.randrange(len(lines))
        kind = self.draw.choice(("drop", "double", "field", "field", "long", "nul", "blank", "bom", "quote"))
        if kind == "field":
            mark = self.draw.choice((b",", b" ", b"/", b"_"))
            parts = lines[at].split(mark)
            word = self.draw.choice(
                (b"", b"nan", b"-1", b"1e999", b"9" * 400, b"x", b"\xff\xfe", b"../..", b"0x1", b"1_0")
            )
            parts[self.draw.randrange(len(parts))] = word
            lines[at] = mark.join(parts)
        elif kind == "drop":
            del lines[at]
        elif kind == "double":
            lines.insert(at, lines[at])
        else:
            lines[at] += {
                "long": b"1" * 200_000,
                "nul": b"\0",
                "blank": b"\n\n",
                "bom": b"\xef\xbb\xbf",
                "quote": b'"',
            }[kind]
        return b"\n".join(lines), f"line {at}: {kind}"

    def json(self, data):
        tree, how = self.tree(json.loads(data))
        text = json.dumps(tree).replace("@twice", "")
        for mark, deep in _DEEP.items():
            text = text.replace(mark, deep)
        return text.encode(), how

    def yaml(self, data):
        import yaml

        if self.draw.random() < 0.25:
            bomb = b"a: &a [0,0,0,0,0,0,0,0,0]\n" + b"".join(
                b"%c: &%c [%s]\n" % (new, new, b",".join([b"*%c" % old] * 9))
                for old, new in zip(b"abcdefg", b"bcdefgh", strict=True)
            )
            tag = b"name: !!python/object/apply:os.mkdir [%s]\n" % self.trace.encode()
            extra = self.draw.choice(
                (bomb, tag, b"epochs: *none\n", b"epochs: 2001-01-01\n", b"? [1]\n: 2\n", b"\tx: 1\n", b"lr: 1e400\n")
            )
            return data + b"\n" + extra, "yaml: odd line"
        tree, how = self.tree(yaml.safe_load(data))
        text = yaml.safe_dump(tree, allow_unicode=self.draw.random() < 0.5).replace("@twice", "")
        return text.replace("'@deep list@'", "[" * DEEP).replace("'@deep dict@'", "{a: " * 5000).encode(), how

    # ---- trees of dicts, lists, tuples, arrays and values

    def tree(self, value):
        """(the tree with one thing changed, what was done)."""
        place, where = self._descend(value)
        if place is None:
            return self._replaced(value)
        holder, key = place
        kind = self.draw.choice(("value", "value", "value", "drop", "double", "add"))
        name = ".".join(map(str, where))[:80]
        if kind == "value" or isinstance(holder, np.ndarray):
            holder[key], how = self._replaced(holder[key])
            return value, f"{name}: {how}"
        if isinstance(holder, dict):
            if kind == "drop":
                del holder[key]
            elif kind == "double":  # the same key twice, where text is made of it
                holder[f"{key}@twice" if isinstance(key, str) else (key, 1)] = self.draw.choice(VALUES)
            else:
                holder[self.draw.choice(("", "x", "__class__", "é"))] = self.draw.choice(VALUES)
        elif kind == "drop":
            del holder[key]
        else:
            holder.insert(key, holder[key] if kind == "double" else self.draw.choice(VALUES))
        return value, f"{name}: {kind}"

    def _descend(self, value):
        """((holder, key), path) of something inside; (None, ()) where there is nothing inside."""
        place, where = None, []
        while isinstance(value, dict | list) and len(value):
            key = self.draw.choice(list(value)) if isinstance(value, dict) else self.draw.randrange(len(value))
            place, value = (value, key), value[key]
            where.append(key)
            if self.draw.random() < 0.2:
                break
        return place, where

    def _replaced(self, value):
        if isinstance(value, np.ndarray) and self.draw.random() < 0.85:
            return self.array(value)
        new = self.draw.choice(VALUES)
        if isinstance(value, int | float) and not isinstance(value, bool) and self.draw.random() < 0.4:
            new = self.draw.choice(
                (-value, value * 1000, value + 1, value - 1, str(value), [value], float(value), value * 1e30)
            )
        return new, f"becomes {str(new)[:30]!r}"

    # ---- arrays

    def array(self, array):
        """(changed array, what was done): type, shape or values."""
        kind = self.draw.choice(("dtype", "shape", "values", "values"))
        if kind == "dtype":
            dtype = self.draw.choice(DTYPES)
            try:
                return array.astype(dtype), f"array becomes {dtype}"
            except (ValueError, TypeError):
                return np.zeros(array.shape, dtype), f"array becomes zeros of {dtype}"
        if kind == "shape":
            return self._shape(array)
        if array.dtype.kind not in "fiu" or not array.size:
            return np.zeros((0,)), "array becomes empty"
        changed = np.array(array)
        value = self.draw.choice((np.nan, np.inf, -np.inf, 1e30, -1, 0, 2**31 - 1, 1e-40, 1e5))
        if array.dtype.kind in "iu":
            value = int(np.clip(np.nan_to_num(value), *_limits(array.dtype)))
        spot = self.draw.choice(("one", "row", "all"))
        where = self.numbers.integers(changed.size)
        with np.errstate(all="ignore"):
            if spot == "one" or not changed.ndim:
                changed.flat[where] = value
            else:
                changed[... if spot == "all" else self.numbers.integers(len(changed))] = value
        return changed, f"array: {spot} {value}"

    def _shape(self, array):
        at = self.draw.randrange(max(array.ndim, 1))
        flat = array.ndim == 0
        made = {
            "flat": lambda: array.ravel(),
            "axis": lambda: array[None],
            "transposed": lambda: array.T,
            "first": lambda: array if flat else array[:1],
            "none": lambda: array if flat else array[:0],
            "shorter": lambda: array if flat else np.delete(array, [0] if array.shape[at] else [], at),
            "longer": lambda: array if flat else np.concatenate([array, array], at),
            "scalar": lambda: array.reshape(-1)[0] if array.size else np.float64(0),
            "Fortran": lambda: np.asfortranarray(array),
        }
        kind = self.draw.choice(list(made))
        return np.asarray(made[kind]()), f"array: {kind}"

    def npy(self, data):
        """The array, or what the header says of it."""
        if self.draw.random() < 0.4:
            return self._npy_header(data)
        if self.draw.random() < 0.1:
            return _npy(np.array([_Code(self.trace)], object)), "object array that names code"
        changed, how = self.array(np.load(io.BytesIO(data), allow_pickle=False))
        return _npy(changed), how

    def _npy_header(self, data):
        begin = 10 if data[6] == 1 else 12
        length = int.from_bytes(data[8:begin], "little")
        shape = self.draw.choice(
            (
                "(10000000000,)",
                "(100000, 100000)",
                "(-1,)",
                "()",
                "(0,)",
                "(3",
                "(1e9,)",
                "('a',)",
                "(True,)",
                "(4294967296, 4294967296)",
            )
        )
        lies = (
            f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}",
            "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
            "{'descr': [('a', '<f8'), ('b', '|O')], 'fortran_order': True, 'shape': (1,), }",
            "{'descr': '<U999999999', 'fortran_order': False, 'shape': (1,), }",
            f"__import__('os').mkdir({self.trace!r})",
            "(" * 5000 + ")" * 5000,
            "{}",
        )
        header = self.draw.choice(lies).encode() + b"\n"
        return data[:6] + b"\1\0" + struct.pack("<H", len(header)) + header + data[
            begin + length :
        ], f"header {header[:60]!r}"


class _Code:
    """Pickled, a call of os.mkdir."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        import os

        return os.mkdir, (self.trace,)


def _limits(dtype):
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def _npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()
