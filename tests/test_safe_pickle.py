import collections
import io
import os
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from python2_pickle import chumpy, dumps, foreign

from handlib.files import InputError
from handlib.safe_pickle import load, read_pickle


def loads(raw, **options):
    return load(io.BytesIO(raw), "some.pkl", **options)


ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    np.arange(3, dtype=">i4"),
    np.array([True, False]),
    np.array(["ab", "c"]),
    np.array([b"ab", b"\xff"]),
    np.zeros((0, 3)),
    np.array(1j),
    np.arange(10, dtype=np.uint32),
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_comes_back_equal(protocol):
    data = {"n": None, "i": np.int64(4), "f": np.float32(0.1), "b": b"\xff\x00", "t": (1, [2.5, "x"]), "s": {1, 2}}
    data |= {"o": collections.OrderedDict(a=1), "c": 1j, "empty": b"", "long": 2**70, "flag": True}
    back = loads(pickle.dumps({**data, "arrays": ARRAYS}, protocol))
    arrays = back.pop("arrays")
    assert back == data
    assert {key: type(value) for key, value in back.items()} == {key: type(value) for key, value in data.items()}
    for array, expected in zip(arrays, ARRAYS, strict=True):
        assert array.dtype == expected.dtype and array.flags.f_contiguous == expected.flags.f_contiguous
        np.testing.assert_array_equal(array, expected)
        assert array.flags.writeable


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array"])
def test_sparse_matrices_become_dense(protocol, kind):
    dense = np.array([[0, 1.5, 0], [2, 0, 0]])
    np.testing.assert_array_equal(loads(pickle.dumps(getattr(sp, kind)(dense), protocol)), dense)


def test_object_arrays_are_read_with_what_is_in_them():
    array = np.array([None, [1, 2], [3, 4], {"x": np.ones(3)}], object)
    back = loads(pickle.dumps(array))
    assert back.dtype == object and back[0] is None and back[1:3].tolist() == [[1, 2], [3, 4]]
    np.testing.assert_array_equal(back[3]["x"], np.ones(3))


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_python2_files_with_chumpy_inside(protocol):
    table = np.arange(12.0).reshape(3, 4)
    x = chumpy(table)
    matrix = sp.csc_matrix(np.eye(3)[:2])
    data = {
        "plain": x,
        "select": foreign("chumpy.reordering", "Select", a=x, idxs=np.array([5, 1]), preferred_shape=(2, 1)),
        "flat": foreign("chumpy.reordering", "Select", a=x, idxs=np.array([5, 1])),
        "reshape": foreign("chumpy.reordering", "Reshape", a=x, newshape=(4, -1)),
        "transpose": foreign("chumpy.reordering", "transpose", a=x, axes=None),
        "sum": foreign("chumpy.ch_ops", "add", a=x, b=foreign("chumpy.ch_ops", "multiply", a=x, b=chumpy(2.0))),
        "less": foreign("chumpy.ch_ops", "subtract", a=x, b=chumpy(1.0)),
        "dot": foreign("chumpy.ch_ops", "dot", a=x, b=chumpy(table.T)),
        "joints": foreign("chumpy.ch", "MatVecMult", mtx=np.kron(matrix.toarray(), np.eye(4)), vec=x),
        "sparse": matrix,
        "text": "bytes of Python 2",
    }
    back = loads(dumps(data, protocol))
    expected = {
        "plain": table, "select": [[5], [1]], "flat": [5, 1], "reshape": table.reshape(4, 3), "transpose": table.T,
        "sum": 3 * table, "less": table - 1, "dot": table @ table.T, "joints": table[:2], "sparse": np.eye(3)[:2],
    }  # fmt: skip
    assert back.pop("text") == "bytes of Python 2"
    assert set(back) == set(expected)
    for name, value in expected.items():
        assert type(back[name]) is np.ndarray
        np.testing.assert_array_equal(back[name], value, err_msg=name)


class _Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "function, name", [(os.mkdir, "posix.mkdir"), (eval, "eval"), (np.load, "numpy.load"), (getattr, "getattr")]
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_everything_else_is_refused_by_name(tmp_path, function, name, protocol):
    path, trace = tmp_path / "evil.pkl", tmp_path / "trace"
    path.write_bytes(pickle.dumps({"weights": [_Attack(function, str(trace))]}, protocol))
    with pytest.raises(InputError, match=f"{name}'.*not known to be harmless") as error:
        read_pickle(path)
    assert error.value.file == path and not trace.exists()


def test_an_unknown_chumpy_class_is_refused_by_name():
    with pytest.raises(InputError, match="chumpy.ch.ChLambda"):
        loads(dumps({"J": foreign("chumpy.ch", "ChLambda", lmb=1)}))


def test_references_outside_the_file_are_refused():
    class Outside(pickle.Pickler):
        def persistent_id(self, value):
            return "elsewhere" if value == 3 else None

    stream = io.BytesIO()
    Outside(stream).dump([3])
    with pytest.raises(InputError, match="outside itself"):
        loads(stream.getvalue())


def test_numpy_is_never_handed_foreign_state():
    structured = np.zeros(2, [("a", "f8"), ("b", "O")])
    with pytest.raises(InputError, match="dtype"):
        loads(pickle.dumps(structured))
    short = pickle.dumps(np.arange(4.0), 2).replace(b"K\x04\x85", b"K\x05\x85")  # the shape says five
    with pytest.raises(InputError, match="cannot be read"):
        loads(short)


def test_a_sparse_matrix_that_would_fill_the_memory_is_refused():
    matrix = sp.csc_matrix((1, 10))
    matrix._shape = (10**6, 10**6)
    with pytest.raises(InputError, match="too large"):
        loads(pickle.dumps(matrix))


