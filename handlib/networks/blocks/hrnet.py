"""HRNet (Wang et al., TPAMI 2020), under the names that its ImageNet files use.

Branch i of a stage has ``width * 2**i`` channels at 1 / (4 * 2**i) of the picture's size.
"""

from torch import nn
from torch.nn import functional as F

from handlib.networks.blocks.resnet import BasicBlock, bottlenecks


def conv_bn(inputs, outputs, kernel=3, stride=1):
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs)]


def conv_bn_relu(inputs, outputs, stride=1):
    return nn.Sequential(*conv_bn(inputs, outputs, 3, stride), nn.ReLU(inplace=True))


class Exchange(nn.Module):
    """One module of a stage: four basic blocks on each branch, then each wanted output is the sum of all branches.

    A lower branch comes up by a 1x1 convolution and nearest-neighbour enlargement, a higher one down by 3x3
    convolutions of stride 2. ``outputs``: how many branches are wanted, from the highest on.
    """

    def __init__(self, widths, outputs):
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(w, w) for _ in range(4))) for w in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._path(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )

    @staticmethod
    def _path(widths, source, target):
        if source == target:
            return None
        if source > target:
            return nn.Sequential(*conv_bn(widths[source], widths[target], 1))
        steps = [conv_bn_relu(widths[source], widths[source], 2) for _ in range(target - source - 1)]
        return nn.Sequential(*steps, nn.Sequential(*conv_bn(widths[source], widths[target], 3, 2)))

    def forward(self, features):
        features = [branch(x) for branch, x in zip(self.branches, features, strict=True)]
        return [
            self._sum(paths, features, features[target].shape[-2:]) for target, paths in enumerate(self.fuse_layers)
        ]

    @staticmethod
    def _sum(paths, features, size):
        terms = [x if path is None else path(x) for path, x in zip(paths, features, strict=True)]
        terms = [x if x.shape[-2:] == size else F.interpolate(x, size=size, mode="nearest") for x in terms]
        total = terms[0] + terms[1]  # a new tensor: a branch itself is needed by the other sums
        for x in terms[2:]:
            total += x
        return F.relu(total, inplace=True)


class HRNet(nn.Module):
    """HRNet as it is used for pose: (B, 3, h, w) -> (B, width, h / 4, w / 4), h and w multiples of 32.

    ``keep(name, tensor)``: called with ``stem``, ``layer1``, ``stage2_b0``, ... as they come, to record them.
    """

    def __init__(self, width=32, modules=(1, 4, 3)):
        super().__init__()
        widths = [width * 2**i for i in range(4)]
        self.conv1, self.bn1 = conv_bn(3, 64, 3, 2)
        self.conv2, self.bn2 = conv_bn(64, 64, 3, 2)
        self.layer1 = bottlenecks(64, 64, 4)
        self.transition1 = nn.ModuleList([conv_bn_relu(256, widths[0]), nn.Sequential(conv_bn_relu(256, widths[1], 2))])
        self.stage2 = self._stage(widths[:2], modules[0], 2)
        self.transition2 = self._new_branch(widths, 2)
        self.stage3 = self._stage(widths[:3], modules[1], 3)
        self.transition3 = self._new_branch(widths, 3)
        self.stage4 = self._stage(widths, modules[2], 1)

    @staticmethod
    def _stage(widths, modules, outputs):
        return nn.Sequential(*(Exchange(widths, len(widths) if i < modules - 1 else outputs) for i in range(modules)))

    @staticmethod
    def _new_branch(widths, branch):
        """The existing branches pass; the new one is made from the lowest of them."""
        return nn.ModuleList([None] * branch + [nn.Sequential(conv_bn_relu(widths[branch - 1], widths[branch], 2))])

    def forward(self, images, keep=lambda name, tensor: None):
        x = F.relu(self.bn1(self.conv1(images)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        keep("stem", x)
        x = self.layer1(x)
        keep("layer1", x)
        features = self.stage2([transition(x) for transition in self.transition1])
        for i, x in enumerate(features):
            keep(f"stage2_b{i}", x)
        features = self.stage3([*features, self.transition2[-1](features[-1])])
        for i, x in enumerate(features):
            keep(f"stage3_b{i}", x)
        return self.stage4([*features, self.transition3[-1](features[-1])])[0]
