"""A training that a signal ends, on SLURM too, or of which one process is killed: the same call goes on to the bit."""

import dataclasses
import json
import os
import signal

import gloo
import pytest
import stopped_fit
import torch
import toy
import yaml

from handlib import training
from handlib.training import checkpoints, stopping


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    toy.install(monkeypatch.setitem, monkeypatch.setattr)


@pytest.fixture
def slurm(monkeypatch, tmp_path):
    """A job of one process, and a function: make ``scontrol`` that ends with a code -> the file of its calls."""
    for name, value in gloo.slurm_env(0, 1, gloo.port()).items():
        monkeypatch.setenv(name, str(value))

    def scontrol(code=0):
        calls, folder = tmp_path / "calls", tmp_path / "bin"
        folder.mkdir()
        script = f'#!/bin/sh\necho "$@" >> {calls}\n[ {code} = 0 ] || echo "Job is not requeueable" >&2\nexit {code}\n'
        (folder / "scontrol").write_text(script)
        (folder / "scontrol").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return calls

    return scontrol


def fit(out, pack=None, **overrides):
    return training.fit(toy.recipe(**overrides), pack or toy.Pack(), out, net=toy.Net(0.3), accelerator="cpu")


def same(first, second):
    first, second = (state if isinstance(state, dict) else torch.load(state) for state in (first, second))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_job_is_requeued_after_whole_epochs_and_goes_on(tmp_path, slurm, capsys):
    calls, before = slurm(), [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM)]
    with pytest.raises(stopping.Stopped) as stopped:
        fit(tmp_path / "cut", stopped_fit.Signalling(at=24 + 10))
    assert stopped.value.code == 138 and calls.read_text() == "requeue 4242\n"
    assert "SIGUSR1: the training ends; job 4242 is back in the queue" in capsys.readouterr().out
    assert checkpoints.last(tmp_path / "cut").name == "epoch_0000"
    assert [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM)] == before
    resumed, whole = fit(tmp_path / "cut"), fit(tmp_path / "whole")
    assert same(resumed.net.state_dict(), whole.net.state_dict()) and calls.read_text().count("\n") == 1


def test_a_job_that_would_do_the_same_again_is_not(tmp_path, slurm, capsys):
    calls = slurm()
    with pytest.raises(stopping.Stopped):
        fit(tmp_path, stopped_fit.Signalling(at=10))
    assert not calls.exists() and "no epoch became whole in this job, so 4242" in capsys.readouterr().out


def test_what_scontrol_says_is_told(tmp_path, slurm, capsys):
    slurm(1)
    with pytest.raises(stopping.Stopped):
        fit(tmp_path, stopped_fit.Signalling(at=30))
    said = capsys.readouterr().out
    assert "`scontrol requeue 4242` failed: Job is not requeueable" in said and "#SBATCH --requeue" in said


@pytest.mark.parametrize("validated", [False, True])
def test_sigterm_ends_and_asks_for_nothing(tmp_path, slurm, capsys, validated):
    """Within a validation, too."""
    calls = slurm()
    pack, short = (stopped_fit.Signalling(signal.SIGTERM, at) for at in ((0, 7) if validated else (30, 0)))
    with pytest.raises(stopping.Stopped) as stopped:
        training.fit(toy.recipe(), pack, tmp_path, short, net=toy.Net(), accelerator="cpu")
    assert stopped.value.code == 143 and not calls.exists()
    assert "SIGTERM: the training ends; the same command goes on" in capsys.readouterr().out
    assert (checkpoints.last(tmp_path) is None) == validated


def test_in_the_last_batch_the_epoch_is_kept_first(tmp_path, slurm):
    slurm()
    with pytest.raises(stopping.Stopped):
        fit(tmp_path / "cut", stopped_fit.Signalling(at=24))
    assert checkpoints.last(tmp_path / "cut").name == "epoch_0000"
    assert fit(tmp_path / "end", stopped_fit.Signalling(at=48), epochs=2).last.resolve().name == "epoch_0001"


def test_an_arrays_task_is_a_job_of_its_own(slurm, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    calls = slurm()
    assert "job 77_3 is back" in stopping.requeue() and calls.read_text() == "requeue 77_3\n"
    monkeypatch.setenv("PATH", "")
    assert "failed: [Errno 2]" in stopping.requeue()


def test_two_tasks_of_a_slurm_job(tmp_path, slurm):
    """One of them gets the signal, and both stop at one step; later one is killed, and the other one ends, too."""
    calls, words = slurm(), [stopped_fit.__file__, tmp_path]
    found = gloo.ended(gloo.start([*words, "first"], 2, tmp_path, gloo.slurm_env), tmp_path)
    assert [json.loads((tmp_path / f"stopped_{rank}.json").read_text()) for rank in range(2)] == [138, 138], found
    assert calls.read_text() == "requeue 4242\n" and "is back in the queue" in found[0][1]
    assert found[1][0] == -signal.SIGKILL and found[0][0] == 1, found
    assert "another rank has ended or does not answer" in found[0][1]
    cut = tmp_path / "cut"
    assert checkpoints.last(cut).name == "epoch_0001"
    found = gloo.ended(gloo.start([*words, "again"], 2, tmp_path, gloo.slurm_env), tmp_path)
    assert [code for code, _ in found] == [0, 0], found
    weights = [folder / f"weights_{rank}.pt" for folder in (cut, tmp_path / "whole") for rank in range(2)]
    assert all(same(weights[0], other) for other in weights[1:])
    history = [(folder / "history.csv").read_text().splitlines() for folder in (cut, tmp_path / "whole")]
    assert len(history[0]) == len(history[1])


def test_the_command_line_trains_and_goes_on(tmp_path, monkeypatch, capsys):
    from handlib import cli, packs
    from handlib.training import loop

    monkeypatch.setattr(packs, "open", lambda folder: toy.Pack())
    monkeypatch.setattr(loop, "network", lambda *given: toy.Net(0.3))
    settings = {name: value for name, value in dataclasses.asdict(toy.recipe()).items() if name != "milestones"}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(settings))
    words = ["train", str(tmp_path / "toy.yaml"), str(tmp_path), "--pack", "pack", "--validation", "other"]
    for epochs in (1, 2):
        assert cli.main([*words, "--accelerator", "cpu", "--set", f"epochs={epochs}"]) == 0
    said = capsys.readouterr().out
    assert "1 of 2 epochs are trained" in said and "error" in said
    assert said.splitlines()[-1] == str(tmp_path / "checkpoints" / "last")
