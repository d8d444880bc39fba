"""AGORA's prediction files beside those that the published code wrote."""

from handlib.verify import wholebody_submissions
from handlib.verify.reference import shipped


def test_every_file_of_every_program():
    rows = list(wholebody_submissions.check_agora_files(shipped("wholebody")))
    assert len(rows) > 100 and not [row for row in rows if not row.ok]
