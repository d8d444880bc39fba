"""Training, on a toy: order of samples, resuming to the bit, several processes, interruption, logs, predictions."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import toy

from handlib import training
from handlib.files import InputError
from handlib.training import checkpoints, data


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    toy.install(monkeypatch.setitem, monkeypatch.setattr)


def fit(out, pack=None, start=0, drop_out=0.3, validation=None, **overrides):
    net = toy.Net(drop_out, start)
    return training.fit(toy.recipe(**overrides), pack or toy.Pack(), out, validation, net=net, accelerator="cpu")


def weights(fitted):
    return fitted.net.state_dict()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# Order of samples


def test_two_processes_share_the_global_batches_of_one():
    settings = {"indices": np.arange(20), "batch": 8, "per_device": 2, "seed": 3}
    alone = list(data.Order(**settings))
    shared = [list(data.Order(**settings, rank=rank, world=2)) for rank in range(2)]
    assert len(alone) == len(data.Order(**settings)) == 16  # whole batches only
    for step in range(2):
        together = {place for part in shared for place in part[step * 4 : step * 4 + 4]}
        assert together == set(alone[step * 8 : step * 8 + 8])


def test_order_depends_on_the_epoch_and_covers_everything():
    order = data.Order(np.arange(16), 8, 4, seed=1)
    epochs = []
    for epoch in range(2):
        order.set_epoch(epoch)
        epochs.append(list(order))
        assert sorted(epochs[-1]) == [(epoch, index) for index in range(16)]
    assert [index for _, index in epochs[0]] != [index for _, index in epochs[1]]
    plain = data.Order(np.arange(16), 8, 4, shuffle=False)
    assert [index for _, index in plain] == list(range(16))


def test_without_drop_last_the_last_batch_is_filled_up():
    counts = Counter(index for _, index in data.Order(np.arange(10), 8, 4, drop_last=False))
    assert sum(counts.values()) == 16 and set(counts) == set(range(10))


def test_an_epoch_of_given_steps_goes_round_as_often_as_needed():
    order = data.Order(np.arange(5), 4, 2, steps=3)
    places = []
    for epoch in range(2):
        order.set_epoch(epoch)
        assert len(list(order)) == len(order) == 12
        places += list(order)
    assert len(set(places)) == 24  # no draw of the augmentation comes twice
    assert [Counter(index for _, index in places[start : start + 5]) for start in (0, 5)] == [Counter(range(5))] * 2
    assert len(data.Order(np.arange(100), 8, 4, steps=3)) == 24


def test_subset_is_spread_evenly():
    assert list(data.subset(10, 4)) == [0, 3, 6, 9]
    assert list(data.subset(3, 5)) == list(data.subset(3)) == [0, 1, 2]


def test_augmentation_is_a_function_of_seed_epoch_and_index():
    items = data.Crops(toy.Pack(), toy.Spec(), "gt", {"noise": 0.1}, seed=5)
    again = data.Crops(toy.Pack(), toy.Spec(), "gt", {"noise": 0.1}, seed=5)
    assert torch.equal(*(torch.as_tensor(crops[1, 7]["image"]) for crops in (items, again)))
    others = [items[0, 7], data.Crops(toy.Pack(), toy.Spec(), "gt", {"noise": 0.1}, seed=6)[1, 7]]
    assert all(not np.array_equal(items[1, 7]["image"], other["image"]) for other in others)
    with pytest.raises(InputError, match="did you mean 'noise'"):
        data.Crops(toy.Pack(), toy.Spec(), "gt", {"noize": 0.1})


# Training


def test_it_learns_and_leaves_what_the_design_says(tmp_path):
    settings = {"epochs": 6, "lr": 0.05, "milestones": (4,), "drop_out": 0.0, "validate_every": 2}
    fitted = fit(tmp_path, validation=toy.Pack(5), **settings)
    history, figures = fitted.history, fitted.validation
    by_epoch = history.groupby("epoch")["total"].mean()
    assert by_epoch[5] < 0.8 * by_epoch[0]
    assert list(history["step"]) == [2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]
    assert list(figures["epoch"]) == [1, 3, 5] and figures["error"].iloc[-1] < figures["error"].iloc[0]
    assert set(history["lr"].round(6)) == {0.05, 0.005}
    assert fitted.last.resolve().name == "epoch_0005"
    assert fitted.best.resolve().name == f"epoch_{figures['epoch'][figures['error'].argmin()]:04d}"
    kept = sorted(folder.name for folder in (tmp_path / "checkpoints").iterdir() if not folder.is_symlink())
    assert kept == [f"epoch_{epoch:04d}" for epoch in range(6)]
    with_state = [name for name in kept if (tmp_path / "checkpoints" / name / checkpoints.STATE).exists()]
    assert with_state == ["epoch_0005"]
    assert any(file.name.startswith("events.out.tfevents") for file in (tmp_path / "logs").iterdir())
    said = json.loads((tmp_path / "recipe.json").read_text())
    assert said["precision"] == "32-true" and said["passes_per_step"] == 2 and said["pack"] == "abc"


@pytest.mark.parametrize("workers", [0, 1])
def test_two_and_two_epochs_are_four(tmp_path, workers):
    whole = fit(tmp_path / "whole", workers=workers, validation=toy.Pack(5))
    fit(tmp_path / "halves", epochs=2, workers=workers, validation=toy.Pack(5))
    halves = fit(tmp_path / "halves", start=9, workers=workers, validation=toy.Pack(5))  # the start must not matter
    assert same(weights(whole), weights(halves))
    states = [torch.load(run.last / checkpoints.STATE, weights_only=True) for run in (whole, halves)]
    assert str(states[0]["optimizer_states"]) == str(states[1]["optimizer_states"])
    columns = ["epoch", "step", "lr", "near", "small", "total"]
    pd.testing.assert_frame_equal(whole.history[columns], halves.history[columns])
    pd.testing.assert_frame_equal(whole.validation, halves.validation)


def test_four_epochs_are_not_two(tmp_path):
    """The test above would see a training that stops early or repeats an epoch."""
    assert not same(weights(fit(tmp_path / "two", epochs=2)), weights(fit(tmp_path / "four")))


def test_a_finished_training_is_not_trained_again(tmp_path):
    first = fit(tmp_path, epochs=2)
    assert same(weights(first), weights(fit(tmp_path, start=9, epochs=2)))
    assert list(first.history["epoch"]) == [0, 0, 1, 1]


class Interrupting(toy.Pack):
    """Ctrl-C while the ``at``-th sample is read."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def __getitem__(self, index):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().__getitem__(index)


