"""What stops a training, on a toy: lost losses, gradients and weights, workers that die, memory, full disks."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tensorboard.summary.writer.event_file_writer as event_files
import torch
import toy

from handlib import training
from handlib.files import InputError
from handlib.training import checkpoints, data, faults, watch

HERE = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    toy.install(monkeypatch.setitem, monkeypatch.setattr)


def fit(out, pack=None, net=None, changed=(), **overrides):
    recipe = toy.recipe(**{"drop_last": True} | overrides)
    return training.fit(recipe, pack or toy.Pack(), out, net=net or toy.Net(0.3), accelerator="cpu", changed=changed)


def same(first, second):
    mine, theirs = first.net.state_dict(), second.net.state_dict()
    return all(torch.equal(mine[key], theirs[key]) for key in mine)


class Spoilt(toy.Pack):
    """One sample is no number when it is read for the ``time``-th time."""

    def __init__(self, sample=5, time=3):
        super().__init__()
        self.sample, self.left = sample, time

    def __getitem__(self, index):
        self.left -= index == self.sample
        found = super().__getitem__(index)
        return {"x": np.full(6, np.nan)} if (index, self.left) == (self.sample, 0) else found


# Lost losses


def test_a_lost_loss_stops_and_names_the_batch(tmp_path):
    whole = fit(tmp_path / "whole")
    with pytest.raises(watch.Diverged, match=r"epoch 2 at step [789]: the loss is nan") as caught:
        fit(tmp_path / "cut", Spoilt())
    said, words = json.loads(caught.value.file.read_text()), str(caught.value)
    (off,) = [one for one in said["passes"] if one["off"]]
    keys = [sample["key"] for sample in off["samples"]]
    assert (said["epoch"], said["kind"], off["terms"]["near"]) == (2, "loss", "nan")
    assert off["off"] == ["near", "small", "total"] and len(said["passes"]) == 2 and len(keys) == 4
    assert "toy 5" in keys and all(repr(key) in words for key in keys) and "toys" in words
    sample = off["samples"][keys.index("toy 5")]
    assert sample == {"pack": "toys", "index": 5, "key": "toy 5", "dataset": "interhand"}
    assert said["kept"].endswith("epoch_0001") and checkpoints.last(tmp_path / "cut").name == "epoch_0001"
    assert "lr=0.001 and changed=('lr',)" in words
    state = torch.load(checkpoints.last(tmp_path / "cut") / checkpoints.STATE, weights_only=True)
    assert all(torch.isfinite(value["exp_avg"]).all() for value in state["optimizer_states"][0]["state"].values())
    assert same(whole, fit(tmp_path / "cut")), "after the sample is mended it is the training that was not disturbed"


def test_it_goes_on_with_another_rate_where_that_is_said(tmp_path):
    with pytest.raises(watch.Diverged):
        fit(tmp_path, Spoilt())
    with pytest.raises(InputError, match=r"belongs to another training(.|\n)*changed=\('lr',\) to go on"):
        fit(tmp_path, lr=1e-3)
    with pytest.raises(InputError, match="write 'lr' or"):
        fit(tmp_path, changed=("batch",))
    changed = fit(tmp_path, lr=1e-3, changed=("lr",))
    assert changed.history.groupby("epoch")["lr"].max().round(6).tolist() == [1e-2, 1e-2, 1e-3, 1e-4]
    assert json.loads((tmp_path / "recipe.json").read_text())["changes"] == [{"epoch": 2, "lr": [1e-2, 1e-3]}]
    again = fit(tmp_path, lr=5e-4, clip=1.0, epochs=5, changed=("lr", "clip", "seed"))
    kept = json.loads((again.last / "network.json").read_text())["facts"]["changes"]
    assert kept == [{"epoch": 2, "lr": [1e-2, 1e-3]}, {"epoch": 4, "clip": [None, 1.0], "lr": [1e-3, 5e-4]}]


def test_before_the_first_whole_epoch(tmp_path):
    with pytest.raises(watch.Diverged, match="no epoch was whole yet") as caught:
        fit(tmp_path, Spoilt(time=1))
    assert json.loads(caught.value.file.read_text())["kept"] is None
    assert same(fit(tmp_path / "other"), fit(tmp_path))


def test_the_pack_of_a_mixture_is_named():
    packs = [toy.Pack(3), toy.Pack(4)]
    packs[1].folder, packs[1].manifest = "others", {"dataset": "mscoco"}
    assert training.mixing.Packs(packs).whose(5) == training.mixing.Whose("others", 2, "toy 2", "mscoco")


class Scripted(toy.Net):
    """Its loss is multiplied pass by pass; from pass ``root`` on its gradient is NaN where the loss is a number."""

    def __init__(self, factors=(), root=None):
        super().__init__()
        self.factors, self.root, self.passes = factors, root, 0

    def loss(self, out, targets):
        losses = super().loss(out, targets)
        factor = self.factors[self.passes] if self.passes < len(self.factors) else 1.0
        if self.passes == self.root:
            losses["total"] = losses["total"] + (0 * out["value"]).abs().sum().sqrt()
        self.passes += 1
        return {name: factor * value for name, value in losses.items()}


SETTINGS = {"per_device_batch": 8, "optimizer": "sgd", "lr": 1e-9, "epochs": 9}  # 3 steps an epoch, each of one pass


def test_a_gradient_that_is_no_number(tmp_path):
    with pytest.raises(watch.Diverged, match=r"step 5: the loss is [\d.]+, but its gradient is nan") as caught:
        fit(tmp_path, net=Scripted(root=4), **SETTINGS)
    said = json.loads(caught.value.file.read_text())
    assert (said["kind"], said["gradient"], len(said["passes"][0]["samples"])) == ("gradient", "nan", 8)


@pytest.mark.parametrize("factors, step", [([1] * 13 + [-1e6] * 9, 14), ([1] * 14 + [1e6] * 1 + [1] * 9, 15)])
def test_an_explosion_names_the_step_it_began_at(tmp_path, factors, step):
    """The second is over at once, but an epoch that ends in it is not kept."""
    with pytest.raises(watch.Diverged, match=f"step {step}: the loss explodes") as caught:
        fit(tmp_path, net=Scripted(factors), **SETTINGS)
    assert json.loads(caught.value.file.read_text())["kept"].endswith("epoch_0003")


@pytest.mark.parametrize(
    "factors",
    [[1] * 12 + [1e9] + [1] * 3 + [1e9] * 1, [1] * 11 + [500.0] * 9, [1e5] * 3 + [1e-3] * 20, [0] * 12 + [1e5] * 12],
)
def test_a_wild_batch_a_rise_a_fall_and_late_labels_stop_nothing(tmp_path, factors):
    fit(tmp_path, net=Scripted(factors), **SETTINGS)


def test_an_explosion_is_measured_against_the_trainings_own_beginning(tmp_path):
    """Not against that of the half that goes on."""
    fit(tmp_path, net=Scripted(), **SETTINGS | {"epochs": 4})
    with pytest.raises(watch.Diverged, match="step 13"):
        fit(tmp_path, net=Scripted([1e4] * 20), **SETTINGS | {"epochs": 9})


def test_the_recipe_may_switch_it_off(tmp_path):
    settings = SETTINGS | {"epochs": 2, "augmentation": None}
    fitted = fit(tmp_path / "off", Spoilt(time=1), explosion=None, **settings)
    assert not torch.isfinite(next(fitted.net.parameters())).any()
    fit(tmp_path / "endless", net=Scripted([1] * 3 + [1e9] * 3), explosion=math.inf, **settings)
    with pytest.raises(watch.Diverged):
        fit(tmp_path / "endless", Spoilt(time=1), explosion=math.inf, **settings | {"epochs": 3})


def test_weights_that_are_no_numbers_are_not_kept(tmp_path):
    class Running(toy.Net):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, images):
            self.seen += float("nan") if self.seen >= 5 else 1
            return super().forward(images)

    with pytest.raises(watch.Diverged, match="seen and 0 more weights are no numbers"):
        fit(tmp_path, net=Running(), **SETTINGS)
    assert checkpoints.last(tmp_path).name == "epoch_0000"


def test_a_scaler_may_leave_steps_out_but_not_for_ever(tmp_path):
    trainer = types.SimpleNamespace(precision_plugin=types.SimpleNamespace(scaler=object()))
    judge = watch.Watch(tmp_path, toy.recipe(), None)
    judge._stop = lambda trainer, step, kind, words: pytest.fail(words)
    step = types.SimpleNamespace(judged=lambda: (1.0, math.inf))
    for _ in range(watch.OVERFLOWS - 1):
        judge._judge(trainer, step)
    with pytest.raises(pytest.fail.Exception, match="gradient is inf for 20 steps in a row"):
        judge._judge(trainer, step)
    judge.overflows = 0
    with pytest.raises(pytest.fail.Exception, match="the loss is inf"):
        judge._judge(trainer, types.SimpleNamespace(judged=lambda: (math.inf, math.inf)))


def test_all_processes_stop_at_the_same_step(tmp_path):
    """The spoilt sample is one process's; both say it, and the file has the passes of both."""
    script = HERE.parent / "ddp_fit.py"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(script), str(tmp_path), "2", "spoilt"], env=_path(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    words = [json.loads((tmp_path / f"stopped_{rank}.json").read_text()) for rank in range(2)]
    assert words[0] == words[1] and "'toy 5'" in words[0] and "epoch 0" in words[0]
    said = json.loads(next((tmp_path / watch.FAULTS).iterdir()).read_text())
    off = {one["rank"] for one in said["passes"] if one["off"]}
    assert {one["rank"] for one in said["passes"]} == {0, 1} and len(off) == 1


# The machine


class Failing(toy.Pack):
    """Sample 7 cannot be read: an error, or a signal to the worker that reads it."""

    def __init__(self, error=None, signal=None):
        super().__init__()
        self.error, self.signal = error, signal

    def __getitem__(self, index):
        if index == 7 and self.signal is not None and torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), self.signal)
        if index == 7 and self.error is not None:
            raise self.error
        return super().__getitem__(index)


