"""Networks against a plain ResNet-50 of the same batch in the same process, float32, on the CPU's threads.

The published ratios are those of a heap that keeps its memory; `handlib.networks.create` sets the same for both here.
"""

import torch
from torch import nn

from handlib import networks
from handlib.benchmarks import Row, interleaved
from handlib.networks.blocks.resnet import ResNet

BAR = 0.85  # of the published ratio
SIZE = 256


class Yardstick(nn.Module):
    """ResNet-50 with its classifier, as it comes: default layout, batch norm on its own, eager."""

    def __init__(self):
        super().__init__()
        self.features = ResNet()
        self.classes = nn.Linear(2048, 1000)

    def forward(self, images):
        return self.classes(self.features(images)[-1].mean((2, 3)))


def bench_forward():
    """Forward passes in eval mode without gradients."""
    yield from _forward("digit", batch=8, published=4.3, bar=BAR * 4.3)
    yield from _forward("digit", batch=1, published=4.7)
    yield from _forward("internet", batch=8, published=2.5)


def _forward(name, batch, published, bar=None):
    net, yardstick = networks.create(name).eval(), Yardstick().eval()
    images = torch.rand(batch, 3, SIZE, SIZE)
    with torch.inference_mode():
        seconds, unit = interleaved([lambda: net(images), lambda: yardstick(images)])
    reference = f"ResNet-50 forward, batch {batch}"
    yield Row(reference, unit, reference, unit)
    yield Row(f"{name} forward, batch {batch}", seconds, reference, unit, published, bar)


def bench_training_step():
    """Forward, loss and backward in train mode; the yardstick's batch norm stays in eval mode, as it was published.

    No bar: the published ratio was measured on another machine, and none is asked for.
    """
    batch = 4
    net, yardstick = networks.create("digit").train(), Yardstick().eval()
    images, targets = torch.rand(batch, 3, SIZE, SIZE), _digit_targets(batch)

    def step():
        net.zero_grad()
        net.loss(net(images), targets)["total"].backward()

    def unit_step():
        yardstick.zero_grad()
        yardstick(images).square().mean().backward()

    seconds, unit = interleaved([step, unit_step], repeats=5, warm_up=4)
    yield Row(f"digit training step, batch {batch}", seconds, "ResNet-50 forward + backward", unit, 4.3)


def _digit_targets(batch):
    return {
        "joint_coord": 64 * torch.rand(batch, 42, 3),
        "joint_valid": torch.ones(batch, 42),
        "rel_root_depth": 64 * torch.rand(batch, 1),
        "root_valid": torch.ones(batch, 1),
        "hand_type": torch.ones(batch, 2),
        "hand_type_valid": torch.ones(batch),
        "segm": torch.randint(33, (batch, 128, 128)),
        "segm_valid": torch.ones(batch),
    }


BENCHES = [bench_forward, bench_training_step]
