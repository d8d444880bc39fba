"""AGORA (Patel et al., CVPR 2021): rendered crowds, from the annotation files of Hand4Whole's code or of OSX's.

``root`` holds ``data/`` (or is it). What lies there, by whose conversion of the official data frames it is (their
tools', or `handlib.datasets.agora_parsing.parse`):

- Hand4Whole: ``AGORA_{train,validation}_SMPLX.json``; a file of SMPL-X parameters in the camera's frame for each
  person, one of the camera for each picture; crops ``images_3840x2160/<folder>_crop/<picture>_person_id_<n>.png``.
- OSX: ``AGORA_{train,validation}.json``; files of 127 joints in pixels and in metres and of 10475 vertices, in the
  camera's frame, and of parameters in the world's; crops ``3840x2160/<folder>_crop/<picture>_ann_id_<n>.png``.
- the test split: ``AGORA_test_bbox.json``, boxes; crops ``…/test_crop/<picture>_person_id_<n>.png`` or ``_pid_<n>``,
  pictures of 1280 x 720 in ``test/``.

Annotated boxes and pixels are those of 3840 x 2160. Beside each crop lies a JSON file that says where it is from. The
shapes belong to models of men, women and children, of which the neutral model is made to wear the first 10 numbers, as
published; ``gender`` says whose they are.
"""

from pathlib import Path

import numpy as np

from handlib import geometry
from handlib.bodies.free_body import GENDERS
from handlib.datasets import agora_files as files
from handlib.datasets import agora_frames, coco, people
from handlib.datasets.base import Skip, fits_of
from handlib.files import InputError, require_known, shown

SPLITS = ("train", "validation", "test")
SOURCES = {"hand4whole": "AGORA_{}_SMPLX.json", "osx": "AGORA_{}.json"}
RESOLUTIONS = ("3840x2160", "1280x720")
FULL = (3840, 2160)
OFFICIAL = (
    "put the official data frames and fits there, of which `handlib prepare agora` makes it, or what the AGORA tools "
    "of Hand4Whole or OSX made of them"
)
_CUT = "`handlib prepare agora` cuts them of the pictures of 3840 x 2160"
_TEST = "AGORA_test_bbox.json"
_BOXES = {"lhand_bbox": "left", "rhand_bbox": "right", "face_bbox": "face"}


def splits(root, source="any"):
    """The splits that are in ``root``. InputError for none."""
    found = [split for split in SPLITS if any(folder and _path(folder, split, source) for folder in _folders(root))]
    if not found:
        problem = f"holds no data/{SOURCES['hand4whole'].format('train')}, nor OSX's, nor {_TEST}"
        raise InputError(root, problem, _mend(root, SPLITS[:2]))
    return found


def variant(source="any", resolution="3840x2160"):
    """What tells packs of one split apart, as a name."""
    return "_".join([*([source] if source != "any" else []), *([resolution] if resolution != RESOLUTIONS[0] else [])])


def _folders(root):
    return Path(root) / "data", Path(root)


def _path(folder, split, source):
    """(which source, the annotations' path), or None."""
    if split == "test":
        return ("any", folder / _TEST) if (folder / _TEST).exists() else None
    paths = {name: folder / file.format(split) for name, file in SOURCES.items() if source in ("any", name)}
    return next(((name, path) for name, path in paths.items() if path.exists()), None)


def annotations(root, split, source="any"):
    """(whose annotations: "hand4whole", "osx", or "any" for the test split; their path). InputError for none."""
    found = next((which for folder in _folders(root) if (which := _path(folder, split, source))), None)
    if found is None:
        name = _TEST if split == "test" else " or ".join(file.format(split) for file in SOURCES.values())
        raise InputError(Path(root) / "data", f"holds no {name}", _mend(root, [split]))
    return found


def _mend(root, splits):
    """What to do where there are no annotations: another thing where the data frames to make them of are there."""
    if splits == ["test"]:
        return "get it from the page of Hand4Whole's AGORA tool, https://github.com/mks0601/Hand4Whole_RELEASE"
    if not any(agora_frames.find(root, split)[1] for split in splits):
        return OFFICIAL
    return (
        f"make it of the data frames, which are there: `handlib prepare agora {root} --bodies FOLDER`, FOLDER that of "
        "SMPLX_MALE.npz, SMPLX_FEMALE.npz and SMPLX_NEUTRAL.npz"
    )


def prepare(root, bodies=None):
    """Annotations of splits that have data frames alone, and the crops that are not there (`agora_parsing`,
    `agora_crops`) -> DataFrame of what was done.
    """
    import pandas

    from handlib.datasets import agora_crops, agora_parsing

    bare = [split for split in SPLITS[:2] if agora_frames.find(root, split)[1]]
    bare = [split for split in bare if not any(_path(folder, split, "any") for folder in _folders(root))]
    done = [("annotations", path.name) for path in agora_parsing.parse(root, bodies, bare)] if bare else []
    written, failed = agora_crops.make(root)
    done += [("crops", f"{written} written")] + [("not cut", f"{name}: {why}") for name, why in failed[:3]]
    done += [("not cut", f"{len(failed)} pictures in all")] if len(failed) > 3 else []
    return pandas.DataFrame(done, columns=["what", "result"])


def reader(root, split, source="any", resolution="3840x2160"):
    """`Agora`."""
    return Agora(root, split, source, resolution)


