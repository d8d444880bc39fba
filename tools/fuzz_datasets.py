"""What `fuzz.py` mutates of the data sets: every reader's own files, in the official layouts, and packs."""

import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
for _place in ("tests", "tests/datasets"):
    if str(ROOT / _place) not in sys.path:
        sys.path.append(str(ROOT / _place))

import dexycb_tree  # noqa: E402
import free_hands  # noqa: E402
import ho3d_tree  # noqa: E402
import interhand_tree  # noqa: E402
import oakink_tree  # noqa: E402
import people_tree  # noqa: E402
import test_agora  # noqa: E402
import test_people_bad_input  # noqa: E402
from fuzz import Target  # noqa: E402

from handlib import datasets, fields, packs  # noqa: E402
from handlib.datasets import agora_parsing, json_stream, oakink_objects  # noqa: E402
from handlib.datasets.base import Skip  # noqa: E402
from handlib.packs import layout  # noqa: E402

LARGEST = 1e12  # of any figure that counts: beyond it something was let pass
_BOXES = {"bbox", "lhand_bbox", "rhand_bbox", "face_bbox", "bbox_est", "window"}


# ------------------------------------------------------------------------------------------------ what is right


def check(sample, figures=True):
    """AssertionError for a sample that `handlib.fields` describes otherwise, or whose figures cannot be. figures: of
    packs they may be others than were packed, and only be finite: hashes tell.
    """
    labels, _ = layout.separate(sample)  # shapes and kinds
    for name, value in labels.items():
        field = fields.SAMPLE[name]
        if field.kind == "array":
            _check_array(name, value, figures)
        elif field.dtype == "str":
            assert isinstance(value, str), f"{name} is {type(value).__name__}"
            value.encode()
        else:
            assert isinstance(value, int) and abs(value) < 2**63, f"{name} is {value!r}"
    for name in ("width", "height"):
        assert 0 < sample[name] < 1 << 16, f"{name} is {sample[name]}"


def _check_array(name, value, figures):
    if value.dtype.kind == "f":
        known = value[np.isfinite(value)] if name in fields.MAY_LACK else value
        assert np.isfinite(known).all(), f"{name} is not finite"
        assert not known.size or not figures or np.abs(known).max() < LARGEST, f"{name} is huge"
    if not figures:
        return
    if name in _BOXES:
        assert not (value[2:] < 0).any(), f"{name} has a negative size"
    if name == "bbox":
        assert value[2:].max() > 0, "bbox is empty"
    if name == "K":
        assert (np.diag(value) > 0).all() and value[2].tolist() == [0, 0, 1], "K is no camera"
    if name in ("cam_rot", "smplx_world", "smpl_world"):
        np.testing.assert_allclose(value @ value.T, np.eye(3), atol=0.05, err_msg=name)


def read(name, folder, split, **options):
    """Every sample of a split with its pictures, as packing takes them."""
    reader = datasets.read(name, folder, split, **options)
    for index in range(len(reader)):
        try:
            check({"image_path": "", **reader[index]})
            check(reader.complete(reader.light(index)))
        except Skip as skip:
            assert skip.reason and isinstance(skip.key, str)


# ------------------------------------------------------------------------------------------------ the data sets


def _without(folder, *patterns):
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _interhand(folder):
    free_hands.interhand(folder)
    _without(folder, "annotations/body_model.json")  # as MANO's, whose files are not there: no masks
    names = "\n".join(
        f"{name} {index} {parent}"
        for index, (name, parent) in enumerate(zip(fields.interhand_names(), fields.INTERHAND42.parents, strict=True))
    )
    (folder / "annotations" / "skeleton.txt").write_text(f"# name id parent\n{names}\n")
    (folder / "annotations" / "subject.txt").write_text("0 Capture0 male\n")
    found = [{"annot_id": n, "bbox": [9.0, 9, 300, 200], "abs_depth": [700.0, 710.0]} for n in range(4)]
    free_hands.write(folder / "rootnet_output" / "rootnet_interhand2.6m_output_train.json", found)


