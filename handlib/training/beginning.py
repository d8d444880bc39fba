"""What a training begins with: the recipe's network, its options, and the checkpoints that it starts from."""

import inspect

import torch

from handlib import networks, recipes
from handlib.files import InputError
from handlib.networks import checkpoints


def network(recipe, bodies=None, start=True):
    """The recipe's network before training: fresh weights from its seed, its backbone file where it names one, and
    then what it starts from (start False: not that, as where a training goes on).

    Batch norms that a network would freeze are trained where there is no such file: random weights have no statistics
    that are worth keeping.
    """
    torch.manual_seed(recipe.seed)
    known = _constructor(recipe.network)
    options = {name: value for name, value in (recipe.network_options or {}).items() if name in known}
    net = networks.create(recipe.network, bodies=bodies, published=recipe.published, **options)
    if recipe.backbone:
        networks.load_backbone(net, recipe.backbone)
    elif hasattr(net, "freeze"):
        net.freeze("none")
    if recipe.start and start:
        begin(net, recipe)
    return configured(net, recipe)


def configured(net, recipe):
    """``net`` with the recipe's ``network_options``; InputError for one that it has not, or was built without."""
    source = f"recipe {recipe.name}"
    for name, value in (recipe.network_options or {}).items():
        if not isinstance(getattr(net, name, None), bool | int | float | str):
            raise InputError(source, f"network '{net.name}' has no option {name!r}", "leave it out", "network_options")
        if name not in _constructor(net.name):
            setattr(net, name, value)
        elif getattr(net, name) != value:
            problem = f"is for {name} {value!r}; the network has {getattr(net, name)!r}"
            raise InputError(source, problem, f"create it with {name}={value!r}", "network_options")
    return net


def _constructor(name):
    """Names of a network's own options, none for one that is not among handlib's."""
    if name not in networks.names():
        return ()
    return tuple(inspect.signature(networks._network_class(name)).parameters)


def begin(net, recipe):
    """Fill ``net`` from the recipe's ``start``: by its ``transplant``, or as a checkpoint of the same network."""
    files = recipe.start if isinstance(recipe.start, tuple) else (recipe.start,)
    wanted = recipes.TRANSPLANTS[recipe.transplant] if recipe.transplant else (f"a checkpoint of {recipe.network}",)
    if len(files) != len(wanted):
        problem = f"names {len(files)} files"
        raise InputError(f"recipe {recipe.name}", problem, f"give {len(wanted)}: {', '.join(wanted)}", "start")
    if recipe.transplant:
        from handlib.networks import transplants

        getattr(transplants, recipe.transplant)(*files).into(net)
        return
    state, facts = checkpoints.read(files[0])
    written = facts.get("network")
    if written not in (None, net.name):
        mend = f"give a checkpoint of {net.name}"
        raise InputError(files[0], f"was written from '{written}', not '{net.name}'", mend, "network")
    if written:
        checkpoints.fill(net, state, str, str, files[0])
    else:
        networks.load_published(net, state, files[0])
