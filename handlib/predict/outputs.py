"""What a job's predictions become: files for each picture, or for a clip as a whole."""

import contextlib
from pathlib import Path

import cv2
import numpy as np

from handlib import export, pictures
from handlib.files import InputError, progress, write_atomic
from handlib.predict import FORMATS, reading
from handlib.predict.prediction import Prediction

_CLIP = {"glb", "overlay"}  # made once for a clip, not for each of its frames


class Kept:
    """The predictions of a job, read from disk one by one, in the source's order; those not made are left out."""

    def __init__(self, out, names):
        self.out = Path(out)
        self.names = [name for name in names if self.path(name).exists()]

    def path(self, name):
        return self.out / "predictions" / f"{name}.npz"

    def __len__(self):
        return len(self.names)

    def __iter__(self):
        return (Prediction.load(self.path(name)) for name in self.names)


def write(kept, source, predictor, formats, smooth, constant_shape, show):
    """Write the formats; returns the jitter table of a smoothed clip, or None."""
    formats, table, made = [one for one in FORMATS[1:] if one in formats], None, kept
    ending = ""
    if smooth is not None:
        made, table = _smoothed(kept, source.fps, predictor.layers, smooth, constant_shape)
        ending = f"_{smooth}"
    clip = source.fps is not None
    for name in formats:
        if clip and name in _CLIP:
            continue
        fresh = kept.out / f"{name}{ending}"
        for prediction in progress(made, total=len(kept), desc=name, disable=not show):
            path = fresh / f"{prediction.name}.{'png' if name == 'overlay' else name}"
            if smooth is None and (path.exists() or (name in ("obj", "glb") and not len(prediction))):
                continue
            if len(prediction) or name not in ("obj", "glb"):
                _one(name, prediction, path, source, predictor)
    if clip and "glb" in formats and any(len(one) for one in made):
        frames = _every_frame(list(made), source)
        path = kept.out / f"{predictor.subject.plural}{ending}.glb"
        export.glb_clip(frames, path, predictor.layers, source.fps)
    if clip and "overlay" in formats:
        _video(made, source, kept.out / f"overlay{ending}.mp4", show)
    return table


def _smoothed(kept, fps, layers, method, constant_shape):
    """The whole clip in memory (some 15 kB for each hand of a frame, 260 kB for each person), smoothed, and how steady
    it was and is.
    """
    from handlib import smoothing

    before = list(kept)
    after = smoothing.smooth(before, fps, layers, method, constant_shape)
    table = smoothing.compare({"before": before, "after": after}, fps)
    with write_atomic(kept.out / "jitter.csv") as temporary:
        table.to_csv(temporary, index=False)
    return after, table


def _one(name, prediction, path, source, predictor):
    """One picture's file in one format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "json":
        export.parameters(prediction, path)
    elif name == "obj":
        export.obj(prediction, path)
    elif name == "glb":
        export.glb(prediction, path, predictor.layers)
    else:
        picture = source.files[source.names.index(prediction.name)]
        drawn = export.overlay(reading.read(picture).image, prediction)
        with write_atomic(path) as temporary:
            pictures.write(temporary, drawn)


def _every_frame(made, source):
    """Predictions in order, with an empty one where a frame has none: a clip's time goes on."""
    if source.names is not None:
        order = {name: number for number, name in enumerate(source.names)}
    else:
        order = {one.name: int(one.name) for one in made}
    frames = [made[0].only(slice(0, 0))] * (max(order[one.name] for one in made) + 1)
    for one in made:
        frames[order[one.name]] = one
    return frames


def _video(made, source, path, show):
    """The clip with its hands or persons drawn in; a frame of another size is fitted into the first one's."""
    named = {one.name: one for one in made} if isinstance(made, list) else None
    size, kept = None, made
    with contextlib.ExitStack() as stack:
        for _, name, given in progress(source.frames(), total=len(source) or None, desc="overlay", disable=not show):
            try:
                picture = reading.read(given, name)
            except InputError:
                continue  # it stands in skipped.csv
            if size is None:
                size = tuple(value - value % 2 for value in picture.size)  # codecs want even sides
                video = stack.enter_context(export.OverlayVideo(path, source.fps, size))
            one = named.get(name) if named is not None else _loaded(kept, name)
            drawn = picture.image if one is None else export.overlay(picture.image, one)
            video.write(_fitted(drawn, size))


def _loaded(kept, name):
    path = kept.path(name)
    return Prediction.load(path) if path.exists() else None


def _fitted(picture, size):
    """The picture itself where it has the size but for an odd last row or column; else made smaller or larger, with
    black beside it.
    """
    height, width = picture.shape[:2]
    if 0 <= width - size[0] <= 1 and 0 <= height - size[1] <= 1:
        return np.ascontiguousarray(picture[: size[1], : size[0]])
    scale = min(size[0] / width, size[1] / height)
    inner = (max(1, int(width * scale)), max(1, int(height * scale)))
    out = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    out[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    return out
