"""What Hand4Whole and OSX share: boxes of hands and face, SMPL-X in front of the virtual camera, and the loss."""

import torch
from torch import nn

from handlib import bodies
from handlib.body_joints import PARTS137
from handlib.networks.base import Network
from handlib.networks.blocks import heads, person, regions, volumes
from handlib.networks.blocks.heads import full_precision

PARTS = ("lhand", "rhand", "face")
BODY_JOINTS, HAND_JOINTS = 25, 20
SCALES = {"lhand": 2.0, "rhand": 2.0, "face": 1.5}  # how much larger than the box found


class WholeBody(Network):
    """A network of one person in one crop that ends in SMPL-X. Subclasses say ``hand_volume``, cells (D, H, W) of a
    hand's own box, and have ``boxes`` (`PartBoxes`), ``layer`` (SMPL-X), ``published`` and ``camera_only``.
    """

    needs_bodies = True
    hand_volume = (8, 8, 8)

    def _cut(self, found, part):
        """The square (B, 4) that is cut out, corners in the small picture's pixels. No gradient."""
        _, height, width = self.input.volume
        unit = found[f"{part}_bbox_center"].new_tensor([person.PERSON[0] / width, person.PERSON[1] / height])
        centre, size = (found[f"{part}_bbox_{what}"].detach() * unit for what in ("center", "size"))
        return regions.around(centre, size, 1.0, SCALES[part])

    def _cells(self, box):
        """Corners in the small picture's pixels -> in cells."""
        _, height, width = self.input.volume
        return box * box.new_tensor([width / person.PERSON[0], height / person.PERSON[1]]).repeat(2)

    def _found_boxes(self, features, probability, keep):
        """Centres and sizes by their names, and {part: square (B, 4) to cut, in the small picture's pixels}."""
        found = self.boxes(features, probability.detach())
        squares = {part: self._cut(found, part) for part in PARTS}
        for part, square in squares.items():
            keep(f"{part}_box_xyxy", square)
        return found, squares

    def _finished(self, pose, joints, hands, squares, keep):
        """The answers from the pose (with ``transl``), the body's joints and the hands' (places in their boxes)."""
        out = pose | self._answer(pose)
        out |= {f"{side}_joints_img": hands[f"{side}_joints_img"] for side in ("lhand", "rhand")}
        whole = [person.out_of_box(out[f"{side}_joints_img"], self._cells(squares[side]), self.hand_volume)
                 for side in ("lhand", "rhand")]  # fmt: skip
        out["joints_img"] = torch.cat([joints, *whole], 1)
        times = self.input.size[0] / person.PERSON[0]
        boxes = {part: square * times for part, square in squares.items()}
        out |= {f"{part}_bbox": person.corners_to_xywh(box) for part, box in boxes.items()}
        self._keep_outputs(out, keep, boxes)
        return out

    def _both_hands(self, sixd, places):
        """6D rotations (2 B, 90) and places (2 B, 20, 3) of mirrored left hands, then right ones -> by our names."""
        lpose, rpose = person.rotations(sixd, self.published).chunk(2)
        lplaces, rplaces = places.chunk(2)
        return {
            "lhand_pose": person.mirrored_rotvec(lpose), "rhand_pose": rpose,
            "lhand_joints_img": person.mirrored_places(lplaces, self.hand_volume[2]), "rhand_joints_img": rplaces,
        }  # fmt: skip

    def _answer(self, pose):
        names = ("root_pose", "body_pose", "lhand_pose", "rhand_pose", "jaw_pose", "shape")
        parameters = {name: pose[name] for name in names} | {"expression": pose["expr"]}
        return person.smplx_answer(self.layer, parameters, pose["transl"], self.input.volume, self.camera_only)

    def _keep_outputs(self, out, keep, boxes):
        """The reference's own names of what is given anyway."""
        for theirs, ours in {"joint_proj": "joints_proj", "joint_cam": "joints", "mesh_cam": "verts"}.items():
            keep(theirs, out[ours])
        keep("out_joint_img", out["joints_img"])
        for part in ("root", "body", "lhand", "rhand", "jaw"):
            keep(f"out_smplx_{part}_pose", out[f"{part}_pose"])
        keep("out_cam_trans", out["transl"])
        for part, box in boxes.items():
            keep(f"out_{part}_bbox", box)

    def loss(self, out, targets):
        """Means over everything of the absolute differences below, and ``total``, their sum, as published:

        smplx_pose (root, body, left hand, right hand, jaw), smplx_shape, smplx_expr; joint_cam, metres, of samples with
        is_3D, and smplx_joint_cam; {lhand,rhand,face}_bbox, centre and size; joint_proj; joint_img (depth where is_3D)
        and smplx_joint_img, all in cells. Hands are compared in the volume of the box that was found for them, where
        their targets are in it; projected hands and face after they were moved onto what is visible of the targets.

        Targets, batch first, by these names or with the reference files' ``target_`` and ``valid_``: joint_img,
        joint_cam, smplx_joint_img, smplx_joint_cam (137, 3), the places in cells of the volume; smplx_pose (159,),
        smplx_shape, smplx_expr (10,); {lhand,rhand,face}_bbox_center, _size (2,); joint_valid, joint_trunc,
        smplx_joint_valid, smplx_joint_trunc (137, 1), smplx_pose_valid (159,), smplx_shape_valid, smplx_expr_valid,
        is_3D, {lhand,rhand,face}_bbox_valid ().
        """
        return person.means(self.elements(out, targets))

    def elements(self, out, targets):
        """What `loss` takes the means of: {term: tensor, batch first}."""
        given = person.plain(targets, out["verts"].dtype)
        pose = torch.cat([out[f"{part}_pose"] for part in ("root", "body", "lhand", "rhand", "jaw")], 1)
        named = {
            "smplx_pose": person.difference(pose, given["smplx_pose"], given["smplx_pose_valid"]),
            "smplx_shape": person.difference(out["shape"], given["smplx_shape"], given["smplx_shape_valid"]),
            "smplx_expr": person.difference(out["expr"], given["smplx_expr"], given["smplx_expr_valid"]),
        }
        known = given["joint_valid"] * given["is_3D"][:, None, None]
        named["joint_cam"] = person.difference(out["joints"], given["joint_cam"], known)
        named["smplx_joint_cam"] = person.difference(
            out["joints"], given["smplx_joint_cam"], given["smplx_joint_valid"]
        )
        for part in PARTS:
            both = (f"{part}_bbox_center", f"{part}_bbox_size")
            named[f"{part}_bbox"] = sum(
                person.difference(out[name], given[name], given[f"{part}_bbox_valid"]) for name in both
            )
        return named | self._place_elements(out, given)

    def _place_elements(self, out, given):
        hands = {side: self._box_of(out, side) for side in ("lhand", "rhand")}
        proj = [out["joints_proj"][:, PARTS137["body"]]]
        truth = {kind: in_boxes(given, kind, hands, self.input.volume, self.hand_volume) for kind in ("", "smplx_")}
        target, visible = truth[""]
        for part in PARTS:
            rows = PARTS137[part]
            points = out["joints_proj"][:, rows]
            points = person.into_box(points, hands[part], self.hand_volume) if part in hands else points
            proj.append(person.moved_onto(points, target[:, rows, :2], visible[:, rows]))
        ours = torch.cat([out["joints_img"][:, :BODY_JOINTS], out["lhand_joints_img"], out["rhand_joints_img"]], 1)
        known = slice(ours.shape[1])
        return {
            "joint_proj": person.difference(torch.cat(proj, 1), target[..., :2], visible),
            "joint_img": person.place_difference(ours, target[:, known], visible[:, known], given["is_3D"]),
            "smplx_joint_img": person.difference(ours, *(value[:, known] for value in truth["smplx_"])),
        }

    def _box_of(self, out, part):
        """Corners (B, 4) in cells of the box that was cut."""
        _, height, width = self.input.volume
        box = out[f"{part}_bbox"].detach()
        unit = box.new_tensor([width / self.input.size[0], height / self.input.size[1]])
        return torch.cat([box[:, :2] * unit, (box[:, :2] + box[:, 2:]) * unit], 1)


