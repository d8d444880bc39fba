"""HandOccNet's heat maps of the joints, and the vector that they and the features are made into."""

import torch
from torch import nn
from torch.nn import functional as F

from handlib.networks.blocks import heads
from handlib.networks.blocks.hourglass import SLOPE, Hourglass, PreActivation
from handlib.networks.blocks.norms import BatchNorm, normed


class HeatmapHead(nn.Module):
    """(B, 256, 32, 32) -> heat maps (B, 21, 32, 32), features (B, 256, 32, 32), joints (B, 21, 2) in 0..1 of the crop.

    ``betas`` (21, 1) sharpen each joint's logits. ``uu`` and ``vv`` (32, 32): x and y of the cells' centres, constants
    that the published state has.
    """

    def __init__(self, joints=21, width=256, cells=32):
        super().__init__()
        self.hourglass, self.residual = Hourglass(width), PreActivation(width)
        self.conv, self.bn = nn.Conv2d(width, width, 1), BatchNorm(width)
        self.score = nn.Conv2d(width, joints, 1)
        self.betas = nn.Parameter(torch.ones(joints, 1))
        centres = (torch.arange(cells) + 0.5) / cells
        self.register_buffer("uu", centres.expand(cells, cells).clone())
        self.register_buffer("vv", centres[:, None].expand(cells, cells).clone())

    def forward(self, x, keep):
        x = self.hourglass(x)
        keep("hg.0", x)
        x = self.residual(x)
        keep("res.0", x)
        x = F.leaky_relu(normed(self.conv, self.bn, x), SLOPE, inplace=True)
        keep("fc.0", x)
        logits = self.score(x)
        keep("score.0", logits)
        heatmaps = heads.spatial_softmax(heads.full_precision(logits) * self.betas[:, :, None])
        place = torch.stack([(heatmaps * cells).sum((2, 3)) for cells in (self.uu, self.vv)], 2)
        return heatmaps, x, place


class Encoder(nn.Module):
    """Heat maps (B, 21, 32, 32) and features (B, 256, 32, 32) -> (B, 1024)."""

    def __init__(self, joints=21, width=256, halvings=4):
        super().__init__()
        self.heatmaps, self.features = nn.Conv2d(joints, width, 1), nn.Conv2d(width, width, 1)
        self.blocks = nn.ModuleList(PreActivation(width) for _ in range(2 * halvings))

    def forward(self, heatmaps, features, keep):
        x, y = self.heatmaps(heatmaps.to(features.dtype)), self.features(features)
        keep("heatmap_conv", x)
        keep("encoding_conv", y)
        x = x + y
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number % 2:
                keep(f"reg.{number}", x)
                x = F.max_pool2d(x, 2)
        x = x.flatten(1)
        keep("", x)
        return x
