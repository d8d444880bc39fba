"""Pre-activation bottlenecks and the hourglass of them (Newell et al., ECCV 2016), with leaky ReLUs, as HandOccNet has
them.
"""

from torch import nn
from torch.nn import functional as F

from handlib.networks.blocks.norms import BatchNorm, normed

SLOPE = 0.01
DEPTH = 4


class PreActivation(nn.Module):
    """Three times batch norm, leaky ReLU and convolution, beside a shortcut: (B, width, h, w) -> same shape.

    The convolutions, 1x1, 3x3 and 1x1, have a bias; the middle has half the width.
    """

    def __init__(self, width=256):
        super().__init__()
        half = width // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(width), nn.Conv2d(width, half, 1)
        self.bn2, self.conv2 = BatchNorm(half), nn.Conv2d(half, half, 3, padding=1)
        self.bn3, self.conv3 = BatchNorm(half), nn.Conv2d(half, width, 1)

    def forward(self, x):
        y = F.leaky_relu(self.bn1(x), SLOPE, inplace=True)
        y = F.leaky_relu(normed(self.conv1, self.bn2, y), SLOPE, inplace=True)
        y = F.leaky_relu(normed(self.conv2, self.bn3, y), SLOPE, inplace=True)
        y = self.conv3(y)
        y += x
        return y


class Hourglass(nn.Module):
    """(B, width, h, w) -> same shape over ``DEPTH`` halvings; h and w multiples of 2^DEPTH.

    ``levels[n]``: the innermost is 0. Each has a skip branch, a bottleneck after pooling and one before enlarging; the
    innermost has one more between these two.
    """

    def __init__(self, width=256):
        super().__init__()
        self.levels = nn.ModuleList(
            nn.ModuleList(PreActivation(width) for _ in range(3 if level else 4)) for level in range(DEPTH)
        )

    def forward(self, x):
        return self._level(DEPTH - 1, x)

    def _level(self, number, x):
        skip, down, up, *bottom = self.levels[number]
        y = down(F.max_pool2d(x, 2))
        y = self._level(number - 1, y) if number else bottom[0](y)
        y = F.interpolate(up(y), scale_factor=2.0, mode="nearest")
        return skip(x) + y
