"""HandTailor's fit as OakInk's benchmark runs it: hand layer, objective, optimiser, and whole chains to the mesh."""

import numpy as np
import torch

from handlib import bodies, fitting
from handlib.bodies import files
from handlib.bodies.mano import TIPS, ManoLayer
from handlib.fitting import published
from handlib.fitting.kinematics import Kinematics
from handlib.networks.iknet import normalised
from handlib.verify import Row, Skip, standin
from handlib.verify.oakink_cases import Case, network
from handlib.verify.reference import deviation

FILE = "iknet_fit"
METRE = 1e-6
STRICT = 1e-4  # relative to the largest value
CHAIN_MM, SENSITIVE_CHAIN_MM = 0.05, 0.3  # mean vertex distance; the latter where start poses are given for a batch
STEPS = (1, 2, 3, 5, 10, 20)
STORED = slice(None, None, 6)  # the vertices that the file keeps


def _cases(ref, kind):
    """Cases of one kind; names come from the arrays, because not all have an entry in the JSON."""
    if not ref.has(f"{FILE}.npz"):
        return
    arrays, facts = ref.npz(f"{FILE}.npz"), ref.json(f"{FILE}.json")
    depth = kind.count("/") + 1
    for name in dict.fromkeys("/".join(key.split("/")[:depth]) for key in arrays):
        if name.startswith(kind):
            yield Case(name, facts.get(name, {}), arrays)


def hand_shaped(ref):
    """The stand-in MANO, moved so that its joints and tips are a plausible hand's (README, section 1)."""
    model = standin.mano("right")
    wanted = ref.npz(f"{FILE}.npz")["hand_shaped/rest_joints_and_tips"].astype(np.float64)
    rows = np.concatenate([model["J_regressor"], np.eye(778)[list(TIPS["manopth"])]])
    template = model["v_template"]
    model["v_template"] = template + np.linalg.pinv(rows) @ (wanted - rows @ template)
    return ManoLayer(files.model(model, "stand-in, hand-shaped", "mano"), "right")


def _plain():
    return ManoLayer(files.model(standin.mano("right"), "stand-in", "mano"), "right")


def layers(ref):
    """The template, and meshes and joints of the two stand-in hands; the fit's own joints beside the layer's."""
    if not ref.has(f"{FILE}.npz"):
        yield Skip("fit", f"the folder has no {FILE}.npz")
        return
    shaped = hand_shaped(ref)
    template = shaped(pose=torch.zeros(48), mean_added=True)["verts"][STORED]
    yield Row("hand_shaped", "v_template", deviation(template, ref.npz(f"{FILE}.npz")["hand_shaped/v_template"]), METRE)
    for case in _cases(ref, "mano_layer/"):
        layer = _plain() if case.name.endswith("/plain") else shaped
        pose, shape = (torch.from_numpy(case.array(name)) for name in ("pose", "betas"))
        out = layer(pose=pose, shape=shape, mean_added=True)
        joints = bodies.joints21(out["verts"], out["joints"], "manopth")
        verts = out["verts"] - joints[:, 9:10]  # the published layer centres on joint 9
        yield from case.row("joints", joints - joints[:, 9:10], METRE)
        yield from case.row("verts", verts[:, STORED], METRE)
        yield from case.stages({"verts": verts}, 1e-5)
        alone = Kinematics(layer)(layer.rotations(pose, True, "rotvec"), shape)
        yield Row(case.name, "joints without the mesh", deviation(alone, joints), METRE)


