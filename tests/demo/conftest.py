"""What tests of demo data share."""

import numpy as np
import pytest

from handlib.demo import people_studio


@pytest.fixture(scope="module")
def grey():
    """Pictures of people are grey, and so quickly made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people_studio, "picture", lambda shot, seed: np.full((*shot.camera.size, 3), 128, np.uint8))
        yield
