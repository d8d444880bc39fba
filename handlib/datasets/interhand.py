"""InterHand2.6M v1.0 (Moon et al., ECCV 2020), official layout, with the NeuralAnnot MANO fits and RootNet's output
where present.

5 and 30 frames per second have the same layout; ``root`` is the folder that holds ``annotations/`` and ``images/``.
DIGIT's packed files (`handlib.datasets.digit_files`) are read with ``source="digit"``.
"""

import dataclasses
from pathlib import Path

import numpy as np

from handlib import fields, geometry
from handlib.datasets import interhand_files as files
from handlib.datasets import interhand_splits, part_masks
from handlib.datasets.base import Reader, Skip, fits_of, read_picture
from handlib.files import InputError, require, require_choice

_VERSIONS = {("train", 1361062): "1.0, 5 fps", ("val", 380125): "1.0, 5 fps", ("test", 849160): "1.0, 5 fps"}


def splits(root):
    """The official splits whose annotations are in ``root``, in the order train, val, test. InputError for none."""
    found = [split for split in ("train", "val", "test") if (Path(root) / "annotations" / split).is_dir()]
    if not found:
        folder = Path(root) / "annotations"
        raise InputError(folder, "holds no train, val or test folder", f"put the files there; {files.OFFICIAL_SITE}")
    return found


def variant(part="pair"):
    """What tells packs of one split apart, as a name."""
    return "" if part == "pair" else part


def reader(root, split, bodies=None, rootnet=None, version=None, source="official", part="pair", cameras="published"):
    """`InterHand`, or with ``source="digit"`` `digit_files.DigitInterHand`: the same samples from DIGIT's packed
    files. part: "pair", both hands of a picture together, or "hand", each on its own
    (`interhand_hands.InterHandHands`); cameras: of that, "published" is about ten of a sequence in training.
    """
    require_choice("source", source, ("official", "digit"))
    require_choice("part", part, ("pair", "hand"))
    if part == "hand":
        from handlib.datasets.interhand_hands import CAMERAS, InterHandHands

        if cameras == "published":
            cameras = CAMERAS if interhand_splits.base_of(split) == "train" else None
        return InterHandHands(reader(root, split, bodies, rootnet, version, source), cameras)
    if cameras != "published":
        raise InputError("cameras", "can be chosen of single hands", "give part='hand' too", "cameras")
    if source == "digit":
        from handlib.datasets.digit_files import DigitInterHand

        return DigitInterHand(root, split, bodies, rootnet, version)
    return InterHand(root, split, bodies, rootnet, version)


