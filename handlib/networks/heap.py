"""Keeping large tensors' memory between uses.

glibc maps every block above 32 MiB anew and gives it back when it is freed, so each large tensor costs page faults at
each use: about a fifth of a forward pass at batch 8. ``keep`` tells it to serve all blocks from the heap and never to
trim it; the process then stays as large as it once was. HANDLIB_HEAP=default in the environment leaves the allocator
alone.
"""

import ctypes
import functools
import os
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # from malloc.h


@functools.cache
def keep():
    """Set the whole process so, once; False where it was not done (no glibc, or HANDLIB_HEAP=default)."""
    if not sys.platform.startswith("linux") or os.environ.get("HANDLIB_HEAP", "keep") == "default":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    return bool(libc.mallopt(_MMAP_MAX, 0)) and bool(libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1))
