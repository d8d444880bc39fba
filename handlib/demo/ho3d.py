"""Demo data in HO-3D's official layout (v3: JPEG pictures): hands behind and around the things that they hold.

Every moment is seen by two cameras, one of them from where the thing hides much of the hand. What HO-3D has and this
reader of it does not need is left out: depth, calibration, contact, and whatever only its object models are for.
"""

import itertools
import pickle
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from handlib import bodies, fields, geometry, render
from handlib.demo import folders, holding, objects, pool, scene
from handlib.demo.holding import Plan
from handlib.demo.poses import CENTRE, Hands
from handlib.files import InputError, write_atomic, write_json, write_text

VERSION = 1  # of the pictures; raise it when they change, so that data made before are made anew
VIEWS, MOMENTS = 2, 2  # cameras of a capture, and moments
LEAST = 4 * VIEWS * MOMENTS  # pictures: three captures to train on, one of them to be held out, and one to evaluate on
SIZE, FOCAL, DISTANCE = (480, 640), (608.0, 620.0), (0.42, 0.58)
_CHANCES = (0.1, 0.25, 0.65)  # of the backdrops
_PLANS = (
    ("box", "hold", 0), ("bottle", "use", 1), ("mug", "hold", 2), ("can", "liftup", 3),
    ("bowl", "hold", 1), ("hammer", "use", 2), ("ball", "hold", 0), ("bottle", "liftup", 4),
    ("screwdriver", "use", 3), ("box", "liftup", 2), ("mug", "use", 4), ("can", "hold", 1),
)  # fmt: skip
_PEOPLE = 5
_INITIALS = ("DA", "DB", "DC", "DD", "DE")
_HIDDEN = (0.1, 0.5)  # share of the hand that the thing is to hide from the two cameras
_APART = np.cos(0.6)  # two cameras of a capture look in directions that differ by more
_GL = np.array([1.0, -1.0, -1.0])
_TO_HO3D = fields.reorder(fields.HAND21, fields.HO3D21)


