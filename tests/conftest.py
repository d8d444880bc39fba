"""Fixtures that many tests share."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root():
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def real_data():
    """Real frames in their official layout; skipped where the licensed samples are not at hand."""
    folder = ROOT.parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip("the licensed sample frames are not on this machine")
    return folder
