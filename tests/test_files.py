import errno
import fcntl
import os
import pickle
import threading
import time

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


def test_a_lock_is_held_by_one_and_goes_with_it(tmp_path):
    path = tmp_path / "folder" / ".lock"
    with files.locked(path, "another batch works on it", "wait"):
        with pytest.raises(InputError, match=f"folder: another batch works on it .process {os.getpid()} on"):
            with files.locked(path, "another batch works on it", "wait"):
                pass
    assert not path.exists()
    with pytest.raises(KeyError), files.locked(path, "busy", "wait"):
        raise KeyError("failed inside")
    with files.locked(path, "busy", "wait"):
        assert path.exists()


def test_a_lock_file_that_its_last_holder_has_just_removed_counts_for_nothing(tmp_path, monkeypatch):
    path, real, times = tmp_path / ".lock", fcntl.flock, []

    def flock(file, operation):
        if not times:  # between opening the file and locking it
            path.unlink()
        times.append(operation)
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with files.locked(path, "busy", "wait", patience=5):
        assert path.exists() and len(times) == 2


def test_of_many_that_wait_for_a_lock_one_at_a_time_has_it(tmp_path):
    inside, most = [], []

    def work():
        with files.locked(tmp_path / ".lock", "busy", "wait", patience=30):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(RuntimeError, match="knows no locks.*\n.*-o flock"),
        files.locked(tmp_path / "l", "busy", "wait"),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2\n", "a name stands here twice"),
        ("a: [1", "is not YAML"),
        ("- 1\n", "holds no settings"),
        ("1: 2\n", "holds no settings"),
        ("", "holds no settings"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: " + "[" * 3000, "recursion"),
        (b"a: \xff", "is no text"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path, text, words):
    path = tmp_path / "settings.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=words):
        files.read_yaml(path, "as in the example")


def test_settings_with_an_anchor(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  p: 3\n")
    assert files.read_yaml(path, "as in the example")["b"] == {"p": 3, "q": 2}
