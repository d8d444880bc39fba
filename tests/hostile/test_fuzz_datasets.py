"""A bounded run of the long one, `tools/fuzz.py`: every reader of a data set, and packs, on files changed at random."""

import fuzz
import fuzz_datasets
import pytest

SLOW = ("oakink", "agora_frames", "ho3d", "ho3d_derived", "dexycb", "dexycb_derived", "interhand_digit", "agora")


@pytest.mark.parametrize("target", fuzz_datasets.TARGETS, ids=lambda target: target.name)
def test_every_mutant_reads_right_or_is_refused(target):
    report = fuzz.fuzz(target, seed=11, count=6 if target.name in SLOW else 15)
    assert not report.faults, report.faults
    assert report.refused and report.right + report.refused == report.mutants or target.name == "ubody_videos"


def test_a_fault_is_found():
    """The same with a reader that takes what stands there."""
    import json

    def read(folder):
        for name in ("list.json", "members.json"):
            json.loads((folder / name).read_text())

    careless = fuzz.Target("careless", fuzz_datasets._stream, read)
    assert fuzz.fuzz(careless, seed=1, count=25).faults
