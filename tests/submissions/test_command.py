import numpy as np
import pytest
from hand_samples import hands

from handlib import submissions
from handlib.files import InputError
from handlib.submissions import agora, command

pytestmark = pytest.mark.filterwarnings("ignore:.*samples; the server of")


@pytest.fixture
def predictions(tmp_path):
    joints, vertices = hands()
    np.savez(tmp_path / "p.npz", joints_cam=joints, verts_cam=vertices)
    return tmp_path / "p.npz"


def test_writes_and_checks(predictions, tmp_path, capsys):
    assert command.main("ho3d_v2", predictions, tmp_path / "pred.zip", samples=6) == 0
    assert capsys.readouterr().out == f"6 samples in {tmp_path / 'pred.zip'}\nnothing that a server would reject\n"
    assert np.array_equal(submissions.read("ho3d_v2", tmp_path / "pred.zip")["verts"], hands()[1] * [1, -1, -1])


def test_exit_code_and_words_when_a_server_would_reject(predictions, tmp_path, capsys):
    assert command.main("freihand", predictions, tmp_path / "pred.zip") == 1
    assert command.main("freihand", check=tmp_path / "pred.zip") == 1
    out = capsys.readouterr().out
    assert out.count("rejected: joints: 6 entries, the server wants 3960") == 2
    assert out.endswith("a server would reject this file\n")


def test_what_is_misleading_is_printed_and_no_failure(predictions, tmp_path, capsys):
    assert command.main("freihand", predictions, tmp_path / "pred.zip", samples=6, decimals=6) == 0
    joints, vertices = hands()
    np.savez(tmp_path / "t.npz", xyz=joints * [-1, 1, 1], verts=vertices)
    capsys.readouterr()
    assert command.main("freihand", check=tmp_path / "pred.zip", samples=6, truth=tmp_path / "t.npz") == 0
    assert "misleading: entry 0 (and 5 more: 1, 2, 3, …): a mirror image of the truth" in capsys.readouterr().out


def test_wrong_calls_are_named(predictions, tmp_path):
    for arguments, words in (
        ((("frei"), predictions, tmp_path / "a.zip"), "no server 'frei'"),
        (("freihand",), "needs a predictions file"),
        (("freihand", predictions, tmp_path / "a.zip", tmp_path / "b.zip"), "needs a predictions file"),
        (("freihand", tmp_path / "none.npz", tmp_path / "a.zip"), "does not exist"),
        (("freihand", tmp_path / "t.npz", tmp_path / "a.zip"), "is no whole .npz"),
        (("agora_smplx", predictions, tmp_path / "a.zip"), "persons, not arrays"),
    ):
        (tmp_path / "t.npz").write_text("text")
        with pytest.raises(InputError, match=words):
            command.main(*arguments)
        assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("server", ["agora_smplx", "agora_smpl"])
def test_agora_is_asked_with_its_server(server, monkeypatch):
    for name in ("write", "read", "check"):
        monkeypatch.setattr(agora, name, lambda *given, server: (*given, server))
    assert submissions.check(server, "path") == ("path", server)
    assert list(submissions.write(server, {}, "path")) == [{}, "path", server]
