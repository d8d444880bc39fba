"""A sample -> what a network takes: the crop of its picture, and the targets in that crop.

`hand_pair` (`handlib.crops.pair`) for two-hand networks, `single_hand` (`handlib.crops.single`) for one-hand networks.
Both give {"image", "targets", "meta"}; each has its own augmentation and draws. `single_hands` (`handlib.crops.batch`)
gives a whole batch, its pictures made on any device.
"""

from handlib.crops.batch import single_hands
from handlib.crops.pair import NO_AUGMENTATION, Augmentation, draw, draw_published, hand_pair, input_box, wrist_rule
from handlib.crops.single import Occluder, SingleAugmentation, draw_single, draw_single_published, single_hand

__all__ = [
    "NO_AUGMENTATION",
    "Augmentation",
    "Occluder",
    "SingleAugmentation",
    "draw",
    "draw_published",
    "draw_single",
    "draw_single_published",
    "hand_pair",
    "input_box",
    "single_hand",
    "single_hands",
    "wrist_rule",
]