def make(root, frames=32, seed=0, processes=None, show_progress=True):
    """Write demo data under ``root`` (e.g. data/demo/HO3D); returns ``root`` as a Path.

    Arguments: ``frames``, pictures in all, a multiple of 4 and at least 16; every fourth capture is for evaluation, and
    its truth is there, too. ``seed``; ``processes`` (None: one per core). The same frames and seed give the same bytes.
    Nothing is done where they are already there; the folder appears whole or not at all. Raises InputError rather than
    replace a folder that holds anything else.
    """
    if frames < LEAST or frames % (VIEWS * MOMENTS):
        mend = f"ask for a multiple of {VIEWS * MOMENTS}, at least {LEAST}"
        raise InputError("make_ho3d", f"{frames} pictures cannot be shared out", mend, "frames")
    settings = {"layout": "HO-3D v3", "frames": frames, "seed": seed, "version": VERSION}
    with folders.made(root, settings) as folder:
        if folder:
            _fill(folder, frames // (VIEWS * MOMENTS), seed, processes, show_progress)
    return Path(root)


def _fill(folder, count, seed, processes, show_progress):
    shots = sorted(_frames(count, seed), key=lambda frame: frame.name)
    layer = bodies.load(None, "mano_right", dtype=torch.float64)
    pictures = [(folder / frame.part / frame.sequence / "rgb" / f"{frame.number}.jpg", frame.shot()) for frame in shots]
    pool.render(Hands().model, pictures, seed, processes, show_progress)
    for frame in shots:
        path = folder / frame.part / frame.sequence / "meta" / f"{frame.number}.pkl"
        with write_atomic(path) as temporary, open(temporary, "wb") as file:
            pickle.dump(frame.annotation(layer), file, protocol=2)
    for part in ("train", "evaluation"):
        names = [frame.name for frame in shots if frame.part == part]
        write_text(folder / f"{part}.txt", "\n".join(names) + "\n")
    tested = [frame for frame in shots if frame.part == "evaluation"]
    write_json(folder / "evaluation_xyz.json", [frame.opengl(frame.joints)[_TO_HO3D].round(7) for frame in tested])
    write_json(folder / "evaluation_verts.json", [frame.opengl(frame.hand.verts).round(7) for frame in tested])
    folders.write_marker(folder)


class Capture:
    """What one person does with one thing, its cameras and its place."""

    def __init__(self, number, plan, people, grasps, faces, seed):
        rng = np.random.default_rng([seed, 8, number])
        self.plan, self.people = plan, people
        self.part = "evaluation" if number % 4 == 3 else "train"
        self.name = f"{_INITIALS[plan.people[0]]}{number + 1}"
        self.moments = people.moments(plan, grasps, MOMENTS, rng)
        self.numbers = np.cumsum(rng.integers(20, 90, MOMENTS)).tolist()
        self.place, self.table = scene.look(rng, _CHANCES), int(rng.integers(4))
        self.cameras = _cameras(self.moments[0], faces, rng)


class Frame:
    """One picture: a moment of a capture, seen by one of its cameras."""

    def __init__(self, capture, view, number, moment):
        self.part, self.sequence, self.number = capture.part, f"{capture.name}{view}", f"{number:04d}"
        self.capture, self.moment, self.hand = capture, moment, moment.hands[0]
        self.camera = capture.cameras[view]

    @property
    def name(self):
        return f"{self.sequence}/{self.number}"

    def shot(self):
        of = self.capture
        return of.people.shot(self.moment, of.plan, of.place, self.camera, 0, of.table)

    @property
    def joints(self):
        """(21, 3) m, world, house order."""
        return bodies.joints21(self.hand.verts, self.hand.joints, "manopth")

    def opengl(self, points):
        """World points (N, 3) -> the camera's frame, y up, z backward."""
        return geometry.world_to_camera(points, self.camera.rot, self.camera.pos) * _GL

    def annotation(self, layer):
        """The members of a meta file that this data set has, as the official ones have them."""
        turn, made = np.diag(_GL) @ self.camera.rot, objects.make(self.moment.thing)
        rest = _corners(made.verts)
        place = self.opengl(self.moment.place[None])[0]
        found = {
            "camMat": self.camera.K,
            "objName": made.name,
            "objLabel": objects.NAMES.index(made.name),
            "objRot": _rotvec(turn @ self.moment.turn)[:, None],
            "objTrans": place,
            "objCorners3DRest": rest,
            "objCorners3D": rest @ (turn @ self.moment.turn).T + place,
        }
        joints = self.opengl(self.joints)[_TO_HO3D]
        if self.part == "evaluation":
            pixels = geometry.project(joints * _GL, self.camera.K)
            box = np.concatenate([np.floor(pixels.min(0)), np.ceil(pixels.max(0))])
            return found | {"handJoints3D": joints[0], "handBoundingBox": box.astype(int).tolist()}
        with torch.no_grad():
            at_rest = layer(pose=np.zeros(48), mean_added=True, shape=self.hand.shape)["joints"][0].numpy()
        return found | {
            "handPose": np.concatenate([_rotvec(turn @ self.hand.wrist), self.hand.fingers]),
            "handBeta": self.hand.shape,
            "handTrans": joints[0] - at_rest,
            "handJoints3D": joints,
        }


def _frames(count, seed):
    """Every `Frame` of so many captures."""
    people, faces = holding.People(seed, _PEOPLE), bodies.load(None, "mano_right").faces.numpy()
    plans = [_PLANS[number % len(_PLANS)] for number in range(count)]
    plans = [Plan(thing, intent, (person,)) for thing, intent, person in plans]
    known = dict.fromkeys(plans)
    grasps = dict(zip(known, people.grasps(list(known)), strict=True))
    for number, plan in enumerate(plans):
        capture = Capture(number, plan, people, grasps[plan], faces, seed)
        pairs = zip(capture.numbers, capture.moments, strict=True)
        for (when, moment), view in itertools.product(pairs, range(VIEWS)):
            yield Frame(capture, view, when, moment)


def _cameras(moment, faces, rng):
    """A camera for each share of `_HIDDEN`: of many around the hand, that from which the thing hides about so much; the
    second stands well beside the first.
    """
    hand, made = moment.hands[0], objects.make(moment.thing)
    scenes = [render.Scene([mesh]) for mesh in (
        (hand.verts, faces), (made.verts @ moment.turn.T + moment.place, made.faces))]  # fmt: skip
    options, chosen = [], []
    for azimuth, height in itertools.product(np.linspace(-1.0, 1.6, 9), np.linspace(-0.1, 0.8, 4)):
        camera = _camera(azimuth + rng.normal(0, 0.05), height + rng.normal(0, 0.05), rng)
        options.append((camera, _hidden(*scenes, camera)))
    for share in _HIDDEN:
        apart = [option for option in options if all(one.rot[2] @ option[0].rot[2] < _APART for one in chosen)]
        chosen.append(min(apart, key=lambda option: abs(option[1] - share))[0])
    return chosen


def _camera(azimuth, height, rng):
    rot = scene.towards(azimuth, height, rng.normal(0, 0.06))
    centre = np.array(SIZE[::-1]) / 2 + rng.normal(0, 4, 2)
    focal = rng.uniform(*FOCAL)
    K = geometry.intrinsics((focal, focal * rng.normal(1, 5e-4)), centre)
    pos = CENTRE + rng.normal(0, 0.015, 3) - rng.uniform(*DISTANCE) * rot[2]
    return scene.Camera(K, rot, pos, SIZE)


def _hidden(hand, thing, camera, step=8):
    """The share of the hand's outline that the thing covers; the two as ``render.Scene``, in the world."""
    y, x = (part.ravel() for part in np.mgrid[: camera.size[0] : step, : camera.size[1] : step])
    rays = np.stack([x, y, np.ones_like(x)], 1) @ np.linalg.inv(camera.K).T @ camera.rot
    origins = np.broadcast_to(camera.pos, rays.shape)
    hits = [scene.first(origins, rays) for scene in (hand, thing)]
    near, far = (np.where(hit.face >= 0, hit.distance, np.inf) for hit in reversed(hits))
    seen = np.isfinite(far)
    return float((near < far)[seen].mean()) if seen.any() else 1.0


def _corners(verts):
    """The 8 corners (8, 3) of the bounding box."""
    return np.array(list(itertools.product(*zip(verts.min(0), verts.max(0), strict=True))))


def _rotvec(matrix):
    return Rotation.from_matrix(matrix).as_rotvec()
