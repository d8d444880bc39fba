"""UBody's pictures, cut from its videos: 30 per second, numbered from 1, as OSX's tool cuts them.

``videos/<scene>/<video>.mp4`` below the data set's folder become ``images/<scene>/<video>/000001.png`` and so on. A
video of another rate loses or doubles frames, as with ffmpeg's ``-r 30``: a frame begins at the picture that is
nearest to it in time.
"""

from pathlib import Path

import pandas as pd

from handlib import pictures
from handlib.files import InputError, progress, require, write_atomic

RATE = 30.0
KINDS = (".mp4", ".mkv", ".avi", ".mov", ".webm")
MARK = ".whole"  # written last into a video's folder


def cut(root, scenes=None, videos=None):
    """Cut the videos of scenes (default: all that are there) into pictures; what is already whole is left as it is.

    videos: names of a scene's videos, without their ending (default: all). Returns a DataFrame with a row per video:
    scene, video, pictures, remark: what was seen while it was read, such as that it ends early or cannot be decoded; of
    one that cannot be decoded at all there are no pictures, and the others go on. Raises InputError where there is no
    video. Run again after a kill, it goes on with the videos that are not whole.
    """
    folder = require(Path(root) / "videos", "put the videos of UBody there, in a folder for each scene")
    found = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in KINDS)
    found = [path for path in found if _asked(path.parent.name, scenes) and _asked(path.stem, videos)]
    if not found:
        raise InputError(folder, f"holds no <scene>/<video> ({', '.join(KINDS)}) that is asked for", "see its scenes")
    rows = [_one(path, Path(root) / "images" / path.parent.name / path.stem) for path in progress(found, desc="videos")]
    return pd.DataFrame(rows, columns=("scene", "video", "pictures", "remark"))


def _asked(name, names):
    return names is None or name in names


def _one(path, folder):
    if (folder / MARK).exists():
        return path.parent.name, path.stem, len(list(folder.glob("*.png"))), "was there"
    try:
        count, remark = _cut(path, folder)
    except InputError as error:
        count, remark = 0, error.problem
    return path.parent.name, path.stem, count, remark


def _cut(path, folder):
    """Write one video's pictures; returns how many, and remarks as text."""
    from handlib.predict.sources import Video

    video, written = Video(path), 0
    with write_atomic(folder) as temporary:
        temporary.mkdir()
        for number, _, frame in video.frames():
            data = None
            until = places(number, video.fps)
            while written < until:
                data = data or pictures.encode_png(frame)
                written += 1
                (temporary / f"{written:06d}.png").write_bytes(data)
        (temporary / MARK).write_text(f"{written}\n")
    return written, "; ".join(video.remarks)


def places(number, rate):
    """How many pictures there are once frame ``number`` (from 0) of a video of ``rate`` frames per second is shown."""
    return int((number + 1) * RATE / rate + 0.5)
