"""Demo data in AGORA's layout, of the free body: crowds whose people hide one another.

Below ``data``: data frames and fits as the originals come; what `handlib.datasets.agora_parsing` and `agora_crops` make
of them, the annotations of Hand4Whole, of validation OSX's too, and each person's crop; boxes of the test split; whole
pictures of 1280 x 720. Those of 3840 x 2160 are the small ones enlarged; only their crops are kept.
"""

import pickle
import shutil
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas

from handlib import bodies, geometry, render
from handlib.bodies import free_poses
from handlib.datasets import agora_crops, agora_parsing, agora_world
from handlib.demo import coco_people, folders, outfits, people, people_studio, places, pool, scene
from handlib.files import InputError, write_json

VERSION = 1  # of what is drawn; another one makes the data anew
LEAST = 4
_SMALL, _ENLARGED = (720, 1280), 3
_SEATED = ("sitting", "typing")  # what nobody does: there are no seats
_APART = 0.7  # m between two people
_HIDDEN = 90.0  # per cent; of whom more is hidden does not count
_UNSEEN = 70.0  # per cent; of whom more is hidden has no box in the test split
_COARSE = 4  # what is hidden is found out in a picture so many times smaller
_SETS = {"train": "ag_trainset", "validation": "ag_validationset", "test": "ag_testset"}
_FIT = {"global_orient": "root_pose", "body_pose": "body_pose", "jaw_pose": "jaw_pose", "leye_pose": "leye_pose",
        "reye_pose": "reye_pose", "left_hand_pose": "lhand_pose", "right_hand_pose": "rhand_pose", "betas": "shape",
        "expression": "expr", "transl": "transl"}  # fmt: skip


class _Kind(NamedTuple):
    """A kind of picture: what its name says (and so which camera it is of), how high the camera stands and how far
    from everybody's middle, and how much nearer somebody may stand; m.
    """

    name: str
    height: float
    distance: float
    nearer: float


_KINDS = (
    _Kind("handlib_bfh_hdri_5_10", 1.7, 10.5, 3.2),
    _Kind("handlib_bfh_brushify_5_10", 1.7, 6.5, 2.2),
    _Kind("handlib_bfh_archviz_5_10_cam02", 2.65, 4.2, 1.8),
    _Kind("handlib_bfh_flowers_5_10", 1.8, 7.0, 2.6),
)


class _Scene(NamedTuple):
    """A picture to be: its split, folder and name, its `people_studio.Shot`, and its row of a data frame."""

    split: str
    folder: str
    stem: str
    shot: people_studio.Shot
    row: dict


def make(root, pictures=10, seed=0, processes=None, show_progress=True, keep_large=False):
    """Write demo data under ``root`` (e.g. data/demo/AGORA); returns ``root`` as a Path.

    Arguments: ``pictures`` in all, at least 4, of 4 to 8 people each: the last fifth is of the test split, three
    tenths before are of validation. ``seed``; ``processes`` (None: one per core); ``keep_large``: keep the pictures of
    3840 x 2160 (8 MB each), too. The same arguments give the same bytes. Nothing is done where the data are already
    there; the folder appears whole or not at all. Raises InputError rather than replace a folder that holds anything
    else.
    """
    if pictures < LEAST:
        raise InputError("make_agora", f"{pictures} pictures are too few", f"ask for at least {LEAST}", "pictures")
    settings = {"layout": "AGORA", "pictures": pictures, "seed": seed, "version": VERSION, "large": keep_large}
    with folders.made(root, settings) as folder:
        if folder:
            _fill(folder / "data", pictures, seed, processes, show_progress, keep_large)
    return Path(root)


def _fill(data, count, seed, processes, show_progress, keep_large):
    layer = bodies.load(None, "smplx_neutral")
    scenes = [_scene(layer, _split(number, count), number, seed) for number in range(count)]
    jobs = [(_paths(data, one), one.shot, [seed, 32, number]) for number, one in enumerate(scenes)]
    pool.make_folders(path for paths, *_ in jobs for path in paths)
    found = pool.each(_shoot, jobs, processes, show_progress)
    coco_people.write_marker(data)
    for split in ("train", "validation"):
        rows = [_completed(layer, data, *pair) for pair in zip(scenes, found, strict=True) if pair[0].split == split]
        _write_frame(data / f"{split}_SMPLX" / "SMPLX" / f"{split}_0_withjv.pkl", rows)
    agora_parsing.parse(data, splits=["train"], sources=["hand4whole"])
    agora_parsing.parse(data, splits=["validation"])
    _write_boxes(data, [pair for pair in zip(scenes, found, strict=True) if pair[0].split == "test"], seed)
    for splits, source in ((None, "any"), (["validation"], "osx")):
        _, failed = agora_crops.make(data, splits, source)
        if failed:
            raise OSError(f"no crops of {failed[0][0]}: {failed[0][1]}")
    if not keep_large:
        for folder in {path.parent for (path, _), *_ in jobs}:
            shutil.rmtree(folder)


