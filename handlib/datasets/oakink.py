"""OakInk-Image v2.1 (Yang et al., CVPR 2022): one hand that holds an object, seen by up to four cameras.

``root`` is the folder that holds ``image/`` (OAKINK_DIR of the official toolkit), or ``image/`` itself.
"""

import dataclasses
import functools
import json

import numpy as np

from handlib import geometry
from handlib.datasets import numbers, oakink_packed
from handlib.datasets import oakink_files as files
from handlib.datasets import oakink_splits as lists
from handlib.datasets.base import Reader, Skip, fits_of
from handlib.datasets.windows import Window
from handlib.files import InputError, read_json, require, require_choice, shown

WIDTH, HEIGHT = 848, 480
REACH = 1.7 * 1.125  # side of the largest crop that the published augmentation draws, in sides of the joints' box


def splits(root, mode="default"):
    """The splits of ``mode`` that are there and do not overlap, e.g. ["train+val", "test"]. InputError for none."""
    image = image_folder(root)
    found = lists.available(image, mode)
    if not found:
        raise InputError(image / "anno", f"holds no split files of mode '{mode}'", lists.OFFICIAL)
    return found


def variant(mode="default", multiview=False):
    """What tells packs of one split apart, as a name."""
    return f"{mode}_multiview" if multiview else mode


def image_folder(root):
    """``root``/image, or ``root`` where that is the image folder itself. InputError where it is neither."""
    root = require(root, "give the folder that holds image/")
    for folder in (root / "image", root):
        if (folder / "anno").is_dir() or (folder / "anno_packed").is_dir() or (folder / "anno_packed_mv").is_dir():
            return folder
    raise InputError(
        root, "holds neither image/anno/ nor anno/", f"give the folder that holds image/; {lists.OFFICIAL}"
    )


def reader(root, split, mode="default", source="annotations", multiview=False, pixels="reach"):
    """`OakInk`."""
    return OakInk(root, split, mode, source, multiview, pixels)


class OakInk(Reader):
    """Samples of one hand each (H = 1, always a right one) with every array that the annotations give.

    split: "train+val", "train", "val", "test" or "all"; mode: how the splits were drawn, "default" (by view, SP0),
    "subject" (SP1), "object" (SP2) or "handobject" (SP0 without frames where the hand is further than 5 mm from the
    object). A handover's two hands are two samples of one picture (``hand_number`` 0 and 1).

    source: "annotations" (the anno folders) or "packed" (the published packer's anno_packed; its files lack the
    camera's place unless they are multi-view). multiview: four views of every moment, in groups of four that share
    ``group``; the list is anno_mv's, or made from the single-view one where that is absent. pixels: what
    ``complete`` keeps of a picture, see `Window`.

    Raises InputError for a missing folder or split file, a list with an entry that is none, an unknown option, a
    pickle that is not harmless. Iterating skips, and counts in ``skipped``, samples whose annotation is missing, cut,
    of another shape or not finite, and hands behind the camera or without extent.
    """

    name = "oakink"

    def __init__(self, root, split, mode="default", source="annotations", multiview=False, pixels="reach"):
        super().__init__()
        self.split, self.image = split, image_folder(root)
        require_choice("source", source, ("annotations", "packed"))
        require_choice("pixels", pixels, ("reach", "whole"))
        self.options = {"mode": mode, "source": source, "multiview": bool(multiview), "pixels": pixels}
        self.list, path, extended = lists.read(self.image, split, mode, multiview)
        self.sources[path.relative_to(self.image).as_posix()] = path
        if extended:
            self.notes.append(f"{path.name} was extended to four views of every moment")
        self.status = self._statuses(source)
        self.complete = Completion(self._annotation(source, mode, multiview), Window(pixels, REACH))
        self.facts = {
            "version": "v2.1 layout",
            "units": "metres, radians, pixels",
            "joint_order": "hand21 (wrist, thumb .. little, base to tip)",
            "fits_of": fits_of(self.image / "anno"),
            "mode": mode,
        }

    def _statuses(self, source):
        path = self.image / "anno" / "seq_status.json"
        if source == "packed":
            return {}  # each file brings its own
        if not path.exists():
            self.notes.append("anno/seq_status.json is absent")
            return {}
        self.sources[path.relative_to(self.image).as_posix()] = path
        found = read_json(path, lists.OFFICIAL)
        if not isinstance(found, dict):
            raise InputError(path, "holds no sequences by name", lists.OFFICIAL)
        return found

    def _annotation(self, source, mode, multiview):
        if source == "annotations":
            return functools.partial(oakink_packed.official, self.image)
        folder = self.image / ("anno_packed_mv" if multiview else "anno_packed") / mode / self.split
        require(folder, "run the published packer for this mode and split, or leave out source='packed'")
        return functools.partial(oakink_packed.packed, folder)

    def __len__(self):
        return len(self.list)

    def light(self, index):
        """What the list alone says of a sample."""
        entry = self.list[index]
        return {
            "key": entry.stem,
            "image_path": str(self.image / "stream_release_v2" / entry.picture),
            "hands": "right",
            "sequence": entry.sequence,
            "frame": entry.frame,
            "camera": lists.VIEWS[entry.view],
            "view": entry.view,
            "group": entry.group,
            "hand_number": entry.hand_number,
            "object": entry.object,
            "intent": entry.intent,
            "subject": entry.subject,
            "status": json.dumps(self.status.get(entry.sequence)),
            "width": WIDTH,
            "height": HEIGHT,
        }

    def __getitem__(self, index):
        return self.complete.annotated(self.light(index))


