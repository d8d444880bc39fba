"""Crops of a whole batch on one device, the same as one by one to the last grey level.

OpenCV interpolates in whole numbers (places in 1/32 of a pixel, weights in 1/1024), which every device computes alike;
the places, which need double precision, are worked out on the CPU: a row and a column of numbers for each crop.
"""

import collections
import concurrent.futures

import cv2
import numpy as np

from handlib import geometry
from handlib.crops import mano, person, person_hand, single

_PLACES, _STEPS = 1024, 32  # OpenCV's units per pixel: of coordinates, of interpolation


def single_hands(samples, augmentations=None, input=geometry.HandInput(), published=False, device="cpu"):  # noqa: B008
    """As `handlib.crops.single_hand`, for a list of samples and one of their augmentations (None: none at all).

    Returns {"image": float32 (B, 3, h, w) tensor on ``device``, "targets": tensors (B, ...) there, "meta": arrays
    (B, ...)}. Raises InputError as `single_hand` does.
    """
    import torch

    augmentations = augmentations or [None] * len(samples)
    views = [single.View(*pair, input, published) for pair in zip(samples, augmentations, strict=True)]
    triples = list(zip(samples, augmentations, views, strict=True))
    targets = [single.targets_of(sample, drawn, input, view) for sample, drawn, view in triples]
    meta = [single.meta_of(sample, view, its) for (sample, _, view), its in zip(triples, targets, strict=True)]
    sources = [single.source(sample, drawn, input, view) for sample, drawn, view in triples]
    crops = warp([image for image, _ in sources], np.stack([inverse for _, inverse in sources]), input.size, device)
    colours = [(1.0, 1.0, 1.0) if drawn is None else drawn.colour for drawn in augmentations]
    tables = torch.from_numpy(np.stack([single.grey_tables(colour) for colour in colours])).to(device)
    grey = torch.gather(tables, 2, crops.flatten(2)).view(crops.shape)
    return _batch(grey, _stacked(targets), _stacked(meta))


def mano_hands(samples, augmentations=None, input=geometry.ManoInput(), device="cpu"):  # noqa: B008
    """As `handlib.crops.mano_hand`, for a list of samples and one of their augmentations (None: none at all).

    Returns as `single_hands`; raises InputError as `mano_hand` does.
    """
    drawn = [one or mano.NO_AUGMENTATION for one in augmentations or [None] * len(samples)]
    views = [mano.View(*pair, input) for pair in zip(samples, drawn, strict=True)]
    targets = [mano.targets_of(*pair, input, view) for *pair, view in zip(samples, drawn, views, strict=True)]
    meta = [mano.meta_of(*pair) for pair in zip(samples, views, strict=True)]
    return _batch(_shown(samples, views, drawn, device), _stacked(targets), _stacked(meta))


def persons(samples, augmentations=None, input=geometry.PersonInput(), published=False, device="cpu"):  # noqa: B008
    """As `handlib.crops.person`, or `handlib.crops.person_hand` where ``input.part`` is "hand", for a list of samples
    and one of their augmentations (None: none at all).

    Returns as `single_hands`; raises InputError as these do.
    """
    crop = person_hand if input.part == "hand" else person
    drawn = [one or person.NO_AUGMENTATION for one in augmentations or [None] * len(samples)]
    views = [crop.View(*pair, input, published) for pair in zip(samples, drawn, strict=True)]
    if crop is person:
        targets = person.targets_of(samples, drawn, input, views)
    else:
        triples = zip(samples, drawn, views, strict=True)
        targets = _stacked([person_hand.targets_of(sample, one, input, view) for sample, one, view in triples])
    meta = [crop.meta_of(*pair) for pair in zip(samples, views, strict=True)]
    return _batch(_shown(samples, views, drawn, device), targets, _stacked(meta))


def box_crops(images, boxes, sides, input=geometry.ManoInput(), scale=None, device="cpu"):  # noqa: B008
    """As `handlib.crops.box_crop`, for N boxes at once: images (N) uint8 (h, w, 3), one for each box (the same array
    may come again), boxes (N, 4), sides (N,).

    Returns float32 (N, 3, h, w) tensor on ``device``, affine and inverse (N, 2, 3) float32 arrays.
    """
    found = [mano.box_source(*one, input, scale) for one in zip(images, boxes, sides, strict=True)]
    sources = [mano.cut(image, back, input.size) for image, back, _, _ in found]
    affines, inverses = (np.stack([one[place] for one in found]) for place in (2, 3))
    return _between_levels(sources, input.size, None, device), affines, inverses


