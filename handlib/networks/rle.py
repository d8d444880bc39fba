"""RLE (Li et al., ICCV 2021, "Human Pose Regression with Residual Log-likelihood Estimation") in 3D, as OakInk's
benchmark trained it: ResNet-50, two linear layers, and a flow that is used by the loss alone.
"""

import math

import torch
from torch import nn

from handlib import geometry
from handlib.networks.base import KeyTable
from handlib.networks.blocks import heads
from handlib.networks.blocks.flow import RealNVP
from handlib.networks.one_hand import FrozenBackbone

JOINTS, EPS = 21, 1e-7

KEYS = {"backbone.": "preact.", "coordinates.": "fc_coord.linear.", "sigma.": "fc_sigma.", "flow.": "flow3d."}


class RegressFlow3D(FrozenBackbone):
    """(B, 3, 224, 224) RGB in 0..1 -> dict, float32:

    ``joints_uvd`` (B, 21, 3); ``sigma`` (B, 21, 3), the width predicted for each coordinate, in uvd; ``confidence``
    (B, 21), 1 - mean sigma; ``joints_uvd_unshifted`` (B, 21, 3), what the loss is taken of. The root is the wrist.

    root_shift: in eval mode all joints are moved in depth so that the wrist lies at the depth that is given for it
    (``joints_uvd`` only; in training it equals ``joints_uvd_unshifted``). The published figures were made so; it is on
    unless it is switched off.
    published: see `FrozenBackbone` and `RealNVP`; and the loss takes every joint for valid.
    """

    name = "rle"
    input = geometry.HandInput(size=(224, 224), root=0)
    keys = KeyTable(KEYS)
    signature = {"fc_coord.linear.weight": (3 * JOINTS, 2048), "flow3d.mask": (6, 3)}

    def __init__(self, published=False, freeze=None, root_shift=True):
        super().__init__(published, freeze)
        self.root_shift = root_shift
        self.coordinates = nn.Linear(2048, 3 * JOINTS)
        self.sigma = nn.Linear(2048, 3 * JOINTS)
        for layer in (self.coordinates, self.sigma):
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
        self.flow = RealNVP(published=published)

    def forward(self, images, stages=False):
        images = self.centred(images)
        layers = self.backbone(images)
        pooled = heads.full_precision(layers[-1].mean((2, 3)))
        # The direction of the features alone counts; bias after it, hence not one linear layer.
        direction = nn.functional.linear(pooled, self.coordinates.weight)
        joints = direction / (pooled.norm(dim=1, keepdim=True) + EPS) + self.coordinates.bias
        logits = heads.full_precision(self.sigma(pooled))
        joints = joints.unflatten(1, (JOINTS, 3))
        sigma = logits.sigmoid().unflatten(1, (JOINTS, 3)) + EPS
        out = {
            "joints_uvd": self._shifted(joints),
            "sigma": sigma,
            "confidence": 1 - sigma.mean(2),
            "joints_uvd_unshifted": joints,
        }
        if stages:
            out |= {"input": images, "avg_pool": pooled[..., None, None], "fc_sigma_logits": logits}
            out |= {f"layer{i + 1}": x for i, x in enumerate(layers)}
        return out

    def _shifted(self, joints):
        if self.training or not self.root_shift:
            return joints
        depth = joints[..., 2:]
        return torch.cat([joints[..., :2], depth + (0.5 - depth[:, :1])], 2)

    def log_phi(self, out, targets):
        """The flow's log-density (B, 21, 1) of the errors in units of sigma, and these errors (B, 21, 3)."""
        error = (out["joints_uvd_unshifted"] - targets["joints_uvd"]) / out["sigma"]
        return self.flow.log_prob(error.flatten(0, 1)).view(-1, JOINTS, 1), error

    def loss(self, out, targets):
        """The residual log-likelihood, summed over joints and coordinates, as ``rle`` and ``total``, per sample.

        Targets: joints_uvd (B, 21, 3), and joints_valid (B, 21): what is not valid counts as nothing (in the published
        training everything counted). ``q_log_prob`` and ``log_phi``, means, are there to be looked at.
        """
        log_phi, _ = self.log_phi(out, targets)
        valid = None if self.published else targets["joints_valid"]
        joints, sigma = out["joints_uvd_unshifted"], out["sigma"]
        loss, q = residual_log_likelihood(joints, sigma, log_phi, targets["joints_uvd"], valid)
        return {"rle": loss, "q_log_prob": q.detach(), "log_phi": log_phi.detach().mean(), "total": loss}


def residual_log_likelihood(joints, sigma, log_phi, truth, valid=None, mean=False):
    """Negative log-likelihood, summed over joints and coordinates and divided by the batch, or its ``mean``; and the
    mean of the part that the flow has no share in.

    joints, sigma, truth (B, J, 3) uvd; log_phi (B, J, 1) enters once per coordinate, as published; valid (B, J).
    """
    q = (sigma * math.sqrt(2 * math.pi)).log() + (truth - joints).abs() / (math.sqrt(2) * sigma + EPS)
    loss = sigma.log() - log_phi + q
    if valid is not None:
        loss = loss * valid[..., None]
    return loss.mean() if mean else loss.sum() / len(loss), q.mean()
