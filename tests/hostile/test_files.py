"""Files that somebody made to do harm, outside the data sets: body models, weights, predictions, submissions, pictures,
settings. Nothing in them runs, memory and time stay bounded, and the error names file and mend.
"""

import argparse
import json
import os
import pickle
import stat
import struct
import zipfile

import bounded
import crafted
import cv2
import fuzz_files
import nbformat
import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from handlib import bodies, networks, recipes, runs, submissions, tables, verify
from handlib.bodies import files as body_files
from handlib.bodies import free, smplx_files, wholebody
from handlib.export import saved
from handlib.files import InputError
from handlib.networks import checkpoints, torch_files
from handlib.predict import box_files, boxes, detectors, reading, sources
from handlib.submissions import command
from handlib.submissions.problems import REJECTED
from handlib.training.made import Predictions

pa.array([1])  # takes its room before that is bounded
MUCH = 700  # megabytes that reading may take at most


def refused(function, *words, of=(None,)):
    """What bounded reading raised, for the last one of ``of``: an InputError that names a file that is there and a
    mend, and says ``words``. of: what the function is called with, one after the other in the same child.
    """

    def tried(*given):
        try:
            return function(*given)
        except Exception as error:
            return error

    all_said, took = bounded.run(lambda: [tried(*(() if of == (None,) else (one,))) for one in of])
    for said, one in zip(all_said, of, strict=True):
        assert isinstance(said, InputError), f"{repr(one)[:200]}: {repr(said)[:2000]}"
        text = str(said)
        assert said.mend and os.path.exists(str(said.file).split(", ")[0].split(": ")[0]), text
        assert all(word in text for word in words) and len(text) < 3000, text
    assert took < MUCH, f"{took} MB"
    return said


def rejected(server, path, *words, of=(None,), **options):
    """Bounded checking found what a server rejects. of: contents that the file is given, one after the other."""

    def check(content):
        if content is not None:
            path.write_text(content)
        return submissions.check(server, path, **options)

    all_found, took = bounded.run(lambda: [check(one) for one in of])
    for found in all_found:
        assert found[0].severity == REJECTED, repr(found)[:2000]
        assert any(all(word in str(one) for word in words) for one in found), found
    assert took < MUCH, f"{took} MB"


def attack(trace):
    return crafted.Attack(trace)


# ---- body models


@pytest.fixture(scope="module")
def hand():
    return free.arrays("right")


@pytest.mark.parametrize("slot", ["v_template", "f", "weights", "J_regressor", "kintree_table", "hands_mean"])
def test_code_in_any_slot_of_a_hand_does_not_run(tmp_path, hand, slot):
    path, trace = tmp_path / "MANO_RIGHT.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps(hand | {slot: attack(trace)}, 2))
    refused(lambda: bodies.load(path, "mano_right"), "system", "not known to be harmless")
    np.savez(tmp_path / "MANO_RIGHT.npz", **hand | {slot: np.array([attack(trace)], object)})
    refused(lambda: bodies.load(tmp_path / "MANO_RIGHT.npz", "mano_right"), slot)
    assert not trace.exists()


@pytest.mark.parametrize("kind", crafted.PICKLES)
def test_pickles_that_claim_too_much_are_refused_as_body_models(tmp_path, kind):
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(crafted.PICKLES[kind])
    refused(lambda: bodies.load(path, "mano_right"))


@pytest.mark.parametrize(
    "slot, value, words",
    [
        ("v_template", lambda a: np.full_like(a, np.nan), "NaN"),
        ("v_template", lambda a: a[:-1], "known are"),
        ("posedirs", lambda a: a.astype("U9"), "posedirs"),
        ("weights", lambda a: a.astype(complex), "complex"),
        ("kintree_table", lambda a: np.array([[0, *range(2, 16), 1], range(16)]), "parents come first"),
        ("kintree_table", lambda a: np.array([[0] * 3 + [3] + [0] * 12, range(16)]), "parents come first"),
        ("f", lambda a: a + 10_000, "outside"),
        ("J_regressor", lambda a: {"a": 1}, "J_regressor"),
        ("shapedirs", lambda a: [[[10**400] * 10] * 3] * 778, "shapedirs"),
    ],
)
def test_a_hand_that_is_none_is_refused_by_the_array(tmp_path, hand, slot, value, words):
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps(hand | {slot: value(np.asarray(hand[slot]))}, 2))
    assert refused(lambda: body_files.read(path), words).field == slot