def smplx_layer(given):
    """The layer itself where one is given; else SMPL-X, neutral, from a folder or file (None: the free body)."""
    return given if isinstance(given, nn.Module) else bodies.load(given, "smplx_neutral")


def in_boxes(given, kind, hands, volume, cells):
    """The targets' places (B, 137, 3) and whether they count (B, 137, 1), hands in the volumes of their boxes.

    kind: "" or "smplx_", the beginning of the targets' names; hands: {part: corners in cells (B, 4)}; cells: (D, H, W)
    of a hand's volume.
    """
    places, counts = given[f"{kind}joint_img"], given[f"{kind}joint_trunc"]
    parts = [(places[:, PARTS137["body"]], counts[:, PARTS137["body"]])]
    for part, box in hands.items():
        moved = person.into_box(places[:, PARTS137[part]], box, cells, cells[0] / volume[0])
        parts.append((moved, counts[:, PARTS137[part]] * person.inside(moved, cells)))
    parts.append((places[:, PARTS137["face"]], counts[:, PARTS137["face"]]))
    return tuple(torch.cat(both, 1) for both in zip(*parts, strict=True))


class PartBoxes(nn.Module):
    """Body features (B, C, h, w) and joint probabilities -> centres and sizes of hands and face, in their cells."""

    def __init__(self, inputs, width=256):
        super().__init__()
        self.enlarge, self.centre = heads.enlarging(inputs, 3, width), nn.Conv2d(width, len(PARTS), 1)
        for part in PARTS:
            setattr(self, part, heads.linear_head(width, width, 2))

    def forward(self, features, probability):
        x = self.enlarge(torch.cat([features, probability.to(features.dtype).flatten(1, 2)], 1))
        centres = heads.expected_cell(heads.spatial_softmax(self.centre(x)))
        there = volumes.at_places(x, centres.detach())
        found = {}
        for number, part in enumerate(PARTS):
            found[f"{part}_bbox_center"] = centres[:, number] / 8  # the map is eight times as fine
            found[f"{part}_bbox_size"] = full_precision(getattr(self, part)(there[:, number]))
        return found
