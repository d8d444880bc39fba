"""I2L-MeshNet (Moon and Lee, ECCV 2020), lixel stage, as OakInk's benchmark trained it: two ResNet-50s, one for joints
and one for the mesh.
"""

import zlib

import numpy as np
import torch
from torch import nn

from handlib import bodies, geometry
from handlib.bodies import mano
from handlib.files import InputError
from handlib.networks import checkpoints
from handlib.networks.base import KeyTable
from handlib.networks.blocks import lixels, meshes
from handlib.networks.blocks.resnet import ResNet
from handlib.networks.one_hand import OneHand

JOINTS, VERTS, SIGMA = 21, 778, 2.5
WEIGHTS = {"joint_fit": 1.0, "mesh_fit": 1.0, "mesh_joint_fit": 1.0, "mesh_normal": 0.1, "mesh_edge": 1.0}
TIPS = {published: mano.TIPS["pose2pose" if published else "manopth"] for published in (True, False)}

KEYS = {
    **{f"{part}_backbone.": f"{part}_backbone." for part in ("pose", "mesh")},
    **{f"{part}_head.": f"{part}_net." for part in ("pose", "mesh")},
    "merge.": "pose2feat.conv.",
    "parameters_head.": "param_regressor.",
    "middle_tip": "middle_tip",
    "body_mark": "body_mark",
}
MANO_PREFIX = "human_model_layer."
MANO_SHAPES = {
    "th_betas": (1, 10), "th_shapedirs": (778, 3, 10), "th_posedirs": (778, 3, 135), "th_v_template": (1, 778, 3),
    "th_J_regressor": (16, 778), "th_weights": (778, 16), "th_faces": (1538, 3), "th_hands_mean": (1, 45),
}  # fmt: skip


