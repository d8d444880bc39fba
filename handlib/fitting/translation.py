"""Where a hand stands: the translation that brings 21 joints, known but for their place, onto their pixels.

    transl, error = translation(joints, pixels, K)   # many hands at once, each by itself
    found = published_translation(joints, pixels)    # one hand, as HandOccNet's demo_fitting does it

Camera frame: x right, y down, z forward; metres and pixels.
"""

import dataclasses
import functools

import torch

from handlib.files import InputError

NEAR, FAR = 0.02, 100.0  # metres: nothing that a camera sees is nearer, no hand that it makes out is farther
STEPS = 12
_FEWEST = 2  # joints, below which a place is not determined
_ROBUST, _SIGMA = 1.345, 1.4826  # Huber's threshold in standard deviations; median of |x| to standard deviation
_LEAST = 0.5  # pixels: errors below this count by their square, however small the others are

PUBLISHED_FOCAL, PUBLISHED_DEPTH, PUBLISHED_DEPTH_WEIGHT = 500.0, 0.5, 1000.0


# Many hands


def translation(joints, pixels, K, weights=None, steps=STEPS):
    """The translations t (N, 3) metres for which joints + t are seen at ``pixels``, and their errors (N,) pixels.

    joints (N, 21, 3) metres, any number of points, oriented as the camera; pixels (N, 21, 2), NaN where not seen;
    K (N, 3, 3) or (3, 3), without skew; weights (N, 21) at least 0; numpy or torch. The error is the mean distance over
    the points that count. Tensors come back on the joints' device in their dtype; the work is done in float64.

    The start is the linear least-squares solution of x + tx = u (z + tz) along the rays (u, v); where that would have
    a point nearer than `NEAR`, the place at which hand and picture have the same spread (at most `FAR` away: pixels in
    one point say no distance). Then ``steps`` damped
    Gauss-Newton steps lower Huber's loss of the distances in pixels, its threshold 1.345 robust standard deviations of
    the hand's own errors; steps that raise it, or lead out of these
    bounds, are not taken. No hand's answer
    depends on the others.

    Raises InputError for wrong shapes, infinite values, a camera without focal length, and, naming the rows, fewer than
    two points that count.
    """
    points, seen, focal, centre, share, dtype = _checked(joints, pixels, K, weights)
    rays = (seen - centre) / focal
    place = _start(points, rays, focal, share)
    scale = _scale(_distance(points, place, seen, focal, centre), share)
    cost = _cost(points, place, seen, focal, centre, share, scale)
    damping = torch.full_like(cost, 1e-4)
    for _ in range(steps):
        trial = place - _newton(points, place, seen, focal, centre, share, scale, damping)
        raised = _cost(points, trial, seen, focal, centre, share, scale)
        down = (raised < cost) & _within(points, trial, share)
        place = torch.where(down[:, None], trial, place)
        damping = torch.where(down, (damping / 10).clamp(min=1e-9), damping * 10)
        scale = torch.where(down[:, None], _scale(_distance(points, place, seen, focal, centre), share), scale)
        cost = _cost(points, place, seen, focal, centre, share, scale)
    counted = (share > 0).to(share.dtype)
    error = (_distance(points, place, seen, focal, centre) * counted).sum(1) / counted.sum(1)
    return place.to(dtype), error.to(dtype)


