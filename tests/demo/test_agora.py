"""AGORA's demo data: the originals, what is made of them, and the local evaluation on the free body."""

import functools
import shutil
import warnings

import cv2
import numpy as np
import pytest
import torch

from handlib import bodies, datasets, demo, geometry, packs, protocols
from handlib.datasets import agora_frames, agora_parsing
from handlib.demo import agora
from handlib.files import InputError, read_json

AWAY = np.array([0.1, 0.2, 0.5])  # m: where a person stands does not count


@pytest.fixture(scope="module")
def made(tmp_path_factory, grey):
    root = tmp_path_factory.mktemp("demo") / "AGORA"
    return demo.make_agora(root, pictures=4, processes=1, show_progress=False)


@pytest.fixture(scope="module")
def truth(made):
    """{picture: its row of the validation's data frame}"""
    (path,) = agora_frames.find(made, "validation")[1]
    return {row["imgPath"]: row for row in agora_frames.of_columns(agora_frames.read(path), path)}


@functools.cache
def layer():
    return bodies.load(None, "smplx_neutral")


def mesh(sample):
    pose = torch.tensor(sample["smplx_pose"])
    parts = {"root": pose[0], "body": pose[1:22], "jaw": pose[22], "lhand": pose[25:40], "rhand": pose[40:]}
    blends = {"shape": sample["smplx_shape"], "expression": sample["smplx_expr"], "transl": sample["smplx_transl"]}
    named = {f"{name}_pose": rows for name, rows in parts.items()}
    made = layer()(**named, **blends, mean_added=False)
    return made["joints"].numpy().astype(float), made["verts"].numpy().astype(float)


def inside(points, box, by=0.0):
    x, y, w, h = box
    return ((points >= [x - by, y - by]) & (points <= [x + w + by, y + h + by])).all()


@pytest.mark.parametrize("resolution", ["3840x2160", "1280x720"])
def test_fits_boxes_and_pictures_belong_together(made, truth, resolution):
    scale = 3 if resolution == "1280x720" else 1
    found = list(datasets.read("agora", made, "validation", resolution=resolution))
    assert sum(len(row["isValid"]) for row in truth.values()) == len(found) > 3
    for sample in found:
        row, number = truth[sample["picture"]], sample["person"]
        joints, verts = mesh(sample)
        np.testing.assert_allclose(verts, row["gt_verts"][number], atol=2e-5)
        pixels = geometry.project(joints, sample["K"])[:, :2]
        known = geometry.apply_affine(row["gt_joints_2d"][number].astype(np.float32), sample["picture_affine"])
        np.testing.assert_allclose(pixels, known, atol=0.02)
        if scale == 3:  # boxes that are inside lose a pixel, and are cut
            for name, rows in (
                ("lhand_bbox", slice(25, 40)),
                ("rhand_bbox", slice(40, 55)),
                ("face_bbox", slice(76, 127)),
            ):
                if (pixels[rows] < [1279, 719]).all():
                    assert inside(pixels[rows], sample[name], by=1)
        assert cv2.imread(sample["image_path"]).shape == ((720, 1280, 3) if scale == 3 else (512, 384, 3))


def test_both_programs_files_and_the_test_boxes_are_read_and_packed(made, tmp_path):
    assert datasets.splits("agora", made) == ["train", "validation", "test"]
    theirs = list(datasets.read("agora", made, "validation", source="osx"))
    ours = list(datasets.read("agora", made, "validation"))
    assert [one["picture"] for one in theirs] == [one["picture"] for one in ours]
    for one, other in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(one["smplx_verts"], mesh(other)[1], atol=2e-5)
        assert one["image_path"] != other["image_path"]
    for split in ("train", "test"):
        pack = packs.write("agora", made, split, tmp_path / split, workers=0)
        assert len(pack) > 3 and pack.manifest["fits_of"] == "handlib free body"


def test_people_hide_one_another_and_the_pictures_of_4k_are_gone(made, truth):
    parsed = read_json(made / "data" / "AGORA_train_SMPLX.json")
    hidden = [person["occlusion"] for person in parsed["annotations"]]
    assert max(hidden) > 10 and min(hidden) < 5 and all(0 <= one <= 100 for one in hidden)
    assert not (made / "data" / "images_3840x2160" / "train_0").exists()
    assert all("bfh" in name for name in truth)


def test_the_local_evaluator_runs_on_it(made, truth):
    predictions = {}
    for sample in datasets.read("agora", made, "validation"):
        joints, verts = mesh(sample)
        flat = truth[sample["picture"]]["gt_joints_2d"][sample["person"]][:24]
        person = {"joints": flat, "allSmplJoints3d": joints + AWAY, "verts": verts + AWAY}
        predictions.setdefault(sample["picture"], []).insert(0, person)  # who is who must be found out
    frames = made / "data" / "validation_SMPLX" / "SMPLX"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures = protocols.evaluate("agora_smplx", predictions, frames, bodies="free")
    assert figures["f1"] == 1 and figures["body-MVE"] == figures["lhand-MVE"] == figures["face-MPJPE"] == 0


def test_data_frames_without_joints_get_the_same(made, tmp_path):
    """Those of the archive of cameras alone."""
    data = made / "data"
    (path,) = agora_frames.find(made, "validation")[1]
    columns = agora_frames.read(path)
    (tmp_path / "Cam").mkdir()
    _without(columns).to_pickle(tmp_path / "Cam" / "validation_0.pkl")
    shutil.copytree(data / "smplx_gt", tmp_path / "smplx_gt")
    shutil.copy(data / "body_model.json", tmp_path)
    for path in agora_parsing.parse(tmp_path):
        mine, theirs = read_json(path), read_json(data / path.name)
        for one, other in zip(mine["annotations"], theirs["annotations"], strict=True):
            np.testing.assert_allclose(one["bbox"], other["bbox"], atol=0.01)
            np.testing.assert_allclose(one["lhand_bbox"], other["lhand_bbox"], atol=0.01)
        assert len(mine["images"]) == 1


def _without(columns):
    import pandas

    kept = {name: values for name, values in columns.items() if not name.startswith("gt_joints") and name != "gt_verts"}
    table = pandas.DataFrame({name: pandas.Series(values, dtype=object) for name, values in kept.items()})
    table.columns = pandas.Index(list(kept), dtype=object)
    return table


def test_the_same_each_time(made, tmp_path):
    one = agora._scene(layer(), "validation", 2, 0)
    agora._write_frame(tmp_path / "frame" / "x.pkl", [agora._completed(layer(), tmp_path, one, agora._seen(one.shot))])
    (path,) = agora_frames.find(made, "validation")[1]
    assert (tmp_path / "frame" / "x.pkl").read_bytes() == path.read_bytes()
    fits = list(tmp_path.glob("smplx_gt/*/*.pkl"))
    assert len(fits) > 3
    assert all(fit.read_bytes() == (made / "data" / fit.relative_to(tmp_path)).read_bytes() for fit in fits)
    before = (made / "demo.json").stat().st_mtime_ns
    demo.make_agora(made, pictures=4, show_progress=False)
    assert (made / "demo.json").stat().st_mtime_ns == before


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match="too few"):
        demo.make_agora(tmp_path / "x", pictures=3)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    with pytest.raises(InputError, match="not demo data"):
        demo.make_agora(tmp_path / "mine")
