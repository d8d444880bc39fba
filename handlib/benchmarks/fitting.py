"""The fit of the hand model to joints against a plain ResNet-50 forward of 8 pictures, on the CPU's threads.

The published fit of 64 hands took 0.478 s where that forward took 0.270 s (a loop over samples in jitted JAX).
"""

import torch

from handlib import bodies, fitting, networks
from handlib.benchmarks import Row, interleaved
from handlib.benchmarks.networks import SIZE, Yardstick
from handlib.fitting import poses

HANDS, PICTURES = 64, 8
PUBLISHED = 0.478 / 0.270
FASTER = 4  # times the published loop


def bench_fit():
    """Whole calls, joints to mesh: the published 20 steps from IKNet's pose, and the converging fit."""
    layer, net, yardstick = bodies.load(None, "mano_right"), networks.create("iknet").eval(), Yardstick().eval()
    joints, images = _joints(layer), torch.rand(PICTURES, 3, SIZE, SIZE)

    def published():
        fitting.fit(joints, layer, iknet=net, published=True)

    def converging():
        fitting.fit(joints, layer)

    def unit():
        with torch.inference_mode():
            yardstick(images)

    *seconds, one = interleaved([published, converging, unit])
    reference = f"ResNet-50 forward, batch {PICTURES}"
    yield Row(f"published fit, {HANDS} hands", seconds[0], reference, one, PUBLISHED, PUBLISHED / FASTER)
    yield Row(f"converging fit, {HANDS} hands", seconds[1], reference, one, PUBLISHED)


def _joints(layer):
    generator = torch.Generator().manual_seed(0)
    pose = torch.cat([torch.randn(HANDS, 3, generator=generator).double(), poses.of(layer).sample(HANDS, generator)], 1)
    out = layer(pose=pose, mean_added=True, transl=torch.tensor([0.0, 0.0, 0.6]))
    joints = bodies.joints21(out["verts"], out["joints"])
    return joints + 0.005 * torch.randn(joints.shape, generator=generator)


BENCHES = [bench_fit]
