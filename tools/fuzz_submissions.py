"""Targets of `fuzz`: files for the benchmarks' servers, and the arrays that they are made of."""

import contextlib
import io

import numpy as np
from fuzz import Target
from fuzz_files import draw

from handlib import submissions
from handlib.submissions import agora_format, command


def _json_target(server):
    def make(folder):
        arrays = {"xyz": draw().normal(size=(3, 21, 3)), "verts": draw().normal(size=(3, 778, 3))}
        submissions.write(server, arrays, folder / "pred.zip", samples=3, decimals=4)
        submissions.write(server, arrays, folder / "pred.json", samples=3, decimals=4)

    def read(folder):
        for name in ("pred.zip", "pred.json"):
            problems(submissions.check(server, folder / name, samples=3))
            for array in submissions.read(server, folder / name).values():
                assert all(one.ndim == 2 for one in array)

    return Target(f"submission_{server}", make, read)


def problems(found):
    """AssertionError unless these are what a check gives."""
    assert all(isinstance(one, submissions.Problem) and one.severity and one.text for one in found)


def _make_dexycb(folder):
    submissions.write("dexycb", {"id": np.arange(5), "joint_3d": draw().normal(size=(5, 21, 3))}, folder / "pred.txt")


def _read_dexycb(folder):
    problems(submissions.check("dexycb", folder / "pred.txt", ids=np.arange(5)))
    found = submissions.read("dexycb", folder / "pred.txt")
    assert found["joint_3d"].shape == (len(found["id"]), 21, 3)


def _make_interhand(folder):
    arrays = {"joint_coord": draw().uniform(0, 64, (4, 42, 3)), "rel_root_depth": draw().uniform(0, 64, (4, 1)),
              "hand_type": draw().uniform(0, 1, (4, 2)), "inv_trans": draw().normal(size=(4, 2, 3))}  # fmt: skip
    for name in ("pred.npz", "pred.json"):
        submissions.write("interhand", arrays, folder / name)


def _read_interhand(folder):
    for name in ("pred.npz", "pred.json"):
        problems(submissions.check("interhand", folder / name))
        assert len({len(array) for array in submissions.read("interhand", folder / name).values()}) == 1


def _person(server):
    made = {}
    for name, forms in agora_format.PARAMETERS[server].items():
        made[name] = draw().normal(0, 0.1, [10 if length == "n" else length for length in forms[0]]).astype(np.float32)
    return {"joints": draw().uniform(0, 2000, (24, 2)), "params": made, "pose2rot": True, "gender": "neutral"}


def _agora_target(server):
    def make(folder):
        points = {name: draw().normal(size=(count, 3)) for name, count in agora_format.POINTS[server].items()}
        mesh = {"joints": draw().uniform(0, 2000, (24, 2)), **points}
        images = {"a.png": [_person(server), _person(server)], "b.png": [mesh]}
        submissions.write(server, images, folder / "predictions.zip")

    def read(folder):
        problems(submissions.check(server, folder / "predictions.zip", images=["a", "b"]))
        dict(submissions.read(server, folder / "predictions.zip"))

    return Target(f"submission_{server}", make, read)


def _make_submit(folder):
    arrays = {"xyz": draw().normal(size=(2, 21, 3)), "verts": draw().normal(size=(2, 778, 3))}
    np.savez(folder / "predictions.npz", **arrays)
    np.savez(folder / "truth.npz", xyz=arrays["xyz"])


def _read_submit(folder):
    with contextlib.redirect_stdout(io.StringIO()):
        given = folder / "predictions.npz", folder / "out.zip"
        assert command.main("freihand", *given, truth=folder / "truth.npz", samples=2) in (0, 1)


TARGETS = [
    *map(_json_target, ("freihand", "ho3d_v2", "ho3d_v3")),
    Target("submission_dexycb", _make_dexycb, _read_dexycb),
    Target("submission_interhand", _make_interhand, _read_interhand),
    *map(_agora_target, ("agora_smplx", "agora_smpl")),
    Target("submit_npz", _make_submit, _read_submit),
]
