"""Pose2Pose (Moon et al., CVPRW 2022): one part of a person, MANO, SMPL or FLAME, from its own crop.

A ResNet-50; joints from a heat volume; rotations from the features at the joints. Hand4Whole's second stage is the hand
network, whose backbone becomes that of Hand4Whole's hands (`networks.transplants`).
"""

import torch
from torch import nn
from torch.nn import functional as F

from handlib import bodies, body_joints, geometry
from handlib.bodies import mano, skinning
from handlib.networks import checkpoints
from handlib.networks.base import KeyTable, Network
from handlib.networks.blocks import heads, person
from handlib.networks.blocks.heads import full_precision
from handlib.networks.blocks.norms import BatchNorm
from handlib.networks.blocks.resnet import ResNet
from handlib.networks.blocks.stages import forget

JOINT_HEADS = {"backbone.": "backbone.", "joints.": "position_net.", "features.conv.": "rotation_net.conv."}
PARAMETERS = ("root_pose", "pose", "shape", "cam")
# SMPL's vertices that stand for joints in body-only Pose2Pose; the rest are rows of SMPL's own regressor.
SMPL_VERTICES = {
    "L_Index_1": 2274, "L_Middle_1": 2270, "L_Ring_1": 2293, "L_Pinky_1": 2173,
    "R_Index_1": 5595, "R_Middle_1": 5675, "R_Ring_1": 5636, "R_Pinky_1": 5655,
    "Nose": 331, "L_Eye": 2802, "R_Eye": 6262, "L_Ear": 3489, "R_Ear": 3990,
    "L_Big_toe": 3292, "L_Small_toe": 3313, "L_Heel": 3468, "R_Big_toe": 6691, "R_Small_toe": 6713, "R_Heel": 6858,
}  # fmt: skip


class PartKeys(KeyTable):
    """Also without the part's name that some files have before every name (``hand_backbone.``)."""

    def __init__(self, part, pairs):
        super().__init__(pairs)
        self.part = part

    def bare(self, name):
        return super().bare(name).removeprefix(f"{self.part}_")


class Pose2Pose(Network):
    """What the three have in common.

    ``camera_only``: projections teach the camera only, as where AGORA is the only training set. ``published``: with the
    published rotations of batches of three (`blocks.sixd.rotvec`).
    """

    needs_bodies = True
    span = 0.4  # metres that the part fills at most

    def __init__(self, published=False):
        super().__init__()
        self.published, self.camera_only = published, False
        self.backbone = ResNet(norms=(BatchNorm, BatchNorm))

    def camera(self, parameters):
        return person.camera(parameters, self.span, self.input.size)

    def placed(self, joints, verts, transl):
        """Joints from the first one, the projection, and the mesh before the camera."""
        seen = joints.detach() if self.camera_only else joints
        return {
            "joints": joints - joints[:, :1],
            "verts": verts + transl[:, None],
            "joints_proj": person.projected(seen, transl, self.input.volume, self.input.size),
        }

    def loss(self, out, targets):
        """{term: mean} and ``total``, their sum; see `elements`."""
        return person.means(self.elements(out, targets))

    def load_backbone(self, file):
        """Fill the ResNet-50 from torchvision's ImageNet file (published: V2); returns the names not used."""
        return checkpoints.load_backbone(self.backbone, file)


