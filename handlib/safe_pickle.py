"""Pickle files, read without running anything they bring along.

A pickle may name any function of any library and have it called. Here only a short list of harmless names is known;
every other one is refused by name. numpy arrays are rebuilt from their bytes, scipy.sparse matrices become dense ones,
and chumpy objects (body models of the Python 2 years are full of them) become the arrays they stand for; neither scipy
nor chumpy is imported for it.

The unpickler is the standard library's in Python, not the one in C, where a dictionary's key of tuples in tuples ends
the process or keeps it busy for ever, and a place in the memo fills the memory. Here keys are flat, and what a file is
made into is bounded by what it holds.
"""

import collections
import inspect
import math
import pickle
import struct
import sys

import numpy as np

from handlib.files import Bounded, InputError, require_file

MEND = "use the official file; if the file is your own, keep only arrays, numbers, text, lists and dicts in it"
_LARGEST = 1 << 25  # elements of what is worked out of others; a few bytes must not fill the memory
_SPARE, _TIMES = 1 << 28, 4  # bytes that a file may be made into, and how many for each that it holds
_REPEATED = 10_000_000  # values that one value may stand for, lists inside it being the same list over and over
_FLAT = {str, bytes, int, float, bool, complex, type(None)}


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


def load(file, name, extra=None, refer=None):
    """As ``read_pickle``, from an open binary file; ``name`` is what errors call it. refer: gives what a persistent id
    stands for; without it they are refused.
    """
    try:
        unpickler = _Unpickler(file, name, extra or {}, refer)
        value = unpickler.load()
        return _Plain(unpickler.allow).plain(value)
    except InputError:
        raise
    except Exception as error:  # a damaged stream can raise almost anything
        problem = f"cannot be read as a pickle ({type(error).__name__}: {error})"[:300]
        raise InputError(name, problem, "it is cut, damaged or no pickle: copy or download it again") from error


class _Unpickler(pickle._Unpickler):
    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, file, name, extra, refer=None):
        super().__init__(Bounded(file), encoding="latin1")
        self._file, self._start, self._name, self._extra, self._refer = file, file.tell(), name, extra, refer
        self._made = 0

    def find_class(self, module, name):
        for known in (self._extra, _KNOWN):
            for full in (f"{module}.{name}", _canonical(module, name)):
                if full in known:
                    return known[full]
        asked = f"{module}.{name}"[:120]
        raise Refused(self._name, f"asks for '{asked}', which is not known to be harmless", MEND)

    def persistent_load(self, reference):
        if self._refer is None:
            raise Refused(self._name, "refers to data outside itself (a persistent id)", MEND)
        return self._refer(reference)

    def allow(self, size):
        """ValueError where what is made of the file, ``size`` bytes more, outgrows what has been read of it."""
        self._made += size
        if self._made > _SPARE and self._made > _TIMES * (self._file.tell() - self._start):
            raise ValueError("is made into far more than the file holds")

    def load_reduce(self):
        super().load_reduce()
        made = self.stack[-1]
        self.allow(made.nbytes if isinstance(made, np.ndarray | np.generic) else sys.getsizeof(made))

    def load_bytearray8(self):
        (size,) = struct.unpack("<Q", self.read(8))
        data = self.read(size)
        if len(data) != size:
            raise EOFError("the file ends inside an array")
        self.append(bytearray(data))

    def load_build(self):
        """Only for what this module knows: functions and classes, which a file can name too, keep their state."""
        if not isinstance(self.stack[-2], Deferred | _Dtype):
            raise ValueError(f"gives a state to {type(self.stack[-2]).__name__}")
        super().load_build()

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self._put(self.stack[-1], [key, value])

    def load_setitems(self):
        items = self.pop_mark()
        self._put(self.stack[-1], items)

    def load_dict(self):
        items, found = self.pop_mark(), {}
        self._put(found, items)
        self.append(found)

    @staticmethod
    def _put(target, items):
        if not isinstance(target, dict):
            raise ValueError(f"gives keys to {type(target).__name__}")
        keys = items[::2]
        require_flat(keys)
        target.update(zip(keys, items[1::2], strict=True))

    def load_additems(self):
        items = self.pop_mark()
        require_flat(items)
        self.stack[-1].update(items)

    def load_frozenset(self):
        items = self.pop_mark()
        require_flat(items)
        self.append(frozenset(items))

    dispatch |= {
        pickle.REDUCE[0]: load_reduce, pickle.BYTEARRAY8[0]: load_bytearray8, pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems, pickle.DICT[0]: load_dict,
        pickle.ADDITEMS[0]: load_additems, pickle.FROZENSET[0]: load_frozenset,
    }  # fmt: skip


