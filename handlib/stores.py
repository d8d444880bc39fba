"""LMDB files for reading, page by page.

The library maps a file into memory and believes what its pages say: a file cut short, or with a bit turned, ends the
process (SIGBUS), and it forbids to open a file twice in a process or to use it across a fork. Here pages are read one
by one, and every place in them is looked at before it is used. Writing is the library's.
"""

import os
import struct
from pathlib import Path

from handlib.files import InputError

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW = 0x01, 0x02, 0x04  # kinds of pages
_HEADER = 16  # bytes of a page before its list of places
_BIG, _NESTED = 0x01, 0x06  # a value on pages of its own; databases or duplicates inside a value
_ROOTLESS = (1 << 64) - 1
_KEPT = 4096  # branches, and leaves until there are so many
_DEEPEST = 16


class Store:
    """An LMDB file, or the folder of one: ``store.get(key)`` gives the bytes of a key, None where there is none.

    Only its main database, with keys in the order of their bytes. May be used on both sides of a fork. Raises
    InputError when there is no LMDB there, and in reading where it is damaged.
    """

    def __init__(self, path, mend):
        self.path, self._mend, self._pages = Path(path), mend, {}
        file = self.path / "data.mdb" if self.path.is_dir() else self.path
        try:
            if not file.is_file():
                raise OSError("there is no such file")
            self._file = open(file, "rb", buffering=0)  # closed with the last reference to this
            self._size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise InputError(path, f"cannot be opened as an LMDB store ({error})", mend) from error
        self._page, self._root = self._meta()

    def _damaged(self, problem):
        return InputError(self.path, f"is a damaged LMDB store ({problem})", self._mend)

    def _meta(self):
        """Size of a page, and the root page's number: of the two pages that say it, the later one's."""
        found, start = [], 0
        for _ in range(2):
            meta = os.pread(self._file.fileno(), 152, start)
            if len(meta) < 152 or struct.unpack_from("<II", meta, 16) != (_MAGIC, _VERSION):
                break
            (page,), (flags,) = struct.unpack_from("<I", meta, 40), struct.unpack_from("<H", meta, 92)
            (root,), (last, transaction) = struct.unpack_from("<Q", meta, 128), struct.unpack_from("<QQ", meta, 136)
            found.append((transaction, page, flags, root, last))
            start = page
        if len(found) < 2:
            raise InputError(self.path, "cannot be opened as an LMDB store (it begins otherwise)", self._mend)
        _, page, flags, root, last = max(found)
        if not (512 <= page <= 1 << 16 and page & (page - 1) == 0):
            raise self._damaged(f"pages of {page} bytes")
        if (last + 1) * page > self._size:
            raise self._damaged(f"{self._size} bytes, {last + 1} pages of {page} expected: it was cut short")
        if flags:
            raise InputError(self.path, "is an LMDB store in an order that is not known", self._mend)
        return page, root

    def get(self, key):
        number, pages = self._root, self._pages
        if number == _ROOTLESS:
            return None
        for _ in range(_DEEPEST):
            page = pages.get(number) or self._read(number)
            place = page.find(key)
            if page.branch:
                number = page.below(place)
            elif place < len(page.places) and page.key(place) == key:
                return self._value(page, place)
            else:
                return None
        raise self._damaged("branches without an end")

    def _read(self, number):
        data = os.pread(self._file.fileno(), self._page, number * self._page) if number < 1 << 40 else b""
        if len(data) < self._page:
            raise self._damaged(f"there is no page {number}")
        try:
            page = _Page(data)
        except ValueError as error:
            raise self._damaged(f"page {number}: {error}") from error
        if len(self._pages) >= _KEPT:
            self._pages.clear()
        self._pages[number] = page
        return page

    def _value(self, page, place):
        start, size, flags = page.value(place)
        if flags & _NESTED:
            raise self._damaged("a value of a kind that is not known")
        if not flags & _BIG:
            if start + size > self._page:
                raise self._damaged("a value reaches beyond its page")
            return page.data[start : start + size]
        if start + 8 > self._page:
            raise self._damaged("a value reaches beyond its page")
        (number,) = struct.unpack_from("<Q", page.data, start)
        at = number * self._page
        if at + _HEADER + size > self._size:
            raise self._damaged("a value reaches beyond the file")
        data = os.pread(self._file.fileno(), _HEADER + size, at)
        if len(data) < _HEADER + size or not struct.unpack_from("<H", data, 10)[0] & _OVERFLOW:
            raise self._damaged(f"page {number} holds no value")
        return data[_HEADER:]


class _Page:
    """A branch or a leaf: ``places`` are where its entries begin, in the order of their keys."""

    __slots__ = ("data", "branch", "places")

    def __init__(self, data):
        flags, lower, upper = struct.unpack_from("<HHH", data, 10)
        if flags & 0x7F not in (_BRANCH, _LEAF) or not _HEADER <= lower <= upper <= len(data):
            raise ValueError("is neither branch nor leaf")
        self.data, self.branch = data, bool(flags & _BRANCH)
        self.places = struct.unpack_from(f"<{(lower - _HEADER) // 2}H", data, _HEADER)
        if self.places and max(self.places) + 8 > len(data):
            raise ValueError("an entry reaches beyond its page")
        if self.branch and not self.places:
            raise ValueError("is a branch that leads nowhere")

    def key(self, place):
        at = self.places[place]
        return self.data[at + 8 : at + 8 + int.from_bytes(self.data[at + 6 : at + 8], "little")]

    def find(self, key):
        """Of a branch the last entry whose key is not above ``key`` (the first one's counts as below all), of a leaf
        the first whose key is not below.
        """
        low, high = int(self.branch), len(self.places)
        while low < high:
            middle = (low + high) // 2
            other = self.key(middle)
            if other < key or (self.branch and other == key):
                low = middle + 1
            else:
                high = middle
        return low - 1 if self.branch else low

    def below(self, place):
        """The number of the page that a branch's entry leads to."""
        low, high, top = struct.unpack_from("<HHH", self.data, self.places[place])
        return low | high << 16 | top << 32

    def value(self, place):
        """(where a leaf's value begins, its size, flags)"""
        at = self.places[place]
        low, high, flags, key = struct.unpack_from("<HHHH", self.data, at)
        return at + 8 + key, low | high << 16, flags
