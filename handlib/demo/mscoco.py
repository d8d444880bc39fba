"""Demo data in the layout of MSCOCO with COCO-WholeBody's annotations and NeuralAnnot's fits, of the free body."""

import concurrent.futures
import functools
import multiprocessing
import os
from pathlib import Path

import cv2
import numpy as np

from handlib import __version__, bodies, body_joints, geometry
from handlib.bodies import free_body
from handlib.demo import folders, people, people_studio
from handlib.files import InputError, progress, write_json

VERSION = 1  # of what is drawn; another one makes the data anew
LEAST = 4
_KEYPOINTS = {"keypoints": (0, 17), "foot_kpts": (18, 24), "lefthand_kpts": (24, 45), "righthand_kpts": (45, 66),
              "face_kpts": (66, 134)}  # fmt: skip  # rows of COCO_WHOLEBODY
_PARTS = {"lefthand": 1, "righthand": 2, "face": 3}
_ENOUGH = 0.5  # of a hand or face must be seen to be annotated
_FITS = "MSCOCO_train_SMPLX_all_NeuralAnnot.json"


def make(root, pictures=12, seed=0, processes=None, show_progress=True):
    """Write demo data under ``root`` (e.g. data/demo/MSCOCO); returns ``root`` as a Path.

    Arguments: ``pictures`` in all, at least 4; every fourth one is in val. ``seed``; ``processes`` (None: one per
    core). The same pictures and seed give the same bytes. Nothing is done where they are already there; the folder
    appears whole or not at all. Raises InputError rather than replace a folder that holds anything else.
    """
    if pictures < LEAST:
        raise InputError("make_mscoco", f"{pictures} pictures are too few", f"ask for at least {LEAST}", "pictures")
    settings = {"layout": "MSCOCO", "pictures": pictures, "seed": seed, "version": VERSION}
    with folders.made(root, settings) as folder:
        if folder:
            _fill(folder, pictures, seed, processes, show_progress)
    return Path(root)


def _fill(folder, count, seed, processes, show_progress):
    layer, jobs = bodies.load(None, "smplx_neutral"), []
    files = {split: {"images": [], "annotations": []} for split in ("train", "val")}
    fits = {}
    for number in range(count):
        rng = np.random.default_rng([seed, 21, number])
        split = "val" if number % 4 == 3 else "train"
        size = ((480, 640), (640, 480))[int(rng.random() < 0.3)]
        shot = people.draw(rng, layer, 1 + number % 3, size=size, gaze=0)
        name = f"{number + 1:012d}.jpg"
        jobs.append((folder / "images" / f"{split}2017" / name, shot, [seed, 22, number]))
        image = {"id": number + 1, "file_name": name, "height": size[0], "width": size[1]}
        files[split]["images"].append(image)
        for place, item in enumerate(_annotations(shot)):
            if item is not None:
                own = {"id": 10 * (number + 1) + place, "image_id": number + 1, "category_id": 1, "iscrowd": 0}
                files[split]["annotations"].append(own | item)
                if split == "train":
                    fits[str(own["id"])] = _fit(shot, place, item)
    for split, content in files.items():
        write_json(folder / "annotations" / f"coco_wholebody_{split}_v1.0.json", content)
    write_json(folder / "annotations" / _FITS, fits)
    marker = {"model": "handlib free body", "version": __version__, "source": free_body.SOURCE}
    write_json(folder / "body_model.json", marker)
    _render(jobs, processes, show_progress)


def _annotations(shot):
    """One per person, None for somebody of whom nothing is seen. Third numbers: 2 seen, 1 hidden, 0 not there."""
    found = people.seen(shot)
    height, width = shot.camera.size
    for number, person in enumerate(shot.people):
        box = found["boxes"][number, 0]
        if not box[2:].all():
            yield None
            continue
        pixels = geometry.project(person.joints, shot.camera.K)[:, :2]
        inside = ((pixels > -0.5) & (pixels < [width - 0.5, height - 0.5])).all(1) & (person.joints[:, 2] > 0)
        points = np.concatenate([pixels.round(2), (inside + (inside & found["visible"][number]))[:, None]], 1)
        points[~inside] = 0
        item = {"bbox": box.tolist(), "area": float(box[2] * box[3]), "segmentation": []}
        item |= _parts(points, found["boxes"][number], found["shares"][number])
        item["num_keypoints"] = int((np.array(item["keypoints"])[2::3] > 0).sum())
        yield item


def _parts(points, boxes, shares):
    """The members of body, feet, hands and face. points (137, 3)."""
    source, target = body_joints.SMPLX137, body_joints.COCO_WHOLEBODY
    rows, _ = body_joints.by_name(points, np.ones(len(points), bool), source, target)
    for side in "LR":  # a hand's first point is the wrist
        rows[target.joints.index(f"{side}_Wrist_Hand")] = points[source.joints.index(f"{side}_Wrist")]
    made = {}
    for part, row in _PARTS.items():
        seen = bool(shares[row] > _ENOUGH)
        made[f"{part}_valid"], made[f"{part}_box"] = seen, boxes[row].tolist() if seen else [0.0] * 4
        if not seen:
            low, high = _KEYPOINTS[f"{part}_kpts"]
            rows[low:high] = 0
    return made | {name: rows[low:high].ravel().tolist() for name, (low, high) in _KEYPOINTS.items()}


def _fit(shot, place, item):
    found, K = shot.people[place].parameters, shot.camera.K
    named = {name: value for name, value in found.items() if name not in ("transl", "leye_pose", "reye_pose")}
    named["trans"] = found["transl"]
    fit = {name: np.asarray(value, np.float64).round(7).tolist() for name, value in named.items()}
    fit |= {f"{short}_valid": item[f"{part}_valid"] for short, part in
            (("lhand", "lefthand"), ("rhand", "righthand"), ("face", "face"))}  # fmt: skip
    camera = {"focal": [float(K[0, 0]), float(K[1, 1])], "princpt": [float(K[0, 2]), float(K[1, 2])]}
    return {"smplx_param": fit, "cam_param": camera}


def _render(jobs, processes, show_progress):
    for folder in {path.parent for path, *_ in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
    processes = min(processes or len(os.sched_getaffinity(0)), len(jobs))
    bar = functools.partial(progress, total=len(jobs), desc="demo pictures", disable=not show_progress)
    if processes == 1:
        for job in bar(jobs):
            people_studio.write(job)
        return
    context = multiprocessing.get_context("spawn")  # as in `pool`
    with concurrent.futures.ProcessPoolExecutor(processes, context, cv2.setNumThreads, (1,)) as workers:
        for _ in bar(workers.map(people_studio.write, jobs)):
            pass
