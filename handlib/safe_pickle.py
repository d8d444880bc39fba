"""Pickle files, read without running anything they bring along.

A pickle may name any function of any library and have it called. Here only a short list of harmless names is known;
every other one is refused by name. numpy arrays are rebuilt from their bytes, scipy.sparse matrices become dense ones,
and chumpy objects (body models of the Python 2 years are full of them) become the arrays they stand for; neither scipy
nor chumpy is imported for it.
"""

import collections
import inspect
import io
import math
import pickle

import numpy as np

from handlib.files import InputError, require_file
from handlib.pickle_stream import require_bounded

MEND = "use the official file; if the file is your own, keep only arrays, numbers, text, lists and dicts in it"
_LARGEST = 1 << 25  # elements of what is worked out of others; a few bytes must not fill the memory


class Refused(InputError):
    """The file asks for something that is not known to be harmless; other faults are plain InputErrors."""


def read_pickle(path, extra=None, mend="put the official file there"):
    """Read one pickle of Python 2 or 3; byte strings of Python 2 become text (latin-1).

    Arguments: ``path``; ``extra``, a dict {"module.name": replacement} of further names that this file may use.
    Returns dicts, lists, numbers, text and numpy arrays. Raises InputError when the file is missing, cut, or names
    anything that is not known to be harmless.
    """
    with open(require_file(path, mend), "rb") as file:
        return load(file, path, extra)


def load(file, name, extra=None):
    """As ``read_pickle``, from an open binary file; ``name`` is what errors call it."""
    try:
        data = file.read()
        require_bounded(data)
        return _plain(_Unpickler(io.BytesIO(data), name, extra or {}).load(), {})
    except InputError:
        raise
    except Exception as error:  # a damaged stream can raise almost anything
        problem = f"cannot be read as a pickle ({type(error).__name__}: {error})"
        raise InputError(name, problem, "it is cut, damaged or no pickle: copy or download it again") from error


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, name, extra):
        super().__init__(file, encoding="latin1")
        self._name, self._extra = name, extra

    def find_class(self, module, name):
        for known in (self._extra, _KNOWN):
            for full in (f"{module}.{name}", _canonical(module, name)):
                if full in known:
                    return known[full]
        raise Refused(self._name, f"asks for '{module}.{name}', which is not known to be harmless", MEND)

    def persistent_load(self, reference):
        raise Refused(self._name, "refers to data outside itself (a persistent id)", MEND)


def _canonical(module, name):
    """One spelling for what has moved over the years."""
    module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
    module = module.replace("numpy._core", "numpy.core")
    if module.startswith("scipy.sparse"):  # scipy.sparse.csc, scipy.sparse._csc; csc_matrix, csc_array
        return f"scipy.sparse.{name.removesuffix('_matrix').removesuffix('_array')}"
    return f"{module}.{name}"


class Deferred:
    """An object whose value ``formula(**attributes)`` is worked out once the whole file is read."""

    formula = None

    def __init__(self, *ignored):
        self.state = {}

    def __setstate__(self, state):
        self.state = state

    def value(self, done):
        names = inspect.signature(self.formula).parameters
        return self.formula(**{name: _plain(self.state[name], done) for name in names if name in self.state})


def _plain(value, done):
    """``value`` with every deferred object in it replaced by its array. ``done``: what has been met, by identity."""
    if not isinstance(value, (Deferred, _Dtype, dict, list, tuple)):
        return value
    if id(value) in done:
        return done[id(value)][1]
    done[id(value)] = value, value  # the object is kept, so that its identity is not given away again
    if isinstance(value, dict):
        value.update([(key, _plain(item, done)) for key, item in value.items()])
    elif isinstance(value, list):
        value[:] = [_plain(item, done) for item in value]
    elif isinstance(value, tuple):
        done[id(value)] = value, tuple(_plain(item, done) for item in value)
    elif isinstance(value, Deferred):
        done[id(value)] = value, value.value(done)
    else:
        done[id(value)] = value, value.dtype
    return done[id(value)][1]


# --- numpy: never handed foreign state, which could make it take bytes for pointers


class _Dtype:
    """A numpy dtype of numbers, text or objects; structured ones are refused."""

    def __init__(self, code, *ignored):
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in "biufcSUO":
            raise ValueError(f"dtype '{code}' is not supported")

    def __setstate__(self, state):
        if any(part is not None for part in state[2:5]):
            raise ValueError("structured dtypes are not supported")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


def _array(shape, dtype, data, fortran=False):
    order = "F" if fortran else "C"
    if dtype.kind != "O":
        return _frombuffer(data, dtype, shape, order)
    filled = np.empty(len(data), object)
    for index, item in enumerate(data):  # one by one: numpy would take equally long lists for rows
        filled[index] = item
    return filled.reshape(shape, order=order)


class _Array(Deferred):
    """What numpy's ``_reconstruct`` makes, before it is given its state."""

    formula = staticmethod(_array)

    def __setstate__(self, state):
        self.state = dict(zip(("version", "shape", "dtype", "fortran", "data"), state, strict=True))


