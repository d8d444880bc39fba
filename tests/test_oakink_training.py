"""The training engine with one-hand networks, on a few samples: steps, resuming, published clipping, refused packs."""

import shutil
from types import SimpleNamespace

import numpy as np
import oakink_tree
import pytest
import torch

from handlib import geometry, packs, recipes, training
from handlib.files import InputError
from handlib.networks.blocks.norms import BatchNorm
from handlib.networks.blocks.resnet import ResNet
from handlib.training import checkpoints, data
from handlib.training.module import Training
from handlib.verify.reference import shipped

NORM = "layer4.1.bn2"  # of a block that the published trainings did not freeze, though their configuration says so
FROZEN = "layer4.0.bn2"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return oakink_tree.build(tmp_path_factory.mktemp("oakink") / "OakInk")


@pytest.fixture(scope="module")
def pack(tree, tmp_path_factory):
    """Three samples, split by views."""
    return packs.write("oakink", tree, "test", tmp_path_factory.mktemp("packs") / "test", workers=0)


@pytest.fixture
def out(tmp_path):
    """A folder that is gone afterwards: these networks are large."""
    yield tmp_path / "out"
    shutil.rmtree(tmp_path / "out", ignore_errors=True)


def fit(name, pack, out, validation=None, net=None, **settings):
    small = {"batch": 2, "per_device_batch": 2, "steps_per_epoch": 2, "epochs": 1, "workers": 0, "log_every": 1}
    recipe = recipes.read(f"{name}_oakink_sp0", **small | settings)
    return training.fit(recipe, pack, out, validation, net=net, accelerator="cpu")


def begun(name, **settings):
    """A network as a training begins with it, and a copy of its weights."""
    net = training.network(recipes.read(f"{name}_oakink_sp0", **settings))
    return net, {key: value.clone() for key, value in net.state_dict().items()}


def moved(before, fitted):
    """Names of the weights that are not as before."""
    after = fitted.net.state_dict()
    return {key for key in before if not torch.equal(before[key], after[key])}


# Steps


def test_one_and_one_epoch_of_rle_are_two(pack, out):
    net, before = begun("rle")
    settings = {"batch": 1, "per_device_batch": 1, "steps_per_epoch": 1, "epochs": 2}
    whole = fit("rle", pack, out / "whole", net=net, **settings)
    fit("rle", pack, out / "halves", **settings | {"epochs": 1})
    assert checkpoints.last(out / "halves").name == "epoch_0000"
    halves = fit("rle", pack, out / "halves", **settings)
    assert halves.last.resolve().name == "epoch_0001" and not moved(whole.net.state_dict(), halves)
    assert {key for key, _ in net.named_parameters()} <= moved(before, whole)
    assert not any(norm.frozen for norm in net.modules() if isinstance(norm, BatchNorm))  # there was no backbone file
    history, columns = whole.history, ["epoch", "step", "lr", "rle", "q_log_prob", "log_phi", "total"]
    assert history[columns].equals(halves.history[columns]) and list(history["lr"]) == [1e-3, 1e-3]
    assert np.isfinite(history[columns]).all(axis=None)


def test_integral_pose_as_published_freezes_the_first_norms_only(pack, out):
    """With a backbone file: the stored statistics of the frozen norms stay through Lightning's train mode."""
    out.mkdir(parents=True)
    torch.save(ResNet().state_dict(), out / "resnet50.pth")
    settings = {"published": True, "backbone": str(out / "resnet50.pth")}
    net, before = begun("integral_pose", **settings)
    with pytest.warns(UserWarning, match="no meshes were predicted"):
        fitted = fit("integral_pose", pack, out / "run", pack, net, validate_every=1, **settings)
    changed, history, figures = moved(before, fitted), fitted.history, fitted.validation
    for part in ("weight", "bias", "running_mean", "running_var"):
        assert f"backbone.{NORM}.{part}" in changed and f"backbone.{FROZEN}.{part}" not in changed
    assert {key for key in before if key.startswith(("enlarge", "volume")) and key.endswith("weight")} <= changed
    assert net.published and len(history) == 2
    np.testing.assert_allclose(history["total"], 100 * history["uvd"], rtol=1e-6)
    assert list(figures["epoch"]) == [0] and figures["MeanEPE.joints_3d_mepe"].between(0.01, 0.3).all()
    assert fitted.best.resolve() == fitted.last.resolve()


