"""DexYCB (Chao et al., CVPR 2021): one hand, right or left, that grasps an object, seen by eight cameras.

``root`` is the folder of the official release (DEX_YCB_DIR of the official toolkit): a folder per subject,
``calibration/`` and ``models/``.
"""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from handlib import geometry
from handlib.bodies import free
from handlib.datasets import dexycb_derived
from handlib.datasets import dexycb_files as files
from handlib.datasets import dexycb_splits as lists
from handlib.datasets.base import Reader, Skip, fits_of
from handlib.datasets.windows import MANO_SCALE, Window
from handlib.files import InputError

WIDTH, HEIGHT = 640, 480
FREE = "handlib free hand"  # what the demo data's marker says
_SOURCES = ("original", "derived")
_NAMES = ("right", "left")


def splits(root, setup="s0", source="original"):
    """The splits of ``setup`` that are there, e.g. ["train", "val", "test"]. InputError for none."""
    folder = files.root_folder(root)
    if source == "derived":
        return dexycb_derived.splits(folder, setup)
    calibration = files.Calibration(folder)
    found = [
        split for split in lists.SPLITS if any(one.frames for one in _sequences(folder, setup, split, calibration))
    ]
    if not found:
        raise InputError(folder, f"holds no sequence of setup '{setup}'", files.OFFICIAL)
    return found


def variant(setup="s0", source="original"):
    """What tells packs of one split apart, as a name."""
    return f"{setup}_derived" if source == "derived" else setup


def reader(root, split, setup="s0", source="original", bodies=None, pixels="reach"):
    """`DexYCB`; with ``source="derived"`` `handlib.datasets.dexycb_derived.Derived`."""
    if source not in _SOURCES:
        raise InputError("source", f"unknown value '{source}'", f"write {' or '.join(map(repr, _SOURCES))}", "source")
    if pixels not in ("reach", "whole"):
        raise InputError("pixels", f"unknown value '{pixels}'", "write 'reach' or 'whole'", "pixels")
    lists.piece(setup, split)
    window = Window(pixels, MANO_SCALE, geometry.ManoInput())
    if source == "derived":
        return dexycb_derived.Derived(files.root_folder(root), split, setup, window)
    return DexYCB(root, split, setup, bodies, window)


class DexYCB(Reader):
    """Samples of one hand each (H = 1) from the original release, in the toolkit's order.

    split: "train", "val" or "test"; setup: "s0" (trials held out), "s1" (subjects), "s2" (cameras), "s3" (objects).
    ``image_id`` is the image's index in the toolkit's data set of that setup and split, which the official result file
    asks for; images without a hand count in it. Where subjects before the last one are missing, the count goes on
    without them, ``facts["official_ids"]`` is False and a note says so.

    bodies: folder of MANO_RIGHT.pkl and MANO_LEFT.pkl, default: ``bodies`` beside ``root`` if it is there. The labels
    hold PCA coefficients, and only the model file of the hand's own side says what they mean; without it ``mano_valid``
    is False and joints stay. Data that say that they are of the free hand need none. window: what ``complete`` keeps of
    a picture, see `Window`.

    Frames of the fields: joints and poses in the camera's; ``cam_rot``, ``cam_pos`` lead to the master camera's.
    ``bbox`` is the tight box of the annotated ``joint_2d``. ``object_pose`` is NaN where the object has no pose.
    ``shape`` of left hands is as annotated: with MANO_LEFT.pkl as it is published, its known sign error included.

    Raises InputError for a missing folder, a damaged meta.yml or calibration file, an unknown option. Iterating skips,
    and counts in ``skipped``, images without a hand (all joints -1) and those whose labels or picture are missing, cut,
    of another shape or not finite, hands behind the camera, and in training hands that have no place in the picture.
    """

    name = "dexycb"

    def __init__(self, root, split, setup="s0", bodies=None, window=None):
        super().__init__()
        self.split, self.root = split, files.root_folder(root)
        window = window or Window("reach", MANO_SCALE, geometry.ManoInput())
        self._calibration = files.Calibration(self.root)
        cameras = lists.piece(setup, split).serials
        sequences = _sequences(self.root, setup, split, self._calibration)
        self.list = lists.Listing(sequences, cameras)
        self._cameras = {number: self._calibration.intrinsics(lists.SERIALS[number]) for number in cameras}
        body = fits_of(self.root / "calibration")
        components, model = self._components(body, bodies)
        grasped = {one.name: one.grasped for one in sequences}
        self.complete = Completion(window, components, grasped, split == "train")
        self.options = {"setup": setup, "source": "original", "pixels": window.pixels, "bodies": model}
        self.facts = {
            "version": "2021 release",
            "units": "metres, radians, pixels",
            "joint_order": "hand21 (wrist, thumb .. little, base to tip)",
            "fits_of": body,
            "setup": setup,
            "official_ids": self._are_ids_official(setup, split, sequences),
            "sequences": len(sequences),
            "listing": _digest(sequences),
        }

    def _components(self, body, bodies):
        """({side: (45, 45) PCA basis, a component per row}, empty where it cannot be known; of which model)."""
        if body == FREE:
            if bodies not in (None, "free"):
                self.notes.append("the data are of the free hand: its PCA basis is used, not that of 'bodies'")
            return {side: free.arrays(name)["hands_components"] for side, name in enumerate(_NAMES)}, "free hand"
        if bodies is None and (beside := self.root.parent / "bodies").is_dir():
            bodies = beside
        if bodies is None:
            self.notes.append("no MANO files given (option 'bodies'): joints, but no pose; mano_valid is False")
            return {}, "none"
        found = {}
        for side in sorted({one.side for one in self.list.sequences}):
            path, found[side] = files.components(bodies, _NAMES[side])
            self.sources[f"bodies/{path.name}"] = path
        return found, "MANO"

    def _are_ids_official(self, setup, split, sequences):
        """Whether the images are numbered as in the whole release."""
        piece = lists.piece(setup, split)
        there = {one.subject - 1 for one in sequences}
        absent = [number for number in piece.subjects if number not in there]
        if absent:
            names = ", ".join(lists.SUBJECTS[number] for number in absent)
            self.notes.append(f"subjects that are not there: {names}")
        before = any(number < max(there, default=0) for number in absent)
        per_subject = {number: sum(one.subject - 1 == number for one in sequences) for number in there}
        whole = not before and set(per_subject.values()) <= {len(piece.sequences)}
        if not whole:
            self.notes.append("image_id counts what is there: these are not the official numbers")
        return whole

    def __len__(self):
        return len(self.list)

    def light(self, index):
        """What meta.yml and calibration say of a sample."""
        sequence, camera, frame = self.list[index]
        serial = lists.SERIALS[camera]
        if serial not in sequence.extrinsics:
            raise Skip(f"{sequence.name}/{serial}/{frame:06d}", "camera has no extrinsics")
        transform = sequence.extrinsics[serial]
        return {
            "key": f"{sequence.name}/{serial}/{frame:06d}",
            "image_path": str(self.root / sequence.name / serial / f"color_{frame:06d}.jpg"),
            "hands": _NAMES[sequence.side],
            "sequence": sequence.name,
            "frame": frame,
            "camera": serial,
            "view": camera,
            "group": f"{sequence.name}/{frame:06d}",
            "object": sequence.objects[sequence.grasped],
            "subject": sequence.subject,
            "image_id": index,
            "width": WIDTH,
            "height": HEIGHT,
            "side": np.array([sequence.side], np.int8),
            "shape": sequence.shape[None],
            "K": self._cameras[camera],
            "cam_rot": transform[:, :3].T,
            "cam_pos": transform[:, 3],
        }

    def __getitem__(self, index):
        return self.complete.annotated(self.light(index))