@dataclasses.dataclass(frozen=True)
class Completion:
    """The heavy part of a sample: its annotation files and its picture."""

    annotation: functools.partial
    window: Window

    def annotated(self, sample):
        """The arrays of a light sample. Raises Skip; `safe_pickle.Refused` for a file that is not harmless."""
        listed = lists.Sample(sample["sequence"], sample["hand_number"], sample["frame"], sample["view"])
        found = self.annotation(listed)
        joints, verts, K = found["hand_j"], found["hand_v"], found["cam_intr"]
        numbers.camera(sample["key"], "cam_intr", K)
        if not (joints[:, 2] > 0).all():
            raise Skip(
                sample["key"], "hand is not in front of the camera", f"nearest joint at {joints[:, 2].min():.3f} m"
            )
        bbox = files.box(geometry.project_homogeneous(joints, K).astype(np.float32))
        if not np.isfinite(bbox).all() or bbox[2:].max() <= 0 or np.abs(bbox).max() > 1e6:
            raise Skip(sample["key"], "box is empty or not finite", str(bbox.tolist()))
        yes = np.ones((1, 21), bool)
        sample = {
            **sample,
            "side": np.zeros(1, np.int8),
            "hand_type": yes[:, 0],
            "joints_cam": joints[None].astype(np.float64),
            "joints_valid": yes,
            "verts_cam": verts[None].astype(np.float32),
            "pose_flat": found["pose"][None].astype(np.float32),
            "shape": found["shape"][None].astype(np.float64),
            "mano_valid": yes[:, 0],
            "object_pose": found["obj_transf"].astype(np.float32),
            "K": K.astype(np.float64),
            "bbox": bbox,
        }
        if "cam_extr" in found:
            extrinsics = found["cam_extr"].astype(np.float64)
            if not numbers.is_rotation(extrinsics[:3, :3]):
                raise Skip(sample["key"], "camera cannot be", "cam_extr holds no rotation")
            sample |= {"cam_rot": extrinsics[:3, :3], "cam_pos": -extrinsics[:3, :3].T @ extrinsics[:3, 3]}
        if "status" in found:
            sample["status"] = json.dumps(found["status"], default=shown)
        return sample

    def __call__(self, sample):
        if "joints_cam" not in sample:
            sample = self.annotated(sample)
        return self.window.filled(sample)
