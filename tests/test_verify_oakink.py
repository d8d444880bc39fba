"""OakInk's figures and its whole chain against the published run; a wrong number in either is seen."""

import json

import numpy as np
import pytest

from handlib import verify
from handlib.verify import Row, Skip, oakink_end_to_end, oakink_metrics, reference


def results(checks, folder=None):
    ref = reference.Reference(folder, "oakink") if folder else reference.shipped("oakink")
    return [result for check in checks for result in check(ref)]


def off(found):
    return [(row.case, row.quantity) for row in found if not (isinstance(row, Row) and row.ok)]


def test_figures_equal_the_published_metrics():
    found = results(oakink_metrics.CHECKS)
    assert len(found) == 136 and off(found) == []


def test_the_whole_chain_equals_the_published_run():
    found = results(oakink_end_to_end.CHECKS)
    cases = reference.shipped("oakink").json("end_to_end.json")
    assert {f"end_to_end/{row.case}" for row in found} == set(cases)
    assert len(found) == 3 * 17 and off(found) == []


@pytest.fixture
def changed(tmp_path):
    """f(file, case, change): a folder that holds one case of one file, after ``change(entry, arrays)``."""

    def make(file, case, change):
        source = reference.shipped("oakink")
        entry, arrays = source.json(f"{file}.json")[case], source.npz(f"{file}.npz")
        arrays = {name: value for name, value in arrays.items() if name.startswith(f"{case}/")}
        change(entry, arrays)
        (tmp_path / f"{file}.json").write_text(json.dumps({case: entry}))
        np.savez(tmp_path / f"{file}.npz", **arrays)
        return tmp_path

    return make


def test_a_wrong_figure_is_seen(changed):
    def change(entry, arrays):
        entry["figures"]["PAEval"]["pa_mpvpe"] += 2e-4
        entry["figures"]["MeanEPE"]["joints_3d_mepe"] += 2e-7
        entry["table"]["PCK_AUC"] += 2e-6
        entry["freihand_evaluator"]["mesh_al"]["mean_cm"] += 2e-5
        arrays["metrics/noise/Hand3DPCK/pck_curve_per_kp"][3, 4] += 0.01

    found = results(oakink_metrics.CHECKS, changed("metrics", "metrics/noise", change))
    wrong = "MeanEPE.joints_3d_mepe mm", "PAEval.pa_mpvpe mm", "table PCK_AUC"
    wrong += "Hand3DPCK.pck_curve_per_kp", "FreiHAND mesh_al mm"
    assert off(found) == [("noise", name) for name in wrong]


def test_a_wrong_end_is_seen(changed):
    case = "end_to_end/IntegralPose"

    def change(entry, arrays):
        entry["samples"].reverse()
        entry["table"]["MPVPE_mm"] += 0.2
        arrays[f"{case}/joints_3d"][1, 2] += np.float32(1e-5)
        arrays[f"{case}/verts_3d"][0, 7] += np.float32(2e-4)

    found = results(oakink_end_to_end.CHECKS, changed("end_to_end", case, change))
    wrong = "samples (0 same, 1 not)", "joints m", "mesh mm", "table MPVPE_mm"
    assert off(found) == [("IntegralPose", name) for name in wrong]


def test_a_folder_without_the_files_is_said(tmp_path):
    for module in (oakink_metrics, oakink_end_to_end):
        assert [type(result) for result in results(module.CHECKS, tmp_path)] == [Skip]


def test_the_system_covers_every_file():
    assert verify.SYSTEMS["oakink"][-2:] == ["oakink_metrics", "oakink_end_to_end"]
