"""What a fit is given, checked and brought into one form: flat arrays, missing joints, mirrored hands."""

import dataclasses

import torch

from handlib.files import InputError

FEWEST = 3  # joints, below which a hand has no place
_SIDES = ("right", "left")
_MEND = "give all 21 in the order of fields.HAND21, NaN where a joint is not seen"


@dataclasses.dataclass(frozen=True)
class Given:
    """N hands as hands of the layer's side, float64, on its device.

    points (N, 21, D): metres, or pixels; 0 where weights (N, 21) are 0; K (N, 3, 3) or None; mirrored (N,) bool: points
    are mirrored in x, or stand for such a picture; group (N,): number of the shape; start (N, 48) or None; lead: the
    leading axes as they were given.
    """

    points: torch.Tensor
    weights: torch.Tensor
    K: torch.Tensor | None
    mirrored: torch.Tensor
    group: torch.Tensor
    start: torch.Tensor | None
    lead: tuple

    def part(self, rows):
        """Some of the hands; groups are numbered anew."""
        named = {name: getattr(self, name) for name in ("points", "weights", "K", "mirrored", "start")}
        named = {name: None if value is None else value[rows] for name, value in named.items()}
        group = self.group[rows].unique(return_inverse=True)[1]
        return dataclasses.replace(self, **named, group=group)


def positive(value, name):
    """The number ``value``; InputError unless it is one above 0."""
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InputError("fit", f"is {value!r}", "give a number above 0", name)
    return value


def checked(joints, layer, K, weights, side, constant_shape, start):
    """The arguments of `handlib.fitting.fit` as `Given`. InputError names what is wrong, and in which rows."""
    joints = _tensor(joints, layer)
    if joints.ndim < 2 or joints.shape[-2] != 21 or joints.shape[-1] not in (2, 3):
        raise InputError("fit", f"have shape {tuple(joints.shape)}, not (…, 21, 3) or (…, 21, 2)", _MEND, "joints")
    lead = tuple(joints.shape[:-2])
    points = joints.reshape(-1, *joints.shape[-2:])
    if not len(points):
        raise InputError("fit", "there is no hand in them", "give at least one", "joints")
    _refuse(points.isinf().flatten(1).any(1), "joints", "hold infinite values", "NaN where a joint is not seen")
    weights = _weights(weights, points, layer, lead)
    points = torch.where(weights[..., None] > 0, points, 0.0)
    _refuse((weights > 0).sum(1) < FEWEST, "joints", f"have fewer than {FEWEST} joints that count", "leave them out")
    spread = torch.where(weights[..., None] > 0, points, points.new_tensor(torch.nan))
    spread = spread.nan_to_num(-torch.inf).amax(1) - spread.nan_to_num(torch.inf).amin(1)
    _refuse(spread.amax(1) <= 0, "joints", "have all their joints in one point", "leave them out")
    if points.shape[-1] == 3:
        bone = (points[:, 9] - points[:, 0]).norm(dim=1)
        zero = (weights[:, [0, 9]] > 0).all(1) & (bone <= 0)
        _refuse(zero, "joints", "have no length between joints 0 and 9", "give real joints, NaN where not seen")
    K = _camera(K, points, lead, layer)
    mirrored = _mirrored(side, layer, lead)
    group = _groups(constant_shape, lead, points.device)
    if start is not None:
        start = _shaped(_tensor(start, layer), (*lead, 48), "start")
        _refuse(~start.isfinite().all(1), "start", "hold NaN or infinite values", "leave `start` out")
    return Given(_mirror(points, mirrored, K), weights, K, mirrored, group, start, lead)


