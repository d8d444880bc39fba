"""AGORA's official data frames and fits -> the annotation files that Hand4Whole's and OSX's readers take.

`parse` is the one step between what https://agora.is.tue.mpg.de offers and `handlib.datasets.read("agora", …)`. Below
the data set's folder (or its ``data``) it looks for

- camera data frames with SMPL-X joints and vertices, as their archives unpack:
  ``train_SMPLX/SMPLX/train_<n>_withjv.pkl``, ``validation_SMPLX/SMPLX/validation_<n>_withjv.pkl`` (also in ``SMPLX/``
  or directly); or those without, in ``Cam/``, whose joints and vertices are then made with the body models;
- the fits that they name, ``smplx_gt/…`` (.pkl, of arrays or of torch tensors; no cleaning beforehand)

and writes, as the tools of the two programs do,

- Hand4Whole: ``AGORA_<split>_SMPLX.json``, each person's parameters in the camera's frame below ``smplx_params_cam``,
  each picture's camera below ``cam_params``;
- OSX: ``AGORA_<split>.json``, joints and vertices below ``gt_joints_2d``, ``gt_joints_3d`` and ``gt_verts``.

Boxes are those of the joints, 1.2 times as wide and high. As published, children's parameters are those of a grown
man or woman, with the first 10 of their 11 shape numbers. Nothing in the files is run. The published program finds the
camera's frame by fitting every person's posed joints; here it is worked out, and of the body model no more than the
root joint at rest is needed.
"""

import functools
import json
import math
from pathlib import Path

import numpy as np

from handlib.bodies.free_body import GENDERS
from handlib.datasets import agora_files, agora_frames, agora_world, coco
from handlib.datasets import numbers as figures
from handlib.datasets.agora import SOURCES
from handlib.datasets.agora_bodies import Bodies
from handlib.files import InputError, progress, require_known, shown, write_json, write_text

SPLITS = ("train", "validation")
_COUNTS = {"gt_joints_2d": (127, 2), "gt_joints_3d": (127, 3), "gt_verts": (10475, 3)}
PARTS = {  # rows of the 127 joints
    "bbox": slice(None),
    "lhand_bbox": np.r_[25:40, 66:71],
    "rhand_bbox": np.r_[40:55, 71:76],
    "face_bbox": slice(76, 127),
}
_TOLD = ("gender", "kid", "occlusion", "isValid", "age", "ethnicity")
_EACH = ("gt_path_smplx", "gender", "kid", "isValid", "X", "Y", "Z", "Yaw")  # a list, an entry per person
_FLAG, _NUMBER = (bool, np.bool_, int, np.integer), (int, float, np.number)
_KINDS = {  # what an entry of a list is
    "gt_path_smplx": (str, "a path"), "gender": (str, "a word"), "kid": (_FLAG, "true or false"),
    "isValid": (_FLAG, "true or false"), "occlusion": (_NUMBER, "a number"), "age": (str, "a word"),
    "ethnicity": (str, "a word"), **dict.fromkeys(("X", "Y", "Z", "Yaw"), (_NUMBER, "a number")),
}  # fmt: skip
_TRUTH = ("gt_joints_2d", "gt_joints_3d", "gt_verts")
_DIGITS = 7  # after the point, of metres and pixels: more than float32 keeps, and half as large
_TOPS = {"hand4whole": ("images_", ""), "osx": ("", "images_")}  # before "3840x2160": where the pictures may lie


