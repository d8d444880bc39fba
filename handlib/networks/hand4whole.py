"""Hand4Whole (Moon et al., CVPRW 2022, "Accurate 3D Hand Pose Estimation for Whole-Body 3D Human Mesh Estimation").

A person's SMPL-X from one crop: the body from a small picture, boxes of hands and face from its features, and from cuts
of the whole picture the hands, both seen as right ones, and the face. Wrists are turned by the hands' features.
"""

import torch
from torch import nn

from handlib import geometry
from handlib.networks import checkpoints
from handlib.networks.base import KeyTable
from handlib.networks.blocks import heads, person, regions
from handlib.networks.blocks.heads import full_precision
from handlib.networks.blocks.norms import BatchNorm
from handlib.networks.blocks.resnet import BasicBlock, ResNet
from handlib.networks.blocks.stages import forget
from handlib.networks.whole_body import BODY_JOINTS, HAND_JOINTS, PARTS, PartBoxes, WholeBody, smplx_layer

KNUCKLES = (4, 8, 12, 16)  # index, middle, ring, little
CROPS = {"hand": (256, 256), "face": (192, 192)}  # what the parts' backbones see, pixels
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


class Hand4Whole(WholeBody):
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

    def __init__(self, bodies=None, published=False):
        super().__init__()
        self.published, self.camera_only = published, False
        self.backbone, self.hand_backbone = ResNet(norms=_NORMS), ResNet(norms=_NORMS)
        self.face_backbone = ResNet((2, 2, 2, 2), norms=_NORMS, block=BasicBlock)
        self.body_joints = person.JointVolumes(BODY_JOINTS, self.input.volume)
        self.hand_joints = person.JointVolumes(HAND_JOINTS, self.hand_volume)
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
        found, squares = self._found_boxes(features, probability, keep)
        hands = self._hands(images, squares, keep)
        face = self._face(images, squares["face"], keep)
        pose = self._pose(features, joints, hands, face, keep)
        out = self._finished(pose, joints, hands, squares, keep)
        return named | found | out

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
        lfeatures, rfeatures = features.chunk(2)
        return self._both_hands(sixd, places) | {"lhand": lfeatures.flip(3), "rhand": rfeatures}

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

    def load_backbone(self, file):
        """Fill from a file of torchvision: body and hands from ResNet-50, the face from ResNet-18, whichever it is.

        Returns the names not used (the classifier's). Published: ImageNet weights V2 of ResNet-50, V1 of ResNet-18.
        """
        state, _ = checkpoints.read(file)
        if "layer1.0.conv3.weight" not in state:
            return checkpoints.load_backbone(self.face_backbone, file)
        checkpoints.load_backbone(self.hand_backbone, file)
        return checkpoints.load_backbone(self.backbone, file)


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
