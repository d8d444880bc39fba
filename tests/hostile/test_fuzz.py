"""The engine of fuzzing sees what it is there to see, and makes the same mutants of the same seed."""

import ctypes
import json
import os
import time

import fuzz
import pytest

from handlib.files import InputError

WHOLE = b'{"numbers": [1.5, 2, 3], "name": "x"}'


def make(folder):
    (folder / "a.json").write_bytes(WHOLE)


def target(read):
    """Whose own files read right: the fault is in mutants alone."""

    def reading(folder):
        path = folder / "a.json"
        if path.is_file() and path.read_bytes() == WHOLE:
            return
        read(path)

    return fuzz.Target("toy", make, reading)


def hang(path):
    while True:
        time.sleep(0) or sum(range(10_000))


def refuse(path, mend="mend it"):
    raise InputError(path, "is wrong", mend)


@pytest.mark.parametrize(
    "read, words",
    [
        (lambda path: {}["x"], "KeyError"),
        (lambda path: json.loads("["), "JSONDecodeError"),
        (lambda path: os.mkdir(f"{path.parent}.ran"), "code in the file ran"),
        (lambda path: bytearray(8 << 30), "memory"),
        (lambda path: ctypes.string_at(0), "crash: SIGSEGV"),
        (hang, "hang"),
        (lambda path: exec("assert False, 'not finite'"), "AssertionError"),
        (lambda path: refuse("the file"), "names no file"),
        (lambda path: refuse(path, ""), "names no file or mend"),
        (lambda path: refuse(path, "x" * 20_000), "characters"),
        (lambda path: exec("raise RuntimeError('of a library')"), "RuntimeError"),
    ],
)
def test_every_kind_of_fault_is_seen(monkeypatch, tmp_path, read, words):
    monkeypatch.setattr(fuzz, "SECONDS", 0.3)
    report = fuzz.fuzz(target(read), count=3, keep=tmp_path)
    assert report.faults and all(words in kind for kind in report.faults), report.faults
    assert report.mutants == 3 and not report.refused
    (kept,) = (tmp_path / "toy").iterdir()
    assert "--only" in (kept / "fault.txt").read_text() and (kept / "files").is_dir()
    assert fuzz.table([report]).endswith(f"| {report.right} | 0 | {3 - report.right} | {report.seconds:.0f} |")


def test_refusals_are_none(tmp_path):
    report = fuzz.fuzz(target(refuse), count=4)
    assert not report.faults and report.refused >= 3


def test_a_mutant_is_the_same_again(tmp_path):
    def mutants(seed):
        scratch = tmp_path / str(len(list(tmp_path.iterdir())))
        fuzzer = fuzz.Fuzzer(target(refuse), seed, scratch)
        made = []
        for number in (5, 0, 9):
            words = fuzzer.make(number)
            path = fuzzer.folder / "a.json"
            made.append((words, path.read_bytes() if path.is_file() else None))
        return made

    assert mutants(1) == mutants(1) != mutants(2)


def test_targets_have_names_of_their_own_and_an_unknown_one_is_named():
    with pytest.raises(SystemExit, match="no target is called nothing"):
        fuzz.targets(["nothing"])
    names = [one.name for one in fuzz.targets()]
    assert len(names) == len(set(names)) > 30
