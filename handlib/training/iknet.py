"""IKNet learnt from poses drawn from the hand model: its own training was never published.

    made = iknet.fit(bodies.load(None, "mano_right"), "outputs/iknet", steps=3000)   # minutes on a CPU
    fitting.fit(joints, layer, iknet=made.net)

No data set is needed: a pose is drawn (`handlib.fitting.poses`), turned any way round, given a shape and placed by the
hand model; the network sees the joints, with noise, and answers the pose. One small loop suffices, without Lightning.
"""

import dataclasses
from pathlib import Path

import pandas as pd
import roma
import torch

from handlib import networks
from handlib.files import InputError, progress, write_atomic
from handlib.fitting import poses
from handlib.fitting.kinematics import Kinematics
from handlib.networks import checkpoints, torch_files
from handlib.networks.iknet import normalised

STATE, HISTORY = "state.pt", "history.csv"
VALIDATION = 1024  # hands, drawn from another stream than any step's


@dataclasses.dataclass(frozen=True)
class Settings:
    """What makes a training the same one. noise: the largest standard deviation on joints, metres; each hand has its
    own between 0 and that. The rate falls to 0 along a cosine over ``steps``.
    """

    steps: int = 3000
    batch: int = 128
    lr: float = 1e-3
    noise: float = 0.006
    joints_weight: float = 1.0
    seed: int = 1


@dataclasses.dataclass(frozen=True)
class Trained:
    """net in eval mode; history: a row per validation (step, loss, angle_deg, joints_mm)."""

    net: torch.nn.Module
    history: pd.DataFrame


class Draws:
    """Hands of a model without end: a function of (seed, number) alone, so that any step can be drawn again."""

    def __init__(self, layer, noise, seed, examples=None):
        if layer.side != "right":
            raise InputError(
                "iknet", f"is a {layer.side} hand", "give the right one: left joints are mirrored", "layer"
            )
        self.kinematics, self.poses = Kinematics(layer, dtype=torch.float32), poses.of(layer, examples)
        self.device, self.noise, self.seed = layer.weights.device, noise, seed

    def __call__(self, number, count):
        """{"seen": joints with noise, "joints": without, (N, 21, 3) m; "pose_quat" (N, 16, 4), real part first;
        "shape"}, the wrist turned any way round.
        """
        generator = torch.Generator(self.device).manual_seed(self.seed * 2**32 + number)
        draw = {"generator": generator, "device": self.device}
        fingers = self.poses.sample(count, generator).float().view(count, 15, 3)
        root = torch.nn.functional.normalize(torch.randn(count, 1, 4, **draw), dim=-1)  # uniform over all rotations
        quaternions = torch.cat([root, roma.rotvec_to_unitquat(fingers)], 1)
        shape = torch.randn(count, self.kinematics.shape_size, **draw)
        joints = self.kinematics(roma.unitquat_to_rotmat(quaternions), shape)
        noise = self.noise * torch.rand(count, 1, 1, **draw) * torch.randn(joints.shape, **draw)
        return {"seen": joints + noise, "joints": joints, "pose_quat": quaternions.roll(1, -1), "shape": shape}


