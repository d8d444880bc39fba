import numpy as np
import pytest
import torch

from handlib import bodies, fitting, networks
from handlib.files import InputError
from handlib.training import iknet

SHORT = {"steps": 30, "batch": 32, "validate_every": 10, "show": False}


@pytest.fixture(scope="module")
def layer():
    return bodies.load(None, "mano_right")


@pytest.fixture(scope="module")
def trained(layer, tmp_path_factory):
    out = tmp_path_factory.mktemp("iknet") / "short"
    return out, iknet.fit(layer, out, **SHORT)


def test_it_learns(layer, trained):
    _, made = trained
    draws = iknet.Draws(layer, 0.006, seed=1)
    torch.manual_seed(0)
    before = iknet.validate(networks.create("iknet"), draws, 256)
    last = made.history.iloc[-1]
    assert last["angle_deg"] < 0.5 * before["angle_deg"] and last["joints_mm"] < 0.8 * before["joints_mm"]
    assert made.history["step"].tolist() == [10, 20, 30]


def test_the_folder_loads_as_any_network(trained):
    out, made = trained
    net = networks.load(out)
    joints = torch.randn(3, 21, 3) * 0.05
    torch.testing.assert_close(net(joints)["pose_flat"], made.net(joints)["pose_flat"])


def test_equal_seeds_give_equal_weights_and_others_do_not(layer, trained, tmp_path):
    _, made = trained
    for seed, equal in ((1, True), (2, False)):
        again = iknet.fit(layer, tmp_path / str(seed), seed=seed, **SHORT)
        assert torch.equal(again.net.layers[0].weight, made.net.layers[0].weight) is equal


def test_a_training_cut_short_goes_on_as_if_it_had_not_been(layer, trained, tmp_path, monkeypatch):
    _, made = trained
    write, written = iknet._write, []

    def cut(*arguments):
        write(*arguments)
        written.append(1)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(iknet, "_write", cut)
    with pytest.raises(KeyboardInterrupt):
        iknet.fit(layer, tmp_path / "cut", **SHORT)
    monkeypatch.undo()
    again = iknet.fit(layer, tmp_path / "cut", **SHORT)
    assert again.history.equals(made.history)
    assert torch.equal(again.net.layers[-1].weight, made.net.layers[-1].weight)
    assert (tmp_path / "cut" / "history.csv").read_text().count("\n") == 4
    with pytest.raises(InputError, match="another training: lr was 0.001"):
        iknet.fit(layer, tmp_path / "cut", lr=0.1, **SHORT)


def test_draws_are_functions_of_seed_and_number(layer):
    draws = iknet.Draws(layer, 0.006, seed=4)
    first, again, other = draws(5, 16), draws(5, 16), draws(6, 16)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["seen"], other["seen"])
    out = layer(pose=iknet._rotations(first["pose_quat"]), pose_kind="matrix", shape=first["shape"], mean_added=True)
    torch.testing.assert_close(first["joints"], bodies.joints21(out["verts"], out["joints"]), rtol=0, atol=1e-6)


def test_its_answer_can_start_a_fit_of_either_hand(layer, trained):
    _, made = trained
    joints = iknet.Draws(layer, 0.0, seed=9)(0, 4)["joints"]
    left = joints * torch.tensor([-1.0, 1, 1])
    right = fitting.iknet_poses(made.net, joints.double(), layer)
    mirrored = fitting.iknet_poses(made.net, left.double(), bodies.load(None, "mano_left"))
    torch.testing.assert_close(mirrored * torch.tensor([1.0, -1, -1]).repeat(16), right)
    with_net, without = fitting.fit(joints, layer, iknet=made.net), fitting.fit(joints, layer)
    assert (with_net.verts - without.verts).norm(dim=-1).mean() < 1e-3
    gap = joints.clone()
    gap[0, 3] = np.nan
    assert fitting.fit(gap, layer, iknet=made.net).converged.all()


@pytest.mark.parametrize(
    "settings, named",
    [({"step": 5}, "step"), ({"lr": -1.0}, "lr"), ({"batch": "many"}, "batch"), ({"steps": 0}, "steps")],
)
def test_unknown_and_bad_settings_are_named(layer, tmp_path, settings, named):
    with pytest.raises(InputError, match=f"field '{named}'"):
        iknet.fit(layer, tmp_path / "out", **settings)


def test_a_left_layer_and_bad_examples_are_refused(layer, tmp_path):
    with pytest.raises(InputError, match="left hand"):
        iknet.fit(bodies.load(None, "mano_left"), tmp_path / "out")
    with pytest.raises(InputError, match="examples"):
        iknet.fit(layer, tmp_path / "out", examples=np.zeros((5, 48)))