def _tensor(value, layer):
    try:
        # A copy: what comes from inference mode could not be differentiated.
        return torch.as_tensor(value, device=layer.weights.device).detach().to(number_type(layer), copy=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError("fit", f"cannot be read as numbers ({error})", "give numpy or torch arrays") from error


def number_type(layer):
    """float64, where the layer's device has it."""
    return torch.float32 if layer.weights.device.type == "mps" else torch.float64


def _shaped(value, shape, name):
    """``value`` of exactly ``shape``, its leading axes flattened to one."""
    if tuple(value.shape) != tuple(shape):
        raise InputError("fit", f"has shape {tuple(value.shape)}", f"give {tuple(shape)}, as the joints are", name)
    return value.reshape(-1, *shape[-1:])


def _refuse(rows, name, problem, mend):
    if rows.any():
        numbers = rows.nonzero()[:, 0].tolist()
        which = ", ".join(map(str, numbers[:10])) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")
        raise InputError("fit", f"hands {which} {problem}", mend, name)


def _weights(weights, points, layer, lead):
    seen = points.isfinite().all(2)
    if weights is None:
        return seen.to(points.dtype)
    weights = _shaped(_tensor(weights, layer), (*lead, 21), "weights").nan_to_num(0.0, posinf=torch.inf)
    _refuse((weights < 0).any(1) | weights.isinf().any(1), "weights", "are negative or infinite", "give 0 or more")
    return torch.where(seen, weights, 0.0)


def _camera(K, points, lead, layer):
    """(N, 3, 3), or None for 3D joints."""
    if points.shape[-1] == 3:
        if K is not None:
            raise InputError("fit", "is of no use to joints in 3D", "leave it out, or give (…, 21, 2) pixels", "K")
        return None
    if K is None:
        raise InputError("fit", "is missing: the joints are pixels", "give the camera's (3, 3) matrix", "K")
    K = _tensor(K, layer)
    if tuple(K.shape) not in ((3, 3), (*lead, 3, 3)):
        raise InputError("fit", f"has shape {tuple(K.shape)}", f"give (3, 3) or {(*lead, 3, 3)}", "K")
    K = K.expand(*lead, 3, 3).reshape(-1, 3, 3)
    bad = ~K.isfinite().all(2).all(1) | (K[:, 0, 0] <= 0) | (K[:, 1, 1] <= 0)
    _refuse(bad, "K", "have a camera without a focal length", "give pinhole intrinsics in pixels")
    return K


def _mirrored(side, layer, lead):
    """(N,) bool: hands that are not of the layer's side."""
    if side is None or (isinstance(side, str) and side in _SIDES):
        number = torch.full(lead, _SIDES.index(side or layer.side))
    else:
        number = torch.full((0,), 0) if isinstance(side, str) else torch.as_tensor(side)
        if tuple(number.shape) != lead or not ((number == 0) | (number == 1)).all():
            mend = f"give 'right', 'left', or 0 (right) and 1 (left) of shape {lead}"
            raise InputError("fit", f"is {side!r}"[:200], mend, "side")
    return (number.reshape(-1) != _SIDES.index(layer.side)).to(layer.weights.device)


def _groups(constant_shape, lead, device):
    """(N,) numbers 0, 1, …: of whose shape a hand has."""
    count = int(torch.tensor(lead).prod()) if lead else 1
    if isinstance(constant_shape, bool):
        return torch.zeros(count, dtype=torch.long, device=device) if constant_shape else torch.arange(count).to(device)
    number = torch.as_tensor(constant_shape)
    if tuple(number.shape) != lead or number.is_floating_point():
        mend = f"give True, False, or integers of shape {lead}"
        raise InputError("fit", f"has shape {tuple(number.shape)}", mend, "constant_shape")
    return number.reshape(-1).unique(return_inverse=True)[1].to(device)


def _mirror(points, mirrored, K):
    """Mirrored in x: metres about 0, pixels about the camera's axis (K stays what it is)."""
    axis = 0.0 if K is None else 2 * K[:, None, 0, 2]
    x = torch.where(mirrored[:, None], axis - points[..., 0], points[..., 0])
    return torch.cat([x[..., None], points[..., 1:]], -1)
