"""AGORA's originals, data frames and fits, into the annotations of both programs; crops of both side by side."""

import json
import pickle

import numpy as np
import pandas
import people_tree
import pytest
import torch

from handlib import datasets
from handlib.bodies import free_body
from handlib.datasets import agora_bodies, agora_crops, agora_files, agora_parsing, agora_world
from handlib.files import InputError, read_json
from handlib.verify import reference, wholebody_agora

SIZES = {"global_orient": 3, "body_pose": 63, "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3, "left_hand_pose": 45,
         "right_hand_pose": 45, "expression": 10, "transl": 3}  # fmt: skip


def rows():
    """Two pictures with two people and one; the last is a child that does not count."""
    draw = np.random.default_rng(0)
    names = ("ag_trainset_bfh_hdri_0.png", "ag_trainset_bfh_flowers_1.png")
    for place, (name, count) in enumerate(zip(names, (2, 1), strict=True)):
        yield {
            "imgPath": name, "camX": 120.0, "camY": -40.0, "camZ": 10.0, "camYaw": 35.0,
            "gender": ["female", "male"][:count], "kid": [place == 1] * count, "occlusion": [12.5] * count,
            "isValid": [place == 0] * count, "age": ["31-50"] * count, "ethnicity": ["x"] * count,
            "gt_path_smplx": [f"smplx_gt/set/{place}_{n}.obj" for n in range(count)],
            **{key: draw.uniform(0, 90, count).tolist() for key in ("X", "Y", "Z", "Yaw")},
            "gt_joints_2d": [draw.uniform(300, 900, (127, 2)) for _ in range(count)],
            "gt_joints_3d": [draw.uniform(-1, 1, (127, 3)) + [0, 0, 5] for _ in range(count)],
            "gt_verts": [draw.uniform(-1, 1, (10475, 3)).astype(np.float32) for _ in range(count)],
        }  # fmt: skip


def write_frame(path, given):
    columns = {name: pandas.Series([row[name] for row in given], dtype=object) for name in given[0]}
    table = pandas.DataFrame(columns)
    table.columns = pandas.Index(list(columns), dtype=object)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_pickle(path)


def fit(draw, betas=10, tensors=False):
    values = {name: draw.normal(0, 0.3, (1, size)).astype(np.float32) for name, size in SIZES.items()}
    values["betas"] = draw.normal(0, 1, (1, betas)).astype(np.float32)
    return {name: torch.tensor(value) for name, value in values.items()} if tensors else values


FRAME = "data/train_SMPLX/SMPLX/train_3_withjv.pkl"


@pytest.fixture
def originals(tmp_path):
    """A data set's folder of the free body: a data frame of training, and fits, one of them of torch tensors."""
    draw, given = np.random.default_rng(1), list(rows())
    write_frame(tmp_path / FRAME, given)
    for place, row in enumerate(given):
        for number, path in enumerate(row["gt_path_smplx"]):
            target = (tmp_path / "data" / path).with_suffix(".pkl")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(pickle.dumps(fit(draw, 10 + place, tensors=number == 1), protocol=2))
    people_tree.write(tmp_path / "data/body_model.json", {"model": "handlib free body"})
    return tmp_path


def change(root, edit):
    given = list(rows())
    edit(given)
    write_frame(root / FRAME, given)


# What is made


def test_hand4wholes_annotations(originals):
    (path,) = agora_parsing.parse(originals, sources=["hand4whole"])
    told, given = read_json(path), list(rows())
    assert path == originals / "data/AGORA_train_SMPLX.json"
    assert told["images"][1] == {
        "id": 1, "file_name_3840x2160": "images_3840x2160/train_3/ag_trainset_bfh_flowers_1.png",
        "file_name_1280x720": "images_1280x720/train_3/ag_trainset_bfh_flowers_1_1280x720.png",
    }  # fmt: skip
    assert [one["is_valid"] for one in told["annotations"]] == [True, True, False]
    last = told["annotations"][2]
    assert (last["id"], last["image_id"], last["person_id"], last["kid"]) == (2, 1, 0, True)
    joints = given[0]["gt_joints_2d"][1]
    rows_of = {"bbox": [*range(127)], "lhand_bbox": [*range(25, 40), *range(66, 71)],
               "rhand_bbox": [*range(40, 55), *range(71, 76)], "face_bbox": [*range(76, 127)]}  # fmt: skip
    for name, some in ((name, joints[places]) for name, places in rows_of.items()):
        low, high = some.min(0), some.max(0)
        expected = [*((low + high) / 2 - 0.6 * (high - low)), *(1.2 * (high - low))]
        np.testing.assert_allclose(told["annotations"][1][name], expected, rtol=1e-6)
    camera = read_json(originals / "data" / last["cam_param_path"])
    np.testing.assert_allclose(camera["focal"], 28 / 36 * 3840)
    assert camera["princpt"] == [1920, 1080]
    assert len(read_json(originals / "data" / last["smplx_param_path"])["betas"]) == 10


