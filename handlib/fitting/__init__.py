"""Keypoints -> a MANO hand: 21 joints in 3D, or in a picture with its camera, of either hand.

    found = fitting.fit(joints, layer)                            # (N, 21, 3) metres; starts in closed form
    found = fitting.fit(pixels, layer, K=K)                       # (N, 21, 2) pixels: the place in space is found too
    found = fitting.fit(joints, layer, iknet=net)                 # starts from what IKNet answers
    found = fitting.fit(joints, layer, iknet=net, published=True) # the 20 steps OakInk's mesh figures were made with

``found.verts``, ``found.pose``, … (`HandFit`). Every hand is fitted by itself: its mesh does not depend on the others
given with it, except in the published fit, and where hands are said to share a shape.
"""

import dataclasses

import roma
import torch

from handlib import bodies, geometry
from handlib.bodies.skinning import full_precision
from handlib.files import InputError
from handlib.fitting import inputs, poses, solver
from handlib.fitting import published as published_fit
from handlib.fitting import start as starts
from handlib.fitting.kinematics import Kinematics
from handlib.networks.iknet import normalised

NOISE = {3: 0.002, 2: 2.0}  # default standard deviation of a joint: metres, pixels
PUBLISHED_BATCH = 256  # OakInk's mesh figures were made in data-set order in batches of this size
_BATCH = 1024
_VIEWS, _TRIED = 8, 6  # of a hand in a picture: how many places are tried, for how many steps
_MIRROR = (1.0, -1.0, -1.0)  # what mirroring in x does to an axis-angle


@dataclasses.dataclass(frozen=True)
class HandFit:
    """Fitted hands; leading axes as those of the joints given, tensors on the layer's device in its dtype.

    pose (…, 48): axis-angle, whole (``mean_added=True``), MANO's joint order; shape (…, 10); transl (…, 3) metres;
    scale (…): 1 but in the published fit; verts (…, 778, 3) and joints (…, 21, 3), metres, camera frame:
    ``scale * layer(pose, shape) + transl``, and x -> -x where ``mirrored`` (…) bool: there pose and transl are those of
    the layer's mirror image, whose faces wind the other way.
    error (…, 21): distance to the joints given, metres, or pixels where those were pixels; NaN where none was given.
    objective (…): what was minimised, at the end (a sequence of constant shape has one value); steps (…): how many were
    tried; converged (…) bool: ended because nothing was left to gain (`solver.solve`); the published fit never says so.
    """

    pose: torch.Tensor
    shape: torch.Tensor
    transl: torch.Tensor
    scale: torch.Tensor
    verts: torch.Tensor
    joints: torch.Tensor
    error: torch.Tensor
    objective: torch.Tensor
    steps: torch.Tensor
    converged: torch.Tensor
    mirrored: torch.Tensor


def fit(
    joints, layer, *, K=None, weights=None, side=None, tips="manopth", iknet=None, start=None, published=False,
    constant_shape=False, noise=None, plausible=None, max_steps=100, tolerance=solver.TOLERANCE, batch=None,
):  # fmt: skip
    """Fit the hand model to 21 keypoints (`fields.HAND21`), numpy or torch, any leading axes (…).

    joints: (…, 21, 3) metres, camera frame; or (…, 21, 2) pixels, with ``K`` (…, 3, 3) or (3, 3). NaN: not seen.
    layer: a MANO layer of `bodies.load`; its device does the work.
    weights (…, 21): how much each joint counts, 0 or NaN not at all; a weight w is like a noise of noise / sqrt(w).
    side: "right", "left" or (…) of 0 right, 1 left; None: the layer's. Hands of the other side are mirrored, fitted,
        and mirrored back; give the left hand's own layer where there is one.
    tips: which vertices are finger tips (`bodies.mano.TIPS`), or five indices.
    iknet: a network whose pose is the start (3D joints only; hands with missing joints start in closed form).
    start (…, 48): axis-angle poses to start from, whole, of the layer's side.
    constant_shape: True: all hands given have one shape; (…) integers: those with equal numbers have.
    noise: standard deviation of a joint, metres (0.002) or pixels (2): small follows the keypoints, large what is
        plausible; best as large as the keypoints' error. plausible: `poses.Poses` (None: those of the layer). The mesh
        has the size of a hand: a picture alone tells size from distance only by what hands are like.
    max_steps, tolerance: when to stop, see `solver.solve`.
    published: HandTailor's 20 Adam steps as in OakInk's benchmark, from ``iknet`` or ``start``; each hand is pulled to
        the mean start of its batch of ``batch`` (256) rows, in the order given. It takes 3D joints without gaps, and
        joints, layer, tips, iknet, start and batch alone. Otherwise ``batch`` (1024) only bounds the memory.

    Returns a `HandFit`. Raises InputError for what cannot be fitted, naming the rows: wrong shapes, fewer than three
    joints, a bone 0-9 without length, infinite values, a camera without focal length, options that do not go together.
    """
    # Full precision and gradients where they are needed, whatever the caller has switched on around this.
    with torch.inference_mode(False), torch.no_grad(), full_precision(layer.weights.device.type):
        given = inputs.checked(joints, layer, K, weights, side, constant_shape, start)
        batch = batch if batch is None else inputs.positive(batch, "batch")
        _refuse_iknet(iknet, given)
        if published:
            changed = {"weights": weights, "noise": noise, "plausible": plausible, "constant_shape": constant_shape}
            _refuse_in_published(
                given, [key for key, value in changed.items() if value is not None and value is not False]
            )
            parts = [_published(part, layer, tips, iknet) for part in _cut(given, batch or PUBLISHED_BATCH)]
        else:
            noise = inputs.positive(NOISE[given.points.shape[-1]] if noise is None else noise, "noise")
            settings = {"noise": noise, "max_steps": inputs.positive(max_steps, "max_steps")}
            settings["tolerance"] = inputs.positive(tolerance, "tolerance")
            size = (batch or _BATCH) if constant_shape is False else len(given.points)
            parts = [_default(part, layer, tips, iknet, plausible, **settings) for part in _cut(given, size)]
        found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return _finished(found, given, layer, tips)