class I2LMeshNet(OneHand):
    """(B, 3, 256, 256) RGB in 0..1 -> dict, float32; uvd = lixel index / 64, so between 0 and 63/64:

    ``verts_uvd`` (B, 778, 3), the mesh; ``joints_from_mesh_uvd`` (B, 21, 3), the joint regressor on it;
    ``joints_uvd`` (B, 21, 3), the first head's joints, which guide the second. The root is the wrist.

    bodies: folder or file of the hand model whose joint regressor and faces are used (None: the free hand; a published
    checkpoint brings those of MANO with it, its other ``human_model_layer.*`` entries are checked and not used).
    Weights go with the hand model that they were trained with: ours refuse to load beside another one.

    published: train as published. The normal and edge losses then see nine vertices only
    (`handlib.networks.blocks.meshes.batched_corners`), and the middle finger's tip is vertex 445, though the truth has
    444. At test time the tip is the one that the weights were trained with: 445 after loading a published checkpoint,
    so that its figures come out, whatever ``published`` says.

    The published state has parts that no pass of this stage uses (the second ResNet's stem, ``parameters_head``); they
    are kept, without gradient. The published NaN to 0 in the outputs is left out.
    """

    name = "i2l_meshnet"
    input = geometry.HandInput(size=(256, 256), root=0)
    keys = KeyTable(KEYS)
    signature = {"pose2feat.conv.0.weight": (64, 1408, 3, 3), "mesh_net.conv_x.0.weight": (VERTS, 256, 1)}
    needs_bodies = True

    def __init__(self, bodies=None, published=False):
        super().__init__()
        self.published = published
        self.pose_backbone, self.mesh_backbone = ResNet(), ResNet()
        self.pose_head, self.mesh_head = lixels.LixelHead(JOINTS), lixels.LixelHead(VERTS)
        channels = 64 + JOINTS * lixels.CELLS
        self.merge = nn.Sequential(nn.Conv2d(channels, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(inplace=True))
        self.parameters_head = _ParametersHead()
        for unused in (self.parameters_head, self.mesh_backbone.conv1, self.mesh_backbone.bn1):
            unused.requires_grad_(False)
        self._take_hand(bodies, TIPS[published][2])
        self.register_load_state_dict_post_hook(_loaded)

    def _take_hand(self, folder, middle_tip):
        layer = bodies.load(folder, "mano_right")
        self.body_source = layer.source
        for name in ("faces", "joint_regressor"):
            self.register_buffer(name, getattr(layer, name), persistent=False)
        self.register_buffer("regressor21", torch.zeros(JOINTS, VERTS), persistent=False)
        self.register_buffer("middle_tip", torch.tensor(middle_tip))
        self.register_buffer("body_mark", torch.tensor(0))
        if not self.middle_tip.is_meta:
            self._set_regressor()

    def _set_regressor(self):
        """Put joints and tips into one matrix, and mark whose they are."""
        tips = [*TIPS[True]]
        tips[2] = int(self.middle_tip)
        rows = mano.joints21(torch.eye(VERTS, device=self.joint_regressor.device), self.joint_regressor, tips)
        self.regressor21.copy_(rows)
        self.body_mark.fill_(_mark(self.joint_regressor))

    def forward(self, images, stages=False):
        named = {}
        keep = named.__setitem__ if stages else lambda name, tensor: None
        images = self.centred(images)
        features = self.pose_backbone.stem(images)
        pose = self.pose_backbone.layers(features)[-1]
        joints = self.pose_head(pose, lambda name, tensor: keep(f"pose_net.{name}", tensor))
        merged = self._merged(features, joints.detach())
        mesh = self.mesh_backbone.layers(merged)[-1]
        verts = self.mesh_head(mesh, lambda name, tensor: keep(f"mesh_net.{name}", tensor))
        if stages:
            named |= {"input": images, "shared_img_feat": features, "pose2feat": merged, "mesh_coord_img": verts}
            named |= {"pose_backbone.layer4": pose, "mesh_backbone.layer4": mesh}
            named |= {"gaussian_heatmap_bjdhw": lixels.gaussian_volume(joints.detach(), SIGMA)}
        verts = verts / lixels.CELLS
        return named | {
            "verts_uvd": verts,
            "joints_from_mesh_uvd": self.regressor21 @ verts,
            "joints_uvd": joints / lixels.CELLS,
        }

    def _merged(self, features, joints):
        """(B, 64, 64, 64) of the picture's features and the joints' Gaussian volumes."""
        convolution, *rest = self.merge
        x = nn.functional.conv2d(features, convolution.weight[:, :64], convolution.bias, padding=1)
        x = x + lixels.convolved_volume(joints, SIGMA, convolution.weight[:, 64:])
        for layer in rest:
            x = layer(x)
        return x

    def place(self, out, K, root_depth):
        """The mesh in the camera's frame, and the joint regressor's joints of it (not the first head's joints).

        K (B, 3, 3) of the crop; root_depth (B, 1) metres of the wrist. Returns {"verts_cam": (B, 778, 3),
        "joints_cam": (B, 21, 3)} metres.
        """
        verts = geometry.uvd_to_xyz(out["verts_uvd"], K, root_depth, self.input)
        return {"verts_cam": verts, "joints_cam": self.regressor21 @ verts}

    def loss(self, out, targets):
        """joint_fit, mesh_fit, mesh_joint_fit, mesh_edge in lixels, mesh_normal, and ``total``, their published sum.

        Targets: joints_cam (B, 21, 3), verts_cam (B, 778, 3), K (B, 3, 3) of the crop, root_depth (B, 1), joints_valid
        (B, 21), verts_valid (B, 778). What is not valid counts as zero in means over everything. As published, the
        truth is projected from these 3D points.
        """
        camera = targets["K"], targets["root_depth"], self.input
        joints = geometry.xyz_to_uvd(targets["joints_cam"], *camera) * lixels.CELLS
        verts = geometry.xyz_to_uvd(targets["verts_cam"], *camera) * lixels.CELLS
        joints_valid, valid = targets["joints_valid"], targets["verts_valid"]
        mesh = out["verts_uvd"] * lixels.CELLS
        find, axis = (meshes.batched_corners, 1) if self.published else (meshes.corners, 2)
        ours, known = find(mesh, valid, self.faces)
        truth, _ = find(verts, valid, self.faces)
        terms = {
            "joint_fit": _distance(out["joints_uvd"] * lixels.CELLS, joints, joints_valid),
            "mesh_fit": _distance(mesh, verts, valid),
            "mesh_joint_fit": _distance(out["joints_from_mesh_uvd"] * lixels.CELLS, joints, joints_valid),
            "mesh_normal": meshes.normal_loss(ours, truth, known, axis),
            "mesh_edge": meshes.edge_loss(ours, truth, known, axis),
        }
        return terms | {"total": sum(WEIGHTS[name] * term for name, term in terms.items())}

    def load_published(self, state, source):
        """Fill from a published state: also with MANO's joint regressor and faces, and vertex 445 as middle tip."""
        own = {name: value for name, value in state.items() if not self.keys.bare(name).startswith(MANO_PREFIX)}
        hand = {self.keys.bare(name).removeprefix(MANO_PREFIX): state[name] for name in state.keys() - own.keys()}
        wrong = [name for name, value in hand.items() if MANO_SHAPES.get(name) != tuple(getattr(value, "shape", ()))]
        wrong += [f"{name} (missing)" for name in MANO_SHAPES.keys() - hand.keys()]
        if wrong:
            names = ", ".join(MANO_PREFIX + name for name in sorted(wrong))
            raise InputError(source, f"has another hand model than MANO: {names}", "give a whole published checkpoint")
        mark = torch.tensor(_mark(hand["th_J_regressor"]))
        before = self.joint_regressor.clone()
        self.joint_regressor.copy_(torch.as_tensor(hand["th_J_regressor"]))
        try:
            extras = {"middle_tip": torch.tensor(TIPS[True][2]), "body_mark": mark}
            super().load_published(own | extras, source)
        except InputError:
            self.joint_regressor.copy_(before)
            raise
        self.faces.copy_(torch.as_tensor(hand["th_faces"]))
        self.body_source = f"MANO in {source}"

    def load_backbone(self, file):
        """Fill both ResNet-50s from torchvision's ImageNet file; returns the names not used (the classifier's)."""
        checkpoints.load_backbone(self.mesh_backbone, file)
        return checkpoints.load_backbone(self.pose_backbone, file)


class _ParametersHead(nn.Module):
    """Joints to MANO parameters, of a later stage that was never published; here for the names and shapes alone."""

    def __init__(self):
        super().__init__()
        layers = [nn.Linear(63, 1024), nn.BatchNorm1d(1024), nn.ReLU(), nn.Linear(1024, 512), nn.BatchNorm1d(512)]
        self.fc = nn.Sequential(*layers)
        self.fc_pose = nn.Sequential(nn.Linear(512, 96))
        self.fc_shape = nn.Sequential(nn.Linear(512, 10))


def _distance(ours, truth, valid):
    return ((ours - truth).abs() * valid[..., None]).mean()


def _mark(regressor):
    """A number by which a joint regressor is known again, without carrying it."""
    return zlib.crc32((np.round(torch.as_tensor(regressor).cpu().numpy().astype(np.float64), 5) + 0.0).tobytes())


def _loaded(net, _):
    """After weights were loaded: they must belong to this hand model; the tip may be another one now."""
    if int(net.body_mark) != _mark(net.joint_regressor):
        raise InputError(
            "weights", f"were trained with another hand model than the {net.body_source}",
            "give the folder of theirs", field="bodies",
        )  # fmt: skip
    net._set_regressor()
