"""Targets that need a body model: made on the batch, on the device where the network is, never while loading."""

import torch

from handlib import geometry
from handlib.training import data, people, person_hands

# By the `data.kind` of a network's ``input``: (net, targets as the crop gave them) -> those that the loss takes.
ON_BATCH = {
    (geometry.PersonInput, "body"): people.targets,
    (geometry.PersonInput, "hand"): person_hands.targets,
}
# Likewise: (net, packs) -> InputError where such targets cannot be made of these packs.
REQUIRED = {
    (geometry.PersonInput, "body"): people.require_same_body,
    (geometry.PersonInput, "hand"): person_hands.require_same_body,
}


def require(net, packs):
    """InputError where the targets of a training on these packs cannot be made by the network's body model."""
    check = REQUIRED.get(data.kind(net.input))
    if check is not None:
        check(net, packs)


def completed(net, targets):
    """The targets (B, …) of a batch as ``net.loss`` takes them; without gradients, in full precision."""
    make = ON_BATCH.get(data.kind(net.input))
    if make is None:
        return targets
    device = next(iter(targets.values())).device.type
    with torch.no_grad(), torch.autocast(device, enabled=False):
        return make(net, targets)