@pytest.fixture
def one_worker(monkeypatch):
    monkeypatch.setattr(data.os, "sched_getaffinity", lambda process: {0, 1})


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "error, kind, words",
    [
        (ValueError("odd"), InputError, r"^toys: sample 'toy 7' \(number 7 of toys\) cannot be .* ValueError: odd"),
        (InputError("a", "is cut", "pack again", "image"), InputError, r"^a: field 'image': is cut: sample 'toy 7'"),
        (OSError(5, "no disk"), RuntimeError, "'toy 7'.*no disk"),
    ],
)  # fmt: skip
def test_a_sample_that_cannot_be_read_is_named(tmp_path, one_worker, workers, error, kind, words):
    with pytest.raises(kind, match=words) as caught:
        fit(tmp_path, Failing(error), workers=workers)
    assert "__getitem__" in str(caught.value.__cause__), "where it came from is told"
    with pytest.raises(kind, match=words):
        training.predict(toy.Net(), Failing(error), device="cpu", root_depth="gt", workers=workers)


@pytest.mark.parametrize(
    "number, words",
    [
        (signal.SIGKILL, r"1 workers \(process \d+\) was killed(.|\n)*memory(.|\n)*workers=0 \(now 1\)"),
        (signal.SIGBUS, r"share(.|\n)*/dev/shm(.|\n)*--shm-size"),
    ],
)
def test_a_worker_that_dies_is_named(tmp_path, one_worker, number, words):
    fit(tmp_path, epochs=1)
    with pytest.raises(RuntimeError, match=words):
        fit(tmp_path, Failing(signal=number), workers=1)
    assert checkpoints.last(tmp_path).name == "epoch_0000"
    assert same(fit(tmp_path), fit(tmp_path / "whole"))


