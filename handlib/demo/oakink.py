"""Demo data in OakInk-Image's official layout (v2.1): hands that hold simple objects, four views of every moment."""

import collections
import io
import pickle
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from handlib import bodies, geometry
from handlib.demo import folders, holding, objects, pool, scene
from handlib.demo.holding import Plan
from handlib.demo.poses import Hands
from handlib.files import InputError, write_atomic, write_json

VERSION = 1  # of the pictures; raise it when they change, so that data made before are made anew
VIEWS = ("north_east", "south_east", "north_west", "south_west")  # by camera number
SIZE, FOCAL, DISTANCE = (480, 848), (603.0, 616.0), (0.56, 0.74)
_CHANCES = (0.1, 0.25, 0.65)  # of the backdrops
MOMENTS = 2  # of a sequence
LEAST = 48  # pictures; with fewer some split of some mode would be empty
_INTENTS = {"use": "0001", "hold": "0002", "liftup": "0003", "handover": "0004"}
_CODES = {name: f"D0{number + 1:04d}" for number, name in enumerate(objects.NAMES)}  # OakInk's own have other letters
_PLANS = (
    ("bottle", "use", 0), ("bottle", "handover", 0, 1), ("mug", "hold", 4), ("ball", "hold", 3), ("hammer", "use", 2),
    ("can", "liftup", 1), ("hammer", "handover", 4, 5), ("box", "hold", 0), ("pen", "use", 5),
    ("screwdriver", "use", 1), ("bowl", "hold", 2), ("bottle", "handover", 2, 3),
)  # fmt: skip
_PEOPLE = 6
_TEST_PEOPLE, _VAL_PEOPLE = {4, 5}, {3}
_TEST_THINGS, _VAL_THINGS = {"mug", "pen"}, {"ball", "bowl"}
_FOLDERS = {"default": "split0", "subject": "split1", "object": "split2", "handobject": "split0_ho"}
_NEAR = 0.005  # m; handobject leaves out hands that are further from the object
_FILES = {"train+val": "split/{}/seq_train.json", "test": "split/{}/seq_test.json",
          "train": "split_train_val/{}/example_split_train.json",
          "val": "split_train_val/{}/example_split_val.json"}  # fmt: skip


