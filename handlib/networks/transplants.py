"""Hand4Whole's checkpoint tools: what one training begins with, made of what another ended with.

    made = transplants.merge_hand_to_all("snapshot_6_all.pth.tar", "snapshot_12_hand.pth.tar")
    net = networks.create("hand4whole", bodies)
    made.into(net)                      # then training.fit(..., net=net)
    made.save("snapshot_0.pth.tar")     # for the published program

Sources are published snapshots, what `networks.save` wrote, or networks as they are. The published tools say nothing
where they copy nothing (the present Pose2Pose names its backbone otherwise than `merge_hand_to_all` expects); these
raise InputError.
"""

import dataclasses
from pathlib import Path

from torch import nn

from handlib import files, networks
from handlib.files import InputError
from handlib.networks import checkpoints, torch_files
from handlib.networks.hand4whole import Hand4Whole
from handlib.networks.pose2pose import Pose2PoseHand

PREFIX = "module."  # before every name of a snapshot
HAND = "hand_roi_net.backbone."
FRESH = ("hand_position_net", "hand_rotation_net")  # heads that the third stage begins anew


@dataclasses.dataclass(frozen=True)
class Transplant:
    """A checkpoint to begin with.

    ``content``: what the published file holds, "network" {name: tensor} and "epoch", and "optimizer" where its source
    had one; ``taken``: names of the tensors that came from the other file; ``removed``: names taken out; ``source`` in
    words.
    """

    content: dict
    taken: tuple
    removed: tuple
    source: str

    @property
    def copied(self):
        """How many tensors came from the other file."""
        return len(self.taken)

    def __str__(self):
        text = f"{self.source}: {self.copied} tensors copied, {len(self.content['network'])} in all"
        return text + (f", {len(self.removed)} removed: {', '.join(self.removed)}" if self.removed else "")

    def save(self, path):
        """Write the file that the published program reads with --continue; it appears whole or not at all."""
        with files.write_atomic(path) as temporary:
            checkpoints.write_whole(self.content, temporary)
        return Path(path)

    def into(self, net):
        """Fill a network and return the published names of its parameters that keep their fresh values.

        Whole sub-networks may be lacking (batch norms' counters too); names that the network lacks are returned as
        well: (fresh, unused). InputError where a sub-network is there in part, shapes differ, or nothing fits.
        """
        expected, given, unused = net.state_dict(), {}, []
        for name, value in self.content["network"].items():
            ours = net.keys.ours(name)
            given |= {ours: value} if ours in expected else {}
            unused += [] if ours in expected else [name]
        wrong = [name for name, value in given.items() if value.shape != expected[name].shape]
        there = {_part(net, name) for name in given}
        lacking = [name for name in expected if name not in given and not name.endswith(checkpoints.COUNTER)]
        wrong += [name for name in lacking if _part(net, name) in there]
        if wrong or not given:
            found = ", ".join(net.keys.published(name) for name in wrong) or "nothing in it fits"
            raise InputError(self.source, f"does not fit {net.name}: {found}", "give the network that it was made for")
        net.load_state_dict(expected | given)
        return [net.keys.published(name) for name in lacking], unused

    def rows(self, net):
        """Table rows of what a network begins with, for a DataFrame, by its published sub-networks: their names in
        files and in ``net``, how many tensors and millions of numbers (counters of batch norms left out), and where
        they come from: "source", "other" (of the two files that are merged) or "fresh".
        """
        taken = {net.keys.ours(name) for name in self.taken}
        given, found = {net.keys.ours(name) for name in self.content["network"]}, {}
        for name, value in net.state_dict().items():
            if not name.endswith(checkpoints.COUNTER):
                origin = "other" if name in taken else "source" if name in given else "fresh"
                row = found.setdefault((_part(net, name), origin), {"ours": set(), "tensors": 0, "millions": 0.0})
                row["ours"].add(name.split(".")[0])
                row["tensors"] += 1
                row["millions"] += value.numel() / 1e6
        return [
            {"published": part, "from": origin} | row | {"ours": ", ".join(sorted(row["ours"]))}
            for (part, origin), row in found.items()
        ]


