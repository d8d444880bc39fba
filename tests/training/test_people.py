"""Whole bodies in training: it learns by heart, goes on where it stopped, and refuses what it cannot learn."""

import people_packs
import pytest
import torch

from handlib import networks, recipes, training
from handlib.files import InputError
from handlib.training import targets

SETTINGS = {"batch": 2, "per_device_batch": 2, "workers": 0, "log_every": 1, "precision": "32-true"}


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    return {name: people_packs.made(folder, name) for name in ("mscoco", "mpii", "human36m")}


def fit(out, given, start=0, recipe="hand4whole_stage1", **settings):
    net = people_packs.Tiny(start)
    return training.fit(recipe, given, out, net=net, accelerator="cpu", **SETTINGS | settings)


def same(a, b):
    a, b = a.net.state_dict(), b.net.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_it_learns_a_few_persons_by_heart(tmp_path, packs):
    settings = {"epochs": 2, "steps_per_epoch": 12, "lr": 1e-2, "milestones": (), "augmentation": None}
    fitted = fit(tmp_path, packs["mscoco"], validation=packs["mscoco"], **settings)
    history, seen = fitted.history, fitted.validation
    assert history["total"].iloc[-1] < 0.35 * history["total"].iloc[0]
    for term in ("smplx_pose", "joint_proj", "lhand_bbox"):
        assert history[term].iloc[-1] < 0.8 * history[term].iloc[0], term
    assert list(seen["epoch"]) == [0, 1] and seen["pa_mpvpe_all"].iloc[1] < seen["pa_mpvpe_all"].iloc[0]
    made = training.predict(fitted.net, packs["mscoco"], device="cpu")
    assert made.evaluate("ehf")["pa_mpvpe_all"] == pytest.approx(seen["pa_mpvpe_all"].iloc[1], rel=1e-6)


def test_targets_are_those_of_the_fits(packs):
    net, pack = people_packs.Tiny(), packs["mscoco"]
    items = training.Crops(pack, net.input, "gt")
    batch = next(iter(training.data.loader(items, [(0, 0), (0, 1)], 2)))["targets"]
    made = targets.completed(net, batch)
    valid = made["smplx_joint_valid"][..., 0] > 0
    assert not any(name.startswith("fit_") for name in made) and valid[0].any() and not valid[1].any()
    assert made["smplx_joint_cam"][0].abs().sum() > 1 and not made["smplx_joint_cam"][1].any()
    with torch.autocast("cpu", torch.bfloat16):
        again = targets.completed(net, batch)
    assert all(torch.equal(made[name], again[name]) for name in made)


def test_every_set_has_the_same_targets_and_a_finite_loss(packs, tmp_path):
    """So that any of them can be mixed, in 2D alone or in 3D, with fits or without, mirrored or not."""
    more = {name: people_packs.made(tmp_path, name, **({"every": 1} if name == "ubody" else {}))
            for name in ("agora", "ubody", "mpi_inf_3dhp")}  # fmt: skip
    net, shapes = people_packs.Tiny(), {}
    strengths = recipes.read("hand4whole_stage1").augmentation
    for name, pack in (packs | more).items():
        items = training.Crops(pack, net.input, "gt", strengths, seed=3)
        batch = next(iter(training.data.loader(items, [(0, 0), (0, 1)], 2)))
        losses = net.loss(net(batch["image"]), targets.completed(net, batch["targets"]))
        net.zero_grad()
        losses["total"].backward()
        assert all(torch.isfinite(value) for value in losses.values()), name
        assert all(torch.isfinite(weight.grad).all() for weight in net.parameters() if weight.grad is not None), name
        shapes[name] = {key: value.shape for key, value in batch["targets"].items()}
        three = losses["joint_cam"] > 0
        assert bool(three) == (name in ("human36m", "mpi_inf_3dhp", "agora")), name
    assert all(found == shapes["mscoco"] for found in shapes.values())


@pytest.mark.parametrize("schedule", [None, "cosine"])
def test_one_and_one_epoch_are_two_with_mixed_packs(tmp_path, packs, schedule):
    """Interrupted in its second epoch, where the cosine needs to know how many there are."""
    given = [packs["mpii"], packs["human36m"], packs["mscoco"]]
    settings = {"epochs": 2, "schedule": schedule, "lr_end": 1e-6 if schedule else None, "lr": 1e-3}
    whole = fit(tmp_path / "whole", given, **settings)
    cut = Cut(packs["mscoco"], 3)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", [packs["mpii"], packs["human36m"], cut], **settings)
    assert training.checkpoints.last(tmp_path / "cut").name == "epoch_0000"
    resumed = fit(tmp_path / "cut", given, start=9, **settings)
    assert same(whole, resumed) and not same(whole, fit(tmp_path / "one", given, **settings | {"epochs": 1}))
    rates = list(whole.history["lr"])
    assert rates == list(resumed.history["lr"]) and len(rates) == 8  # an epoch is 4 samples of each group
    assert rates == sorted(rates, reverse=True) and (len(set(rates)) == 8) == (schedule == "cosine")


class Cut:
    """A pack that is interrupted when the ``at``-th sample is read."""

    def __init__(self, pack, at):
        self.pack, self.left, self.manifest, self.array = pack, at, pack.manifest, pack.array

    def __len__(self):
        return len(self.pack)

    def __getitem__(self, place):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.pack[place]

    lazy = __getitem__


def test_fits_of_another_body_are_not_learned(tmp_path, packs, monkeypatch):
    monkeypatch.setitem(packs["mscoco"].manifest, "fits_of", "SMPL-X")
    with pytest.raises(InputError, match="fits of SMPL-X; the network's body is free body") as error:
        fit(tmp_path, packs["mscoco"])
    assert error.value.field == "bodies"
    made = training.predict(people_packs.Tiny(), packs["mscoco"], device="cpu")
    assert made.truth == {} and len(made) == 2


def test_options_of_the_network(tmp_path, packs):
    net = people_packs.Tiny()
    recipe = recipes.read("hand4whole_agora", dataset="mscoco", epochs=1, **SETTINGS)
    training.fit(recipe, packs["mscoco"], tmp_path, net=net, accelerator="cpu")
    assert net.camera_only is True
    with pytest.raises(InputError, match="has no option 'camera_onyl'"):
        fit(tmp_path / "other", packs["mscoco"], network_options={"camera_onyl": True})


def test_osx_is_made_with_its_options():
    small = {"network": "osx_b", "network_options": {"decoder": "wo_decoder", "camera_only": True}}
    with torch.device("meta"):
        net = training.beginning.configured(networks.create("osx_b", people_packs.layer(), decoder="wo_decoder"),
                                            recipes.read("osx_agora", **small))  # fmt: skip
        assert net.camera_only and net.decoder == "wo_decoder" and not hasattr(net, "hand_decoder")
        with pytest.raises(InputError, match="is for decoder 'normal'; the network has 'wo_decoder'"):
            training.beginning.configured(net, recipes.read("osx_setting1", network="osx_b"))
