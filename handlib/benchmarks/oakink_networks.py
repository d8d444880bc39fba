"""OakInk's networks: forward passes against a plain ResNet-50 of 256x256 in the same process, and what faster ways of
running them cost in accuracy (`variants`).
"""

import copy
import time

import torch

from handlib.benchmarks.networks import BAR, forwards
from handlib.networks.blocks.norms import folded
from handlib.verify import oakink_cases, reference

BATCH = 8
PUBLISHED = {"integral_pose": 0.91, "rle": 0.77, "i2l_meshnet": 3.9}  # times the yardstick at this batch, steady
SHARP = {
    "integral_pose": "IntegralPose/eval_sharp",
    "rle": "RegressFlow3D/eval_wide",
    "i2l_meshnet": "I2L_MeshNet/eval_sharp",
}


def bench_forward():
    """Forward passes in eval mode without gradients, float32, eager."""
    for name, published in PUBLISHED.items():
        yield from forwards(name, {BATCH: published}, BAR)


def variants(name, batch=BATCH, device="cpu", repeats=5):
    """Ways of running a network -> rows of (way, images/s, largest deviation of the joints in mm, of the mesh in mm).

    Deviations are from float32, eager, default memory layout, batch norm on its own, in the camera's frame; weights are
    the reference's stand-ins with outputs spread over the crop, half a metre away. A way that this machine cannot run
    says why.
    """
    net, images = _sharp(name, batch, device)
    expected = _placed(net, _plain(net, torch.contiguous_format)(images))
    ways = {
        "plain float32": lambda: _plain(net, torch.contiguous_format),
        "channels-last": lambda: _plain(net, torch.channels_last),
        "folded batch norm": lambda: _plain(folded(net), torch.contiguous_format),
        "channels-last, folded": lambda: _plain(folded(net), torch.channels_last),
        "as it comes": lambda: torch.inference_mode()(net),
        "compile": lambda: torch.inference_mode()(torch.compile(net)),
        "bfloat16": lambda: torch.autocast(device, torch.bfloat16)(torch.inference_mode()(net)),
    }
    for way, make in ways.items():
        try:
            run = make()
            off = _placed(net, run(images))
        except Exception as error:  # no compiler on this machine, for one
            yield way, f"not here: {str(error).strip().splitlines()[0][:80]}", None, None
            continue
        seconds = _median(lambda: run(images), repeats, device)  # noqa: B023 - run here
        far = {key: float((off[key] - expected[key]).norm(dim=-1).max()) * 1000 for key in expected}
        yield way, batch / seconds, far["joints_cam"], far.get("verts_cam")


def print_variants(names=tuple(PUBLISHED), batch=BATCH, device="cpu"):
    """The table of `variants`, for each network."""
    for name in names:
        print(f"\n{name}, batch {batch}, {device}\n{'':32s} {'images/s':>9s} {'joints, mm':>11s} {'mesh, mm':>9s}")
        for way, speed, joints, verts in variants(name, batch, device):
            if isinstance(speed, str):
                print(f"{way:32s} {speed}")
                continue
            print(f"{way:32s} {speed:9.1f} {joints:11.2g} {'' if verts is None else f'{verts:9.2g}'}", flush=True)


def _sharp(name, batch, device):
    case = reference.shipped("oakink").json("networks.json")[SHARP[name]]
    net = oakink_cases.network(reference.shipped("oakink"), case["model"], case["weight_scales"])
    drawn = [batch, *case["input"]["drawn_shape"][1:]]
    return net.to(device), oakink_cases.picture(case["input"] | {"drawn_shape": drawn}).to(device)


def _plain(net, layout):
    """The network without what it does of itself: no joined batch norms, no products for deconvolutions."""
    net = copy.deepcopy(net).requires_grad_(False).to(memory_format=layout)
    net.prepared = lambda images: images.contiguous(memory_format=layout)
    return torch.enable_grad()(net)  # which is what switches them off


def _placed(net, out):
    """In metres: a crop of a hand half a metre away that covers about 0.2 m."""
    joints = out["joints_uvd"]
    size = net.input.size[0]
    K = torch.tensor([[2.5 * size, 0, size / 2], [0, 2.5 * size, size / 2], [0, 0, 1]], device=joints.device)
    placed = net.place(out, K.expand(len(joints), 3, 3), joints.new_full((len(joints), 1), 0.5))
    return {name: value.float() for name, value in placed.items()}


def _median(function, repeats, device):
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        if device != "cpu":
            torch.accelerator.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeats // 2]


BENCHES = [bench_forward]
