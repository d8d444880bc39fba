"""OSX-B against a plain ResNet-50 of the same batch in the same process, float32, on the CPU's threads."""

import torch

from handlib import networks
from handlib.benchmarks import Row, interleaved
from handlib.benchmarks.hand4whole import BAR, targets
from handlib.benchmarks.networks import SIZE, Yardstick

PUBLISHED = {8: 10.7, 1: 11.8}  # times the yardstick at this batch, steady
PUBLISHED_STEP = 10.6


def bench_forward():
    """Forward passes in eval mode without gradients."""
    net, yardstick = networks.create("osx_b").eval(), Yardstick().eval()
    width, height = net.input.size
    for batch, published in PUBLISHED.items():
        images, plain = torch.rand(batch, 3, height, width), torch.rand(batch, 3, SIZE, SIZE)
        with torch.inference_mode():
            seconds, unit = interleaved([lambda: net(images), lambda: yardstick(plain)])  # noqa: B023 - run here
        bar = BAR * published if batch == 8 else None
        yield Row(f"osx_b forward, batch {batch}", seconds, f"ResNet-50 forward, batch {batch}", unit, published, bar)


def bench_training_step():
    """Forward, loss and backward in train mode; the yardstick's batch norm stays in eval mode, as it was published."""
    batch = 4
    net, yardstick = networks.create("osx_b").train(), Yardstick().eval()
    width, height = net.input.size
    images, plain, given = torch.rand(batch, 3, height, width), torch.rand(batch, 3, SIZE, SIZE), targets(batch)

    def step():
        net.zero_grad()
        net.loss(net(images), given)["total"].backward()

    def unit_step():
        yardstick.zero_grad()
        yardstick(plain).square().mean().backward()

    seconds, unit = interleaved([step, unit_step], repeats=3, warm_up=1)
    yield Row(f"osx_b training step, batch {batch}", seconds, "ResNet-50 forward + backward", unit, PUBLISHED_STEP)


BENCHES = [bench_forward, bench_training_step]