def test_index_files_and_a_childs_template_that_lie_are_refused(tmp_path):
    folder = tmp_path / "smplx"
    folder.mkdir()
    (tmp_path / "whole").mkdir()
    fuzz_files._make_index(tmp_path / "whole")
    for name, data in {
        "SMPL-X__FLAME_vertex_ids.npy": crafted.npy((10**11,), "<i8"),
        "MANO_SMPLX_vertex_ids.pkl": pickle.dumps({"left_hand": attack(tmp_path / "ran"), "right_hand": []}),
        "J_regressor_h36m_smplx.npy": crafted.objects(tmp_path / "ran"),
    }.items():
        for path in (tmp_path / "whole" / "smplx").iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / name).write_bytes(data)
        read = wholebody.h36m_regressor if "h36m" in name else wholebody.index_files
        assert refused(lambda read=read: read(tmp_path)).file.name == name
    (folder / "smplx_kid_template.npy").write_bytes(crafted.npy((10**6, 10**6)))
    refused(lambda: smplx_files.meshes([{"params": {}}], "smplx", tmp_path), "is missing")  # all but the regressor
    assert not (tmp_path / "ran").exists()


# ---- weights


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("slot", ["beside", "name", "hyper_parameters", "instead"])
def test_code_in_any_slot_of_a_checkpoint_does_not_run(tmp_path, slot, zipped):
    path, trace, state = tmp_path / "evil.ckpt", tmp_path / "ran", {"layers.0.weight": torch.zeros(2, 2)}
    content = {"state_dict": state}
    if slot == "beside":
        state["layers.0.bias"] = attack(trace)
    elif slot == "name":
        state[attack(trace)] = torch.zeros(1)
    elif slot == "hyper_parameters":
        content[slot] = argparse.Namespace(lr=attack(trace))
    torch.save(attack(trace) if slot == "instead" else content, path, _use_new_zipfile_serialization=zipped)
    refused(lambda: networks.load(path), "names code that loading would run", "system")
    refused(lambda: checkpoints.read(path), "system")
    assert not trace.exists()


def rezipped(path, change=lambda name, data: data, kind=zipfile.ZIP_STORED, **options):
    """A file of torch.save with its members changed."""
    torch.save({"a": torch.arange(4.0)}, path, **options)
    with zipfile.ZipFile(path) as archive:
        members = {one.filename: archive.read(one) for one in archive.infolist()}
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, change(name, data))
    return path


def test_a_checkpoint_that_claims_more_than_it_holds_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    many = b"J\x00\x00\x00\x7f"  # two thousand million

    def of_pickle(change):
        return lambda name, data: change(data) if name.endswith("data.pkl") else data

    rezipped(path, of_pickle(lambda data: data.replace(b"K\x04", many)))
    refused(lambda: torch_files.read(path), "claims")
    rezipped(path, lambda name, data: data + bytes(1 << 24) * name.endswith("/0"), zipfile.ZIP_DEFLATED)
    refused(lambda: torch_files.read(path), "compressed")
    for key in (b"\x85" * 1_000_000, b"2\x86" * 60):  # too deep for the stack; the same twice, in the same twice, …
        rezipped(path, of_pickle(lambda data, key=key: b"\x80\x02})" + key + b"Ns."))
        refused(lambda: torch_files.read(path), "has a key")
    rezipped(path, of_pickle(lambda data: data[:-1] + b"r\xff\xff\xff\x7f."))  # a far place in the memo takes no memory
    found, took = bounded.run(lambda: sorted(torch_files.read(path)))
    assert found == ["a"] and took < MUCH
    rezipped(path, of_pickle(lambda data: b"\x80\x02X\xff\xff\xff\x7fa."))
    refused(lambda: torch_files.read(path))
    torch.save({"a": torch.arange(4.0)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"K\x04N", many + b"N"))
    refused(lambda: torch_files.read(path), "claim")


