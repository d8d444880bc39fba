"""Targets of `fuzz` outside the data sets: body models, checkpoints, predictions, pictures, settings."""

import argparse
import contextlib
import json
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pandas
import torch
import yaml
from fuzz import Target
from PIL import Image

from handlib import bodies, networks, recipes, runs, tables
from handlib.bodies import files as body_files
from handlib.bodies import free, free_body, parts, wholebody
from handlib.export import saved
from handlib.files import InputError
from handlib.geometry import intrinsics
from handlib.networks import checkpoints, torch_files
from handlib.predict import HandPrediction, Prediction, box_files, boxes, cameras, reading, sources
from handlib.predict.subjects import HAND, PERSON
from handlib.sweeps import plan
from handlib.training import checkpoints as training_checkpoints
from handlib.training import iknet
from handlib.training.made import Predictions

SHAPE = (48, 64)  # of pictures


def draw():
    """The same numbers for every target, whatever was made before."""
    return np.random.default_rng(0)


def finite(**arrays):
    """AssertionError naming the first array that holds NaN or infinity."""
    for name, array in arrays.items():
        assert np.isfinite(np.asarray(array, np.float64)).all(), f"{name} is not finite"


# ---- body models


def _make_left(folder):
    free.write_official(folder)


def _read_left(folder):
    layer = bodies.load(folder / "mano" / "MANO_LEFT.pkl", "mano_left")
    out = layer(pose=np.full(48, 0.1), shape=np.ones(layer.shape_size), mean_added=False)
    assert out["verts"].shape == (778, 3) and out["joints"].shape == (16, 3)
    finite(**{name: value.numpy() for name, value in out.items()})


def _make_body_npz(folder):
    small = {name: np.asarray(value) for name, value in free.arrays("right").items()}
    small = {name: value.astype(np.float32) if value.dtype == np.float64 else value for name, value in small.items()}
    np.savez(folder / "MANO_RIGHT.npz", **small)
    (folder / "segments.json").write_text(json.dumps((np.arange(779) % 16).tolist()))


def _read_body_npz(folder):
    model = body_files.read(folder / "MANO_RIGHT.npz", "mano")
    assert model.v_template.shape == (778, 3) and model.shapedirs.shape[:2] == (778, 3)
    finite(posedirs=model.posedirs, weights=model.weights)
    labels = parts.read_published(folder / "segments.json")
    assert labels.shape == (778,) and 0 <= labels.min() <= labels.max() < 16


def _make_index(folder):
    place, index = folder / "smplx", free_body.index_files()
    place.mkdir()
    pandas.to_pickle({side: index[side] for side in ("left_hand", "right_hand")}, place / "MANO_SMPLX_vertex_ids.pkl")
    pandas.to_pickle(index["j14"].astype(np.float32), place / "SMPLX_to_J14.pkl")
    np.save(place / "SMPL-X__FLAME_vertex_ids.npy", index["face"])
    np.save(place / "J_regressor_h36m_smplx.npy", index["h36m"].astype(np.float32))
    np.savez(place / "SMPLX_NEUTRAL.npz", J_regressor=free_body.arrays()["J_regressor"].astype(np.float32))


def _read_index(folder):
    found = wholebody.index_files(folder) | {"h36m": wholebody.h36m_regressor(folder)}
    found["regressor"] = wholebody.joint_regressor(folder)
    shapes = {"left_hand": (778,), "right_hand": (778,), "face": (5023,), "j14": (14, 10475), "h36m": (17, 10475),
              "regressor": (55, 10475)}  # fmt: skip
    assert {name: array.shape for name, array in found.items()} == shapes
    finite(**found)


# ---- weights and the state of trainings


class _Net(torch.nn.Module):
    name = "toy"

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))


