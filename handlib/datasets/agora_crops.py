"""Crops of AGORA's persons from its pictures of 3840 x 2160, which are too large to be read for each person anew.

As the tools of Hand4Whole's and OSX's code make them, byte for byte the same pictures from the same boxes: the box
grown on one side to 384 : 512 and times 1.25 on both, OSX's brought inside the picture first. A map is written with
both names that the published readers look for, ``affine_mat`` and ``img2bb_trans``.
"""

from pathlib import Path

import cv2

from handlib import geometry, pictures
from handlib.datasets import agora, agora_files, coco
from handlib.files import progress, write_atomic, write_json

_TOPS = {"hand4whole": ("images_3840x2160", "person_id", "person_id"), "osx": ("3840x2160", "ann_id", "pid")}


def make(root, splits=None, source="any", size=(384, 512)):
    """Write the crops of splits (default: all that are there) below the data set's folder; returns (how many were
    written, [(picture, why its crops were not)]). Crops that are there are left as they are.

    root, source: as for `handlib.datasets.read`; of the test split, "any" takes Hand4Whole's names; size (w, h).
    Raises InputError for annotations that are missing or odd.
    """
    written, failed = 0, []
    for split in splits or agora.splits(root, source):
        which, path = agora.annotations(root, split, source)
        which = which if which in _TOPS else "hand4whole"
        listed = persons(path, split, which)
        for name in progress(listed, desc=f"crops of {split}"):
            folder = path.parent / _TOPS[which][0] / f"{Path(name).parent.name}_crop"
            todo = [(folder / f"{stem}.json", box) for stem, box in listed[name]]
            todo = [
                (target, box) for target, box in todo if not (target.exists() and target.with_suffix(".png").exists())
            ]
            try:
                written += _write(path.parent / name, todo, which, size) if todo else 0
            except (OSError, pictures.BrokenPicture) as error:
                failed.append((name, f"{type(error).__name__}: {error}"))
    return written, failed


def persons(path, split, which):
    """{picture's path below the data: [(name of a crop, box)]}"""
    top, own, test = _TOPS[which]
    found = {}
    if split == "test":
        for name, entries in agora_files.test_boxes(path).items():
            file = coco.relative(path, name, name)
            boxes = [coco.box(path, entry, "bbox", f"{name}[{n}]")[0] for n, entry in enumerate(entries)]
            found[f"{top}/test/{file}"] = [(f"{Path(file).stem}_{test}_{n}", box) for n, box in enumerate(boxes)]
        return found

    def take(item, where, place):
        number = coco.whole(path, item, "person_id" if which == "hand4whole" else "id", where)
        return number, coco.box(path, item, "bbox", where)[0]

    images, rows = coco.read(path, take, names=("file_name_3840x2160",), sized=False, mend=agora.OFFICIAL)
    for image, (number, box) in rows.values():
        name = images[image].name
        found.setdefault(name, []).append((f"{Path(name).stem}_{own}_{number}", box))
    return found


def _write(path, todo, which, size):
    """The crops of one picture; returns how many there were a box for."""
    data = path.read_bytes()
    pictures.require_whole(data)
    image, count = pictures.decode(data), 0
    for target, box in todo:
        found = cropped(image, box, which, size)
        if found is None:
            continue
        crop, seen, affine = found
        with write_atomic(target.with_suffix(".png")) as temporary:
            temporary.write_bytes(pictures.encode_png(crop))
        told = {"bbox_orig": seen, "affine_mat": affine, "bbox": seen, "img2bb_trans": affine}
        write_json(target, told | {"resized_height": size[1], "resized_width": size[0]})
        count += 1
    return count


def cropped(image, box, which="hand4whole", size=(384, 512)):
    """(crop uint8 (h, w, 3), box (4,) that it shows, map (2, 3) float32 picture -> crop); None for a box without area,
    and, with OSX's, for one of which nothing is inside.
    """
    spec = geometry.PersonInput(size=size)
    if which == "osx":
        seen = geometry.person_box(box, image.shape[1], image.shape[0], spec)
    else:
        seen = geometry.grown_box(box, spec) if box[2] > 0 and box[3] > 0 else None
    if seen is None:
        return None
    x, y, w, h = (float(one) for one in seen)
    affine = geometry.crop_affine((x + 0.5 * w, y + 0.5 * h), (w, h), size)
    return cv2.warpAffine(image, affine, size, flags=cv2.INTER_LINEAR), seen, affine
