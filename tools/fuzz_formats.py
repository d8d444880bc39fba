"""What is done in fuzzing to files that hold others, or that a library reads by its own rules: archives, safetensors,
Parquet, pictures, pickles. `fuzz_mutants.Mutants` is the rest.
"""

import io
import json
import pickle
import pickletools
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

from handlib import safe_pickle

DEEP = 100_000


class Formats:
    """Methods of `fuzz_mutants.Mutants`: bytes -> (changed bytes, what was done)."""

    # ---- archives

    def zip(self, data):
        """A member, or the archive itself: names that lead out, links, bombs, members twice, missing or lying."""
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [(entry, archive.read(entry)) for entry in archive.infolist()]
        at = self.draw.randrange(len(entries))
        entry, content = entries[at]
        kind = self.draw.choice(
            ("member", "member", "member", "member", "drop", "double", "name", "link", "bomb", "size", "crc")
        )
        how = f"{entry.filename}: {kind}"
        if kind == "member":
            content, how = self.mutate(content, Path(entry.filename).suffix.lower())
            entries[at], how = (entry, content), f"{entry.filename}: {how}"
        elif kind == "drop":
            del entries[at]
        elif kind == "double":
            entries.append((entry, self.mutate(content, Path(entry.filename).suffix.lower())[0]))
        elif kind == "name":
            name = self.draw.choice(
                ("../../" + entry.filename, "/" + entry.filename, "C:\\" + entry.filename, "x", "é\n", "a/" * 500 + "b")
            )
            entries[at] = _entry(name, entry), content
        elif kind == "link":
            link = _entry(entry.filename, entry)
            link.external_attr, entries[at] = 0o120777 << 16, (link, b"/etc/passwd")
        elif kind == "bomb":
            bomb = _entry(entry.filename, entry)
            bomb.compress_type, entries[at] = zipfile.ZIP_DEFLATED, (bomb, content + bytes(1 << 24))
        made = _zip(entries)
        if kind == "size":  # the directory lies about how long a member is
            made = made.replace(
                struct.pack("<L", len(content)), struct.pack("<L", self.draw.choice((0, 1, 2**31, 2**32 - 2)))
            )
        elif kind == "crc":
            made = made.replace(struct.pack("<L", zlib.crc32(content)), b"\1\2\3\4")
        return made, how

    def safetensors(self, data):
        length = int.from_bytes(data[:8], "little")
        header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
        names = [name for name in header if name != "__metadata__"]
        kind = self.draw.choice(("tree", "tree", "overlap", "beyond", "shape", "dtype", "huge", "negative", "twice"))
        one = header[self.draw.choice(names)] if names else {}
        if kind == "tree":
            text = self.json(json.dumps(header).encode())[0]
        else:
            one |= {
                "overlap": {"data_offsets": [0, len(rest)]},
                "beyond": {"data_offsets": [0, 10**15]},
                "shape": {"shape": self.draw.choice(([10**9], [2**62, 4], [-1], [0], [], [1, 1, 1]))},
                "dtype": {"dtype": self.draw.choice(("F64", "I8", "BOOL", "F8_E4M3", "U64", "X", "F16", "BF16"))},
                "negative": {"data_offsets": [4, 0]},
            }.get(kind, {})
            text = json.dumps(header).encode()
        if kind == "twice" and names:
            text = text[:-1] + b", " + json.dumps(names[0]).encode() + b": " + json.dumps(one).encode() + b"}"
        size = self.draw.choice((2**63, 2**40, 10**8, len(text) + 1, 0)) if kind == "huge" else len(text)
        return size.to_bytes(8, "little") + text + rest, f"header: {kind}"

    def parquet(self, data):
        import pyarrow as pa
        from pyarrow import parquet

        table = parquet.read_table(io.BytesIO(data))
        name = self.draw.choice(table.column_names)
        at, nulls = table.column_names.index(name), pa.nulls(len(table))
        kind = self.draw.choice(
            ("drop", "text", "nulls", "lists", "name", "twice", "none", "floats", "negative", "reverse")
        )
        made = {
            "drop": lambda: table.drop_columns([name]),
            "text": lambda: table.set_column(at, name, pa.array(["x"] * len(table))),
            "nulls": lambda: table.set_column(at, name, nulls),
            "lists": lambda: table.set_column(at, name, pa.array([[1.5]] * len(table))),
            "name": lambda: table.rename_columns([f"{one}_" if one == name else one for one in table.column_names]),
            "twice": lambda: pa.concat_tables([table, table]),
            "none": lambda: table.slice(0, 0),
            "floats": lambda: table.set_column(at, name, pa.array([float("nan")] * len(table))),
            "negative": lambda: table.set_column(at, name, pa.array([-(2**40)] * len(table))),
            "reverse": lambda: table.take(list(range(len(table)))[::-1]),
        }[kind]()
        out = io.BytesIO()
        parquet.write_table(made, out)
        return out.getvalue(), f"column {name}: {kind}"

    # ---- pictures

    def picture(self, data):
        """Another size, mode, format or lying header."""
        from PIL import Image

        if data.startswith(b"\x89PNG") and self.draw.random() < 0.4:
            size = struct.pack(
                ">LL", *self.draw.choice(((60_000, 60_000), (2**31 - 1, 1), (0, 5), (16_000, 16_000), (1, 10**6)))
            )
            head = b"IHDR" + size + data[24:29]
            return data[:12] + head + struct.pack(">L", zlib.crc32(head)) + data[33:], f"PNG that says {size.hex()}"
        image = Image.open(io.BytesIO(data))
        mode = self.draw.choice(("RGB", "L", "1", "P", "RGBA", "CMYK", "I;16", "LA", "F"))
        size = self.draw.choice(
            (image.size, image.size, (1, 1), (image.width + 1, image.height), image.size[::-1], (3000, 2))
        )
        form = {"CMYK": "JPEG", "F": "TIFF"}.get(mode) or self.draw.choice(("PNG", "PNG", "TIFF"))
        made, out = image.convert("L" if mode in ("I;16", "F") else mode).resize(size), io.BytesIO()
        (made.convert(mode) if mode in ("I;16", "F") else made).save(out, form)
        return out.getvalue(), f"picture becomes {form} {mode} {size}"

    # ---- pickles

    def pickle(self, data):
        """A value in it, or an opcode."""
        if self.draw.random() < 0.5:
            tree, how = self.tree(safe_pickle.load(io.BytesIO(data), "a file to mutate"))
            return pickle.dumps(tree, self.draw.randrange(5)), how
        return self.opcodes(data)

    def opcodes(self, data):
        """The stream itself: operations dropped, doubled and changed; code named, memory asked for, nests built."""
        places = [place for _, _, place in pickletools.genops(data)] + [len(data)]
        at = self.draw.randrange(max(len(places) - 1, 1))
        begin, end = places[at], places[at + 1]
        command = f"cos\nmkdir\n(S{self.trace!r}\ntR".encode()
        inserts = {
            "code": command,
            "code of builtins": f"c__builtin__\nexec\n(S'import os; os.mkdir({self.trace!r})'\ntR".encode(),
            "code by state": b"cbuiltins\nobject\n)\x81}(S'__setstate__'\n" + command + b"ub",
            "memo": b"r\xff\xff\xff\x7f",
            "memory": b"cbuiltins\nbytearray\n(I20000000000\ntR",
            "long bytes": b"\x8e" + struct.pack("<Q", 2**40),
            "nest": b")" + b"\x85" * DEEP,
            "hashed nest": b"})" + b"\x85" * DEEP + b"Ns",
            "number": b"\x8b" + struct.pack("<l", 2**30),
            "digits": b"I" + b"9" * 5000 + b"\n",
            "outside": b"Pelsewhere\n",
            "buffer": b"\x97",
            "none": b"N",
            "mark": b"(",
        }
        kind = self.draw.choice(("drop", "double", "swap", *inserts))
        made = {
            "drop": data[:begin] + data[end:],
            "double": data[:end] + data[begin:],
            "swap": data[:begin] + data[end : places[min(at + 2, len(places) - 1)]] + data[begin:],
        }.get(kind, data[:begin] + inserts.get(kind, b"") + data[begin:])
        return made, f"opcode at {begin}: {kind}"


def _entry(name, like):
    entry = zipfile.ZipInfo(name)
    entry.compress_type, entry.external_attr = like.compress_type, like.external_attr
    return entry


def _zip(entries):
    """A zip of [(ZipInfo, bytes)], names twice where they are twice."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")  # of names twice
        for entry, content in entries:
            archive.writestr(entry, content, entry.compress_type, 1 if entry.compress_type else None)
    return out.getvalue()