def _make_torch(folder):
    torch.manual_seed(0)
    state = _Net().state_dict()
    lightning = {"state_dict": state, "hyper_parameters": argparse.Namespace(lr=0.1, root=Path("x")), "epoch": 3}
    torch.save(lightning, folder / "zip.ckpt")
    torch.save({"network": state, "mean": np.float64(2.5)}, folder / "old.pth", _use_new_zipfile_serialization=False)


def _read_torch(folder):
    for name in ("zip.ckpt", "old.pth"):
        state, _ = checkpoints.read(folder / name)
        _fill(state, folder / name)
        assert isinstance(torch_files.read(folder / name), dict)


def _fill(state, path):
    net = _Net()
    checkpoints.fill(net, state, str, str, path)
    finite(**{name: tensor.numpy() for name, tensor in net.state_dict().items()})


def _make_weights(folder):
    torch.manual_seed(0)
    checkpoints.save(_Net(), folder / "net", {"epoch": 1})
    (folder / "bare.safetensors").write_bytes((folder / "net" / checkpoints.WEIGHTS).read_bytes())


def _read_weights(folder):
    for path in (folder / "net", folder / "bare.safetensors"):
        state, facts = checkpoints.read(path)
        assert isinstance(facts, dict)
        _fill(state, path)


def _make_network(folder):
    torch.manual_seed(0)
    networks.save(networks.create("iknet"), folder / "iknet", {"training": {}, "step": 1})


def _read_network(folder):
    net = networks.load(folder / "iknet")
    with torch.no_grad():
        finite(pose=net(torch.arange(63.0).reshape(1, 21, 3))["pose_quat"])


def _make_state(folder):
    torch.manual_seed(0)
    net = _Net()
    optimizer = torch.optim.Adam(net.parameters())
    net.layers[0](torch.ones(2, 4)).sum().backward()
    optimizer.step()
    state = {"optimizer_states": [optimizer.state_dict()], "epoch": 1, "global_step": 5, "loops": {"x": [1, 2]},
             "callbacks": {"Keeper": {"history": [{"epoch": 0, "total": 0.5}], "validation": [], "best": None}},
             "state_dict": {}}  # fmt: skip
    training_checkpoints.EpochFolders(net, {"lr": 0.1, "network": "toy"}).save_checkpoint(state, folder / "epoch_0001")


def _read_state(folder):
    keeper = training_checkpoints.EpochFolders(_Net(), {})
    state = keeper.load_checkpoint(folder / "epoch_0001")
    finite(**{name: tensor.numpy() for name, tensor in state["state_dict"].items()})
    with contextlib.suppress(InputError):  # of another training: what the file says of it was changed
        training_checkpoints.require_same(folder / "epoch_0001", {"lr": 0.1, "network": "toy"})


# ---- predictions


def _make_predictions(folder):
    arrays = {"xyz": draw().normal(size=(4, 21, 3)).astype(np.float32), "verts": draw().normal(size=(4, 778, 3))}
    truth = {"xyz": draw().normal(size=(4, 21, 3)), "known": np.array([True, True, False, True])}
    Predictions(arrays, truth, np.arange(4), {"root_depth": "gt"}).save(folder / "made.npz")


def _read_predictions(folder):
    made = Predictions.load(folder / "made.npz")
    counted = made.counted()
    for name, array in {**counted.predictions, **counted.truth}.items():
        assert len(array) == len(counted), name
    assert isinstance(made.options("freihand"), dict)


def _hands():
    points = draw().normal(size=(2, 778, 3)) * 0.05 + [0, 0, 0.6]
    return HandPrediction(
        name="a.jpg", size=SHAPE[::-1], K=intrinsics((60.0, 60.0), (32, 24)), K_source="given",
        boxes=np.array([[3.0, 4, 20, 22], [30, 4, 20, 22]]), joints_cam=points[:, :21], verts_cam=points,
        joints_img=draw().uniform(0, 40, (2, 21, 2)), pose_from_mean=draw().normal(size=(2, 48)),
        shape=np.zeros((2, 10)),
        transl=points[:, 0], reprojection_px=np.zeros(2), score=np.full(2, np.nan), side=np.array([0, 1], np.int8),
        right_faces=free.arrays("right")["f"].astype(np.int64), skipped=((3, "too small"),),
    )  # fmt: skip