def parse(root, bodies=None, splits=None, sources=tuple(SOURCES), train_verts=False):
    """Write the annotations (see the module); returns their paths.

    root: the data set's folder. bodies: the folder of SMPLX_MALE.npz, _FEMALE and _NEUTRAL; None where the data are of
    the free body, as body_model.json beside them says. splits: "train", "validation"; default those whose data frames
    are there. sources: whose annotations, "hand4whole", "osx". train_verts: write vertices of the training split for
    OSX, too, which nothing reads: some 0.4 MB for each of a hundred thousand people.

    Run again it goes on: files of persons that are there are kept, and so is a split with its annotations; delete them
    to make them anew. A data frame is held in memory while it is parsed (the official ones: some GB each). Raises
    InputError for what is missing, damaged or odd, naming file, picture and column.
    """
    require_known(sources, SOURCES, "AGORA", "source")
    require_known(splits or (), SPLITS, "AGORA", "split")
    there = {split: found for split in splits or SPLITS if (found := agora_frames.find(root, split))[1]}
    lacking = [split for split in splits or SPLITS[:0] if split not in there]
    if lacking or not there:
        name = f"{(lacking or SPLITS)[0]}_*_withjv.pkl"
        raise InputError(Path(root) / "data", f"holds no data frame {name}", agora_frames.MEND)
    written = []
    for split, (folder, found) in there.items():
        todo = [source for source in sources if not (folder / SOURCES[source].format(split)).exists()]
        if todo:
            writer = _Writer(folder, split, todo, Bodies(bodies, folder), train_verts or split != "train")
            for path in found:
                writer.part(path)
            writer.finish()
        written += [folder / SOURCES[source].format(split) for source in sources]
    return written


class _Writer:
    """The annotations of one split, which `part` adds to and `finish` writes."""

    def __init__(self, folder, split, sources, bodies, verts):
        self._folder, self._split, self._sources, self._bodies, self._verts = folder, split, sources, bodies, verts
        self._images, self._people = [], {source: [] for source in sources}
        self._fit = functools.lru_cache(maxsize=4096)(self._read_fit)  # a scan is in many pictures

    def part(self, path):
        """Take in one data frame."""
        name = path.stem.removesuffix("_withjv") if self._split == "train" else self._split
        columns = agora_frames.read(path)
        for row in progress(list(agora_frames.of_columns(columns, path)), desc=f"parsing {path.name}", unit="picture"):
            picture = Path(coco.relative(path, row["imgPath"], "imgPath")).name
            self._images.append({"id": len(self._images), "name": picture, "folder": name})
            paths = [str(Path(str(one)).with_suffix(".pkl")) for one in _checked(row, path)["gt_path_smplx"]]
            fits = [coco.relative(path, one, "gt_path_smplx") for one in paths]
            if "gt_joints_2d" not in row:
                row = row | self._bodies.truth(row, self._whole(fits, row["kid"]), f"{path}, {picture}")
            for number, fit in enumerate(fits):
                self._person(row, number, fit, name, path)

    def _whole(self, fits, kids):
        """Fits with all their shape numbers, of which children have one more."""
        shapes = [agora_files.SHAPES + bool(kid) for kid in kids]
        return [agora_files.parameters(self._folder / fit, n) for fit, n in zip(fits, shapes, strict=True)]

    def _person(self, row, number, fit, name, path):
        image, stem = self._images[-1]["id"], Path(self._images[-1]["name"]).stem
        where = f"{path}, {stem}, person {number}"
        joints = _points(row, "gt_joints_2d", number, where)
        told = {"id": len(next(iter(self._people.values()))), "image_id": image, "person_id": number}
        told |= {key: row[key][number] for key in _TOLD if key in row}
        told["is_valid"] = bool(told.pop("isValid"))
        told |= {part: box(joints[rows]) for part, rows in PARTS.items()}
        if "hand4whole" in self._sources:
            paths = {"smplx_param_path": f"smplx_params_cam/{name}/{stem}/{number}.json",
                     "cam_param_path": f"cam_params/{name}/{stem}.json"}  # fmt: skip
            self._people["hand4whole"].append(told | paths)
            self._in_camera(row, number, fit, *(self._folder / one for one in paths.values()))
        if "osx" in self._sources:
            paths = {f"smplx_{kind}_path": f"gt_{kind}/smplx/{self._split}/{told['id']}.json"
                     for kind in ("joints_2d", "joints_3d", "verts")}  # fmt: skip
            self._people["osx"].append(told | paths | {"smplx_param_path": fit})
            self._as_told(row, number, paths, where)

    def _in_camera(self, row, number, fit, parameters, camera_file):
        """Write the person's parameters and the picture's camera, for Hand4Whole."""
        camera = agora_world.camera(row)
        if not camera_file.exists():
            write_json(camera_file, {"focal": camera.K[[0, 1], [0, 1]], "princpt": camera.K[:2, 2]})
        if parameters.exists():
            return
        values = dict(self._fit(fit))
        root = self._bodies.root(str(row["gender"][number]), values["betas"], values["expression"])
        values["global_orient"], values["transl"] = agora_world.to_camera(
            values["global_orient"], values["transl"], root, *agora_world.placed(row, number, camera)
        )
        write_json(parameters, values)

    def _read_fit(self, fit):
        return agora_files.parameters(self._folder / fit)

    def _as_told(self, row, number, paths, where):
        """Write the person's joints and vertices, for OSX."""
        for kind in ("joints_2d", "joints_3d", *(["verts"] if self._verts else [])):
            target = self._folder / paths[f"smplx_{kind}_path"]
            if not target.exists():
                write_text(target, json.dumps(_points(row, f"gt_{kind}", number, where).round(_DIGITS).tolist()))

    def finish(self):
        """Write the annotations."""
        for source, people in self._people.items():
            images = [self._picture(source, one) for one in self._images]
            write_json(self._folder / SOURCES[source].format(self._split), {"images": images, "annotations": people})

    def _picture(self, source, one):
        stem, name, told = Path(one["name"]).stem, one["folder"], {"id": one["id"]}
        for size, ending in (("3840x2160", ""), ("1280x720", "_1280x720")):
            tops = [before + size for before in _TOPS[source]]
            top = next((top for top in tops if (self._folder / top / name).is_dir()), tops[0])
            told[f"file_name_{size}"] = f"{top}/{name}/{stem}{ending}.png"
        return told