def test_a_mesh_lands_where_the_projection_puts_it(originals):
    """The published way: pose it in its own frame, carry the points over."""
    from handlib import bodies

    agora_parsing.parse(originals, sources=["hand4whole"])
    layer = bodies.load(None, "smplx_neutral", dtype=torch.float64)
    names = {"root_pose": "global_orient", "body_pose": "body_pose", "jaw_pose": "jaw_pose", "shape": "betas",
             "lhand_pose": "left_hand_pose", "expression": "expression", "transl": "transl"}  # fmt: skip

    def verts(values):
        named = {
            ours: torch.tensor(np.ravel(values[theirs])[:63], dtype=torch.float64) for ours, theirs in names.items()
        }
        named["shape"] = named["shape"][:10]
        return layer(**named, mean_added=False)["verts"].numpy()

    for row in rows():
        camera = agora_world.camera(row)
        for number, path in enumerate(row["gt_path_smplx"]):
            own = agora_files.parameters((originals / "data" / path).with_suffix(".pkl"))
            turn, shift = agora_world.placed(row, number, camera)
            stem = row["imgPath"].removesuffix(".png")
            moved = read_json(originals / f"data/smplx_params_cam/train_3/{stem}/{number}.json")
            np.testing.assert_allclose(verts(moved), verts(own) @ turn.T + shift, atol=1e-6)


def test_osxs_annotations(originals):
    (originals / "data/images_3840x2160/train_3").mkdir(parents=True)
    paths = agora_parsing.parse(originals, train_verts=True)
    told, given = read_json(paths[1]), list(rows())
    assert [path.name for path in paths] == ["AGORA_train_SMPLX.json", "AGORA_train.json"]
    one = told["annotations"][1]
    assert told["images"][0]["file_name_3840x2160"].startswith("images_3840x2160/")  # where the pictures are
    for kind in ("joints_2d", "joints_3d", "verts"):
        found = json.loads((originals / "data" / one[f"smplx_{kind}_path"]).read_text())
        np.testing.assert_allclose(found, given[0][f"gt_{kind}"][1], atol=1e-7)
    assert one["smplx_param_path"] == "smplx_gt/set/0_1.pkl"
    sample = datasets.read("agora", originals, "train", source="osx", resolution="1280x720")[1]
    assert sample["person_joints_valid"].any() and sample["smplx_shape"].shape == (10,)  # of tensors


def test_vertices_that_nothing_reads_are_not_written(originals):
    agora_parsing.parse(originals, sources=["osx"])
    assert not (originals / "data/gt_verts").exists() and (originals / "data/gt_joints_3d").exists()


