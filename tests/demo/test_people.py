"""Pictures of whole people: the parameters are those of the people in them, the boxes of what is to be seen."""

import dataclasses

import numpy as np
import pytest

from handlib import bodies, geometry
from handlib.demo import people, people_studio


@pytest.fixture(scope="module")
def layer():
    return bodies.load(None, "smplx_neutral")


@pytest.fixture(scope="module")
def shot(layer):
    return people.draw(np.random.default_rng(3), layer, 2, size=(120, 160), poses=["standing", "sitting"])


def test_parameters_in_the_cameras_frame_give_the_same_people(layer, shot):
    """A person put into the world and then seen, and the layer with the person's own parameters, agree."""
    rng = np.random.default_rng(0)
    parameters = people.doing(rng, layer, "waving", 0.4, 0.1) | {"transl": np.array([0.3, -1.3, 0.2])}
    seen = geometry.world_to_camera(people.posed(layer, parameters)[0], shot.camera.rot, shot.camera.pos)
    own = people.posed(layer, people.in_camera(layer, parameters, shot.camera))[0]
    np.testing.assert_allclose(own, seen, atol=2e-6)


def test_boxes_are_of_what_is_seen(shot):
    found, (height, width) = people_studio.seen(shot), shot.camera.size
    for number, person in enumerate(shot.people):
        pixels = geometry.project(person.joints, shot.camera.K)[:, :2]
        x, y, w, h = found["boxes"][number, 0]
        inside = ((pixels >= [x - 2, y - 2]) & (pixels <= [x + w + 2, y + h + 2])).all(1)
        assert inside[found["visible"][number]].all() and found["visible"][number].sum() > 20
        assert 0 <= x and x + w <= width and y + h <= height
    assert (found["boxes"][0, 0] != found["boxes"][1, 0]).any() and (found["shares"] <= 1).all()


def test_someone_in_front_hides_the_one_behind(shot):
    first = shot.people[0]
    behind = dataclasses.replace(first, verts=first.verts * 1.5, joints=first.joints * 1.5)
    both = dataclasses.replace(shot, people=(first, behind), things=())
    shares = people_studio.seen(both)["shares"]
    assert shares[0, 0] > 0.9 and shares[1, 0] < 0.2


def test_the_same_picture_again(shot):
    alone = dataclasses.replace(shot, people=shot.people[:1])
    first, again = (people_studio.picture(alone, 5) for _ in range(2))
    assert first.shape == (120, 160, 3) and first.dtype == np.uint8 and np.array_equal(first, again)
    empty = people_studio.picture(dataclasses.replace(shot, people=()), 5)
    assert 0.01 < (np.abs(first.astype(int) - empty).max(2) > 40).mean() < 0.7