def objective(ref):
    """Value, gradients and terms of the objective, for either reading of the start poses; its geometric term alone."""
    for case in _cases(ref, "fit/objective"):
        kinematics = Kinematics(hand_shaped(ref))
        names = "so3", "beta", "bone", "joints_normalised", "root", "so3_init"
        pose, shape, bone, target, root, start = (torch.from_numpy(case.array(name)) for name in names)
        found = {}
        for reading, pull in (("own", start[:, None]), ("batch", start)):
            free = [value.clone().requires_grad_() for value in (pose, shape, bone[:, None])]
            parts = published.terms(kinematics, *free, target, root, pull)
            value = published.objective(parts)
            yield from case.row(f"value_{reading}", value, STRICT, relative=True)
            for name, slope in zip(("so3", "beta", "bone"), torch.autograd.grad(value.sum(), free), strict=True):
                yield from case.row(f"grad_{reading}_{name}", slope, STRICT, relative=True)
            found[reading] = {name: term.detach() for name, term in parts.items()}
        own, terms = found["own"], case.array("terms")
        named = own["pose"], found["batch"]["pose"], own["shape"], own["joints"], own["geo"]
        for column, (name, term) in enumerate(zip(("own", "batch", "shape", "joints", "geo"), named, strict=True)):
            expected = terms[:, column]
            yield Row(case.name, f"term {name}", deviation(term, expected) / np.abs(expected).max(), STRICT)
    for case in _cases(ref, "fit/geo"):
        fingers = torch.from_numpy(case.array("joints"))[:, 1:].unflatten(1, (5, 4))
        yield from case.row("value", published.bends(fingers), STRICT, relative=True)
        yield from case.row("value_batched", published.bends(fingers.flatten(0, 1)[None]), STRICT, relative=True)


def optimiser(ref):
    """The published Adam on a quadratic."""
    for case in _cases(ref, "adam"):
        x, target = (torch.from_numpy(case.array(name)) for name in ("x0", "target"))
        adam, trajectory = published.Adam([x.clone()]), []
        for _ in case.array("trajectory"):
            adam.step([2 * (adam.values[0] - target)])
            trajectory.append(adam.values[0].clone())
        yield from case.row("trajectory", torch.stack(trajectory), STRICT, relative=True)


def chains(ref):
    """Joints to mesh through `fitting.fit`, in one batch and one by one, and the parameters on the way."""
    for case in _cases(ref, "fit/chain_"):
        layer = hand_shaped(ref)
        joints = torch.from_numpy(case.array("joints_m"))
        if "so3_given" in case:
            given = {"start": torch.from_numpy(case.array("so3_given"))}
        else:
            given = {"iknet": network(ref, "IKNet")}
        yield from _on_the_way(case, Kinematics(layer), joints, **given)
        allowed = SENSITIVE_CHAIN_MM if "start" in given and len(joints) > 1 else CHAIN_MM
        for reading, batch in (("batch", len(joints)), ("one_by_one", 1)):
            made = fitting.fit(joints, layer, published=True, batch=batch, **given)
            for name, points in (("verts", made.verts[:, STORED]), ("joints", made.joints)):
                if f"{reading}/{name}" in case:
                    away = _mean_mm(points, case.array(f"{reading}/{name}"))
                    yield Row(case.name, f"{reading} {name}, mean mm", away, allowed)
            if f"{reading}/verts/sample" in case:
                facts = ref.json(f"{FILE}.json")[f"{case.name}/{reading}"]["stages"]["verts"]
                ours = made.verts.numpy().ravel()[:: facts["stride"]]
                away = 1e3 * np.abs(ours - case.array(f"{reading}/verts/sample")).mean()
                yield Row(case.name, f"{reading} verts/sample, mean mm", away, allowed)


def _on_the_way(case, kinematics, joints, start=None, iknet=None):
    if start is None:
        with torch.no_grad():
            start = iknet(joints)["pose_flat"]
    target, bone = normalised(joints)
    steps = list(published.solve(kinematics, target, joints[:, 9], bone, start))
    for which, name in enumerate(("so3", "beta", "bone")):
        if f"batch/{name}_at_steps_1_2_3_5_10_20" not in case:
            continue
        expected = case.array(f"batch/{name}_at_steps_1_2_3_5_10_20")
        ours = torch.stack([steps[step - 1][which] for step in STEPS], 1).numpy()
        off = np.abs(ours - expected) / np.abs(expected).max()
        yield Row(case.name, f"{name} after step 1", float(off[:, 0].max()), STRICT)
        yield Row(case.name, f"{name} after steps 2 to 20, mean", float(off[:, 1:].mean()), STRICT)


def _mean_mm(points, expected):
    """Mean distance; infinite where shapes differ."""
    points = np.asarray(points)
    if points.shape != expected.shape:
        return float("inf")
    return float(1e3 * np.linalg.norm(points - expected, axis=-1).mean())


CHECKS = [layers, objective, optimiser, chains]
