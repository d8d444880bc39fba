"""Figures of the one-hand methods, from untrained networks and from answers whose pictures are known."""

from types import SimpleNamespace

import numpy as np
import one_hand
import pytest
import torch

from handlib import bodies, networks, training
from handlib.viewer import hands

METHODS = ("integral_pose", "rle", "i2l_meshnet")


@pytest.fixture(scope="module")
def pack():
    return one_hand.Pack(2, whole=True)


@pytest.fixture(scope="module", params=METHODS)
def answered(request, pack):
    """(network, items, `Look`) of each method."""
    torch.manual_seed(0)
    net = networks.create(request.param).eval()
    crops = training.Crops(pack, net.input, "gt")
    items = [crops[0, place] for place in range(2)]
    return net, items, hands.look(net, items)


def test_a_look_shows_what_the_answer_is_made_of(answered):
    net, items, seen = answered
    with torch.inference_mode():
        out = net(torch.from_numpy(np.stack([item["image"] for item in items])))
    assert np.allclose(seen.uvd, out["joints_uvd"], atol=1e-6)
    assert np.allclose(seen.truth, [item["targets"]["joints_uvd"] for item in items])
    if net.name == "integral_pose":
        volume = seen.shown["volume"]
        cells = np.arange(28) / 28
        mean = [volume.sum((2, 3)) @ cells, volume.sum((2, 4)) @ cells, volume.sum((3, 4)) @ cells]
        assert np.allclose(np.stack(mean, -1), seen.uvd, atol=1e-4)
    elif net.name == "rle":
        sigma = out["sigma"].numpy()
        share = seen.shown["width"] / sigma  # an untrained flow is nearly the normal distribution
        assert np.allclose(share, share[:1, :1], rtol=1e-4) and 0.8 < share.min() and share.max() < 1.25
        assert np.allclose(seen.shown["error"] * sigma, out["joints_uvd_unshifted"].numpy() - seen.truth, atol=1e-5)
        middle = seen.shown["log_phi"][30, 30]
        assert np.isclose(middle, -1.5 * np.log(2 * np.pi), atol=0.3)
    else:
        curves = seen.shown["lixels"]
        assert np.allclose(curves.sum(-1), 1, atol=1e-5)
        assert np.allclose(curves @ (np.arange(64) / 64), seen.uvd, atol=1e-4)
        assert seen.shown["spread"].max() < 32


def test_figures_of_every_method(answered):
    net, items, seen = answered
    figure = hands.while_training({"untrained": seen, "epoch 9": seen}, 1)
    titles = [axes.get_title() for axes in figure.axes]
    assert {"untrained", "epoch 9"} <= set(titles)
    assert {axes.get_ylim() for axes in figure.axes[-2:]} == {figure.axes[-1].get_ylim()}
    closer = hands.closely(seen)
    for each in (figure, closer):
        assert len(each._repr_png_()) > 5000


def _flat(method, **shown):
    truth = np.full((1, 21, 3), 0.5, np.float32)
    return hands.Look(method, np.full((1, 3, 224, 224), 0.5, np.float32), truth, truth, 0.4, shown)


def test_a_heat_map_lies_where_the_geometry_puts_it():
    """A single hot cell, k of 28, covers the pixels about 8 k; it is drawn in one slice alone."""
    volume = np.zeros((1, 21, 28, 28, 28), np.float32)
    volume[:, :, 14, 7, 21] = 1  # depth, row, column
    seen = _flat("integral_pose", volume=volume)
    axes = hands.while_training({"now": seen}).axes[0]
    layer = axes.images[1]
    rows, columns = np.nonzero(np.asarray(layer.get_array())[..., 3])
    left, right, bottom, top = layer.get_extent()
    assert (left + (columns[0] + 0.5) * (right - left) / 28, top + (rows[0] + 0.5) * (bottom - top) / 28) == (168, 56)
    slices = {
        axes.get_title(): np.asarray(axes.images[1].get_array())[..., 3].max() for axes in hands.closely(seen).axes
    }
    assert slices["+0.0 cm"] > 0.5 and sum(share > 0 for share in slices.values()) == 1


def test_ellipses_have_the_predicted_width():
    width = np.tile(np.float32([0.1, 0.05, 0.2]), (1, 21, 1))
    axes = hands.while_training({"now": _flat("rle", width=width)}).axes[0]
    ellipses = [patch for patch in axes.patches if type(patch).__name__ == "Ellipse"]
    assert len(ellipses) == 42 and np.allclose([ellipses[0].width, ellipses[0].height], [44.8, 22.4])


def test_epochs_are_chosen_evenly_and_end_with_the_last(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(hands.networks, "load", lambda folder, bodies: opened.append(folder.name))
    for count, expected in ((1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (9, [3, 6, 9])):
        for number in range(count):
            (tmp_path / "checkpoints" / f"epoch_{number:04d}").mkdir(parents=True, exist_ok=True)
        looks = hands.over_epochs("net", SimpleNamespace(out=tmp_path), [], look=lambda net, items: net)
        assert list(looks) == ["untrained", *(f"epoch {number}" for number in expected)]
    assert opened[-1] == "epoch_0008"


def test_meshes_over_images_shows_crop_and_mesh(pack):
    layer = bodies.load("free", "mano_right")
    net = SimpleNamespace(input=networks.create("integral_pose").input)
    items = [training.Crops(pack, net.input, "gt")[0, 0]]
    figure = hands.meshes_over_images(items, pack[0]["verts_cam"], layer.faces.numpy(), ["one"])
    plain, meshed = (np.asarray(axes.images[0].get_array()).astype(int) for axes in figure.axes)
    changed = np.abs(plain - meshed).max(-1) > 30
    x, y = (2 * items[0]["targets"]["joints_uvd"][9, :2] * 224).astype(int)
    assert changed[y - 5 : y + 5, x - 5 : x + 5].mean() > 0.75, "the mesh lies on the palm"
    assert not changed[:20].any() and changed.mean() < 0.6


def test_in_3d_and_its_twin(pack):
    faces = bodies.load("free", "mano_right").faces.numpy()
    truth = pack[0]["verts_cam"][0]
    moved = truth + [0.003, 0, 0.004]
    turning, still = hands.in_3d(moved, truth, faces, "one"), hands.in_3d_static(moved, truth, faces, "one")
    assert "one · distance to the true mesh: mean 5.0 mm" in turning.layout.title.text
    assert still.get_suptitle() == turning.layout.title.text
    assert np.allclose(turning.data[0].intensity, 5, atol=1e-3) and turning.data[0].cmax >= 5
    seen = np.asarray(still.axes[0].images[0].get_array())
    assert 0.05 < (np.abs(seen.astype(int) - seen[0, 0]).max(-1) > 8).mean() < 0.7
