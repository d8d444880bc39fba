"""HandOccNet's training against the published one: losses, gradients, three steps of Adam, the learning rates.

Losses and gradients are those of the published training (no masks), with every batch norm in eval mode; the steps are
taken in train mode. Gradients and steps are compared in float64: in float32 rounding alone moves them by per cents.
"""

import torch

from handlib import recipes
from handlib.verify import Row, Skip
from handlib.verify.handoccnet_cases import network, picture
from handlib.verify.handoccnet_network import METRE, ROTATION, saturated
from handlib.verify.reference import deviation

TERMS = {
    "mano_verts": "vertices", "mano_joints": "joints", "mano_pose": "pose", "mano_shape": "shape",
    "joints_img": "joints_img",
}  # fmt: skip
TRUTH = {"gt_verts": ("verts", METRE), "gt_joints": ("joints", METRE), "gt_rotmat": ("rotations_from_mean", ROTATION)}
LOSS, SATURATED_LOSS, EXACT, NOTHING = 1e-5, 1e-4, 1e-6, 1e-9  # relative
SETS = {"HO3D": "ho3d", "DEX_YCB": "dexycb"}


def losses(ref):
    """Each case: the truth that the hand model makes, and the losses in float32."""
    for case, facts, forward in _cases(ref):
        net, targets = network(ref, forward["gains"], published=True), _targets(ref, case)
        truth, arrays = net.truth(targets), ref.npz("loss.npz")
        for name, (ours, bar) in TRUTH.items():
            yield Row(case, name, deviation(truth[ours], arrays[f"{case}/{name}"]), bar)
        with torch.no_grad():
            terms = net.loss(net(picture(forward["input"])), targets)
        bar = SATURATED_LOSS if saturated(forward["gains"]) else LOSS
        yield from _terms(case, terms, facts["losses"] | {"total": facts["total"]}, bar)


def gradients(ref):
    """Each case in float64: the losses, and the norm of the total's gradient for every parameter."""
    for case, facts, forward in _cases(ref):
        net, targets = network(ref, forward["gains"], torch.float64, published=True), _targets(ref, case)
        terms = net.loss(net(picture(forward["input"]).double()), targets)
        known = facts["losses_float64"] | {"total": facts["total_float64"]}
        yield from _terms(case, terms, known, EXACT, ", float64")
        terms["total"].backward()
        norms = {name: p.grad.norm().item() for name, p in net.named_parameters() if p.grad is not None}
        norms = {net.keys.published(name): norm for name, norm in norms.items()}
        known = {name: norm for name, norm in facts["grad_l2_norm_of_total_float64"].items() if norm is not None}
        yield Row(case, "parameters with a gradient, wrong", len(norms.keys() ^ known.keys()), 0)
        nothing = facts["gradient_zero_up_to_rounding"]
        off = max(abs(norms.get(name, 0) / norm - 1) for name, norm in known.items() if name not in nothing)
        yield Row(case, "norms of the gradients, worst", off, EXACT)
        most = max(known.values())
        off = max((norms.get(name, 0) / most for name in nothing), default=0)
        yield Row(case, "gradients that are zero, of the largest", off, NOTHING)


def training_steps(ref):
    """Steps of Adam in train mode, float64: the losses before each, and the batch norms' statistics after them."""
    known = ref.json("loss.json").get("training_steps") if ref.has("loss.json") else None
    if known is None:
        yield Skip("training_steps", "the folder has no training_steps in loss.json")
        return
    forward = ref.json("forward.json")[known["forward_case"]]
    net, targets = (
        network(ref, forward["gains"], torch.float64, published=True).train(),
        _targets(ref, known["forward_case"]),
    )
    images = picture(forward["input"]).double()
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=_rate(known["optimizer"]))
    for number, losses in enumerate(known["losses_before_each_step_float64"], 1):
        terms = net.loss(net(images), targets)
        yield from _terms("training_steps", terms, losses, LOSS, f", step {number}")
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()
    state = net.state_dict()
    for name, facts in known["batch_norm_buffers_after_three_steps_float64"].items():
        value = state[net.keys.ours(name)]
        ours = [value.sum(), value.mean(), value.std(correction=0), value.min(), value.max()]
        theirs = [facts[key] for key in ("sum", "mean", "std", "min", "max")]
        off = deviation([float(x) for x in ours], theirs) / max(map(abs, theirs))
        yield Row("training_steps", name, off, LOSS)


def learning_rates(ref):
    """The recipes' rate of every epoch."""
    known = ref.json("loss.json").get("lr_by_epoch", {}) if ref.has("loss.json") else {}
    ours = {recipe.dataset: recipe for recipe in map(recipes.read, recipes.names()) if recipe.network == "handoccnet"}
    for name, rates in known.items():
        recipe = ours[SETS[name]]
        found = [recipe.learning_rate(epoch) for epoch in range(recipe.epochs)]
        off = deviation(found, rates) / max(rates)
        yield Row("lr_by_epoch", f"{name}, {len(rates)} epochs", off, EXACT)


def _cases(ref):
    """(name, its facts, those of its forward case)."""
    if not ref.has("loss.json"):
        yield from ()
        return
    forward = ref.json("forward.json")
    for case, facts in ref.json("loss.json")["cases"].items():
        yield case, facts, forward[facts["forward_case"]]


def _targets(ref, case):
    arrays = ref.npz("loss.npz")
    names = {"pose_from_mean": "mano_pose", "shape": "mano_shape", "joints_img": "joints_img"}
    targets = {ours: torch.from_numpy(arrays[f"{case}/target.{name}"]) for ours, name in names.items()}
    return targets | {"mano_valid": torch.ones(len(targets["shape"]))}


def _terms(case, terms, known, bar, label=""):
    for name, expected in known.items():
        off = abs(float(terms[TERMS.get(name, name)].detach()) / expected - 1)
        yield Row(case, f"{name}{label}", off, bar)


def _rate(text):
    """The learning rate in the reference's words, "Adam, lr 1e-4, …"."""
    return float(text.partition("lr ")[2].partition(",")[0])


CHECKS = [losses, gradients, training_steps, learning_rates]
