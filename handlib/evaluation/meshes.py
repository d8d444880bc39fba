"""Predictions with a mesh of every hand, and what the ways to one are worth."""

import copy
import time

import numpy as np
import pandas
import torch

from handlib import alignment, bodies, fitting
from handlib.atomic import there
from handlib.evaluation.finding import same_body
from handlib.training.predictions import Predictions, fingerprint

OWN = {"verts_3d", "verts", "verts_cam"}  # what predictions call the network's own meshes


def with_mesh(made, pack, layer, iknet=None, published=False, file=None):
    """Predictions with a mesh of every hand, where joints alone were predicted: the hand model fitted to them.

    layer: the hand model of the pack's truth (`handlib.bodies.load`); iknet: where the fit starts; published: the 20
    steps that OakInk's published mesh figures were made with, in the pack's order. file: as of `training.predict`.
    ``facts["mesh"]`` says in words where the mesh comes from; or why there is none, as where the true meshes are
    MANO's and its files are not here. Two-hand networks are left as they are.
    """
    if "joints_3d" not in made.predictions and not OWN & set(made.predictions):
        return made
    if OWN & set(made.predictions):
        return _with(made, mesh="the network's own")
    if not same_body(pack, layer):
        return _with(made, mesh=f"none: the truth is of {pack.manifest['fits_of']}, the hand model here {layer.source}")
    words = f"{'published fit' if published else 'fit'} from {'closed form' if iknet is None else 'IKNet'}"
    facts = {"mesh": words, "layer": layer.source, "iknet": None if iknet is None else fingerprint(iknet)}
    if file is not None and there(file):
        kept = Predictions.load(file)
        if kept.facts == made.facts | facts and np.array_equal(kept.index, made.index):
            return kept
    found = _fitted(made.predictions["joints_3d"], layer, iknet, published)
    made = _with(made, {"verts_3d": found.verts.cpu().numpy()}, **facts)
    if file is not None:
        made.save(file)
    return made


def _with(made, more=(), **facts):
    return Predictions(made.predictions | dict(more), made.truth, made.index, made.facts | facts)


def _fitted(joints, layer, iknet, published):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layer = copy.deepcopy(layer).to(device)
    return fitting.fit(torch.as_tensor(joints, device=device), layer, iknet=iknet, published=published)


def ways_to_a_mesh(joints, verts, layer, iknet):
    """Every way from joints (N, 21, 3) m to a mesh, against the true one (N, V, 3) -> DataFrame.

    Columns: start, fit, mpvpe_mm in the camera's frame, pa_mpvpe_mm, ms_per_hand (all hands at once, on this machine).
    """
    ways = [("IKNet", "none"), ("IKNet", "published, 20 steps"), ("IKNet", "to the end"), ("closed form", "to the end")]
    rows = []
    for start, fit in ways:
        since = time.perf_counter()
        if fit == "none":
            made = _unfitted(joints, layer, iknet)
        else:
            made = _fitted(joints, layer, iknet if start == "IKNet" else None, "published" in fit).verts
        ms = 1000 * (time.perf_counter() - since) / len(joints)
        rows.append({"start": start, "fit": fit} | mesh_errors(made.cpu().numpy(), verts) | {"ms_per_hand": ms})
    return pandas.DataFrame(rows)


def mesh_errors(predicted, verts):
    """MPVPE and PA-MPVPE of meshes (N, V, 3) m, as OakInk's benchmark computes them: {"mpvpe_mm", "pa_mpvpe_mm"}."""
    aligned, _ = alignment.similarity(np.asarray(predicted, float), np.asarray(verts, float))
    pairs = {"mpvpe_mm": predicted, "pa_mpvpe_mm": aligned}
    return {name: 1000 * float(np.linalg.norm(points - verts, axis=-1).mean()) for name, points in pairs.items()}


def _unfitted(joints, layer, iknet):
    """The mean shape in the pose that IKNet answers, laid on joint 9 in the size of its bone to the wrist."""
    joints = torch.as_tensor(joints, dtype=layer.weights.dtype)
    pose = fitting.iknet_poses(iknet, joints, layer)
    made = layer(pose=pose, shape=pose.new_zeros(len(pose), 10), mean_added=True)
    mine = bodies.joints21(made["verts"], made["joints"])
    scale = (joints[:, 9] - joints[:, 0]).norm(dim=-1) / (mine[:, 9] - mine[:, 0]).norm(dim=-1)
    return (made["verts"] - mine[:, 9:10]) * scale[:, None, None] + joints[:, 9:10]
