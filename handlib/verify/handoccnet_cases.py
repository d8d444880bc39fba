"""HandOccNet's reference: the stand-in network and pictures that it was computed with, and its subsampled tensors."""

import functools

import numpy as np
import torch

from handlib import networks
from handlib.networks.handoccnet import HandOccNet
from handlib.verify import Row, reference, standin
from handlib.verify.reference import deviation

HAND_MODEL = ".mano_layer.th_"
CONSTANTS = (".uu", ".vv")
COMPONENTS = 6


@functools.lru_cache(maxsize=1)
def stand_ins(path):
    """Stand-in weights of a key file: the network's constants and the hand model as they are, all else drawn."""
    return {name: torch.from_numpy(_stand_in(name, shape, dtype)) for name, shape, dtype in reference.load_keys(path)}


def _stand_in(name, shape, dtype):
    if name.endswith(CONSTANTS):
        x = ((np.arange(shape[1]) + 0.5) / shape[1]).astype(dtype)
        return np.tile(x, (shape[0], 1)) if name.endswith(CONSTANTS[0]) else np.tile(x[:, None], shape[1])
    if HAND_MODEL not in name:
        return standin.tensor(name, shape, dtype)
    part, hand = name.rpartition(HAND_MODEL)[2], standin.mano("right")
    if part == "betas":
        return np.zeros(shape, dtype)
    value = hand["hands_components"][:COMPONENTS] if part == "selected_comps" else hand[{"faces": "f"}.get(part, part)]
    return np.asarray(value).astype(dtype).reshape(shape)


def state(ref, gains=None):
    """The published state dict; ``gains`` [[end of a name, factor], …], None for those of stages.json."""
    gains = ref.json("stages.json")["gains"] if gains is None else gains
    weights = dict(stand_ins(ref.path("keys.json")))
    for name in weights:
        for end, factor in gains:
            if name.endswith(end):
                weights[name] = weights[name] * np.float32(factor)
    return weights


def network(ref, gains=None, dtype=torch.float32, published=False):
    """The network with the weights of `state`, in eval mode."""
    net = HandOccNet(published=published).to(
        dtype
    )  # before loading: the hand model's tables are then made in this precision
    networks.load_published(net, state(ref, gains), "stand-ins")
    return net.eval()


def picture(facts):
    """The picture (B, 3, 256, 256) that a case of forward.json names."""
    image, times = standin.image(facts["image_name"], tuple(facts["drawn_shape"])), facts["repeat_each_pixel"]
    return torch.from_numpy(image.repeat(times, 2).repeat(times, 3))


def drawn(facts):
    """A tensor that stages.json names: uniform between ``low`` and ``high``, float32."""
    low, high = facts["low"], facts["high"]
    image = standin.image(facts["image_name"], tuple(facts["shape"])).astype(np.float64)
    return torch.from_numpy((low + (high - low) * image).astype(np.float32))


def compared(case, name, value, stored, facts, tolerance):
    """A Row: the stored part of a tensor, and its mean, std, min and max."""
    value = value.detach().cpu().numpy()
    if list(value.shape) != facts["shape"]:
        return Row(case, f"{name}, shape {value.shape}", float("inf"), tolerance)
    part = value[tuple(slice(None, None, stride) for stride in facts["strides"])]
    is_rotvec = facts["shape"][1:] == [48]
    off = from_turns(part, stored) if is_rotvec else deviation(part, stored)
    if not off <= tolerance:
        return Row(case, name, off, tolerance)
    value = value.astype(np.float64)
    ours = value.sum() / value.size, value.mean(), value.std(), value.min(), value.max()
    theirs = [facts["sum"] / value.size, *(facts[key] for key in ("mean", "std", "min", "max"))]
    return Row(case, name, max(off, deviation(ours, theirs)), tolerance)


def from_turns(value, expected):
    """Largest difference of axis-angle vectors (…, 3 n) as rotations near theirs: by a full turn they may differ."""
    value, expected = np.asarray(value, np.float64), np.asarray(expected, np.float64)
    if value.shape != expected.shape:
        return float("inf")
    value, expected = value.reshape(-1, 3), expected.reshape(-1, 3)
    angle = np.linalg.norm(value, axis=1, keepdims=True)
    other = value - value * (2 * np.pi / np.where(angle > 1, angle, np.inf))
    off = np.minimum(np.abs(value - expected).max(1), np.abs(other - expected).max(1))
    return float("inf") if np.isnan(off).any() else float(off.max(initial=0.0))
