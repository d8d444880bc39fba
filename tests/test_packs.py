import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import deadly
import interhand_tree
import numpy as np
import pandas as pd
import pytest
import torch

from handlib import datasets, packs
from handlib.files import InputError
from handlib.verify import interhand_data


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """40 test pictures."""
    root = interhand_tree.build(tmp_path_factory.mktemp("packs") / "InterHand", splits=("test", "val"))
    interhand_tree.repeat(root, "test", 4)
    return root


@pytest.fixture(scope="module")
def packed(tree, tmp_path_factory):
    return packs.write("interhand", tree, "test", tmp_path_factory.mktemp("out") / "test", workers=2, shard_size=9)


def test_samples_come_back(tree, packed):
    reader = datasets.read("interhand", tree, "test")
    assert len(packed) == len(reader) == 40
    for number, sample in enumerate(reader):
        found = packed[number]
        assert found.pop("index") == number
        with open(sample.pop("image_path"), "rb") as file:
            assert packed.encoded(number) == file.read()  # the JPEG, verbatim
        picture = interhand_data.fixture_picture(sample["image_id"] % 1_000_000, sample["height"], sample["width"])
        image = found.pop("image")
        assert image.shape == picture.shape and np.abs(image.astype(int) - picture).mean() < 6
        assert not found.pop("part_mask_valid")
        assert set(found) == set(sample)
        for name, value in sample.items():
            assert np.array_equal(found[name], value, equal_nan=isinstance(value, np.ndarray)), name
            assert np.asarray(found[name]).dtype == np.asarray(value).dtype, name


def test_index_and_arrays(packed):
    assert isinstance(packed.index, pd.DataFrame)
    assert packed.index["key"].is_unique and len(packed.index) == 40
    assert packed.index["hands"].value_counts().to_dict() == packed.manifest["hands"]
    assert packed.array("joints_cam").shape == (40, 2, 21, 3)
    assert np.array_equal(packed.array("joints_cam")[17], packed[17]["joints_cam"])
    with pytest.raises(KeyError, match="joints_cam"):
        packed.array("joints")


def test_places(packed):
    assert packed[-1]["key"] == packed[39]["key"] == packed[np.int64(39)]["key"]
    for place in (40, -41):
        with pytest.raises(IndexError):
            packed[place]


def test_few_of_many_shards_are_open(packed, monkeypatch):
    from handlib.packs import store

    monkeypatch.setattr(store, "OPEN", 2)
    pack = packs.open(packed.folder)
    assert [pack.encoded(i) for i in range(0, 40, 3)] == [packed.encoded(i) for i in range(0, 40, 3)]
    assert pack.encoded(0) == packed.encoded(0) and len(pack._stores.opened) == 2


def test_samples_are_the_readers_own(packed):
    first = packed[0]
    first["joints_cam"][:] = 7
    assert not (packed[0]["joints_cam"] == 7).any()


def test_manifest_says_what_is_inside(packed):
    manifest = packed.manifest
    assert manifest["dataset"] == "interhand" and manifest["split"] == "test" and manifest["samples"] == 40
    assert manifest["shards"] == [9, 9, 9, 9, 4]
    assert manifest["skipped"]["count"] == 0
    assert manifest["joint_order"].startswith("hand21") and "metres" in manifest["units"]
    assert "no MANO fits" in manifest["part_masks"]
    assert set(manifest["sources"]) >= {"InterHand2.6M_test_data.json", "InterHand2.6M_test_camera.json"}
    packed.check()


def test_any_way_of_packing_gives_the_same_pack(tree, packed, tmp_path):
    for number, options in enumerate([{"workers": 0}, {"workers": 1}, {"workers": 3, "start_method": "spawn"}]):
        again = packs.write("interhand", tree, "test", tmp_path / str(number), shard_size=9, **options)
        assert again.manifest["hash"] == packed.manifest["hash"]