def _split(number, count):
    validation, test = max(1, round(0.3 * count)), max(1, round(0.2 * count))
    if number >= count - test:
        return "test"
    return "validation" if number >= count - test - validation else "train"


def _paths(data, one):
    """Where its picture goes, large and small."""
    large = data / "images_3840x2160" / one.folder / f"{one.stem}.png"
    if one.split == "test":
        return large, data / "test" / f"{one.stem}.png"
    return large, data / "images_1280x720" / one.folder / f"{one.stem}_1280x720.png"


def _shoot(job):
    """Render and write one ((large path, small path), `Shot`, seed); returns what `_seen` says of it."""
    (large, small), shot, seed = job
    picture = people_studio.picture(shot, seed)
    pool.save(small, picture)
    pool.save(large, cv2.resize(picture, None, fx=_ENLARGED, fy=_ENLARGED, interpolation=cv2.INTER_CUBIC))
    return _seen(shot)


def _seen(shot):
    """(how much of each person is hidden or outside, (N,) per cent; boxes (N, 4) of the rest, px, zeros for nobody), of
    bodies without clothes; only people stand before people.
    """
    naked = [(person.verts, outfits.body().coarse) for person in shot.people]
    hidden, boxes = [], []
    K, size = np.diag([1 / _COARSE, 1 / _COARSE, 1]) @ shot.camera.K, np.array(shot.camera.size) // _COARSE
    owners = _owners(render.Scene(naked), K, size)
    room = K + np.array([[0, 0, size[1]], [0, 0, size[0]], [0, 0, 0]])  # three times what the picture shows
    for number in range(len(naked)):
        shown = owners == number
        alone = _owners(render.Scene([naked[number]]), room, 3 * size) == 0
        hidden.append(100 * (1 - shown.sum() / max(alone.sum(), 1)))
        boxes.append(_COARSE * np.array(cv2.boundingRect(shown.astype(np.uint8)), float))
    return np.array(hidden), np.array(boxes)


def _owners(things, K, size):
    """The number of the mesh of a `render.Scene` at each pixel, (h, w) int, -1 where there is none."""
    view, owners = render.look(things, K, tuple(size)), np.full(size, -1)
    owners[view.rows, view.cols] = things.mesh_of_face[view.hits.face]
    return owners


def _scene(layer, split, number, seed):
    """A `_Scene`, but for what rendering tells and the truth's joints and vertices."""
    rng, kind = np.random.default_rng([seed, 31, number]), _KINDS[number % len(_KINDS)]
    stem = f"{_SETS[split]}_{kind.name}_{number:05d}"
    row = {"imgPath": f"{stem}.png", "camZ": 100 * (kind.height - 1.7), "camYaw": float(rng.uniform(-180, 180))}
    row |= {"camX": float(rng.uniform(-300, 300)), "camY": float(rng.uniform(-300, 300))}
    theirs = agora_world.camera(row)
    camera = _own_camera(theirs, kind)
    poses = [name for name in free_poses.body_poses() if name not in _SEATED]
    folk = []
    for x, z in _spots(rng, camera, kind, int(rng.integers(4, 9))):
        yaw = rng.normal(0, 0.7) if rng.random() < 0.75 else rng.uniform(-np.pi, np.pi)
        doing = people.doing(rng, layer, str(rng.choice(poses)), yaw)
        folk.append((people.on_floor(layer, doing, x, z)[0], outfits.draw(rng)))
    outside = "archviz" not in kind.name and bool(rng.random() < 0.7)
    look = scene.look(rng, chances=(0.0, 0.3, 0.7))
    shot = people.shot(layer, folk, look, camera, (places.outside if outside else places.room)(rng, look), outside)
    spots = [np.array([*parameters["transl"]]) * [1, 0, 1] for parameters, _ in folk]
    row |= _placed(rng, theirs, [camera.rot @ (spot - camera.pos) for spot in spots])
    row["gender"] = [str(rng.choice(["male", "female"])) for _ in folk]
    return _Scene(split, "train_0" if split == "train" else split, stem, shot, row)


