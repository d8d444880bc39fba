"""Many pictures, or a video, to a folder of results that grows picture by picture and can be gone on with.

OUT/job.json                 what was asked for; another question to the same folder is refused
OUT/predictions/NAME.npz     a `Prediction` for each picture, whole or not at all
OUT/hands.csv, skipped.csv   every hand (persons.csv: every person); every box and picture left out, and why
OUT/json, obj, glb, overlay  what else was asked for, made from the predictions (…_METHOD where smoothed)
OUT/overlay.mp4, hands.glb   the same of a clip (persons.glb); OUT/jitter.csv before and after smoothing
"""

import dataclasses
from pathlib import Path

import numpy as np

from handlib.atomic import there
from handlib.files import InputError, progress, read_json, require_known, sha256, write_atomic, write_json
from handlib.predict import FORMATS, WHOLE, outputs, sources
from handlib.predict.box_files import BoxFile
from handlib.predict.predictor import Item, Unusable


@dataclasses.dataclass(frozen=True, eq=False)
class Done:
    """``folder``; pandas tables ``found``, with a row for each hand or person, and ``skipped``; ``jitter`` of a clip
    that was smoothed, or None; ``made``: how many pictures were predicted in this run; ``remarks``: what is to be said
    of the source.
    """

    folder: Path
    found: object
    skipped: object
    jitter: object
    made: int
    remarks: list


def run(
    predictor, source, out, boxes=None, sides=None, K=None, formats=("npz",), smooth=None, fps=None,
    constant_shape=True, show=True,
):  # fmt: skip
    """Predict a whole source and write ``out``; run it again to go on where it stopped. Returns a `Done`.

    source: a folder, a video, a list, or what `sources.open_source` gave; fps: makes a clip of a folder or list.
    boxes: a file (`box_files`), a `BoxFile`, "whole" (every picture shows one hand or person), or None: the predictor's
        detector finds them, also in pictures that a file does not name. sides: of hands for which the file says none.
    K: (3, 3) of every picture; None: as the predictor's ``focal`` says.
    formats: of npz (always), json, obj, glb, overlay. smooth: for clips, a method of `handlib.smoothing` ("none" makes
        the shape constant and nothing else); None: not at all. constant_shape: one shape for each track of a clip.
        Formats and smoothing may differ from run to run: predictions are kept as the network made them.
    show: a progress bar.

    What cannot be used (a box outside the picture, a file that does not open) is left out and stands in skipped.csv;
    InputError comes where nothing could be right: other settings than the folder was begun with, a box file of other
    pictures, an empty source.
    """
    require_known(formats, FORMATS, "formats", "format")
    source, out = sources.open_source(source, fps), Path(out)
    if smooth is not None and source.fps is None:
        raise InputError("smooth", "is for clips", "give a video, or fps for a folder whose pictures are frames")
    chooser = _Boxes(predictor, boxes, sides)
    if chooser.file is not None and source.names is not None:
        chooser.file.require_used(source.names)
    _begin(out, predictor, source, chooser, K)
    unusable, made = _predict(predictor, source, out, chooser, K, show)
    names = source.names or sorted(path.name.removesuffix(".npz") for path in (out / "predictions").glob("*.npz"))
    kept = outputs.Kept(out, names)
    found, skipped = _tables(kept, unusable, out, predictor.subject)
    jitter = outputs.write(kept, source, predictor, formats, smooth, constant_shape, show)
    return Done(out, found, skipped, jitter, made, list(source.remarks))


