"""Files of ``torch.save``, read without running anything in them, and without taking more memory than they hold."""

import io
import pickle
import re
import zipfile
from collections import OrderedDict

import torch

from handlib import safe_pickle
from handlib.files import Bounded, InputError, require_file

# What checkpoints of the supported methods hold beside their tensors; stand-ins take their places, nothing is imported.
_LIGHTNING = ("pytorch_lightning", "lightning.pytorch")
HARMLESS_DICTS = tuple(f"{package}.utilities.parsing.AttributeDict" for package in _LIGHTNING)
HARMLESS = (
    "argparse.Namespace",
    "pathlib.PosixPath",
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(f"{package}.callbacks.early_stopping.EarlyStopping" for package in _LIGHTNING),
    *(f"{package}.callbacks.model_checkpoint.ModelCheckpoint" for package in _LIGHTNING),
)
_AGAIN = "copy or download it again"
_BYTES = {"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "ComplexFloat": 8}
_OLD = 5  # pickles at the start of a file from before PyTorch 1.6; then come the storages


class _Inert:
    """Stands for an object that is not wanted: takes any arguments and any state, and keeps nothing."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def ignore(self, *args):
        return self

    __call__ = __setstate__ = __setitem__ = append = extend = add = ignore


def read(path, mend=_AGAIN):
    """All that a file of ``torch.save`` holds, tensors on the CPU.

    Raises InputError when it is missing, damaged, claims more than it has, or names code that would run.
    """
    path = require_file(path, mend)
    try:
        _require_honest(path)
        stand_ins = [(_Inert, name) for name in HARMLESS] + [(OrderedDict, name) for name in HARMLESS_DICTS]
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, error, mend) from error
    except Exception as error:  # PyTorch's readers raise a dozen kinds at damage
        raise InputError(path, f"is not a whole PyTorch file ({_first_line(error)})", mend) from error


def _refused(path, error, mend):
    """The names of what would have run, as far as PyTorch tells them."""
    try:
        blocked = set(torch.serialization.get_unsafe_globals_in_checkpoint(path)) - {*HARMLESS, *HARMLESS_DICTS}
    except Exception:  # no zip file: only the first one is known
        blocked = set(re.findall(r"GLOBAL ([\w.]+)", str(error)))
    if not blocked:
        return InputError(path, f"is not a PyTorch file ({_first_line(error)})", mend)
    mend = (
        "if you trust where it comes from, open it in a Python that has those modules and save only its tensors: "
        "torch.save({name: tensor for name, tensor in checkpoint['state_dict'].items()}, FILE)"
    )
    return InputError(
        path, f"names code that loading would run, and was not opened: {', '.join(sorted(blocked))[:1000]}", mend
    )


def _first_line(error):
    """Of what went wrong; PyTorch puts advice before it that must not be followed."""
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    return (text.splitlines() or [type(error).__name__])[0][:200]


# --- what a file says of its storages, before PyTorch believes it


def _require_honest(path):
    """ValueError where the storages that the pickle names are not those that the file holds."""
    with open(path, "rb") as file:
        if file.read(4) == b"PK\3\4":
            return _require_honest_zip(path)
        file.seek(0)
        claimed = [_storages(file) for _ in range(_OLD)]
        claimed, there = sum(sum(one.values()) for one in claimed), path.stat().st_size - file.tell()
        if claimed > there:
            raise ValueError(f"its tensors claim {claimed} bytes of {there}")


def _require_honest_zip(path):
    with zipfile.ZipFile(path) as archive:
        sizes = {one.filename: one.file_size for one in archive.infolist()}
        packed = [one.filename for one in archive.infolist() if one.compress_type != zipfile.ZIP_STORED]
        if packed or len(sizes) < len(archive.infolist()):
            raise ValueError(f"compressed or twice in it: {', '.join(packed[:3])}; torch.save never does so")
        if (broken := archive.testzip()) is not None:  # PyTorch does not look at the sums that it writes
            raise ValueError(f"{broken} is damaged")
        for name in [name for name in sizes if name.endswith("data.pkl")]:
            for key, claimed in _storages(io.BytesIO(archive.read(name))).items():
                there = sizes.get(f"{name.removesuffix('data.pkl')}data/{key}")
                if there is not None and claimed > there:
                    raise ValueError(f"storage {key} claims {claimed} bytes and has {there}")


def _storages(file):
    """{key: bytes claimed} of the storages that a pickle refers to; nothing that it names is looked up.

    ValueError for keys of dictionaries that may never be hashed to an end (PyTorch's own reader hashes all).
    """
    reader = _Storages(Bounded(file), encoding="latin1")
    reader.load()
    return reader.claimed


class _Storages(pickle._Unpickler):
    """The standard library's unpickler in Python: it reads no further than the pickle, and no key is hashed."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, file, **options):
        super().__init__(file, **options)
        self.claimed = {}

    def find_class(self, module, name):
        return type(name, (_Inert,), {})

    def persistent_load(self, reference):
        if reference[0] == "storage":
            kind = _BYTES.get(getattr(reference[1], "__name__", "").removesuffix("Storage"), 1)
            self.claimed[str(reference[2])] = kind * int(reference[4])
        return _Inert()

    def load_setitem(self):
        self._look(self.stack[-2:-1])
        del self.stack[-2:]

    def load_setitems(self):
        self._look(self.pop_mark()[::2])

    def load_dict(self):
        self._look(self.pop_mark()[::2])
        self.append({})

    def load_additems(self):
        self._look(self.pop_mark())

    def load_frozenset(self):
        self._look(self.pop_mark())
        self.append(frozenset())

    @staticmethod
    def _look(keys):
        safe_pickle.require_flat([key for key in keys if not _is_inert(key)])

    dispatch |= {
        pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems, pickle.DICT[0]: load_dict,
        pickle.ADDITEMS[0]: load_additems, pickle.FROZENSET[0]: load_frozenset,
    }  # fmt: skip


def _is_inert(key):
    return isinstance(key, _Inert) or (isinstance(key, type) and issubclass(key, _Inert))
