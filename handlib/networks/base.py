"""What every network has, and the table between published key names and ours."""

import torch
from torch import nn

from handlib.files import InputError
from handlib.networks import checkpoints


class KeyTable:
    """Published state-dict names <-> ours, prefix by prefix.

    ``pairs``: {our prefix: published prefix}; the first one that fits a name counts. ``wrappers``: prefixes that
    training frameworks put before the published names, dropped from the front as often as they come.
    """

    def __init__(self, pairs, wrappers=("module.", "model.")):
        self.pairs, self.wrappers = pairs, wrappers

    def bare(self, name):
        """A published name without wrappers."""
        while name.startswith(self.wrappers):
            name = name[name.index(".") + 1 :]
        return name

    def ours(self, name):
        """Our name of a published one, with or without wrappers; None when the network has no such part."""
        name = self.bare(name)
        for our, published in self.pairs.items():
            if name.startswith(published):
                return our + name.removeprefix(published)
        return None

    def published(self, name):
        """The published name (without wrappers) of one of ours. KeyError when the table lacks it."""
        for our, published in self.pairs.items():
            if name.startswith(our):
                return published + name.removeprefix(our)
        raise KeyError(name)


class Network(nn.Module):
    """A published network. ``net(images, stages=False)`` and ``net.loss(out, targets)`` give dicts of named tensors.

    Images are (B, 3, H, W) RGB in 0..1. ``stages=True`` adds the intermediate tensors that the reference files name.

    Class attributes:
        name: as in ``networks.names()``; input: the crop that it takes and the box that it answers in;
        keys: the KeyTable; signature: {published name: shape} by which a checkpoint of this network is recognised;
        needs_bodies: whether the constructor takes the folder of the body models.
    """

    name = None
    input = None
    keys = KeyTable({"": ""})
    signature = {}
    needs_bodies = False

    @classmethod
    def recognises(cls, state):
        """Whether a published state dict looks like this network's."""
        shapes = {cls.keys.bare(name): tuple(getattr(value, "shape", ())) for name, value in state.items()}
        return all(shapes.get(name) == shape for name, shape in cls.signature.items())

    @classmethod
    def options(cls, state):
        """The constructor's options, beside ``bodies``, that a state dict tells by its names (theirs or ours)."""
        return {}

    def load_published(self, state, source):
        """See `networks.load_published`; networks whose files hold more than weights say what becomes of it."""
        checkpoints.fill(self, state, self.keys.ours, self.keys.published, source)

    def load_backbone(self, file):
        """Fill the backbone from an ImageNet file; networks that take one say which."""
        raise InputError(file, f"{type(self).__name__} takes no backbone file", "leave it out", field="backbone")

    def prepared(self, images):
        """``images``, checked, in the memory layout of `laid_out`.

        InputError when the shape or the type is not the network's.
        """
        width, height = self.input.size
        if images.shape[1:] != (3, height, width) or not images.is_floating_point():
            wanted = f"give (B, 3, {height}, {width}) RGB in 0..1 as floating point numbers"
            raise InputError("images", f"are {tuple(images.shape)} {images.dtype}", wanted)
        return self.laid_out(images)

    def laid_out(self, images):
        """``images`` in the memory layout that suits what follows: channels last, unless a CPU trains.

        Channels-last convolutions take a quarter less time on a CPU. But there PyTorch sums the batch statistics of
        that layout in single precision, and through all the batch norms of a network the gradients come out wrong by
        several per cent.
        """
        training_on_cpu = self.training and images.device.type == "cpu"
        return images.contiguous(memory_format=torch.contiguous_format if training_on_cpu else torch.channels_last)
