"""Demo data in DexYCB's official layout: right and left hands that hold simple things among others, eight cameras."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from scipy.spatial.transform import Rotation

from handlib import bodies, geometry, render
from handlib.bodies import free
from handlib.datasets import dexycb_splits as lists
from handlib.demo import folders, holding, objects, pool, scene
from handlib.demo.holding import Plan
from handlib.demo.poses import CENTRE, SIDES, Hands
from handlib.files import InputError, write_text

VERSION = 1  # of the pictures; raise it when they change, so that data made before are made anew
SIZE, FOCAL, DISTANCE = (480, 640), (610.0, 618.0), (0.60, 0.78)
MASTER = "840412060917"
HAND = 255  # the hand's number in seg; things have their object's
NAMES = {"can": "005_tomato_soup_can", "bottle": "006_mustard_bottle", "box": "008_pudding_box", "bowl": "024_bowl",
         "mug": "025_mug", "pen": "040_large_marker"}  # fmt: skip
_NUMBERS = {thing: lists.OBJECTS.index(name) + 1 for thing, name in NAMES.items()}
_BESIDE = ("can", "bottle", "box", "mug")  # what else stands on the table
# (subject, place among its 100 sequences, side, thing, intent). The first four fill every split of every setup.
_PLANS = (
    (0, 4, 0, "bottle", "hold"), (6, 15, 1, "mug", "hold"), (7, 39, 1, "bowl", "liftup"), (2, 5, 0, "box", "hold"),
    (3, 14, 0, "can", "liftup"), (1, 9, 1, "box", "hold"), (4, 0, 1, "bottle", "use"), (5, 11, 0, "can", "hold"),
    (8, 36, 0, "bowl", "hold"), (9, 59, 0, "pen", "use"), (6, 17, 0, "mug", "use"), (2, 7, 1, "can", "liftup"),
)  # fmt: skip
LEAST = 4 * len(lists.SERIALS)  # pictures; with fewer some split of some setup would be empty
_CHANCES = (0.1, 0.25, 0.65)  # of the backdrops
# From the person's front towards -x, and above the horizon; rad. The order is that of the serial numbers.
_VIEWS = ((-1.5, 0.25), (-0.95, 0.65), (-0.15, 0.4), (0.35, 0.95), (0.8, 0.3), (1.45, 0.55), (-0.5, 0.2), (1.1, 0.8))
_EXTRINSICS = "20260101_080000"
_ELBOW = 0.065  # m, from its middle to the table at least
_MIRROR = np.array([-1.0, 1, 1])
_UPRIGHT = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # a thing's z upwards; the world's y is down


def make(root, frames=32, seed=0, processes=None, show_progress=True):
    """Write demo data under ``root`` (e.g. data/demo/DexYCB); returns ``root`` as a Path.

    Arguments: ``frames``, pictures in all, a multiple of 8: every moment is seen by eight cameras. With more than 32
    the first sequence begins without a hand, as the official ones do. ``seed``; ``processes`` (None: one per core). The
    same frames and seed give the same bytes. Nothing is done where they are already there; the folder appears whole or
    not at all. Raises InputError rather than replace a folder that holds anything else.

    Only some of a subject's 100 sequences are there: meta.yml says which they are (``place``, which the official files
    do not have). The things have names and numbers of like YCB objects, whose shapes they do not have.
    """
    if frames < LEAST or frames % len(lists.SERIALS):
        problem = f"{frames} pictures cannot be shared out"
        mend = f"ask for a multiple of {len(lists.SERIALS)}, at least {LEAST}"
        raise InputError("make_dexycb", problem, mend, "frames")
    settings = {"layout": "DexYCB", "frames": frames, "seed": seed, "version": VERSION}
    with folders.made(root, settings) as folder:
        if folder:
            _fill(folder, frames // len(lists.SERIALS), seed, processes, show_progress)
    return Path(root)


def _fill(root, moments, seed, processes, show_progress):
    cameras = _rig(np.random.default_rng([seed, 8]))
    sequences = _sequences(moments, seed)
    pictures = [
        (root / one.name / serial / f"color_{frame:06d}.jpg", one.shot(frame, camera))
        for one in sequences
        for serial, camera in cameras.items()
        for frame in range(len(one.moments))
    ]
    pool.render(Hands().model, pictures, seed, processes, show_progress)
    _calibrate(root / "calibration", cameras, sequences)
    layers = [free.arrays(side) for side in SIDES]
    for one in sequences:
        _yaml(root / one.name / "meta.yml", one.meta())
        for serial, camera in cameras.items():
            folder = root / one.name / serial
            folder.mkdir(exist_ok=True)
            for frame in range(len(one.moments)):
                np.savez_compressed(folder / f"labels_{frame:06d}.npz", **one.labels(frame, camera, layers))
    for thing in dict.fromkeys(thing for one in sequences for thing in one.things):
        folders.write_mesh(root / "models" / NAMES[thing] / "textured_simple.obj", objects.make(thing))
    folders.write_marker(root / "calibration")


# -------------------------------------------------------------------------------------------- what there is


class Placed(NamedTuple):
    """A thing's rotation (3, 3) and place (3,) m in the world."""

    turn: np.ndarray
    place: np.ndarray

    def points(self, thing):
        return objects.make(thing).verts @ self.turn.T + self.place