def test_interruption_keeps_the_last_whole_epoch(tmp_path):
    whole = fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt, match="goes on after the last whole epoch"):
        fit(tmp_path / "cut", pack=Interrupting(24 * 2 + 20))
    assert checkpoints.last(tmp_path / "cut").name == "epoch_0001"
    assert list(pd.read_csv(tmp_path / "cut" / "history.csv")["step"]) == [2, 3, 5, 6, 8]
    resumed = fit(tmp_path / "cut", start=9)
    assert same(weights(whole), weights(resumed))
    assert list(resumed.history["step"]) == list(whole.history["step"])


def test_interruption_in_the_first_epoch_begins_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", pack=Interrupting(20))
    assert checkpoints.last(tmp_path / "cut") is None
    assert same(weights(fit(tmp_path / "whole")), weights(fit(tmp_path / "cut")))


def test_accumulated_passes_equal_one_large_pass(tmp_path):
    """A gradient descent step shows a wrong factor, which Adam would hide."""
    settings = {"optimizer": "sgd", "lr": 0.1, "epochs": 1, "drop_out": 0.0}
    runs = [fit(tmp_path / str(each), per_device_batch=each, **settings) for each in (8, 2)]
    assert [json.loads((run.out / "recipe.json").read_text())["passes_per_step"] for run in runs] == [1, 4]
    for one, many in zip(*(weights(run).values() for run in runs), strict=True):
        torch.testing.assert_close(one, many, rtol=0, atol=1e-6)