def _make_prediction(folder):
    _hands().save(folder / "a.npz")
    saved.parameters(_hands(), folder / "a.json")


def _read_prediction(folder):
    for path in (folder / "a.npz", folder / "a.json"):
        made = saved.read_parameters(path)
        assert isinstance(made, Prediction) and len(made.labels) == len(made) and made.verts_cam.ndim == 3
        finite(verts=made.verts_cam, joints=made.joints_cam, pose=made.pose_from_mean, K=made.K)
        for number in range(len(made)):
            made.verts_cam[number][made.faces_of(number)]
        assert made.doubtful.shape == (len(made),)


# ---- pictures, videos, boxes


def _make_boxes(folder):
    points = [[float(x), float(x * x % 31), 0.9] for x in range(21)]
    hands = {"a.jpg": [{"box": [3, 4, 20, 22], "side": "right", "score": 0.9}, {"keypoints": points, "side": "left"}],
             "b.jpg": []}  # fmt: skip
    (folder / "hands.json").write_text(json.dumps(hands))
    (folder / "hands.csv").write_text("name,x,y,w,h,side,score\na.jpg,3,4,20,22,right,0.9\nb.jpg,3,4,20,22,left,\n")
    people = {"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
              "annotations": [{"image_id": 1, "bbox": [3, 4, 20, 22], "category_id": 1, "iscrowd": 0}]}  # fmt: skip
    (folder / "people.json").write_text(json.dumps(people))


def _read_boxes(folder):
    picture = reading.Picture(np.zeros((*SHAPE, 3), np.uint8), "a.jpg")
    for name, subject in (("hands.json", HAND), ("hands.csv", HAND), ("people.json", PERSON)):
        found = box_files.BoxFile(folder / name, subject)
        for number, key in enumerate(found.hands):
            rects, sides, scores = found.of(key, number)
            assert rects.shape == (len(scores), 4) or not len(rects)
            if len(rects):
                kept = boxes.checked(rects, sides, picture.size, folder / name, scores, skip=True, subject=subject)
                finite(boxes=kept.boxes)


def _make_pictures(folder):
    image = cv2.resize(draw().integers(0, 255, (6, 8, 3), np.uint8), SHAPE[::-1])
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769).update({0xA405: 35, 0x920A: 4.2})
    Image.fromarray(image).save(folder / "turned.jpg", exif=exif, quality=90)
    Image.fromarray(image).save(folder / "a.png")
    Image.fromarray(image[..., 0].astype(np.uint16) * 257).save(folder / "deep.tif")
    frames = [Image.fromarray(np.roll(image, shift, 1)) for shift in range(3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])


def _read_pictures(folder):
    for path in sorted(folder.iterdir()):
        picture = reading.read(path)
        assert picture.image.dtype == np.uint8 and picture.image.ndim == 3 and picture.image.shape[2] == 3
        K, words = cameras.intrinsics(picture)
        finite(K=K)
        assert words and K[0, 0] > 0


def _make_video(folder):
    for name, code in (("a.mp4", "mp4v"), ("b.avi", "MJPG")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter_fourcc(*code), 25, SHAPE[::-1])
        for shift in range(8):
            writer.write(np.roll(np.full((*SHAPE, 3), 90, np.uint8), shift, 1))
        writer.release()


def _read_video(folder):
    for name in ("a.mp4", "b.avi"):
        video = sources.open_source(folder / name)
        assert 0 < video.fps <= 1000 and video.declared >= 0
        for number, (_, _, frame) in enumerate(video.frames()):
            assert frame.dtype == np.uint8 and frame.ndim == 3
            if number > 50:
                break


# ---- settings, runs, tables


