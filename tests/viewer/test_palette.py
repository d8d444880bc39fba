import numpy as np
import pytest
from matplotlib import colormaps
from plotly.colors import get_colorscale

from handlib.bodies import parts
from handlib.fields import FINGERS, HAND21, INTERHAND42, MANO16
from handlib.viewer import palette

# Machado, Oliveira and Fernandes 2009, full severity, on linear RGB.
DEFICIENCIES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def _lab(colours):
    """sRGB 0..255 (N, 3) -> CIE Lab."""
    linear = _linear(colours)
    return _lab_of_linear(linear)


def _linear(colours):
    values = np.asarray(colours, float) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _lab_of_linear(linear):
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / to_xyz.sum(1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def _smallest_distance(lab):
    distance = np.linalg.norm(lab[:, None] - lab, axis=-1)
    return distance[~np.eye(len(lab), dtype=bool)].min()


@pytest.mark.parametrize(
    "group", [list(palette.FINGER.values()), [palette.TRUTH, palette.PREDICTION], list(palette.SIDE.values())]
)
@pytest.mark.parametrize("eyes", ["full", *DEFICIENCIES])
def test_colours_that_must_be_told_apart_are_far_apart(group, eyes):
    linear = _linear([palette.rgb(colour) for colour in group])
    if eyes in DEFICIENCIES:
        linear = np.clip(linear @ np.array(DEFICIENCIES[eyes]).T, 0, 1)
    assert _smallest_distance(_lab_of_linear(linear)) > 15  # a difference of 2.3 is just noticeable


def test_every_part_has_its_own_colour():
    assert palette.PARTS.shape == (33, 3) and palette.PARTS.dtype == np.uint8
    assert _smallest_distance(_lab(palette.PARTS)) > 5
    for side in palette.SIDE:
        classes = parts.digit_classes(np.arange(16), side)
        assert np.array_equal(palette.PARTS[classes], palette.segments(side))
    thumb = MANO16.joints.index("thumb1")
    assert palette.css(palette.segments("right")[thumb]) == palette.FINGER["thumb"].lower()


def test_joints_have_their_fingers_colour_in_every_joint_set():
    assert [palette.joint_colour(name) for name in HAND21.joints[1::4]] == [palette.FINGER[name] for name in FINGERS]
    assert palette.joint_colour("r_pinky4") == palette.joint_colour("little2") == palette.FINGER["little"]
    assert palette.joint_colour(INTERHAND42.joints[41]) == palette.of_side(palette.WRIST, "left")
    assert palette.joint_colour("l_thumb1") == palette.joint_colour("thumb1", "left") != palette.FINGER["thumb"]


def test_colour_arithmetic():
    assert palette.css(palette.rgb("#0a80ff")) == "#0a80ff"
    assert palette.mix("#000000", "#ffffff", 0) == "#000000"
    assert palette.mix("#000000", "#ffffff", 1) == "#ffffff"


def test_error_scale_exists_for_both_libraries_and_darkens():
    assert get_colorscale(palette.ERROR_SCALE)
    lightness = _lab(255 * colormaps[palette.ERROR_SCALE](np.linspace(0, 1, 9))[:, :3])[:, 0]
    assert (np.diff(lightness) < 0).all()
