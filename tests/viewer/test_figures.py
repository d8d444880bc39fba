import numpy as np
import pandas as pd
import pytest
import torch

from handlib import fields
from handlib.files import InputError
from handlib.geometry import encode_25d
from handlib.viewer import figures


@pytest.fixture
def image():
    return np.random.default_rng(0).random((3, 256, 256), np.float32)


@pytest.fixture
def joints():
    return np.random.default_rng(1).uniform(20, 230, (42, 2))


def _lines(figure):
    """Ends of every bone drawn in colour, per axes: arrays (bones, 2, 2)."""
    return [np.array(axes.collections[1].get_segments()) for axes in figure.axes if axes.collections]


def test_picture_takes_network_inputs_and_photographs(image):
    photo = figures.picture(image)
    assert photo.dtype == np.uint8 and photo.shape == (256, 256, 3)
    assert np.array_equal(figures.picture(photo), photo)
    assert np.array_equal(figures.picture(torch.from_numpy(image)), photo)
    with pytest.raises(ValueError, match="float64 \\(256, 256\\)"):
        figures.picture(np.zeros((256, 256)))


def test_joints_over_images_draws_every_bone_at_its_pixels(image, joints):
    figure = figures.joints_over_images([image, {"image": image}], [joints, joints + 5], [joints, joints])
    first_true, first_pred = (np.array(figure.axes[0].collections[i].get_segments()) for i in (1, 4))
    bones = fields.INTERHAND42.bones
    assert np.array_equal(first_true, joints[np.array(bones)])
    assert np.array_equal(first_pred, joints[np.array(bones)])
    assert np.array_equal(np.array(figure.axes[1].collections[4].get_segments()), joints[np.array(bones)] + 5)


def test_invalid_and_missing_joints_are_not_drawn(image, joints):
    valid = np.ones(42)
    valid[0] = 0  # right thumb's tip
    joints[24] = np.nan  # left thumb's base: two bones meet there
    (drawn,) = _lines(figures.joints_over_images([image], [joints], valid=[valid]))
    assert len(drawn) == 40 - 1 - 2
    assert np.isfinite(drawn).all()


def test_house_order_draws_the_same_bones(image, joints):
    hands = fields.house_hands(joints)
    (one,) = _lines(figures.joints_over_images([image], [joints]))
    (other,) = _lines(figures.joints_over_images([image], [hands]))
    assert np.array_equal(one, other)


def test_batch_sheet_draws_the_targets_and_names_the_hands(image, joints):
    coord = encode_25d(joints, np.zeros(42))
    targets = {"joint_coord": coord, "joint_valid": np.ones(42), "hand_type": np.array([0.0, 1.0])}
    figure = figures.batch_sheet([{"image": image, "targets": targets}])
    (drawn,) = _lines(figure)
    assert np.allclose(drawn, joints[np.array(fields.INTERHAND42.bones)])
    assert figure.axes[0].get_title() == "left"


def test_gallery_lays_out_and_refuses_mismatches(image):
    figure = figures.gallery([image] * 5, list("abcde"), columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", "d", "e", ""]
    with pytest.raises(ValueError, match="5 pictures but 1 captions"):
        figures.gallery([image] * 5, ["a"])
    with pytest.raises(ValueError, match="no pictures"):
        figures.gallery([])


def test_loss_curves_share_panels_and_survive_gaps(tmp_path):
    history = pd.DataFrame({"step": range(30), "epoch": 0, "total": np.geomspace(100, 1, 30), "lr": 1e-4})
    validation = pd.DataFrame({"step": [9, 19, 29], "epoch": [0, 1, 2], "val/total": [50.0, np.nan, 5.0]})
    history.to_csv(tmp_path / "history.csv", index=False)
    figure = figures.loss_curves(tmp_path / "history.csv", validation)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["total", "lr"]
    train, val = figure.axes[0].lines
    assert np.allclose(train.get_ydata(), history["total"])
    assert list(val.get_xdata()) == [9, 29]
    assert figure.axes[0].get_yscale() == "log" and figure.axes[1].get_yscale() == "linear"


def test_loss_curves_refuse_another_table(tmp_path):
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(InputError, match="not a training log"):
        figures.loss_curves(tmp_path / "x.csv")


def test_a_figure_shows_itself_and_leaves_nothing_behind(image):
    import matplotlib.pyplot as plt

    png = figures.gallery([image])._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert plt.get_fignums() == []
