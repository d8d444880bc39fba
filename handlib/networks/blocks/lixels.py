"""Lixels: one-dimensional heat maps per axis and point (Moon and Lee, ECCV 2020, "I2L-MeshNet")."""

import torch
from torch import nn
from torch.nn import functional as F

from handlib.networks.blocks import heads

CELLS, WIDTH = 64, 256


class LixelHead(nn.Module):
    """Features (B, 2048, 8, 8) -> places (B, points, 3) between 0 and 63: x, y, z.

    ``keep(name, tensor)``: called with ``deconv``, ``conv_x``, ``conv_y``, ``conv_z_2`` as they come, to record them.
    """

    def __init__(self, points):
        super().__init__()
        self.deconv = heads.enlarging(2048, 3, WIDTH)
        self.conv_x = nn.Sequential(nn.Conv1d(WIDTH, points, 1))
        self.conv_y = nn.Sequential(nn.Conv1d(WIDTH, points, 1))
        self.conv_z_1 = nn.Sequential(
            nn.Conv1d(2048, WIDTH * CELLS, 1), nn.BatchNorm1d(WIDTH * CELLS), nn.ReLU(inplace=True)
        )
        self.conv_z_2 = nn.Sequential(nn.Conv1d(WIDTH, points, 1))
        self.apply(heads.initialise)

    def forward(self, features, keep=lambda name, tensor: None):
        raised = self.deconv(features)
        keep("deconv", raised)
        rows, columns = _means(raised)
        lixels = {
            "conv_x": self.conv_x(rows),
            "conv_y": self.conv_y(columns),
            "conv_z_2": self.conv_z_2(self._deep(features.mean((2, 3)))),
        }
        for name, lixel in lixels.items():
            keep(name, lixel)
        probability = heads.full_precision(torch.stack(list(lixels.values()), 2)).softmax(3)
        return probability @ torch.arange(CELLS, device=features.device, dtype=probability.dtype)

    def _deep(self, pooled):
        """(B, 2048) -> (B, 256, 64). Linear: the convolution would sort its 34 million weights each time."""
        convolution, *rest = self.conv_z_1
        x = F.linear(pooled, convolution.weight[..., 0], convolution.bias)
        for layer in rest:
            x = layer(x)
        return x.unflatten(1, (WIDTH, CELLS))


def _means(x):
    """(B, C, h, w) -> its means over rows (B, C, w) and over columns (B, C, h)."""
    if x.is_contiguous():
        return x.mean(2), x.mean(3)
    # Channels-last: torch's mean takes ten times as long as the same by pooling.
    return F.avg_pool2d(x, (x.shape[2], 1)).squeeze(2), F.avg_pool2d(x, (1, x.shape[3])).squeeze(3)


def gaussians(places, sigma):
    """Places (B, J, 3) -> their bells (B, J, 3, 64) along x, y, z, 1 at the top; cell k lies at k."""
    cells = torch.arange(CELLS, device=places.device, dtype=places.dtype)
    return torch.exp(-0.5 * ((cells - places[..., None]) / sigma) ** 2)


def gaussian_volume(places, sigma):
    """Places (B, J, 3) -> (B, J, 64, 64, 64) by depth, row and column: the product of the three bells."""
    x, y, z = gaussians(places, sigma).unbind(2)
    return z[..., :, None, None] * y[..., None, :, None] * x[..., None, None, :]


def convolved_volume(places, sigma, weight):
    """The 3x3 convolution (padding 1) of a `gaussian_volume` whose channels are (joint, depth), without making it.

    weight (outputs, J * 64, 3, 3) -> (B, outputs, 64, 64). Each bell is one-dimensional, so the sums over depth, over
    the kernel's rows and over its columns can be made one after the other: exact but for rounding, and some 0.5 % of
    the dense convolution's products.
    """
    # Far tails would be denormal numbers, which take processors a hundred times as long: none below 1e-12.
    x, y, z = F.threshold(gaussians(places, sigma), 1e-12, 0.0).unbind(2)
    weight = weight.unflatten(1, (-1, CELLS))  # (outputs, J, depth, ky, kx)
    by_depth = torch.einsum("ojdkl,bjd->bjlok", weight, z)
    # Shifted copies of a bell, zero outside: [..., k, p] is the bell at p + k - 1.
    rows, columns = (F.pad(bell, (1, 1)).unfold(2, CELLS, 1).contiguous() for bell in (y, x))
    by_row = by_depth.contiguous() @ rows[:, :, None]  # (B, J, kx, outputs, y), side by side in memory for what follows
    volume = by_row.flatten(1, 2).flatten(2).mT @ columns.flatten(1, 2)
    return volume.unflatten(1, (-1, CELLS))
