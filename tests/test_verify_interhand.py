"""The whole chain of InterHand2.6M, files to figures, as the published programs had it."""

from handlib.verify import interhand_end_to_end
from handlib.verify.reference import shipped


def test_the_whole_chain_equals_the_published_run():
    rows = list(interhand_end_to_end.check_chain(shipped("interhand")))
    assert len(rows) > 15 and not [row for row in rows if not row.ok]