class Sequence:
    """One sequence: a person's hand of one side that holds a thing, others that stand beside it, and the table.

    ``moments``: (`holding.Held` hand of its own side or None, {thing: Placed}); a left hand is the mirror image of a
    right one, things and all.
    """

    def __init__(self, number, plan, people, grasps, count, seed):
        rng = np.random.default_rng([seed, 9, number])
        self.subject, self.place, self.side, thing, self.intent = _PLANS[number]
        minute, second = divmod(int(rng.integers(3600)), 60)
        own = f"20260101_{9 + self.place // 10:02d}{minute:02d}{second:02d}"
        self.name = f"{lists.SUBJECTS[self.subject]}/{own}"
        self._plan, self._people, self._look = plan, people, scene.look(rng, _CHANCES)
        self._table = int(rng.integers(4))
        held = count if number or count == 1 else count - 1
        right = people.moments(plan, grasps, held, rng)
        points = np.concatenate([p for one in right for p in (one.hands[0].verts, _placed(one).points(thing))])
        self._top = points[:, 1].max() + rng.uniform(0.03, 0.06)
        beside = self._beside(thing, points, right, rng)
        self._right = [None] * (count - held) + right
        standing = Placed(_UPRIGHT, self._standing(thing, right[0].place[[0, 2]]))
        self.moments = [self._moment(thing, one, standing, beside) for one in self._right]
        self.things = tuple(sorted((thing, *beside), key=_NUMBERS.get))
        self.grasped = self.things.index(thing)

    def _standing(self, thing, across):
        """Where a thing stands on the table; across: x and z."""
        half = np.ptp(objects.make(thing).verts[:, 2]) / 2
        return np.array([across[0], self._top - half, across[1]])

    def _beside(self, held, points, moments, rng):
        """{thing: Placed} of two things that stand on the table around the hand, and touch nothing."""
        arm = [one.hands[0].place + t * one.hands[0].wrist[:, 0] for one in moments for t in np.linspace(0, 0.3, 16)]
        taken, found = [points, np.array(arm) + [0, 0.04, 0]], {}
        for thing in rng.permutation([name for name in _BESIDE if name != held])[:2].tolist():
            verts = objects.make(thing).verts
            radius = np.linalg.norm(verts[:, :2], axis=1).max() + 0.012
            for distance in np.linspace(0.07, 0.25, 40):
                angle = rng.uniform(-np.pi, np.pi)
                middle = CENTRE + distance * np.array([np.sin(angle), 0, -np.cos(angle)])
                place = self._standing(thing, middle[[0, 2]])
                every = np.concatenate(taken)
                near = np.linalg.norm((every - place)[:, [0, 2]], axis=1) < radius
                if not (near & (every[:, 1] > self._top - np.ptp(verts[:, 2]) - 0.012)).any():
                    break
            found[thing] = Placed(_UPRIGHT @ Rotation.from_euler("z", rng.uniform(0, 6)).as_matrix(), place)
            taken.append(found[thing].points(thing))
        return found

    def _moment(self, thing, right, standing, beside):
        hand = right and right.hands[0]
        placed = {thing: _placed(right) if right else standing, **beside}
        if self.side:
            placed = {name: _mirrored(one) for name, one in placed.items()}
            hand = hand and holding.Held(
                np.diag(_MIRROR) @ hand.wrist @ np.diag(_MIRROR),
                (hand.fingers.reshape(15, 3) * -_MIRROR).ravel(),
                hand.shape,
                *(part * _MIRROR for part in hand[3:]),
            )
        return hand, placed

    def shot(self, frame, camera):
        """The ``scene.Shot`` of one picture."""
        right, (_, placed) = self._right[frame], self.moments[frame]
        things = [_thing(objects.make(name), one) for name, one in placed.items()]
        table = Placed(_UPRIGHT, np.array([0, self._top, 0.93]))
        things.append(_thing(objects.table(self._table), table, far=True))
        look = holding.dressed(self._people.looks[self.subject], self._look)
        if right is None:
            return scene.Shot((), look, camera, tuple(things))
        shot = self._people.shot(right, self._plan, self._look, camera, 1.0)
        hands = tuple(self._sided(hand) for hand in shot.hands)
        return dataclasses.replace(shot, hands=hands, things=tuple(things))

    def _sided(self, hand):
        """A right ``scene.PosedHand`` as it is, or its mirror image; the elbow is kept off the table."""
        arm = hand.arm.copy()
        arm[0, 1] = min(arm[0, 1], self._top - _ELBOW)
        mirror = _MIRROR if self.side else np.ones(3)
        return dataclasses.replace(hand, side=self.side, verts=hand.verts * mirror, arm=arm * mirror)

    def meta(self):
        """What meta.yml says."""
        return {
            "serials": list(lists.SERIALS), "num_frames": len(self.moments), "extrinsics": _EXTRINSICS,
            "mano_calib": [self.calib], "mano_sides": [SIDES[self.side]],
            "ycb_ids": [_NUMBERS[thing] for thing in self.things], "ycb_grasp_ind": self.grasped, "place": self.place,
        }  # fmt: skip

    @property
    def calib(self):
        return f"20260101_070000_subject-{self.subject + 1:02d}_{SIDES[self.side]}"

    @property
    def shape(self):
        return self._people.shapes[self.subject]

    def labels(self, frame, camera, models):
        """The arrays of a label file. models: the right and the left free hand's arrays."""
        hand, placed = self.moments[frame]
        poses = [_in_camera(camera, placed[thing]) for thing in self.things]
        made = [objects.make(thing) for thing in self.things]
        meshes = [
            _painted(one.verts @ pose[:, :3].T + pose[:, 3], one.faces, _NUMBERS[one.name])
            for one, pose in zip(made, poses, strict=True)
        ]
        out = {
            "pose_y": np.float32(poses), "pose_m": np.zeros((1, 51), np.float32),
            "joint_3d": np.full((1, 21, 3), -1, np.float32), "joint_2d": np.full((1, 21, 2), -1, np.float32),
        }  # fmt: skip
        if hand is not None:
            model = models[self.side]
            joints, mesh = (geometry.world_to_camera(part, camera.rot, camera.pos) for part in (
                bodies.joints21(hand.verts, hand.joints, "manopth"), hand.verts))  # fmt: skip
            verts, faces = render.seal(mesh, model["f"].astype(np.int64))
            meshes.append(_painted(verts, faces, HAND))
            out["pose_m"] = _pose(hand, camera, model)
            out |= {
                "joint_3d": np.float32(joints[None]),
                "joint_2d": np.float32(geometry.project(joints, camera.K)[None]),
            }
        return {"seg": render.part_mask(meshes, camera.K, camera.size), **out}


