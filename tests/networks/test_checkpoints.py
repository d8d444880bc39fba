import argparse
import io
import json
import pathlib
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from handlib import files, networks
from handlib.files import InputError

FRAMEWORKS = ("pytorch_lightning", "lightning.pytorch")


def same(net, other):
    ours, theirs = net.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


def write(path, content, **options):
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize(
    "wrap", [dict, lambda s: {"state_dict": s}, lambda s: {"epoch": 3, "network": s, "optimizer": {}}]
)
@pytest.mark.parametrize("zipped", [True, False])
def test_published_files_are_recognised_and_loaded(tmp_path, tiny, published, wrap, zipped):
    path = write(tmp_path / "snapshot.pth.tar", wrap(published), _use_new_zipfile_serialization=zipped)
    net = networks.load(path)
    assert type(net) is type(tiny) and same(net, tiny)
    assert not net.training


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_lightning_checkpoints_load_without_their_classes(tmp_path, tiny, published, framework):
    parts = pytest.importorskip(f"{framework}.utilities.parsing"), pytest.importorskip(f"{framework}.callbacks")
    hyper = parts[0].AttributeDict(args=argparse.Namespace(lr=1e-4, where=pathlib.PosixPath("x")), best=np.float64(3.5))
    content = {
        "state_dict": published,
        "hyper_parameters": hyper,
        "callbacks": {parts[1].ModelCheckpoint: {"best": np.arange(3)}, parts[1].EarlyStopping: {}},
        "optimizer_states": [{"state": {0: {"step": 3}}}],
    }
    assert same(networks.load(write(tmp_path / "last.ckpt", content)), tiny)


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return pathlib.Path.touch, (self.target,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_by_name(tmp_path, tiny, published, zipped):
    target = tmp_path / "ran"
    content = {"state_dict": published, "extra": Trap(target)}
    path = write(tmp_path / "evil.ckpt", content, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match="names code that loading would run") as caught:
        networks.load(path)
    assert "getattr" in str(caught.value) or "touch" in str(caught.value)
    assert not target.exists()


def damaged(tmp_path, published):
    whole = io.BytesIO()
    torch.save(published, whole)
    whole = whole.getvalue()
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    return {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"<!DOCTYPE html><title>404</title>",
        "zip of something else": (tmp_path / "other.zip").read_bytes(),
    }


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "zip of something else"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_damaged_file_is_an_input_error(tmp_path, tiny, published, kind, suffix):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(damaged(tmp_path, published)[kind])
    with pytest.raises(InputError, match="bad"):
        networks.load(path)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {"state_dict": {"a": "b"}}, {}])
def test_a_file_without_weights_says_what_it_holds(tmp_path, content):
    with pytest.raises(InputError, match="holds no weights"):
        networks.load(write(tmp_path / "odd.pt", content))


def test_weights_of_no_known_network_are_refused(tmp_path):
    path = write(tmp_path / "vgg.pt", {"features.0.weight": torch.zeros(1)})
    with pytest.raises(InputError, match=r"features.0.weight.*\n.*digit, internet"):
        networks.load(path)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        networks.load(tmp_path / "none.pt")


def test_own_folder_goes_round(tmp_path, tiny):
    tiny.to(memory_format=torch.channels_last)
    networks.save(tiny, tmp_path / "net", {"epoch": 2, "loss": np.float32(0.5)})
    for path in (tmp_path / "net", tmp_path / "net" / "weights.safetensors"):
        assert same(networks.load(path), tiny)
        assert same(networks.load(path, name="tiny"), tiny)
    known = json.loads((tmp_path / "net" / "network.json").read_text())
    assert known["network"] == "tiny" and known["facts"] == {"epoch": 2, "loss": 0.5}
    with pytest.raises(InputError, match="'tiny', not 'digit'"):
        networks.load(tmp_path / "net", name="digit")


def test_a_published_safetensors_file_loads(tmp_path, tiny, published):
    safetensors.torch.save_file(published, tmp_path / "published.safetensors")
    assert same(networks.load(tmp_path / "published.safetensors"), tiny)


def break_weights(folder):
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(data)


@pytest.mark.parametrize(
    "harm, message",
    [
        (break_weights, "hash differs"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "weights.safetensors: does not exist"),
        (lambda folder: (folder / "network.json").unlink(), "network.json: does not exist"),
        (lambda folder: (folder / "network.json").write_text('{"format": 1'), "not whole JSON"),
        (lambda folder: (folder / "network.json").write_text("[]"), "field 'format'"),
        (lambda folder: (folder / "network.json").write_text('{"format": 99}'), "is 99, not what format 1"),
    ],
)
def test_a_harmed_folder_is_refused(tmp_path, tiny, harm, message):
    networks.save(tiny, tmp_path / "net")
    harm(tmp_path / "net")
    with pytest.raises(InputError, match=message):
        networks.load(tmp_path / "net")


def test_saving_that_is_cut_short_leaves_the_old_folder(tmp_path, tiny, monkeypatch):
    networks.save(tiny, tmp_path / "net", {"epoch": 1})

    def full_disk(path, value):
        raise OSError("no space left")

    monkeypatch.setattr(files, "write_json", full_disk)
    with pytest.raises(OSError, match="no space"):
        networks.save(tiny, tmp_path / "net", {"epoch": 2})
    assert json.loads((tmp_path / "net" / "network.json").read_text())["facts"] == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
