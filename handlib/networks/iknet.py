"""IKNet of HandTailor (Lv et al., BMVC 2021): 21 joints -> the pose of the hand model, by seven linear layers."""

import torch
from torch import nn
from torch.nn import functional as F

from handlib.networks.base import KeyTable, Network

ROOT, WRIST = 9, 0  # the joint that is taken off, and the other end of the bone that is the unit of length
WIDTHS = (63, 256, 512, 1024, 1024, 512, 256, 64)
WHOLE = "iknet."  # prefix in HandTailor's whole-network file


class IKNet(Network):
    """Joints (B, 21, 3), metres, HAND21 order, any frame -> dict, float32:

    ``pose_quat`` (B, 16, 4), unit quaternions, real part first; ``pose_flat`` (B, 48), axis-angle, joints in MANO's
    order, wrist first, whole (no mean to add); ``bone`` (B, 1), metres from joint 9 to the wrist, the unit in which the
    network sees the joints less joint 9. A right hand, as published.

    Its training was not published; see `loss`.
    """

    name = "iknet"
    keys = KeyTable({"layers.": "invk_layers."}, wrappers=("module.", "model.", WHOLE))
    signature = {"invk_layers.0.weight": (256, 63), "invk_layers.18.weight": (64, 256)}

    def __init__(self):
        super().__init__()
        layers = []
        for inputs, outputs in zip(WIDTHS, WIDTHS[1:], strict=False):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-2])

    def forward(self, joints, stages=False):
        centred, bone = normalised(joints)
        x = centred.flatten(1)
        named = {}
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if stages:
                named[f"invk_layers.{i}"] = x.clone()  # the ReLU after it works in place
        quaternions = F.normalize(x.unflatten(1, (16, 4)), dim=2, eps=1e-12)
        pose = quaternion_to_rotvec(quaternions).flatten(1)
        return named | {"pose_quat": quaternions, "pose_flat": pose, "bone": bone}

    def loss(self, out, targets):
        """Mean over hands and joints of 1 - (p . q)^2, which is sin^2 of half the angle between two rotations.

        Targets: pose_quat (B, 16, 4), unit length, either sign.
        """
        loss = 1 - (out["pose_quat"] * targets["pose_quat"]).sum(2).square().mean()
        return {"rotation": loss, "total": loss}

    def load_published(self, state, source):
        """iknet.pt, or HandTailor's whole network, of which the other parts and its hand model's arrays are dropped."""
        whole = {name: value for name, value in state.items() if WHOLE in name}
        own = {name: value for name, value in (whole or state).items() if "mano_layer" not in name}
        super().load_published(own, source)


def normalised(joints):
    """(B, 21, 3) -> the joints less joint 9, over the length of the bone to the wrist; and that length (B, 1)."""
    centred = joints - joints[:, ROOT : ROOT + 1]
    bone = centred[:, WRIST].norm(dim=1, keepdim=True)
    return centred / bone[..., None], bone


def quaternion_to_rotvec(quaternions):
    """Unit quaternions (..., 4), real part first, either sign -> axis-angle (..., 3), the short way round."""
    real, imaginary = quaternions[..., :1], quaternions[..., 1:]
    sin = imaginary.norm(dim=-1, keepdim=True)
    half = torch.where(real < 0, torch.atan2(-sin, -real), torch.atan2(sin, real))
    # angle / sin(angle / 2), 2 where there is no rotation
    small = sin < 1e-12
    return imaginary * torch.where(small, 2.0, 2 * half / torch.where(small, 1.0, sin))
