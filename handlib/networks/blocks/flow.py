"""RealNVP (Dinh et al., ICLR 2017) over a few coordinates, as residual log-likelihood estimation uses it."""

import torch
from torch import nn
from torch.distributions import MultivariateNormal

SHIFT_EPS = 1e-8  # added to z by every coupling, as published


class RealNVP(nn.Module):
    """Six affine couplings over three coordinates; ``log_prob`` is the density that a normal distribution becomes.

    ``mask`` (couplings, 3): 1 where a coupling takes a coordinate in, 0 where it moves it. Against RealNVP's habit the
    shift networks ``t`` end in tanh and the scale networks ``s`` are not bounded, as published.

    published: NaN counts as 0 in z and in the log-density, so that a training that diverges goes on; otherwise NaN
    stays NaN.
    """

    def __init__(self, couplings=6, width=64, published=False):
        super().__init__()
        self.published = published
        rows = ([1.0, 1.0, 0.0], [0.0, 0.0, 1.0])
        self.register_buffer("loc", torch.zeros(3))
        self.register_buffer("cov", torch.eye(3))
        self.register_buffer("mask", torch.tensor([rows[i % 2] for i in range(couplings)]))
        self.t = nn.ModuleList(nn.Sequential(*_layers(width), nn.Tanh()) for _ in range(couplings))
        self.s = nn.ModuleList(nn.Sequential(*_layers(width)) for _ in range(couplings))
        self.apply(_nearly_nothing)

    def forward(self, z):
        """(N, 3) of the normal distribution -> (N, 3) of the flow's: first coupling to last."""
        for mask, t, s in zip(self.mask, self.t, self.s, strict=True):
            kept = z * mask
            z = kept + (1 - mask) * (z * s(kept).exp() + t(kept))
        return z

    def inverse(self, x):
        """(N, 3) -> z (N, 3) and log |dz/dx| (N,): last coupling to first."""
        z, log_det = x, x.new_zeros(len(x))
        for mask, t, s in zip(reversed(self.mask), reversed(self.t), reversed(self.s), strict=True):
            kept = z * mask
            scale = s(kept) * (1 - mask)
            z = (1 - mask) * (z - t(kept)) * (-scale).exp() + kept + SHIFT_EPS
            log_det = log_det - scale.sum(1)
        return (z.nan_to_num(0) if self.published else z), log_det

    def log_prob(self, x):
        """(N, 3) -> (N,) log-density."""
        z, log_det = self.inverse(x)
        value = MultivariateNormal(self.loc, self.cov, validate_args=False).log_prob(z) + log_det
        return value.nan_to_num(0) if self.published else value


def _layers(width):
    return nn.Linear(3, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU(), nn.Linear(width, 3)


def _nearly_nothing(module):
    """Fresh couplings hardly move anything."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight, gain=0.01)
