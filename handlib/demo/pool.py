"""Many pictures in several processes. Imports no torch: the workers are started afresh, and that is to be quick."""

import concurrent.futures
import functools
import multiprocessing
import os

import cv2

from handlib.demo import scene
from handlib.files import progress

JPEG_QUALITY = 95
_SETTINGS = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 4]}


def render(model, pictures, seed, processes=None, show_progress=True):
    """Render every (path, ``scene.Shot``) and write it, as a JPEG or PNG as its name says; the bytes depend on ``seed``
    and on the order only.
    """
    for folder in {picture[0].parent for picture in pictures}:
        folder.mkdir(parents=True, exist_ok=True)
    jobs = [(*picture, [seed, 2, number]) for number, picture in enumerate(pictures)]
    processes = min(processes or len(os.sched_getaffinity(0)), len(jobs))
    bar = functools.partial(progress, total=len(jobs), desc="demo pictures", disable=not show_progress)
    if processes == 1:
        studio = scene.Studio(model)
        for job in bar(jobs):
            _write(studio, *job)
        return
    # Spawned: a fork of a process in which torch and embree have started threads may hang.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context, _start, (model,)) as pool:
        for _ in bar(pool.map(_work, jobs, chunksize=4)):
            pass


def _start(model):
    global _studio
    cv2.setNumThreads(1)
    _studio = scene.Studio(model)


def _work(job):
    _write(_studio, *job)


def _write(studio, path, shot, seed):
    picture = studio.picture(shot, seed)
    if not cv2.imwrite(str(path), picture[..., ::-1], _SETTINGS[path.suffix]):
        raise OSError(f"{path} could not be written")
