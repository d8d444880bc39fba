"""Things to hold: closed meshes around the origin, and distances that agree with them."""

import numpy as np
import pytest
import torch
import trimesh

from handlib.demo import objects, solids


@pytest.mark.parametrize("name", objects.NAMES)
def test_meshes_are_closed_and_distances_are_theirs(name):
    thing = objects.make(name)
    np.testing.assert_allclose(thing.verts.min(0), -thing.verts.max(0), atol=1e-9)
    meshes = [trimesh.Trimesh(*part.mesh(), process=False) for part in thing.parts]
    assert all(mesh.is_watertight and mesh.volume > 0 for mesh in meshes)
    assert len(thing.verts) == sum(len(mesh.vertices) for mesh in meshes)
    rng = np.random.default_rng(0)
    points = rng.uniform(1.3 * thing.verts.min(0), 1.3 * thing.verts.max(0), (4000, 3))
    signed = solids.distance(thing.parts, torch.tensor(points)).numpy()
    inside = np.any([mesh.contains(points) for mesh in meshes], axis=0)
    clear = np.abs(signed) > 3e-4  # the meshes' corners cut off a little of what is round
    assert inside.any() and np.array_equal(signed[clear] < 0, inside[clear])
    for part, mesh in zip(thing.parts, meshes, strict=True):
        own = solids.distance([part], torch.tensor(mesh.sample(3000, seed=0)))
        assert own.abs().max() < 4e-4


@pytest.mark.parametrize("name", ["mug", "bowl"])
def test_what_is_filled_has_no_hollow(name):
    thing = objects.make(name)
    above = torch.tensor([[[0, 0, thing.verts[:, 2].max() - 0.012]]])
    assert solids.distance(thing.parts[:1], above) > 0 > solids.distance(thing.filled[:1], above)


def test_distances_can_be_followed():
    """The gradient is a unit vector outside."""
    points = torch.tensor([[0.05, 0.01, 0.02], [-0.06, 0.03, -0.04]], dtype=torch.float64, requires_grad=True)
    for name in ("bottle", "box", "hammer"):
        (slope,) = torch.autograd.grad(solids.distance(objects.make(name).parts, points).sum(), points)
        np.testing.assert_allclose(slope.norm(dim=1), 1, atol=0.02)
