"""Hands and persons drawn over their pictures, and videos of such pictures."""

import contextlib
from pathlib import Path

import cv2
import numpy as np

from handlib import render
from handlib.files import InputError, write_atomic
from handlib.viewer import palette

# What the opencv-python wheels can write everywhere. H.264 they cannot; browsers play the .webm. (FFmpeg remarks on
# stderr that VP80 is no tag of WebM, which has none, and writes it all the same.)
CODECS = {".mp4": "mp4v", ".webm": "VP80", ".avi": "MJPG"}


def meshes(prediction, which=None):
    """Hands or persons as `handlib.render` takes them, in their colours, wrists closed; which: numbers (None: all)."""
    labels, drawn = prediction.labels, []
    for number in range(len(prediction)) if which is None else which:
        mesh = prediction.verts_cam[number], prediction.faces_of(number)
        mesh = render.seal(*mesh) if prediction.subject.sided else mesh
        drawn.append(render.Mesh(*mesh, colours=palette.lit(labels[number], number)))
    return drawn


def overlay(image, prediction, opacity=0.9, which=None):
    """The picture with its hands or persons drawn over it: uint8 (h, w, 3) RGB, a new one.

    image: uint8 (h, w, 3) RGB, the picture that was predicted on, upright; opacity 0..1; which: numbers (None: all).
    Raises InputError when the picture has another size or an opacity makes no sense.
    """
    image = np.asarray(image)
    size = tuple(int(value) for value in prediction.size)
    if image.dtype != np.uint8 or image.shape != (size[1], size[0], 3):
        problem = f"the picture is {image.dtype} {image.shape}, the prediction was made on {size[0]} x {size[1]}"
        raise InputError(prediction.name, problem, "give that picture as uint8 RGB, turned as EXIF says", "image")
    if not 0 <= opacity <= 1:
        raise InputError(prediction.name, f"opacity {opacity}", "give a number from 0 to 1", field="opacity")
    drawn = meshes(prediction, which)
    return render.overlay(image, drawn, prediction.K, alpha=opacity) if drawn else image.copy()


class OverlayVideo:
    """A video file, frame by frame; it appears whole or not at all.

        with export.OverlayVideo("hands.mp4", fps, (width, height)) as video:
            video.write(export.overlay(frame, prediction))

    path: .mp4 (MPEG-4), .webm (VP8: plays in browsers) or .avi; fps > 0; size (width, height). An error inside the
    block, or a video that does not read back with every frame, leaves an older file as it was. Raises InputError for an
    unknown kind of file, a size or a rate that is none, a frame of another size, and a video without frames.
    """

    def __init__(self, path, fps, size):
        self.path, self.fps, self.size, self.frames = Path(path), float(fps), tuple(int(v) for v in size), 0
        if self.path.suffix.lower() not in CODECS:
            raise InputError(path, "is no kind of video known here", f"end it in one of: {', '.join(CODECS)}")
        if not (np.isfinite(self.fps) and self.fps > 0 and len(self.size) == 2 and min(self.size) > 0):
            raise InputError(path, f"{fps} frames per second of {size}", "give a rate and (width, height) above 0")

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        self._temporary = self._stack.enter_context(write_atomic(self.path))
        codec = cv2.VideoWriter_fourcc(*CODECS[self.path.suffix.lower()])
        self._writer = cv2.VideoWriter(str(self._temporary), codec, self.fps, self.size)
        if not self._writer.isOpened():
            self._stack.__exit__(OSError, OSError(), None)
            raise OSError(f"{self.path}: this OpenCV cannot write {CODECS[self.path.suffix.lower()]}")
        return self

    def write(self, picture):
        """Append a picture, uint8 (h, w, 3) RGB."""
        picture = np.asarray(picture)
        if picture.dtype != np.uint8 or picture.shape != (self.size[1], self.size[0], 3):
            problem = (
                f"frame {self.frames} is {picture.dtype} {picture.shape}, the video {self.size[0]} x {self.size[1]}"
            )
            raise InputError(self.path, problem, "scale the frame, or write another video for it", field="frame")
        self._writer.write(np.ascontiguousarray(picture[..., ::-1]))
        self.frames += 1

    def __exit__(self, kind, error, trace):
        self._writer.release()
        if kind is None:
            try:
                self._check()
            except Exception as found:
                self._stack.__exit__(type(found), found, found.__traceback__)
                raise
        return self._stack.__exit__(kind, error, trace)

    def _check(self):
        """OpenCV says nothing when the disk is full: count what can be read back."""
        if not self.frames:
            raise InputError(self.path, "no frame was written", "give a video with frames")
        reader, count = cv2.VideoCapture(str(self._temporary)), 0
        while reader.grab():
            count += 1
        reader.release()
        if count != self.frames:
            raise OSError(f"{self.path}: {count} of {self.frames} frames can be read back; is the disk full?")