class InterHand(Reader):
    """Samples with ``image_path`` and every array of `handlib.fields.SAMPLE` but the pictures; H = 2, right hand first.

    root: folder with annotations/ and images/ (and rootnet_output/); split: see `interhand_splits.NAMES`; bodies:
    folder with MANO_RIGHT.pkl and MANO_LEFT.pkl (also mano/ below it) for the part masks, default: ``bodies`` beside
    ``root`` if it is there; rootnet: RootNet's JSON file, default: the official place below ``root``; version: what
    the manifest calls the release, default: known from the number of pictures.

    Raises InputError for a missing folder or file, a cut JSON, an unknown split. Iterating skips, and counts in
    ``skipped``, samples whose camera or frame the files lack, or whose joints or box are not finite.
    """

    name = "interhand"

    source = "official"

    def __init__(self, root, split, bodies=None, rootnet=None, version=None):
        super().__init__()
        self.split, self.base, self.root = split, interhand_splits.base_of(split), Path(root)
        require(
            self.root / "annotations" / self.base, f"give the folder that holds annotations/; {files.OFFICIAL_SITE}"
        )
        self._read_annotations()
        self._read_estimates(rootnet)
        places = interhand_splits.positions(split, len(self.table["id"]))
        self.order = places[
            interhand_splits.official_order(self.table["hands"][places] == files.HANDS.index("interacting"))
        ]
        self.complete = self._completion(bodies)
        known = _VERSIONS.get((self.base, len(self.table["id"])))
        self.facts = {
            "version": version or known or f"not a known release ({len(self.table['id'])} pictures in '{self.base}')",
            "units": "metres, radians, pixels",
            "joint_order": "hand21 (wrist, thumb .. little, base to tip), right hand first",
            "fits_of": self._fits_of(),
            "part_masks": self.complete.why,
            "subjects": self._subjects(),
        }
        self.options = {"source": self.source, "version": version, **self.complete.fingerprint()}

    def _source(self, kind, ending="json"):
        path = files.annotation_file(self.root, self.base, kind, ending)
        if path.exists():
            self.sources[path.name] = path
        return path

    def _read_annotations(self):
        skeleton = self.root / "annotations" / "skeleton.txt"
        if skeleton.exists():
            files.check_skeleton(skeleton)
        else:
            self.notes.append("annotations/skeleton.txt is absent; the joint order is taken to be the official one")
        self.table = self._read_pictures()
        self.cameras = files.read_cameras(self._source("camera"))
        self.joints = files.read_joints(self._source("joint_3d"))
        fits = self._source("MANO_NeuralAnnot")
        self.fits = files.read_fits(fits) if fits.exists() else None
        if self.fits is None:
            self.notes.append(f"{fits.name} is absent: no MANO fits")

    def _read_pictures(self):
        return files.read_pictures(self._source("data"))

    def _read_estimates(self, rootnet):
        count = len(self.table["id"])
        self.boxes, self.depths = np.full((count, 4), np.nan, np.float32), np.full((count, 2), np.nan)
        path = Path(rootnet or self.root / "rootnet_output" / f"rootnet_interhand2.6m_output_{self.base}.json")
        if rootnet or path.exists():
            self.boxes, self.depths = files.read_rootnet(path, self.table["id"])
            self.sources[path.name] = path
            absent = int(np.isnan(self.depths).any(1).sum())
            if absent:
                self.notes.append(f"{absent} of {count} pictures have no entry in {path.name}")
        elif self.base != "train":  # there is none for the training set
            self.notes.append(f"{path.name} is absent: no estimated boxes and root depths")

    def _fits_of(self):
        """The body model that the fits are of: "MANO", or what the data themselves name (demo data: the free hand)."""
        return fits_of(self.root / "annotations", None if self.fits is None else "MANO")

    def _completion(self, bodies):
        model = self._fits_of()
        if model not in (None, "MANO"):
            return Completion("free", f"rendered with the body model that body_model.json names: {model}")
        if self.fits is None:
            return Completion(None, "none: there are no MANO fits")
        if bodies is None and (self.root.parent / "bodies").is_dir():
            bodies = self.root.parent / "bodies"
        if bodies is None:
            self.notes.append("no part masks: they need MANO_RIGHT.pkl and MANO_LEFT.pkl (option bodies=FOLDER)")
            return Completion(None, "none: no MANO files were given (option bodies=FOLDER)")
        if str(bodies) == "free":
            mend = "give the folder of MANO_RIGHT.pkl and MANO_LEFT.pkl"
            raise InputError(
                "bodies", "these are fits of MANO; masks drawn with the free hand would be wrong", mend, "bodies"
            )
        return Completion(str(bodies), "rendered from the MANO fits with the MANO files given")

    def _subjects(self):
        path = self.root / "annotations" / "subject.txt"
        return files.read_subjects(path) if path.exists() else None

    def __len__(self):
        return len(self.order)

    def __getitem__(self, index):
        row = int(self.order[index])
        table = {
            name: self.table[name][row]
            for name in ("file_name", "capture", "frame_idx", "hands", "bbox", "joint_valid")
        }
        file_name, capture = table["file_name"].decode(), str(table["capture"])
        camera = self.table["cameras"][self.table["camera"][row]].decode()
        key, frame = f"{self.base}/{file_name}", str(table["frame_idx"])
        if (capture, camera) not in self.cameras:
            raise Skip(key, "camera is not in the camera file", f"capture {capture}, camera {camera}")
        joints = self.joints.get(capture, frame)
        if joints is None:
            raise Skip(key, "frame is not in the joint file", f"capture {capture}, frame {frame}")
        K, rotation, position = self.cameras[capture, camera]
        sample = {
            "key": key,
            "image_path": str(self.root / "images" / key),
            "hands": files.HANDS[table["hands"]],
            "capture": int(table["capture"]),
            "camera": camera,
            "frame": int(table["frame_idx"]),
            "sequence": self.table["seq_names"][self.table["seq_name"][row]].decode(),
            "subject": int(self.table["subject"][row]),
            "image_id": int(self.table["id"][row]),
            "width": int(self.table["width"][row]),
            "height": int(self.table["height"][row]),
            "side": np.array([0, 1], np.int8),
            "hand_type": np.array([table["hands"] != 1, table["hands"] != 0]),
            "hand_type_valid": self.table["hand_type_valid"][row] > 0,
            "bbox": table["bbox"],
            "bbox_est": self.boxes[row],
            "root_depth_est": self.depths[row],
            "K": K,
            "cam_rot": rotation,
            "cam_pos": position,
            **self._joints(key, joints, table["joint_valid"], rotation, position),
            **self._fit(capture, frame),
        }
        if not np.isfinite(sample["bbox"]).all() or (sample["bbox"][2:] <= 0).any():
            raise Skip(key, "box is empty or not finite", str(sample["bbox"].tolist()))
        if not np.isfinite(np.concatenate([K.ravel(), rotation.ravel(), position])).all():
            raise Skip(key, "camera is not finite", f"capture {capture}, camera {camera}")
        return sample

    @staticmethod
    def _joints(key, frame, in_picture, rotation, position):
        in_picture = fields.house_hands(in_picture[:, None])[..., 0]
        # In single precision and millimetres, as in everything published on this data (a difference of some 0.1 um).
        position_mm = (position * 1000).astype(np.float32)
        camera = geometry.world_to_camera(frame["joints_mm"], rotation.astype(np.float32), position_mm) / np.float64(
            1000
        )
        finite = np.isfinite(camera).all(-1)
        if not finite[in_picture].all():
            raise Skip(key, "joints are not finite", f"{int((~finite & in_picture).sum())} joints marked valid")
        # Others that are not finite belong to no loss and no metric, but NaN times zero is NaN.
        camera = np.where(finite[..., None], camera, 0.0)
        return {
            "joints_cam": camera,
            "joints_valid": in_picture,
            "joints3d_valid": frame["valid"].astype(bool) & finite,
        }

    def _fit(self, capture, frame):
        fit = self.fits and self.fits.get(capture, frame)
        fit = fit or {
            "pose": np.zeros((2, 48)),
            "shape": np.zeros((2, 10)),
            "transl": np.zeros((2, 3)),
            "valid": np.zeros(2),
        }
        return {
            "pose_from_mean": fit["pose"],
            "shape": fit["shape"],
            "transl_world": fit["transl"],
            "mano_valid": fit["valid"].astype(bool),
        }


@dataclasses.dataclass(frozen=True)
class Completion:
    """The heavy part of a sample: checks the picture and renders the part mask. ``bodies``: a folder, "free", or None
    (no masks).
    """

    bodies: str | None
    why: str

    def fingerprint(self):
        return {"bodies": part_masks.fingerprint(self.bodies)}

    def __call__(self, sample):
        sample = {**sample, "image": read_picture(sample), "part_mask": None, "part_mask_valid": False}
        # Published rule: fits for exactly the hands in view.
        if self.bodies and np.array_equal(sample["mano_valid"], sample["hand_type"]):
            sample["part_mask"], sample["part_mask_valid"] = part_masks.render(sample, self.bodies), True
        return sample