def test_it_goes_on_where_it_was(originals, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(agora_parsing._Writer, "finish", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            agora_parsing.parse(originals, sources=["hand4whole"])
    assert not (originals / "data/AGORA_train_SMPLX.json").exists()
    kept, lost = sorted((originals / "data/smplx_params_cam").rglob("?.json"))[:2]
    lost.unlink()
    kept.write_text("kept")
    (path,) = agora_parsing.parse(originals, sources=["hand4whole"])
    assert kept.read_text() == "kept" and lost.exists() and len(read_json(path)["annotations"]) == 3
    path.write_text("{}")
    agora_parsing.parse(originals, sources=["hand4whole"])
    assert path.read_text() == "{}", "a split with annotations is left as it is"


def test_crops_of_both_programs_may_lie_side_by_side(tmp_path):
    people_tree._agora_crop(tmp_path / "images_3840x2160/train_0_crop", "ag_person_id_7", "affine_mat")
    people_tree._agora_crop(tmp_path / "3840x2160/train_0_crop", "ag_ann_id_7", "img2bb_trans")
    found = {source: agora_files.crop_of(tmp_path, "train_0", "ag", 7, source) for source in ("hand4whole", "osx")}
    assert [one[0].stem for one in found.values()] == ["ag_person_id_7", "ag_ann_id_7"]
    assert agora_files.crop_of(tmp_path, "train_0", "ag", 8, "osx") is None


def test_a_box_without_area_is_skipped(originals):
    (path,) = agora_parsing.parse(originals, sources=["hand4whole"])
    people_tree.change(path, lambda told: told["annotations"][0].update(bbox=[100.0, 100.0, 0.0, 50.0]))
    reader = datasets.read("agora", originals, "train", resolution="1280x720")
    assert len(list(reader)) == 1 and "empty" in reader.skipped[0].reason


# The published numbers


def test_the_published_conversion_is_reproduced_and_a_deviation_is_seen(tmp_path):
    entries = reference.shipped("wholebody").json(wholebody_agora.FILE)
    some = [entry for entry in entries if entry["gender"] == "neutral"]  # each gender's stand-in takes seconds
    some[1]["transl_cam"][2] += 1e-4
    people_tree.write(tmp_path / wholebody_agora.FILE, some)
    found = list(wholebody_agora.check_conversion(reference.Reference(tmp_path, "wholebody")))
    assert len(some) == 2 and len(found) == 24
    assert [(row.case, row.quantity) for row in found if not row.ok] == [("agora/ag2_trainset_y", "transl_cam")]


@pytest.mark.parametrize("name", ["hdri", "cam00", "cam01", "cam02", "cam03", "ag2", "flowers"])
def test_places_are_told_and_read_back(name):
    row = {"imgPath": f"x_{name}.png", "camX": 50.0, "camY": -340.0, "camZ": 12.0, "camYaw": 35.0}
    row |= {"X": [400.0], "Y": [60.0], "Z": [-5.0], "Yaw": [100.0]}
    camera = agora_world.camera(row)
    told = agora_world.record(*agora_world.placed(row, 0, camera), camera)
    np.testing.assert_allclose([told[key] for key in ("X", "Y", "Z", "Yaw")], [400, 60, -5, 100], atol=1e-9)


# Bad input


def refused(root, **options):
    with pytest.raises(InputError) as caught:
        agora_parsing.parse(root, **options)
    return caught.value


def test_models_that_are_missing_are_named(originals, tmp_path):
    (originals / "data/body_model.json").unlink()
    error = refused(originals)
    assert error.field == "bodies" and "SMPLX_FEMALE.npz" in error.mend and "smpl-x.is.tue.mpg.de" in error.mend
    (tmp_path / "bodies").mkdir()
    assert "SMPLX_FEMALE" in str(refused(originals, bodies=tmp_path / "bodies"))


def test_a_folder_without_data_frames(tmp_path, originals):
    (tmp_path / "empty").mkdir()
    assert "agora.is.tue.mpg.de" in refused(tmp_path / "empty").mend
    assert "validation_*" in refused(originals, splits=["validation"]).problem
    with pytest.raises(InputError, match="no such source"):
        agora_parsing.parse(originals, sources=["expose"])


def test_who_has_data_frames_alone_is_told_the_step(originals):
    for call in (lambda: datasets.read("agora", originals, "train"), lambda: datasets.splits("agora", originals)):
        with pytest.raises(InputError, match="which are there: `handlib prepare agora .* --bodies FOLDER`"):
            call()
    with pytest.raises(InputError, match="AGORA_test_bbox.json(.|\n)*Hand4Whole"):
        datasets.read("agora", originals, "test")


def test_the_step_before_packing(originals, monkeypatch):
    cut = []
    monkeypatch.setattr(agora_crops, "make", lambda root: cut.append(root) or (2, [("a.png", "broken")]))
    done = datasets.prepare("agora", originals)
    assert done["result"].tolist() == ["AGORA_train_SMPLX.json", "AGORA_train.json", "2 written", "a.png: broken"]
    assert datasets.splits("agora", originals) == ["train"] and len(cut) == 1
    assert "annotations" not in datasets.prepare("agora", originals)["what"].tolist()


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("X", [float("nan"), 1.0], "no finite number"),
        ("Yaw", 1.0, "no list"),
        ("gt_joints_3d", [[["x"]], [["y"]]], "127, 3"),
        ("Yaw", [1.0], "1 entries for 2 people"),
        ("gt_joints_2d", [np.zeros((24, 2))] * 2, "127, 2"),
        ("gt_joints_2d", [np.full((127, 2), np.nan)] * 2, "finite"),
        ("gt_verts", [np.zeros((6890, 3))] * 2, "10475, 3"),
        ("gender", ["woman", "male"], "woman"),
        ("gt_path_smplx", ["../x.obj", "y.obj"], "no path below the data"),
        ("gt_path_smplx", ["smplx_gt/none.obj"] * 2, "none.pkl"),
        ("imgPath", 7, "no path below the data"),
    ],
)
def test_odd_rows_are_named(originals, key, value, text):
    change(originals, lambda given: given[0].update({key: value}))
    error = refused(originals, train_verts=True)
    assert text in str(error) and "mend" in str(error)
    assert not (originals / "data/AGORA_train_SMPLX.json").exists()


@pytest.mark.parametrize("key", ["gt_path_smplx", "isValid", "Yaw"])
def test_a_column_that_is_missing_is_named(originals, key):
    change(originals, lambda given: [row.pop(key) for row in given])
    error = refused(originals)
    assert error.field == key and "there is: imgPath" in error.mend


def test_damaged_frames_and_fits_are_named(originals):
    path = originals / FRAME
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "train_3_withjv.pkl" in str(refused(originals))
    path.write_bytes(whole)
    fit_path = originals / "data/smplx_gt/set/0_0.pkl"
    fit_path.write_bytes(fit_path.read_bytes()[:-200])
    assert "0_0.pkl" in str(refused(originals))
    fit_path.write_bytes(pickle.dumps({"betas": np.zeros(10)}))
    assert "global_orient" in refused(originals).field
    fit_path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert "not known to be harmless" in str(refused(originals))


def test_the_root_joint_is_the_layers():
    from handlib import bodies

    draw = np.random.default_rng(0)
    shape, expression = draw.normal(size=10), draw.normal(size=10)
    mean, directions = agora_bodies.root_joint(free_body.model())
    out = bodies.load(None, "smplx_neutral", dtype=torch.float64)(shape=shape, expression=expression, mean_added=False)
    expected = out["joints"][0].numpy()
    np.testing.assert_allclose(mean + directions @ [*shape, *expression], expected, atol=1e-7)
