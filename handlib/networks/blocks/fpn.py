"""HandOccNet's backbone: a ResNet-50 with a feature pyramid (Lin et al., CVPR 2017), and the gate that parts hand from
occluder.
"""

import torch
from torch import nn
from torch.nn import functional as F

from handlib.networks.blocks.heads import full_precision
from handlib.networks.blocks.norms import BatchNorm
from handlib.networks.blocks.resnet import ResNet
from handlib.networks.blocks.stages import forget

SLOPE = 0.01


class FeaturePyramid(nn.Module):
    """The four layers of a ResNet-50 -> (B, 256, h / 8, w / 8).

    ``smooth2`` is in the published state, and used by nothing: its result was dropped. It has no gradient.
    ``keep(name, tensor)`` records stages; smoothing comes before pooling then, otherwise after it.
    """

    def __init__(self, width=256):
        super().__init__()
        self.top = nn.Conv2d(2048, width, 1)
        self.laterals = nn.ModuleList(nn.Conv2d(inputs, width, 1) for inputs in (1024, 512, 256))
        self.smooth2 = nn.Conv2d(width, width, 3, padding=1).requires_grad_(False)
        self.smooth3 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, layers, keep):
        finest, *_ = layers
        x = self.top(layers[3])
        keep("backbone.toplayer", x)
        for level, (lateral, layer) in enumerate(zip(self.laterals, (layers[2], layers[1], finest), strict=True)):
            y = lateral(layer)
            y += F.interpolate(x, size=y.shape[2:], mode="bilinear", align_corners=False)
            x = y
            keep(f"fpn_p{4 - level}", x)
        if keep is not forget:
            x = self.smooth3(x)
            keep("backbone.smooth3", x)
            return F.avg_pool2d(x, 2)
        # The means of 2x2 neighbours first, then the convolution of every other one: a quarter of the products.
        return F.conv2d(F.avg_pool2d(x, 2, 1, padding=1), self.smooth3.weight, self.smooth3.bias, stride=2)


class SpatialGate(nn.Module):
    """(B, C, h, w) -> logit (B, 1, h, w): large where the features are to be primary, the hand's."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x, keep):
        x = torch.stack([x.amax(1), x.mean(1)], 1)
        keep("backbone.attention_module.compress", x)
        x = self.bn(self.conv(x))
        keep("backbone.attention_module.spatial", x)
        return x


def parted(features, logit):
    """Primary and secondary features, and the mask (B, 1, h, w) in 0..1 that parts them."""
    mask = full_precision(logit).sigmoid().to(features.dtype)
    primary = features * mask
    return primary, features - primary, mask


def resnet50():
    """ResNet-50 with leaky ReLUs."""
    return ResNet(norms=(BatchNorm, BatchNorm), slope=SLOPE)