def _checked(joints, pixels, K, weights):
    """float64 tensors on the joints' device: points, pixels, focal and centre (N, 1, 2), weights; the joints' dtype."""
    joints = torch.as_tensor(joints)
    dtype = joints.dtype if joints.is_floating_point() else torch.float32
    work = torch.float32 if joints.device.type == "mps" else torch.float64
    take = {"dtype": work, "device": joints.device}
    points, seen = joints.detach().to(**take), torch.as_tensor(pixels).detach().to(**take)
    K = torch.as_tensor(K).detach().to(**take)
    if points.ndim != 3 or points.shape[-1] != 3:
        raise InputError("translation", f"have shape {tuple(points.shape)}", "give (N, 21, 3)", "joints")
    if seen.shape != (*points.shape[:2], 2):
        mend = f"give {(*points.shape[:2], 2)}, a pixel for each joint"
        raise InputError("translation", f"have shape {tuple(seen.shape)}", mend, "pixels")
    if tuple(K.shape) not in ((3, 3), (len(points), 3, 3)):
        raise InputError("translation", f"has shape {tuple(K.shape)}", f"give (3, 3) or {(len(points), 3, 3)}", "K")
    K = K.expand(len(points), 3, 3)
    focal = K.diagonal(dim1=1, dim2=2)[:, None, :2]
    if not K.isfinite().all() or (focal <= 0).any():
        raise InputError("translation", "has a camera without focal length", "give pinhole intrinsics", "K")
    known = seen.isfinite().all(-1) & points.isfinite().all(-1)
    share = known.to(work)
    if weights is not None:
        weights = torch.as_tensor(weights).detach().to(**take)
        if weights.shape != share.shape or (weights < 0).any() or weights.isinf().any():
            raise InputError("translation", "are not numbers from 0 upwards", f"give {tuple(share.shape)}", "weights")
        share = share * weights.nan_to_num(0.0)
    few = ((share > 0).sum(1) < _FEWEST).nonzero()[:, 0].tolist()
    if few:
        rows = ", ".join(map(str, few[:10])) + ("…" if len(few) > 10 else "")
        raise InputError("translation", f"of rows {rows} fewer than {_FEWEST} count", "leave these out", "joints")
    counts = (share > 0)[..., None]
    return torch.where(counts, points, 0.0), torch.where(counts, seen, 0.0), focal, K[:, None, :2, 2], share, dtype


def _start(points, rays, focal, share):
    """Linear least squares, rows weighted by the focal length; the spreads' ratio where that is not in front."""
    weight = share[..., None] * focal.square()
    normal = points.new_zeros(len(points), 3, 3)
    normal[:, 0, 0], normal[:, 1, 1] = weight.sum(1).unbind(1)
    slope = (weight * rays).sum(1)
    normal[:, 0, 2] = normal[:, 2, 0] = -slope[:, 0]
    normal[:, 1, 2] = normal[:, 2, 1] = -slope[:, 1]
    normal[:, 2, 2] = (weight * rays.square()).sum((1, 2))
    away = rays * points[..., 2:] - points[..., :2]
    right = torch.cat([(weight * away).sum(1), -(weight * rays * away).sum((1, 2))[:, None]], 1)
    solved, failed = torch.linalg.solve_ex(normal, right)
    good = (failed == 0) & solved.isfinite().all(1) & _within(points, solved, share)
    return torch.where(good[:, None], solved, _by_spread(points, rays, share))


def _by_spread(points, rays, share):
    part = (share / share.sum(1, keepdim=True))[..., None]
    middle, centre = (part * points).sum(1), (part * rays).sum(1)
    wide = (part * (points - middle[:, None])[..., :2].square()).sum((1, 2)).sqrt()
    seen = (part * (rays - centre[:, None]).square()).sum((1, 2)).sqrt()
    depth = wide / seen.clamp(min=1e-9)
    depth = depth.clamp(max=FAR)
    depth = torch.maximum(depth, middle[:, 2] - torch.where(share > 0, points[..., 2], torch.inf).amin(1) + 2 * NEAR)
    return torch.cat([centre * depth[:, None], depth[:, None]], 1) - middle


def _within(points, place, share):
    """(N,) bool: every point that counts is in front of the camera, and the hand not out of sight."""
    nearest = torch.where(share > 0, points[..., 2] + place[:, None, 2], torch.inf).amin(1)
    return (nearest >= NEAR) & (place[:, 2] <= FAR)


def _errors(points, place, seen, focal, centre):
    """Pixels off (N, P, 2), and the moved points."""
    moved = points + place[:, None]
    depth = moved[..., 2:].clamp(min=NEAR / 2)  # a trial may have points behind the camera: it is not taken
    return moved[..., :2] / depth * focal + centre - seen, moved, depth


def _distance(*camera):
    return _errors(*camera)[0].norm(dim=-1)


def _scale(distance, share):
    """Huber's threshold (N, 1): from the median distance of the points that count."""
    counted = torch.where(share > 0, distance, torch.nan)
    return (_ROBUST * _SIGMA * counted.nanmedian(1, keepdim=True).values).clamp(min=_LEAST)


def _cost(points, place, seen, focal, centre, share, scale):
    distance = _distance(points, place, seen, focal, centre)
    loss = torch.where(distance <= scale, distance.square() / 2, scale * (distance - scale / 2))
    return (share * loss).sum(1)


