"""`handlib eval` shared among ranks gives what one process gives, to the bit, and outlives the death of a rank."""

import json
import os
import subprocess
import sys

import gloo
import numpy as np
import people_packs
import pytest
import ranked
import torch

from handlib import protocols, ranks, tables, training
from handlib.training import predictions

KILLED = -9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("packs")
    people_packs.made(made, "ubody", every=1)
    ranked.smpl_files(made)
    return made


@pytest.fixture(scope="module")
def three(folder, tmp_path_factory):
    """What three ranks wrote, and printed."""
    out = tmp_path_factory.mktemp("three")
    (found,) = gloo.ended([gloo.torchrun([ranked.__file__, folder, out, "merged", *ranked.CASES], 3, out)], out)
    assert found[0] == 0, found[1]
    return out


@pytest.fixture
def alone(folder, monkeypatch):
    """A function: case, folder -> `handlib eval` of it in this process, with as many threads as a rank has."""
    ranked.install(folder, monkeypatch.setattr)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield ranked.evaluate
    torch.set_num_threads(threads)


def files(folder):
    """{name: bytes} of everything but the receipt, which holds times."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if name != "receipt.json"}


def test_every_protocols_figures_are_those_of_one_rank(three, folder):
    said = [json.loads((three / f"merged_{rank}.json").read_text()) for rank in range(3)]
    assert said[0] == said[1] == said[2] == ranked.merged(ranks.ALONE, folder)
    assert list(said[0]) == protocols.names()


@pytest.mark.parametrize("case", ranked.CASES)
def test_files_and_table_are_those_of_one_rank(three, alone, tmp_path, capsys, case):
    assert alone(case, tmp_path) == 0
    mine, theirs = files(tmp_path / case), files(three / case)
    assert mine.keys() == theirs.keys() and not [name for name in mine if mine[name] != theirs[name]]
    assert ("sent" in str(mine.keys())) == ranked.CASES[case][3] and "predictions.npz" in mine
    table = capsys.readouterr().out.replace(str(tmp_path), str(three))
    assert (three / "said_0.txt").read_text().count(table) == 1, "one of the three prints"


def test_the_receipt_is_one_that_tables_collect(three):
    table = tables.collect(three / "ho3d", published=False)
    assert table["xyz_mean3d_cm"].notna().all() and table["method"].tolist() == ["handoccnet (this run)"]


def test_a_rank_that_dies_ends_the_others_and_its_parts_are_made_again(three, folder, alone, tmp_path, monkeypatch):
    words = [ranked.__file__, folder, tmp_path, "ho3d"]
    found = gloo.ended(gloo.start(words, 2, tmp_path, FAULT="1,3"), tmp_path)
    assert [code for code, _ in found] == [1, KILLED]
    assert "another rank has ended or does not answer" in found[0][1] and "the same command goes on" in found[0][1]
    parts = tmp_path / "ho3d" / "predictions.npz.parts"
    kept = {path.parent.name for path in parts.rglob("part.npz")}
    assert len(kept) in (4, 5), "all but the one that it was at, and one that it had no time for"
    asked = []
    forward = ranked.Hands.forward
    monkeypatch.setattr(ranked.Hands, "forward", lambda net, images: asked.append(1) or forward(net, images))
    assert alone("ho3d", tmp_path) == 0  # one rank goes on with what two have left
    assert len(asked) == 6 - len(kept) and not parts.exists()
    assert files(tmp_path / "ho3d") == files(three / "ho3d")
    file, asked[:] = tmp_path / "ho3d" / "predictions.npz", []
    training.predict(ranked.Hands(), ranked.hands("ho3d", 11), "gt", device="cpu", file=file)  # as a notebook does
    assert not asked


def test_torchrun_finds_the_command_line():
    words = [sys.executable, "-m", "handlib", "eval", "--help"]
    assert "its ranks share the pack" in subprocess.run(words, capture_output=True, text=True, check=True).stdout


# Parts


class Counting(ranked.Hands):
    asked = 0

    def forward(self, images):
        self.asked += 1
        return super().forward(images)


def test_predictions_go_on_with_the_parts_that_are_there(tmp_path):
    pack, net, file = ranked.hands("ho3d", 9), Counting(), tmp_path / "made.npz"
    whole = training.predict(net, pack, "gt", batch=2, device="cpu")
    job = training.Job(net, pack, "gt", batch=2, device="cpu")
    parts = job.parts(tmp_path / "made.npz.parts")
    assert len(parts) == 5 and [len(parts.of(number)) for number in range(5)] == [2, 2, 2, 2, 1]
    (tmp_path / "made.npz.parts" / "000003" / "part.npz").write_bytes(b"half")
    (tmp_path / "made.npz.parts" / "000001" / "part.npz").unlink()
    net.asked = 0
    made = training.predict(net, pack, "gt", batch=2, device="cpu", file=file)
    assert net.asked == 2 and [path.name for path in tmp_path.iterdir()] == ["made.npz"]
    for group in ("predictions", "truth"):
        for name, array in getattr(whole, group).items():
            np.testing.assert_array_equal(array, getattr(made, group)[name])
    assert made.facts == training.Predictions.load(file).facts == whole.facts | {
        "pack": "1", "weights": predictions.fingerprint(net)
    }  # fmt: skip


def test_parts_of_other_weights_or_batches_are_made_anew(tmp_path):
    pack, net = ranked.hands("ho3d", 4), Counting()
    for again, expected in (({"batch": 2}, 2), ({"batch": 2}, 0), ({"batch": 4}, 1), ({"batch": 2}, 1)):
        net.asked = 0
        training.Job(net, pack, "gt", device="cpu", **again).parts(tmp_path)
        assert net.asked == expected, again
    with torch.no_grad():
        net.head.bias += 1
    training.Job(net, pack, "gt", device="cpu", batch=2).parts(tmp_path)
    assert net.asked == 3


def test_large_sets_have_parts_of_many_batches(tmp_path):
    from handlib.training.parts import BATCHES, Parts

    sizes = {count: Parts(tmp_path, np.arange(count), 16, {}).rows // 16 for count in (0, 1, 16 * 64, 16 * 65, 10**6)}
    assert sizes == {0: 1, 1: 1, 16 * 64: 1, 16 * 65: 2, 10**6: BATCHES}


# Finding one another


def test_who_is_a_rank(monkeypatch):
    for name in [name for name in os.environ if name.startswith("SLURM_") or name in gloo.OURS]:
        monkeypatch.delenv(name)
    assert ranks.machine() == {"devices": 1, "nodes": 1}
    with ranks.joined() as those:
        assert those is ranks.ALONE and list(those.dealt(3)) == [0, 1, 2] and those.shared("mine") == ["mine"]
    for name, value in (gloo.slurm_env(5, 8, 1) | {"SLURM_NNODES": 2, "SLURM_NTASKS_PER_NODE": 4}).items():
        monkeypatch.setenv(name, str(value))
    assert ranks.machine() == {"devices": 4, "nodes": 2} and ranks._of_slurm() == (5, 8, 5)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS")  # the batch script itself
    assert ranks._of_slurm() is None
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    third = ranks.Ranks(6, 8, 6)
    assert str(third.device("cuda")) == "cuda:2" and str(third.device("cuda:0")) == "cuda:0"
