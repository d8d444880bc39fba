"""Small packs of whole bodies with fits of the free body; a tiny network, and one that answers with the truth."""

import functools

import numpy as np
import people_tree
import torch

from handlib import bodies, geometry, packs
from handlib.crops.person_targets import meshes_of_fits
from handlib.networks.blocks import person
from handlib.networks.whole_body import BODY_JOINTS, HAND_JOINTS, PARTS, WholeBody
from handlib.training import Crops

FREE = "handlib free body"


@functools.cache
def layer():
    return bodies.load(None, "smplx_neutral")


def made(folder, name, split=None, **options):
    """A pack of one of `people_tree.SETS`, whose fits are the free body's."""
    maker, usual, *_ = people_tree.SETS[name]
    root = folder / name
    if not root.exists():
        maker(root)
    pack = packs.write(name, root, split or usual, folder / f"{name}_{split or usual}", workers=0, **options)
    pack.manifest["fits_of"] = FREE
    return pack


class Tiny(WholeBody):
    """Hand4Whole's answers and loss from a few pixels of the crop by one hidden layer."""

    name, input = "tiny", geometry.PersonInput()
    sizes = {"joints": 3 * BODY_JOINTS, "hands": 6 * HAND_JOINTS, "pose": 22 * 6, "hand_pose": 180, "jaw": 6,
             "shape": 10, "expr": 10, "cam": 3} | {f"{part}_box": 4 for part in PARTS}  # fmt: skip

    def __init__(self, seed=0):
        super().__init__()
        self.published = self.camera_only = False
        torch.manual_seed(seed)
        self.hidden, self.layer = torch.nn.Linear(3 * 8 * 6, 64), layer()
        self.heads = torch.nn.ModuleDict({name: torch.nn.Linear(64, size) for name, size in self.sizes.items()})

    def forward(self, images, stages=False):
        hidden = torch.tanh(self.hidden(images[:, :, 32::64, 32::64].flatten(1)))
        found = {name: head(hidden) for name, head in self.heads.items()}
        depth, height, width = self.input.volume
        middle = hidden.new_tensor([width, height, depth]) / 2
        boxes = {}
        for part in PARTS:
            box = found[f"{part}_box"]
            boxes |= {f"{part}_bbox_center": box[:, :2] + middle[:2], f"{part}_bbox_size": box[:, 2:] + 2}
        squares = {part: self._cut(boxes, part) for part in PARTS}
        joints = found["joints"].unflatten(1, (BODY_JOINTS, 3)) + middle
        places = torch.cat(found["hands"].chunk(2, 1)).unflatten(1, (HAND_JOINTS, 3)) + 4
        hands = self._both_hands(torch.cat(found["hand_pose"].chunk(2, 1)), places)
        pose = person.rotations(found["pose"] + found["pose"].new_tensor([1.0, 0, 0, 1, 0, 0]).repeat(22))
        out = {"root_pose": pose[:, :3], "body_pose": pose[:, 3:], "shape": found["shape"], "expr": found["expr"]}
        out |= {"jaw_pose": person.rotations(found["jaw"]), "transl": person.camera(found["cam"])}
        out |= {side: hands[side] for side in ("lhand_pose", "rhand_pose")}
        return boxes | self._finished(out, joints, hands, squares, lambda *stage: None)


class Oracle(torch.nn.Module):
    """Answers with the true meshes of a pack in order, ``off`` metres away; projects all into the crop's middle."""

    name, input = "oracle", geometry.PersonInput()

    def __init__(self, pack, off=(0, 0, 0)):
        super().__init__()
        self.layer, self.pack, self.off, self.next = layer(), pack, torch.tensor(off, dtype=torch.float32), 0

    def forward(self, images):
        rows = range(self.next, self.next + len(images))
        self.next += len(images)
        verts = torch.stack([self.truth(row) for row in rows]) + self.off
        out = {name: torch.full((len(rows), size), 0.1) for name, size in
               {"root_pose": 3, "body_pose": 63, "lhand_pose": 45, "rhand_pose": 45, "jaw_pose": 3, "shape": 10,
                "expr": 10, "transl": 3, "lhand_bbox": 4, "rhand_bbox": 4, "face_bbox": 4}.items()}  # fmt: skip
        middle = torch.tensor(self.input.volume[:0:-1]) / 2
        return out | {"verts": verts, "joints144_proj": middle.expand(len(rows), 144, 2)}

    def truth(self, row):
        """(10475, 3)"""
        sample = self.pack[row]
        if "smplx_verts" in sample:
            return torch.from_numpy(sample["smplx_verts"])
        if not sample["smplx_valid"][0]:
            return torch.from_numpy(np.zeros((10475, 3), np.float32))
        item = Crops(self.pack, self.input, "gt")[0, row]
        return meshes_of_fits({name: torch.as_tensor(value)[None] for name, value in item["targets"].items()},
                              self.layer)[0]  # fmt: skip
