"""LMDB files for reading, opened once in each process.

LMDB forbids to open a file twice in a process, and to use an open one across a fork. So whoever reads a file shares the
one environment, and a forked child closes what it inherited and opens its own.
"""

import os
import weakref

import lmdb

from handlib.files import InputError

_shared = weakref.WeakValueDictionary()  # (device, inode) -> environment


def environment(path, mend):
    """The process's environment of an LMDB file or folder; it is closed when nobody holds it any more.

    Hold it no longer than the process: after a fork ask again. Raises InputError when there is no LMDB there.
    """
    path = str(path)
    try:
        found = os.stat(os.path.join(path, "data.mdb") if os.path.isdir(path) else path)
        key = found.st_dev, found.st_ino
        store = _shared.get(key)
        if store is None:
            store = lmdb.open(path, readonly=True, lock=False, readahead=False, subdir=os.path.isdir(path))
            _shared[key] = store
    except (lmdb.Error, OSError) as error:
        raise InputError(path, f"cannot be opened as an LMDB store ({error})", mend) from error
    return store


def _close_inherited():
    for store in list(_shared.values()):
        store.close()
    _shared.clear()


os.register_at_fork(after_in_child=_close_inherited)
