"""Pose2Pose of hand, body and face against the published program: names, every stage, losses and gradients."""

import torch

from handlib import networks
from handlib.verify import wholebody_cases

FOLDER = "pose2pose"
BODIES = {"hand": "mano", "body": "smpl", "face": None}


def forward(ref):
    """Every stage of every part."""
    yield from wholebody_cases.missing(ref, FOLDER)
    for case, facts in wholebody_cases.cases(ref, FOLDER):
        net, arrays = network(ref, case, facts), ref.npz(f"{FOLDER}/case_{case}.npz")
        with torch.inference_mode():
            out = net(wholebody_cases.picture(facts), stages=True)
        yield from wholebody_cases.stage_rows(case, out, facts, arrays)


def training(ref):
    """Losses and gradients, in eval mode (the face has none in the reference)."""
    for case, facts in wholebody_cases.cases(ref, FOLDER):
        if "training" not in facts:
            continue
        net, given = network(ref, case, facts), wholebody_cases.targets(ref, f"{FOLDER}/targets_{case}.npz")
        elements, known = net.elements(net(wholebody_cases.picture(facts)), given), facts["training"]
        yield from wholebody_cases.loss_rows(case, elements, known)
        total = sum(value.mean() for value in elements.values())
        noise = facts.get("grad_float32_rel_noise", {})
        yield from wholebody_cases.gradient_rows(case, net, total, known, noise, {})


def keys(ref):
    """The published names of every part."""
    for part, body in BODIES.items():
        name = f"{FOLDER}/keys_pose2pose_{part}.json"
        if ref.has(name):
            yield from wholebody_cases.key_rows(ref, name, _class(part)(body and wholebody_cases.body(body)))


def network(ref, case, facts):
    part = case.partition("_")[0]
    keys, body = f"{FOLDER}/keys_pose2pose_{part}.json", BODIES[part]
    return wholebody_cases.network(ref, f"pose2pose_{part}", keys, facts, body and wholebody_cases.body(body))


def _class(part):
    return networks._network_class(f"pose2pose_{part}")


CHECKS = [forward, training, keys]
