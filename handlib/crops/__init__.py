"""A sample -> what a network takes: the crop of its picture, and the targets in that crop.

`hand_pair` (`handlib.crops.pair`) for two-hand networks, `single_hand` (`handlib.crops.single`) for one-hand networks,
`mano_hand` (`handlib.crops.mano`) for networks that answer with MANO's parameters; `box_crop` for these where there is
a picture and a box and nothing else; `person` (`handlib.crops.person`) for whole-body networks and `person_hand`
(`handlib.crops.person_hand`) for Pose2Pose's hand network, whose targets `handlib.crops.person_targets` and
`handlib.crops.hand_targets` complete on the batch. All others give {"image", "targets", "meta"}; each has its own
augmentation and draws. `single_hands`, `mano_hands`, `persons` and `box_crops` (`handlib.crops.batch`) give a whole
batch, its pictures made on any device.
"""

from handlib.crops.batch import box_crops, mano_hands, persons, single_hands
from handlib.crops.mano import ManoAugmentation, box_crop, draw_mano, draw_mano_published, mano_hand
from handlib.crops.pair import NO_AUGMENTATION, Augmentation, draw, draw_published, hand_pair, input_box, wrist_rule
from handlib.crops.person import PersonAugmentation, draw_person, draw_person_published, person
from handlib.crops.person_hand import person_hand
from handlib.crops.single import Occluder, SingleAugmentation, draw_single, draw_single_published, single_hand

__all__ = [
    "NO_AUGMENTATION",
    "Augmentation",
    "ManoAugmentation",
    "Occluder",
    "PersonAugmentation",
    "SingleAugmentation",
    "box_crop",
    "box_crops",
    "draw",
    "draw_mano",
    "draw_mano_published",
    "draw_person",
    "draw_person_published",
    "draw_published",
    "draw_single",
    "draw_single_published",
    "hand_pair",
    "input_box",
    "mano_hand",
    "mano_hands",
    "person",
    "person_hand",
    "persons",
    "single_hand",
    "single_hands",
    "wrist_rule",
]
