"""The published settings of all whole-body trainings: rates, batches, sets and how they are mixed, fresh weights."""

import itertools
import re

import numpy as np
import torch

from handlib import networks, recipes
from handlib.networks.hand4whole import Hand4Whole
from handlib.training import beginning, mixing
from handlib.training.module import Training
from handlib.verify import Row, Skip
from handlib.verify.reference import deviation

FILE, PARTS_FILE = "tools.json", "joints/joint_sets_p2p.json"
RELATIVE = 1e-9
SPREAD = 0.01  # of some millions of random weights, relative
OSX_RECIPES = {"setting1": "osx_setting1", "setting2_agora_benchmark": "osx_agora",
               "setting3_ubody_benchmark": "osx_ubody"}  # fmt: skip
_SETS = {"InterHand26M": "interhand"}  # whose names are not ours in small letters
_STEPS = 5  # of an epoch of the cosine
# Lengths of 3D and of 2D sets that are mixed: either group larger, as large, many times as large, one group alone.
_LENGTHS = ((7,), (10, 6)), ((5, 8), (6,)), ((4,), (1, 3)), ((2, 1), (17,)), ((3, 4), ()), ((), (2, 2))


def settings(ref):
    """Hand4Whole's and Pose2Pose's recipes: the rate of every epoch that the published programs run, batches, sets."""
    if not ref.has(FILE):
        yield Skip("training", f"there is no {FILE}")
        return
    tools = ref.json(FILE)
    whole, part = tools["hand4whole_training"], tools["pose2pose_training"]
    fine, known = whole["agora_fine_tuning"], whole["sets"]
    stages = {stage["stage"]: stage for stage in whole["stages"]}
    for number in (1, 3):
        facts, name = stages[number], f"hand4whole_stage{number}"
        yield from _recipe_rows(name, whole, facts["epochs_run"], whole["lr_dec_epoch"], _rate(facts["command"]), 10)
        yield from _sets(name, known["3d"], known["2d"], known["test"])
        yield from _start(name, facts["start"])
    epochs = range(1, fine["end_epoch"])  # it goes on from snapshot_0
    yield from _recipe_rows("hand4whole_agora", whole, epochs, fine["lr_dec_epoch"], _rate(fine["command"]), 10)
    yield from _sets("hand4whole_agora", fine["trainset_3d"], fine["trainset_2d"], fine["testset"])
    yield from _start("hand4whole_agora", fine["start"])
    for name in ("hand", "body"):
        facts, lr = part[name], _rate(part["optimizer"])
        epochs, shared = range(facts["end_epoch"]), whole | {"batch_per_gpu": part["batch_per_gpu"]}
        boundaries = facts["lr_dec_epoch"]
        yield from _recipe_rows(f"pose2pose_{name}", shared, epochs, boundaries, lr, part["lr_dec_factor"])
        yield from _sets(f"pose2pose_{name}", facts["trainset_3d"], facts["trainset_2d"], facts["testset"])
        yield from _input(f"pose2pose_{name}", facts)
    yield from _input("pose2pose_face", part["face"])
    yield Skip("pose2pose_face's rates and sets", "there is no recipe: no FFHQ reader, and no free FLAME to train with")


def part_settings(ref):
    """The same of the hand and the body alone as their own configuration has them."""
    config = ref.json(PARTS_FILE)["config"] if ref.has(PARTS_FILE) else {}
    for name in (name for name in config if f"pose2pose_{name}" in recipes.names()):
        facts, recipe = config[name], recipes.read(f"pose2pose_{name}")
        off = deviation(
            *_rates(recipe, range(facts["end_epoch"]), facts["lr_dec_epoch"], facts["lr"], facts["lr_dec_factor"])
        )
        yield Row(f"{recipe.name}, its config", "learning rates, relative", off / facts["lr"], RELATIVE)
        off = deviation(recipe.per_device_batch, facts["train_batch_size"])
        yield Row(f"{recipe.name}, its config", "batch", off, 0)


