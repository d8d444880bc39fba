"""Kinks of a gradient: the other side's slope without another value, and the side of a published run is found."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from handlib.networks.base import KeyTable
from handlib.networks.blocks import deformable
from handlib.verify import wholebody_cases
from handlib.verify.wholebody_kinks import Sides, settled


def _slope(function, x, flipped=()):
    x = x.clone().requires_grad_()
    with Sides(flipped):
        y = function(x)
    return y.detach(), torch.autograd.grad(y.sum(), x)[0]


@pytest.mark.parametrize(
    "function, slopes, others", [(F.relu, [0, 1, 1], [1, 0, 1]), (torch.Tensor.abs, [-1, 1, 1], [1, -1, 1])]
)
def test_the_other_side_has_the_same_value_and_the_other_slope(function, slopes, others):
    x = torch.tensor([-1e-9, 2e-9, 3.0], dtype=torch.float64)
    plain, flipped = _slope(function, x), _slope(function, x, [(0, 0), (0, 1)])
    assert plain[0].equal(function(x)) and flipped[0].equal(function(x))
    assert plain[1].tolist() == slopes and flipped[1].tolist() == others


def test_a_bilinear_sample_takes_its_neighbour_cells_slope():
    torch.manual_seed(0)
    memory, sizes = torch.randn(1, 20, 3, dtype=torch.float64), [(4, 5)]
    weights = torch.ones(1, 1, 1, 1, 1, dtype=torch.float64)

    def sampled(place):
        return deformable.gather(memory, place.view(1, 1, 1, 1, 1, 2), weights, sizes)

    border = torch.tensor([2.5 / 5, 2.2 / 4], dtype=torch.float64)  # on the second column's middle
    near = border + torch.tensor([1e-9, 0], dtype=torch.float64)
    across = border - torch.tensor([1e-9, 0], dtype=torch.float64)
    flipped, expected = _slope(sampled, near, [(0, 0)]), _slope(sampled, across)
    torch.testing.assert_close(flipped[1], expected[1], atol=1e-6, rtol=0)
    torch.testing.assert_close(flipped[0], _slope(sampled, near)[0], atol=1e-7, rtol=0)
    assert (flipped[1] - _slope(sampled, near)[1]).abs().max() > 0.1


class Toy(nn.Module):
    """As much of OSX as is looked at; one of its ReLUs' values is zero but for rounding."""

    keys = KeyTable({"": ""})

    def __init__(self, images):
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.part = Encoder(), nn.ModuleDict({"low": nn.Linear(40, 200), "high": nn.Linear(200, 7)})
        with torch.no_grad():
            self.part["low"].bias[3] -= self.part["low"](self.encoder(images[:, :, ::2, ::2], None))[0, 3]

    def laid_out(self, x):
        return x

    prepared = laid_out

    def forward(self, images):
        features = self.encoder(self.laid_out(self.prepared(images)[:, :, ::2, ::2]), None)
        return self.part["high"](F.relu(self.part["low"](features)))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, 40)

    def forward(self, small, keep):
        return self.layer(small.flatten(1)).tanh()


def _rows(published_side, factor=1.0):
    """(rows in float32, settled rows) of a training whose published run took that side."""
    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    net = Toy(images)

    def total(given):
        return net(given).square().sum()

    net.double()
    with Sides(published_side):
        value = total(images.double())
    value.backward()
    gradients = {f"module.{name}": p.grad * factor for name, p in net.named_parameters()}
    norms = wholebody_cases.norms(gradients, {"encoder": "encoder", "part": "part"})
    known = {"grad_norm": norms, "grad": {"module.part.low.bias": gradients["module.part.low.bias"][:9].tolist()}}
    net.float()
    rows = list(wholebody_cases.gradient_rows("toy", net, total(images), known, {}, {}))
    return rows, settled(rows, net, images, {"toy": total}, {"toy": known}), net


def test_the_side_of_the_published_run_is_found():
    net = _rows(())[2]
    assert {p.dtype for p in net.parameters()} == {torch.float32} and isinstance(net.encoder, Encoder)
    both = [_rows(side)[:2] for side in ((), [(0, 3)])]
    assert sum(all(row.ok for row in plain) for plain, _ in both) == 1  # float32 stands on one of the two
    for _, found in both:
        assert all(row.ok for row in found) and len(found) == 3
    assert any("float64" in row.quantity for _, found in both for row in found)


def test_a_gradient_that_is_wrong_stays_so():
    rows, found, _ = _rows((), factor=1.001)
    assert not all(row.ok for row in rows) and not all(row.ok for row in found)