def _cut(given, size):
    return [given.part(slice(at, at + size)) for at in range(0, len(given.points), size)]


def iknet_poses(iknet, points, layer):
    """IKNet's poses (N, 48) for whole hands (N, 21, 3) of the layer's side; the network knows right hands."""
    signs = points.new_tensor([-1.0 if layer.side == "left" else 1.0, 1, 1])
    weight, training = next(iknet.parameters()), iknet.training
    try:
        with torch.no_grad():
            pose = iknet.eval()((points * signs).to(weight))["pose_flat"]
    finally:
        iknet.train(training)
    turn = points.new_tensor(_MIRROR).repeat(16) if layer.side == "left" else 1.0
    return pose.to(points) * turn


def _refuse_iknet(iknet, given):
    if iknet is not None and given.start is not None:
        raise InputError("fit", "both say where to start", "give one of iknet and start", "start")
    if iknet is not None and given.points.shape[-1] != 3:
        raise InputError("fit", "takes joints in 3D, not pixels", "leave it out, or give its poses as `start`", "iknet")


def _refuse_in_published(given, changed):
    mend = "leave it out, or fit without `published`"
    for name in changed:
        raise InputError("fit", "is not part of the published fit", mend, name)
    if given.points.shape[-1] != 3 or not (given.weights > 0).all():
        raise InputError("fit", "must be 3D and whole for the published fit", "fit without `published`", "joints")


def _published(given, layer, tips, iknet):
    """The published chain on one of its batches, in the layer's precision, as published."""
    if iknet is None and given.start is None:
        raise InputError("fit", "is missing: the published fit starts from a network's pose", "give it", "iknet")
    start = iknet_poses(iknet, given.points, layer) if given.start is None else given.start
    points, start = (value.to(layer.weights.dtype) for value in (given.points, start))
    kinematics, root = Kinematics(layer, tips), points[:, 9]
    target, bone = normalised(points)
    *_, (pose, shape, length) = published_fit.solve(kinematics, target, root, bone, start)
    parts = published_fit.terms(kinematics, pose, shape, length, target, root, start)
    scale, transl = published_fit.placement(kinematics, pose, shape, root, bone)
    steps = torch.full_like(scale, published_fit.STEPS, dtype=torch.long)
    return {
        "pose": pose, "shape": shape, "transl": transl, "scale": scale, "objective": published_fit.objective(parts),
        "steps": steps, "converged": steps < 0,
    }  # fmt: skip


