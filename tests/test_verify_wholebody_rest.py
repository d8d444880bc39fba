"""What the whole-body reference holds beyond the compared cases is told, whatever it is."""

import json
import shutil

import numpy as np

from handlib.verify import Skip, wholebody_rest
from handlib.verify.reference import Reference, shipped

UNKNOWN = "no check knows"


def told(ref):
    found = list(wholebody_rest.uncompared(ref))
    assert all(isinstance(one, Skip) for one in found)
    return {one.case: one.reason for one in found}


def test_all_that_is_shipped_is_compared_or_has_a_reason_why_not():
    found = told(shipped("wholebody"))
    assert found and found.keys() <= wholebody_rest.SAID.keys()
    assert not [reason for reason in found.values() if reason.startswith(UNKNOWN)]


def test_what_nobody_knows_is_told(tmp_path):
    ref = shipped("wholebody")
    for folder in ("hand4whole", "metrics", "datasets"):
        shutil.copytree(ref.folder / folder, tmp_path / folder)
    (tmp_path / "smile.npz").touch()
    (tmp_path / "hand4whole" / "targets_other.npz").touch()
    (tmp_path / "datasets" / "osx" / "UBody_val.npz").touch()
    metrics = ref.json("metrics/metrics_p2p.json") | {"FFHQ": {}}
    (tmp_path / "metrics" / "metrics_p2p.json").write_text(json.dumps(metrics))
    case = ref.json("hand4whole/case_a.json")
    stage = case["stages"].popitem()[0]
    (tmp_path / "hand4whole" / "case_a.json").write_text(json.dumps(case))
    shutil.copy(tmp_path / "hand4whole" / "case_a.json", tmp_path / "hand4whole" / "case_z.json")
    np.savez(tmp_path / "hand4whole" / "case_a.npz", **ref.npz("hand4whole/case_a.npz"))
    found = told(Reference(tmp_path, "wholebody"))
    assert found.keys() - wholebody_rest.SAID.keys() == {
        "smile.npz", "hand4whole/targets_other.npz", "datasets/osx/UBody_val.npz", "metrics/metrics_p2p.json: FFHQ",
        f"hand4whole/case_a.npz: {stage}", "hand4whole/case_z.json",
    }  # fmt: skip
