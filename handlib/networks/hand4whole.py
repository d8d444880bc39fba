"""Hand4Whole (Moon et al., CVPRW 2022, "Accurate 3D Hand Pose Estimation for Whole-Body 3D Human Mesh Estimation").

A person's SMPL-X from one crop: the body from a small picture, boxes of hands and face from its features, and from cuts
of the whole picture the hands, both seen as right ones, and the face. Wrists are turned by the hands' features.
"""

import torch
from torch import nn

from handlib import bodies, geometry
from handlib.body_joints import PARTS137
from handlib.networks import checkpoints
from handlib.networks.base import KeyTable, Network
from handlib.networks.blocks import heads, person, regions, volumes
from handlib.networks.blocks.heads import full_precision
from handlib.networks.blocks.norms import BatchNorm
from handlib.networks.blocks.resnet import BasicBlock, ResNet
from handlib.networks.blocks.stages import forget

PARTS = ("lhand", "rhand", "face")
BODY_JOINTS, HAND_JOINTS, KNUCKLES = 25, 20, (4, 8, 12, 16)  # index, middle, ring, little
HAND_VOLUME = (8, 8, 8)
CROPS = {"hand": (256, 256), "face": (192, 192)}  # what the parts' backbones see, pixels
SCALES = {"lhand": 2.0, "rhand": 2.0, "face": 1.5}  # how much larger than the box found
_NORMS = (BatchNorm, BatchNorm)


def _keys():
    keys = {"backbone.": "backbone.", "hand_backbone.": "hand_roi_net.backbone."}
    keys |= {"face_backbone.": "face_roi_net.backbone.", "body_joints.": "body_position_net."}
    keys |= {"hand_joints.": "hand_position_net.", "boxes.enlarge.": "box_net.deconv."}
    keys |= {"boxes.centre.": "box_net.bbox_center.0."}
    keys |= {f"boxes.{part}.": f"box_net.{part}_size." for part in PARTS}
    for part in ("body", "lhand", "rhand"):
        keys[f"rotations.{part}.conv."] = f"body_rotation_net.{part}_conv."
    for part in ("root_pose", "body_pose", "shape", "cam"):
        keys[f"rotations.{part}."] = f"body_rotation_net.{part}_out.0."
    keys |= {"hand_features.conv.": "hand_rotation_net.hand_conv.", "hand_pose.": "hand_rotation_net.hand_pose_out.0."}
    return keys | {"expr.": "face_regressor.expr_out.0.", "jaw_pose.": "face_regressor.jaw_pose_out.0."}


