"""A short run of fuzzing outside the data sets; the long one is ``python tools/fuzz.py --minutes 60``."""

import fuzz
import fuzz_files
import fuzz_submissions
import pytest

SLOW = {"network_folder", "iknet_state", "smplx_index"}  # of tens of megabytes: left to the long run
TARGETS = [target for target in fuzz_files.TARGETS + fuzz_submissions.TARGETS if target.name not in SLOW]


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_mutants_read_right_or_are_refused_by_file_and_mend(target):
    report = fuzz.fuzz(target, seed=7, count=15)
    assert not report.faults, report.faults
    assert report.right + report.refused == 15