def test_threads_of_a_worker(tree, packed, tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    options = {"n_workers": 1, "threads_per_worker": 3, "processes": False}
    options |= {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(**options) as local, distributed.Client(local, set_as_default=False) as client:
        again = packs.write("interhand", tree, "test", tmp_path / "dask", client=client, shard_size=9)
    assert again.manifest["hash"] == packed.manifest["hash"]


def test_packing_again(tree, packed, tmp_path):
    """The same content: nothing to do. Another content in the same folder: refused, with what differs."""
    before = (packed.folder / "manifest.json").stat().st_mtime_ns
    packs.write("interhand", tree, "test", packed.folder, workers=1, shard_size=9)
    assert (packed.folder / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="other input.*(?s:.*)another folder") as caught:
        packs.write("interhand", tree, "val", packed.folder, shard_size=9)
    assert "split" in caught.value.field and "sources" in caught.value.field
    with pytest.raises(InputError, match="version"):
        packs.write("interhand", tree, "test", packed.folder, shard_size=9, version="2.0")
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and no pack"):
        packs.write("interhand", tree, "test", tmp_path)


def test_a_changed_source_is_refused(tmp_path):
    root = interhand_tree.build(tmp_path / "InterHand", splits=("val",))
    packs.write("interhand", root, "val", tmp_path / "out", workers=0)
    interhand_tree.edit(interhand_tree.annotations(root, "val", "camera"), lambda data: data.update(extra={}))
    with pytest.raises(InputError, match="was packed from other input"):
        packs.write("interhand", root, "val", tmp_path / "out", workers=0)


def test_bad_pictures_are_skipped_and_listed(tmp_path):
    root = interhand_tree.build(tmp_path / "InterHand", splits=("val",))
    paths = [sample["image_path"] for sample in datasets.read("interhand", root, "val")]
    os.unlink(paths[0])
    os.truncate(paths[1], os.stat(paths[1]).st_size // 2)
    with open(paths[2], "wb"):
        pass
    with open(paths[3], "rb") as other, open(paths[4], "wb") as file:
        file.write(other.read().replace(b"\xff\xd9", b""))

    def drop_frame(joints):
        capture = next(iter(joints.values()))
        capture.pop(next(iter(capture)))

    interhand_tree.edit(interhand_tree.annotations(root, "val", "joint_3d"), drop_frame)
    pack = packs.write("interhand", root, "val", tmp_path / "out", workers=0)
    skipped = pack.manifest["skipped"]
    assert len(pack) + skipped["count"] == 6 and len(pack) >= 1
    assert sum(skipped["reasons"].values()) == skipped["count"]
    assert {"image is missing", "image truncated", "image empty"} <= set(skipped["reasons"])
    assert "frame is not in the joint file" in skipped["reasons"]
    table = pd.read_parquet(tmp_path / "out/skipped.parquet")
    assert len(table) == skipped["count"] and not set(table["key"]) & set(pack.index["key"])
    assert table["key"].is_unique


def test_nothing_usable(tmp_path):
    """Pictures in another place: an error that says so, and nothing in the way of a second try."""
    root = interhand_tree.build(tmp_path / "InterHand", splits=("val",))
    (root / "images").rename(root / "pictures")
    with pytest.raises(InputError, match="no sample could be used.*image is missing"):
        packs.write("interhand", root, "val", tmp_path / "out", workers=0)
    (root / "pictures").rename(root / "images")
    assert len(packs.write("interhand", root, "val", tmp_path / "out", workers=0)) == 6


# Packs that cannot be trusted


def copy(packed, tmp_path):
    import shutil

    return shutil.copytree(packed.folder, tmp_path / "copy")


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda folder: (folder / "manifest.json").unlink(), "is no pack"),
        (lambda folder: (folder / "manifest.json").rename(folder / "plan.json"), "half written"),
        (lambda folder: (folder / "index.parquet").unlink(), "index.parquet.*is missing"),
        (lambda folder: os.truncate(folder / "shards/00001/images.lmdb", 4096), "has 4096 bytes"),
        (lambda folder: os.truncate(folder / "arrays/K.npy", 100), "has 100 bytes"),
        (lambda folder: os.truncate(folder / "manifest.json", 100), "not whole JSON"),
    ],
    ids=["no manifest", "half written", "no index", "short shard", "short array", "cut manifest"],
)
def test_damaged_packs_are_refused(packed, tmp_path, damage, message):
    folder = copy(packed, tmp_path)
    damage(folder)
    with pytest.raises(InputError, match=message):
        packs.open(folder)


def test_altered_packs_are_refused(packed, tmp_path):
    folder = copy(packed, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "samples": 41}))
    with pytest.raises(InputError, match="altered"):
        packs.open(folder)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(InputError, match="format 99"):
        packs.open(folder)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    path = folder / "arrays/bbox.npy"
    path.write_bytes(path.read_bytes()[:-4] + b"\1\2\3\4")
    with pytest.raises(InputError, match="bbox.npy.*differs"):
        packs.open(folder).check()


def test_a_damaged_index_is_named(packed, tmp_path):
    folder = copy(packed, tmp_path)
    path = folder / "index.arrow"
    path.write_bytes(path.read_bytes()[:8] + b"\xff" * (path.stat().st_size - 8))
    with pytest.raises(InputError, match="index.arrow: cannot be read"):
        packs.open(folder)[5]


def test_packs_without_the_mapped_index_are_read(packed, tmp_path):
    """As they were written before there was one."""
    from handlib.packs import layout

    folder = copy(packed, tmp_path)
    (folder / "index.arrow").unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["index.arrow"]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "hash": layout.manifest_hash(manifest)}))
    old = packs.open(folder)
    assert [old.labels(i)["key"] for i in range(40)] == [packed.labels(i)["key"] for i in range(40)]


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        packs.open(tmp_path / "none")


