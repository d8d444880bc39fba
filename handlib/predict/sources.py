"""Where pictures come from: a folder, a list, a video file; one after the other, never all at once."""

import os
from pathlib import Path

import cv2
import numpy as np

from handlib.files import InputError, require
from handlib.predict import reading

VIDEOS = tuple(".mp4 .mov .avi .mkv .webm .m4v .mpg .mpeg .wmv".split())


def open_source(source, fps=None):
    """A `Folder`, a `Video` or a `List`. fps: pictures of a folder or list are frames of a clip, so many per second.

    source: a folder's path, a video's path, a picture's path, or a list of what `reading.read` takes. InputError where
    there is nothing, or nothing that is known.
    """
    if isinstance(source, Folder | Video | List):
        return source
    if isinstance(source, str | Path):
        if "://" in str(source):
            raise InputError(source, "is an address, not a file", "download it and give the path")
        path = require(source, "give a folder of pictures, a video or a picture")
        if path.is_dir():
            return Folder(path, fps)
        if path.suffix.lower() in VIDEOS:
            return Video(path)
        return List([path], fps)
    return List(source, fps)


class Folder:
    """Every picture in a folder and below it, by name."""

    def __init__(self, path, fps=None):
        self.path, self.fps, self.remarks = Path(path), fps, []
        found = (one for one in self.path.rglob("*") if one.suffix.lower() in reading.SUFFIXES and one.is_file())
        self.files = sorted(one for one in found if not any(part.startswith(".") for part in one.parts[1:]))
        if not self.files:
            raise InputError(path, "holds no pictures", f"known: {', '.join(reading.SUFFIXES)}")
        self.names = [one.relative_to(self.path).as_posix() for one in self.files]

    def facts(self):
        return {"folder": str(self.path.resolve())}

    def __len__(self):
        return len(self.files)

    def frames(self, wanted=lambda name: True):
        """(number, name, picture as `reading.read` takes it) of the pictures whose names are ``wanted``."""
        for number, (name, file) in enumerate(zip(self.names, self.files, strict=True)):
            if wanted(name):
                yield number, name, file


class List(Folder):
    """Paths, arrays and PIL images, as they are; names are the paths' last parts, or numbers."""

    def __init__(self, given, fps=None):
        self.files, self.fps, self.remarks = list(given), fps, []
        if not self.files:
            raise InputError("source", "is an empty list", "give pictures")
        names = [Path(one).name if isinstance(one, str | Path) else "" for one in self.files]
        whole = all(names) and len(set(names)) == len(names)
        self.names = names if whole else [f"{number:06d}_{name}".rstrip("_") for number, name in enumerate(names)]

    def facts(self):
        paths = [os.path.abspath(one) if isinstance(one, str | Path) else _sum(one) for one in self.files]
        return {"list": paths}


def _sum(picture):
    """A number by which a picture in memory is known again."""
    import zlib

    array = np.ascontiguousarray(picture)
    return f"{array.shape} {array.dtype} {zlib.crc32(array.tobytes()):08x}"


class Video:
    """The frames of a video file, numbered from 0, as it is shown (its orientation applied).

    ``fps``; ``declared``: how many frames its header says there are (it may be wrong, or say nothing: 0); ``remarks``:
    what was seen while it was read, such as that it ended early.
    """

    def __init__(self, path):
        self.path, self.remarks = Path(path), []
        capture = self._open()
        self.fps = float(capture.get(cv2.CAP_PROP_FPS))
        self.declared = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        capture.release()
        if not (np.isfinite(self.fps) and 0 < self.fps <= 1000):
            self.remarks.append("its header says no rate: 30 frames per second are assumed")
            self.fps = 30.0
        self.names = None

    def facts(self):
        return {"video": str(self.path.resolve()), "bytes": self.path.stat().st_size}

    def __len__(self):
        return self.declared

    def name(self, number):
        return f"{number:06d}"

    def _open(self):
        require(self.path, "give the path of a video")
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            capture = cv2.VideoCapture(str(self.path))
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not capture.isOpened():
            mend = "copy it again, or convert it (ffmpeg -i FILE -c:v libx264 FILE.mp4)"
            raise InputError(self.path, "cannot be opened as a video: damaged, cut short, or of an unknown kind", mend)
        return capture

    def frames(self, wanted=lambda name: True):
        """See `Folder.frames`; pictures are arrays. Frames that are not wanted are not decoded to pixels."""
        capture, number, size = self._open(), 0, None
        self.remarks = [remark for remark in self.remarks if remark.startswith("its header")]
        try:
            while capture.grab():
                name = self.name(number)
                if wanted(name):
                    there, frame = capture.retrieve()
                    if not there or frame is None:
                        self.remarks.append(f"frame {number} does not decode and was left out")
                    else:
                        size = self._seen(frame.shape[1::-1], size, number)
                        yield number, name, _rgb(frame)
                number += 1
        finally:
            capture.release()
        self._ended(number)

    def _seen(self, size, first, number):
        if first is not None and size != first and len(self.remarks) < 20:
            self.remarks.append(f"frame {number} is {size[0]} x {size[1]}, the first one {first[0]} x {first[1]}")
        return first or size

    def _ended(self, count):
        if not count:
            mend = "copy it again, or convert it (ffmpeg -i FILE -c:v libx264 FILE.mp4)"
            raise InputError(self.path, "holds no frame that can be read", mend)
        if self.declared > count:
            self.remarks.append(
                f"ended after {count} of the {self.declared} frames that its header says: the file is cut short or "
                "damaged; what was there is done"
            )


def _rgb(frame):
    """OpenCV's frame -> uint8 (h, w, 3) RGB."""
    if frame.ndim == 2:
        return np.repeat(frame[..., None], 3, 2)
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
