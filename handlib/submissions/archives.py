"""The prediction text inside what a server is given: a zip, the folder it unpacks to, or the bare .json file.

FreiHAND's and HO-3D's servers unpack the zip and take ``pred.json`` at its top. Where there is none they take the only
``.json`` there, and stop when there are several.
"""

import contextlib
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from handlib.files import InputError, require

NAME = "pred.json"
LARGEST = 8 << 30  # bytes; the largest benchmark's file holds 1.1e9
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
_CUT = "it was cut or damaged: make or copy it again"


@contextlib.contextmanager
def opened(path, largest=LARGEST):
    """The bytes of the prediction file as a binary stream, and its name for messages: ``with opened(path) as (s, n)``.

    path: a zip, a folder, or a .json file. Raises InputError when there is no prediction file by the servers' rule,
    when a zip is damaged, encrypted, or has a member whose name leads out of its folder, and when the text is longer
    than ``largest`` bytes.
    """
    path = require(path, "give the zip, the folder or the .json file of a submission")
    if path.is_dir():
        path = path / _chosen([inside.name for inside in path.iterdir() if inside.is_file()], path)
    if not path.is_file():
        raise InputError(path, "is no file", "give the zip, the folder or the .json file of a submission")
    if zipfile.is_zipfile(path):
        with _from_zip(path, largest) as stream:
            yield stream
        return
    with open(path, "rb") as stream:
        if stream.read(4) == b"PK\3\4" or path.suffix == ".zip":
            raise InputError(path, "is not a whole zip file", _CUT)
        stream.seek(0)
        _refuse_size(path.stat().st_size, largest, path)
        yield stream, path


@contextlib.contextmanager
def _from_zip(path, largest):
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _refuse_name(member, path)
            member = archive.getinfo(_chosen([name for name in archive.namelist() if "/" not in name], path))
            name = f"{path}: {member.filename}"
            if member.flag_bits & 1:
                raise InputError(name, "is encrypted", "make the zip without a password")
            _refuse_size(member.file_size, largest, name)
            with archive.open(member) as stream:
                yield stream, name
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(path, f"is not a whole zip file ({error})", _CUT) from error


def _chosen(names, path):
    """The servers' rule: ``pred.json``, else the only .json at the top."""
    candidates = sorted(name for name in names if name.endswith(".json"))
    if NAME in candidates:
        return NAME
    if len(candidates) == 1:
        return candidates[0]
    found = f"these at its top: {', '.join(candidates[:5])}" if candidates else "no .json at its top"
    raise InputError(path, f"has no {NAME}, and {found}", f"put one file there and name it {NAME} (in no folder)")


def _refuse_name(member, path):
    name = PurePosixPath(member.filename.replace("\\", "/"))
    link = stat.S_ISLNK(member.external_attr >> 16)
    if name.is_absolute() or ".." in name.parts or (name.parts and ":" in name.parts[0]) or link:
        raise InputError(
            path, f"its member '{member.filename}' leads out of its folder", f"make the zip anew, with {NAME} alone"
        )


def _refuse_size(size, largest, name):
    if size > largest:
        raise InputError(
            name,
            f"unpacks to {size / 1e6:.0f} MB, more than the {largest / 1e6:.0f} MB that so many samples can need",
            "see what was written, or whether this is the right benchmark",
        )


@contextlib.contextmanager
def member_writer(path, temporary):
    """A binary stream into ``temporary``: the bare file where ``path`` ends in .json, else ``pred.json`` in a zip."""
    if Path(path).suffix == ".json":
        with open(temporary, "wb") as stream:
            yield stream
        return
    member = zipfile.ZipInfo(NAME)  # the date stays 1980: equal predictions give equal bytes
    member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        member._compresslevel = 1
        with archive.open(member, "w", force_zip64=True) as stream:
            yield stream