# Kill, and other processes

KILLED = """
import sys, time
from handlib import packs
from handlib.datasets.interhand import Completion

whole = Completion.__call__
def slow(self, sample):
    time.sleep(0.02)
    return whole(self, sample)
Completion.__call__ = slow

if __name__ == "__main__":
    packs.write("interhand", sys.argv[1], "test", sys.argv[2], workers=2, shard_size=4, start_method="fork")
"""


def test_goes_on_after_a_kill(tree, tmp_path):
    out = tmp_path / "out"
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(KILLED))
    process = subprocess.Popen([sys.executable, script, tree, out], stderr=subprocess.DEVNULL)

    def finished():
        return {path.name: path.stat().st_ino for path in out.glob("shards/[0-9]*")}

    deadline = time.monotonic() + 60
    while len(finished()) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = finished()
    assert 3 <= len(before) < 10
    with pytest.raises(InputError, match="half written"):
        packs.open(out)
    pack = packs.write("interhand", tree, "test", out, workers=2, shard_size=4)
    after = finished()
    assert before.items() <= {name: after[name] for name in after}.items()  # not packed again
    assert len(after) == 10 and len(pack) == 40
    assert not list(out.glob("shards/.*")) and not (out / "plan.json").exists() and not (out / ".lock").exists()
    at_once = packs.write("interhand", tree, "test", tmp_path / "at_once", workers=0, shard_size=4)
    assert at_once.manifest["hash"] == pack.manifest["hash"]


def test_two_writers(tree, packed, tmp_path, monkeypatch, capsys):
    """The second waits for the first, says so, and finds the pack finished."""
    from handlib import files
    from handlib.packs import writing

    monkeypatch.setattr(files, "CHILDREN_END", 0.0)
    out, written = tmp_path / "out", []
    with writing._lock(out):
        second = threading.Thread(
            target=lambda: written.append(packs.write("interhand", tree, "test", out, workers=0, shard_size=9))
        )
        second.start()
        time.sleep(0.5)
        assert not written and set(os.listdir(out)) == {".lock"}
        shutil.copytree(packed.folder, out, dirs_exist_ok=True)
        before = (out / "manifest.json").stat().st_mtime_ns
    second.join(60)
    assert len(written[0]) == len(packed) and (out / "manifest.json").stat().st_mtime_ns == before
    assert f"process {os.getpid()}" in capsys.readouterr().err and not (out / ".lock").exists()


# A cluster of other processes


@pytest.fixture(scope="module")
def two():
    """A Client of two worker processes."""
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    from handlib import cluster

    with cluster.connect(local=2) as client:
        yield client


def dying(tree, folder, times):
    folder.mkdir()
    reader = datasets.read("interhand", tree, "test")
    reader.complete = deadly.Deadly(reader.complete, folder, reader[20]["key"], times)
    return reader


def test_a_killed_workers_shards_go_to_others(tree, packed, tmp_path, two):
    pack = packs.write_from(dying(tree, tmp_path / "deaths", 1), tmp_path / "out", client=two, shard_size=9)
    assert os.listdir(tmp_path / "deaths") == ["0"]
    assert pack.manifest["hash"] == packed.manifest["hash"]
    assert sorted(os.listdir(pack.folder)) == sorted(os.listdir(packed.folder))


def test_a_shard_that_kills_workers_is_named(tree, packed, tmp_path, two):
    two.cluster.scheduler.allowed_failures, usual = 1, two.cluster.scheduler.allowed_failures
    with pytest.raises(RuntimeError, match="shard 00002 .its first sample: .*2 workers ended(?s:.*)run again"):
        packs.write_from(dying(tree, tmp_path / "deaths", 99), tmp_path / "out", client=two, shard_size=9)
    two.cluster.scheduler.allowed_failures = usual
    kept = {path: path.stat().st_ino for path in tmp_path.glob("out/shards/0*")}
    pack = packs.write("interhand", tree, "test", tmp_path / "out", workers=0, shard_size=9)
    assert pack.manifest["hash"] == packed.manifest["hash"]
    assert kept and kept == {path: path.stat().st_ino for path in kept}  # not packed again