def _newton(points, place, seen, focal, centre, share, scale, damping):
    """The damped step (N, 3) of iteratively reweighted least squares."""
    error, moved, depth = _errors(points, place, seen, focal, centre)
    weight = share * (scale / error.norm(dim=-1).clamp(min=1e-12)).clamp(max=1.0)
    slopes = error.new_zeros(*error.shape, 3)  # of pixel x, y by t
    slopes[..., 0, 0], slopes[..., 1, 1] = ((focal / depth)[..., axis] for axis in range(2))
    slopes[..., 2] = -focal * moved[..., :2] / depth.square()
    normal = torch.einsum("np,npai,npaj->nij", weight, slopes, slopes)
    gradient = torch.einsum("np,npai,npa->ni", weight, slopes, error)
    normal = normal + (damping[:, None] * normal.diagonal(dim1=1, dim2=2) + 1e-9).diag_embed()
    step = torch.linalg.solve_ex(normal, gradient)[0]
    return step.nan_to_num(0.0, posinf=0.0, neginf=0.0)


# One hand, as published


@dataclasses.dataclass(frozen=True)
class PublishedTranslation:
    """``transl`` (3,) metres; ``loss`` the objective that the demo reports (that of the start of the last step but
    one); ``steps`` of the optimiser; ``values``: the objective at every evaluation.
    """

    transl: torch.Tensor
    loss: float
    steps: int
    values: tuple


def published_terms(joints, pixels, place, centre, depth=PUBLISHED_DEPTH, focal=PUBLISHED_FOCAL, prior=False):
    """The objective's two terms at ``place`` (3,): pixels off, summed over joints and axes; and 1000 (z - depth)^2.

    The second has a value and no derivative, as published: the demo's reference depth follows the variable. ``prior``
    gives it its derivative, so that it pulls towards ``depth``.
    """
    moved = joints + place
    seen = moved[:, :2] / moved[:, 2:] * focal + centre
    return (pixels - seen).abs().sum(), PUBLISHED_DEPTH_WEIGHT * (
        (place[2] if prior else place[2].detach()) - depth
    ) ** 2


def published_translation(
    joints, pixels, size=None, centre=None, depth=PUBLISHED_DEPTH, focal=PUBLISHED_FOCAL, prior=False
):
    """The translation of one hand as the newest revision of HandOccNet finds it (``demo_fitting``).

    joints (21, 3) metres; pixels (21, 2) of the picture; size (w, h) of the picture, whose half is the principal point
    unless ``centre`` (2,) is given; depth: where it starts, metres; focal 500 pixels, whatever the picture is. L-BFGS
    with a strong Wolfe line search on `published_terms`, in the joints' precision; ``prior`` True is another method, in
    which the depth term works. Returns a `PublishedTranslation`.

    The sum of absolute values makes the end depend on rounding: pixels moved by 1e-4 can move it by a millimetre, at
    the same objective. Raises InputError without size and centre, or for wrong shapes.
    """
    joints, pixels = (torch.as_tensor(value).detach() for value in (joints, pixels))
    if tuple(joints.shape) != (21, 3) or tuple(pixels.shape) != (21, 2):
        problem = f"have shapes {tuple(joints.shape)}, {tuple(pixels.shape)}"
        raise InputError("published_translation", problem, "give (21, 3) and (21, 2)", "joints, pixels")
    if size is None and centre is None:
        raise InputError("published_translation", "is missing", "give the picture's size (w, h)", "size")
    centre = (size[0] / 2, size[1] / 2) if centre is None else centre
    pixels, centre = pixels.to(joints), torch.as_tensor(centre).to(joints)
    with torch.inference_mode(False), torch.enable_grad():
        fixed = joints.clone(), pixels.clone()
        place = joints.new_tensor([0.0, 0.0, depth]).requires_grad_()
        terms = functools.partial(published_terms, *fixed, place, centre.clone(), depth, focal, prior)
        return _published_descent(place, lambda: sum(terms()))


def _published_descent(place, objective):
    optimiser = torch.optim.LBFGS([place], lr=0.1, max_iter=20, history_size=100, line_search_fn="strong_wolfe")
    values, before, steps = [], None, 0

    def closure():
        optimiser.zero_grad()
        value = objective()
        value.backward()
        values.append(value.item())
        return value

    while steps < 300:
        steps += 1
        now = float(optimiser.step(closure).detach())
        if before is not None and (before - now) / max(abs(before), abs(now), 1.0) <= 1e-10:
            break
        if place.grad.abs().max() < 1e-9:
            break
        before = now
    return PublishedTranslation(place.detach(), now if before is None else before, steps, tuple(values))
