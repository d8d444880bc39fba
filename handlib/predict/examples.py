"""Pictures to try a Predictor on where one has none of one's own: from a data root, with their annotated boxes; and the
network, where there is no checkpoint either.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from handlib import datasets, evaluation, networks, pictures, runs, training
from handlib.files import InputError, require_choice, write_atomic, write_json
from handlib.predict import reading
from handlib.predict.prediction import SIDES
from handlib.predict.subjects import HAND, PERSON
from handlib.runs import from_root

# (data set, split) of each subject: what notebook 04 learns by heart as it stands, then what it never saw; what
# notebook 06 trains on.
_TAKEN = {
    "hand": (("ho3d", "train"), ("ho3d", "evaluation"), ("dexycb", "test")),
    "person": (("mscoco", "train"), ("mscoco", "val")),
}
_FRESH = "hand4whole"
_NONE = "NOTE: no checkpoint is given"
_TRAINED = "06_*/checkpoints/last"  # of whole bodies, in a data root's outputs
PAN = (360, 480)  # height, width of the clip's window


@dataclasses.dataclass(frozen=True)
class Examples:
    """``folder`` of pictures, ``boxes`` (a file of `handlib.predict.box_files`), ``focal``: px, the mean of theirs; NaN
    where they say none.
    """

    folder: Path
    boxes: Path
    focal: float


def network(data, subject="hands", checkpoint="", bodies=None):
    """(a network to show, what is to be said of it): the checkpoint's, or else the last one trained on a data root.

    subject: "hands" or "persons", where no checkpoint is given. Of hands it is notebook 04's, InputError where there is
    none; of persons notebook 06's, or fresh weights.
    """
    require_choice("subject", subject, (HAND.plural, PERSON.plural))
    if checkpoint:
        return networks.load(checkpoint, bodies=bodies), ""
    if subject == HAND.plural:
        net = networks.load(evaluation.checkpoint(data, "ho3d"), bodies=bodies)
        return net, f"{_NONE}; this is the demo network of notebook 04, which knows two frames by heart"
    found = sorted(runs.data_outputs(data).glob(_TRAINED))
    if found:
        run = found[0].parents[1].name
        words = f"{_NONE}; this is the demo network of notebook 06 ({run}), which knows few people by heart"
        return networks.load(found[0], bodies=bodies), words
    words = f"{_NONE}, and notebook 06 has left no network: these are fresh weights of {_FRESH}, which know nothing"
    return networks.create(_FRESH, bodies).eval(), words


def write(data, out, each=2, subject=HAND):
    """Copy ``each`` pictures from every split of `_TAKEN` that lies under the data root, with their boxes.

    data: a data root; out: the folder ``pictures`` and ``boxes.json`` are made in. Names say their order, data set and
    split. InputError where the root holds none of these data sets.
    """
    out, found, focal, taken = Path(out), {}, [], _TAKEN[subject.noun]
    with write_atomic(out / "pictures") as folder:
        folder.mkdir()
        for dataset, split in taken:
            root = from_root(data) / datasets.FOLDERS[dataset]
            if not root.is_dir() or split not in datasets.splits(dataset, root):
                continue
            reader = datasets.read(dataset, root, split)
            for number in training.subset(len(reader), each):
                samples = _of_one_picture(reader, int(number))
                path = Path(samples[0]["image_path"])
                name = f"{len(found) + 1:02d}_{dataset}_{split}_{number}{path.suffix}"
                shutil.copyfile(path, folder / name)
                found[name] = [_box(sample) for sample in samples]
                focal += [sample["K"][0, 0] for sample in samples if sample.get("smplx_valid", (True,))[0]]
        if not found:
            names = " nor ".join(f"{datasets.FOLDERS[name]}/" for name in dict.fromkeys(name for name, _ in taken))
            mend = "`handlib demo` makes them; or give `source` and `boxes`"
            raise InputError(data, f"holds neither {names}" if " nor " in names else f"holds no {names}", mend)
    write_json(out / "boxes.json", found)
    return Examples(out / "pictures", out / "boxes.json", round(float(np.mean(focal)), 1) if focal else float("nan"))


def _of_one_picture(reader, number):
    """The sample of this number and those beside it that are of the same picture."""
    samples = [reader[number]]
    for step in (-1, 1):
        other = number + step
        while 0 <= other < len(reader):
            try:
                sample = reader[other]
            except datasets.Skip:
                break
            if sample["image_path"] != samples[0]["image_path"]:
                break
            samples.insert(0, sample) if step < 0 else samples.append(sample)
            other += step
    return samples


def _box(sample):
    """A sample's hand or person as a file of boxes has it."""
    box = {"box": [round(float(value), 1) for value in sample["bbox"]]}
    return box | ({"side": SIDES[int(sample["side"][0])]} if "side" in sample else {})


def pan(picture, box, label, out, frames=24, tremble=0.02, seed=0):
    """A clip where there is no video: a window moves over a picture, and its box trembles as a detector's would.

    picture: whatever `reading.read` takes; box (4,) and label ("right", "left", "person"): of what is in it; tremble:
    standard deviation in box sides. Writes numbered PNGs and ``boxes.json`` into ``out``; returns `Examples` (whose
    focal is NaN).
    """
    image = reading.read(picture).image
    out, rng, found = Path(out), np.random.default_rng(seed), {}
    box = np.asarray(box, float)
    h, w = (_window(*lengths) for lengths in zip(PAN, box[:1:-1], image.shape, strict=False))
    room = np.array([image.shape[1] - w, image.shape[0] - h])
    middle = np.clip(box[:2] + box[2:] / 2 - np.array([w, h]) / 2, 0, room)
    reach = np.minimum(0.12 * np.array([w, h]), np.minimum(middle, room - middle))
    with write_atomic(out / "pictures") as folder:
        folder.mkdir()
        for frame, phase in enumerate(np.linspace(0, np.pi, frames)):
            x, y = np.rint(middle + reach * [-np.cos(phase), np.sin(phase)]).astype(int)
            name = f"{frame:04d}.png"
            pictures.write(folder / name, image[y : y + h, x : x + w])
            shaken = box + tremble * box[2:].max() * rng.standard_normal(4) - [x, y, 0, 0]
            side = {} if label in PERSON.labels else {"side": label}
            found[name] = [{"box": shaken.round(1).tolist()} | side]
    write_json(out / "boxes.json", found)
    return Examples(out / "pictures", out / "boxes.json", float("nan"))


def _window(usual, box, whole):
    """Length of the window along one side, pixels: the usual one, but most of a larger box, with room to move."""
    return min(max(usual, min(int(1.1 * box), int(0.85 * whole))), whole)
