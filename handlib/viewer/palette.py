"""Every colour of handlib's figures, in one place.

The hues are Paul Tol's "vibrant" set (https://personal.sron.nl/~pault/), which stays apart under the common
colour-vision deficiencies; neighbours in a figure differ in lightness as well, so that a grey print can be read.
"""

import numpy as np

from handlib.bodies import parts
from handlib.fields import FINGERS, MANO16

FINGER = dict(zip(FINGERS, ("#EE3377", "#EE7733", "#009988", "#33BBEE", "#3B5BA9"), strict=True))
WRIST = "#8A8A8A"
SIDE = {"right": "#DE9E7E", "left": "#86A6CE"}
PERSON = ("#DE9E7E", "#86A6CE", "#8DB89A", "#C7A0C4", "#CFB56F", "#7FB7BF")  # one after the other, then again
TRUTH, PREDICTION = "#2BC8B7", "#C9186C"
BOX = "#FFD54A"
BODY = {"body": "#0077BB", "lhand": "#33BBEE", "rhand": "#EE7733", "face": "#EE3377"}  # parts of a whole person
INK, FAINT, PAPER = "#2B2D31", "#9A9DA3", "#F4F3F0"
ERROR_SCALE = "YlOrRd"  # sequential, known to plotly and to matplotlib under this name: pale is good, dark red is bad
CYCLE = ("#0077BB", "#EE7733", "#009988", "#EE3377", "#33BBEE", "#8A8A8A")


def rgb(colour):
    """'#RRGGBB' -> (r, g, b), uint8."""
    return np.frombuffer(bytes.fromhex(colour.lstrip("#")), np.uint8)


def of_label(label, number=0):
    """The colour of a hand, "right" or "left", or of the person with this number among others."""
    return SIDE.get(label) or PERSON[number % len(PERSON)]


def lit(label, number=0):
    """`of_label` under the lights of ``handlib.render``, which darken: (3,) float, 0..1."""
    return rgb(mix(of_label(label, number), "#FFFFFF", 0.45)) / 255


def css(values):
    """(r, g, b), 0..255 -> '#rrggbb'."""
    return "#" + bytes(int(value) for value in values).hex()


def mix(colour, other, share):
    """``share`` (0..1) of the way from ``colour`` to ``other``, both '#RRGGBB'."""
    return css(np.rint((1 - share) * rgb(colour) + share * rgb(other).astype(float)))


def of_side(colour, side):
    """A right hand's colour as it is, a left hand's darker."""
    return colour if side == "right" else mix(colour, "#14213D", 0.32)


def joint_colour(name, side="right"):
    """Colour of a joint of any set by its name: its finger's ('index2', 'r_pinky4', …), or the wrist's."""
    finger = name.removeprefix("r_").removeprefix("l_").rstrip("1234").replace("pinky", "little")
    return of_side(FINGER.get(finger, WRIST), "left" if name.startswith("l_") else side)


def _segment_colour(joint):
    """A MANO joint's segment: the finger's hue, lighter from base to tip."""
    return WRIST if joint == "wrist" else mix(FINGER[joint[:-1]], "#FFFFFF", 0.22 * (int(joint[-1]) - 1))


def segments(side):
    """The 16 colours of one hand's segments in MANO's joint order, (16, 3) uint8."""
    return np.stack([rgb(of_side(_segment_colour(joint), side)) for joint in MANO16.joints])


PARTS = np.concatenate([np.zeros((1, 3), np.uint8), *(segments(side)[list(parts.DIGIT_JOINTS)] for side in SIDE)])
"""(33, 3) uint8: the classes of a part mask: background, the right hand's in DIGIT's order, the left hand's."""