def _default(given, layer, tips, iknet, plausible, noise, max_steps, tolerance):
    """Place, pose and shape of largest probability; hands are independent but for the shapes they share."""
    plausible = poses.of(layer) if plausible is None else plausible
    kinematics = Kinematics(layer, tips, given.points.dtype)
    mean, precision = (value.to(given.points) for value in (plausible.mean, plausible.precision()))
    deviation = given.weights.sqrt()[..., None] / noise
    points = given.points
    if given.K is not None:
        focal = given.K.diagonal(dim1=1, dim2=2)[:, None, :2]
        points, deviation = (points - given.K[:, None, :2, 2]) / focal, deviation * focal
    deviation = deviation.expand_as(points)
    problem = solver.Problem(kinematics, points, deviation, given.group, mean.expand(len(points), 45), precision)
    fingers = roma.rotvec_to_rotmat(mean.view(15, 3))
    if given.K is not None:
        place = _seen_place(problem, given, fingers)
    else:
        place = _placed(problem, _first_rotations(problem, given, layer, iknet, fingers))
    made = solver.solve(problem, place, max_steps, tolerance)
    place, group = made.place, given.group
    return {
        "pose": roma.rotmat_to_rotvec(place.rotations).flatten(1), "shape": place.shape[group], "transl": place.shift,
        "scale": torch.ones_like(place.shift[:, 0]), "objective": made.objective[group], "steps": made.steps[group],
        "converged": made.converged[group],
    }  # fmt: skip


def _first_rotations(problem, given, layer, iknet, fingers):
    if given.start is not None:
        return roma.rotvec_to_rotmat(given.start.unflatten(1, (16, 3)))
    rotations = starts.from_points(problem.kinematics, fingers, given.points, given.weights)
    whole = (given.weights > 0).all(1)
    if iknet is not None and whole.any():
        pose = iknet_poses(iknet, given.points[whole], layer)
        rotations[whole] = roma.rotvec_to_rotmat(pose.unflatten(1, (16, 3)))
    return rotations


def _placed(problem, rotations):
    """These rotations with the mean shape, moved onto the points."""
    shape = rotations.new_zeros(int(problem.group.max()) + 1, problem.kinematics.shape_size)
    share = problem.weights.square()
    away = problem.points - problem.kinematics(rotations, shape[problem.group])
    return solver.Place(rotations, (share * away).sum(1) / share.sum(1), shape)


def _seen_place(problem, given, fingers):
    """Of the likeliest places of each hand in a picture, the one from which a short way down leads lowest."""
    count = len(problem.points)
    rotations, shift = starts.from_rays(problem.kinematics, fingers, problem.points, given.weights, _VIEWS)
    if given.start is not None:  # its fingers, and its turn as one more view
        pose = roma.rotvec_to_rotmat(given.start.unflatten(1, (16, 3)))
        rotations = torch.cat(
            [pose[None], torch.cat([rotations[:, :, :1], pose[None, :, 1:].expand(len(rotations), -1, -1, -1, -1)], 2)]
        )
        shift = torch.cat([shift[:1], shift])
    tries = len(rotations)
    single = torch.arange(count * tries, device=shift.device)
    hands = torch.arange(count, device=shift.device).repeat(tries)
    shape = shift.new_zeros(count * tries, problem.kinematics.shape_size)
    place = solver.Place(rotations.flatten(0, 1), shift.flatten(0, 1), shape)
    tried = solver.solve(problem.part(hands, single), place, max_steps=_TRIED)
    best = tried.objective.view(tries, count).argmin(0) * count + hands[:count]
    number = problem.group.bincount()
    shape = shape.new_zeros(len(number), shape.shape[1]).index_add(0, problem.group, tried.place.shape[best])
    shape = shape / number[:, None]
    return solver.Place(tried.place.rotations[best], tried.place.shift[best], shape)


def _finished(found, given, layer, tips):
    """The whole answer in the layer's dtype, with the mesh, and mirrored back."""
    dtype = layer.weights.dtype
    found = {name: value.to(dtype) if value.is_floating_point() else value for name, value in found.items()}
    scale, transl = found["scale"][:, None, None], found["transl"][:, None]
    parts = [slice(at, at + _BATCH) for at in range(0, len(scale), _BATCH)]
    with torch.no_grad():
        made = [layer(pose=found["pose"][part], shape=found["shape"][part], mean_added=True) for part in parts]
    verts, bones = (torch.cat([out[name] for out in made]) * scale + transl for name in ("verts", "joints"))
    joints = bodies.joints21(verts, bones, tips)
    seen, K = joints.to(given.points), given.K
    if K is not None:
        seen = geometry.project(seen, K, eps=0.0)
    error = (seen - given.points).norm(dim=-1).to(dtype)
    found["error"] = torch.where(given.weights > 0, error, torch.nan)
    flip = torch.where(given.mirrored, -1.0, 1.0).to(dtype)[:, None, None] * verts.new_tensor([1.0, 0, 0])
    flip = flip + verts.new_tensor([0.0, 1, 1])
    found |= {"verts": verts * flip, "joints": joints * flip, "mirrored": given.mirrored}
    return HandFit(**{name: value.reshape((*given.lead, *value.shape[1:])) for name, value in found.items()})
