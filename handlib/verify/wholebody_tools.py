"""Hand4Whole's checkpoint tools and the layout of its snapshots, on files whose tensors are marked."""

import re
import tempfile
from pathlib import Path

import torch

from handlib import bodies, networks
from handlib.files import InputError
from handlib.networks import checkpoints, transplants
from handlib.verify import Row, Skip
from handlib.verify.reference import deviation

FILE = "tools.json"
KEYS = {name: f"{name.partition('_')[0]}/keys_{name}.json" for name in ("hand4whole", "pose2pose_hand")}
BODIES = {"hand4whole": "smplx_neutral", "pose2pose_hand": "mano_right"}
NAMES = "backbone.", "hand_backbone."  # the two ways to call the hand's backbone


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
    totals = [(value["removed"], value["total_after"]) for value in facts["verified"].values()]
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
            off = max(deviation((len(made.removed), len(network)), total) for total in totals)
            yield Row(case, "names removed, and in all", off, 0)
            yield Row(case, "epoch", deviation(made.content["epoch"], 0), 0)
            yield Row(case, "optimizer kept (0 yes)", float(made.content.get("optimizer") != {"state": {}}), 0)
            expected = {name: value for name, value in whole.items() if name not in facts["removed_names"]}
            expected |= {name: hand[name.replace("hand_roi_net.", "")] for name in expected if "hand_roi_net." in name}
            yield Row(case, "tensors (0 the expected ones)", float(not same(network, expected)), 0)
            again = torch.load(made.save(Path(folder) / "snapshot_0.pth.tar"), weights_only=True)
            yield Row(case, "written and read (0 the same)", float(not same(again["network"], expected)), 0)


def layout(ref):
    """Snapshots as the published programs write them: what is read of one, and that no name is passed over."""
    if not ref.has(FILE):
        return
    facts, keys = ref.json(FILE)["checkpoint_layout"], ref.json(KEYS["hand4whole"])["keys"]
    network = marked(keys, 0)
    content = {"epoch": 6, "network": network, "optimizer": {"state": {}}}
    with tempfile.TemporaryDirectory() as folder:
        path = _written(folder, "snapshot_6.pth.tar", {name: content[name] for name in facts["keys"]})
        state, _ = checkpoints.read(path)
    yield Row("snapshot", "tensors read (0 those that it holds)", float(not same(state, network)), 0)
    left_out = tuple(re.findall(r"\w+_layer", facts["keys"]["network"]))
    for name, model in BODIES.items():
        layer = bodies.load(None, model)
        with torch.device("meta"):
            net = networks._network_class(name)(layer)
        names = [f"module.{net.keys.published(one)}" for one in net.state_dict()]
        wrong = sum(any(layer in one for layer in left_out) or not one.startswith("module.") for one in names)
        wrong += len({one for one, _, _ in ref.json(KEYS[name])["keys"]} ^ {*names})
        yield Row(name, "names of a body model among the network's, and others", wrong, 0)
        own = {one: value.to("meta") for one, value in marked(ref.json(KEYS[name])["keys"], 0).items()}
        yield Row(name, "a snapshot that is whole is refused", float(_refused(net, own)), 0)
        *_, last = own
        for what, given in (
            ("lacking", {one: value for one, value in own.items() if one != last}),
            ("unknown", own | {"module.other.weight": torch.zeros(1)}),
        ):
            yield Row(name, f"a name {what} is refused (0), published silent", float(not _refused(net, given)), 0)


def _refused(net, state):
    try:
        networks.load_published(net, state, "snapshot_6.pth.tar")
    except InputError:
        return True
    return False


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


CHECKS = [layout, merging, other_tools]