def _read_interhand(folder):
    read("interhand", folder, "train")
    read("interhand", folder, "train", part="hand", cameras=None)


def _digit(folder):
    shutil.rmtree(folder)
    interhand_tree.build(folder, splits=())
    interhand_tree.add_digit_files(folder, "val")
    for path in (folder / "annotations").glob("*/*"):
        if "val" not in path.name and path.is_file():
            path.unlink()


def _oakink(folder):
    oakink_tree.build(folder)
    listed = oakink_tree.entries()[:1]
    oakink_tree.relist(folder, listed)
    kept = oakink_tree.stem(0)
    for path in (folder / "image").rglob("*"):
        odd = path.is_file() and kept not in path.name and path not in (
            oakink_tree.list_file(folder), oakink_tree.picture(folder, 0))  # fmt: skip
        if odd and path.suffix != ".obj" and path.name != "seq_status.json":
            path.unlink()


def _read_oakink(folder):
    read("oakink", folder, "test")
    for path in (folder / "image/obj").glob("*.obj"):
        verts, faces = oakink_objects.read(folder / "image", path.stem)
        assert np.isfinite(verts).all() and len(verts) and (not len(faces) or faces.max() < len(verts))


def _oakink_packed(folder):
    oakink_tree.build(folder)
    keep = sorted((folder / "image/anno_packed/default/test").iterdir())[:1]
    entry = next(
        entry for number, entry in enumerate(oakink_tree.entries()) if keep[0].stem == oakink_tree.stem(number)
    )
    oakink_tree.relist(folder, [entry])
    number = oakink_tree.entries().index(entry)
    held = {*keep, oakink_tree.list_file(folder), oakink_tree.picture(folder, number)}
    for path in (folder / "image").rglob("*"):
        if path.is_file() and path not in held:
            path.unlink()


def _ho3d(folder):
    ho3d_tree.build(folder, truth=True)


def _read_ho3d(folder):
    read("ho3d", folder, "train")
    read("ho3d", folder, "evaluation")


def _ho3d_derived(folder):
    ho3d_tree.build(folder)
    for part in ("train", "evaluation"):
        ho3d_tree.derived(folder, part)
    _without(folder, "*/*/meta")


def _dexycb_derived(folder):
    root = dexycb_tree.one(folder)
    reader = datasets.read("dexycb", root, "val")
    samples = [{**sample, "mano_valid": np.ones(1, bool)} for sample in reader]
    dexycb_tree.derived(reader, samples, root / "annotations" / "DEX_YCB_s0_val_data.json")
    _without(folder, "calibration/*/*", "*/*/meta.yml", "*/*/*/*.npz")


def _freihand(folder):
    free_hands.freihand(folder, count=2)


def _read_freihand(folder):
    read("freihand", folder, "training")
    read("freihand", folder, "evaluation")


def _freihand_derived(folder):
    free_hands.derived(folder, free_hands.freihand(folder, count=2))
    _without(folder, "*_verts.json", "*_K.json", "*_mano.json", "*_xyz.json")


def _read_freihand_derived(folder):
    for split in ("training", "evaluation"):
        read("freihand", folder, split, source="derived")


def _people(name, folder):
    people_tree.SETS[name][0](folder)


def _read_ubody(folder):
    for split in ("train", "test"):
        read("ubody", folder, split, every=1)


def _read_agora(folder):
    for split in ("train", "validation", "test"):
        read("agora", folder, split)
    read("agora", folder, "train", resolution="1280x720")


def _frames(folder):
    given = list(test_agora.rows())
    for row in given:
        row["gt_verts"] = [np.float32(verts) for verts in row["gt_verts"]]
    test_agora.write_frame(folder / test_agora.FRAME, given)
    draw = np.random.default_rng(1)
    for place, row in enumerate(given):
        for number, path in enumerate(row["gt_path_smplx"]):
            target = (folder / "data" / path).with_suffix(".pkl")
            target.parent.mkdir(parents=True, exist_ok=True)
            oakink_tree.rewrite(target, test_agora.fit(draw, 10 + place, tensors=number == 1))
    people_tree.write(folder / "data/body_model.json", {"model": "handlib free body"})