class _Boxes:
    """Boxes of each picture from what `run` was given."""

    def __init__(self, predictor, given, sides):
        self.layer, self.sides, self.whole = predictor.reader.layer, sides, isinstance(given, str) and given == WHOLE
        subject = predictor.subject
        known = given is None or self.whole or isinstance(given, BoxFile)
        self.file = None if given is None or self.whole else given if known else BoxFile(given, subject)
        mend = "give boxes (a file, or 'whole'), or the Predictor a detector"
        if given is None and predictor.detector is None:
            raise InputError("boxes", "are not given, and there is no detector", mend)
        if sides is not None and not subject.sided:
            raise InputError("sides", f"are said, and {subject.plural} have none", "leave them out")
        if self.whole and sides is None and subject.sided:
            raise InputError("sides", "are not said", "say 'right' or 'left' of the hand that every picture shows")

    def of(self, name, number):
        """A callable as `Item.boxes`, or None: the detector's."""
        if self.whole:
            return lambda picture, K: ([[0, 0, *picture.size]], self.sides, None)
        if self.file is None or self.file.key_of(name, number) is None:
            return None
        return lambda picture, K: self.file.of(name, number, K, self.layer, self.sides)

    def facts(self):
        known = {"boxes": WHOLE if self.whole else "detector", "sides": self.sides}
        return known | ({"boxes": sha256(self.file.path)} if self.file is not None else {})


def _begin(out, predictor, source, chooser, K):
    """Write job.json, or compare with the one there."""
    facts = predictor.facts() | chooser.facts() | source.facts() | {"K": None if K is None else np.asarray(K).tolist()}
    path = out / "job.json"
    if not path.exists():
        if out.exists() and any(out.iterdir()):
            raise InputError(out, "is not empty and holds no job.json", "give a new folder, or that of an earlier run")
        write_json(path, facts)
        return
    before = read_json(path)
    if not isinstance(before, dict):
        raise InputError(path, "is no job's file", "give a new folder, or that of an earlier run")
    for name in sorted(before.keys() | facts.keys()):
        if before.get(name) != facts.get(name):
            problem = f"was begun with {_short(before.get(name))}, not {_short(facts.get(name))}"
            raise InputError(path, problem, "give the same again, or another folder", name)


def _short(value):
    text = str(value)
    return text if len(text) < 80 else text[:77] + "…"


def _predict(predictor, source, out, chooser, K, show):
    """Whatever is not done yet. Returns the pictures that could not be used, and the number of those that were made."""
    unusable, made = [], 0
    bar = progress(total=len(source) or None, desc="predict", unit="picture", disable=not show)

    def wanted(name):
        done = there(path_of(out, name))
        bar.update(done)
        return not done

    items = (Item(picture, chooser.of(name, number), None, K, name) for number, name, picture in source.frames(wanted))
    with bar:
        for one in predictor.many(items, skip=True):
            bar.update(1)
            if isinstance(one, Unusable):
                unusable.append(one)
                continue
            one.save(path_of(out, one.name))
            made += 1
    return unusable, made


def path_of(out, name, folder="predictions", suffix=".npz"):
    """Where a picture's result lies; pictures of subfolders in subfolders, suffix and all."""
    return out / folder / f"{name}{suffix}"


def _tables(kept, unusable, out, subject):
    """hands.csv or persons.csv, and skipped.csv, also as pandas tables."""
    import pandas as pd

    rows, skipped = [], [(one.name, -1, one.reason) for one in unusable]
    for made in kept:
        skipped += [(made.name, number, why) for number, why in made.skipped]
        doubtful, places = made.doubtful, made.joints_cam[:, 0]
        for number, label in enumerate(made.labels):
            facts = (made.score[number], made.reprojection_px[number], bool(doubtful[number]))
            which = (number, label) if subject.sided else (number,)
            rows.append((made.name, *which, *made.boxes[number], *facts, *places[number], made.K[0, 0]))
    columns = ["picture", subject.noun, *(["side"] if subject.sided else []), *"xywh", "score", "reprojection_px"]
    columns += ["doubtful", *(f"{subject.root}_{axis}_m" for axis in "xyz"), "focal_px"]
    tables = pd.DataFrame(rows, columns=columns), pd.DataFrame(skipped, columns=["picture", "box", "reason"])
    for name, table in zip((subject.plural, "skipped"), tables, strict=True):
        with write_atomic(out / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
    return tables
