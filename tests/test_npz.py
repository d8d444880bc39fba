import io
import os
import zipfile

import numpy as np
import pytest

from handlib import npz
from handlib.files import InputError

ARRAYS = {
    "a": np.arange(6.0).reshape(2, 3),
    "b/c": np.array("text"),
    "none": np.zeros((0, 3), np.float32),
    "f": np.eye(3).T,
}


class Harmful:
    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


def refused(function, *arguments, **options):
    with pytest.raises(InputError) as error:
        function(*arguments, **options)
    assert error.value.mend == "copy it"
    return error.value


def test_arrays_come_back_as_numpy_reads_them(tmp_path):
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **ARRAYS)
        found = npz.read(tmp_path / "a.npz", "copy it")
        assert found.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype
    assert npz.read(tmp_path / "a.npz", "copy it", ("a", "x")).keys() == {"a"}
    np.save(tmp_path / "a.npy", ARRAYS["a"])
    np.testing.assert_array_equal(npz.read_array(tmp_path / "a.npy", "copy it"), ARRAYS["a"])
    assert isinstance(npz.read_array(tmp_path / "a.npy", "copy it", mmap_mode="c"), np.memmap)


def test_objects_run_nothing_and_are_refused_or_skipped(tmp_path):
    harmful = np.array([Harmful(tmp_path / "ran")], object)
    np.savez(tmp_path / "a.npz", x=harmful, a=np.ones(2))
    np.save(tmp_path / "a.npy", harmful)
    assert refused(npz.read, tmp_path / "a.npz", "copy it").field == "x"
    assert "Python objects" in refused(npz.read_array, tmp_path / "a.npy", "copy it").problem
    assert npz.read(tmp_path / "a.npz", "copy it", objects="skip").keys() == {"a"}
    assert npz.read(tmp_path / "a.npz", "copy it", names=("a",)).keys() == {"a"}
    assert not (tmp_path / "ran").exists()


def header(text):
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode() + bytes(16)


@pytest.mark.parametrize(
    "text, words",
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000,)}", "80000000000 bytes; there are 16"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", "8 bytes; there are 16"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -2)}", "shape (-1, -2)"),
        ("{'descr': '<U9999999', 'fortran_order': False, 'shape': (1,)}", "bytes; there are 16"),
        ("{'descr': [('a', '<f8'), ('b', '<f8')], 'fortran_order': False, 'shape': (1,)}", "not supported"),
        ("__import__('os').mkdir('ran')", "ValueError"),
        ("(" * 3000, "Error"),
    ],
)
def test_a_header_that_lies_is_refused_before_memory_is_taken(tmp_path, text, words):
    (tmp_path / "a.npy").write_bytes(header(text))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header(text))
    assert words in refused(npz.read_array, tmp_path / "a.npy", "copy it").problem
    error = refused(npz.read, tmp_path / "a.npz", "copy it")
    assert words in error.problem and error.field == "x"


def test_a_bomb_is_refused_by_what_it_would_unpack_to(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "_MUCH", 1 << 20)
    np.savez_compressed(tmp_path / "a.npz", zeros=np.zeros(1 << 19), small=np.ones(3))
    assert "unpacks from" in refused(npz.read, tmp_path / "a.npz", "copy it").problem
    assert npz.read(tmp_path / "a.npz", "copy it", ("small",)).keys() == {"small"}


def test_a_file_cut_or_changed_anywhere_is_an_error_that_names_it(tmp_path):
    stream, path = io.BytesIO(), tmp_path / "a.npz"
    np.savez(stream, a=np.arange(3.0))
    whole = stream.getvalue()
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place])
        assert refused(npz.read, path, "copy it").file == path
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            found = npz.read(path, "copy it")
        except InputError as error:
            assert error.file == path
        else:  # a byte that says nothing: a date, a version
            np.testing.assert_array_equal(*found.values(), np.arange(3.0))
    for path, function in ((tmp_path, npz.read), (tmp_path / "none.npz", npz.read), (tmp_path, npz.read_array)):
        assert refused(function, path, "copy it").file == path
