"""What the doctor says of one thing, and how a file or a folder is looked at."""

import dataclasses
import os

from handlib.files import InputError

PRESENT, MISSING, OLD, BROKEN = "present", "missing", "old", "broken"


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing looked at. ``place``: where its file is, or goes; ``source``: the official site, or what makes it."""

    group: str
    what: str
    status: str
    detail: str = ""
    place: str = ""
    source: str = ""


def reason(error):
    """An exception in one line."""
    if isinstance(error, InputError):
        return error.problem
    return f"{type(error).__name__}: {str(error) or 'no message'}".splitlines()[0]


def file(group, what, path, source, detail=""):
    """A file that is there and not empty, JSON ending as it should; ``detail`` says what it is for."""
    try:
        size = os.stat(path).st_size
        cut = path.suffix == ".json" and not _ends_like_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return Row(group, what, MISSING, detail, str(path), source)
    except OSError as error:
        return Row(group, what, BROKEN, reason(error), str(path), source)
    if not size or cut:
        problem = "the file is empty" if not size else "cut short: the JSON has no end"
        return Row(group, what, BROKEN, problem, str(path), source)
    return Row(
        group, what, PRESENT, f"{size / 1e6:.1f} MB" if size > 1e6 else f"{size / 1e3:.1f} kB", str(path), source
    )


def _ends_like_json(path):
    with open(path, "rb") as opened:
        opened.seek(max(0, os.fstat(opened.fileno()).st_size - 256))
        return opened.read().rstrip().endswith((b"}", b"]"))


def folder(group, what, path, source, things):
    """A folder that holds something; ``things`` says what is counted."""
    try:
        with os.scandir(path) as entries:
            count = sum(1 for _ in entries)
    except (FileNotFoundError, NotADirectoryError):
        count = 0
    except OSError as error:
        return Row(group, what, BROKEN, reason(error), str(path), source)
    return Row(group, what, PRESENT if count else MISSING, f"{things}: {count}" if count else "", str(path), source)


def names(path):
    """What lies in a folder, temporary files aside; nothing where there is no such folder."""
    try:
        return sorted(name for name in os.listdir(path) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
