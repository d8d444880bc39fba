import dataclasses
import pickle
import warnings

import numpy as np
import pytest
import torch

from handlib import bodies
from handlib.bodies import files, free, left_shapedirs
from handlib.verify import standin


@pytest.fixture
def right():
    arrays = {name: value for name, value in free.arrays("right").items() if name != free.MARK}
    return arrays | {"bs_style": "lbs"}


def write(folder, side, arrays):
    path = folder / f"MANO_{side.upper()}.pkl"
    with open(path, "wb") as file:
        pickle.dump(arrays, file)
    return path


def faulty_left(right):
    """As the official file is: everything mirrored but the shape directions."""
    return free.mirrored(right) | {"shapedirs": right["shapedirs"]}


def shaped(layer):
    shape = torch.linspace(-2, 2, 10)
    return layer(pose=torch.zeros(48), shape=shape, mean_added=True)["verts"]


@pytest.mark.parametrize("both", [True, False], ids=["both files", "left file alone"])
def test_the_fault_is_found_and_put_right(tmp_path, right, both):
    path = write(tmp_path, "left", faulty_left(right))
    if both:
        write(tmp_path, "right", right)
    layer = bodies.load(path, "mano_left")
    assert len(layer.corrections) == 1 and "sign of x corrected" in layer.corrections[0]
    assert ("MANO_RIGHT.pkl" in layer.corrections[0]) == both
    assert "sign of x corrected" in repr(layer)
    mirrored = shaped(bodies.load(None, "mano_right")) * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(shaped(layer), mirrored, rtol=0, atol=1e-6)

    as_it_is = bodies.load(path, "mano_left", fix_left_shapedirs=False)
    assert as_it_is.corrections == ()
    assert (shaped(as_it_is) - mirrored).abs().max() > 1e-3


@pytest.mark.parametrize("both", [True, False])
def test_a_sound_file_is_left_alone(tmp_path, right, both):
    path = write(tmp_path, "left", free.mirrored(right))
    if both:
        write(tmp_path, "right", right)
    assert bodies.load(path, "mano_left").corrections == ()


def test_the_published_rule_on_stand_ins():
    """Not triggered by the stand-ins; triggered where the difference adds up to less than 1."""
    right, left = (files.model(standin.mano(side), side) for side in ("right", "left"))
    assert left_shapedirs.is_faulty(left, right) is False
    nearly = right.shapedirs.copy()
    nearly[:, 0] += 0.9 / nearly[:, 0].size
    assert left_shapedirs.is_faulty(dataclasses.replace(left, shapedirs=nearly), right) is True
    nearly[:, 0] += 0.2 / nearly[:, 0].size
    assert left_shapedirs.is_faulty(dataclasses.replace(left, shapedirs=nearly), right) is False


def test_the_rule_does_not_depend_on_how_strong_the_shape_directions_are(right):
    weak = right | {"shapedirs": right["shapedirs"] * 1e-3}
    left = files.model(free.mirrored(weak), "left")
    assert np.abs(2 * left.shapedirs[:, 0]).sum() < 1, "a sound pair that the published limit alone would call faulty"
    assert left_shapedirs.is_faulty(left, files.model(weak, "right")) is False
    assert left_shapedirs.is_faulty(left) is False
    assert left_shapedirs.is_faulty(files.model(faulty_left(weak), "left"), files.model(weak, "right")) is True


def test_where_it_cannot_be_told_a_warning_says_so(tmp_path):
    path = write(tmp_path, "left", standin.mano("left"))
    with pytest.warns(UserWarning, match="cannot be told without MANO_RIGHT.pkl"):
        layer = bodies.load(path, "mano_left")
    assert layer.corrections == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bodies.load(path, "mano_left", fix_left_shapedirs=False)
