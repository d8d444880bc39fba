"""HandOccNet against a plain ResNet-50 of the same batch in the same process, float32, on the CPU's threads."""

import torch

from handlib import networks
from handlib.benchmarks import Row, interleaved
from handlib.benchmarks.networks import SIZE, Yardstick

BAR = 0.75  # of the published ratio
PUBLISHED = {8: 3.9, 1: 4.3}  # times the yardstick at this batch, steady
PUBLISHED_STEP = 4.1


def bench_forward():
    """Forward passes in eval mode without gradients."""
    net, yardstick = networks.create("handoccnet").eval(), Yardstick().eval()
    for batch, published in PUBLISHED.items():
        images = torch.rand(batch, 3, SIZE, SIZE)
        with torch.inference_mode():
            seconds, unit = interleaved([lambda: net(images), lambda: yardstick(images)])  # noqa: B023 - run here
        bar = BAR * published if batch == 8 else None
        reference = f"ResNet-50 forward, batch {batch}"
        yield Row(f"handoccnet forward, batch {batch}", seconds, reference, unit, published, bar)


def bench_training_step():
    """Forward, loss and backward in train mode; the yardstick's batch norm stays in eval mode, as it was published."""
    batch = 8
    net, yardstick = networks.create("handoccnet").train(), Yardstick().eval()
    images, targets = torch.rand(batch, 3, SIZE, SIZE), _targets(batch)

    def step():
        net.zero_grad()
        net.loss(net(images), targets)["total"].backward()

    def unit_step():
        yardstick.zero_grad()
        yardstick(images).square().mean().backward()

    seconds, unit = interleaved([step, unit_step], repeats=3, warm_up=1)
    name = f"handoccnet training step, batch {batch}"
    yield Row(name, seconds, "ResNet-50 forward + backward", unit, PUBLISHED_STEP)


def _targets(batch):
    return {
        "pose_from_mean": torch.randn(batch, 48) / 3,
        "shape": torch.randn(batch, 10),
        "joints_img": torch.rand(batch, 21, 2),
        "mano_valid": torch.ones(batch),
    }


BENCHES = [bench_forward, bench_training_step]
