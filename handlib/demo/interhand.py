"""Demo data in InterHand2.6M's official layout: pictures, cameras, joints, MANO parameters, RootNet's boxes and
depths.
"""

import dataclasses
from pathlib import Path

import numpy as np

from handlib import fields, geometry
from handlib.demo import folders, pool, scene
from handlib.demo.poses import CENTRE, SIDES, Hands, Moment, sequence
from handlib.files import InputError, write_json, write_text

VERSION = 2  # of the pictures; raise it when they change, so that data made before are made anew
KINDS = ("interacting", "right", "interacting", "left")  # a capture's sequences, in turn
CAMERAS, VIEWS, SEQUENCE = 4, 2, 2  # cameras of a capture, of which this many see a moment; moments of a sequence
_BOX_MARGIN = 1.2  # the official boxes are the valid joints' extent, this much larger
_ROOTNET_BOX = 1.25
_ROOTNET_ERROR = 12.0  # mm, of the estimated depth of a picture; each hand adds half of it
_HAND_TYPE_VALID = 30  # a pair's hand type is trusted with more valid joints than this


def make(root, frames=200, seed=0, processes=None, show_progress=True):
    """Write demo data under ``root`` (e.g. data/demo/InterHand); returns ``root`` as a Path.

    Arguments: ``frames``, pictures in all: 3/5 for train, 1/5 each for val and test, which share no capture;
    ``seed``; ``processes`` (None: one per core). The same frames and seed give the same bytes. Nothing is done where
    they are already there; the folder appears whole or not at all. Raises InputError rather than replace a folder
    that holds anything else.
    """
    settings = {
        "layout": "InterHand2.6M",
        "frames": frames,
        "seed": seed,
        "version": VERSION,
    }
    if frames < 5 * len(KINDS):
        mend = f"ask for at least {5 * len(KINDS)}, so that every split has single and interacting hands"
        raise InputError("make_interhand", f"{frames} pictures are too few", mend, "frames")
    with folders.made(root, settings) as folder:
        if folder:
            _fill(folder, frames, seed, processes, show_progress)
    return Path(root)


def _fill(folder, frames, seed, processes, show_progress):
    hands, pictures, capture = Hands(), [], 0
    for split, count in _shares(frames).items():
        records = []
        while len(records) < count:
            records += _capture(hands, capture, seed)[: count - len(records)]
            capture += 1
        _annotate(folder, split, records, np.random.default_rng([seed, 1, capture]))
        pictures += [(folder / "images" / split / record.file_name, record.shot) for record in records]
    _common_files(folder, capture)
    pool.render(hands.model, pictures, seed, processes, show_progress)


