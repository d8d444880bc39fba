import pickle

import numpy as np
import pytest

from handlib import files
from handlib.files import InputError


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "table.csv"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.write_atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("cut off")
    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == ["table.csv"]


def test_a_folder_is_replaced_in_one_go(tmp_path):
    path = tmp_path / "pack"
    for text in ("one", "two"):
        with files.write_atomic(path) as temporary:
            temporary.mkdir()
            (temporary / "manifest.json").write_text(text)
    assert (path / "manifest.json").read_text() == "two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["pack"]


def test_json_keeps_numpy_values(tmp_path):
    files.write_json(tmp_path / "a.json", {"n": np.int64(3), "x": np.eye(2), "path": tmp_path})
    assert files.read_json(tmp_path / "a.json") == {"n": 3, "x": [[1.0, 0.0], [0.0, 1.0]], "path": str(tmp_path)}
    with pytest.raises(TypeError, match="object"):
        files.write_json(tmp_path / "b.json", {"what": object()})
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize("text", ['{"images": [1, 2', "", "\x00\x01"])
def test_cut_json_is_named(tmp_path, text):
    path = tmp_path / "data.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"data\.json.*\n.*download it again"):
        files.read_json(path)


def test_a_missing_file_says_where_the_path_ends(tmp_path):
    with pytest.raises(InputError, match=f"up to {tmp_path}"):
        files.read_json(tmp_path / "annotations" / "data.json")


def test_the_error_crosses_processes():
    error = InputError("a.json", "is cut", "download it", field="images")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "a.json: field 'images': is cut\n  To mend it: download it"


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a").startswith("ba7816bf")
