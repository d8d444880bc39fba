"""Writes pickles as Python 2 wrote the official body model files: byte strings, old module names, chumpy objects.

Neither Python 2 nor chumpy is needed: the classes below only carry chumpy's names and attributes into the stream.
"""

import io
import pickle
import struct


class _Python2(pickle._Pickler):
    dispatch = pickle._Pickler.dispatch.copy()

    def _bytes(self, value):
        raw = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = _bytes

    def save_global(self, value, name=None):
        if hasattr(value, "python2_module"):  # no such module: only its name is written
            self.write(pickle.GLOBAL + f"{value.python2_module}\n{value.__name__}\n".encode())
            self.memoize(value)
        else:
            super().save_global(value, name)

    dispatch[type] = save_global


def dumps(value, protocol=2):
    stream = io.BytesIO()
    _Python2(stream, protocol).dump(value)
    raw = stream.getvalue().replace(b"numpy._core.", b"numpy.core.")
    for kind in (b"csc", b"csr", b"coo"):
        raw = raw.replace(b"scipy.sparse._" + kind, b"scipy.sparse." + kind)
    return raw


def foreign(module, name, **attributes):
    """An object that a pickle calls ``module.name``, with these attributes."""
    value = type(name, (), {"python2_module": module})()
    value.__dict__.update(attributes)
    return value


def chumpy(array):
    """A plain chumpy array, with the bookkeeping attributes that the real ones bring along."""
    return foreign("chumpy.ch", "Ch", x=array, _dirty_vars={"x"}, _itr=None, _depends_on_deps={})
