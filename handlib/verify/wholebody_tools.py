"""Hand4Whole's checkpoint tools, on files whose tensors are marked, and the published settings of all trainings."""

import re
import tempfile
from pathlib import Path

import torch

from handlib import networks, recipes
from handlib.networks import transplants
from handlib.verify import Row, Skip
from handlib.verify.reference import deviation

FILE = "tools.json"
KEYS = {name: f"{name.partition('_')[0]}/keys_{name}.json" for name in ("hand4whole", "pose2pose_hand")}
NAMES = "backbone.", "hand_backbone."  # the two ways to call the hand's backbone
RELATIVE = 1e-9
OSX_RECIPES = {"setting1": "osx_setting1", "setting2_agora_benchmark": "osx_agora",
               "setting3_ubody_benchmark": "osx_ubody"}  # fmt: skip


def marked(keys, mark):
    """Tensors of these names and shapes, each filled with one number of its own; no larger in a file than one number.

    keys: [[name, shape, dtype], ...]; mark: the first number.
    """
    return {name: torch.tensor(float(mark + i)).expand(shape) for i, (name, shape, _) in enumerate(keys)}


def same(found, expected):
    """Whether two states have the same names, shapes and marks."""
    return found.keys() == expected.keys() and all(
        value.shape == expected[name].shape and value.flatten()[:1].equal(expected[name].flatten()[:1])
        for name, value in found.items()
    )


def _written(folder, name, content):
    torch.save(content, Path(folder) / name)
    return Path(folder) / name


def merging(ref):
    """merge_hand_to_all with both names of the hand's backbone, and through a file."""
    if not ref.has(FILE):
        yield Skip("tools", f"there is no {FILE}")
        return
    facts = ref.json(FILE)["tool_merge_hand_to_all"]
    whole, hand = (
        marked(ref.json(KEYS[name])["keys"], mark) for name, mark in (("hand4whole", 0), ("pose2pose_hand", 5000))
    )
    (known,) = (value for value in facts["verified"].values() if value["copied"])
    with tempfile.TemporaryDirectory() as folder:
        snapshot = _written(folder, "all.pth.tar", {"network": whole, "epoch": 6, "optimizer": {"state": {}}})
        for prefix in NAMES:
            renamed = {name.replace("module.backbone.", f"module.{prefix}"): value for name, value in hand.items()}
            case = f"merge_hand_to_all, {prefix.rstrip('.')}"
            made = transplants.merge_hand_to_all(
                snapshot, _written(folder, "hand.pth.tar", {"network": renamed, "epoch": 12})
            )
            network = made.content["network"]
            yield Row(case, "tensors copied", deviation(made.copied, known["copied"]), 0)
            yield Row(case, "names removed that differ", len(set(made.removed) ^ set(facts["removed_names"])), 0)
            yield Row(case, "names in all", deviation(len(network), known["total_after"]), 0)
            yield Row(case, "epoch", deviation(made.content["epoch"], 0), 0)
            yield Row(case, "optimizer kept (0 yes)", float(made.content.get("optimizer") != {"state": {}}), 0)
            expected = {name: value for name, value in whole.items() if name not in facts["removed_names"]}
            expected |= {name: hand[name.replace("hand_roi_net.", "")] for name in expected if "hand_roi_net." in name}
            yield Row(case, "tensors (0 the expected ones)", float(not same(network, expected)), 0)
            again = torch.load(made.save(Path(folder) / "snapshot_0.pth.tar"), weights_only=True)
            yield Row(case, "written and read (0 the same)", float(not same(again["network"], expected)), 0)


