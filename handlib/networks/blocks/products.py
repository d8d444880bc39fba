"""Linear layers by whichever of two libraries is quicker on the CPU at hand.

PyTorch sends a linear layer to one library for matrix products and a 1x1 convolution to another. On CPUs that the first
was not made for it is half as fast as the second; on others it is the quicker one. Nothing tells them apart reliably,
so that a small product is timed once for each number of threads.
"""

import functools
import time

import torch
from torch.nn import functional as F

_ROWS, _WIDTH, _TURNS = 892, 768, 5  # four pictures' tokens in ViT-B
_GAIN = 0.8  # of the time, and less: what the other way must take
_WORTH = 2**28  # multiplications below which the choice makes no difference


def linear(layer, x):
    """``layer(x)`` of an nn.Linear; on a CPU where nothing is learnt possibly as a 1x1 convolution, equal but for
    rounding.
    """
    if (
        torch.is_grad_enabled()
        or x.device.type != "cpu"
        or x.dtype != torch.float32
        or layer.weight.dtype != torch.float32
        or torch.compiler.is_compiling()
        or x.numel() * layer.out_features < _WORTH
        or torch.is_autocast_enabled("cpu")
        or not convolution_is_quicker(torch.get_num_threads())
    ):
        return layer(x)
    return _as_convolution(x, layer.weight, layer.bias)


@functools.cache
def convolution_is_quicker(threads):
    """Whether 1x1 convolutions beat linear layers here by a fifth or more; measured once, in some tens of ms."""
    del threads  # part of what is remembered
    with torch.inference_mode():
        x, weight, bias = torch.ones(_ROWS, _WIDTH), torch.ones(_WIDTH, _WIDTH), torch.ones(_WIDTH)
        best = {F.linear: float("inf"), _as_convolution: float("inf")}
        for _ in range(_TURNS):
            for way in best:
                start = time.perf_counter()
                way(x, weight, bias)
                best[way] = min(best[way], time.perf_counter() - start)
    return best[_as_convolution] < _GAIN * best[F.linear]


def _as_convolution(x, weight, bias):
    pixels = x.reshape(1, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)  # channels last, nothing is copied
    return F.conv2d(pixels, weight[:, :, None, None], bias).permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)