class WithJoints(Pose2Pose):
    """Hand and body: joints from a heat volume first, then rotations, shape and camera."""

    model = None  # what the targets' names begin with
    volume_joints = rotations = 0

    def __init__(self, layer, published=False):
        super().__init__(published)
        self.joints = person.JointVolumes(self.volume_joints, self.input.volume)
        self.features = person.JointFeatures()
        inputs = self.volume_joints * (person.WIDTH + 3)
        self.root_pose, self.pose = nn.Linear(inputs, 6), nn.Linear(inputs, 6 * self.rotations)
        self.shape, self.cam = nn.Linear(2048, 10), nn.Linear(2048, 3)
        for child in self.children():
            if child is not self.backbone:
                child.apply(heads.initialise)
        self.layer = layer

    def forward(self, images, stages=False):
        named = {}
        keep = named.__setitem__ if stages else forget
        features = self.backbone(self.prepared(images))[-1]
        keep("img_feat", features)
        _, places, logits = self.joints(features)
        keep("joint_logits", logits)
        at_joints, pooled = self.features(features, places.detach()).flatten(1), features.mean((2, 3))
        found = [self.root_pose(at_joints), self.pose(at_joints), self.shape(pooled), self.cam(pooled)]
        root, pose, shape, cam = (full_precision(value) for value in found)
        for name, value in {"root_pose_6d": root, "pose_6d": pose, "cam_param": cam}.items():
            keep(name, value)
        root, pose = (person.rotations(value, self.published) for value in (root, pose))
        out = {"joints_img": places, "shape": shape, "transl": self.camera(cam)} | self.posed(root, pose, shape)
        out |= self.placed(out["joints"], out["verts"], out["transl"])
        if stages:
            named |= {"joint_img": places, "joint_proj": out["joints_proj"], "joint_cam": out["joints"]}
            named |= {"mesh_cam": out["verts"], "cam_trans": out["transl"]}
            named[f"out_{self.model}_pose"] = self.whole_pose(out)
        return named | out

    def elements(self, out, targets):
        """Absolute differences, by the published terms, zero where not valid; M is the model's name, mano or smpl.

        joint_img (depth where is_3D), M_joint_img, in cells of the volume; M_pose, M_shape; joint_proj; joint_cam of
        samples with is_3D and M_joint_cam, metres from the first joint. Targets by these names, or with the reference
        files' ``target_`` and ``valid_``, and joint_valid, joint_trunc, M_joint_valid, M_joint_trunc (J, 1),
        M_pose_valid, M_shape_valid (), is_3D ().
        """
        given, name = person.plain(targets, out["verts"].dtype), self.model
        truth = {key: given[key] for key in ("joint_img", f"{name}_joint_img", "joint_trunc", f"{name}_joint_trunc")}
        truth = {key: value[:, self.picked] for key, value in truth.items()}
        known = given["joint_valid"] * given["is_3D"][:, None, None]
        return {
            "joint_img": person.place_difference(
                out["joints_img"], truth["joint_img"], truth["joint_trunc"], given["is_3D"]
            ),
            f"{name}_joint_img": person.difference(
                out["joints_img"], truth[f"{name}_joint_img"], truth[f"{name}_joint_trunc"]
            ),
            f"{name}_pose": person.difference(self.whole_pose(out), given[f"{name}_pose"], given[f"{name}_pose_valid"]),
            f"{name}_shape": person.difference(out["shape"], given[f"{name}_shape"], given[f"{name}_shape_valid"]),
            "joint_proj": person.difference(out["joints_proj"], given["joint_img"][..., :2], given["joint_trunc"]),
            "joint_cam": person.difference(out["joints"], given["joint_cam"], known),
            f"{name}_joint_cam": person.difference(
                out["joints"], given[f"{name}_joint_cam"], given[f"{name}_joint_valid"]
            ),
        }


class Pose2PoseHand(WithJoints):
    """(B, 3, 256, 256) RGB in 0..1, of a right hand (a left one mirrored) -> dict, at least float32:

    ``joints`` (B, 21, 3) metres from the wrist, in HAND21 order, tips as in ``mano.TIPS["pose2pose"]``; ``verts``
    (B, 778, 3) metres before the virtual camera (`blocks.person`; principal point (128, 128)), with ``transl`` (B, 3)
    added; ``root_pose`` (B, 3), ``rhand_pose`` (B, 45) axis-angle, relative to the mean hand; ``shape`` (B, 10);
    ``joints_img`` (B, 21, 3) and ``joints_proj`` (B, 21, 2) in cells of the volume (8, 8, 8).

    bodies: folder or file of MANO (None: the free hand), or a ready right layer. It is no part of the state.
    """

    name, model = "pose2pose_hand", "mano"
    input = geometry.PersonInput(size=(256, 256), volume=(8, 8, 8), part="hand")
    keys = PartKeys("hand", JOINT_HEADS | {f"{part}.": f"rotation_net.{part}_out.0." for part in PARAMETERS})
    signature = {"rotation_net.pose_out.0.weight": (90, 10815)}
    volume_joints, rotations = 21, 15
    picked = slice(None)

    def __init__(self, bodies=None, published=False):
        super().__init__(_layer(bodies, "mano_right"), published)

    def posed(self, root, pose, shape):
        verts = self.layer(pose=torch.cat([root, pose], 1), shape=shape, mean_added=False)["verts"]
        joints = mano.joints21(verts, skinning.regressed(self.layer.joint_regressor, verts), "pose2pose")
        return {"root_pose": root, "rhand_pose": pose, "joints": joints, "verts": verts}

    def whole_pose(self, out):
        return torch.cat([out["root_pose"], out["rhand_pose"]], 1)