def require_flat(keys, depth=2):
    """ValueError for keys but numbers, text and short tuples of these: hashing others may never end."""
    for key in keys:
        if type(key) is tuple and len(key) <= 16 and depth:
            require_flat(key, depth - 1)
        elif type(key) not in _FLAT and not isinstance(key, np.generic):
            raise ValueError(f"has a key that is no number and no text ({type(key).__name__})")


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

    def value(self, plain):
        names = inspect.signature(self.formula).parameters
        return self.formula(**{name: plain(self.state[name]) for name in names if name in self.state})


class _Plain:
    """Replaces every deferred object by its array. allow: called with the bytes that each takes."""

    def __init__(self, allow):
        self._allow = allow
        # What has been met, by identity: the object, kept so that its identity is not given away again, what it
        # became, and how many values it stands for.
        self._done = {}

    def plain(self, value):
        return self._met(value)[1]

    def _met(self, value):
        if not isinstance(value, (Deferred, _Dtype, dict, list, tuple)):
            return value, value, 1
        if id(value) not in self._done:
            self._done[id(value)] = value, value, 1
            found, count = self._made(value)
            if count > _REPEATED:
                raise ValueError("holds lists that are the same over and over")
            self._done[id(value)] = value, found, count
        return self._done[id(value)]

    def _made(self, value):
        """(what it becomes, how many values it stands for)."""
        if isinstance(value, dict):
            met = [self._met(item) for item in value.values()]
            value.update(zip(list(value), [found for _, found, _ in met], strict=True))
        elif isinstance(value, list):
            met = [self._met(item) for item in value]
            value[:] = [found for _, found, _ in met]
        elif isinstance(value, tuple):
            met = [self._met(item) for item in value]
            value = tuple(found for _, found, _ in met)
        elif isinstance(value, Deferred):
            found = value.value(self.plain)
            self._allow(getattr(found, "nbytes", 0))
            return found, 1
        else:
            return value.dtype, 1
        return value, 1 + sum(count for *_, count in met)


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
    arrays = [value if isinstance(value, np.ndarray | np.generic | int | float) else None for value in values]
    for array in (arrays := list(map(np.asarray, arrays))):
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
    picked = np.ravel(*_numbers(a))[idxs]
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
    "chumpy.ch.Ch": lambda x: np.atleast_1d(*_numbers(x)),
    "chumpy.ch.MatVecMult": _mat_vec,
    "chumpy.ch_ops.add": _elementwise(np.add),
    "chumpy.ch_ops.subtract": _elementwise(np.subtract),
    "chumpy.ch_ops.multiply": _elementwise(np.multiply),
    "chumpy.ch_ops.dot": _dot,
    "chumpy.reordering.Reshape": lambda a, newshape: _numbers(a)[0].reshape(newshape),
    "chumpy.reordering.Select": _select,
    "chumpy.reordering.transpose": lambda a, axes=None: np.transpose(*_numbers(a), axes),
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


def _of_list(kind):
    """Sets and dictionaries are made of the list that a pickle gives: flat keys."""

    def made(items=()):
        if not isinstance(items, list | tuple):
            raise ValueError(f"makes a {kind.__name__} of {type(items).__name__}")
        require_flat([item[0] for item in items] if issubclass(kind, dict) else items)
        return kind(items)

    return made


def _reconstructor(cls, base, state):
    """What protocols 0 and 1 make objects with."""
    if not (isinstance(cls, type) and issubclass(cls, Deferred)):
        raise ValueError(f"cannot rebuild {cls!r}")
    return cls()


_KNOWN = {name: type(name, (Deferred,), {"formula": staticmethod(formula)}) for name, formula in _FORMULAS.items()}
_KNOWN |= {
    "builtins.object": object,
    "builtins.set": _of_list(set),
    "builtins.frozenset": _of_list(frozenset),
    "builtins.complex": complex,
    "builtins.bytes": _of_bytes(bytes),
    "builtins.bytearray": _of_bytes(bytearray),
    "builtins.slice": slice,
    "collections.OrderedDict": _of_list(collections.OrderedDict),
    "copyreg._reconstructor": _reconstructor,
    "_codecs.encode": _encode,
    "numpy.ndarray": "ndarray",  # only ever an argument of the next three
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _frombuffer,
    "numpy.dtype": _Dtype,
}
