"""Gradients of OSX where the published float32 run stood on the other side of a kink.

A ReLU, an absolute value and a bilinear sample have slopes that jump: at zero, and where a place crosses from cell to
cell. A value nearer to its kink than float32 rounds has two legitimate slopes, and which one a run takes is chance. The
stand-ins put hundreds of thousands of values through such operations, so some always lie there, and one that weighs
much moves the norm of a gradient by more than its bar, in one float32 run against another.

So where a gradient is off, all are made again in float64, where the sides are certain. The kinks in doubt are those
nearer than float32 was measured to move that very operation's values. Each of the weightiest is put on its other side,
which changes values by no more than that, and those few are kept that bring norms and single numbers to the published
ones. The same sides must serve every training of the case, and the bars are the usual ones.
"""

import dataclasses

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from handlib.networks.blocks.stages import forget
from handlib.verify import wholebody_cases

POOL = 64  # values of one operation that are looked at, the nearest to its kink
DOUBT = 3  # times the root mean square that float32 moves these
WEIGHTIEST, MOST = 16, 3  # kinks tried, and put on the other side


class Sides(TorchFunctionMode):
    """Within it, ReLU, ``abs`` and ``floor`` are counted where a gradient goes through them.

    flipped: [(operation's number, place in its flattened input)], which get the slope of their other side; watched:
    {operation's number: places}, default the `POOL` nearest. Fills ``near`` {number: (places, signed distances from the
    kink)} and, in the backward pass, ``slopes`` {number: gradient at the places}.
    """

    def __init__(self, flipped=(), watched=None):
        super().__init__()
        self.flipped, self.watched, self.near, self.slopes = flipped, watched, {}, {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        side = _SIDES.get(func)
        if side is None or not args[0].requires_grad:
            return func(*args, **(kwargs or {}))
        x, number = args[0], len(self.near)
        distance, y, step = side(x)
        flat = distance.detach().flatten()
        places = self.watched[number] if self.watched else flat.abs().topk(min(POOL, len(flat)), largest=False)[1]
        self.near[number] = places, flat[places]
        x.register_hook(lambda grad: self.slopes.__setitem__(number, grad.flatten()[places]))
        mine = [place for operation, place in self.flipped if operation == number]
        return y if not mine else _added(y, step(x).flatten()[mine], mine)


def _relu(x):
    return x, F.relu(x), lambda x: torch.where(x > 0, -1, 1) * (x - x.detach())


def _abs(x):
    return x, x.abs(), lambda x: -2 * x.sign().detach() * (x - x.detach())


def _floor(x):
    low = x.detach().floor()
    return x - x.round(), low, lambda x: torch.where(x - low < 0.5, -1, 1).to(x.dtype)


_SIDES = {F.relu: _relu, torch.Tensor.abs: _abs, torch.Tensor.floor: _floor}


def _added(y, step, places):
    return y.flatten().index_add(0, torch.tensor(places, device=y.device), step).view_as(y)


def settled(rows, net, images, totals, known):
    """The rows of gradients as they are; where one is off, all of them anew, in float64 and on the sides found.

    rows: of `wholebody_cases.gradient_rows`; totals: {training's label: function of images that gives the scalar which
    is differentiated}; known: {label: the published gradients}.
    """
    if all(row.ok for row in rows):
        return rows
    flipped, doubtful = _sides(net, images, totals, known)
    said, made = f", float64, {len(flipped)} of {doubtful} kinks", []
    net.double()
    for label, total in totals.items():
        with Sides(flipped):
            value = total(images.double())
        found = wholebody_cases.gradient_rows(label, net, value, known[label], {}, {})
        made += [dataclasses.replace(row, quantity=row.quantity + said) for row in found]
        net.zero_grad(set_to_none=True)
    net.float()
    return made


def _sides(net, images, totals, known):
    """Which kinks [(operation, place)] are on the other side, by the first training; and how many were in doubt."""
    label, total = next(iter(totals.items()))
    parts = [name for name in known[label]["grad_norm"] if name != "encoder"]
    with _Look(net, images, total) as look:

        def gradients(flipped=()):
            with Sides(flipped) as sides:
                return _deviations(net, total(look.images), known[label], parts), sides

        base, sides = gradients()
        doubtful = look.doubtful(sides)
        tried = _weightiest(doubtful, sides, gradients(doubtful)[1])
        steps = {kink: gradients([kink])[0] - base for kink in tried}
        return _chosen(base, steps, len(parts)), len(doubtful)


class _Look:
    """The network in float64 behind its encoder's answer; in float32 and whole again at the end."""

    def __init__(self, net, images, total):
        self.net, self.given, self.total, self.encoder, self.kept = net, images, total, net.encoder, {}

    def __enter__(self):
        for dtype in (torch.float32, torch.float64):
            self.net.to(dtype)
            with torch.no_grad():
                small = self.net.laid_out(self.net.prepared(self.given.to(dtype))[:, :, ::2, ::2])
                self.kept[dtype] = self.encoder(small, forget)
        self.encoder.float()
        self.net.encoder = _Answer()
        self._be(torch.float64)
        return self

    def __exit__(self, *_):
        self.net.float().encoder = self.encoder

    def _be(self, dtype):
        self.net.to(dtype).encoder.answer = self.kept[dtype]
        self.images = self.given.to(dtype)

    def doubtful(self, sides):
        """[(operation, place)] of all values nearer to their kink than float32 moves their like."""
        self._be(torch.float32)
        with Sides(watched={number: places for number, (places, _) in sides.near.items()}) as rounded:
            self.total(self.images)
        self._be(torch.float64)
        found = []
        for number, (places, exact) in sides.near.items():
            moved = (rounded.near[number][1].double() - exact).square().mean().sqrt()
            found += [(number, place) for place in places[exact.abs() <= DOUBT * moved].tolist()]
        return found


class _Answer(nn.Module):
    """Gives what it was told."""

    def forward(self, small, keep):
        return self.answer


def _deviations(net, total, known, parts):
    """Of the norms of ``parts``, relative, then of the single numbers of the same, by the largest; in bars."""
    published = {f"module.{net.keys.published(name)}": p for name, p in net.named_parameters()}
    begin = tuple(f"module.{name}." for name in parts)
    mine = {name: p for name, p in published.items() if name.startswith(begin)}
    found = torch.autograd.grad(total, list(mine.values()), allow_unused=True)
    grads = {name: grad for name, grad in zip(mine, found, strict=True) if grad is not None}
    norms = wholebody_cases.norms(grads, {name: name for name in parts})
    values = [norms[name] / known["grad_norm"][name] - 1 for name in parts]
    for name in known["grad"].keys() & grads.keys():
        expected = torch.tensor(known["grad"][name], dtype=torch.float64)
        values += ((grads[name].flatten()[: len(expected)] - expected) / expected.abs().max()).tolist()
    return torch.tensor(values, dtype=torch.float64) / wholebody_cases.FLOOR


def _weightiest(kinks, sides, others):
    """The `WEIGHTIEST` kinks by how much the gradient before them jumps."""
    jumps = {}
    for number, (places, _) in sides.near.items():
        if number in sides.slopes and number in others.slopes:
            jump = (sides.slopes[number] - others.slopes[number]).abs().tolist()
            jumps |= {(number, place): value for place, value in zip(places.tolist(), jump, strict=True)}
    return sorted((kink for kink in kinks if kink in jumps), key=jumps.get, reverse=True)[:WEIGHTIEST]


def _chosen(base, steps, norms):
    """The fewest kinks, at most `MOST`, one by one the one that helps most, until all norms are within their bars."""
    chosen, now = [], base
    while steps.keys() - set(chosen) and len(chosen) < MOST and now[:norms].abs().max() > 1:
        best = min(steps.keys() - set(chosen), key=lambda kink: (now + steps[kink]).square().sum())
        if (now + steps[best]).square().sum() >= now.square().sum():
            break
        chosen, now = [*chosen, best], now + steps[best]
    return chosen