def test_interrupted_on_a_cluster(tree, packed, tmp_path, two, monkeypatch):
    """What waits is cancelled, what runs ends before its time, and the next call goes on."""
    from handlib.packs import clustered

    whole, out = clustered.Cluster.collect, tmp_path / "out"

    def interrupt(self):
        if list(out.glob("shards/0*")):
            raise KeyboardInterrupt
        return whole(self)

    monkeypatch.setattr(clustered.Cluster, "collect", interrupt)
    with pytest.raises(KeyboardInterrupt):
        packs.write_from(dying(tree, tmp_path / "deaths", 0), out, client=two, shard_size=4)
    assert not (out / ".lock").exists()
    deadline = time.monotonic() + 30
    while any(two.processing().values()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert 0 < len(list(out.glob("shards/0*"))) < 8
    monkeypatch.undo()
    pack = packs.write("interhand", tree, "test", out, client=two, shard_size=4)
    at_once = packs.write("interhand", tree, "test", tmp_path / "at_once", workers=0, shard_size=4)
    assert pack.manifest["hash"] == at_once.manifest["hash"]


def test_stragglers_leave_no_trace(tree, tmp_path, two):
    """A shard of a packing that has ended, or begun anew, is given up by the worker that has it."""
    from handlib.packs import clustered, shards

    shard = shards.taken(datasets.read("interhand", tree, "test"), tmp_path / "shards/00000", 0, 4)
    (tmp_path / ".lock").write_text("the first")
    with clustered.crew(two, tmp_path, ()) as crew:
        (tmp_path / ".lock").write_text("the second")
        crew.submit(shard)
        while crew.busy():
            crew.collect()
    assert not os.listdir(tmp_path / "shards")


def test_workers_must_see_the_data_and_the_folder(tree, tmp_path, two, monkeypatch):
    from handlib.packs import clustered

    monkeypatch.setattr(clustered, "PATIENCE", 0.1)
    monkeypatch.chdir(tree.parent)  # of the workers it is another
    reader = datasets.read("interhand", tree.name, "test")
    with pytest.raises(InputError, match="InterHand2.6M_.*json: is not seen .on worker .* .tcp://(?s:.*)mount it"):
        packs.write_from(reader, tmp_path / "out", client=two)
    elsewhere = packs.shards.Shard(tmp_path / "elsewhere/shards/00000", [], [], None)
    with pytest.raises(InputError, match="elsewhere: is not seen .on worker"):
        with clustered.crew(two, tmp_path / "elsewhere", ()) as crew:
            crew.submit(elsewhere)
            crew.collect()


class Keys(torch.utils.data.Dataset):
    def __init__(self, pack):
        self.pack = pack

    def __len__(self):
        return len(self.pack)

    def __getitem__(self, i):
        sample = self.pack[i]
        return sample["image_id"], int(sample["image"].sum())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loader_workers(packed, method):
    expected = [Keys(packed)[i] for i in range(len(packed))]  # opened here first, then handed over
    context = multiprocessing.get_context(method)
    loader = torch.utils.data.DataLoader(Keys(packed), batch_size=None, num_workers=1, multiprocessing_context=context)
    assert [tuple(item) for item in loader] == expected
    assert Keys(packed)[3] == expected[3]  # and still here


def test_pickled_and_opened_twice(packed):
    """An LMDB file may be open once only in a process; packs share it."""
    other, copy = packs.open(packed.folder), pickle.loads(pickle.dumps(packed))
    assert other[5]["key"] == copy[5]["key"] == packed[5]["key"]
    assert np.array_equal(other[5]["image"], packed[5]["image"])


def test_every_field_must_be_known(tree, tmp_path):
    from handlib.packs import layout

    sample = next(iter(datasets.read("interhand", tree, "test")))
    with pytest.raises(ValueError, match="'colour' is not in handlib.fields"):
        layout.separate({**sample, "colour": 1})
    with pytest.raises(ValueError, match="'bbox' is"):
        layout.separate({**sample, "bbox": np.zeros(5, np.float32)})
    with pytest.raises(ValueError, match="'hand_type' is"):
        layout.separate({**sample, "hand_type": np.zeros(2)})


def test_real_frames(real_data, tmp_path):
    pack = packs.write("interhand", real_data / "InterHand", "test", tmp_path / "out", workers=2)
    assert len(pack) == 4 and pack.manifest["hands"] == {"interacting": 2, "left": 1, "right": 1}
    assert [pack[i]["image"].shape for i in range(4)] == [(512, 334, 3), (334, 512, 3), (512, 334, 3), (512, 334, 3)]


def test_find_prefers_in_order_and_says_what_is_missing(tree, tmp_path):
    with pytest.raises(InputError, match="(?s)holds no pack of 'interhand'; nothing is packed there.*handlib run 01"):
        packs.find(tmp_path)
    packs.write("interhand", tree, "val", tmp_path / "interhand_val", workers=0)
    assert packs.find(tmp_path).manifest["split"] == packs.find(tmp_path, split="val").manifest["split"] == "val"
    with pytest.raises(
        InputError, match="(?s)holds no pack 'interhand_test'; there are interhand_val.*name a packed split"
    ):
        packs.find(tmp_path, split="test")