class Pose2PoseBody(WithJoints):
    """(B, 3, 256, 192) RGB in 0..1, one person -> dict, at least float32:

    ``joints`` (B, 33, 3) metres from the pelvis, in `body_joints.SMPL33` order; ``verts`` (B, 6890, 3) of SMPL, metres
    before the virtual camera (`blocks.person`), with ``transl`` (B, 3) added; ``root_pose`` (B, 3), ``body_pose``
    (B, 69) axis-angle, hands flat (zero); ``shape`` (B, 10); ``joints_img`` (B, 25, 3) of `body_joints.SMPL25` and
    ``joints_proj`` (B, 33, 2), in cells of the volume (8, 8, 6).

    bodies: folder or file of SMPL, or a ready neutral layer. It is no part of the state.
    """

    name, model = "pose2pose_body", "smpl"
    input = geometry.PersonInput(size=(192, 256))
    span = person.PERSON_SPAN
    keys = PartKeys("body", JOINT_HEADS | {f"{part}.": f"rotation_net.{part}_out.0." for part in PARAMETERS})
    signature = {"rotation_net.pose_out.0.weight": (126, 12875)}
    volume_joints, rotations = 25, 21
    picked = [body_joints.SMPL33.joints.index(joint) for joint in body_joints.SMPL25.joints]

    def __init__(self, bodies=None, published=False):
        super().__init__(_layer(bodies, "smpl_neutral"), published)
        names = [joint for joint in body_joints.SMPL33.joints if joint not in SMPL_VERTICES]
        self.rows = [body_joints.SMPL24.joints.index(joint) for joint in names]
        places = {joint: place for place, joint in enumerate([*names, *SMPL_VERTICES])}
        self.order = [places[joint] for joint in body_joints.SMPL33.joints]

    def posed(self, root, pose, shape):
        pose = F.pad(pose, (0, 6))
        verts = self.layer(root_pose=root, body_pose=pose, shape=shape)["verts"]
        return {"root_pose": root, "body_pose": pose, "joints": self.joints33(verts), "verts": verts}

    def joints33(self, verts):
        """Joints (B, 33, 3), `body_joints.SMPL33`, of posed meshes (B, 6890, 3)."""
        rows = skinning.regressed(self.layer.joint_regressor[self.rows], verts)
        return torch.cat([rows, verts[:, list(SMPL_VERTICES.values())]], 1)[:, self.order]

    def whole_pose(self, out):
        return torch.cat([out["root_pose"], out["body_pose"]], 1)


class Pose2PoseFace(Pose2Pose):
    """(B, 3, 256, 192) RGB in 0..1, one head -> dict, at least float32:

    ``root_pose``, ``jaw_pose`` (B, 3) axis-angle; ``shape``, ``expr`` (B, 10); ``transl`` (B, 3) metres. Where there is
    a FLAME layer also ``verts`` (B, 5023, 3) metres before the virtual camera (`blocks.person`), ``joints`` (B, 5, 3)
    metres from the first one and ``joints_proj`` (B, 5, 2) in cells of the volume (8, 8, 6).

    bodies: folder or file of FLAME, or a ready neutral layer; None: no layer, and parameters only (there is no free
    head). The published loss also compares FLAME's 68 landmarks, which need its landmark files; here only parameters
    are compared.
    """

    name = "pose2pose_face"
    input = geometry.PersonInput(size=(192, 256), part="face")
    keys = PartKeys("face", {"backbone.": "backbone."} | {
        f"{part}.": f"regressor.{part}_out.0." for part in ("pose", "shape", "expr", "cam")
    })  # fmt: skip
    signature = {"regressor.pose_out.0.weight": (12, 2048)}

    def __init__(self, bodies=None, published=False):
        super().__init__(published)
        self.pose, self.cam = nn.Linear(2048, 12), nn.Linear(2048, 3)
        self.shape, self.expr = nn.Linear(2048, 10), nn.Linear(2048, 10)
        for head in (self.pose, self.shape, self.expr, self.cam):
            head.apply(heads.initialise)
        self.layer = None if bodies is None else _layer(bodies, "flame_neutral")

    def forward(self, images, stages=False):
        named = {}
        keep = named.__setitem__ if stages else forget
        features = self.backbone(self.prepared(images))[-1]
        keep("img_feat", features)
        pooled = features.mean((2, 3))
        pose, shape, expr, cam = (full_precision(head(pooled)) for head in (self.pose, self.shape, self.expr, self.cam))
        root, jaw = pose.chunk(2, 1)
        for name, value in {"root_pose_6d": root, "jaw_pose_6d": jaw, "cam_param": cam}.items():
            keep(name, value)
        root, jaw = (person.rotations(value, self.published) for value in (root, jaw))
        transl = self.camera(cam)
        out = {"root_pose": root, "jaw_pose": jaw, "shape": shape, "expr": expr, "transl": transl}
        if self.layer is not None:
            made = self.layer(root_pose=root, jaw_pose=jaw, shape=shape, expression=expr)
            out |= self.placed(made["joints"], made["verts"], transl)
        if stages:
            named |= {"cam_trans": transl, "out_flame_root_pose": root, "out_flame_jaw_pose": jaw}
        return named | out

    def elements(self, out, targets):
        """Absolute differences of flame_root_pose, flame_jaw_pose, flame_shape and flame_expr, zero where not valid.

        Targets by these names, each with its ``_valid`` (), or with the reference files' ``target_`` and ``valid_``.
        """
        given = person.plain(targets, out["shape"].dtype)
        names = {f"flame_{name}": name for name in ("root_pose", "jaw_pose", "shape", "expr")}
        return {
            theirs: person.difference(out[ours], given[theirs], given[f"{theirs}_valid"])
            for theirs, ours in names.items()
        }


def _layer(given, name):
    """The layer itself where one is given; else the model of that name from a folder or file (None: the free one)."""
    return given if isinstance(given, nn.Module) else bodies.load(given, name)
