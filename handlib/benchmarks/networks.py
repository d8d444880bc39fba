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
    yield from forwards("digit", {8: 4.3, 1: 4.7}, BAR)
    yield from forwards("internet", {8: 2.5})


def bench_training_step():
    """No bar: the published ratio was measured on another machine, and none is asked for."""
    yield training_step("digit", 4, _digit_targets(4), 4.3, repeats=5, warm_up=4)


def forwards(name, published, bar=None):
    """Rows of a network's forward pass in eval mode without gradients, at each batch of ``published`` ({batch: ratio}).

    bar: the share of the published ratio that is good enough at batch 8; None where nothing is asked.
    """
    net, yardstick = networks.create(name).eval(), Yardstick().eval()
    for batch, ratio in published.items():
        images, plain = _pictures(net, batch)
        with torch.inference_mode():
            seconds, unit = interleaved([lambda: net(images), lambda: yardstick(plain)])  # noqa: B023 - run here
        enough = bar * ratio if bar and batch == 8 else None
        yield Row(f"{name} forward, batch {batch}", seconds, _unit(batch), unit, ratio, enough)


def training_step(name, batch, targets, published, repeats=3, warm_up=1):
    """The row of forward, loss and backward in train mode; the yardstick's batch norm stays in eval mode, as it was
    published.
    """
    net, yardstick = networks.create(name).train(), Yardstick().eval()
    images, plain = _pictures(net, batch)

    def step():
        net.zero_grad()
        net.loss(net(images), targets)["total"].backward()

    def unit_step():
        yardstick.zero_grad()
        yardstick(plain).square().mean().backward()

    seconds, unit = interleaved([step, unit_step], repeats=repeats, warm_up=warm_up)
    return Row(f"{name} training step, batch {batch}", seconds, "ResNet-50 forward + backward", unit, published)


def _pictures(net, batch):
    """For the network, and for the yardstick."""
    width, height = net.input.size
    return torch.rand(batch, 3, height, width), torch.rand(batch, 3, SIZE, SIZE)


def _unit(batch):
    return f"ResNet-50 forward, batch {batch}"


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
