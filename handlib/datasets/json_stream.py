"""JSON files larger than memory should hold, one item at a time.

InterHand2.6M's annotation file has 1.36 million records in two arrays. Read whole they would take several gigabytes
of Python objects; here the text passes through a window of a megabyte, and each record is parsed by the standard
library's C parser.
"""

import json
import re
from pathlib import Path

from handlib.files import InputError, require_file, shown

WINDOW = 1 << 20  # characters
LONGEST = 1 << 12  # no string or number is longer
_SPACE = re.compile(r"[ \t\r\n]*")
_MEND = "it was cut or damaged: copy or download it again"


def items(path, mend="put the official file there"):
    """Yield (name, item) from a JSON file.

    A top-level list gives (None, item) for each item. A top-level object gives its members: (name, item) for each
    item of a member that is a list, and (name, value) once for any other member. Raises InputError when the file is
    missing, cut short, not JSON, or nested too deep to be an annotation.
    """
    path = require_file(path, mend)
    with open(path, encoding="utf-8") as file:
        window = _Window(path, file)
        first = window.take("[{")
        yield from window.array(None) if first == "[" else window.members()
        if window.peek():
            raise window.broken("something follows the end")


class _Window:
    """The part of a file's text that is in memory, and the place in it where reading goes on."""

    def __init__(self, path, file):
        self.path, self.file = Path(path), file
        self.text, self.at, self.dropped = "", 0, 0
        self.parse = json.JSONDecoder().raw_decode

    def broken(self, problem):
        return InputError(self.path, f"not whole JSON ({problem}, at character {self.dropped + self.at})", _MEND)

    def more(self):
        """Read on; False at the end of the file."""
        try:
            piece = self.file.read(max(WINDOW, len(self.text) - self.at))  # doubles for an item larger than the window
        except UnicodeDecodeError as error:
            raise self.broken(f"not UTF-8: {error.reason}") from error
        except OSError as error:
            raise InputError(self.path, f"cannot be read ({error})", _MEND) from error
        self.dropped += self.at
        self.text, self.at = self.text[self.at :] + piece, 0
        return bool(piece)

    def peek(self):
        """The next character that is not white space; empty at the end of the file."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def take(self, allowed):
        found = self.peek()
        if not found or found not in allowed:
            raise self.broken(
                f"{' or '.join(allowed)} expected, found {found!r}" if found else "the file ends too early"
            )
        self.at += 1
        return found

    def value(self):
        self.peek()
        while True:
            try:
                value, end = self.parse(self.text, self.at)
            except json.JSONDecodeError as error:
                cut = error.pos + LONGEST >= len(self.text)  # the window's edge, or really an error?
                if not (cut and self.more()):
                    raise self.broken(error.msg) from error
                continue
            except (ValueError, RecursionError) as error:  # a number of thousands of digits; lists in lists in lists
                raise self.broken(str(error)) from error
            if end < len(self.text) or not self.more():  # a number at the window's edge may go on
                self.at = end
                return value

    def array(self, name):
        """The items of an array whose bracket has been taken."""
        if self.peek() == "]":
            self.at += 1
            return
        while True:
            yield name, self.value()
            if self.take(",]") == "]":
                return

    def members(self):
        if self.peek() == "}":
            self.at += 1
            return
        while True:
            name = self.value()
            if not isinstance(name, str):
                raise self.broken(f"a member's name is {shown(name)}")
            self.take(":")
            if self.peek() == "[":
                self.at += 1
                yield from self.array(name)
            else:
                yield name, self.value()
            if self.take(",}") == "}":
                return
