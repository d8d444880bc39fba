"""DIGIT's U-Net (after Ronneberger et al., MICCAI 2015): padded convolutions, bilinear up with aligned corners."""

import torch
from torch import nn
from torch.nn import functional as F


def double_conv(inputs, middle, outputs):
    """Twice 3x3 convolution with bias, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, middle, 3, padding=1), nn.BatchNorm2d(middle), nn.ReLU(inplace=True),
        nn.Conv2d(middle, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
    )  # fmt: skip


def enlarge(x):
    """(B, C, h, w) -> (B, C, 2h, 2w), bilinear, the corner pixels' centres stay in the corners."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class UNet(nn.Module):
    """(B, inputs, h, w) -> (B, outputs, h, w) over three halvings; h and w multiples of 8.

    ``keep(name, tensor)``: called with ``inc``, ``down3`` and ``up3`` to record them.
    """

    def __init__(self, inputs, outputs, widths=(64, 128, 256, 256)):
        super().__init__()
        top, *rest = widths
        self.inc = double_conv(inputs, top, top)
        self.down = nn.ModuleList(double_conv(above, w, w) for above, w in zip(widths, rest, strict=False))
        self.up = nn.ModuleList()
        below = widths[-1]
        for level in (2, 1, 0):
            joined = below + widths[level]
            below = widths[max(level - 1, 0)]
            self.up.append(double_conv(joined, joined // 2, below))
        self.outc = nn.Conv2d(top, outputs, 1)

    def forward(self, x, keep=lambda name, tensor: None):
        levels = [self.inc(x)]
        keep("inc", levels[0])
        for down in self.down:
            levels.append(down(F.max_pool2d(levels[-1], 2)))
        x = levels.pop()
        keep("down3", x)
        for up in self.up:
            x = up(torch.cat([levels.pop(), enlarge(x)], 1))
        keep("up3", x)
        return self.outc(x)