def _make_recipe(folder):
    (folder / "mine.yaml").write_text((recipes.FOLDER / "digit_interhand.yaml").read_text())
    (folder / "next.yaml").write_text(yaml.safe_dump({"base": "mine.yaml", "lr": 0.001, "milestones": [3, 5]}))


def _read_recipe(folder):
    for name in ("mine.yaml", "next.yaml"):
        recipe = recipes.read(folder / name)
        finite(lr=recipe.lr, rate=recipe.learning_rate(1))
        json.dumps(recipe.identity())


def _make_sweep(folder):
    (folder / "data").mkdir()
    (folder / "data" / "mine.yaml").write_text("base: digit_interhand\n")
    named = {"notebook": "05_train_interacting", "data": str(folder / "data"), "name": "rates", "set": {"epochs": 2}}
    runs_ = [{"name": "small", "set": {"recipe": str(folder / "data" / "mine.yaml"), "recipe.seed": 3}}]
    grid = {"recipe": ["digit_interhand"], "recipe.lr": [0.001, 0.0001]}
    (folder / "rates.yaml").write_text(yaml.safe_dump(named | {"grid": grid, "runs": runs_}))


def _read_sweep(folder):
    sweep = plan.read(folder / "rates.yaml", data=str(folder / "data"), out=str(folder / "out"))
    assert sweep.runs and len({one.folder for one in sweep.runs}) == len(sweep.runs)
    assert all(one.folder.parent == folder / "out" for one in sweep.runs), "a run leaves the sweep's folder"


def _make_notebook(folder):
    cell = nbformat.v4.new_code_cell('data = "data/demo"\nepochs = 2\nlr = 0.5', metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell("1")]), folder / "05_mine.ipynb")


def _read_notebook(folder):
    assert isinstance(runs.parameters(folder / "05_mine.ipynb"), dict)


def _make_receipts(folder):
    figures = pandas.Series({"xyz_al_mean3d": 0.9, "mesh_al_mean3d": 0.8})
    figures.attrs = {"protocol": "freihand", "options": {}, "alignment": "procrustes"}
    rows = tables.record(tables.result(figures, method="mine", split="test", data="FreiHAND"))
    for run in ("a", "b"):
        (folder / run).mkdir()
        receipt = {"started": f"2026-01-0{len(run)}", "tables": ["benchmark"], "results": rows}
        (folder / run / "receipt.json").write_text(json.dumps(receipt))


def _read_receipts(folder):
    table = tables.collect(folder)
    assert len(table) and {"method", "split"} <= set(table.columns)


def _make_iknet(folder):
    torch.manual_seed(0)
    net = networks.create("iknet")
    iknet._write(folder / "iknet", net, torch.optim.Adam(net.parameters()), [{"step": 1, "loss": 0.5}], {"lr": 0.1})


def _read_iknet(folder):
    net = networks.create("iknet")
    iknet._resumed(folder / "iknet", net, torch.optim.Adam(net.parameters()), {"lr": 0.1})


TARGETS = [
    Target("mano_pkl", _make_left, _read_left),
    Target("mano_npz", _make_body_npz, _read_body_npz),
    Target("smplx_index", _make_index, _read_index),
    Target("checkpoint_torch", _make_torch, _read_torch),
    Target("checkpoint_safetensors", _make_weights, _read_weights),
    Target("network_folder", _make_network, _read_network),
    Target("training_state", _make_state, _read_state),
    Target("iknet_state", _make_iknet, _read_iknet, ("state.pt", "*.json", "*.csv")),
    Target("predictions_npz", _make_predictions, _read_predictions),
    Target("prediction_of_picture", _make_prediction, _read_prediction),
    Target("boxes", _make_boxes, _read_boxes),
    Target("pictures", _make_pictures, _read_pictures),
    Target("video", _make_video, _read_video),
    Target("recipe", _make_recipe, _read_recipe),
    Target("sweep", _make_sweep, _read_sweep),
    Target("notebook", _make_notebook, _read_notebook),
    Target("receipts", _make_receipts, _read_receipts),
]
