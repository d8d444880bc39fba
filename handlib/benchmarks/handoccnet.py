"""HandOccNet against a plain ResNet-50 of the same batch in the same process, float32, on the CPU's threads."""

import torch

from handlib.benchmarks.networks import forwards, training_step

BAR = 0.75  # of the published ratio
PUBLISHED, PUBLISHED_STEP = {8: 3.9, 1: 4.3}, 4.1  # times the yardstick at this batch, steady


def bench_forward():
    """Forward passes."""
    yield from forwards("handoccnet", PUBLISHED, BAR)


def bench_training_step():
    """Forward, loss and backward."""
    yield training_step("handoccnet", 8, _targets(8), PUBLISHED_STEP)


def _targets(batch):
    return {
        "pose_from_mean": torch.randn(batch, 48) / 3,
        "shape": torch.randn(batch, 10),
        "joints_img": torch.rand(batch, 21, 2),
        "mano_valid": torch.ones(batch),
    }


BENCHES = [bench_forward, bench_training_step]
