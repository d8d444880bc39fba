"""FreiHAND's and HO-3D's file: one JSON list ``[joints, vertices]``, each a list with an entry per sample, each entry a
list of points, each point a list of three numbers.

Such a file holds hundreds of megabytes of numbers, and the standard json module makes a Python object of each. Here
the text passes through a window of a megabyte. In regular text (what every JSON writer makes of equal arrays) the
brackets and commas are compared as a whole with what they must be, and the numbers are read by Arrow. Text in which
anything is unusual (a NaN, a mesh with another vertex count, a missing bracket) goes to the json module, entry by
entry, which reads it or says what is wrong. Either way every number equals the float64 that the json module reads.
"""

import functools
import json
import re

import numpy as np
import pyarrow as pa
from pyarrow import csv

from handlib.files import InputError, write_atomic
from handlib.submissions import archives

WINDOW = 1 << 20  # bytes read at a time
LONGEST = 64 << 20  # bytes; no entry is longer
LISTS = ("joints", "vertices")
_MEND = "write it anew: handlib.submissions.write makes such a file"

_SPACE = b" \t\n\r"
_ODD_SPACE = re.compile(rb"[^\[\], \t\n\r][ \t\n\r]+[^\[\], \t\n\r]")


def read(path, largest=archives.LARGEST):
    """(joints, vertices) of a zip, a folder or a .json file: each (N, P, 3) float64, equal to what json reads.

    A list whose entries differ in shape comes as a list of N arrays. NaN and infinity are read where they were written.
    Raises InputError naming the list and the entry where the text is not such a file.
    """
    parts = ([], [])
    with archives.opened(path, largest) as (stream, name):
        for which, _, entries in blocks(stream, name):
            parts[which].append(entries)
    return tuple(_joined(blocks) for blocks in parts)


def _joined(blocks):
    """Blocks of entries -> one array, or a list where shapes differ."""
    if not blocks:
        return np.zeros((0, 0, 3))
    if len({block[0].shape for block in blocks}) == 1 and all(isinstance(block, np.ndarray) for block in blocks):
        return np.concatenate(blocks)
    entries = [entry for block in blocks for entry in block]
    return np.stack(entries) if len({entry.shape for entry in entries}) == 1 else entries


def blocks(stream, name):
    """Yield (0 for joints or 1 for vertices, number of the block's first entry, entries) through a binary stream.

    entries: (n, P, 3) float64, or a list of n arrays where they differ in shape. Raises InputError as `read` does.
    """
    text = _Text(stream, name)
    text.expect(b"[", "the file is a list of two lists")
    for which in (0, 1):
        text.where = LISTS[which]
        text.expect(b"[", f"the list of {LISTS[which]} begins")
        for first, entries in text.entries():
            yield which, first, entries
        text.expect(b",]"[which : which + 1], "there are two lists, joints and vertices")
    text.where = None
    text.end()


