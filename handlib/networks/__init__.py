"""The published networks by name, and their weights from files. A network knows no data set.

A new network is one file here: a subclass of `base.Network` with its key table, and a line in ``_CLASSES``.
"""

import importlib

from handlib.files import InputError

_CLASSES = {
    "digit": ("digit", "Digit"),
    "internet": ("internet", "InterNet"),
}


def names():
    """Names of the networks, for `create`."""
    return list(_CLASSES)


def create(name, bodies=None):
    """The published architecture with fresh weights, in train mode, laid out channels-last.

    bodies: folder of the body models, for networks that end in one (None: the free ones). InputError for an unknown name.
    """
    return _create(_network_class(name), bodies)


def load(file, name=None, bodies=None):
    """A network with the weights of a checkpoint, in eval mode (``net.train()`` before training it further).

    file: a published checkpoint (.pt, .pth, .pth.tar, Lightning .ckpt) or what `save` wrote; name None: found from what the file holds.
    InputError when the file is missing, damaged, of another network, or names code that would run.
    """
    from handlib.networks import checkpoints

    state, facts = checkpoints.read(file)
    written = facts.get("network")
    if name is not None and written is not None and name != written:
        raise InputError(file, f"was written from '{written}', not '{name}'", f"leave the name out or say '{written}'", "network")
    name = name or written or _recognise(state, file)
    net = create(name, bodies)
    if written is None:
        load_published(net, state, file)
    else:
        checkpoints.fill(net, state, str, str, file)
    return net.eval()


def load_published(net, state, source="state dict"):
    """Fill ``net`` from a published state dict {name: tensor}, with or without the prefixes that frameworks add.

    All or nothing. Raises InputError that counts and names every missing, unexpected and misshapen entry.
    """
    from handlib.networks import checkpoints

    checkpoints.fill(net, state, net.keys.ours, net.keys.published, source)


def save(net, folder, facts=None):
    """Write weights.safetensors and network.json (name, hash, ``facts``: anything JSON knows) to a folder, whole or not at all."""
    from handlib.networks import checkpoints

    checkpoints.save(net, folder, facts)


def load_backbone(net, file):
    """Fill the backbone of ``net`` from an ImageNet file; returns the names in it that were not used.

    InputError when the network takes none, and naming what is missing, unknown or of another shape.
    """
    module = importlib.import_module(type(net).__module__)
    if not hasattr(module, "load_backbone"):
        raise InputError(file, f"{type(net).__name__} takes no backbone file", "leave it out", field="backbone")
    return module.load_backbone(net, file)


def _create(network, bodies):
    import torch

    from handlib.networks import heap

    heap.keep()
    net = network(bodies) if network.needs_bodies else network()
    # Channels-last convolutions are a quarter faster on CPUs and take half precision better on GPUs.
    return net.to(memory_format=torch.channels_last)


def _network_class(name):
    if name not in _CLASSES:
        raise InputError(f"network {name!r}", "there is none of this name", f"use one of {', '.join(names())}")
    module, attribute = _CLASSES[name]
    return getattr(importlib.import_module(f"handlib.networks.{module}"), attribute)


def _recognise(state, file):
    found = [name for name in names() if _network_class(name).recognises(state)]
    if len(found) != 1:
        which = f"could be {' or '.join(found)}" if found else f"is of no network here (it begins with {', '.join(list(state)[:3])})"
        raise InputError(file, which, f"give its name, one of {', '.join(names())}", field="name")
    return found[0]
