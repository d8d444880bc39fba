"""Files and folders that appear under their name whole or not at all, and a full disk that is called so."""

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path

PART = ".part"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# safetensors and LMDB have errors of their own; numpy's short write has no number.
_SAID = re.compile(r"No space left on device|Disk quota exceeded|\d+ requested and \d+ written")
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


class DiskFull(RuntimeError):
    """There was no space left for what was to be written; under its final name lies what lay there before."""

    def __init__(self, path):
        super().__init__(
            f"{path}: no space left on its disk (or no quota)\n"
            "  To mend it: free some space, then run the same again: what is finished stays and is not made again"
        )
        self.path = path

    def __reduce__(self):  # so that it crosses process borders with its path
        return type(self), (self.path,)


def full_disk(error, path=None):
    """DiskFull where an error, or one that it comes from, says that a disk had no space left; else None.

    path: of what was to be written, where it is known better than by the error.
    """
    seen = []
    while error is not None and error not in seen:
        if isinstance(error, DiskFull):
            return error
        numbered = isinstance(error, OSError) and error.errno in _NO_SPACE
        # Others' RuntimeErrors have a message to be read as it is, be it of a full disk: a notebook's failing cell.
        if numbered or not isinstance(error, RuntimeError | ValueError) and _SAID.search(str(error)):
            return DiskFull(path or getattr(error, "filename", None) or "an output file")
        seen.append(error)
        error = error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def naming_full_disk(path):
    """Raise DiskFull, with ``path`` in it, where the block fails because there is no space left."""
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        full = full_disk(error, path)
        if full is None:
            raise
        raise full from error


@contextlib.contextmanager
def write_atomic(path):
    """Give a temporary path beside ``path``; move it there when the block ends well, else remove it.

    The block may create a file or a folder at the temporary path. Files are flushed to disk before ``path`` is replaced
    in one step; a folder, too, where the system can exchange two (Linux, on local file systems), elsewhere by two
    renames. What a killed run left beside ``path`` goes with the next write. Raises DiskFull naming ``path``.
    """
    path = Path(path)
    with naming_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(path) as scratch:
            temporary = scratch / path.name  # with its suffix: many writers choose their format by it
            yield temporary
            if temporary.is_dir():
                for inside in temporary.rglob("*"):
                    _to_disk(inside)
                _replace_folder(temporary, path, scratch)
            else:
                _to_disk(temporary)
                os.replace(temporary, path)


@contextlib.contextmanager
def _scratch(path):
    """An empty folder beside ``path`` for the time of the block. Its name is always the same, so that a killed run's is
    found and cleared; only a second writer of the same path at the same time gets another.
    """
    folder = _scratch_of(path)
    lock = _claimed(folder)
    if lock is None:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", suffix=PART, dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def there(path):
    """Whether ``path`` exists. What a writer of it left beside it that was killed goes: for whoever then need not write
    it again.
    """
    path = Path(path)
    folder = _scratch_of(path)
    if folder.is_dir() and (lock := _claimed(folder)) is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
    return path.exists()


def _scratch_of(path):
    return path.with_name(f".{path.name}{PART}")


def is_leftover(name):
    """Whether a file name is that of a scratch folder: of a write that goes on, or of a killed one."""
    return name.startswith(".") and name.endswith(PART)


def _claimed(folder):
    """Make ``folder``, or empty the one that a killed process left -> the lock that says it is in use, a file
    descriptor. None while another process uses it, and where the file system has no such locks.
    """
    while True:
        folder.mkdir(exist_ok=True)
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # its user has just ended
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.stat(folder)):
                for inside in os.scandir(folder):
                    shutil.rmtree(inside) if inside.is_dir(follow_symlinks=False) else os.unlink(inside)
                return lock
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(lock)
            return None
        except OSError:  # as over NFS
            os.close(lock)
            with contextlib.suppress(OSError):
                folder.rmdir()
            return None
        os.close(lock)


def _to_disk(path):
    """A rename may reach the disk before the bytes do: a power cut would leave an empty file under the final name."""
    if path.is_file():
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def _replace_folder(new, path, scratch):
    if path.exists() and _exchanged(new, path):
        return
    old = scratch / f"{path.name}.old"
    if path.exists():
        os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        if old.exists():
            os.rename(old, path)
        raise


def _exchanged(one, other):
    """Swap two names in one step; False where the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    return rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