class _Text:
    """The part of the text that is in memory."""

    def __init__(self, stream, name):
        self.stream, self.name, self.where = stream, name, None
        self.text, self.tail = b"", b""  # tail: after the last bracket that was read, not looked at yet
        self.squeezed = False  # whether white space is taken out: only once some was found where it is unusual

    def broken(self, problem, mend=_MEND):
        return InputError(self.name, problem, mend, field=self.where)

    def more(self):
        """Read on; False at the end of the file."""
        piece = self.stream.read(WINDOW)
        text = self.tail + piece
        # A piece ends in a bracket, so that no number is ever in two pieces.
        cut = text.rfind(b"]") + 1 if piece else len(text)
        text, self.tail = text[:cut], text[cut:]
        self.text += self._squeezed(text) if self.squeezed else text
        if len(self.text) + len(self.tail) > LONGEST:
            raise self.broken(f"an entry is longer than {LONGEST >> 20} MB")
        return bool(piece)

    def squeeze(self):
        """From here on without white space -> whether that is new."""
        new, self.squeezed = not self.squeezed, True
        if new:
            self.text = self._squeezed(self.text)
        return new

    def _squeezed(self, text):
        odd = _ODD_SPACE.search(text)
        if odd:
            raise self.broken(f"two values without a comma between them: {_show(odd[0])}")
        return text.translate(None, _SPACE)

    def peek(self):
        """Let the text begin with something, if there is anything left."""
        self.text = self.text.lstrip(_SPACE)
        while not self.text and self.more():
            self.text = self.text.lstrip(_SPACE)

    def expect(self, character, meaning):
        self.peek()
        if not self.text.startswith(character):
            found = f"there is {_show(self.text)}" if self.text else "the text ends"
            raise self.broken(f"{found} where '{character.decode()}' must be ({meaning})")
        self.text = self.text[1:]

    def end(self):
        self.peek()
        if self.text:
            raise self.broken(f"something follows the end: {_show(self.text)}")

    def entries(self):
        """Yield (number of the first entry, entries) up to the end of this list, which is taken off."""
        self.peek()
        first, last = 0, self.text.startswith(b"]")
        if last:
            self.text = self.text[1:]
        while not last:
            end, last = self._cut(first)
            entries = _fast(self.text[: end + 2])
            sooner = self.text.find(b"]]]", 0, end + 2) if entries is None else -1
            if sooner >= 0:  # the list ends within; looked for only now, as looking takes its time
                end, last = sooner, True
                entries = _fast(self.text[: end + 2])
            if entries is None and self.squeeze():
                last = False
                continue
            entries = self._slow(self.text[: end + 2], first) if entries is None else entries
            self.text = self.text[end + 3 :]
            yield first, entries
            first += len(entries)

    def _cut(self, first):
        """Where a whole entry in memory ends, and whether the list is known to end there; reads on until there is."""
        while True:
            self.peek()
            begin = self.text[:64].translate(None, _SPACE)[:2]
            if begin != b"[["[: len(begin)]:
                raise self.broken(f"entry {first} is not a list of points: {_show(self.text)}")
            end = self.text.rfind(b"]],")
            if end >= 0:
                return end, False
            end = self.text.find(b"]]]")
            if end >= 0:
                return end, True
            if len(self.text) > 2 * WINDOW and self.squeeze():
                continue
            if not self.more() and not self.squeeze():
                raise self.broken(f"the text ends within entry {first}", "it was cut: make or copy it again")

    def _slow(self, block, first):
        """By the json module, entry by entry: reads what is unusual, names what is wrong."""
        texts = [text + b"]]" for text in block[:-2].split(b"]],")]
        return [self._entry(text, first + number) for number, text in enumerate(texts)]

    def _entry(self, text, number):
        if b"[[[" in text:
            raise self.broken(f"entry {number} has lists nested too deep: {_show(text)}")
        try:
            value = json.loads(text)
        except RecursionError as error:
            raise self.broken(f"entry {number} has lists nested too deep") from error
        except ValueError as error:
            place = getattr(error, "pos", 0)
            found = f"{getattr(error, 'msg', error)} at {_show(text[max(place - 10, 0) :])}"
            raise self.broken(f"entry {number} is not JSON ({found})") from error
        for place, point in enumerate(value):
            if not isinstance(point, list) or len(point) != len(value[0]):
                raise self.broken(f"entry {number}: point {place} is {_show(json.dumps(point))}, not three numbers")
            for one in point:
                if type(one) not in (int, float):
                    raise self.broken(f"entry {number}: point {place} holds {_show(json.dumps(one))}, not a number")
        try:
            return np.array(value, np.float64)
        except OverflowError as error:
            raise self.broken(f"entry {number} holds a whole number too large for a float") from error


def _show(text):
    """The beginning of a text, for messages."""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"'{text[:40]}…'" if len(text) > 40 else f"'{text}'"