def test_a_checkpoint_that_is_damaged_inside_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"a": torch.arange(4.0)}, path)
    data = bytearray(path.read_bytes())
    data[data.index(struct.pack("<f", 3.0))] ^= 1  # a bit of a weight: PyTorch itself reads on
    path.write_bytes(data)
    assert not torch.load(path, weights_only=True)["a"].equal(torch.arange(4.0))
    refused(lambda: torch_files.read(path), "is damaged")


@pytest.mark.parametrize(
    "header, words",
    [
        ({"w": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}, ""),
        ({name: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for name in "ab"}, ""),
        ({"w": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}, ""),
        ({"w": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 16]}}, ""),
        ({"w": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}, ""),
        ({"w": {"dtype": "evil", "shape": [4], "data_offsets": [0, 16]}}, ""),
        ([], ""),
        ("deep", ""),
    ],
    ids=["beyond", "overlap", "backwards", "overflow", "negative", "kind", "list", "deep"],
)  # fmt: skip
def test_a_lying_header_of_safetensors_is_refused(tmp_path, header, words):
    path = tmp_path / "w.safetensors"
    text = (crafted.nested() if header == "deep" else json.dumps(header)).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(16))
    refused(lambda: checkpoints.read(path), "safetensors", words)


@pytest.mark.parametrize("length", [0, 1, 10**7, 2**40, 2**63, 2**64 - 1])
def test_a_header_longer_than_the_file_is_refused(tmp_path, length):
    path = tmp_path / "w.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b'{"w": 1}' + bytes(16))
    refused(lambda: checkpoints.read(path), "safetensors")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda w: w.double() * torch.nan, "hold NaN"),
        (lambda w: w / 0, "hold NaN"),
        (lambda w: w.to(torch.int8), "of another kind"),
        (lambda w: w.to(torch.complex64), "of another kind"),
        (lambda w: w.to_sparse(), "of another kind"),
        (lambda w: w[:1].expand(10**6, *w.shape[1:]), "of another shape"),
        (lambda w: w.to("meta"), "without numbers"),
        (lambda w: "text", "of another shape"),
    ],
    ids=["NaN", "infinite", "whole", "complex", "sparse", "expanded", "meta", "text"],
)
def test_weights_that_are_none_are_refused_by_name(tmp_path, change, words):
    path, state, name = tmp_path / "net.pt", fuzz_files._Net().state_dict(), "layers.0.weight"
    torch.save(state | {name: change(state[name])}, path)
    refused(lambda: fuzz_files._fill(checkpoints.read(path)[0], path), words, name)


@pytest.mark.parametrize(
    "change, field",
    [
        ({"network": ["iknet"]}, "network"), ({"network": "../../x"}, "network"), ({"network": None}, "network"),
        ({"format": 2}, "format"), ({"facts": 3}, "facts"), ({"sha256": 5}, None),
    ],
)  # fmt: skip
def test_a_folders_facts_that_are_none_are_refused(tmp_path, change, field):
    checkpoints.save(fuzz_files._Net(), tmp_path / "net", {})
    path = tmp_path / "net" / checkpoints.FACTS
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert refused(lambda: networks.load(tmp_path / "net")).field == field


# ---- predictions