def _sequences(root, setup, split, calibration):
    piece = lists.piece(setup, split)
    wanted = set(piece.sequences)
    return [one for subject in piece.subjects for one in files.sequences(root, subject, calibration, wanted)]


def _digest(sequences):
    """A hash of what the many meta.yml files say."""
    text = "\n".join(f"{one.name} {one.frames} {one.side} {one.objects} {one.grasped}" for one in sequences)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Completion:
    """The heavy part of a sample: its labels and its picture. components: {side: (45, 45)} or empty; grasped:
    {sequence: which of its objects}; training: hands outside the picture are skipped.
    """

    window: Window
    components: dict
    grasped: dict
    training: bool = False

    def annotated(self, sample):
        """The arrays of a light sample. Raises Skip."""
        key = sample["key"]
        path = Path(sample["image_path"])
        found = files.labels(path.with_name(f"labels_{sample['frame']:06d}.npz"), key)
        joints, pixels, pose = found["joint_3d"], found["joint_2d"], found["pose_m"]
        if (joints == files.NO_HAND).all():
            raise Skip(key, "no hand in the picture")
        if not (joints[:, 2] > 0).all():
            raise Skip(key, "hand is not in front of the camera", f"nearest joint at {joints[:, 2].min():.3f} m")
        bbox = geometry.tight_box(pixels)
        if bbox[2:].min() <= 0 or np.abs(bbox).max() > 1e6:
            raise Skip(key, "box is empty or not finite", str(bbox.tolist()))
        if self.training:
            files.require_place(key, bbox, sample["width"], sample["height"])
        yes = np.ones((1, 21), bool)
        return {
            **sample,
            "hand_type": yes[:, 0],
            "joints_cam": joints[None].astype(np.float64),
            "joints_valid": yes,
            "joints_img": pixels[None],
            "bbox": bbox,
            "bbox_tight": np.bool_(True),
            **self._pose(pose, int(sample["side"][0])),
            "object_pose": self._object(found["pose_y"], sample),
        }

    def _pose(self, pose, side):
        """``pose_from_mean`` and whether there is one: all zero means that there is no fit."""
        known = bool(self.components) and bool((pose != 0).any())
        whole = np.zeros((1, 48))
        if known:
            whole[0, :3], whole[0, 3:] = pose[:3], pose[3:48].astype(np.float64) @ self.components[side]
        return {"pose_from_mean": whole, "mano_valid": np.array([known])}

    def _object(self, poses, sample):
        """(4, 4) of the grasped object; NaN where its pose is all zero, which says that there is none."""
        grasped = self.grasped[sample["sequence"]]
        if grasped >= len(poses):
            raise Skip(
                sample["key"], "annotation has another shape", f"pose_y: {len(poses)} objects, {grasped} grasped"
            )
        out = np.eye(4, dtype=np.float32)
        out[:3] = poses[grasped]
        return out if poses[grasped].any() else np.full((4, 4), np.nan, np.float32)

    def __call__(self, sample):
        if "joints_cam" not in sample:
            sample = self.annotated(sample)
        return self.window.filled(sample)
