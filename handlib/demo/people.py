"""What pictures of whole people show, several in each, in rooms and outside. Knows no data set.

`draw` says it and gives every person's SMPL-X parameters in the camera's frame (of the free body, which is not SMPL-X);
`people_studio.picture` renders it; `people_studio.seen` says what of each person is to be seen.
"""

import cv2
import numpy as np
import torch

from handlib import geometry
from handlib.bodies import free, free_poses
from handlib.demo import outfits, places, scene
from handlib.demo.people_studio import Person, Shot

_UPRIGHT = np.diag([1.0, -1.0, -1.0])  # from the body's frame (y up, face to +z) to the world's (y down, face to -z)
_SEATS = ("sitting", "typing")


def draw(rng, layer, count, size=(480, 640), poses=None, gaze=0.08):
    """A `Shot` of ``count`` people. layer: `handlib.bodies.load(None, "smplx_neutral")`; poses: their names;
    gaze: how far eyes turn (rad), 0 for annotations that have no pose of the eyes.

    Its persons stand and sit on a floor, beside each other, most of them turned to the camera.
    """
    names = list(free_poses.body_poses())
    poses = [str(rng.choice(names)) for _ in range(count)] if poses is None else poses
    start = -0.5 * (count - 1) * 0.95
    folk, meshes, seats = [], [], []
    for number, name in enumerate(poses):
        x, z = start + 0.95 * number + rng.normal(0, 0.06), rng.uniform(-0.35, 0.45)
        yaw = rng.normal(0, 0.5) if rng.random() < 0.85 else rng.uniform(-np.pi, np.pi)
        parameters, verts = on_floor(layer, doing(rng, layer, name, yaw - 0.25 * x, gaze), x, z)
        folk.append((parameters, outfits.draw(rng)))
        meshes.append(verts)
        if name in _SEATS:
            seats.append(places.seat(rng, _bottom(layer, verts)))
    camera = _camera(rng, meshes, size)
    outside = bool(rng.random() < 0.35)
    look = scene.look(rng, chances=(0.0, 0.3, 0.7))
    things = (*seats, *(places.outside if outside else places.room)(rng, look))
    return shot(layer, folk, look, camera, things, outside)


def shot(layer, folk, look, camera, things, outside=False):
    """A `Shot` of people given as [(parameters in the world's frame, outfit)]."""
    moved = [(in_camera(layer, parameters, camera), outfit) for parameters, outfit in folk]
    people = tuple(Person(parameters, *posed(layer, parameters), outfit) for parameters, outfit in moved)
    return Shot(people, look, camera, tuple(things), outside)


def on_floor(layer, parameters, x, z):
    """Parameters with feet, or whatever is lowest, on the floor at x, z (m); and the vertices then (10475, 3)."""
    verts, _ = posed(layer, parameters)
    place = np.array([x, -verts[:, 1].max(), z], np.float64)
    return parameters | {"transl": place}, verts + place


def posed(layer, parameters, joint_set="smplx137"):
    """Parameters -> verts (10475, 3), joints (those of the set, 3), float64."""
    named = {name: torch.as_tensor(value, dtype=torch.float64)[None] for name, value in parameters.items()}
    shape, expr, transl = (named.pop(name) for name in ("shape", "expr", "transl"))
    with torch.no_grad():
        out = layer(**named, mean_added=False, shape=shape, expression=expr, transl=transl, joint_set=joint_set)
    return out["verts"][0].double().numpy(), out["joints"][0].double().numpy()


def in_camera(layer, parameters, camera):
    """Parameters in the world's frame -> in the camera's: turned about the root, which transl leaves where it was."""
    root = _rest_root(layer, parameters["shape"])
    moved = geometry.world_to_camera((root + parameters["transl"])[None], camera.rot, camera.pos)[0]
    turned = cv2.Rodrigues(camera.rot @ cv2.Rodrigues(parameters["root_pose"])[0])[0][:, 0]
    return parameters | {"root_pose": turned, "transl": moved - root}


def _rest_root(layer, shape):
    still = {"root_pose": np.zeros(3), "shape": shape, "expr": np.zeros(10), "transl": np.zeros(3)}
    return posed(layer, still)[1][0]


def doing(rng, layer, name, yaw, gaze=0.0, lively=False):
    """Parameters of someone who does what ``name`` says, turned by ``yaw`` from the front (rad), in the world's frame,
    not yet moved; lively: with no relaxed hand and no neutral face.
    """
    body = free_poses.body_poses()[name] + rng.normal(0, 0.05, 63)
    faces, mean = free_poses.faces(), layer.pose_mean.double().numpy()
    expr, jaw = faces[_one_of(rng, faces, "neutral" if lively else None)]
    hands = {}
    for side, rows in (("left", slice(25, 40)), ("right", slice(40, 55))):
        held = free.demo_poses(side)
        relaxed = not lively and rng.random() < 0.5
        usual = "relaxed" if relaxed else _one_of(rng, held, "relaxed" if lively else None)
        hands[f"{side[0]}hand_pose"] = held[usual] + rng.normal(0, 0.03, 45) - mean[rows].ravel()
    turn = cv2.Rodrigues(np.array([0, yaw, 0]))[0] @ _UPRIGHT
    gaze = gaze * rng.normal(0, 1, 3) * [1, 1, 0]
    return {
        "root_pose": cv2.Rodrigues(turn)[0][:, 0], "body_pose": body, **hands, "jaw_pose": jaw, "leye_pose": gaze,
        "reye_pose": gaze, "shape": rng.normal(0, 0.8, 10), "expr": expr + rng.normal(0, 0.15, 10),
        "transl": np.zeros(3),
    }  # fmt: skip


def _one_of(rng, names, but):
    return str(rng.choice([name for name in names if name != but]))


def _bottom(layer, verts):
    """Where somebody's seat begins: the middle of the buttocks and how low they reach, (3,) m in the world."""
    upper = layer.weights[:, :3].double().numpy().sum(1) > 0.7
    rest = np.linalg.norm(verts - verts[upper].mean(0), axis=1) < 0.22
    chosen = verts[upper & rest]
    return np.array([*chosen.mean(0)[[0]], chosen[:, 1].max() - 0.012, chosen.mean(0)[2]])


def _camera(rng, meshes, size):
    """A camera that has everybody in its picture, or cuts off legs, as photographs do."""
    height, width = size
    focal = rng.uniform(0.9, 1.5) * max(size)
    K = geometry.intrinsics((focal, focal), (width / 2 - 0.5, height / 2 - 0.5))
    rot = scene.towards(rng.normal(0, 0.25), rng.uniform(0.0, 0.22), rng.normal(0, 0.02))
    cloud = np.concatenate(meshes)
    near = 1.0 if rng.random() < 0.55 else rng.uniform(0.45, 0.8)  # a part of what everybody would need
    low, high = cloud.min(0), cloud.max(0)
    aim = (low + high) / 2
    aim[1] = high[1] - (high[1] - low[1]) * (0.5 if near == 1 else rng.uniform(0.6, 0.8))
    seen = (cloud - aim) @ rot.T
    reach = np.abs(seen[:, :2]) / (np.array([width, height]) / 2 / focal)
    distance = (reach.max(1) - seen[:, 2]).max() * rng.uniform(1.05, 1.3)
    distance = max(distance * near, 0.9 - seen[:, 2].min())
    return scene.Camera(K, rot, aim - distance * rot[2], size)
