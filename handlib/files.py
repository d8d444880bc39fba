"""Files that appear whole or not at all, and errors that say which file, which field and how to mend it."""

import contextlib
import difflib
import fcntl
import hashlib
import json
import os
import platform
import reprlib
import time
from pathlib import Path

from handlib.atomic import write_atomic

CHILDREN_END = 3.0  # seconds: children of a killed process have ended by then


class InputError(ValueError):
    """What the user gave cannot be used: names the file (or argument), the field, the problem and the mend."""

    def __init__(self, file, problem, mend, field=None):
        self.file, self.problem, self.mend, self.field = file, problem, mend, field
        where = f"{file}" if field is None else f"{file}: field '{field}'"
        super().__init__(f"{where}: {problem}\n  To mend it: {mend}")

    def __reduce__(self):  # so that it crosses process borders with its fields
        return type(self), (self.file, self.problem, self.mend, self.field)


@contextlib.contextmanager
def locked(path, busy, mend, patience=0.0, waiting=None):
    """Hold the lock file ``path`` alone while the block runs. The lock goes with its holder, however that ends; forked
    children hold it until they are gone. It counts on every machine that shares the file system.

    patience: seconds to wait for another holder, then InputError says that the folder is ``busy`` and the ``mend``;
    waiting: called once, with the holder's name, when that takes longer than children of a killed one need to end.
    Raises RuntimeError where the file system knows no locks.
    """
    path, began, told = Path(path), time.monotonic(), waiting is None
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+") as file:
            if _held(file, path):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {platform.node()}")
                file.flush()
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
            file.seek(0)
            holder = file.read(200) or "another process"
        waited = time.monotonic() - began
        if waited > patience:
            raise InputError(path.parent, f"{busy} ({holder})", mend)
        if not told and waited > CHILDREN_END:
            waiting(holder)
            told = True
        time.sleep(0.1)


def _held(file, path):
    """Whether the lock is ours now, and still the one that stands under its name (its last holder removed it)."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError as error:
        mend = "mount it with locks (Lustre: -o flock; NFS: a lock daemon), or use another folder"
        raise RuntimeError(f"{path.parent}: its file system knows no locks ({error})\n  To mend it: {mend}") from error


def write_text(path, text):
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    write_text(path, json.dumps(value, indent=1, default=_plain) + "\n")


def _plain(value):
    """numpy scalars and arrays, and paths, as JSON knows them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} cannot be written to JSON")


def read_json(path, mend="put the official file there"):
    """Parse a JSON file. Raises InputError when it is missing, is a folder, was cut short or is nested too deep."""
    path = require_file(path, mend)
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(
            path, f"not whole JSON ({error})", "it was cut or damaged: copy or download it again"
        ) from error


def read_yaml(path, mend):
    """A YAML file of settings -> dict.

    Raises InputError where it is missing, not YAML, holds anything else than 'name: value', a name twice (of which
    YAML readers silently drop the first), or aliases that unfold to more than `_UNFOLDED` values.
    """
    import yaml

    text = read_text(path, mend)
    if len(text) > _LONGEST or text.count("[") + text.count("{") > _BRACKETS:
        raise InputError(path, "is larger than a file of settings can be", mend)

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len(names) > len(set(names)):
                raise yaml.constructor.ConstructorError(None, None, "a name stands here twice", node.start_mark)
            return super().construct_mapping(node, deep)

    try:
        loader = Loader(text)
        tree = loader.get_single_node()  # in which an alias is the very node that it names
        if tree is not None and (count := _unfolded(tree, {})) > _UNFOLDED:
            raise ValueError(f"its aliases unfold to {count:.0e} values")
        values = None if tree is None else loader.construct_document(tree)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(path, f"is not YAML ({error})"[:1000], "mend the line it names") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InputError(path, "holds no settings", f"write one 'name: value' per line, {mend}")
    return values


_UNFOLDED = 1_000_000
_LONGEST, _BRACKETS = 1 << 22, 5000  # YAML's reader takes a time that grows with the square of the latter


def _unfolded(node, known):
    """How many values there are where each alias is written out; without end where one holds itself."""
    if isinstance(node.value, str):
        return 1
    if id(node) not in known:
        known[id(node)] = float("inf")
        inside = [one for part in node.value for one in (part if isinstance(part, tuple) else (part,))]
        known[id(node)] = 1 + sum(_unfolded(one, known) for one in inside)
    return known[id(node)]


def read_text(path, mend):
    """A file's text. InputError when it is missing, or is no text."""
    path = require_file(path, mend)
    try:
        return path.read_text(encoding="utf-8")
    except (ValueError, OSError) as error:
        raise InputError(path, f"is no text ({error})", mend) from error


def require(path, mend):
    """Return ``path`` as a Path; InputError when there is no such file or folder."""
    path = Path(path)
    if not os.path.exists(path):  # unlike pathlib's, it says no to a name that no file can have
        nearest = next((parent for parent in path.parents if os.path.exists(parent)), Path("/"))
        raise InputError(path, f"does not exist (its path exists up to {nearest})", mend)
    return path


def require_file(path, mend):
    """As `require`, of a regular file: no folder, and no pipe or device, which may never end."""
    path = require(path, mend)
    if not os.path.isfile(path):
        raise InputError(path, "is a folder" if path.is_dir() else "is no regular file", mend)
    return path


class Bounded:
    """A file of which no more is read at once than it holds: room is made for all that a read asks for."""

    def __init__(self, file):
        self._file, self.readline = file, file.readline
        start = file.tell()
        self._size = file.seek(0, os.SEEK_END) - start
        file.seek(start)

    def read(self, size=-1):
        return self._file.read(min(size, self._size))


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 3


def shown(value):
    """Any value as an error shows it: on one line and short, however large or deep it is."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # a number of more digits than Python writes
        return f"a {type(value).__name__}"


def require_known(given, known, source, what="setting"):
    """InputError for the first name of ``given`` that is not in ``known``; it names the nearest and lists all."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            meant = f"did you mean '{near[0]}'? " if near else ""
            raise InputError(source, f"there is no such {what}", f"{meant}known: {', '.join(known)}", field=name)


def require_choice(field, value, known):
    """InputError where an option's ``value`` is none of ``known``."""
    if value not in known:
        raise InputError(field, f"unknown value {shown(value)}", f"write {' or '.join(map(repr, known))}", field)


def sha256(path):
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def progress(iterable=None, total=None, desc=None, **options):
    """A progress bar that suits the terminal or the notebook it runs in."""
    from tqdm.auto import tqdm

    return tqdm(iterable, total=total, desc=desc, dynamic_ncols=True, **options)