def _read_frames(folder):
    agora_parsing.parse(folder)
    for source in ("hand4whole", "osx"):
        datasets.read("agora", folder, "train", source=source)


def _videos(folder):
    test_people_bad_input._film(folder / "videos/Movie/a.avi")
    test_people_bad_input._film(folder / "videos/Movie/b.mp4")


def _read_videos(folder):
    table = datasets.prepare("ubody", folder)
    assert len(table) and (table.pictures >= 0).all() and table.pictures.max() < 1000


def _stream(folder):
    people_tree.write(folder / "list.json", [[1, 2.5], "text", {"a": None}] * 3)
    people_tree.write(folder / "members.json", {"images": [{"id": 1}, {"id": 2}], "info": "x", "licence": {"a": [1]}})


def _read_stream(folder):
    for name in ("list.json", "members.json"):
        for member, _ in json_stream.items(folder / name):
            assert member is None or isinstance(member, str)


# -------------------------------------------------------------------------------------------------------- packs


def _pack(folder):
    people_tree.mscoco(folder / "data")
    packs.write("mscoco", folder / "data", "train", folder / "pack", workers=0)
    shutil.rmtree(folder / "data")


def _read_pack(folder):
    pack = packs.open(folder / "pack")
    assert len(pack.index) == len(pack)
    for place in range(len(pack)):
        sample = pack[place]
        assert sample.pop("index") == place
        check(sample, figures=False)


def _read_signed_pack(folder):
    """A pack that fits its manifest: by someone who knows how, not by damage."""
    resign(folder / "pack")
    _read_pack(folder)


def resign(folder):
    """Make sizes and hashes of a pack's manifest right again, as far as it still is one."""
    import hashlib
    import json

    path = folder / layout.MANIFEST
    try:
        told = json.loads(path.read_text())
        for name, entry in (told["files"] or {}).items():
            if isinstance(entry, dict) and (folder / name).is_file():
                data = (folder / name).read_bytes()
                entry |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        path.write_text(json.dumps(told | {"hash": layout.manifest_hash(told)}))
    except Exception:  # it is none any more
        return


TARGETS = [
    Target("interhand", _interhand, _read_interhand),
    Target("interhand_digit", _digit, partial(read, "interhand", split="val", source="digit"), memory=3 << 30),
    Target("oakink", _oakink, _read_oakink),
    Target("oakink_packed", _oakink_packed, partial(read, "oakink", split="test", source="packed")),
    Target("ho3d", _ho3d, _read_ho3d),
    Target("ho3d_derived", _ho3d_derived, lambda folder: [
        read("ho3d", folder, split, source="derived") for split in ("train", "evaluation")]),
    Target("dexycb", dexycb_tree.one, partial(read, "dexycb", split="val")),
    Target("dexycb_derived", _dexycb_derived, partial(read, "dexycb", split="val", source="derived")),
    Target("freihand", _freihand, _read_freihand),
    Target("freihand_derived", _freihand_derived, _read_freihand_derived),
    Target("mscoco", people_tree.mscoco, partial(read, "mscoco", split="train")),
    Target("mscoco_hands", free_hands.mscoco, partial(read, "mscoco", split="train", part="hand")),
    Target("ehf", people_tree.ehf, partial(read, "ehf", split="test")),
    Target("ubody", people_tree.ubody, _read_ubody),
    Target("agora", people_tree.agora, _read_agora),
    Target("agora_frames", _frames, _read_frames),
    Target("human36m", people_tree.human36m, partial(read, "human36m", split="test")),
    Target("mpii", people_tree.mpii, partial(read, "mpii", split="train")),
    Target("mpi_inf_3dhp", people_tree.mpi_inf_3dhp, partial(read, "mpi_inf_3dhp", split="train")),
    Target("pw3d", people_tree.pw3d, partial(read, "pw3d", split="test")),
    Target("ubody_videos", _videos, _read_videos),
    Target("json_stream", _stream, _read_stream),
    Target("pack", _pack, _read_pack),
    Target("pack_signed", _pack, _read_signed_pack),
]  # fmt: skip
