"""Pictures to try a Predictor on where one has none of one's own: from a data root, with their annotated boxes."""

import dataclasses
import shutil
from pathlib import Path

import cv2
import numpy as np

from handlib import datasets, training
from handlib.files import InputError, write_atomic, write_json
from handlib.predict import reading
from handlib.predict.prediction import SIDES
from handlib.runs import from_root

# (data set, split): what notebook 04 learns by heart as it stands, then what it never saw.
_TAKEN = (("ho3d", "train"), ("ho3d", "evaluation"), ("dexycb", "test"))
PAN = (360, 480)  # height, width of the clip's window


@dataclasses.dataclass(frozen=True)
class Examples:
    """``folder`` of pictures, ``boxes`` (a file of `handlib.predict.box_files`), ``focal``: px, the mean of theirs."""

    folder: Path
    boxes: Path
    focal: float


def write(data, out, each=2):
    """Copy ``each`` pictures from every split of `_TAKEN` that lies under the data root, with their boxes.

    data: a data root; out: the folder ``pictures`` and ``boxes.json`` are made in. Names say their order, data set and
    split. InputError where the root holds none of these data sets.
    """
    out, hands, focal = Path(out), {}, []
    with write_atomic(out / "pictures") as folder:
        folder.mkdir()
        for dataset, split in _TAKEN:
            root = from_root(data) / datasets.FOLDERS[dataset]
            if not root.is_dir() or split not in datasets.splits(dataset, root):
                continue
            reader = datasets.read(dataset, root, split)
            for number in training.subset(len(reader), each):
                sample = reader[int(number)]
                path = Path(sample["image_path"])
                name = f"{len(hands) + 1:02d}_{dataset}_{split}_{number}{path.suffix}"
                shutil.copyfile(path, folder / name)
                side = SIDES[int(sample["side"][0])]
                hands[name] = [{"box": [round(float(value), 1) for value in sample["bbox"]], "side": side}]
                focal.append(sample["K"][0, 0])
        if not hands:
            mend = "`handlib demo` makes them; or give `source` and `boxes`"
            raise InputError(data, "holds neither HO3D/ nor DexYCB/", mend)
    write_json(out / "boxes.json", hands)
    return Examples(out / "pictures", out / "boxes.json", round(float(np.mean(focal)), 1))


def pan(picture, box, side, out, frames=24, tremble=0.02, seed=0):
    """A clip where there is no video: a window moves over a picture, and its box trembles as a detector's would.

    picture: whatever `reading.read` takes; box (4,) and side ("right", "left", 0, 1): of the hand in it; tremble:
    standard deviation in box sides. Writes numbered PNGs and ``boxes.json`` into ``out``; returns `Examples` (whose
    focal is NaN).
    """
    image = reading.read(picture).image
    out, rng, hands = Path(out), np.random.default_rng(seed), {}
    box, (h, w) = np.asarray(box, float), [min(length, whole) for length, whole in zip(PAN, image.shape, strict=False)]
    room = np.array([image.shape[1] - w, image.shape[0] - h])
    middle = np.clip(box[:2] + box[2:] / 2 - np.array([w, h]) / 2, 0, room)
    reach = np.minimum(0.12 * np.array([w, h]), np.minimum(middle, room - middle))
    with write_atomic(out / "pictures") as folder:
        folder.mkdir()
        for frame, phase in enumerate(np.linspace(0, np.pi, frames)):
            x, y = np.rint(middle + reach * [-np.cos(phase), np.sin(phase)]).astype(int)
            name = f"{frame:04d}.png"
            if not cv2.imwrite(str(folder / name), image[y : y + h, x : x + w, ::-1]):
                raise OSError(f"{folder / name} could not be written")
            shaken = box + tremble * box[2:].max() * rng.standard_normal(4) - [x, y, 0, 0]
            hands[name] = [{"box": shaken.round(1).tolist(), "side": side if side in SIDES else SIDES[int(side)]}]
    write_json(out / "boxes.json", hands)
    return Examples(out / "pictures", out / "boxes.json", float("nan"))