def test_kept_predictions_and_arrays_to_submit_run_nothing_and_claim_nothing(tmp_path, monkeypatch):
    trace, path = tmp_path / "ran", tmp_path / "made.npz"
    readers = (
        lambda: Predictions.load(path),
        lambda: saved.read_parameters(path),
        lambda: command.main("freihand", path, tmp_path / "out.zip"),
        lambda: tables.own(path, path, protocol="freihand", method="m", split="s", data="d"),
    )
    for data in (crafted.objects(trace), crafted.npy((10**11,)), crafted.npy((2**31, 2**31)), crafted.npy((-1,)), b"x"):
        crafted.npz(path, facts=data, xyz=data, index=data)
        refused(lambda reader: reader(), of=readers)
    monkeypatch.setattr("handlib.npz._MUCH", 1 << 22)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("xyz.npy", crafted.npy((1 << 21,)) + bytes(1 << 23))
    refused(lambda reader: reader(), "unpacks from", of=readers)
    assert not trace.exists() and not (tmp_path / "out.zip").exists()


@pytest.mark.parametrize(
    "name", [name for name in crafted.NAMES if isinstance(name, str) and (".." in name or not name)]
)
def test_a_prediction_whose_name_leads_elsewhere_is_refused(tmp_path, name):
    fuzz_files._make_prediction(tmp_path)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name}))
    if "\\" not in name:  # one name where folders are parted otherwise
        assert refused(lambda: saved.read_parameters(path)).field == "name"


@pytest.mark.parametrize(
    "change, field",
    [
        ({"verts_cam": [[[float("nan")] * 3] * 778] * 2}, "verts_cam"), ({"side": [0, 2]}, "side"),
        ({"side": [0, 0.5]}, "side"), ({"right_faces": [[0, 1, 778]]}, "right_faces"),
        ({"K": [[10**400] * 3] * 3}, "K"),
        ({"boxes": crafted.JSONS["nested deeply in a member"]}, "boxes"), ({"size": [0, 5]}, "size"),
        ({"subject": ["hand"]}, "subject"), ({"subject": "x" * 10**6}, "subject"),
    ],
)  # fmt: skip
def test_a_prediction_that_is_none_is_refused_by_the_field(tmp_path, change, field):
    fuzz_files._make_prediction(tmp_path)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert refused(lambda: saved.read_parameters(path)).field == field


# ---- submissions


def zipped(path, *members, kind=zipfile.ZIP_DEFLATED):
    """members: (name or ZipInfo, text or bytes)."""
    with zipfile.ZipFile(path, "w", kind, compresslevel=1) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize("server", ["freihand", "ho3d_v3"])
def test_hostile_zips_are_rejected_by_list_servers(tmp_path, server):
    path = tmp_path / "pred.zip"
    for name in ("../pred.json", "/etc/pred.json", "a/../../pred.json", "C:\\pred.json", link("pred.json")):
        rejected(
            server, zipped(path, (name, "[[],[]]"), ("other.json", "[[],[]]")), "leads out of its folder", samples=2
        )
    zipped(path, ("pred.json", bytes(1 << 24)))
    rejected(server, path, "unpacks to", samples=2)
    rejected(server, zipped(path, ("pred.json", crafted.nested())), "'joints'", samples=2)
    one = "[[" + "[" * crafted.DEEP
    rejected(server, zipped(path, ("pred.json", one)), samples=2)
    rejected(server, zipped(path, ("pred.json", f"[[[[{'9' * 100_000},0,0]]],[]]")), samples=2)
    rejected(server, zipped(path, ("pred.json", "[[[[NaN,1e999,0]]],[[[0,0,0]]]]")), samples=1)
    lying = bytearray(zipped(path, ("pred.json", "[[],[]] " * 1000)).read_bytes())
    at = lying.index(b"PK\1\2") + 24
    lying[at : at + 4] = struct.pack("<L", 7)  # the directory says: seven bytes
    path.write_bytes(lying)
    rejected(server, path, samples=2)