def make(root, frames=96, seed=0, processes=None, show_progress=True):
    """Write demo data under ``root`` (e.g. data/demo/OakInk), in root/image; returns ``root`` as a Path.

    Arguments: ``frames``, pictures in all, a multiple of 4: every moment is seen by four cameras; a handover's pictures
    give two samples each. ``seed``; ``processes`` (None: one per core). The same frames and seed give the same bytes.
    Nothing is done where they are already there; the folder appears whole or not at all. Raises InputError rather than
    replace a folder that holds anything else.
    """
    if frames < LEAST or frames % len(VIEWS):
        problem = f"{frames} pictures cannot be shared out"
        raise InputError("make_oakink", problem, f"ask for a multiple of {len(VIEWS)}, at least {LEAST}", "frames")
    settings = {"layout": "OakInk-Image v2.1", "frames": frames, "seed": seed, "version": VERSION}
    with folders.made(root, settings) as folder:
        if folder:
            _fill(folder / "image", frames // len(VIEWS), seed, processes, show_progress)
    return Path(root)


def _fill(image, moments, seed, processes, show_progress):
    sequences, pictures = _sequences(moments, seed), []
    samples = [sample for sequence in sequences for sample in sequence.samples()]
    for sequence in sequences:
        pictures += [(image / "stream_release_v2" / path, shot) for path, shot in sequence.pictures()]
    pool.render(Hands().model, pictures, seed, processes, show_progress)
    for sample in samples:
        _annotate(image / "anno", sample)
    _lists(image, samples, seed)
    write_json(image / "anno" / "seq_status.json", {sequence.name: "demo" for sequence in sequences})
    for name in dict.fromkeys(sequence.plan.thing for sequence in sequences):
        folders.write_mesh(image / "obj" / f"{_CODES[name]}.obj", objects.make(name))
    folders.write_marker(image / "anno")


# -------------------------------------------------------------------------------------------- what there is


class Sequence:
    """One sequence: what is done (Plan), by whom, its moments at their frame numbers, cameras and place."""

    def __init__(self, number, plan, people, grasps, count, seed):
        rng = np.random.default_rng([seed, 6, number])
        people_codes = "_".join(f"{person:04d}" for person in plan.people)
        minute, second = divmod(int(rng.integers(3600)), 60)
        self.name = f"{_CODES[plan.thing]}_{_INTENTS[plan.intent]}_{people_codes}/"
        self.name += f"2026-01-{1 + number // 12:02d}-{8 + number % 12:02d}-{minute:02d}-{second:02d}"
        self.plan, self._people = plan, people
        self.cameras = holding.rig(rng, SIZE, FOCAL, DISTANCE)
        self._place, self._table = scene.look(rng, _CHANCES), int(rng.integers(4))
        self.moments = people.moments(plan, grasps, count, rng)
        self.frames = np.cumsum(rng.integers(9, 40, count)).tolist()

    def pictures(self):
        """(path below stream_release_v2/, Shot) of every picture."""
        for frame, moment in zip(self.frames, self.moments, strict=True):
            for view in VIEWS:
                shot = self._people.shot(moment, self.plan, self._place, self.cameras[view], 0, self._table)
                yield f"{self.name}/{view}_color_{frame}.png", shot

    def samples(self):
        """Every Sample, each hand on each picture."""
        for frame, moment in zip(self.frames, self.moments, strict=True):
            for person in range(len(moment.hands)):
                for view in range(len(VIEWS)):
                    yield Sample(self, moment, [self.name, person, frame, view])


class Sample:
    """One hand in one picture: its moment, and its entry of a split list."""

    def __init__(self, sequence, moment, entry):
        self.plan, self.moment, self.entry = sequence.plan, moment, entry
        self.hand = moment.hands[entry[1]]
        self.camera = sequence.cameras[VIEWS[entry[3]]]

    @property
    def stem(self):
        return "__".join(map(str, self.entry)).replace("/", "__")

    def in_camera(self, points):
        return geometry.world_to_camera(points, self.camera.rot, self.camera.pos)

    @property
    def joints(self):
        """(21, 3) m, camera."""
        return self.in_camera(bodies.joints21(self.hand.verts, self.hand.joints, "manopth"))

    @property
    def object_pose(self):
        """Object to world, (4, 4)."""
        return _rigid(self.moment.turn, self.moment.place)

    @property
    def extrinsics(self):
        """World to camera, (4, 4)."""
        return _rigid(self.camera.rot, -self.camera.rot @ self.camera.pos)

    @property
    def is_seen(self):
        """Whether at least half of the joints lie in the picture."""
        point = geometry.project(self.joints, self.camera.K)
        inside = ((point >= 0) & (point <= np.array(SIZE[::-1]) - 1)).all(1)
        return inside.sum() >= len(inside) / 2

    @property
    def touches(self):
        return holding.distance(self.hand, *self.moment[1:4]) <= _NEAR


def _rigid(turn, shift):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, shift
    return matrix


def _sequences(moments, seed):
    """Enough sequences for so many moments."""
    counts = [min(MOMENTS, moments - start) for start in range(0, moments, MOMENTS)]
    people = holding.People(seed, _PEOPLE)
    plans = [_PLANS[number % len(_PLANS)] for number in range(len(counts))]
    plans = [Plan(thing, intent, tuple(who)) for thing, intent, *who in plans]
    known = dict.fromkeys(plans)
    grasps = dict(zip(known, people.grasps(list(known)), strict=True))
    pairs = enumerate(zip(plans, counts, strict=True))
    return [Sequence(number, plan, people, grasps[plan], count, seed) for number, (plan, count) in pairs]


# --------------------------------------------------------------------------------------------- annotations


def _annotate(folder, sample):
    """Write the five pickles of a sample: numpy arrays, and torch tensors in general_info, as the official ones."""
    hand = sample.hand
    rotations = np.concatenate([Rotation.from_matrix(hand.wrist).as_rotvec(), hand.fingers]).reshape(16, 3)
    quaternions = Rotation.from_rotvec(rotations).as_quat()[:, [3, 0, 1, 2]]
    arrays = {
        "cam_intr": sample.camera.K,
        "hand_j": sample.joints,
        "hand_v": sample.in_camera(hand.verts),
        "obj_transf": sample.extrinsics @ sample.object_pose,
    }
    tensors = {
        "hand_anno": {"hand_pose": _Tensor(quaternions.ravel()), "hand_shape": _Tensor(hand.shape),
                      "hand_tsl": _Tensor(hand.place)},
        "cam_extr": _Tensor(sample.extrinsics), "cam_intr": _Tensor(sample.camera.K),
        "obj_anno": _Tensor(sample.object_pose),
    }  # fmt: skip
    for kind, value in {
        **{name: one.astype(np.float32) for name, one in arrays.items()},
        "general_info": tensors,
    }.items():
        with write_atomic(folder / kind / f"{sample.stem}.pkl") as temporary, open(temporary, "wb") as file:
            pickle.dump(value, file, protocol=4)


class _Tensor:
    """Pickles as a float32 torch tensor does, but with the same bytes each time (torch writes memory addresses)."""

    def __init__(self, array):
        self._array = np.ascontiguousarray(array, np.float32)

    def __reduce__(self):
        size = self._array.shape
        stride = tuple(step // 4 for step in self._array.strides)
        arguments = _Storage(self._array.ravel()), 0, size, stride, False, collections.OrderedDict()
        return torch._utils._rebuild_tensor_v2, arguments


class _Storage:
    """The numbers of a `_Tensor`, in torch's older file format inside the pickle."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __reduce__(self):
        file = io.BytesIO()
        words = {"short": 2, "int": 4, "long": 4}
        system = {"protocol_version": 1001, "little_endian": sys.byteorder == "little", "type_sizes": words}
        for value in (torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, system):
            pickle.dump(value, file, protocol=2)
        _StoragePickler(file, protocol=2).dump(self)
        pickle.dump(["0"], file, protocol=2)
        file.write(np.int64(len(self.numbers)).tobytes() + self.numbers.tobytes())
        return torch.storage._load_from_bytes, (file.getvalue(),)


class _StoragePickler(pickle.Pickler):
    """Names the storage, as torch does, instead of writing it."""

    def persistent_id(self, value):
        return (
            ("storage", torch.FloatStorage, "0", "cpu", len(value.numbers), None)
            if isinstance(value, _Storage)
            else None
        )


# -------------------------------------------------------------------------------------------------- splits


def _lists(image, samples, seed):
    """Write seq_all.json, the split files of all modes, and anno_mv's, which have all four views of each moment."""
    write_json(image / "anno" / "seq_all.json", [sample.entry for sample in samples])
    seen = [sample for sample in samples if sample.is_seen]
    parts = {
        "default": _by_view(seen, seed),
        "subject": _by(seen, lambda sample: set(sample.plan.people), _TEST_PEOPLE, _VAL_PEOPLE),
        "object": _by(seen, lambda sample: {sample.plan.thing}, _TEST_THINGS, _VAL_THINGS),
    }
    parts["handobject"] = {name: [one for one in own if one.touches] for name, own in parts["default"].items()}
    for mode, split in parts.items():
        for name, own in split.items():
            path = _FILES[name].format(_FOLDERS[mode])
            entries = [sample.entry for sample in own]
            write_json(image / "anno" / path, entries)
            if mode in ("subject", "object"):
                moments = sorted({tuple(entry[:3]) for entry in entries})
                views = [[*moment, view] for moment in moments for view in range(len(VIEWS))]
                write_json(image / "anno_mv" / path, views)


def _by_view(samples, seed):
    """One view of each sequence is for the test; of the rest every eighth sample is for validation."""
    rng = np.random.default_rng([seed, 7])
    names = dict.fromkeys(sample.entry[0] for sample in samples)
    held_out = {name: int(rng.integers(len(VIEWS))) for name in names}
    test = [sample for sample in samples if sample.entry[3] == held_out[sample.entry[0]]]
    rest = [sample for sample in samples if sample.entry[3] != held_out[sample.entry[0]]]
    val = rest[3::8]
    return {"train+val": rest, "test": test, "train": [one for one in rest if one not in val], "val": val}


def _by(samples, members, test_members, val_members):
    """Split by who or what takes part; sequences shared between training and validation are in neither of the two."""
    kept, test = [], []
    for sample in samples:
        (test if members(sample) & test_members else kept).append(sample)
    val = [sample for sample in kept if members(sample) <= val_members]
    train = [sample for sample in kept if not members(sample) & val_members]
    return {"train+val": kept, "test": test, "train": train, "val": val}
