"""Hand4Whole, hand-only Pose2Pose and OSX-B against a plain ResNet-50 of the same batch in the same process: float32,
on the CPU's threads.
"""

import torch

from handlib.benchmarks.networks import forwards, training_step

BAR = 0.8  # of the published ratio
PUBLISHED = {  # times the yardstick at this batch, steady
    "hand4whole": {8: 3.8, 1: 4.2},
    "osx_b": {8: 10.7, 1: 11.8},
}
PUBLISHED_STEPS = {"hand4whole": 3.9, "osx_b": 10.6}


def bench_forward():
    """Forward passes."""
    for name, published in PUBLISHED.items():
        yield from forwards(name, published, BAR)
    yield from forwards("pose2pose_hand", {8: 0.99})


def bench_training_step():
    """Forward, loss and backward."""
    for name, published in PUBLISHED_STEPS.items():
        yield training_step(name, 4, _targets(4), published)


def _targets(batch):
    """Some of everything that the loss compares."""
    sizes = {f"{kind}joint_{space}": (137, 3) for kind in ("", "smplx_") for space in ("img", "cam")}
    sizes |= {f"{kind}joint_{what}": (137, 1) for kind in ("", "smplx_") for what in ("valid", "trunc")}
    sizes |= {"smplx_pose": (159,), "smplx_pose_valid": (159,), "smplx_shape": (10,), "smplx_expr": (10,)}
    sizes |= dict.fromkeys(("smplx_shape_valid", "smplx_expr_valid", "is_3D"), ())
    for part in ("lhand", "rhand", "face"):
        sizes |= {f"{part}_bbox_center": (2,), f"{part}_bbox_size": (2,), f"{part}_bbox_valid": ()}
    weights = ("valid", "trunc", "is_3D")
    return {name: torch.ones(batch, *size) if name.endswith(weights) else torch.rand(batch, *size)
            for name, size in sizes.items()}  # fmt: skip


BENCHES = [bench_forward, bench_training_step]