class Hand4Whole(Network):
    """(B, 3, 512, 384) RGB in 0..1, one person -> dict, at least float32:

    ``joints`` (B, 137, 3) metres in `body_joints.SMPLX137` order, from the pelvis, hands from their wrists, face points
    from the neck; ``verts`` (B, 10475, 3) metres in the frame of the virtual camera (`blocks.person`), with ``transl``
    (B, 3) added; ``root_pose`` (B, 3), ``body_pose`` (B, 63), ``lhand_pose``, ``rhand_pose`` (B, 45), ``jaw_pose``
    (B, 3) axis-angle, hands relative to the model's mean hand; ``shape``, ``expr`` (B, 10); ``joints_img`` (B, 65, 3)
    of `body_joints.SMPLX65` in cells of the volume (8, 8, 6), the hands' depth in cells of their own; ``lhand_bbox``,
    ``rhand_bbox``, ``face_bbox`` (B, 4) x, y, w, h pixels of the crop, as they are cut.

    And what the loss is made of, in the volume's cells: ``joints_proj`` (B, 137, 2), ``joints144_proj`` (B, 144, 2),
    which AGORA's files want; ``{lhand,rhand,face}_bbox_center`` and ``_size`` (B, 2); in cells of the hands' own volume
    (8, 8, 8) ``lhand_joints_img`` and ``rhand_joints_img`` (B, 20, 3), not mirrored.

    bodies: folder or file of SMPL-X (None: the free body), or a ready layer. It is no part of the state.
    published: with the published rotations of batches of three (`blocks.sixd.rotvec`).
    ``net.camera_only = True``: projections teach the camera only, as where AGORA is the only training set.
    """

    name = "hand4whole"
    input = geometry.PersonInput()
    keys = KeyTable(_keys())
    signature = {"body_rotation_net.body_pose_out.0.weight": (126, 16995), "hand_position_net.conv.0.bias": (160,)}
    needs_bodies = True

    def __init__(self, bodies=None, published=False):
        super().__init__()
        self.published, self.camera_only = published, False
        self.backbone, self.hand_backbone = ResNet(norms=_NORMS), ResNet(norms=_NORMS)
        self.face_backbone = ResNet((2, 2, 2, 2), norms=_NORMS, block=BasicBlock)
        self.body_joints = person.JointVolumes(BODY_JOINTS, self.input.volume)
        self.hand_joints = person.JointVolumes(HAND_JOINTS, HAND_VOLUME)
        self.boxes, self.rotations = PartBoxes(2048 + BODY_JOINTS * self.input.volume[0]), BodyHead()
        self.hand_features, self.hand_pose = person.JointFeatures(), nn.Linear(HAND_JOINTS * (person.WIDTH + 3), 90)
        self.expr, self.jaw_pose = nn.Linear(512, 10), nn.Linear(512, 6)
        backbones = self.backbone, self.hand_backbone, self.face_backbone
        for child in self.children():
            if child not in backbones:
                child.apply(heads.initialise)
        self.layer = smplx_layer(bodies)

    def forward(self, images, stages=False):
        named = {}
        keep = named.__setitem__ if stages else forget
        images = self.prepared(images)
        small = self.laid_out(images[:, :, ::2, ::2])
        keep("body_img", small)
        features = self.backbone(small)[-1]
        keep("body_feat", features)
        probability, joints, _ = self.body_joints(features)
        keep("body_joint_hm", probability)
        keep("body_joint_img", joints)
        found = self.boxes(features, probability.detach(), joints.detach())
        boxes = {part: self._cut(found, part) for part in PARTS}
        for part, box in boxes.items():
            keep(f"{part}_box_xyxy", box)
        hands = self._hands(images, boxes, keep)
        face = self._face(images, boxes["face"], keep)
        pose = self._pose(features, joints, hands, face, keep)
        out = found | pose | self._answer(pose, keep)
        out |= {f"{side}_joints_img": hands[f"{side}_joints_img"] for side in ("lhand", "rhand")}
        whole = [person.out_of_box(out[f"{side}_joints_img"], self._cells(boxes[side]), HAND_VOLUME)
                 for side in ("lhand", "rhand")]  # fmt: skip
        out["joints_img"] = torch.cat([joints, *whole], 1)
        times = self.input.size[0] / person.PERSON[0]
        out |= {f"{part}_bbox": person.corners_to_xywh(box * times) for part, box in boxes.items()}
        if stages:
            self._keep_outputs(out, keep, {part: box * times for part, box in boxes.items()})
        return named | out

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

    def _regions(self, images, box, size):
        times = self.input.size[0] / person.PERSON[0]
        return regions.roi_align(images, box * times, size)

    def _hands(self, images, boxes, keep):
        """Both hands through the right hand's networks; poses, places and features as they are in the picture."""
        left, right = (self._regions(images, boxes[side], CROPS["hand"]) for side in ("lhand", "rhand"))
        crops = self.laid_out(torch.cat([left.flip(3), right]))
        keep("hand_crops", crops)
        features = self.hand_backbone(crops)[-1]
        keep("hand_feat", features)
        probability, places, _ = self.hand_joints(features)
        keep("hand_joint_hm", probability)
        keep("hand_joint_img", places)
        sixd = full_precision(self.hand_pose(self.hand_features(features, places.detach()).flatten(1)))
        keep("hand_pose_6d", sixd)
        lpose, rpose = person.rotations(sixd, self.published).chunk(2)
        lplaces, rplaces = places.chunk(2)
        lfeatures, rfeatures = features.chunk(2)
        return {
            "lhand_pose": person.mirrored_rotvec(lpose), "rhand_pose": rpose,
            "lhand_joints_img": person.mirrored_places(lplaces, HAND_VOLUME[2]), "rhand_joints_img": rplaces,
            "lhand": lfeatures.flip(3), "rhand": rfeatures,
        }  # fmt: skip

    def _face(self, images, box, keep):
        crops = self.laid_out(self._regions(images, box, CROPS["face"]))
        keep("face_crops", crops)
        features = self.face_backbone(crops)[-1]
        keep("face_feat", features)
        pooled = features.mean((2, 3))
        expr, jaw = full_precision(self.expr(pooled)), full_precision(self.jaw_pose(pooled))
        keep("jaw_pose_6d", jaw)
        return {"expr": expr, "jaw_pose": person.rotations(jaw, self.published)}

    def _pose(self, features, joints, hands, face, keep):
        knuckles = {side: hands[f"{side}_joints_img"][:, KNUCKLES].detach() for side in ("lhand", "rhand")}
        keep("lhand_feat_unflipped", hands["lhand"])
        for side, places in knuckles.items():
            keep(f"{side}_mcp_img", places)
        head = self.rotations(features, joints.detach(), hands, knuckles)
        for name in ("root_pose", "body_pose"):
            keep(f"{name}_6d", head[name])
            head[name] = person.rotations(head[name], self.published)
        keep("cam_param", head["cam"])
        transl = person.camera(head.pop("cam"))
        return head | face | {name: hands[name] for name in ("lhand_pose", "rhand_pose")} | {"transl": transl}

    def _answer(self, pose, keep):
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
        truth = {kind: in_boxes(given, kind, hands, self.input.volume) for kind in ("", "smplx_")}
        target, visible = truth[""]
        for part in PARTS:
            rows = PARTS137[part]
            points = out["joints_proj"][:, rows]
            points = person.into_box(points, hands[part], HAND_VOLUME) if part in hands else points
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

    def load_backbone(self, file):
        """Fill from a file of torchvision: body and hands from ResNet-50, the face from ResNet-18, whichever it is.

        Returns the names not used (the classifier's). Published: ImageNet weights V2 of ResNet-50, V1 of ResNet-18.
        """
        state, _ = checkpoints.read(file)
        if "layer1.0.conv3.weight" not in state:
            return checkpoints.load_backbone(self.face_backbone, file)
        checkpoints.load_backbone(self.hand_backbone, file)
        return checkpoints.load_backbone(self.backbone, file)


