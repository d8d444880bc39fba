"""Whole or not at all, what killed writers leave, and full disks by their name."""

import errno
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from handlib import atomic, cli
from handlib.atomic import DiskFull, write_atomic
from handlib.files import InputError, write_text


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path):
    script = f"""
import os, signal
from handlib.atomic import write_atomic
with write_atomic({str(tmp_path / "a.txt")!r}) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode < 0
    assert names(tmp_path) == [".a.txt.part"] and atomic.is_leftover(".a.txt.part")
    write_text(tmp_path / "a.txt", "whole")
    assert names(tmp_path) == ["a.txt"]


def test_what_was_left_goes_also_where_nothing_has_to_be_written_again(tmp_path):
    (tmp_path / ".a.txt.part").mkdir()
    (tmp_path / ".a.txt.part" / "a.txt").write_text("half")
    assert not atomic.there(tmp_path / "a.txt") and names(tmp_path) == []
    with write_atomic(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
        assert not atomic.there(tmp_path / "a.txt") and temporary.exists()  # that of one who works is left alone
    assert atomic.there(tmp_path / "a.txt") and names(tmp_path) == ["a.txt"]


def test_two_writers_of_one_path_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with write_atomic(path) as first:
        first.write_text("first")
        with write_atomic(path) as second:
            assert second.parent != first.parent and atomic.is_leftover(second.parent.name)
            second.write_text("second")
        assert path.read_text() == "second" and first.read_text() == "first"
    assert path.read_text() == "first" and names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("exchanging", [True, False])
def test_a_folder_replaces_another(tmp_path, monkeypatch, exchanging):
    """In one step, or by two renames where the system cannot exchange: nothing of the old one stays."""
    if not exchanging:
        monkeypatch.setattr(atomic, "_exchanged", lambda one, other: False)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").write_text("1")
    with write_atomic(tmp_path / "old") as temporary:
        temporary.mkdir()
        (temporary / "b").write_text("2")
    assert names(tmp_path) == ["old"] and names(tmp_path / "old") == ["b"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two folders in one step")
def test_folders_are_exchanged_in_one_step(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / f"in {name}").touch()
    if not atomic._exchanged(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system does not exchange folders")
    assert names(tmp_path / "a") == ["in b"] and names(tmp_path / "b") == ["in a"]


def test_without_locks_a_scratch_folder_of_its_own(tmp_path, monkeypatch):
    def flock(*arguments):
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(atomic.fcntl, "flock", flock)
    write_text(tmp_path / "a.txt", "whole")
    assert names(tmp_path) == ["a.txt"]


class Odd(Exception):
    """As LMDB's or safetensors' own."""


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("100000 requested and 12272 written"),
        Odd("mdb_txn_commit: No space left on device"),
    ],
    ids=["disk", "quota", "numpy", "lmdb"],
)
def test_a_full_disk_is_named(tmp_path, error):
    path = tmp_path / "a.npz"
    path.write_text("old")
    with pytest.raises(DiskFull, match=r"a\.npz: no space left.*\n.*free some space") as caught, write_atomic(path):
        raise error
    assert path.read_text() == "old" and names(tmp_path) == ["a.npz"]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_the_inner_file_is_named_and_what_hides_it_is_seen_through(tmp_path):
    with pytest.raises(DiskFull, match=r"inner: no space"), write_atomic(tmp_path / "outer"):
        with write_atomic(tmp_path / "inner"):
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError:
                raise RuntimeError("unexpected pos 640 vs 598")  # noqa: B904  # as torch.save does


@pytest.mark.parametrize(
    "error",
    [
        InputError("a", "No space left on device", "x"),
        RuntimeError("cell [3] failed: No space left on device"),  # has words of its own
        OSError(errno.EIO, "Input/output error"),
        KeyError("a"),
    ],
)
def test_other_errors_stay_as_they_are(tmp_path, error):
    with pytest.raises(type(error)) as caught, write_atomic(tmp_path / "a"):
        raise error
    assert caught.value is error


def test_the_command_line_names_a_full_disk_whoever_wrote(capsys):
    def work():
        raise OSError(errno.ENOSPC, "No space left on device", "log/events")

    assert cli.reported(work) == 1
    assert capsys.readouterr().err.startswith("handlib: log/events: no space left on its disk")
    with pytest.raises(KeyError):  # a fault of ours keeps its trace
        cli.reported(lambda: {}["a"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_device_that_is_full(tmp_path):
    with pytest.raises(DiskFull), write_atomic(tmp_path / "a"), open("/dev/full", "wb") as file:
        np.save(file, np.zeros(10_000))
