"""Which finger poses are plausible, as far as a hand model says: to draw from, and to pull a fit towards.

A pose is (45,) axis-angle, radians, whole (the mean is in it), in MANO's joint order.
"""

import dataclasses

import torch

from handlib.bodies import free
from handlib.files import InputError

# Standard deviations along MANO's components, rad, where no example poses are at hand: those of the free hand's poses.
_SPREAD = (1.41, 0.73, 0.64, 0.57, 0.45, 0.33, 0.30, 0.18, 0.14, 0.12, 0.10, 0.08, 0.06, 0.06, 0.05)
NOISE = 0.08  # rad, what a joint does that the examples do not show


@dataclasses.dataclass(frozen=True)
class Poses:
    """Plausible poses of one hand model: examples (M, 45), their mean (45,) and covariance (45, 45); float64."""

    examples: torch.Tensor
    mean: torch.Tensor
    covariance: torch.Tensor

    def precision(self):
        """(45, 45): a deviation d from the mean is as improbable as ``d @ precision @ d`` is large."""
        return torch.linalg.inv(self.covariance)

    def sample(self, count, generator=None):
        """Draw (count, 45): between two examples; half of the time each finger between its own two; and noise."""
        device = self.examples.device
        draw = {"generator": generator, "device": device}
        picked = torch.randint(len(self.examples), (count, 2, 5), **draw)
        share = torch.rand(count, 5, 1, dtype=self.examples.dtype, **draw)
        whole = torch.rand(count, 1, **draw) < 0.5
        picked = torch.where(whole[:, None], picked[:, :, :1], picked)
        share = torch.where(whole[:, None], share[:, :1], share)
        fingers = self.examples.view(-1, 5, 9)
        rows = torch.arange(5, device=device)
        first, second = fingers[picked[:, 0], rows], fingers[picked[:, 1], rows]
        noise = torch.randn(count, 45, dtype=self.examples.dtype, **draw)
        return (first + share * (second - first)).flatten(1) + NOISE * noise


def of(layer, examples=None):
    """The plausible poses of a MANO layer, on its device.

    examples (M, 45): poses of a data set, M > 1. None: the free hand's own poses where the layer is the free hand;
    otherwise draws along the model's components about its mean, with the free hand's spread. InputError for others.
    """
    if examples is None:
        examples = _examples(layer)
    examples = torch.as_tensor(examples, dtype=torch.float64)
    if examples.ndim != 2 or examples.shape[1] != 45 or len(examples) < 2 or not examples.isfinite().all():
        shape = tuple(examples.shape)
        raise InputError("poses", f"are {shape}, or not finite", "give (M, 45) axis-angle, two or more", "examples")
    covariance = examples.T.cov() + NOISE**2 * torch.eye(45, dtype=torch.float64)
    device = layer.weights.device
    return Poses(examples.to(device), examples.mean(0).to(device), covariance.to(device))


def _examples(layer):
    if layer.is_free:
        return torch.stack([torch.as_tensor(pose) for pose in free.demo_poses(layer.side).values()])
    count = len(_SPREAD)
    draws = torch.randn(500, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    components = layer.components[:count].cpu().double()
    return layer.hands_mean.cpu().double() + (draws * torch.tensor(_SPREAD, dtype=torch.float64)) @ components