def _own_camera(theirs, kind):
    """The camera in a world of our own, in which it looks along z, at people about the origin."""
    pitch = np.degrees(np.arctan2(theirs.rot[2, 1], theirs.rot[1, 1]))
    K = theirs.K / _ENLARGED
    K[:2, 2] += 0.5 / _ENLARGED - 0.5  # theirs counts pixels of the enlarged picture, from the middle of the first
    K[2, 2] = 1
    return scene.Camera(K, agora_world.about((1, 0, 0), pitch), np.array([0, -kind.height, -kind.distance]), _SMALL)


def _spots(rng, camera, kind, count):
    """Where people stand, (count, 2) x, z m: within the picture's width, apart, though not for who looks from the
    camera.
    """
    reach, found = 0.8 * camera.size[1] / 2 / camera.K[0, 0], []
    while len(found) < count:
        z = rng.uniform(-kind.nearer, 0.6)
        x = rng.uniform(-1, 1) * min(reach * (kind.distance + z), 0.5 * count)
        if all(np.hypot(x - a, z - b) > _APART for a, b in found):
            found.append((x, z))
    return found


def _placed(rng, camera, shifts):
    """The scans' places in a row of the data frame, each on the floor and turned anyhow."""
    yaws = rng.uniform(-180, 180, len(shifts))
    turns = [camera.rot @ agora_world.about((0, 1, 0), yaw) @ np.diag([1.0, -1, -1]) for yaw in yaws]
    records = [agora_world.record(turn, shift, camera) for turn, shift in zip(turns, shifts, strict=True)]
    return {key: [float(one[key]) for one in records] for key in ("X", "Y", "Z", "Yaw")}


def _completed(layer, data, one, found):
    """The row of a scene with its truth, and the fits of its people written; found: what `_seen` says."""
    row, camera = dict(one.row), agora_world.camera(one.row)
    count, hidden = len(one.shot.people), found[0]
    row |= {"kid": [False] * count, "age": ["31-50"] * count, "ethnicity": ["unknown"] * count}
    row |= {"occlusion": hidden.round(2).tolist(), "isValid": (hidden <= _HIDDEN).tolist()}
    row["gt_path_smplx"] = [f"smplx_gt/{one.split}set_handlib_bfh/{one.stem}_{n}.obj" for n in range(count)]
    row |= {"gt_joints_2d": [], "gt_joints_3d": [], "gt_verts": []}
    for number, person in enumerate(one.shot.people):
        verts, joints = people.posed(layer, person.parameters, "smplx127")
        row["gt_joints_2d"].append(geometry.project(joints, camera.K)[:, :2].astype(np.float32))
        row["gt_joints_3d"].append(joints.astype(np.float32))
        row["gt_verts"].append(verts.astype(np.float32))
        fit = _fit(person.parameters, joints[0], *agora_world.placed(row, number, camera))
        path = (data / row["gt_path_smplx"][number]).with_suffix(".pkl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(fit, protocol=4))
    return row


def _fit(parameters, pelvis, turn, shift):
    """Parameters in the camera's frame -> the official names, in the frame of the scan."""
    root, back = pelvis - parameters["transl"], turn.T
    named = {official: parameters[ours] for official, ours in _FIT.items()}
    named["global_orient"], named["transl"] = agora_world.to_camera(
        named["global_orient"], named["transl"], root, back, -back @ shift
    )
    return {name: np.asarray(value, np.float32)[None] for name, value in named.items()}


def _write_frame(path, rows):
    """Rows as a pickled pandas data frame of plain columns."""
    table = pandas.DataFrame({name: pandas.Series([row[name] for row in rows], dtype=object) for name in rows[0]})
    table.columns = pandas.Index(list(rows[0]), dtype=object)
    path.parent.mkdir(parents=True)
    table.to_pickle(path)


def _write_boxes(data, pairs, seed):
    """What a detector may have found in the pictures of the test split."""
    boxes, rng = {}, np.random.default_rng([seed, 33])
    for one, (hidden, found) in pairs:
        seen = [box for box, share in zip(found, hidden, strict=True) if share < _UNSEEN]
        rough = [_ENLARGED * (box + box[[2, 3, 2, 3]] * rng.normal(0, 0.02, 4)) for box in seen]
        boxes[f"{one.stem}.png"] = [{"bbox": box.round(1).tolist()} for box in rough]
    write_json(data / "AGORA_test_bbox.json", boxes)