def test_a_hostile_agora_zip_is_rejected_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("handlib.submissions.agora._LARGEST", 1 << 22)
    trace, path = tmp_path / "ran", tmp_path / "predictions.zip"
    name = "predictions/a_personId_0.pkl"
    for data, words in (
        (pickle.dumps({"joints": attack(trace)}), "not known to be harmless"),
        (crafted.PICKLES["a far place in the memo"], "cannot be read"),
        (bytes((1 << 22) + 1), "unpacks to"),
        (pickle.dumps([1]), "holds list"),
        (pickle.dumps({"params": {"betas": 10**400}, "verts": [None]}), ""),
    ):  # fmt: skip
        rejected("agora_smplx", zipped(path, (name, data)), words)
    zipped(path, ("predictions/../../a_personId_0.pkl", b"x"), ("/predictions/b_personId_0.pkl", b"x"))
    rejected("agora_smplx", path)
    zipped(path, (f"predictions/{'a' * 300}_personId_{'9' * 300}.pkl", b"x"))
    rejected("agora_smplx", path)
    assert not trace.exists() and not (tmp_path.parent / "a_personId_0.pkl").exists()
    broken = bytearray(zipped(path, (name, pickle.dumps([0] * 99))).read_bytes())
    broken[30 + len(name)] |= 7  # no kind of block that deflate knows
    path.write_bytes(broken)
    rejected("agora_smplx", path, "cannot be unpacked")


def test_hostile_lines_and_arrays_are_rejected(tmp_path):
    texts = [
        "9" * 10**6,
        "," * 10**6,
        "1," * 63 + "x",
        "\0" * 1000,
        "1" * 30 + "," + ",".join(["0"] * 63),
        "nan," * 63 + "1",
    ]
    rejected("dexycb", tmp_path / "pred.txt", of=texts)
    for name in ("pred.json", "pred.npz"):
        texts = [*crafted.JSONS.values(), json.dumps({"joint_coord": crafted.BOXES[-2:]})]
        rejected("interhand", tmp_path / name, of=texts)


# ---- pictures, videos, boxes, detectors


@pytest.mark.parametrize("kind", crafted.PICTURES)
def test_hostile_pictures_of_ones_own_are_refused(tmp_path, kind):
    path = tmp_path / "a.png"
    path.write_bytes(crafted.PICTURES[kind])
    if "let pass" in kind:  # 268 million pixels: PIL's bound is lower
        kind = "gigapixels"
    refused(lambda: reading.read(path))


def test_unusual_pictures_come_as_they_are_seen(tmp_path):
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, :15] = (200, 100, 50)
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = {
        "turned.jpg": lambda path: Image.fromarray(image).save(path, exif=exif, quality=95),
        "ink.jpg": lambda path: Image.fromarray(image).convert("CMYK").save(path, quality=95),
        "deep.png": lambda path: cv2.imwrite(str(path), image[..., ::-1].astype(np.uint16) * 257),
        "moving.gif": lambda path: Image.fromarray(image).save(
            path, save_all=True, append_images=[Image.fromarray(image[::-1, ::-1])]
        ),
        "few.png": lambda path: Image.fromarray(image).quantize(4).save(path),
    }
    for name, write in kinds.items():
        write(tmp_path / name)
        seen = reading.read(tmp_path / name).image
        left = seen[:10] if name == "turned.jpg" else seen[:, :10]  # turned: the left is above
        assert seen.shape == ((30, 20, 3) if name == "turned.jpg" else (20, 30, 3))
        assert np.abs(left.astype(int) - (200, 100, 50)).max() < 40, name


def test_exif_data_that_lie_are_no_lens(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x920A: (0, 0), 0xA405: 65535, 0xA002: 0, 0xA20E: "x"})
    exif[0x0112] = 77
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    picture = reading.read(tmp_path / "a.jpg")
    assert picture.size == (30, 20) and (picture.focal is None or np.isfinite(picture.focal))


def video(path, frames=10):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    return bytearray(path.read_bytes())


def frames(path):
    found = sources.open_source(path)
    return len(list(found.frames())), found.remarks, found.declared