NEST = b"\x85" * 200_000  # each makes a tuple of the one before


@pytest.mark.parametrize(
    "raw, words",
    [
        (b"\x8e" + (2**40).to_bytes(8, "little") + b".", "cannot be read"),
        (b"T\xff\xff\xff\xff.", "cannot be read"),
        (b"I" + b"9" * 5000 + b"\n.", "digits"),
        (b"}(" + b")" + NEST + b"Nu.", "a key that is no number and no text"),
        (b"})" + NEST + b"Ns.", "a key that is no number and no text"),
        (b"()" + NEST + b"Nd.", "a key that is no number and no text"),
        (b"}(K\1" + b"2\x86" * 40 + b"Nu.", "a key that is no number and no text"),  # t = (t, t), 40 times
        (b")" + NEST[:9000] + b"q\0" + NEST[:9000] + b"q\1h\1" + NEST[:9000] + b".", "recursion"),
        (b"cbuiltins\nfrozenset\n(](" + b")" + NEST + b"etR.", "a key that is no number and no text"),
        (b"\x80\4\x8f(K\1" + b"2\x86" * 40 + b"\x90.", "a key that is no number and no text"),
        (b"\x80\4(K\1" + b"2\x86" * 40 + b"\x91.", "a key that is no number and no text"),
        (
            b"K\1"
            + b"q\0("
            + b"h\0" * 9
            + b"l"
            + b"".join(b"q%c(" % place + b"h%c" % place * 9 + b"l" for place in range(1, 9))
            + b".",
            "the same over and over",
        ),
        (b"cbuiltins\nbytearray\n(I20000000000\ntR.", "bytes-like"),
        (b"cbuiltins\nbytes\n(I20000000000\ntR.", "bytes-like"),
        (b"]" * 100_000 + b"a" * 99_999 + b".", "recursion"),
        (b"\xff.", "cannot be read"),
    ],
)
def test_a_few_bytes_that_would_fill_the_memory_or_the_stack_are_refused(raw, words):
    with pytest.raises(InputError, match=words):
        loads(raw)


@pytest.mark.parametrize("raw", [b"Nr\xff\xff\xff\x7f.", b"Np2147483647\n.", b"Np00000000000000000000002147483647\n."])
def test_a_far_place_in_the_memo_takes_no_memory(raw):
    assert loads(raw) is None


def test_a_string_that_is_made_into_arrays_over_and_over_is_refused():
    class Again:
        def __init__(self, data):
            self.data = data

        def __reduce__(self):
            return np._core.numeric._frombuffer, (self.data, np.dtype("u1"), (len(self.data),), "C")

    data = bytes(1 << 22)
    with pytest.raises(InputError, match="far more than the file holds"):
        loads(pickle.dumps([Again(data) for _ in range(90)]))
    assert len(loads(pickle.dumps([Again(data)] * 90))) == 90


@pytest.mark.parametrize(
    "target", [b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy.core.multiarray\nscalar\n", b"cbuiltins\nobject\n)R"]
)
def test_what_reads_files_takes_no_state_of_a_file(target):
    """Functions and classes of this module live on: what one file changes in them, the next is read with."""
    with pytest.raises(InputError, match="gives a state to"):
        loads(target + b"(N}U\7formulaNstb.")


def test_sums_and_products_that_would_fill_the_memory_are_refused():
    column, row = chumpy(np.ones((100_000, 1))), chumpy(np.ones((1, 100_000)))
    for name in ("add", "multiply", "dot"):
        with pytest.raises(InputError, match="too large"):
            loads(dumps(foreign("chumpy.ch_ops", name, a=column, b=row)))
    text = foreign("chumpy.ch", "Ch", x="ab" * 1000)
    for name, other in (("add", text), ("multiply", chumpy(np.array(10**9, object)))):
        with pytest.raises(InputError, match="are no numbers"):
            loads(dumps(foreign("chumpy.ch_ops", name, a=text, b=other)))
    matrix = sp.csc_matrix(np.eye(2))
    matrix.indptr = np.array([0, 0, 10**12])
    with pytest.raises(InputError, match="has 2 values"):
        loads(pickle.dumps(matrix))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_many_tuples_that_are_not_nested_are_read(protocol):
    pairs = [(number, (number + 0.5,)) for number in range(12_000)]
    shared = (1, 2)
    table = {"pairs": pairs, "shared": [shared] * 12_000, ("a", ("b",)): frozenset([("c", 1)])}
    assert loads(pickle.dumps(table, protocol)) == table


def test_a_file_cut_anywhere_is_an_error_that_names_it(tmp_path):
    raw = dumps({"v_template": chumpy(np.ones(3)), "weights": np.ones((2, 2))})
    path = tmp_path / "MANO_RIGHT.pkl"
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(InputError, match="MANO_RIGHT.pkl"):
            read_pickle(path)
    with pytest.raises(InputError, match="does not exist"):
        read_pickle(tmp_path / "absent.pkl", mend="put it there")


def test_shared_and_circular_references_are_kept():
    shared = chumpy(np.ones(2))
    both = [shared, shared]
    both.append(both)
    back = loads(dumps(both))
    assert back[0] is back[1] and back[2] is back


def test_extra_names_can_be_allowed_per_file():
    tensor = torch.arange(3.0)
    raw = pickle.dumps({"hand_j": tensor})
    with pytest.raises(InputError, match="torch"):
        loads(raw)
    extra = {
        "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
        "torch.storage._load_from_bytes": lambda raw: torch.load(io.BytesIO(raw), weights_only=True),
    }
    assert torch.equal(loads(raw, extra=extra)["hand_j"], tensor)
