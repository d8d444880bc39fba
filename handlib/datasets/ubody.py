"""UBody (Lin et al., "OSX", CVPR 2023): people in 15 kinds of scenes, with keypoints and SMPL-X fits, from videos.

``root`` holds ``annotations/<scene>/keypoint_annotation.json`` and ``smplx_annotation.json``, the pictures
``images/<scene>/<video>/<frame>.png`` (`handlib.datasets.ubody_videos` cuts them from ``videos/``), and
``splits/{intra,inter}_scene_test_list.npy``: names of videos. A video's part ``<video>_Trim…`` goes with its video.
"""

import functools
from pathlib import Path

import numpy as np

from handlib import npz
from handlib.datasets import coco, coco_wholebody, people, ubody_videos
from handlib.datasets.base import Skip, fits_of
from handlib.files import InputError, require, require_known

SPLITS = ("train", "test")
LISTS = ("intra", "inter")
EVERY = {"train": 10, "test": 100}  # as published
OFFICIAL = "put the official annotations and splits of UBody there"
_KEYPOINTS, _FITS = "keypoint_annotation.json", "smplx_annotation.json"
HAND, FACE = 0.65, 1.2  # how much larger the boxes of hands, and of the face's points, become


def splits(root):
    """ "train" and "test". InputError where there are no annotations."""
    scenes(root)
    return list(SPLITS)


def prepare(root, bodies=None):
    """Cut the pictures from the videos, where there are videos: see `ubody_videos.cut`."""
    return ubody_videos.cut(root) if (Path(root) / "videos").is_dir() else None


def variant(test_list="intra", scenes=None, every=None):
    """What tells packs of one split apart, as a name."""
    parts = [f"{test_list}_scene", *(scenes or []), *([f"every{every}"] if every else [])]
    return "" if parts == ["intra_scene"] else "_".join(parts)


def scenes(root):
    """Names of the scenes with annotations, sorted. InputError for none."""
    folder = require(Path(root) / "annotations", OFFICIAL)
    found = sorted(path.parent.name for path in folder.glob(f"*/{_KEYPOINTS}"))
    if not found:
        raise InputError(folder, f"holds no <scene>/{_KEYPOINTS}", OFFICIAL)
    return found


def reader(root, split, test_list="intra", scenes=None, every=None):
    """`UBody`."""
    return UBody(root, split, test_list, scenes, every)


class UBody(people.People):
    """Samples of one person each, scene after scene, each in its file's order.

    split: "test" has the videos of a list, "train" the others; test_list: "intra" (other videos of the scenes that are
    trained with; the published benchmark) or "inter" (other scenes); scenes: names, default all that are there; every:
    of each scene's annotations only each so-manyth counts (published, and default: 10 in training, 100 in test).

    Raises InputError for missing, cut or odd files. Skipped and counted in iterating: crowds, persons without
    keypoints, marked as not valid, or without a fit, boxes that keep nothing of the picture; later, pictures that are
    not there.
    """

    def __init__(self, root, split, test_list="intra", scenes=None, every=None):
        super().__init__("ubody", split)
        self.root = require(root, OFFICIAL)
        require_known([split], SPLITS, "UBody", "split")
        require_known([test_list], LISTS, "UBody", "test list")
        known = globals()["scenes"](root)
        require_known(scenes or [], known, "UBody", "scene")
        self.every = EVERY[split] if every is None else _positive(every)
        self.videos = _videos(self.root / "splits" / f"{test_list}_scene_test_list.npy")
        self.scenes = {scene: self._scene(scene) for scene in scenes or known}
        self.people = [person for _, _, found in self.scenes.values() for person in found]
        self.facts["fits_of"] = fits_of(root, "SMPL-X")
        self.options = {"test_list": test_list, "scenes": list(self.scenes), "every": self.every}

    def _scene(self, scene):
        """(pictures, fits, people) of one scene."""
        folder = self.root / "annotations" / scene
        path = require(folder / _KEYPOINTS, OFFICIAL)
        pictures, rows = coco.read(path, functools.partial(self._take, path))
        if self.split == "test":
            mine = {number: row for number, row in rows.items() if video(pictures[row[0]].name) in self.videos}
        else:
            mine = {number: row for number, row in rows.items() if video(pictures[row[0]].name) not in self.videos}
        fits = people.read_fits(require(folder / _FITS, OFFICIAL), mine)
        self.sources |= {f"{scene}/{name}": folder / name for name in (_KEYPOINTS, _FITS)}
        found = []
        for number, (image, person) in mine.items():
            key = self._key(scene, pictures[image], number)
            if isinstance(person, str):
                found.append(Skip(key, person))
            elif number not in fits:
                found.append(Skip(key, "there is no fit"))
            else:
                found.append((scene, number, image, person))
        return pictures, fits, found

    def _take(self, path, item, where, place):
        if (place + 1) % self.every:
            return None
        if item.get("valid_label") == 0 and not item.get("iscrowd"):
            return "annotation is marked as not valid"
        return coco_wholebody.person(path, item, where)

    @staticmethod
    def _key(scene, picture, number):
        return f"{scene}/{picture.name.rsplit('.', 1)[0]}/{number}"

    def sample(self, scene, number, image, found):
        pictures, fits, _ = self.scenes[scene]
        picture = pictures[image]
        path = self.root / "images" / scene / picture.name
        parts = people.part_boxes(*_part_boxes(found))
        key = self._key(scene, picture, number)
        out = coco_wholebody.sample(key, path, picture, image, number, found, fits, parts)
        return out | {"scene": scene, "sequence": video(picture.name)}


def video(name):
    """The video of a picture's path: its folder, cut at ``_Trim``."""
    folder = (name.split("/")[-2:-1] or [""])[0]
    return folder.split("_Trim")[0]


def _positive(every):
    if type(every) is not int or every < 1:
        raise InputError("UBody", f"is {every!r}", "give a whole number from 1 on", "every")
    return every


def _videos(path):
    """The names in a list, as a set. Nothing that a file could have run is read."""
    require(path, OFFICIAL)
    found = npz.read_array(path, "use the official list, or one written by numpy.save of an array of text")
    if found.dtype.kind not in "US":
        raise InputError(path, f"holds {found.dtype}, not names", OFFICIAL)
    return {name.decode("latin1") if isinstance(name, bytes) else str(name) for name in found.ravel()}


def _part_boxes(found):
    """As published: boxes of hands smaller than annotated, that of the face from its points, visible or not."""
    left, right, face = found.seen
    yield enlarged(found.boxes[0], HAND) if left else None
    yield enlarged(found.boxes[1], HAND) if right else None
    points = coco_wholebody.face_points(found)
    yield enlarged(np.concatenate([points.min(0), np.ptp(points, 0)]), FACE) if face else None


def enlarged(box, factor):
    """Box (x, y, w, h) about the same centre, both sides times ``factor``."""
    box = np.asarray(box, np.float64)
    return np.concatenate([box[:2] + box[2:] / 2 * (1 - factor), box[2:] * factor])