def test_i2l_meshnet_takes_steps(pack, out):
    """Plain descent: Adam's two moments of 137 million weights would go to the disk."""
    net, before = begun("i2l_meshnet")
    fitted = fit("i2l_meshnet", pack, out, net=net, optimizer="sgd", lr=1e-3)
    learnt = {key for key, value in net.named_parameters() if value.requires_grad}
    fixed = {key for key, value in net.named_parameters() if not value.requires_grad}
    assert learnt <= moved(before, fitted) and not fixed & moved(before, fitted)
    history, terms = fitted.history, ["joint_fit", "mesh_fit", "mesh_joint_fit", "mesh_normal", "mesh_edge"]
    assert len(history) == 2 and (history[terms] > 0).all(axis=None)
    np.testing.assert_allclose(history["total"], history[terms] @ np.array([1, 1, 1, 0.1, 1]), rtol=1e-5)


# Clipping


def clipped(norms, clip, published):
    """Norms of gradients of given norms after the engine has clipped them."""
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.nn.Parameter(torch.zeros(7)) for _ in norms]
    for parameter, norm in zip(parameters, norms, strict=True):
        direction = torch.randn(7, generator=generator, dtype=torch.float64)
        parameter.grad = (direction * norm / direction.norm()).float()
    unused = torch.nn.Parameter(torch.zeros(2))
    net = torch.nn.Module()
    net.all = torch.nn.ParameterList([*parameters, unused])
    module = Training(net, recipes.read("integral_pose_oakink_sp0", clip=clip, published=published))
    module.configure_gradient_clipping(module.configure_optimizers())
    assert unused.grad is None
    return np.array([float(parameter.grad.double().norm()) for parameter in parameters])


@pytest.mark.parametrize("name", ["IntegralPose/eval_sharp", "RegressFlow3D/eval_plain", "RegressFlow3D/eval_wide"])
def test_published_clips_each_tensor_on_its_own(name):
    facts = shipped("oakink").json("networks.json")[name]["grad"]
    before, after = (np.array(list(facts[label].values())) for label in ("before", "after"))
    assert (before > facts["clip_norm"]).any() and facts["before"].keys() == facts["after"].keys()
    # The norms of large tensors that the reference clips by are float32 sums.
    np.testing.assert_allclose(clipped(before, facts["clip_norm"], True), after, rtol=1e-3)


def test_otherwise_the_whole_gradient_is_clipped():
    norms = np.array([0.3, 0.4, 1.2])
    np.testing.assert_allclose(clipped(norms, 0.13, False), norms / 10, rtol=1e-4)
    np.testing.assert_allclose(clipped(norms, 1.5, False), norms, rtol=1e-6)
    np.testing.assert_allclose(clipped(norms, 0.35, True), [0.3, 0.35, 0.35], rtol=1e-4)
    np.testing.assert_allclose(clipped(norms, None, True), norms, rtol=1e-6)


# Data and predictions


def test_published_crops_are_asked_for_by_the_recipe(pack):
    recipe = recipes.read("rle_oakink_sp0")
    items = [
        data.Crops(pack, geometry.HandInput(root=0), "gt", recipe.augmentation, seed=3, published=published)[0, 1]
        for published in (False, False, True)
    ]
    assert np.array_equal(items[0]["image"], items[1]["image"])
    assert not np.array_equal(items[0]["image"], items[2]["image"])


def test_the_targets_are_a_perfect_prediction(pack):
    net = SimpleNamespace(input=geometry.HandInput(root=0), place=lambda out, K, depth: place(out, K, depth))

    def place(out, K, depth):
        return {
            f"{part}_cam": geometry.uvd_to_xyz(out[f"{part}_uvd"], K, depth, net.input) for part in ("joints", "verts")
        }

    items = data.Crops(pack, net.input, "gt", meta=True)
    collector = training.predictions.Collector(net)
    for batch in data.loader(items, [(0, index) for index in range(3)], 2):
        collector.add(batch["targets"], batch)
    made = collector.merged()
    figures = made.evaluate("oakink")
    assert figures[["MeanEPE.joints_3d_mepe", "MeanEPE2.verts_3d_mepe"]].max() < 1e-6
    np.testing.assert_array_equal(made.truth["joints_3d"], pack.array("joints_cam")[:, 0].astype(np.float32))


# Refusals


def test_a_pack_of_another_mode_or_data_set_is_refused(pack, tree, out):
    by_subject = packs.write("oakink", tree, "test", out / "pack", workers=0, mode="subject")
    for given, validation in ((by_subject, None), (pack, by_subject)):
        with pytest.raises(InputError, match="is of mode 'subject'; this recipe is for 'default'") as error:
            fit("rle", given, out / "run", validation=validation)
        assert error.value.field == "mode" and str(by_subject.folder) in str(error.value)
    with pytest.raises(InputError, match="is of dataset 'oakink'; this recipe is for 'interhand'"):
        training.fit("digit_interhand", pack, out / "run", accelerator="cpu")
    assert not (out / "run").exists()
