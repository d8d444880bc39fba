"""AGORA submissions: a pickle per predicted person in the folder ``predictions`` of a zip, for SMPL-X and SMPL.

A file is called ``<image name without .png>_personId_<k>.pkl`` and holds a dict: ``joints`` (24, 2), the 2D joints in
SMPL-X / SMPL order, pixels of the 3840 x 2160 image (those of 1280 x 720 times 3); and either ``verts`` (10475 or
6890, 3) and ``allSmplJoints3d`` (127 or 24, 3), metres in the camera frame, or ``params``
(`handlib.bodies.smplx_files`) with ``pose2rot``, ``gender``, ``kid_flag``, ``num_betas`` where they are not True,
neutral, False and 10. Persons are read in the text order of their file names, as the evaluator does: 10 before 2.

`check` follows the official format checker (check_pred_format.py of the AGORA evaluation code), then looks for what
that accepts and the evaluator stops at or misjudges.
"""

import functools
import io
import pickle
import re
import types
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from handlib.files import InputError, require, require_known, write_atomic
from handlib.metrics import as_array
from handlib.safe_pickle import load
from handlib.submissions import agora_format, agora_warnings, archives
from handlib.submissions.problems import MISLEADING, REJECTED, Problem, of_entries, rejected

FOLDER = "predictions"
SERVERS = ("agora_smplx", "agora_smpl")
NAME = re.compile(r"(?P<image>.+)_personId_(?P<person>\d+)\.pkl")
_LARGEST = 200_000_000  # bytes of one person's file; a zip bomb must not fill the memory


def write(predictions, path, server="agora_smplx", compress=False):
    """Write a submission -> its path. Streamed person by person; it appears whole or not at all.

    predictions: {image name: [person, ...]} or an iterable of (image name, persons), each image once; names with or
    without ``.png``. ``path``: a zip, or (any other ending) a folder of pickles as the local evaluator takes it.
    Arrays keep type and value; torch tensors become numpy arrays, and the leading axis of 1 that 2D ``joints`` of some
    projects have, which the server rejects, is taken off. ``compress``: deflate the zip's files, which pays for
    parameters only. Raises InputError naming person and key when the server's checker would reject it or it holds NaN;
    then nothing is written.
    """
    _known(server)
    path = Path(path)
    with write_atomic(path) as temporary:
        with _Sink(temporary, path.suffix == ".zip", compress) as sink:
            seen = set()
            for image, persons in predictions.items() if isinstance(predictions, Mapping) else predictions:
                stem = _stem(image)
                if stem in seen:
                    raise InputError("predictions", f"image '{image}' is there twice", "give each image once")
                seen.add(stem)
                for number, person in enumerate(persons):
                    sink.add(f"{stem}_personId_{number}.pkl", dumps(_prepared(person, f"{stem}, {number}", server)))
            if not sink.count:
                raise InputError("predictions", "hold no person", "the server refuses an empty submission")
    return path


def _stem(image):
    name = str(image).removesuffix(".png")
    if not name or "/" in name or "\\" in name or "\n" in name:
        raise InputError("predictions", f"'{image}' is no image name", "name images as imgPath does, without folders")
    return name


def _prepared(person, where, server):
    """The person's dict as it is written: numpy arrays, 2D joints without a leading axis, checked."""
    where = f"predictions of {where}"
    if not isinstance(person, Mapping):
        raise InputError(where, f"is {type(person).__name__}, not a mapping", "give a dict per person")
    ready = {key: _numpy(value) for key, value in person.items()}
    if isinstance(ready.get("joints"), np.ndarray) and ready["joints"].ndim == 3 and len(ready["joints"]) == 1:
        ready["joints"] = ready["joints"][0]
    verdict = agora_format.reject(ready, server)
    if verdict:
        raise InputError(where, verdict.problem, verdict.mend, field=verdict.key)
    for key, problem in agora_format.not_finite(ready):
        raise InputError(where, problem, "leave the person out, or give numbers", field=key)
    return ready


def _numpy(value):
    if isinstance(value, Mapping):
        return {key: _numpy(item) for key, item in value.items()}
    if hasattr(value, "detach"):
        return as_array(value)
    return value.item() if isinstance(value, np.generic) else value


class _Sink:
    """Takes files one after the other, into a zip or a folder."""

    def __init__(self, path, zipped, compress):
        self.count = 0
        self._kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        self._zip = zipfile.ZipFile(path, "w", self._kind) if zipped else None
        self._folder = path
        if not zipped:
            path.mkdir()

    def add(self, name, data):
        self.count += 1
        if self._zip is None:
            (self._folder / name).write_bytes(data)
            return
        entry = zipfile.ZipInfo(f"{FOLDER}/{name}")  # its date is 1980: equal predictions give equal files
        entry.compress_type, entry.external_attr = self._kind, 0o644 << 16
        self._zip.writestr(entry, data, compresslevel=1 if self._kind == zipfile.ZIP_DEFLATED else None)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        if self._zip is not None:
            self._zip.close()


