"""AGORA's prediction files beside those that the published code wrote."""

import numpy as np

from handlib.evaluation import agora
from handlib.verify import Row, wholebody_submissions
from handlib.verify.reference import shipped


def rows():
    found = wholebody_submissions.check_agora_files(shipped("wholebody"))
    return [row for row in found if isinstance(row, Row)]


def test_every_file_of_every_program():
    assert len(rows()) == 177 and not [row for row in rows() if not row.ok]


def test_another_type_shape_or_name_is_seen(monkeypatch):
    persons = agora.persons

    def other(made, pictures, server):
        for _, some in persons(made, pictures, server):
            for person in some:
                person["params"]["betas"] = person["params"]["betas"].astype(np.float64)
                person["joints"] = person["joints"][:-1]
            yield "elsewhere.png", some

    monkeypatch.setattr(agora, "persons", other)
    off = {row.quantity for row in rows() if not row.ok}
    assert off >= {"names of files that we lack", "betas", "joints, shape and type"} and "transl" not in off