def _sequences(moments, seed):
    """Enough sequences for so many moments, at least the four that no split is empty without."""
    number = min(max(4, moments // 2), len(_PLANS))
    counts = [moments // number + (place < moments % number) for place in range(number)]
    people = holding.People(seed, len(lists.SUBJECTS))
    plans = [Plan(thing, intent, (subject,)) for subject, _, _, thing, intent in _PLANS[:number]]
    grasps = people.grasps(plans)
    every = enumerate(zip(plans, grasps, counts, strict=True))
    return [Sequence(place, plan, people, grasp, count, seed) for place, (plan, grasp, count) in every]


def _placed(moment):
    return Placed(moment.turn, moment.place)


def _mirrored(placed):
    """Where the mirror image of a thing stands. All things are their own mirror images across their own y."""
    return Placed(np.diag(_MIRROR) @ placed.turn @ np.diag([1.0, -1, 1]), placed.place * _MIRROR)


def _thing(made, placed, far=False):
    return scene.Thing(made.verts @ placed.turn.T + placed.place, made.faces, made.verts, made.look, far)


def _painted(verts, faces, number):
    return render.Mesh(verts, faces, np.full(len(faces), number))


def _in_camera(camera, placed):
    """Object to camera (3, 4)."""
    return np.column_stack([camera.rot @ placed.turn, camera.rot @ (placed.place - camera.pos)])


def _pose(hand, camera, model):
    """``pose_m`` (1, 51): global orientation, PCA coefficients, and what is added to the model's mesh; camera frame."""
    turn = Rotation.from_matrix(camera.rot @ hand.wrist).as_rotvec()
    coefficients = np.linalg.solve(model["hands_components"].T, hand.fingers - model["hands_mean"])
    rest = model["J_regressor"] @ (model["v_template"] + model["shapedirs"] @ hand.shape)
    place = camera.rot @ (hand.place - camera.pos)
    return np.float32(np.concatenate([turn, coefficients, place - rest[0]])[None])


# ------------------------------------------------------------------------------------------------ the files


def _rig(rng):
    """Eight cameras around the hands, {serial: scene.Camera}."""
    cameras = {}
    for serial, (azimuth, height) in zip(lists.SERIALS, _VIEWS, strict=True):
        rot = scene.towards(azimuth + rng.normal(0, 0.05), height + rng.normal(0, 0.04), rng.normal(0, 0.04))
        f, centre = rng.uniform(*FOCAL), np.array(SIZE[::-1]) / 2 + rng.normal(0, 4, 2)
        K = np.array([[f, 0, centre[0]], [0, f * rng.normal(1, 5e-4), centre[1]], [0, 0, 1]])
        pos = CENTRE + rng.normal(0, 0.012, 3) - rng.uniform(*DISTANCE) * rot[2]
        cameras[serial] = scene.Camera(K, rot, pos, SIZE)
    return cameras


def _calibrate(folder, cameras, sequences):
    master = cameras[MASTER]
    transforms = {"apriltag": [1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0]}
    for serial, camera in cameras.items():
        turn, place = master.rot @ camera.rot.T, master.rot @ (camera.pos - master.pos)
        transforms[serial] = np.column_stack([turn, place]).ravel().tolist()
        (fx, _, cx), (_, fy, cy) = camera.K[:2].tolist()
        values = {"fx": fx, "fy": fy, "ppx": cx, "ppy": cy}
        _yaml(folder / "intrinsics" / f"{serial}_640x480.yml", {"color": values, "depth": values})
    values = {"extrinsics": transforms, "master": MASTER}
    _yaml(folder / f"extrinsics_{_EXTRINSICS}" / "extrinsics.yml", values)
    for one in sequences:
        _yaml(folder / f"mano_{one.calib}" / "mano.yml", {"betas": one.shape.tolist()})


def _yaml(path, values):
    write_text(path, yaml.safe_dump(values))