def other_tools(ref):
    """convert_simple_to_pose2pose and reset_epoch."""
    if not ref.has(FILE):
        return
    facts, keys = ref.json(FILE)["tool_convert_simple_to_pose2pose"], ref.json(KEYS["hand4whole"])["keys"]
    begin = "module.backbone."
    plain = marked([(name.removeprefix(begin), *rest) for name, *rest in keys if name.startswith(begin)], 0)
    with tempfile.TemporaryDirectory() as folder:
        made = transplants.convert_simple_to_pose2pose(_written(folder, "simple.pth.tar", plain)).content
        case, known = "convert_simple_to_pose2pose", facts["verified_on_resnet50_names"]
        yield Row(case, "names", deviation(len(made["network"]), known["names"]), 0)
        lacking = len(made["network"].keys() - {name for name, _, _ in keys})
        yield Row(case, "names that Hand4Whole lacks", lacking, 0)
        yield Row(
            case,
            "tensors (0 the expected ones)",
            float(not same(made["network"], {begin + name: value for name, value in plain.items()})),
            0,
        )
        yield Row(case, "keys written that differ", len(set(facts["keys_written"]) ^ made.keys()), 0)
        yield Row(case, "epoch", deviation(made["epoch"], facts["epoch"]), 0)
        content = {"network": marked(keys, 0), "epoch": 6, "optimizer": {"state": {0: torch.ones(2)}}}
        made = transplants.reset_epoch(_written(folder, "snapshot_6.pth.tar", content)).content
        kept = same(made["network"], content["network"]) and made["optimizer"]["state"][0].equal(torch.ones(2))
        yield Row("reset_epoch", "epoch", deviation(made["epoch"], 0), 0)
        yield Row("reset_epoch", "network and optimizer (0 kept)", float(not kept), 0)


def settings(ref):
    """The recipes: learning rate of every epoch that the published program runs, batches, last batches."""
    if not ref.has(FILE):
        return
    tools = ref.json(FILE)
    whole, part = tools["hand4whole_training"], tools["pose2pose_training"]
    fine = whole["agora_fine_tuning"]
    stages = {stage["stage"]: stage for stage in whole["stages"]}
    for number in (1, 3):
        epochs, lr = stages[number]["epochs_run"], _rate(stages[number]["command"])
        yield from _recipe_rows(f"hand4whole_stage{number}", whole, epochs, whole["lr_dec_epoch"], lr, 10)
    epochs = range(1, fine["end_epoch"])  # it goes on from snapshot_0
    yield from _recipe_rows("hand4whole_agora", whole, epochs, fine["lr_dec_epoch"], _rate(fine["command"]), 10)
    for name in ("hand", "body"):
        facts, lr = part[name], _rate(part["optimizer"])
        epochs, factor = range(facts["end_epoch"]), part["lr_dec_factor"]
        settings = whole | {"batch_per_gpu": part["batch_per_gpu"]}
        yield from _recipe_rows(f"pose2pose_{name}", settings, epochs, facts["lr_dec_epoch"], lr, factor)


def osx_settings(ref):
    """OSX's recipes and encoders: rates, batches, decoder, sets."""
    if not ref.has(FILE):
        return
    facts = ref.json(FILE)["osx_training"]
    for setting, name in OSX_RECIPES.items():
        known, recipe = facts[setting], recipes.read(name)
        gpus = known.get("gpus", facts["setting1"]["gpus"])  # not told for the third
        ours = recipe.epochs, recipe.per_device_batch, recipe.batch, recipe.learning_rate(0), recipe.lr_end
        theirs = known["end_epoch"], known["batch_per_gpu"], gpus * known["batch_per_gpu"], float(known["lr"]), 1e-6
        yield Row(name, "epochs, batches, rates", deviation(ours, theirs), RELATIVE)
        decoder = recipe.network_options["decoder"]
        yield Row(name, f"decoder {decoder}", float(decoder != known["decoder_setting"]), 0)
        sets = {one.lower() for group in known["sets"].values() for one in group}
        yield Row(name, "training sets that differ", len(sets ^ set(recipe.mixed() or [recipe.dataset])), 0)
    for name, known in facts["encoder_settings"].items():
        vit = networks._network_class(name).vit
        off = deviation(vit, [known[one] for one in ("dim", "depth", "heads", "drop_path")])
        yield Row(name, "width, depth, heads, drop path", off, RELATIVE)


def _rate(text):
    """The learning rate in the reference's words, "… lr 1e-4 …"."""
    return float(re.search(r"lr (\S+)", text)[1])


def _recipe_rows(name, facts, epochs, boundaries, lr, factor):
    recipe = recipes.read(name)
    rates = [lr / factor ** sum(epoch >= boundary for boundary in boundaries) for epoch in epochs]
    ours = [recipe.learning_rate(epoch) for epoch in range(recipe.epochs)]
    yield Row(name, f"learning rates of {len(rates)} epochs, relative", deviation(ours, rates) / lr, RELATIVE)
    batches = recipe.per_device_batch, recipe.batch, recipe.drop_last
    theirs = facts["batch_per_gpu"], facts["batch_per_gpu"] * facts["gpus"], facts["drop_last"]
    yield Row(name, "batches", deviation(batches, theirs), 0)


CHECKS = [merging, other_tools, settings, osx_settings]