def test_a_video_with_a_broken_index_ends_where_it_can_be_read(tmp_path):
    path = tmp_path / "a.mp4"
    whole = video(path)
    assert frames(path)[0] == 10
    for atom in (b"stsz", b"stco", b"stts", b"stsc"):
        for fill in (b"\xff", b"\x00", b"\x7f"):
            data = bytearray(whole)
            at = data.index(atom)
            data[at + 8 : at + 24] = fill * 16
            path.write_bytes(data)
            said, took = bounded.run(lambda: frames(path))
            assert isinstance(said, InputError) or (said[0] <= 10 and isinstance(said[1], list)), repr(said)
            assert took < MUCH, f"{took} MB"
            if isinstance(said, InputError):
                assert str(path) in str(said)


def test_a_video_of_no_frames_or_a_lying_count(tmp_path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for _ in range(5):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    data = bytearray(path.read_bytes())
    at = data.index(b"avih") + 8
    data[at + 16 : at + 20] = struct.pack("<L", 2**31 - 1)
    at = data.index(b"strh") + 8
    data[at + 32 : at + 36] = struct.pack("<L", 2**31 - 1)
    data[at + 20 : at + 28] = bytes(8)  # no rate
    path.write_bytes(data)
    said, took = bounded.run(lambda: frames(path))
    assert isinstance(said, InputError) or said[0] <= 5, said
    assert took < MUCH
    for content in (b"", b"RIFF" + bytes(2000), bytes(data[:400]), b"\x00\x00\x00\x20ftypisom" + bytes(24)):
        path.write_bytes(content)
        refused(lambda: frames(path))


@pytest.mark.parametrize("text", crafted.JSONS.values(), ids=crafted.JSONS)
def test_hostile_box_files_are_refused(tmp_path, text):
    path = tmp_path / "boxes.json"
    path.write_text(text)
    refused(lambda: box_files.BoxFile(path))


def test_boxes_and_keypoints_that_are_none_are_refused_by_picture(tmp_path):
    path, good = tmp_path / "boxes.json", {"box": [1, 2, 30, 40], "side": "left"}
    wrong = [{"box": box, "side": "left"} for box in crafted.BOXES[3:]]
    wrong += [{"box": box, "side": "left"} for box in ([0, 0, -(10**9) - 1, 5], [0, 0, True, 5])]
    wrong += [good | {"side": side} for side in ([], {}, 0.5)] + [
        good | {"score": score} for score in ("x", [1], 10**400)
    ]
    points = [[1.0, 2.0]] * 21
    for change in (points[:20], "0" * 21, [[1]] * 21, [["1", "2"]] * 21, [[10**400, 1]] * 21, 21):
        wrong.append({"keypoints": change, "side": "left"})
    texts = [json.dumps({"a.jpg": [good, one]}) for one in wrong]
    refused(lambda text: path.write_text(text) and box_files.BoxFile(path), "field 'a.jpg'", of=texts)
    path.write_text(json.dumps({"a.jpg": [{"box": box, "side": "left"} for box in crafted.BOXES[:3]]}))
    rects, sides, scores = box_files.BoxFile(path).of("a.jpg", 0)
    kept = boxes.checked(rects, sides, (640, 480), path, scores, skip=True)
    assert len(kept) == 0 and len(kept.skipped) == 3
    seen = [[1.0, 2.0, 0.9], None, [3.0, 4.0, 0.1], [9.0, 8.0, 0.8], [5.0, 9.0], *[None] * 16]
    path.write_text(json.dumps({"a.jpg": [{"keypoints": seen, "side": "left"}]}))
    np.testing.assert_allclose(box_files.BoxFile(path).of("a.jpg", 0)[0], [[1, 2, 8, 7]])


def test_hostile_tables_of_boxes_are_refused(tmp_path):
    path, head = tmp_path / "boxes.csv", "name,x,y,w,h,side\n"
    texts = ["9" * 200_000 + ",2,3,4,left", "1\0,2,3,4,left", "x,2,3,4,left", '"1,2,3,4,left']
    texts = [f"{head}a.jpg,{text}" for text in texts] + ["\0", "name;x;y", "x,x,x"]
    refused(lambda text: path.write_text(text) and box_files.BoxFile(path), of=texts)
    path.write_bytes(head.encode() + b"\xff\xfe,1,2,3,4,left")
    refused(lambda: box_files.BoxFile(path), "is no text")


def test_models_of_a_detector_that_are_none_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("handlib.predict.detectors._LARGEST", 1 << 22)
    wheel = tmp_path / "mediapipe-0.10.21-py3-none-any.whl"
    names = [f"mediapipe/modules/{name}" for name in detectors._FILES.values()]
    for data in (b"", b"TFL3" * 100, bytes(1000), b"\x1c\0\0\0TFL3" + b"\xff" * 500):
        zipped(wheel, *((name, data) for name in names))
        refused(lambda: detectors.MediaPipeHands(wheel))
    zipped(wheel, *((name, bytes(1 << 23)) for name in names))
    refused(lambda: detectors.MediaPipeHands(wheel), "unpacks to")


# ---- settings, runs, tables, references


@pytest.mark.parametrize("text", crafted.YAMLS.values(), ids=crafted.YAMLS)
def test_hostile_recipes_are_refused(tmp_path, text):
    path, trace = tmp_path / "mine.yaml", tmp_path / "ran"
    path.write_text(text.replace("MARKER", str(trace)))
    refused(lambda: recipes.read(path))
    assert not trace.exists()


@pytest.mark.parametrize(
    "line, field",
    [
        ("base: mine.yaml", "base"), ("base: [1]", "base"), ("base: digit", "base"), ("lr: .inf", "lr"),
        ("lr: .nan", "lr"), ("gamma: .nan", "gamma"),
        ("lr: 1" + "0" * 400, "lr"), ("milestones: [a]", "milestones"), ("milestones: [.inf]", "milestones"),
        ("epochs: 2001-01-01", "epochs"), ("mix: {a: b}", "mix"), ("network: [1, 2]", "network"), ("seed: 0.5", "seed"),
    ],
)  # fmt: skip
def test_settings_that_are_none_are_refused_by_name(tmp_path, line, field):
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: digit_interhand\n{line}\n" if not line.startswith("base") else line)
    assert refused(lambda: recipes.read(path)).field == field


def test_notebooks_that_are_none_or_would_run_code_are_refused(tmp_path):
    path, trace = tmp_path / "05_mine.ipynb", tmp_path / "ran"
    texts = [*crafted.JSONS.values(), '{"cells": 3, "nbformat": 4}', "{}", '{"nbformat": "x"}']
    for source in (f"data = __import__('os').mkdir({str(trace)!r})", "a, b = 1, 2", "a = (", "a = " + "-" * 5000 + "1"):
        cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
        texts.append(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))
    refused(lambda text: path.write_text(text) and runs.parameters(path), of=texts)
    assert not trace.exists()


