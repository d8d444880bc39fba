"""Cutting boxes out of pictures and feature maps, inside a network.

Boxes are (x0, y0, x1, y1). The cut is Mask R-CNN's (He et al., ICCV 2017), unaligned and with as many samples per cell
as the box has pixels, as in torchvision's ``roi_align(..., aligned=False)``.
"""

import torch
from torch.nn import functional as F

from handlib.bodies.skinning import full_precision

_REACH = 6  # more samples than weigh on one pixel: where a cell has several, they lie half a pixel or more apart


def roi_align(features, boxes, size, index=None):
    """Features (B, C, h, w) inside boxes (N, 4) in their pixels -> (N, C, *size); size (height, width).

    index (N,): which of the B each box is of; None: the first box of the first, and so on. A cell is the mean of
    ceil(box / size) bilinear samples either way. Samples more than a pixel outside are zero, others outside take the
    border's value; a box is at least a pixel wide and high. Gradient goes to the features only. No step depends on a
    value: both ways are one product each with the samples' weights, in the features' own precision.
    """
    boxes = boxes.detach()
    boxes = boxes.float() if boxes.dtype in (torch.float16, torch.bfloat16) else boxes
    features = features if index is None else features[index]
    across, down = (
        _weights(boxes[:, axis], boxes[:, axis + 2], cells, pixels).to(features.dtype)
        for axis, cells, pixels in ((0, size[1], features.shape[3]), (1, size[0], features.shape[2]))
    )
    # In this order the long sums run along rows, and the first product leaves the smaller picture.
    with full_precision(features.device.type):
        return down[:, None] @ (features @ across.mT[:, None])


def _weights(start, end, cells, pixels):
    """How much each pixel weighs in each cell along one axis: start and end (N,) -> (N, cells, pixels)."""
    width = (end - start).clamp(min=1) / cells
    count = width.ceil()
    step = width / count
    first = start[:, None] + width[:, None] * torch.arange(cells, device=start.device) + 0.5 * step[:, None]
    pixel = torch.arange(pixels, device=start.device, dtype=start.dtype)
    step, count = step[:, None, None], count[:, None, None]
    # The samples of a cell lie at first, first + step, ...; from this one on they may weigh on the pixel.
    nearest = (((pixel - 1 - first[..., None]) / step).ceil() - 1).clamp(min=0)
    weights = torch.zeros_like(nearest)
    for number in range(_REACH):
        sample = nearest + number
        place = first[..., None] + sample * step
        inside = (sample >= 0) & (sample < count) & (place >= -1) & (place <= pixels)
        weights = weights + F.relu(1 - (place.clamp(0, pixels - 1) - pixel).abs()) * inside
    return weights / count


def around(centre, size, aspect, scale):
    """A box about ``centre`` (B, 2) of ``size`` (B, 2), its short side grown to the ``aspect`` (width / height), then
    both times ``scale`` -> (B, 4). A side that is negative grows the same way, into a box with its corners exchanged.
    """
    width, height = size.unbind(1)
    wide, high = torch.maximum(width, aspect * height), torch.maximum(height, width / aspect)
    half = torch.stack([wide, high], 1) * (scale / 2)
    return torch.cat([centre - half, centre + half], 1)
