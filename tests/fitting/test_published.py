import numpy as np
import pytest
import torch

from handlib import fitting
from handlib.files import InputError
from handlib.fitting import published
from handlib.verify import Row, oakink_fit, reference


def test_every_case_of_the_reference_holds():
    ref = reference.shipped("oakink")
    rows = [result for check in oakink_fit.CHECKS for result in check(ref)]
    assert len(rows) >= 55 and all(isinstance(row, Row) for row in rows)
    assert [row for row in rows if not row.ok] == []


def test_a_deviation_is_seen(tmp_path):
    source = reference.shipped("oakink")
    arrays = source.npz("iknet_fit.npz")
    arrays["fit/objective/value_own"] = arrays["fit/objective/value_own"] * np.float32(1.001)
    arrays["fit/chain_given_single/batch/verts"] = arrays["fit/chain_given_single/batch/verts"] + np.float32(1e-4)
    np.savez(tmp_path / "iknet_fit.npz", **arrays)
    (tmp_path / "iknet_fit.json").write_text(source.path("iknet_fit.json").read_text())
    ref = reference.Reference(tmp_path, "oakink")
    rows = [row for check in oakink_fit.CHECKS for row in check(ref)]
    assert [(row.case, row.quantity) for row in rows if not row.ok] == [
        ("fit/objective", "value_own"),
        ("fit/chain_given_single", "batch verts, mean mm"),
    ]


def test_the_batch_matters_as_published_and_rows_are_cut_into_batches(layer, hands):
    joints, start = hands["joints"][:4], hands["pose"][:4]
    four = fitting.fit(joints, layer, start=start, published=True)
    pairs = fitting.fit(joints, layer, start=start, published=True, batch=2)
    first = fitting.fit(joints[:2], layer, start=start[:2], published=True)
    assert (four.verts[:2] - first.verts).norm(dim=-1).mean() > 1e-4
    torch.testing.assert_close(pairs.verts[:2], first.verts, rtol=0, atol=1e-4)
    assert (four.steps == published.STEPS).all() and not four.converged.any()


def test_the_mesh_lies_on_the_input_and_is_the_layers(layer, hands):
    joints = hands["joints"][:2].float()
    found = fitting.fit(joints, layer, start=hands["pose"][:2], published=True)
    torch.testing.assert_close(found.joints[:, 9], joints[:, 9], rtol=0, atol=1e-6)
    bone = (found.joints[:, 0] - found.joints[:, 9]).norm(dim=1)
    torch.testing.assert_close(bone, (joints[:, 0] - joints[:, 9]).norm(dim=1), rtol=1e-5, atol=0)
    verts = layer(pose=found.pose, shape=found.shape, mean_added=True)["verts"]
    expected = found.scale[:, None, None] * verts + found.transl[:, None]
    torch.testing.assert_close(found.verts, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "options, named",
    [
        ({}, "iknet"),
        ({"start": torch.zeros(8, 48), "weights": torch.ones(8, 21)}, "weights"),
        ({"start": torch.zeros(8, 48), "constant_shape": True}, "constant_shape"),
        ({"start": torch.zeros(8, 48), "noise": 0.01}, "noise"),
    ],
)
def test_what_the_published_fit_does_not_take_is_refused(layer, hands, options, named):
    with pytest.raises(InputError, match=named):
        fitting.fit(hands["joints"], layer, published=True, **options)


def test_gaps_are_refused_by_the_published_fit(layer, hands):
    joints = hands["joints"].clone()
    joints[1, 4] = torch.nan
    with pytest.raises(InputError, match="whole"):
        fitting.fit(joints, layer, start=hands["pose"], published=True)
