"""Hand4Whole and hand-only Pose2Pose against a plain ResNet-50 of the same batch in the same process, float32, on the
CPU's threads.
"""

import torch

from handlib import networks
from handlib.benchmarks import Row, interleaved
from handlib.benchmarks.networks import SIZE, Yardstick

BAR = 0.8  # of the published ratio
PUBLISHED = {("hand4whole", 8): 3.8, ("hand4whole", 1): 4.2, ("pose2pose_hand", 8): 0.99}  # times the yardstick, steady
PUBLISHED_STEP = 3.9


def bench_forward():
    """Forward passes in eval mode without gradients."""
    yardstick = Yardstick().eval()
    nets = {name: networks.create(name).eval() for name in ("hand4whole", "pose2pose_hand")}
    for (name, batch), published in PUBLISHED.items():
        net = nets[name]
        width, height = net.input.size
        images, plain = torch.rand(batch, 3, height, width), torch.rand(batch, 3, SIZE, SIZE)
        with torch.inference_mode():
            seconds, unit = interleaved([lambda: net(images), lambda: yardstick(plain)])  # noqa: B023 - run here
        bar = BAR * published if (name, batch) == ("hand4whole", 8) else None
        yield Row(f"{name} forward, batch {batch}", seconds, f"ResNet-50 forward, batch {batch}", unit, published, bar)


def bench_training_step():
    """Forward, loss and backward in train mode; the yardstick's batch norm stays in eval mode, as it was published."""
    batch = 4
    net, yardstick = networks.create("hand4whole").train(), Yardstick().eval()
    width, height = net.input.size
    images, plain, given = torch.rand(batch, 3, height, width), torch.rand(batch, 3, SIZE, SIZE), targets(batch)

    def step():
        net.zero_grad()
        net.loss(net(images), given)["total"].backward()

    def unit_step():
        yardstick.zero_grad()
        yardstick(plain).square().mean().backward()

    seconds, unit = interleaved([step, unit_step], repeats=3, warm_up=1)
    name = f"hand4whole training step, batch {batch}"
    yield Row(name, seconds, "ResNet-50 forward + backward", unit, PUBLISHED_STEP)


def targets(batch):
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