def test_two_processes_train_as_one(tmp_path):
    """Same weights on both ranks, and those of one process with the same global batch."""
    script, root = Path(__file__).with_name("ddp_fit.py"), Path(__file__).resolve().parents[1]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(script.parent), str(root)]), "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*launch, str(script), str(tmp_path / "two"), "2"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    alone = subprocess.run([sys.executable, str(script), str(tmp_path / "one"), "1"], env=env, capture_output=True)
    assert alone.returncode == 0, alone.stderr[-3000:]
    first, second = (torch.load(tmp_path / "two" / f"weights_{rank}.pt", weights_only=True) for rank in range(2))
    assert same(first, second)
    one = torch.load(tmp_path / "one" / "weights_0.pt", weights_only=True)
    for key in one:
        torch.testing.assert_close(first[key], one[key], rtol=0, atol=1e-6)
    figures = [json.loads((tmp_path / name).read_text()) for name in ("two/figures_1.json", "one/figures_0.json")]
    np.testing.assert_allclose(*figures, rtol=1e-6)


# Refusals


@pytest.mark.parametrize(
    "change, field",
    [({"lr": 1.0}, "lr"), ({"batch": 4}, "batch"), ({"seed": 2}, "seed"), ({"pack": toy.Pack(hash="other")}, "pack")],
)
def test_resuming_as_another_training_is_refused(tmp_path, change, field):
    fit(tmp_path, epochs=1)
    with pytest.raises(InputError, match="belongs to another training") as error:
        fit(tmp_path, **change)
    assert error.value.field == field


def test_resuming_on_other_devices_is_not(tmp_path):
    fit(tmp_path, epochs=1)
    assert fit(tmp_path, epochs=2, per_device_batch=8, workers=1).last.resolve().name == "epoch_0001"


def test_a_missing_state_is_named(tmp_path):
    fitted = fit(tmp_path, epochs=1)
    (fitted.last / checkpoints.STATE).unlink()
    with pytest.raises(InputError, match="has no state.pt"):
        fit(tmp_path)


def test_a_cut_state_is_named(tmp_path):
    state = fit(tmp_path, epochs=1).last / checkpoints.STATE
    state.write_bytes(state.read_bytes()[:500])
    with pytest.raises(InputError, match="not a whole PyTorch file(.|\\n)*begin anew"):
        fit(tmp_path)


def test_a_network_in_eval_mode_is_trained_in_train_mode(tmp_path):
    plain = fit(tmp_path / "plain", epochs=1)
    net = toy.Net(0.3).eval()
    loaded = training.fit(toy.recipe(epochs=1), toy.Pack(), tmp_path / "loaded", net=net, accelerator="cpu")
    assert same(weights(plain), weights(loaded))


@pytest.mark.parametrize(
    "overrides, hint",
    [
        ({"batch": 32, "per_device_batch": 32}, "batch of at most 24"),
        ({"per_device_batch": 3}, "not a multiple"),
        ({"precision": "16"}, "use one of 16-mixed"),
        ({"precision": "16-mixed"}, "needs a GPU"),
        ({"optimizer": "lbfgs"}, "use one of adam"),
        ({"steps": 3}, "steps_per_epoch"),
    ],
)
def test_wrong_settings(tmp_path, overrides, hint):
    with pytest.raises(InputError, match=hint):
        training.fit(toy.recipe(), toy.Pack(), tmp_path, net=toy.Net(), accelerator="cpu", **overrides)


