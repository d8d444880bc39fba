"""Demo data in the layout of MSCOCO with COCO-WholeBody's annotations and NeuralAnnot's fits, of the free body."""

from pathlib import Path

import numpy as np

from handlib import bodies
from handlib.demo import coco_people, folders, people, people_studio, pool
from handlib.files import InputError, write_json

VERSION = 2  # of what is drawn; another one makes the data anew
LEAST = 4
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
    for number in range(count):
        rng = np.random.default_rng([seed, 21, number])
        size = ((480, 640), (640, 480))[int(rng.random() < 0.3)]
        shot = people.draw(rng, layer, 1 + number % 3, size=size, gaze=0)
        path = folder / "images" / f"{_split(number)}2017" / f"{number + 1:012d}.jpg"
        jobs.append((path, shot, [seed, 22, number]))
    pool.make_folders(path for path, *_ in jobs)
    found = pool.each(people_studio.shoot, jobs, processes, show_progress)
    files = {split: {"images": [], "annotations": []} for split in ("train", "val")}
    fits = {}
    for number, ((path, shot, _), seen) in enumerate(zip(jobs, found, strict=True)):
        file = files[_split(number)]
        file["images"].append(coco_people.image(number + 1, path.name, shot.camera.size))
        for place, item in enumerate(coco_people.annotations(shot, seen)):
            if item is not None:
                own = {"id": 10 * (number + 1) + place, "image_id": number + 1}
                file["annotations"].append(own | item)
                fits[own["id"]] = coco_people.fit(shot.people[place], shot.camera, item)
    for split, content in files.items():
        write_json(folder / "annotations" / f"coco_wholebody_{split}_v1.0.json", content)
    learned = {str(item["id"]): fits[item["id"]] for item in files["train"]["annotations"]}
    write_json(folder / "annotations" / _FITS, learned)
    coco_people.write_marker(folder)


def _split(number):
    return "val" if number % 4 == 3 else "train"