def test_memory_of_the_gpu(tmp_path):
    class Large(toy.Net):
        def forward(self, images):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …")

    words = r"GPU's memory did not suffice: CUDA out of memory\n.*per_device_batch=2 .*batch stays 8.*16-mixed.*goes on"
    with pytest.raises(RuntimeError, match=words):
        fit(tmp_path, net=Large())
    with pytest.raises(RuntimeError, match="batch=1"):
        training.predict(Large(), toy.Pack(), device="cpu", root_depth="gt", batch=2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_log_disk(tmp_path, monkeypatch):
    """The events are written by a thread of its own."""
    write, left = event_files.RecordWriter.write, [5]

    def full(self, data):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        write(self, data)

    monkeypatch.setattr(event_files.RecordWriter, "write", full)
    with pytest.raises(RuntimeError, match=r"/logs"):
        fit(tmp_path, log_every=1)
    kept = checkpoints.last(tmp_path)
    monkeypatch.undo()
    toy.install(monkeypatch.setitem, monkeypatch.setattr)
    assert kept is None or kept.name < "epoch_0003"
    assert same(fit(tmp_path, log_every=1), fit(tmp_path / "whole", log_every=1))


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs a mount namespace (root)")
def test_places_that_are_really_full(tmp_path):
    """A disk of 16 kB under the log; shared memory of 64 kB under a loader's worker."""
    (tmp_path / "logs").mkdir()
    mounts = f"mount -t tmpfs -o size=16k tmpfs {tmp_path}/logs && mount -t tmpfs -o size=64k tmpfs /dev/shm"
    inside = f"({mounts}) || exit 77; exec {sys.executable} {HERE}/full_place.py {tmp_path}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", inside], env=_path(), capture_output=True, text=True)
    if "unshare:" in done.stderr or done.returncode == 77:
        pytest.skip(f"no mounts here: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{tmp_path}/logs: no space left" in done.stdout, done.stdout
    assert "is too small (/dev/shm: 0 of 0 MB free)" in done.stdout and "--shm-size" in done.stdout, done.stdout


def _path():
    """The environment of a script that uses the tests' modules."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE.parents[1])]),
        "OMP_NUM_THREADS": "1",
    }


def test_the_words_of_other_signals_and_of_torch():
    dead = types.SimpleNamespace(pid=7, exitcode=-signal.SIGABRT)
    with pytest.raises(RuntimeError, match="4 workers.*7.*died .Aborted.") as caught:
        with faults.named(faults.Mends("", "", 4)):
            faults.tell_signal([types.SimpleNamespace(exitcode=None), dead], RuntimeError())
    assert "workers=0 to see" in str(caught.value)
    torch_says = "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on device (28)"
    with pytest.raises(RuntimeError, match="--shm-size"), faults.named(faults.Mends("", "", 4)):
        raise RuntimeError(torch_says)
    assert faults.is_of_machine(RuntimeError(torch_says))


def test_other_errors_stay_what_they_are():
    for error in (RuntimeError("shapes do not fit"), OSError(2, "no such file"), KeyError("x")):
        with pytest.raises(type(error)), faults.named(faults.Mends("", "", 0)):
            raise error
