"""Published figures of whole bodies as our tables show them."""

import copy
import types

import pytest

from handlib.verify import Row, Skip, wholebody_published
from handlib.verify.reference import shipped


def compared(ref):
    return [row for check in wholebody_published.CHECKS for row in check(ref)]


def other(stored):
    return types.SimpleNamespace(has=lambda name: True, json=lambda name: stored)


def test_every_figure_is_in_our_tables():
    found = compared(shipped("wholebody"))
    rows = [row for row in found if isinstance(row, Row)]
    assert len(rows) == 56 and not [row for row in rows if not row.ok]
    assert [skip.case for skip in found if isinstance(skip, Skip)] == ["osx_released_checkpoints"]


@pytest.mark.parametrize(
    ("section", "part", "method"),
    [("agora_test_smplx", "rows", "OSX"), ("ehf", "osx_image", "Hand4Whole (marked with a cross)"),
     ("3dpw_body", "hand4whole_image", "FrankMocap"), ("freihand", "rows", "Zhou et al.")],
)  # fmt: skip
def test_a_figure_that_differs_or_that_we_lack_is_seen(section, part, method):
    stored = copy.deepcopy(shipped("wholebody").json(wholebody_published.FILE))
    values = stored[section][part][method]
    values[-1] = 1.0 + (values[-1] or 0)
    (off,) = (row for row in compared(other(stored)) if isinstance(row, Row) and not row.ok)
    assert off.case == section and off.quantity.startswith(method.split(" (")[0])
    stored[section][part]["A new one"] = stored[section][part].pop(method)
    assert "A new one" in " ".join(
        row.quantity for row in compared(other(stored)) if isinstance(row, Row) and not row.ok
    )


def test_a_section_that_nobody_knows_is_told():
    stored = shipped("wholebody").json(wholebody_published.FILE) | {"faces": {}, "from_issue_threads": {"more": {}}}
    assert [row.case for row in compared(other(stored)) if isinstance(row, Skip)] == ["faces", "more"]
