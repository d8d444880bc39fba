"""Reading numbers off heat maps, in at least float32 whatever the network ran in."""

import torch
from torch import nn


def linear_head(inputs, middle, outputs):
    return nn.Sequential(nn.Linear(inputs, middle), nn.ReLU(inplace=True), nn.Linear(middle, outputs))


def enlarging(inputs, times, width=256):
    """Transposed convolution, batch norm and ReLU, ``times`` over: (B, inputs, h, w) -> (B, width, 2^times h, ...)."""
    return enlarging_to(inputs, *[width] * times)


def enlarging_to(inputs, *widths):
    """The same with a width for each time."""
    layers = []
    for channels, width in zip((inputs, *widths), widths, strict=False):
        layers += [Enlarge(channels, width, 4, 2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Enlarge(nn.ConvTranspose2d):
    """A transposed convolution that is quicker where it narrows much: one product, and its patches added up.

    So only on a CPU, where nothing is learnt, and from four times as many channels as to: 2048 to 256 takes 0.4 times
    as long, 256 to 256 would take longer.
    """

    def forward(self, x):
        narrows = self.in_channels >= 4 * self.out_channels
        wide = x.dtype == self.weight.dtype and x.dtype in (torch.float32, torch.float64)
        if not (narrows and wide) or x.device.type != "cpu" or torch.is_grad_enabled():
            return super().forward(x)
        h, w = x.shape[2:]
        patches = x.permute(0, 2, 3, 1).reshape(len(x), h * w, -1) @ self.weight.flatten(1)
        size = [
            (n - 1) * s - 2 * p + k
            for n, s, p, k in zip((h, w), self.stride, self.padding, self.kernel_size, strict=True)
        ]
        y = nn.functional.fold(patches.mT, size, self.kernel_size, padding=self.padding, stride=self.stride)
        y = y if self.bias is None else y + self.bias[:, None, None]
        return y.contiguous(memory_format=torch.channels_last)


def initialise(module):
    """Fresh weights of what follows the backbone, as published by InterNet and those after it; for ``apply``."""
    if isinstance(module, nn.ConvTranspose2d | nn.Conv2d | nn.Conv1d | nn.Linear):
        nn.init.normal_(module.weight, std=0.01 if isinstance(module, nn.Linear) else 0.001)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def full_precision(x):
    """16-bit tensors as float32, others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def expected_index(logits):
    """(B, N) -> (B, 1): the mean of 0 .. N-1 under the soft-max of the logits."""
    probability = full_precision(logits).softmax(1)
    return (probability * torch.arange(logits.shape[1], device=logits.device)).sum(1, keepdim=True)


def spatial_softmax(heatmaps):
    """(B, J, h, w) -> same shape: soft-max over the h * w cells."""
    return full_precision(heatmaps).flatten(2).softmax(2).unflatten(2, heatmaps.shape[2:])


def expected_cell(probability):
    """(B, J, h, w) -> (B, J, 2): the mean column and row.

    Over thousands of cells single precision lets a soft-max add up to one but for a millionth, which the last cell's
    number multiplies: so what it adds up to is divided by.
    """
    columns, rows = probability.sum(2), probability.sum(3)
    means = [(part * torch.arange(part.shape[2], device=part.device)).sum(2) / part.sum(2) for part in (columns, rows)]
    return torch.stack(means, 2)