class Agora(people.People):
    """Samples of one person each, in the annotations' order.

    split: "train", "validation" or "test" (boxes alone); source: whose files, "hand4whole", "osx" or "any" (the first
    that is there); resolution: "3840x2160", of which the crops are read, or "1280x720", whole pictures.

    A crop is what the network sees (``bbox_final``); ``picture`` and ``picture_affine`` say of what. With Hand4Whole's
    files the joints are those of the fit (``joints_of_fit``); with OSX's they are annotated, the fit's root rotation
    and joints are not valid, and validation has ``smplx_verts``. ``person``: Hand4Whole's person_id, OSX's
    annotation id, the box's place in the test file. Quirk, as published: boxes of hands and face of crops are brought
    inside as if the crop had 3840 x 2160 pixels.

    Raises InputError for missing, cut or odd files. Skipped and counted in iterating: persons marked as not valid,
    without a crop or with boxes that keep nothing of the picture.
    """

    def __init__(self, root, split, source="any", resolution="3840x2160"):
        super().__init__("agora", split)
        require_known([split], SPLITS, "AGORA", "split")
        require_known([source], ("any", *SOURCES), "AGORA", "source")
        require_known([resolution], RESOLUTIONS, "AGORA", "resolution")
        self.source, path = annotations(root, split, source)
        self.resolution = resolution
        self.folder, self.crops = path.parent, resolution == "3840x2160"
        self.options = {"source": self.source, "resolution": resolution}
        self.sources[path.name] = path
        self.facts["fits_of"] = fits_of(self.folder, "SMPL-X")
        self.complete = complete
        self.people = list(self._boxes(path) if split == "test" else self._annotations(path))

    def _boxes(self, path):
        for picture, (name, entries) in enumerate(files.test_boxes(path).items()):
            for number, entry in enumerate(entries):
                box, whole = coco.box(path, entry, "bbox", f"{name}[{number}]")
                yield picture, number, f"test/{name}", box, whole, {}, None, {}

    def _annotations(self, path):
        wanted = files.PATHS[self.source]

        def take(item, where, place):
            box, whole = coco.box(path, item, "bbox", where)
            boxes = {ours: coco.numbers(path, item, name, (4,), where) for name, ours in _BOXES.items()}
            paths = {kind: coco.relative(path, item.get(name), f"{where}.{name}") for kind, name in wanted.items()}
            number = coco.whole(path, item, "person_id" if self.source == "hand4whole" else "id", where)
            if not item.get("is_valid", True):
                return number, None
            gender = item.get("gender") or "neutral"
            if gender not in GENDERS:
                raise InputError(path, f"is {shown(gender)}", f"one of {', '.join(GENDERS)}", f"{where}.gender")
            return number, box, whole, boxes, gender, paths

        names = ("file_name_3840x2160", "file_name_1280x720")
        pictures, rows = coco.read(path, take, names=names, sized=False, mend=OFFICIAL)
        for image, (number, *rest) in rows.values():
            picture = pictures[image]
            if rest[0] is None:
                yield Skip(f"{picture.name.rsplit('.', 1)[0]}/{number}", "person is marked as not valid")
            elif self.crops:
                yield image, number, picture.name, *rest
            else:
                yield image, number, coco.relative(path, picture.members[names[1]], names[1]), *rest

    def sample(self, *person):
        return files.opened(self._light(*person))

    def light(self, index):
        """A sample whose own files are still to be opened. Raises Skip."""
        person = self.people[index]
        if isinstance(person, Skip):
            raise person
        return self._light(*person)

    def _light(self, image, number, name, box, whole, boxes, gender, paths):
        stem, folder = Path(name).stem, Path(name).parent.name
        key = f"{folder}/{stem}/{number}"
        where = (self._cropped if self.crops else self._whole)(key, folder, stem, name, number, box, whole, boxes)
        out = people.start(key, where.pop("path"), where.pop("size"), image, number) | where
        out |= {"picture": f"{stem.removesuffix('_1280x720')}.png", "gender": gender or "neutral"}
        kinds = {kind: str(self.folder / one) for kind, one in paths.items()}
        if self.split != "validation":
            kinds.pop("verts", None)
        return out | {"files": (self.source, kinds)}

    def _cropped(self, key, folder, stem, name, number, box, whole, boxes):
        found = files.crop_of(self.folder, folder, stem, number, self.source)
        if found is None:
            raise Skip(key, "there is no crop of this person", f"{folder}_crop/{stem}, person {number}; {_CUT}")
        path, size, affine = found
        mapped = {}
        for part, (x, y, w, h) in boxes.items():
            low, high = geometry.apply_affine(np.array([[x, y], [x + w, y + h]]), affine.astype(np.float32))
            mapped[part] = geometry.inside_box([*low, *(high - low)], *FULL)
        return {
            "path": path, "size": size, "picture_affine": affine, "bbox_final": np.bool_(True),
            "bbox": np.array([0, 0, size.width, size.height], np.float32), "bbox_whole": np.bool_(False),
            **people.part_boxes(**mapped),
        }  # fmt: skip

    def _whole(self, key, folder, stem, name, number, box, whole, boxes):
        size, scale = coco.Picture(name, 1280, 720, {}), np.array([1280 / 3840, 720 / 2160] * 2)
        mapped = {part: geometry.inside_box(one * scale, 1280, 720) for part, one in boxes.items()}
        affine = np.array([[scale[0], 0, 0], [0, scale[1], 0]])
        out = {"path": self.folder / name, "size": size, "picture_affine": affine} | people.part_boxes(**mapped)
        return out | people.boxed(key, box.astype(np.float64) * scale, False, size)


def complete(sample):
    """The sample with its own files opened and its picture. Raises Skip."""
    return people.complete(files.opened(sample) if "files" in sample else sample)