def merge_hand_to_all(whole, hand):
    """Hand4Whole's first stage and hand-only Pose2Pose -> what the third stage begins with, a `Transplant`.

    The hand's backbone, which may be called ``backbone`` or ``hand_backbone``, takes the place of Hand4Whole's; the
    heads of the hands are taken out and begin anew; the epoch is 0; the optimizer's state stays.
    """
    content, source = _snapshot(whole), f"{_name(whole)} with the hands of {_name(hand)}"
    network = dict(content["network"])
    if not Hand4Whole.recognises(network):
        raise InputError(_name(whole), "is no snapshot of Hand4Whole", "give that of its first stage", "network")
    other = _hand_state(hand)
    taken = {}
    for name, value in other.items():
        bare = Pose2PoseHand.keys.bare(name)
        if bare.startswith("backbone."):
            taken[PREFIX + HAND + bare.removeprefix("backbone.")] = value
    if not taken:
        problem = f"has no backbone to copy: {', '.join(list(other)[:3])}…"
        raise InputError(_name(hand), problem, "give a snapshot of hand-only Pose2Pose", "network")
    _require_same(network, taken, hand)
    removed = [name for name in network if any(part in name for part in FRESH)]
    network = {name: value for name, value in (network | taken).items() if name not in removed}
    return Transplant(content | {"network": network, "epoch": 0}, tuple(taken), tuple(removed), source)


def convert_simple_to_pose2pose(file):
    """Simple Baseline's 2D pose network (body_pose_resnet_50_256x192.pth.tar) -> a backbone to begin with.

    Every name goes below ``backbone.``; the epoch is 0, so that the published program goes on with epoch 1. InputError
    where it is no plain state of a ResNet-50.
    """
    state = file.state_dict() if isinstance(file, nn.Module) else checkpoints.read(file)[0]
    if tuple(getattr(state.get("layer1.0.conv3.weight"), "shape", ())) != (256, 64, 1, 1):
        problem = f"is no plain ResNet-50: {', '.join(list(state)[:3])}…"
        raise InputError(_name(file), problem, "give body_pose_resnet_50_256x192.pth.tar")
    network = {f"{PREFIX}backbone.{name}": value for name, value in state.items()}
    return Transplant({"network": network, "epoch": 0}, tuple(network), (), _name(file))


def reset_epoch(file):
    """A snapshot with its epoch 0, for fine-tuning; network and optimizer stay."""
    content = _snapshot(file)
    return Transplant(content | {"epoch": 0}, tuple(content["network"]), (), _name(file))


def _part(net, name):
    return net.keys.published(name).split(".")[0]


def _name(file):
    return f"{getattr(file, 'name', type(file).__name__)} as it is" if isinstance(file, nn.Module) else str(file)


def _snapshot(file):
    """All that a snapshot holds; of a network or a folder of `networks.save` the weights, by their published names."""
    if isinstance(file, nn.Module):
        return {"network": _published(file.state_dict(), {"network": file.name}, file), "epoch": 0}
    if Path(file).is_dir() or Path(file).suffix == ".safetensors":
        return {"network": _published(*checkpoints.read(file), file), "epoch": 0}
    content = torch_files.read(file)
    if not isinstance(content, dict) or not isinstance(content.get("network"), dict):
        raise InputError(file, "is no snapshot", "give a snapshot_*.pth.tar of the published program", "network")
    return content


def _published(state, facts, file):
    name = facts.get("network")
    if name is None:
        raise InputError(file, "does not say which network it is of", "give what networks.save wrote", "network")
    keys = networks._network_class(name).keys
    return {PREFIX + keys.published(our): value for our, value in state.items()}


def _hand_state(hand):
    """The state of hand-only Pose2Pose, by its published names; InputError where it is another network's."""
    state, facts = (
        (hand.state_dict(), {"network": hand.name}) if isinstance(hand, nn.Module) else checkpoints.read(hand)
    )
    state = _published(state, facts, hand) if "network" in facts else state
    for name in ("hand4whole", "pose2pose_body", "pose2pose_face"):
        if networks._network_class(name).recognises(state):
            raise InputError(_name(hand), f"is a snapshot of {name}", "give one of hand-only Pose2Pose", "network")
    return state


def _require_same(network, taken, hand):
    """InputError unless exactly the backbone of the hands is replaced, shape by shape."""
    names = {name for name in network if name.startswith(PREFIX + HAND)}
    wrong = sorted(names ^ taken.keys())
    wrong += [name for name in names & taken.keys() if network[name].shape != taken[name].shape]
    if wrong:
        raise InputError(
            _name(hand), f"has another backbone: {', '.join(wrong[:5])}", "train both with ResNet-50", "network"
        )