@pytest.mark.parametrize(
    "receipt",
    [[], 3, {"results": 3}, {"results": [3]}, {"results": [{"method": 1}]}, {"tables": 5},
     {"results": [{"method": "m", "split": "s", "protocol": "freihand", "mine_mm": "x"}]},
     {"results": [{"method": ["m"], "split": "s", "protocol": "freihand"}]}],
)  # fmt: skip
def test_receipts_that_are_none_are_refused(tmp_path, receipt):
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    refused(lambda: tables.collect(tmp_path))


def test_a_hostile_reference_folder_fails_its_cases_and_runs_nothing(tmp_path):
    folder, trace = tmp_path / "metrics", tmp_path / "ran"
    folder.mkdir()
    for source in (verify.SHIPPED / "metrics").iterdir():
        if source.suffix == ".json":
            (folder / source.name).write_text(crafted.nested())
        elif source.suffix == ".npz":
            crafted.npz(folder / source.name, a=crafted.objects(trace), b=crafted.npy((10**11,)))
    rows, _ = bounded.run(lambda: [result for _, result in verify.run("metrics", folder)])
    assert rows and all(isinstance(row, verify.Row) and not row.ok for row in rows if not isinstance(row, verify.Skip))
    assert any(isinstance(row, verify.Row) for row in rows) and not trace.exists()
