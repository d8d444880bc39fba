"""From a feature vector to MANO's pose and shape and the mesh they make; and the hand model as part of a state dict."""

import numpy as np
import roma
import torch
from torch import nn
from torch.nn import functional as F

from handlib import bodies, fields
from handlib.bodies import files, free, mano
from handlib.bodies.mano import ManoLayer
from handlib.networks.blocks.heads import full_precision

SLOPE = 0.01
COMPONENTS = 6  # how many the published state carries, though no pose is given in components
ORIENTATION = 3  # values of the global orientation before the 45 of the fingers


class HandModel(nn.Module):
    """The arrays of a right hand model as a state dict has them, float32: a checkpoint brings its own hand with it.

    ``layer``: the `ManoLayer` made of them, made anew whenever a state is loaded. ``v_template`` (1, 778, 3) metres,
    ``shapedirs`` (778, 3, 10), ``posedirs`` (778, 3, 135), ``J_regressor`` (16, 778), ``weights`` (778, 16), ``faces``
    (1538, 3), ``hands_mean`` (1, 45), ``selected_comps`` (6, 45) principal components, ``betas`` (1, 10) zero.
    """

    def __init__(self, folder):
        super().__init__()
        self.layer = layer = bodies.load(folder, "mano_right")
        arrays = layer.skinning.arrays()
        for name, array in {
            "betas": torch.zeros(1, layer.shape_size),
            "shapedirs": arrays["shapedirs"],
            "posedirs": arrays["posedirs"],
            "v_template": arrays["v_template"][None],
            "J_regressor": layer.joint_regressor,
            "weights": layer.weights,
            "faces": layer.faces,
            "hands_mean": layer.hands_mean[None],
            "selected_comps": layer.components[:COMPONENTS],
        }.items():
            self.register_buffer(name, array.clone(memory_format=torch.contiguous_format))
        self.register_load_state_dict_post_hook(_loaded)

    def renew(self, source):
        """Make the layer of the arrays as they are now, in their precision; source: whose they are, for messages."""
        stored = {name: value.detach().cpu().double().numpy() for name, value in self.named_buffers(recurse=False)}
        kintree = np.array([fields.MANO16.parents, range(len(fields.MANO16))])
        arrays = {name: stored[name] for name in ("shapedirs", "posedirs", "weights", "J_regressor")}
        arrays |= {"v_template": stored["v_template"][0], "hands_mean": stored["hands_mean"][0]}
        arrays |= {"f": stored["faces"], "kintree_table": kintree, "hands_components": stored["selected_comps"]}
        if np.array_equal(np.float32(stored["v_template"][0]), np.float32(free.arrays("right")["v_template"])):
            arrays[free.MARK] = free.SOURCE
        model = files.model(arrays, source, "mano")
        layer = ManoLayer(model, "right", self.v_template.dtype, components=len(self.selected_comps))
        self.layer = layer.to(self.v_template.device)


def _loaded(hand, _):
    if not hand.v_template.is_meta:
        hand.renew("the weights that were loaded")


class ManoHead(nn.Module):
    """(B, 1024) -> dict of the pose, the shape and the hand they make; see ``forward``."""

    def __init__(self):
        super().__init__()
        self.base = nn.Sequential(
            nn.Linear(1024, 1024), nn.LeakyReLU(SLOPE, True), nn.Linear(1024, 512), nn.LeakyReLU(SLOPE, True)
        )
        self.pose, self.shape = nn.Linear(512, 16 * 6), nn.Linear(512, 10)

    @torch.no_grad()
    def start_at_mean(self):
        """Let a fresh head answer about the mean pose: from rotations of nothing, fingers begin in knots."""
        self.pose.bias.copy_(torch.eye(3, 2).T.flatten().repeat(16))

    def forward(self, features, layer, keep, published=False):
        """Rotations from the mean as matrices and as axis-angle, shape, and what ``layer`` makes of them, in metres."""
        x = self.base(features)
        keep("mano_base_layer", x)
        sixd, shape = full_precision(self.pose(x)), full_precision(self.shape(x))
        keep("pose_reg", sixd)
        keep("shape_reg", shape)
        rotations = sixd_to_rotmat(sixd.unflatten(1, (16, 6)))
        pose = roma.rotmat_to_rotvec(rotations).flatten(1)
        return {"rotations_from_mean": rotations, "pose_from_mean": pose, "shape": shape} | hand(
            layer, pose, shape, published
        )


def sixd_to_rotmat(sixd):
    """(…, 6), a matrix's first column and then its second, of any length and angle -> (…, 3, 3)."""
    return roma.special_gramschmidt(sixd.unflatten(-1, (2, 3)).mT, 1e-12)


def published_rotmat(rotvec):
    """(…, 3) -> (…, 3, 3) as the published layer does it: 1e-8 is added to every component before the angle is taken.

    The difference of some 1e-8 is nothing to a hand, but three steps of training amplify it to per cents. Not finite
    where all three components are exactly -1e-8.
    """
    angle = (rotvec + 1e-8).norm(dim=-1, keepdim=True)
    imaginary = rotvec / angle * (angle / 2).sin()
    return roma.unitquat_to_rotmat(F.normalize(torch.cat([imaginary, (angle / 2).cos()], -1), dim=-1))


def hand(layer, pose_from_mean, shape, published=False):
    """{"joints": (B, 21, 3), "verts": (B, 778, 3), "transforms": (B, 16, 4, 4)}, metres, of HandOccNet's right hand.

    published: by `published_rotmat`.
    """
    pose, kind = pose_from_mean, {"mean_added": False}
    if published:
        whole = pose + F.pad(layer.hands_mean, (ORIENTATION, 0))
        pose, kind = published_rotmat(whole.unflatten(-1, (16, 3))), {"mean_added": True, "pose_kind": "matrix"}
    made = layer(pose=pose, shape=shape, transforms=True, **kind)
    joints = mano.joints21(made["verts"], made["joints"], "handoccnet")
    return {"joints": joints, "verts": made["verts"], "transforms": made["transforms"]}