def box(joints):
    """The box x, y, w, h around joints (J, 2), 1.2 times as wide and high, float32."""
    low, high = joints.min(0), joints.max(0)
    half = 0.5 * 1.2 * (high - low)
    middle = (low + high) / 2
    return np.concatenate([middle - half, 2 * half]).astype(np.float32)


def _checked(row, path):
    """A row of a data frame; InputError where its lists are absent or of different lengths."""
    where = f"{path}, {shown(row['imgPath'])}"
    count = None
    for key in (*_EACH, *(key for key in (*_TRUTH, *_TOLD) if key in row and key not in _EACH)):
        if key not in row:
            mend = f"use the official camera data frames of SMPL-X; there is: {', '.join(map(str, row))}"
            raise InputError(where, "is no column of it", mend, key)
        if not isinstance(row[key], list | tuple | np.ndarray):
            raise InputError(where, "is no list, an entry per person", agora_frames.MEND, key)
        count = len(row[key]) if count is None else count
        if len(row[key]) != count:
            raise InputError(where, f"has {len(row[key])} entries for {count} people", agora_frames.MEND, key)
    for key, (kinds, what) in _KINDS.items():
        odd = [value for value in row.get(key, ()) if not isinstance(value, kinds)]
        if odd:
            raise InputError(where, f"is {shown(odd[0])}", f"use {what}, as in the official data frames", key)
    odd = [gender for gender in row["gender"] if gender not in GENDERS]
    if odd:
        raise InputError(where, f"is {shown(odd[0])}", f"it is one of {', '.join(GENDERS)}", "gender")
    return row


def _points(row, key, number, where):
    """One person's joints or vertices, float64; InputError for what is none."""
    if key not in row:
        raise InputError(where, "is no column of the data frame", agora_frames.MEND, key)
    points = figures.array(row[key][number], math.prod(_COUNTS[key]))
    points = np.zeros(0) if points is None else np.squeeze(points)
    if points.shape != _COUNTS[key]:
        raise InputError(where, f"is not {_COUNTS[key]} finite numbers", agora_frames.MEND, key)
    return points