def fit(layer, out, examples=None, validate_every=250, show=True, **settings):
    """Train an IKNet on ``layer`` (a right hand, on the device that shall do the work) and write it to folder ``out``.

    examples (M, 45): poses to draw from (None: the layer's own, see `poses.of`). settings: of `Settings`, by name.
    ``out`` holds what `networks.load` reads, history.csv, and what is needed to go on: a training that was cut short
    resumes at its last validation and ends as if it had not been. Returns `Trained`. InputError where ``out`` holds
    another training.
    """
    settings = _settings(settings)
    draws = Draws(layer, settings.noise, settings.seed, examples)
    identity = dataclasses.asdict(settings) | {"body": layer.source, "poses": len(draws.poses.examples)}
    torch.manual_seed(settings.seed)
    net = networks.create("iknet").to(layer.weights.device)
    optimizer = torch.optim.Adam(net.parameters(), settings.lr)
    history, first = _resumed(Path(out), net, optimizer, identity)
    for step in progress(range(first, settings.steps), total=settings.steps, initial=first, disable=not show):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * 0.5 * (1 + torch.tensor(torch.pi * step / settings.steps).cos().item())
        loss = _loss(net.train(), draws(step, settings.batch), draws.kinematics, settings.joints_weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % validate_every == 0 or step + 1 == settings.steps:
            history.append({"step": step + 1, "loss": loss.item()} | validate(net, draws))
            _write(Path(out), net, optimizer, history, identity)
    return Trained(net.eval(), pd.DataFrame(history))


def validate(net, draws, count=VALIDATION):
    """Mean angle between rotations (degrees), and mean joint distance (mm) of the pose with the mean shape, scaled by
    the bone and laid on joint 9 as the published chain does; on ``count`` hands that no training step sees.
    """
    hands = draws(2**32 - 1, count)
    with torch.no_grad():
        out = net.eval()(hands["seen"])
        rotations = _rotations(out["pose_quat"])
        between = rotations.mT @ _rotations(hands["pose_quat"])
        made, _ = normalised(draws.kinematics(rotations, torch.zeros_like(hands["shape"])))
        placed = made * out["bone"][..., None] + hands["seen"][:, 9:10]
    return {
        "angle_deg": torch.rad2deg(roma.rotmat_to_rotvec(between).norm(dim=-1)).mean().item(),
        "joints_mm": 1000 * (placed - hands["joints"]).norm(dim=-1).mean().item(),
    }


def _rotations(quaternions):
    return roma.unitquat_to_rotmat(quaternions.roll(-1, -1))


def _loss(net, hands, kinematics, joints_weight):
    """The network's own loss, and how far the answered pose puts the joints of the true shape, in bone lengths."""
    out = net(hands["seen"])
    made = kinematics(_rotations(out["pose_quat"]), hands["shape"])
    joints, bone = normalised(hands["joints"])
    away = (made - made[:, 9:10]) / bone[..., None] - joints
    return net.loss(out, hands)["total"] + joints_weight * away.norm(dim=-1).mean()


def _settings(given):
    known = [field.name for field in dataclasses.fields(Settings)]
    for name, value in given.items():
        if name not in known:
            raise InputError("iknet", "there is no such setting", f"known: {', '.join(known)}", name)
        least = 0 if name in ("noise", "joints_weight", "seed") else 1e-12
        if not isinstance(value, int | float) or not value >= least:
            raise InputError("iknet", f"is {value!r}", "give a number, not negative; 0 only for noise or seed", name)
    return Settings(**given)


def _write(out, net, optimizer, history, identity):
    with write_atomic(out) as folder:
        networks.save(net, folder, {"training": identity, "step": history[-1]["step"]})
        pd.DataFrame(history).to_csv(folder / HISTORY, index=False)
        checkpoints.write_whole({"optimizer": optimizer.state_dict(), "history": history}, folder / STATE)


def _resumed(out, net, optimizer, identity):
    """Fill net and optimiser from ``out``: (history, step to go on from); ([], 0) where there is nothing yet."""
    if not out.exists():
        return [], 0
    state, facts = checkpoints.read(out)
    before = facts.get("facts", {}).get("training")
    before = before if isinstance(before, dict) else {}
    changed = [name for name in identity if before.get(name) != identity[name]]
    if changed:
        was = ", ".join(f"{name} was {before.get(name)!r}, now {identity[name]!r}" for name in changed)
        raise InputError(out, f"belongs to another training: {was}", "give another folder, or delete it", changed[0])
    checkpoints.fill(net, state, str, str, out)
    rest = torch_files.read(out / STATE, "give another folder, or delete this one")
    try:
        optimizer.load_state_dict(rest["optimizer"])  # to the device of its parameters
        return list(rest["history"]), int(rest["history"][-1]["step"])
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, RuntimeError) as error:
        problem = f"is not the state of a training ({type(error).__name__})"
        raise InputError(out / STATE, problem, "give another folder, or delete this one") from error