def _stacked(items):
    return {name: np.stack([item[name] for item in items]) for name in items[0]}


def _batch(images, targets, meta):
    import torch

    on_device = {name: torch.from_numpy(values).to(images.device) for name, values in targets.items()}
    return {"image": images, "targets": on_device, "meta": meta}


def _shown(samples, views, drawn, device):
    """`mano.shown` of each sample: float32 (B, 3, h, w) tensor on ``device``. On the CPU each is decoded and warped
    by one of as many threads as OpenCV has. A loader's worker has one, and fills the memory that it hands over.
    """
    import torch

    width, height = views[0].size
    if torch.device(device).type != "cpu":
        sources = [mano.source(*pair) for pair in zip(samples, views, strict=True)]
        return _between_levels(sources, views[0].size, [one.colour for one in drawn], device)
    images = torch.empty(len(samples), 3, height, width)
    if torch.utils.data.get_worker_info() is not None:
        images.share_memory_()

    def show(sample, view, one, out):
        mano.shown(sample, view, one.colour, out)

    columns = samples, views, drawn, images.numpy()
    if (threads := min(cv2.getNumThreads(), len(samples))) > 1:
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            collections.deque(pool.map(show, *columns), 0)  # raises what the first one that failed did
    else:
        collections.deque(map(show, *columns), 0)
    return images


def _between_levels(sources, size, colours, device):
    """`mano.warped` of several (image, inverse): float32 (B, 3, h, w) in 0..1. Sums of 1/1024 grey level are exact in
    single precision, so the device does not matter.
    """
    import torch

    images, inverses = zip(*sources, strict=True)
    crops = sums(images, np.stack(inverses), size, device).float() / _PLACES
    plain = crops / crops.new_tensor(255.0)  # by a number a GPU would multiply with its inverse, which rounds otherwise
    if colours is None:
        return plain
    factors = torch.from_numpy(np.float32(colours) / np.float32(255)).to(device)[:, :, None, None]
    bare = torch.tensor([tuple(colour) == (1.0, 1.0, 1.0) for colour in colours], device=device)[:, None, None, None]
    return torch.where(bare, plain, (crops * factors).clamp(max=1))


def warp(images, inverses, size, device="cpu"):
    """Bilinear crops as ``cv2.warpAffine`` makes them with WARP_INVERSE_MAP and a black border.

    images: list of uint8 (h, w, 3) arrays; inverses (B, 2, 3) float64 crop -> image; size (w, h). Returns int64
    (B, 3, h, w) grey levels on ``device``.
    """
    return (sums(images, inverses, size, device) + _PLACES // 2) >> 10


def sums(images, inverses, size, device="cpu"):
    """`warp` before it rounds: int64 (B, 3, h, w) in 1/1024 of a grey level."""
    import torch

    height, width = (max(image.shape[axis] for image in images) for axis in range(2))
    canvas = np.zeros((len(images), height + 2, width + 2, 3), np.uint8)  # a black pixel on every side
    for place, image in zip(canvas, images, strict=True):
        place[1 : image.shape[0] + 1, 1 : image.shape[1] + 1] = image
    canvas = torch.from_numpy(canvas).to(device).permute(0, 3, 1, 2).flatten(2)
    x, y = (torch.from_numpy(part).to(device) for part in _places(inverses, size))
    across, down = x & (_STEPS - 1), y & (_STEPS - 1)
    total = 0
    for step_y, weight_y in ((0, _STEPS - down), (1, down)):
        row = ((y >> 5) + 1 + step_y).clamp(0, height + 1)
        for step_x, weight_x in ((0, _STEPS - across), (1, across)):
            column = ((x >> 5) + 1 + step_x).clamp(0, width + 1)
            at = (row * (width + 2) + column).flatten(1)[:, None].expand(-1, 3, -1)
            total = total + (weight_y * weight_x).flatten(1)[:, None] * torch.gather(canvas, 2, at)
    return total.view(len(images), 3, size[1], size[0])


def _places(inverses, size):
    """Where each crop pixel lies, x and y as int64 (B, h, w) in 1/32 pixel, rounded as OpenCV does."""
    columns, rows = np.arange(size[0]), np.arange(size[1])
    places = []
    for linear_x, linear_y, offset in np.moveaxis(inverses, 1, 0).transpose(0, 2, 1):
        along = np.rint(linear_x[:, None] * columns * _PLACES)[:, None, :]
        start = np.rint((linear_y[:, None] * rows + offset[:, None]) * _PLACES)[:, :, None]
        places.append((start.astype(np.int64) + along.astype(np.int64) + _PLACES // _STEPS // 2) >> 5)
    return places