def test_half_precision_on_a_cpu_is_said_and_recorded(tmp_path, capsys):
    fitted = fit(tmp_path, precision="16-mixed", epochs=1)
    assert "runs in 32-true" in capsys.readouterr().out and fitted.precision == "32-true"
    said = json.loads((tmp_path / "recipe.json").read_text())
    assert (said["recipe"]["precision"], said["precision"]) == ("16-mixed", "32-true")


def test_an_unknown_monitor_is_refused(tmp_path):
    with pytest.raises(InputError, match="use one of error"):
        fit(tmp_path, validation=toy.Pack(5), monitor="eror")


# Predictions


def test_predict_gives_pack_order_and_leaves_the_mode(tmp_path):
    net, pack = toy.Net(0.5).train(), toy.Pack()
    made = training.predict(net, pack, batch=5, device="cpu", root_depth="gt")
    assert net.training and list(made.index) == list(range(24))
    with torch.no_grad():
        expected = net.eval()(torch.as_tensor(pack.x, dtype=torch.float32))["value"]
    np.testing.assert_allclose(made.predictions["value"], expected, rtol=1e-5)
    some = training.predict(net, pack, indices=[7, 3], device="cpu")
    assert list(some.index) == [3, 7]
    np.testing.assert_allclose(some.predictions["value"], made.predictions["value"][[3, 7]], rtol=1e-5)
    assert list(training.predict(net, pack, samples=3, device="cpu").index) == [0, 12, 23]
    with pytest.raises(InputError, match="needs a GPU"):
        training.predict(net, pack, device="cpu", half=True)


def test_predictions_are_kept_for_the_same_weights_pack_and_settings(tmp_path):
    class Counting(toy.Pack):
        read = 0

        def __getitem__(self, index):
            self.read += 1
            return super().__getitem__(index)

    net, pack, file = toy.Net(), Counting(), tmp_path / "made.npz"
    first = training.predict(net, pack, device="cpu", file=file)
    again = training.predict(net, pack, device="cpu", file=file)
    assert pack.read == 24 and np.array_equal(first.predictions["value"], again.predictions["value"])
    training.predict(net, pack, root_depth="gt", device="cpu", file=file)
    training.predict(toy.Net(seed=1), pack, root_depth="gt", device="cpu", file=file)
    assert len(training.predict(toy.Net(seed=1), pack, root_depth="gt", samples=5, device="cpu", file=file)) == 5
    assert pack.read == 3 * 24 + 5


def test_root_depth_is_the_estimate_only_where_all_have_one():
    class Depths:
        def __init__(self, *depths, arrays=("root_depth_est",)):
            self.depths, self.manifest = np.array(depths), {"arrays": arrays}

        def array(self, name):
            assert name == "root_depth_est"
            return self.depths

    assert training.choose_root_depth(Depths([1.0, 1.1])) == "est"
    assert training.choose_root_depth(Depths([1.0, 1.1], [1.0, np.nan])) == "gt"
    assert training.choose_root_depth(Depths([np.nan, np.nan]), "est") == "est"
    assert training.choose_root_depth(Depths(arrays=())) == "gt"  # a data set of one hand


def test_predictions_go_to_a_file_and_back(tmp_path):
    made = training.predict(toy.Net(), toy.Pack(), device="cpu", root_depth="gt")
    made.save(tmp_path / "made.npz")
    back = training.Predictions.load(tmp_path / "made.npz")
    assert back.facts == made.facts == {"root_depth": "gt", "half": False}
    for group in ("predictions", "truth"):
        np.testing.assert_array_equal(getattr(back, group)["value"], getattr(made, group)["value"])
    assert back.evaluate("toy") == made.evaluate("toy")
    cut = tmp_path / "cut.npz"
    cut.write_bytes((tmp_path / "made.npz").read_bytes()[:200])
    with pytest.raises(InputError, match="is no whole .npz"):
        training.Predictions.load(cut)