def _frombuffer(data, dtype, shape, order="C"):
    dtype = getattr(dtype, "dtype", dtype)  # called by the unpickler itself (protocol 5) with a _Dtype
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, dtype).reshape(shape, order=order).copy(order=order)


def _scalar(dtype, data):
    return _frombuffer(data, dtype, ())[()]


# --- scipy.sparse -> dense


def _numbers(*values):
    """Arrays of numbers: sums and products of text or objects grow without bound."""
    arrays = [np.asarray(value) for value in values]
    for array in arrays:
        if array.dtype.kind not in "biufc":
            raise ValueError(f"{array.dtype} are no numbers")
    return arrays


def _require_small(shape):
    if math.prod(shape) > _LARGEST:
        raise ValueError(f"an array of shape {tuple(shape)} is too large")


def _dense(shape, rows, columns, data):
    _require_small(shape)
    rows, columns, data = _numbers(rows, columns, data)
    matrix = np.zeros(shape, data.dtype)
    np.add.at(matrix, (rows, columns), data)
    return matrix


def _compressed(indptr, data):
    counts = np.diff(*_numbers(indptr))
    if counts.sum() != len(data):
        raise ValueError(f"a sparse matrix has {len(data)} values and places for {counts.sum()}")
    return np.repeat(np.arange(len(counts)), counts)


def _csc(_shape, indices, indptr, data):
    return _dense(_shape, indices, _compressed(indptr, data), data)


def _csr(_shape, indices, indptr, data):
    return _dense(_shape, _compressed(indptr, data), indices, data)


def _coo(_shape, data, row=None, col=None, coords=None):
    rows, columns = (row, col) if coords is None else coords
    return _dense(_shape, rows, columns, data)


# --- chumpy -> the value it stands for; parameters are called as the objects' attributes are


def _select(a, idxs, preferred_shape=None):
    picked = np.ravel(a)[idxs]
    return picked if preferred_shape is None else picked.reshape(preferred_shape)


def _elementwise(operation):
    def formula(a, b):
        a, b = _numbers(a, b)
        _require_small(np.broadcast_shapes(a.shape, b.shape))
        return operation(a, b)

    return formula


def _dot(a, b):
    a, b = _numbers(a, b)
    _require_small(a.shape[:-1] + b.shape[:-2] + b.shape[-1:] if b.ndim > 1 else a.shape[:-1])
    return a @ b


def _mat_vec(mtx, vec):
    mtx, vec = _numbers(mtx, vec)
    columns = vec.shape[1] if vec.ndim > 1 and vec.shape[1] > 1 else None
    product = mtx @ vec.ravel()
    return product if columns is None else product.reshape(-1, columns)


_FORMULAS = {
    "scipy.sparse.csc": _csc,
    "scipy.sparse.csr": _csr,
    "scipy.sparse.coo": _coo,
    "chumpy.ch.Ch": lambda x: np.atleast_1d(x),
    "chumpy.ch.MatVecMult": _mat_vec,
    "chumpy.ch_ops.add": _elementwise(np.add),
    "chumpy.ch_ops.subtract": _elementwise(np.subtract),
    "chumpy.ch_ops.multiply": _elementwise(np.multiply),
    "chumpy.ch_ops.dot": _dot,
    "chumpy.reordering.Reshape": lambda a, newshape: a.reshape(newshape),
    "chumpy.reordering.Select": _select,
    "chumpy.reordering.transpose": lambda a, axes=None: np.transpose(a, axes),
}


def _encode(text, encoding="latin1", *ignored):
    if encoding not in ("latin1", "latin-1", "ascii", "utf-8"):
        raise ValueError(f"text encoding '{encoding}' is not supported")
    return text.encode(encoding)


def _of_bytes(kind):
    """``bytes`` or ``bytearray`` of text or bytes: of a number they would be that many zeros."""

    def make(given=b"", encoding="latin1"):
        return kind(_encode(given, encoding) if isinstance(given, str) else memoryview(given))

    return make


def _reconstructor(cls, base, state):
    """What protocols 0 and 1 make objects with."""
    if not (isinstance(cls, type) and issubclass(cls, Deferred)):
        raise ValueError(f"cannot rebuild {cls!r}")
    return cls()


_KNOWN = {name: type(name, (Deferred,), {"formula": staticmethod(formula)}) for name, formula in _FORMULAS.items()}
_KNOWN |= {
    "builtins.object": object,
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "builtins.complex": complex,
    "builtins.bytes": _of_bytes(bytes),
    "builtins.bytearray": _of_bytes(bytearray),
    "builtins.slice": slice,
    "collections.OrderedDict": collections.OrderedDict,
    "copyreg._reconstructor": _reconstructor,
    "_codecs.encode": _encode,
    "numpy.ndarray": "ndarray",  # only ever an argument of the next three
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _frombuffer,
    "numpy.dtype": _Dtype,
}
