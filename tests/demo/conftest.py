"""What tests of demo data share."""

import numpy as np
import pytest

from handlib import body_joints, geometry
from handlib.demo import people_studio


@pytest.fixture(scope="module")
def grey():
    """Pictures of people are grey, and so quickly made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people_studio, "picture", lambda shot, seed: np.full((*shot.camera.size, 3), 128, np.uint8))
        yield


@pytest.fixture(scope="module")
def outlined(grey):
    """And what is seen of people is quickly said, by their joints alone, as if nothing hid anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people_studio, "seen", _outlined)
        yield


def _outlined(shot):
    boxes, shares, visible = [], [], []
    last = np.array(shot.camera.size[::-1]) - 1
    for person in shot.people:
        pixels = geometry.project(person.joints, shot.camera.K)[:, :2]
        inside = ((pixels >= 0) & (pixels <= last)).all(1)
        own = [np.arange(137), *(np.arange(137)[body_joints.PARTS137[part]] for part in ("lhand", "rhand", "face"))]
        low, high = (np.array([edge(pixels[rows], 0) for rows in own]).clip(0, last) for edge in (np.min, np.max))
        boxes.append(np.concatenate([low, high - low], 1) * [[inside[rows].any()] for rows in own])
        shares.append([inside[rows].mean() for rows in own])
        visible.append(inside)
    return {"boxes": np.stack(boxes), "shares": np.array(shares), "visible": np.stack(visible)}