def osx_settings(ref):
    """OSX's recipes and encoders: rates, batches, decoder, sets, the weight of its loss."""
    if not ref.has(FILE):
        return
    facts = ref.json(FILE)["osx_training"]
    lowest = float(re.search(r"lr to (\S+)", facts["schedule"])[1])
    for setting, name in OSX_RECIPES.items():
        known, recipe = facts[setting], recipes.read(name)
        gpus = known.get("gpus", facts["setting1"]["gpus"])  # not told for the third
        ours = recipe.epochs, recipe.per_device_batch, recipe.batch, recipe.epochs - 1
        theirs = known["end_epoch"], known["batch_per_gpu"], gpus * known["batch_per_gpu"], known["snapshot"]
        yield Row(name, "epochs, batches, last snapshot", deviation(ours, theirs), 0)
        lr = float(known["lr"])
        ours = [recipe.learning_rate(epoch, step, _STEPS) for epoch in range(recipe.epochs) for step in range(_STEPS)]
        off = deviation(ours, _cosine(lr, lowest, known["end_epoch"] * _STEPS)) / lr
        yield Row(name, f"cosine's rates of {len(ours)} steps, relative", off, RELATIVE)
        yield from _sets(name, known["sets"]["3d"], known["sets"]["2d"], *known["test"])
        yield from _configured(recipe, known)
    yield from _defaults(facts["defaults"])
    for name, known in facts["encoder_settings"].items():
        vit = networks._network_class(name).vit
        off = deviation(vit, [known[one] for one in ("dim", "depth", "heads", "drop_path")])
        yield Row(name, "width, depth, heads, drop path", off, RELATIVE)
        yield Row(name, "width of the features", deviation(vit[0], known["feat_dim"]), 0)


def _configured(recipe, known):
    """The network that the recipe makes: decoder, weight of the loss, whether projections teach the camera only."""
    with torch.device("meta"):
        options = recipe.network_options
        made = networks._network_class(recipe.network)(torch.nn.Identity(), decoder=options["decoder"])
        net = beginning.configured(made, recipe)
    yield Row(recipe.name, f"decoder {net.decoder}", float(net.decoder != known["decoder_setting"]), 0)
    if "smplx_loss_weight" in known:  # not told for the third
        off = deviation(net.smplx_loss_weight, known["smplx_loss_weight"])
        yield Row(recipe.name, "weight of the SMPL-X terms", off, 0)
    alone = [*known["sets"]["3d"], *known["sets"]["2d"]] == ["AGORA"]
    yield Row(recipe.name, "projections teach the camera only, AGORA alone", float(net.camera_only != alone), 0)


def _defaults(facts):
    """What the published train.py does without arguments is the first setting but for the batch."""
    known, recipe = facts["train.py"], recipes.read(OSX_RECIPES["setting1"])
    yield Row(recipe.name, "train.py's rate", deviation(recipe.lr, float(known["lr"])), 0)
    yield Row(recipe.name, "train.py's epochs", deviation(recipe.epochs, known["end_epoch"]), 0)
    ours = recipe.network, recipe.network_options["decoder"]
    wrong = sum(one != known[f"{part}_setting"] for part, one in zip(("encoder", "decoder"), ours, strict=True))
    yield Row(recipe.name, "train.py's network: " + ", ".join(ours), float(wrong), 0)
    yield Skip(
        "defaults of OSX's test.py and demo.py", "the network is told from the names in the file, see 'recognised as'"
    )


def _cosine(lr, lowest, steps):
    """PyTorch's own annealing, a rate per step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, eta_min=lowest)
    rates = []
    for _ in range(steps):
        rates += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    return rates


def _rate(text):
    """The learning rate in the reference's words, "… lr 1e-4 …"."""
    return float(re.search(r"lr (\S+)", text)[1])


def _rates(recipe, epochs, boundaries, lr, factor):
    """Ours, theirs."""
    theirs = [lr / factor ** sum(epoch >= boundary for boundary in boundaries) for epoch in epochs]
    return [recipe.learning_rate(epoch) for epoch in range(recipe.epochs)], theirs


def _recipe_rows(name, facts, epochs, boundaries, lr, factor):
    recipe = recipes.read(name)
    ours, theirs = _rates(recipe, epochs, boundaries, lr, factor)
    yield Row(name, f"learning rates of {len(theirs)} epochs, relative", deviation(ours, theirs) / lr, RELATIVE)
    batches = recipe.per_device_batch, recipe.batch, recipe.drop_last
    theirs = facts["batch_per_gpu"], facts["batch_per_gpu"] * facts["gpus"], facts["drop_last"]
    yield Row(name, "batches", deviation(batches, theirs), 0)
    made = Training(torch.nn.Linear(2, 2), recipe).configure_optimizers()
    wrong = float(type(made).__name__ != facts["optimizer"].partition(",")[0]) + (len(made.param_groups) - 1)
    plain = getattr(torch.optim, type(made).__name__)(torch.nn.Linear(2, 2).parameters()).defaults
    wrong += sum(value != plain[option] for option, value in made.defaults.items() if option != "lr")
    yield Row(name, "optimizer and its options that differ", wrong + made.defaults["weight_decay"], 0)


def _sets(name, known_3d, known_2d, *tested):
    """Which data sets are trained on, and the one that is tested on."""
    yield sets(name, known_3d, known_2d)
    recipe = recipes.read(name)
    validated = recipe.validation_dataset or recipe.dataset
    wrong = validated not in [_set(one.partition(",")[0]) for one in tested]
    yield Row(name, f"tested on {validated}", float(wrong), 0)


