"""Cutting boxes out of pictures and feature maps, inside a network.

Boxes are (x0, y0, x1, y1). The cut is Mask R-CNN's (He et al., ICCV 2017), unaligned and with as many samples per cell
as the box has pixels, as in torchvision's ``roi_align(..., aligned=False)``.
"""

import torch

from handlib.bodies.skinning import full_precision


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
    # From the first sample that may lie in the picture on, as many as can: where a cell has several of them, they lie
    # at least half a pixel apart; where it has one, there are no more than cells.
    first = (((-1 - start) / step).ceil() - 2).clamp(min=0)
    number = first[:, None] + torch.arange(cells + 2 * pixels + 8, device=start.device)
    cell = (number / count[:, None]).floor()
    within = number - cell * count[:, None]
    place = start[:, None] + cell * width[:, None] + (within + 0.5) * step[:, None]
    counts = ((cell < cells) & (place >= -1) & (place <= pixels)).to(start.dtype)
    place = place.clamp(0, pixels - 1)
    low = place.floor().clamp(max=max(pixels - 2, 0))
    above = (place - low) * counts
    row = cell.clamp(0, cells - 1) * pixels
    index = torch.stack([row + low, row + (low + 1).clamp(max=pixels - 1)], 1).flatten(1)
    index = index.nan_to_num(0.0).long()  # a box that is not finite gives NaN, not a crash
    shares = torch.stack([counts - above, above], 1).flatten(1)
    weights = shares.new_zeros(len(start), cells * pixels).scatter_add(1, index, shares)
    return weights.unflatten(1, (cells, pixels)) / count[:, None, None]


def around(centre, size, aspect, scale):
    """A box about ``centre`` (B, 2) of ``size`` (B, 2), its short side grown to the ``aspect`` (width / height), then
    both times ``scale`` -> (B, 4). A side that is negative grows the same way, into a box with its corners exchanged.
    """
    width, height = size.unbind(1)
    wide, high = torch.maximum(width, aspect * height), torch.maximum(height, width / aspect)
    half = torch.stack([wide, high], 1) * (scale / 2)
    return torch.cat([centre - half, centre + half], 1)
