"""Files that appear whole or not at all, and errors that say which file, which field and how to mend it."""

import contextlib
import difflib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path


class InputError(ValueError):
    """What the user gave cannot be used: names the file (or argument), the field, the problem and the mend."""

    def __init__(self, file, problem, mend, field=None):
        self.file, self.problem, self.mend, self.field = file, problem, mend, field
        where = f"{file}" if field is None else f"{file}: field '{field}'"
        super().__init__(f"{where}: {problem}\n  To mend it: {mend}")

    def __reduce__(self):  # so that it crosses process borders with its fields
        return type(self), (self.file, self.problem, self.mend, self.field)


@contextlib.contextmanager
def write_atomic(path):
    """Give a temporary path beside ``path``; move it there when the block ends well, else remove it.

    The block may create a file or a folder at the temporary path. A file is flushed to disk and replaces ``path`` in
    one step. A folder replaces an existing folder by two renames; the old one is put back when the second fails.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: many writers choose their format by it.
    handle = tempfile.mkdtemp(prefix=f".{path.stem}-", suffix=".part", dir=path.parent)
    temporary = Path(handle) / path.name
    try:
        yield temporary
        if temporary.is_dir():
            for inside in temporary.rglob("*"):
                _to_disk(inside)
            _replace_folder(temporary, path, Path(handle))
        else:
            _to_disk(temporary)
            os.replace(temporary, path)
    finally:
        shutil.rmtree(handle, ignore_errors=True)


def _to_disk(path):
    """A rename may reach the disk before the bytes do: a power cut would leave an empty file under the final name."""
    if path.is_file():
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def _replace_folder(new, path, scratch):
    old = scratch / "old"
    if path.exists():
        os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        if old.exists():
            os.rename(old, path)
        raise


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
    """Parse a JSON file. Raises InputError when it is missing, is a folder or was cut short."""
    path = Path(path)
    require(path, mend)
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            path, f"not whole JSON ({error})", "it was cut or damaged: copy or download it again"
        ) from error


def require(path, mend):
    """Return ``path`` as a Path; InputError when there is no such file or folder."""
    path = Path(path)
    if not path.exists():
        nearest = next((parent for parent in path.parents if parent.exists()), Path("/"))
        raise InputError(path, f"does not exist (its path exists up to {nearest})", mend)
    return path


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
        raise InputError(field, f"unknown value '{value}'", f"write {' or '.join(map(repr, known))}", field)


def sha256(path):
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def progress(iterable=None, total=None, desc=None, **options):
    """A progress bar that suits the terminal or the notebook it runs in."""
    from tqdm.auto import tqdm

    return tqdm(iterable, total=total, desc=desc, dynamic_ncols=True, **options)
