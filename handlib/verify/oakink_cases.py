"""A case of OakInk's network reference, and the stand-in networks and pictures it was computed with."""

import functools

import numpy as np
import torch

from handlib import networks
from handlib.networks import i2l_meshnet
from handlib.networks.blocks.flow import RealNVP
from handlib.verify import Row, reference, standin
from handlib.verify.reference import deviation

NAMES = {
    "IntegralPose": "integral_pose",
    "RegressFlow3D": "rle",
    "I2L_MeshNet": "i2l_meshnet",
    "IKNet": "iknet",
}


@functools.lru_cache(maxsize=2)
def stand_ins(path):
    """Stand-in weights of a key file; the flow's constants and the hand model as the README says."""
    weights = standin.weights(reference.load_keys(path))
    fresh = RealNVP()
    constants = {f"flow3d.{name}": getattr(fresh, name).numpy() for name in ("loc", "cov", "mask")}
    hand = standin.mano("right")
    for name, array in weights.items():
        if name in constants:
            weights[name] = constants[name]
        elif name.startswith(i2l_meshnet.MANO_PREFIX):
            part = name.removeprefix(f"{i2l_meshnet.MANO_PREFIX}th_")
            value = np.zeros(array.shape) if part == "betas" else hand[{"faces": "f"}.get(part, part)]
            weights[name] = np.asarray(value).astype(array.dtype).reshape(array.shape)
    return {name: torch.from_numpy(array) for name, array in weights.items()}


def network(ref, model, scales=()):
    """A network as published, with stand-in weights, in eval mode."""
    net = networks._network_class(NAMES[model])(**{} if model == "IKNet" else {"published": True})
    weights = dict(stand_ins(ref.path(f"keys_{model}.json")))
    for name in scales:
        weights[name] = weights[name] * scales[name]
    networks.load_published(net, weights)
    return net.eval()


def picture(facts):
    """RGB as the network takes it, 0.5 more than what the reference fed to the published one."""
    image = standin.image(facts["standin_image"], tuple(facts["drawn_shape"]))
    image = image.repeat(facts["repeat"], 2).repeat(facts["repeat"], 3)
    return torch.from_numpy((image - np.float32(0.5)) * np.float32(facts["gain"])) + 0.5


class Case:
    """One case of the JSON with its arrays; ``array(name)`` as numpy, ``given(name)`` an input as a tensor."""

    def __init__(self, name, facts, arrays):
        self.name, self.facts, self.arrays = name, facts, arrays
        self.training = "train()" in facts.get("mode", "")

    def __contains__(self, name):
        return f"{self.name}/{name}" in self.arrays

    def array(self, name):
        return self.arrays[f"{self.name}/{name}"]

    def given(self, name):
        return torch.from_numpy(self.array(f"in/{name}"))

    def row(self, name, value, tolerance, relative=False):
        """One row if the case has the array ``name``; ``relative`` to the largest expected value."""
        if name in self:
            expected = self.array(name)
            scale = np.abs(expected).max(initial=0) or 1.0 if relative else 1.0
            yield Row(self.name, name, deviation(_numpy(value).reshape(expected.shape), expected) / scale, tolerance)

    def stages(self, tensors, tolerance):
        """Statistics and samples of tensors; ``tolerance`` relative to the largest value."""
        for name, facts in self.facts.get("stages", {}).items():
            if name in tensors:
                yield self.stage(name, tensors[name], facts, tolerance)

    def stage(self, name, tensor, facts, tolerance):
        value = _numpy(tensor).astype(np.float64)
        if list(value.shape) != facts["shape"]:
            return Row(self.name, f"{name}, shape {value.shape}", float("inf"), tolerance)
        ours = value.mean(), value.std(), value.min(), value.max()
        off = deviation(ours, [facts[key] for key in ("mean", "std", "min", "max")])
        if f"{name}/sample" in self:
            off = max(off, deviation(value.ravel()[:: facts["stride"]], self.array(f"{name}/sample")))
        return Row(self.name, name, off / (max(abs(facts["min"]), abs(facts["max"])) or 1.0), tolerance)

    def loss(self, name, value, expected, tolerance):
        off = abs(float(value.detach()) - expected) / (abs(expected) or 1.0)
        return Row(self.name, name, off, tolerance)


def _numpy(value):
    return value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def cases(ref, *kinds, file="networks"):
    """The cases whose name starts with one of ``kinds``."""
    if not ref.has(f"{file}.json"):
        return
    arrays = ref.npz(f"{file}.npz")
    for name, facts in ref.json(f"{file}.json").items():
        if name.split("/")[0] in kinds:
            yield Case(name, facts, arrays)
