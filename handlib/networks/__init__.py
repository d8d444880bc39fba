"""The published networks by name, and their weights from files. A network knows no data set.

A new network is one file here: a subclass of `base.Network` with its key table, and a line in ``_CLASSES``.
"""

import importlib
import inspect

from handlib.files import InputError, shown
from handlib.networks import heap

_CLASSES = {
    "digit": ("digit", "Digit"),
    "internet": ("internet", "InterNet"),
    "integral_pose": ("integral_pose", "IntegralPose"),
    "rle": ("rle", "RegressFlow3D"),
    "i2l_meshnet": ("i2l_meshnet", "I2LMeshNet"),
    "iknet": ("iknet", "IKNet"),
    "handoccnet": ("handoccnet", "HandOccNet"),
    "pose2pose_hand": ("pose2pose", "Pose2PoseHand"),
    "pose2pose_body": ("pose2pose", "Pose2PoseBody"),
    "pose2pose_face": ("pose2pose", "Pose2PoseFace"),
    "hand4whole": ("hand4whole", "Hand4Whole"),
    "osx_l": ("osx", "OsxL"),
    "osx_b": ("osx", "OsxB"),
}


def names():
    """Names of the networks, for `create`."""
    return list(_CLASSES)


def create(name, bodies=None, published=False, **options):
    """The published architecture with fresh weights, in train mode.

    bodies: folder of the body models, for networks that end in one (None: the free ones). published: with the faults
    of the published training, where a network has some to choose (its docstring says which). options: others of the
    network's own, as OSX's ``decoder``. InputError for an unknown name or option, and for ``published`` where there is
    no choice. Creating one makes the process keep its heap (see `heap`).
    """
    network = _network_class(name)
    known = inspect.signature(network).parameters
    if published and "published" not in known:
        raise InputError(f"network '{name}'", "has no published faults to choose", "leave it out", field="published")
    for option in options:
        if option not in known:
            raise InputError(f"network '{name}'", f"has no option '{option}'", "leave it out", field=option)
    options |= {"published": True} if published else {}
    heap.keep()
    return network(bodies, **options) if network.needs_bodies else network(**options)


def load(file, name=None, bodies=None):
    """A network with the weights of a checkpoint, in eval mode (``net.train()`` before training it further).

    file: a published checkpoint (.pt, .pth, .pth.tar, Lightning .ckpt) or what `save` wrote; name None: found from what
    the file holds. InputError when the file is missing, damaged, of another network, or names code that would run.
    """
    from handlib.networks import checkpoints

    state, facts = checkpoints.read(file)
    written = facts.get("network")
    if written is not None and name not in (None, written):
        raise InputError(file, f"was written from '{written}', not '{name}'", "leave the name out", field="network")
    if written is not None and written not in _CLASSES:
        problem = f"was written from {shown(written)}, which this handlib has not"
        raise InputError(file, problem, "read it with the handlib that wrote it", field="network")
    name = name or written or _recognise(state, file)
    net = create(name, bodies, **_network_class(name).options(state))
    if written is None:
        load_published(net, state, file)
    else:
        checkpoints.fill(net, state, str, str, file)
    return net.eval()


def load_published(net, state, source="state dict"):
    """Fill ``net`` from a published state dict {name: tensor}, with or without the prefixes that frameworks add.

    All or nothing. Raises InputError that counts and names every missing, unexpected and misshapen entry.
    """
    net.load_published(state, source)


def save(net, folder, facts=None):
    """Write weights.safetensors and network.json (name, hash, and ``facts``) to a folder, whole or not at all."""
    from handlib.networks import checkpoints

    checkpoints.save(net, folder, facts)


def load_backbone(net, file):
    """Fill the backbone of ``net`` from an ImageNet file; returns the names in the file that were not used.

    Raises InputError when the network takes no such file, or naming what is missing or of another shape.
    """
    return net.load_backbone(file)


def _network_class(name):
    if name not in _CLASSES:
        raise InputError(f"network {name!r}", "there is none of this name", f"use one of {', '.join(names())}")
    module, attribute = _CLASSES[name]
    return getattr(importlib.import_module(f"handlib.networks.{module}"), attribute)


def _recognise(state, file):
    found = [name for name in names() if _network_class(name).recognises(state)]
    if len(found) == 1:
        return found[0]
    problem = f"fits {' and '.join(found)}" if found else f"is of no known network: {', '.join(list(state)[:3])}…"
    raise InputError(file, problem, f"give its name, one of {', '.join(names())}", field="name")
