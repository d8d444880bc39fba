"""Predictions for tests, made with the free hand and body: what a Predictor would answer if it were never wrong."""

import numpy as np
import torch

from handlib import bodies
from handlib.bodies import posing
from handlib.geometry import intrinsics, project
from handlib.predict import HandPrediction, PersonPrediction

SIZE = (160, 120)
K = intrinsics((200.0, 200.0), (79.5, 59.5))


def layers():
    return {side: bodies.load("free", f"mano_{side}") for side in ("right", "left")}


def prediction(layers, sides=(0, 1), pose=None, shape=None, place=None, name="picture"):
    """N hands. pose (N, 48) from the mean, shape (N, 10), place (N, 3) of the wrists; drawn where they are None."""
    count, rng = len(sides), np.random.default_rng(5)
    pose = 0.25 * rng.standard_normal((count, 48)) if pose is None else np.asarray(pose, float)
    shape = 0.5 * rng.standard_normal((count, 10)) if shape is None else np.asarray(shape, float)
    drawn = np.array([[-0.02 + 0.06 * hand, 0.02, 0.55] for hand in range(count)]).reshape(count, 3)
    place = drawn if place is None else np.asarray(place, float)
    verts, joints, transl = np.zeros((count, 778, 3)), np.zeros((count, 21, 3)), np.zeros((count, 3))
    for hand, side in enumerate(sides):
        layer = layers[("right", "left")[side]]
        with torch.no_grad():
            out = layer(pose=pose[hand], shape=shape[hand], mean_added=False)
        both = out["verts"].numpy(), bodies.joints21(out["verts"], out["joints"]).numpy()
        transl[hand] = place[hand] - both[1][0]
        verts[hand], joints[hand] = (points + transl[hand] for points in both)
    pixels = project(joints, np.broadcast_to(K, (count, 3, 3)))
    low, high = pixels.min(1), pixels.max(1)
    return HandPrediction(
        name=name, size=SIZE, K=K, K_source="given", side=np.array(sides, np.int8).reshape(count),
        boxes=np.concatenate([low, high - low], 1), joints_cam=joints, verts_cam=verts, joints_img=pixels,
        pose_from_mean=pose, shape=shape, transl=transl, reprojection_px=np.zeros(count), score=np.full(count, np.nan),
        right_faces=layers["right"].faces.numpy(),
    )  # fmt: skip


def clip(layers, frames=30, noise=0.0, seed=0, speed=0.002):
    """A right hand that turns, bends and moves steadily, with noise on parameters and place; a frame each."""
    rng = np.random.default_rng(seed)
    made = []
    for frame in range(frames):
        pose, shape = np.zeros((1, 48)), np.full((1, 10), 0.3)
        pose[0, :3] = [0, 0.02 * frame, 0]
        pose += noise * rng.standard_normal(pose.shape)
        place = np.array([[-0.03 + speed * frame, 0.01, 0.5]]) + 0.05 * noise * rng.standard_normal(3)
        made.append(prediction(layers, (0,), pose, shape + 5 * noise * rng.standard_normal(10), place, f"{frame:04d}"))
    return made


def person_layers():
    return {"person": bodies.load("free", "smplx_neutral")}


def persons(layers, count=2, seed=5, place=None, parameters=None, name="picture"):
    """N persons who stand upright before the camera. place (N, 3) of the pelvis; parameters: {"pose_from_mean",
    "shape", "expression"}; drawn where they are None.
    """
    layer, rng = layers["person"], np.random.default_rng(seed)
    pose = 0.15 * rng.standard_normal((count, 165))
    pose[:, :3] = [np.pi, 0, 0]
    given = {"pose_from_mean": pose, "shape": rng.standard_normal((count, 10))}
    given |= {"expression": rng.standard_normal((count, 10))} | (parameters or {})
    blends = {"shape": given["shape"], "expression": given["expression"]}
    out = posing.posed(layer, posing.rotations(layer, given["pose_from_mean"]), **blends)
    place = np.array([[-0.4 + 0.8 * one, 0.1, 4.0] for one in range(count)]) if place is None else place
    transl = place.reshape(count, 3) - out["joints"][:, 0]
    verts, joints, skeleton = (out[part] + transl[:, None] for part in ("verts", "joints", "skeleton"))
    pixels = project(joints[:, :65], np.broadcast_to(K, (count, 3, 3)))
    low, high = pixels.min(1), pixels.max(1)
    parts = {f"{part}_bbox": np.tile([10.0, 20, 8, 8], (count, 1)) for part in ("lhand", "rhand", "face")}
    return PersonPrediction(
        name=name, size=SIZE, K=K, K_source="given", boxes=np.concatenate([low, high - low], 1), joints_cam=joints,
        verts_cam=verts, skeleton_cam=skeleton, joints_img=pixels, **given, transl=transl, **parts, model="smplx",
        reprojection_px=np.zeros(count), score=np.full(count, np.nan), mesh_faces=layer.faces.numpy(),
    )  # fmt: skip


def person_clip(layers, frames=12, noise=0.0, seed=0):
    """One person who turns and walks steadily, with noise on parameters and place; a frame each."""
    rng, made = np.random.default_rng(seed), []
    for frame in range(frames):
        pose = noise * rng.standard_normal((1, 165))
        pose[0, :3] = [0, np.pi, 0.0]
        pose[0, :6] += [0, 0, 0, 0.02 * frame, 0, 0]
        given = {"pose_from_mean": pose, "shape": 0.3 + 5 * noise * rng.standard_normal((1, 10))}
        given |= {"expression": np.full((1, 10), 0.05 * frame)}
        place = np.array([[-0.1 + 0.02 * frame, 0.1, 4.0]]) + 0.3 * noise * rng.standard_normal(3)
        made.append(persons(layers, 1, place=place, parameters=given, name=f"{frame:04d}"))
    return made