def sets(name, known_3d, known_2d):
    """A `Row`: the recipe's training sets, in the published groups of those with 3D joints and those without."""
    recipe = recipes.read(name)
    ours = [set(group) for group in recipe.mix or [[recipe.dataset]]]
    theirs = [{_set(one) for one in group} for group in (known_3d, known_2d) if group]
    both = itertools.zip_longest(ours, theirs, fillvalue=set())
    return Row(name, "training sets by group that differ", float(sum(len(one ^ other) for one, other in both)), 0)


def _set(name):
    return _SETS.get(name, name.split()[0].lower())


def _start(name, words):
    tool = recipes.read(name).transplant
    yield Row(name, f"begins with {tool}", float(tool not in words), 0)


def _input(name, facts):
    spec = networks._network_class(name).input
    theirs = [*facts["input"], *facts.get("heat_volume_dhw", spec.volume)]
    yield Row(name, "input and volume", deviation([*spec.size[::-1], *spec.volume], theirs), 0)


class _Pack:
    """Of numbered samples."""

    def __init__(self, name, length):
        self.name, self.length, self.manifest = name, length, {"hash": name}

    def __len__(self):
        return self.length

    def __getitem__(self, place):
        return self.name, range(self.length)[place]


def mixed(ref):
    """Which samples a round goes through, by the rule of ``set_mixing``.

    What fills up the smaller group is random there and here; here no sample is taken twice for it.
    """
    if not ref.has(FILE):
        return
    facts = ref.json(FILE)["set_mixing"]
    wrong = [name for name in facts if name not in ("rule", "one_group_only")]
    if wrong:
        yield Skip("set_mixing", f"no check knows {', '.join(wrong)}")
    for lengths in _LENGTHS:
        packs = [
            [_Pack((kind, i), length) for i, length in enumerate(group)]
            for kind, group in zip("32", lengths, strict=True)
        ]
        groups = [group for group in packs if group]
        whole, mixture = mixing.mixture(groups)
        found = [whole[int(place)] for _, place in mixture.round(np.random.default_rng(0))]
        yield from _mixing_rows("set_mixing, " + " with ".join(str(list(one)) for one in lengths if one), groups, found)


def _mixing_rows(case, groups, found):
    every = [[pack[place] for pack in group for place in range(len(pack))] for group in groups]
    largest = max(map(len, every))
    yield Row(case, "samples of a round", float(abs(len(found) - largest * len(every))), 0)
    if len(found) != largest * len(every):
        return
    fixed = drawn = 0
    for number, group in enumerate(every):
        part = found[number * largest : (number + 1) * largest]
        known = len(group) * (largest // len(group))
        fixed += sum(part[p] != group[p % len(group)] for p in range(known))
        filled = part[known:]
        drawn += sum(sample not in group for sample in filled) + len(filled) - len(set(filled))
    yield Row(case, "samples in another place than by the rule", float(fixed), 0)
    yield Row(case, "fillers of another group, or twice", float(drawn), 0)


def fresh(ref):
    """Hand4Whole's fresh weights but for the backbones: spread by kind of layer, relative; biases and norms."""
    if not ref.has(FILE):
        return
    words = ref.json(FILE)["hand4whole_training"]["head_init"]
    known = {kind: float(std) for std, kind in re.findall(r"normal std (\S+) for (conv|linear)", words)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Hand4Whole(torch.nn.Identity())
    layers = [layer for name, layer in net.named_modules() if "backbone" not in name]
    kinds = {"conv": (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.ConvTranspose2d), "linear": torch.nn.Linear}
    biases, without = [], []
    for kind, types_ in kinds.items():
        some = [layer for layer in layers if isinstance(layer, types_)]
        weights = torch.cat([layer.weight.detach().flatten() for layer in some])
        off = float(max(abs(weights.std() / known[kind] - 1), abs(weights.mean() / known[kind])))
        yield Row("hand4whole, fresh", f"{kind}: spread and mean of {len(some)} layers, relative", off, SPREAD)
        biases += [layer.bias.detach() for layer in some if layer.bias is not None]
        without += [layer for layer in some if isinstance(layer, torch.nn.ConvTranspose2d) and layer.bias is not None]
    norms = [layer for layer in layers if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]
    yield Row("hand4whole, fresh", "largest bias", float(max(bias.abs().max() for bias in biases)), 0)
    off = max(float(max((norm.weight.detach() - 1).abs().max(), norm.bias.detach().abs().max())) for norm in norms)
    yield Row("hand4whole, fresh", f"{len(norms)} batch norms from 1 and 0", off, 0)
    yield Row("hand4whole, fresh", "deconvolutions with a bias", float(len(without)), 0)


CHECKS = [settings, part_settings, osx_settings, mixed, fresh]
