import shutil

import numpy as np

from handlib.verify import reference, wholebody_layers


def test_the_published_layers_are_reproduced_and_a_deviation_is_seen(tmp_path):
    shipped = reference.shipped("wholebody")
    shutil.copytree(shipped.folder / "primitives", tmp_path / "primitives")
    arrays = shipped.npz("primitives/primitives_h4w.npz")
    arrays["smplx_joints144"][1, 130] += np.float32(1e-5)  # a point of the contour
    np.savez(tmp_path / "primitives" / "primitives_h4w.npz", **arrays)
    rows = [row for check in wholebody_layers.CHECKS for row in check(reference.Reference(tmp_path, "wholebody"))]
    assert len(rows) >= 9
    assert [(row.case, row.quantity) for row in rows if not row.ok] == [("smplx", "joints144_m")]
