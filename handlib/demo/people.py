"""What pictures of whole people show, several in each, in rooms and outside. Knows no data set.

`draw` says it and gives every person's SMPL-X parameters in the camera's frame (of the free body, which is not SMPL-X);
`people_studio.picture` renders it; `seen` says what of each person is to be seen.
"""

import cv2
import numpy as np
import torch

from handlib import geometry, render
from handlib.bodies import free, free_poses
from handlib.demo import outfits, places, scene
from handlib.demo.people_studio import Person, Shot, meshes

_UPRIGHT = np.diag([1.0, -1.0, -1.0])  # from the body's frame (y up, face to +z) to the world's (y down, face to -z)
_SEATS = ("sitting", "typing")
PARTS = ("body", "lhand", "rhand", "face")


def draw(rng, layer, count, size=(480, 640), poses=None, gaze=0.08):
    """A `Shot` of ``count`` people. layer: `handlib.bodies.load(None, "smplx_neutral")`; poses: their names;
    gaze: how far eyes turn (rad), 0 for annotations that have no pose of the eyes.

    Its persons stand and sit on a floor, beside each other, most of them turned to the camera.
    """
    names = list(free_poses.body_poses())
    poses = [str(rng.choice(names)) for _ in range(count)] if poses is None else poses
    start = -0.5 * (count - 1) * 0.95
    people, seats = [], []
    for number, name in enumerate(poses):
        place = np.array([start + 0.95 * number + rng.normal(0, 0.06), 0, rng.uniform(-0.35, 0.45)])
        yaw = rng.normal(0, 0.5) if rng.random() < 0.85 else rng.uniform(-np.pi, np.pi)
        parameters = _parameters(rng, layer, name, yaw - 0.25 * place[0], gaze)
        verts, _ = posed(layer, parameters)
        place[1] = -verts[:, 1].max()  # on the floor
        parameters["transl"] = place.astype(np.float64)
        people.append((parameters, verts + place))
        if name in _SEATS:
            seats.append(places.seat(rng, _bottom(layer, verts + place)))
    camera = _camera(rng, [verts for _, verts in people], size)
    persons = []
    for parameters, _ in people:
        parameters = in_camera(layer, parameters, camera)
        persons.append(Person(parameters, *posed(layer, parameters), outfits.draw(rng)))
    outside = bool(rng.random() < 0.35)
    look = scene.look(rng, chances=(0.0, 0.3, 0.7))
    things = (*seats, *(places.outside if outside else places.room)(rng, look))
    return Shot(tuple(persons), look, camera, things, outside)


def posed(layer, parameters):
    """Parameters -> verts (10475, 3), joints (137, 3), float64."""
    named = {name: torch.as_tensor(value, dtype=torch.float64)[None] for name, value in parameters.items()}
    shape, expr, transl = (named.pop(name) for name in ("shape", "expr", "transl"))
    with torch.no_grad():
        out = layer(**named, mean_added=False, shape=shape, expression=expr, transl=transl, joint_set="smplx137")
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


def _parameters(rng, layer, name, yaw, gaze):
    """Of someone who does what ``name`` says, in the world's frame, not yet moved."""
    body = free_poses.body_poses()[name] + rng.normal(0, 0.05, 63)
    faces, mean = free_poses.faces(), layer.pose_mean.double().numpy()
    expr, jaw = faces[str(rng.choice(list(faces)))]
    hands = {}
    for side, rows in (("left", slice(25, 40)), ("right", slice(40, 55))):
        held = free.demo_poses(side)
        usual = "relaxed" if rng.random() < 0.5 else str(rng.choice(list(held)))
        hands[f"{side[0]}hand_pose"] = held[usual] + rng.normal(0, 0.03, 45) - mean[rows].ravel()
    turn = cv2.Rodrigues(np.array([0, yaw, 0]))[0] @ _UPRIGHT
    gaze = gaze * rng.normal(0, 1, 3) * [1, 1, 0]
    return {
        "root_pose": cv2.Rodrigues(turn)[0][:, 0], "body_pose": body, **hands, "jaw_pose": jaw, "leye_pose": gaze,
        "reye_pose": gaze, "shape": rng.normal(0, 0.8, 10), "expr": expr + rng.normal(0, 0.15, 10),
        "transl": np.zeros(3),
    }  # fmt: skip


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


def seen(shot):
    """What is to be seen of each person: boxes (N, 4, 4) x, y, w, h px of `PARTS`, zeros where nothing is; shares
    (N, 4): how much of what the camera sees of a part on an otherwise empty, larger picture it is; visible (N, 137):
    joints that nothing hides, in the picture.
    """
    drawn, size, K = meshes(shot), shot.camera.size, shot.camera.K
    mask, depth = _labels(drawn, len(shot.people), K, size)
    wide = np.diag([0.5, 0.5, 1]) @ K + np.array([[0, 0, size[1] / 2], [0, 0, size[0] / 2], [0, 0, 0]])
    room = (3 * size[0] // 2, 3 * size[1] // 2)  # three times what the picture shows, at half the scale
    boxes, shares = np.zeros((2, len(shot.people), 4, 4))
    shares = shares[..., 0]
    visible = np.zeros((len(shot.people), 137), bool)
    for number, person in enumerate(shot.people):
        alone, _ = _labels([drawn[number]], 1, wide, room)
        for row in range(4):
            labels = np.arange(1, 5) if row == 0 else [row + 1]
            shown, all_of_it = np.isin(mask - 4 * number, labels), np.isin(alone, labels).sum()
            shares[number, row] = min(shown.sum() / max(4 * all_of_it, 1), 1)
            if shown.any():
                boxes[number, row] = cv2.boundingRect(shown.astype(np.uint8))
        visible[number] = _in_view(person.joints, depth, K)
    return {"boxes": boxes, "shares": shares, "visible": visible}


def _labels(drawn, count, K, size):
    """Which of the first ``count`` meshes, all people, is nearest at each pixel, and which part of whom: (h, w) int, 0
    or 1 + 4 * person + part; and how far away, (h, w) m.
    """
    things = render.Scene(drawn)
    view = render.look(things, K, size)
    mesh, part = things.mesh_of_face[view.hits.face], outfits.body().part
    vertex = things.faces[view.hits.face, view.hits.weights().argmax(1)]
    mask, depth = np.zeros(size, int), np.full(size, np.inf)
    own = np.where(mesh < count, 1 + 4 * mesh + part[vertex % len(part)], 0)  # every person has as many vertices
    mask[view.rows, view.cols], depth[view.rows, view.cols] = own, view.hits.distance
    return mask, depth


def _in_view(joints, depth, K, deep=0.13):
    """Whether joints (J, 3) are in the picture and at most ``deep`` m behind the surface there."""
    pixels = np.round(geometry.project(joints, K)[:, :2]).astype(int)
    inside = ((pixels >= 0) & (pixels < depth.shape[::-1])).all(1) & (joints[:, 2] > 0)
    found = np.zeros(len(joints), bool)
    found[inside] = joints[inside, 2] < depth[pixels[inside, 1], pixels[inside, 0]] + deep
    return found
