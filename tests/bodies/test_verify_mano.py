import shutil

import numpy as np
import pytest

from handlib.verify import Row, Skip, interhand_mano, reference


def results(folder=None):
    ref = reference.Reference(folder, "interhand") if folder else reference.shipped("interhand")
    return [result for check in interhand_mano.CHECKS for result in check(ref)]


def test_the_shipped_cases_hold_and_what_is_not_shipped_is_skipped():
    rows = [result for result in results() if isinstance(result, Row)]
    skipped = [result for result in results() if isinstance(result, Skip)]
    assert len(rows) >= 8 * 4 + 5
    assert [row for row in rows if not row.ok] == []
    assert len(skipped) == 9 and all("non-commercial" in skip.reason for skip in skipped)


@pytest.fixture
def changed(tmp_path):
    """A copy of the shipped arrays with one case moved by a hundredth of a millimetre."""
    source = reference.shipped("interhand")
    folder = tmp_path / "interhand"
    shutil.copytree(source.folder / "fixture", folder / "fixture")
    for name in ("mano.json", "segmentation.json"):
        shutil.copy(source.path(name), folder / name)
    arrays = source.npz("mano.npz")
    name = next(key for key in arrays if key.startswith("mesh_cam/"))
    arrays[name] = arrays[name] + np.float32(0.01)
    np.savez(folder / "mano.npz", **arrays)
    return folder, name.split("/")[1]


def test_a_deviation_is_seen(changed):
    folder, case = changed
    off = [result for result in results(folder) if isinstance(result, Row) and not result.ok]
    assert [(row.case, row.quantity) for row in off] == [(case, "mesh_cam_mm")]