class _Pickler(pickle._Pickler):
    """Calls numpy's functions as numpy 1 does: servers with it cannot read what numpy 2 writes of itself."""

    def save_global(self, value, name=None):
        module = getattr(value, "__module__", None) or ""
        if module.startswith("numpy._core."):
            self.write(pickle.GLOBAL + f"numpy.core.{module[12:]}\n{name or value.__qualname__}\n".encode())
            self.memoize(value)
        else:
            super().save_global(value, name)

    dispatch = {**pickle._Pickler.dispatch, types.FunctionType: save_global}


def dumps(person):
    """One person's pickle, which Python 3 with any numpy reads."""
    stream = io.BytesIO()
    _Pickler(stream, 4).dump(person)
    return stream.getvalue()


class Submission(Mapping):
    """{image name with .png: [person, ...]} of a submission's zip or folder; persons are read when asked for."""

    def __init__(self, path):
        self.path = require(path, "give the zip or folder of an AGORA submission")
        self.files = _files(self.path)  # name -> what `_bytes` needs
        self.unnamed = sorted(name for name in self.files if not NAME.fullmatch(name))
        self._images = {}
        for name in sorted(self.files):
            found = NAME.fullmatch(name)
            if found:
                self._images.setdefault(f"{found['image']}.png", []).append(name)

    def __getitem__(self, image):
        return [self.person(name) for name in self._images[image]]

    @property
    def names(self):
        """File names of all persons, image by image, in the order in which the evaluator reads them."""
        return [name for names in self._images.values() for name in names]

    def __contains__(self, image):  # without reading the persons
        return image in self._images

    def __iter__(self):
        return iter(self._images)

    def __len__(self):
        return len(self._images)

    def person(self, name):
        """The dict of the file called ``name``. Raises InputError when it is damaged or asks for code."""
        found = load(self._open(name), f"{self.path}, {name}")
        if not isinstance(found, dict):
            raise InputError(f"{self.path}, {name}", f"holds {type(found).__name__}", "pickle a dict per person")
        return found

    @functools.cached_property
    def _archive(self):
        return zipfile.ZipFile(self.path)  # stays open: its list of files is long

    def _open(self, name):
        where = self.files[name]
        if isinstance(where, Path):
            return io.BytesIO(where.read_bytes())
        if where.file_size > _LARGEST:
            problem = f"unpacks to {where.file_size} bytes"
            raise InputError(f"{self.path}, {name}", problem, f"a person's file has less than {_LARGEST}")
        try:
            return io.BytesIO(self._archive.read(where))
        except archives.BROKEN as error:
            raise InputError(f"{self.path}, {name}", f"cannot be unpacked ({error})", "make the zip again") from error


def _files(path):
    """{file name: ZipInfo or path} of the folder ``predictions``, or of a folder that holds the pickles itself."""
    if path.is_dir():
        inside = path / FOLDER if (path / FOLDER).is_dir() else path
        return {found.name: found for found in inside.iterdir() if found.is_file()}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        mend = "give the zip or folder of an AGORA submission"
        raise InputError(path, f"cannot be read as a zip ({error})", mend) from error
    found = {}
    for entry in entries:
        folder, _, name = entry.filename.rpartition("/")
        if folder == FOLDER and name:
            found[name] = entry
    return found


def read(path, server="agora_smplx"):
    """A submission's zip or folder -> `Submission`, a mapping {image name: [person, ...]} with the arrays as written.

    Memory stays flat: an image's persons are read when asked for. ``dict(read(path))`` reads all. Raises InputError
    when there is no such file or no person in it.
    """
    _known(server)
    found = Submission(path)
    if not len(found):
        others = f"; there is: {', '.join(found.unnamed[:5])}" if found.unnamed else ""
        mend = f"put <image>_personId_<k>.pkl files into the zip's folder '{FOLDER}'{others}"
        raise InputError(path, "holds no person", mend)
    return found


def check(path, server="agora_smplx", images=None):
    """What is wrong with a submission -> list of `handlib.submissions.problems.Problem`, empty when nothing is.

    "rejected": what the official format checker rejects, ``entry`` the file, with the key; "misleading": what it lets
    through and the evaluator stops at or misjudges. ``images``: names of the images that should be there (imgPath), to
    name missing and unknown ones.
    """
    _known(server)
    try:
        found = Submission(path)
    except InputError as error:
        return rejected(error)
    if not found.files:
        return [Problem(REJECTED, None, f"{path}: there is no file in the folder '{FOLDER}'")]
    text = "the name is not <image>_personId_<k>.pkl, so it belongs to no image"
    problems = of_entries(REJECTED, found.unnamed, text, "file")
    watch = agora_warnings.Watch(server)
    for name in found.names:
        problems += _of_person(found, name, server, watch)
    whole = [*watch.all(), *agora_warnings.images(list(found), images)]
    return problems + [Problem(MISLEADING, None, text) for text in whole]


def _of_person(found, name, server, watch):
    try:
        person = found.person(name)
    except InputError as error:
        return [Problem(REJECTED, name, f"{name}: {error.problem}: {error.mend}")]
    verdict = agora_format.reject(person, server)
    problems = [Problem(MISLEADING, name, f"{name}: {text}") for text in watch.person(name, person)]
    if verdict:
        text = f"{name}: key '{verdict.key}' {verdict.problem}: {verdict.mend}"
        problems.insert(0, Problem(REJECTED, name, text))
    return problems


def _known(server):
    require_known([server], SERVERS, "submissions", "server")