@functools.lru_cache(8)
def _skeleton(points, entries, space):
    """The characters between the numbers of so many entries of so many points, and the places that numbers follow."""
    comma = b"," + space
    point = b"[0" + comma + b"0" + comma + b"0]"
    entry = b"[" + comma.join([point] * points) + b"]"
    text = np.frombuffer(comma.join([entry] * entries), np.uint8)
    places = np.flatnonzero(text != ord("0"))
    return text[places], np.flatnonzero(text[places[:-1] + 1] == ord("0"))


def _fast(block):
    """Text of whole entries -> (n, P, 3) float64; None where they are not all alike, or anything is unusual."""
    points = block.count(b"[", 1, block.find(b"]]"))
    space = b" " if block.startswith(b", ", block.find(b",")) else b""
    text = np.frombuffer(block, np.uint8)
    places = np.flatnonzero((text == ord(",")) | (text == ord("[")) | (text == ord("]")) | (text == ord(" ")))
    step = points * (5 + 3 * len(space)) + 2
    entries = (len(places) + 1 + len(space)) // step
    if not points or len(places) + 1 + len(space) != entries * step:
        return None
    characters, followed = _skeleton(points, entries, space)
    before, after = places[followed], places[followed + 1]
    whole = after.sum() - before.sum() - len(before) == len(text) - len(places)  # no number is anywhere else
    if not whole or (text[places] != characters).any() or not _json_numbers(text, before + 1):
        return None
    starts = np.append(before - followed, len(text) - len(places)).astype(np.int32)
    digits = pa.py_buffer(block.translate(None, b"[], "))
    texts = pa.StringArray.from_buffers(len(before), pa.py_buffer(starts), digits)
    try:
        values = texts.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    # Too large for a float: json reads 1e999 as infinity, and a whole number that large not at all.
    return values.reshape(entries, points, 3) if np.isfinite(values).all() else None


def _json_numbers(text, starts):
    """Whether no number is written as Arrow reads it but JSON forbids: 01, .5, 1., +1, nan."""
    starts = starts + (text[starts] == ord("-"))
    first, second = text[starts], text[starts + 1]
    digits = text - np.uint8(ord("0")) < 10
    return not (
        (first - np.uint8(ord("0")) > 9).any()
        or ((first == ord("0")) & (second - np.uint8(ord("0")) < 10)).any()
        or ((text[:-1] == ord(".")) > digits[1:]).any()
    )


def text_of(points, decimals=None):
    """One entry (P, 3), finite -> its JSON text: the shortest numbers that read back as the same float64."""
    points = np.asarray(points, np.float64)
    points = points if decimals is None else np.round(points, decimals)
    sink = pa.BufferOutputStream()
    csv.write_csv(pa.table(list(points.T), names=["x", "y", "z"]), sink, csv.WriteOptions(include_header=False))
    return b"[[" + sink.getvalue().to_pybytes()[:-1].replace(b"\n", b"],[") + b"]]"


def write(path, batches, decimals=None):
    """Write (joints, vertices) batches, each (n, P, 3) finite, one after another to ``path`` -> number of samples.

    path: a .json file, or any other name for a zip that holds ``pred.json``. decimals: round to so many (6 is enough
    for metres and halves the file); None keeps every number as it is, to the last bit of its float64. Memory is that
    of a batch: vertices wait in a file beside the result, which appears whole or not at all.
    """
    count = 0
    with write_atomic(path) as temporary:
        spool = temporary.parent / "vertices.part"
        with archives.member_writer(path, temporary) as out, open(spool, "w+b") as waiting:
            out.write(b"[[")
            for joints, vertices in batches:
                for target, entries in ((out, joints), (waiting, vertices)):
                    for number, points in enumerate(entries):
                        target.write((b"," if count + number else b"") + text_of(points, decimals))
                count += len(joints)
            out.write(b"],[")
            waiting.seek(0)
            while piece := waiting.read(WINDOW):
                out.write(piece)
            out.write(b"]]")
    return count