def _shares(frames):
    """Pictures of each split."""
    return {"train": frames - 2 * (frames // 5), "val": frames // 5, "test": frames // 5}


@dataclasses.dataclass(frozen=True)
class Record:
    """One picture to be: what it shows and where it is filed. ``moment`` is shared by all cameras that see it."""

    capture: int
    name: str
    camera_name: str
    frame: int
    kind: str
    moment: Moment
    camera: scene.Camera
    look: scene.Look

    @property
    def file_name(self):
        return f"Capture{self.capture}/{self.name}/cam{self.camera_name}/image{self.frame}.jpg"

    @property
    def shot(self):
        """What the renderer needs."""
        return scene.Shot(tuple(self.moment.posed), self.look, self.camera)


def _capture(hands, capture, seed):
    """All pictures of one capture session (one person, one place), kinds of hands in turn: Records."""
    rng = np.random.default_rng([seed, 0, capture])
    look, shape = scene.look(rng), np.clip(rng.normal(0, 0.8, 10), -2, 2)
    cameras = [
        (f"4000{number:02d}", _camera(rng, portrait=bool(index % 2))) for index, number in enumerate(_numbers(rng))
    ]
    records = []
    for number, kind in enumerate(KINDS):
        name, moments = sequence(hands, kind, shape, SEQUENCE, rng)
        prefix = {"interacting": "dh_"}.get(kind, "")
        for index, moment in enumerate(moments):
            frame = 1000 * (number + 1) + 7 * index
            for view in rng.choice(CAMERAS, VIEWS, replace=False):
                kept = (capture, f"{number:04d}_{prefix}{name}_{kind}", cameras[view][0], frame, kind, moment)
                records.append(Record(*kept, cameras[view][1], look))
    turn = SEQUENCE * VIEWS
    return [records[kind * turn + index] for index in range(turn) for kind in range(len(KINDS))]


def _numbers(rng):
    return np.sort(rng.choice(np.arange(2, 60), CAMERAS, replace=False))


def _camera(rng, portrait):
    """A camera on a sphere about the hands, as far away and with the focal lengths of InterHand2.6M's."""
    azimuth, height, roll = rng.uniform(-1.0, 1.0), rng.uniform(0.02, 0.62), rng.normal(0, 0.06)
    focal = rng.uniform(1180, 1290)
    distance = rng.uniform(0.92, 1.18)
    rot = scene.towards(azimuth, height, roll)
    size = (512, 334) if portrait else (334, 512)
    centre = np.array(size[::-1]) / 2 + rng.normal(0, 6, 2)
    K = np.array([[focal, 0, centre[0]], [0, focal * rng.normal(1, 2e-4), centre[1]], [0, 0, 1]])
    return scene.Camera(K, rot, CENTRE + rng.normal(0, 0.012, 3) - distance * rot[2], size)


# ------------------------------------------------------------------------------------------ annotations


def _annotate(folder, split, records, rng):
    """Write the annotation files of one split, and RootNet's output for val and test."""
    images, annotations, rootnet = [], [], []
    cameras, joints, fits = {}, {}, {}
    for record in records:
        number = record.capture * 10000 + len(images)
        capture, frame = str(record.capture), str(record.frame)
        world, present = _world42(record.moment)
        point, valid = _seen(world, present, record.camera)
        box = _box(point[valid])
        trusted = record.kind != "interacting" or int(valid.sum()) > _HAND_TYPE_VALID
        height, width = record.camera.size
        images.append(
            {"id": number, "file_name": record.file_name, "width": width, "height": height, "capture": record.capture,
             "subject": record.capture, "seq_name": record.name, "camera": record.camera_name,
             "frame_idx": record.frame}
        )  # fmt: skip
        annotations.append(
            {"id": number, "image_id": number, "bbox": box, "joint_valid": valid.astype(int)[:, None],
             "hand_type": record.kind, "hand_type_valid": int(trusted)}
        )  # fmt: skip
        rootnet.append(_rootnet(number, box, world, present, valid, record.camera, rng))
        _add_camera(cameras.setdefault(capture, {}), record)
        joints.setdefault(capture, {})[frame] = {
            "world_coord": world, "joint_valid": present.astype(int)[:, None],
            "hand_type": record.kind, "hand_type_valid": True,
        }  # fmt: skip
        params = dict(zip(record.moment.sides, record.moment.params, strict=True))
        fits.setdefault(capture, {})[frame] = {name: params.get(side) for side, name in enumerate(SIDES)}
    base = folder / "annotations" / split
    write_json(base / f"InterHand2.6M_{split}_data.json", {"images": images, "annotations": annotations})
    for kind, value in (("camera", cameras), ("joint_3d", joints), ("MANO_NeuralAnnot", fits)):
        write_json(base / f"InterHand2.6M_{split}_{kind}.json", value)
    if split != "train":
        rng.shuffle(rootnet)
        write_json(folder / "rootnet_output" / f"rootnet_interhand2.6m_output_{split}.json", rootnet)


def _world42(moment):
    """Joints in the official order (42, 3), world mm, 1 where there is no hand, and which there are (42,)."""
    both, present = np.full((2, 21, 3), 1e-3), np.zeros((2, 21, 1), bool)
    for side, joints in zip(moment.sides, moment.joints, strict=True):
        both[side], present[side] = joints, True
    return 1000 * fields.interhand42(both), fields.interhand42(present)[:, 0]


def _seen(world, present, camera):
    """Pixels (42, 2) of world joints (mm), and which of those present lie in the picture."""
    local = geometry.world_to_camera(world / 1000, camera.rot, camera.pos)
    point = local @ camera.K.T
    point = point[:, :2] / point[:, 2:]
    inside = ((point >= 0) & (point <= np.array(camera.size[::-1]) - 1)).all(1)
    return point, present & inside


def _box(points):
    """x, y, width, height of the points' extent, enlarged about its centre as the official boxes are."""
    low, high = points.min(0), points.max(0)
    centre, extent = (low + high) / 2, np.maximum(high - low, 1) * _BOX_MARGIN
    return np.concatenate([centre - extent / 2, extent])


def _rootnet(number, box, world, present, valid, camera, rng):
    """What RootNet would say: the box as a square, enlarged; the wrists' depths, wrong by millimetres to
    centimetres.
    """
    side = box[2:].max() * _ROOTNET_BOX
    square = [*(box[:2] + box[2:] / 2 - side / 2), side, side]
    wrists = fields.house_hands(np.arange(42)[:, None])[:, 0, 0]
    depth = geometry.world_to_camera(world / 1000, camera.rot, camera.pos)[wrists, 2] * 1000
    there = present[wrists]
    depth = np.where(there, depth, depth[there].mean() + rng.normal(0, 40))
    depth = depth + rng.normal(0, _ROOTNET_ERROR) + rng.normal(0, _ROOTNET_ERROR / 2, 2)
    return {"annot_id": number, "bbox": square, "abs_depth": depth, "root_valid": valid[wrists].astype(float)}


def _add_camera(cameras, record):
    camera = record.camera
    values = {
        "campos": camera.pos * 1000, "camrot": camera.rot,
        "focal": [camera.K[0, 0], camera.K[1, 1]], "princpt": camera.K[:2, 2],
    }  # fmt: skip
    for name, value in values.items():
        cameras.setdefault(name, {})[record.camera_name] = value


def _common_files(folder, captures):
    names, parents = fields.interhand_names(), fields.INTERHAND42.parents
    lines = [f"{name} {index} {parent}" for index, (name, parent) in enumerate(zip(names, parents, strict=True))]
    head = "# keypoint name, keypoint index, parent index"
    write_text(folder / "annotations" / "skeleton.txt", "\n".join([head, *lines]) + "\n")
    lines = [f"{number} Capture{number} -" for number in range(captures)]
    write_text(folder / "annotations" / "subject.txt", "\n".join(["# subject id, directory, gender", *lines]) + "\n")
    folders.write_marker(folder / "annotations")