def smplx_layer(given):
    """The layer itself where one is given; else SMPL-X, neutral, from a folder or file (None: the free body)."""
    return given if isinstance(given, nn.Module) else bodies.load(given, "smplx_neutral")


def in_boxes(given, kind, hands, volume, cells=HAND_VOLUME):
    """The targets' places (B, 137, 3) and whether they count (B, 137, 1), hands in the volumes of their boxes.

    kind: "" or "smplx_", the beginning of the targets' names; hands: {part: corners in cells (B, 4)}.
    """
    places, counts = given[f"{kind}joint_img"], given[f"{kind}joint_trunc"]
    parts = [(places[:, PARTS137["body"]], counts[:, PARTS137["body"]])]
    for part, box in hands.items():
        moved = person.into_box(places[:, PARTS137[part]], box, cells, cells[0] / volume[0])
        parts.append((moved, counts[:, PARTS137[part]] * person.inside(moved, cells)))
    parts.append((places[:, PARTS137["face"]], counts[:, PARTS137["face"]]))
    return tuple(torch.cat(both, 1) for both in zip(*parts, strict=True))


class PartBoxes(nn.Module):
    """Body features (B, 2048, h, w) and joint probabilities -> centres and sizes of hands and face, in their cells."""

    def __init__(self, inputs, width=256):
        super().__init__()
        self.enlarge, self.centre = heads.enlarging(inputs, 3, width), nn.Conv2d(width, len(PARTS), 1)
        for part in PARTS:
            setattr(self, part, heads.linear_head(width, width, 2))

    def forward(self, features, probability, joints):
        x = self.enlarge(torch.cat([features, probability.to(features.dtype).flatten(1, 2)], 1))
        centres = heads.expected_cell(heads.spatial_softmax(self.centre(x)))
        there = volumes.at_places(x, centres.detach())
        found = {}
        for number, part in enumerate(PARTS):
            found[f"{part}_bbox_center"] = centres[:, number] / 8  # the map is eight times as fine
            found[f"{part}_bbox_size"] = full_precision(getattr(self, part)(there[:, number]))
        return found


class BodyHead(nn.Module):
    """Body features and joints, hand features and knuckles -> 6D rotations of root and body, shape, camera."""

    def __init__(self):
        super().__init__()
        self.body, self.lhand, self.rhand = (person.JointFeatures() for _ in range(3))
        inputs = (BODY_JOINTS + 2 * len(KNUCKLES)) * (person.WIDTH + 3)
        self.root_pose, self.body_pose = nn.Linear(inputs, 6), nn.Linear(inputs, 126)
        self.shape, self.cam = nn.Linear(2048, 10), nn.Linear(2048, 3)

    def forward(self, features, joints, hands, knuckles):
        parts = [self.body(features, joints)]
        parts += [getattr(self, side)(hands[side], knuckles[side]) for side in ("lhand", "rhand")]
        at_joints, pooled = torch.cat(parts, 1).flatten(1), features.mean((2, 3))
        found = {"root_pose": self.root_pose(at_joints), "body_pose": self.body_pose(at_joints)}
        found |= {"shape": self.shape(pooled), "cam": self.cam(pooled)}
        return {name: full_precision(value) for name, value in found.items()}
