"""ResNet (He et al., CVPR 2016) with the stride on the 3x3 convolution, under the names that ImageNet files use."""

from torch import nn
from torch.nn import functional as F

from handlib.networks.blocks.norms import normed


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut: (B, inputs, h, w) -> (B, width, h / stride, w / stride)."""

    expansion = 1

    def __init__(self, inputs, width, stride=1, norm=nn.BatchNorm2d, slope=0.0):
        super().__init__()
        self.slope = slope
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = norm(width)
        self.downsample = _shortcut(inputs, width, stride, norm)

    def forward(self, x):
        y = _activate(normed(self.conv1, self.bn1, x), self.slope)
        y = normed(self.conv2, self.bn2, y)
        y += x if self.downsample is None else normed(*self.downsample, x)
        return _activate(y, self.slope)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut: (B, inputs, h, w) -> (B, 4 width, h / stride, w / stride)."""

    expansion = 4

    def __init__(self, inputs, width, stride=1, norm=nn.BatchNorm2d, slope=0.0):
        super().__init__()
        self.slope = slope
        outputs = self.expansion * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = norm(outputs)
        self.downsample = _shortcut(inputs, outputs, stride, norm)

    def forward(self, x):
        y = _activate(normed(self.conv1, self.bn1, x), self.slope)
        y = _activate(normed(self.conv2, self.bn2, y), self.slope)
        y = normed(self.conv3, self.bn3, y)
        y += x if self.downsample is None else normed(*self.downsample, x)
        return _activate(y, self.slope)


def _shortcut(inputs, outputs, stride, norm):
    """What makes the shortcut of the block's own shape; None where it is so already."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))


def bottlenecks(inputs, width, blocks, stride=1, norms=(nn.BatchNorm2d, nn.BatchNorm2d), slope=0.0):
    """``blocks`` bottlenecks in a row; the first one has the stride, and the first of the two kinds of norm."""
    return _in_a_row(Bottleneck, inputs, width, blocks, stride, norms, slope)


def _in_a_row(block, inputs, width, blocks, stride, norms, slope):
    rest = [block(block.expansion * width, width, norm=norms[1], slope=slope) for _ in range(blocks - 1)]
    return nn.Sequential(block(inputs, width, stride, norms[0], slope), *rest)


def _activate(x, slope):
    return F.leaky_relu(x, slope, inplace=True) if slope else F.relu(x, inplace=True)


class ResNet(nn.Module):
    """ResNet without its classifier: (B, 3, h, w) -> list of the four layers' outputs.

    The outputs have 256, 512, 1024 and 2048 channels at 1/4, 1/8, 1/16 and 1/32 of the size, a fourth of that with
    basic blocks. ``blocks`` (3, 4, 6, 3) is ResNet-50; (2, 2, 2, 2) with ``block=BasicBlock`` is ResNet-18. ``norms``:
    the batch norm of the stem and of each layer's first block, and that of the other blocks. ``slope``: of the
    activations below zero, 0 for ReLU.
    """

    def __init__(self, blocks=(3, 4, 6, 3), norms=(nn.BatchNorm2d, nn.BatchNorm2d), slope=0.0, block=Bottleneck):
        super().__init__()
        self.slope = slope
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = norms[0](64)
        rest = norms, slope
        self.layer1 = _in_a_row(block, 64, 64, blocks[0], 1, *rest)
        self.layer2 = _in_a_row(block, 64 * block.expansion, 128, blocks[1], 2, *rest)
        self.layer3 = _in_a_row(block, 128 * block.expansion, 256, blocks[2], 2, *rest)
        self.layer4 = _in_a_row(block, 256 * block.expansion, 512, blocks[3], 2, *rest)

    def forward(self, images):
        return self.layers(self.stem(images))

    def stem(self, images):
        """(B, 3, h, w) -> (B, 64, h / 4, w / 4)."""
        x = _activate(normed(self.conv1, self.bn1, images), self.slope)
        return F.max_pool2d(x, 3, 2, padding=1)

    def layers(self, x):
        """The stem's output, or anything of its shape -> list of the four layers' outputs."""
        outputs = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            outputs.append(x)
        return outputs
