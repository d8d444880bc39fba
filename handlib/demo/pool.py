"""Many pictures in several processes. Imports no torch: the workers are started afresh, and that is to be quick."""

import concurrent.futures
import functools
import multiprocessing
import os

import cv2

from handlib import pictures, processes
from handlib.demo import scene
from handlib.files import progress

JPEG_QUALITY = 95
_SETTINGS = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 4]}


def each(work, jobs, processes=None, show_progress=True, start=None, given=()):
    """[work(job) for job in jobs], in several processes (None: one per core); start(*given) comes first in each."""
    processes = min(processes or len(os.sched_getaffinity(0)), max(len(jobs), 1))
    bar = functools.partial(progress, total=len(jobs), desc="demo pictures", disable=not show_progress)
    if processes == 1:
        if start:
            start(*given)
        return [work(job) for job in bar(jobs)]
    # Spawned: a fork of a process in which torch and embree have started threads may hang.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context, _start, (os.getpid(), start, given)) as pool:
        return list(bar(pool.map(work, jobs, chunksize=max(1, min(4, len(jobs) // (4 * processes))))))


def _start(parent, start, given):
    processes.end_with(parent)
    cv2.setNumThreads(1)
    if start:
        start(*given)


def render(model, pictures, seed, processes=None, show_progress=True):
    """Render every (path, ``scene.Shot``) and write it, as a JPEG or PNG as its name says; the bytes depend on ``seed``
    and on the order only.
    """
    make_folders(path for path, _ in pictures)
    jobs = [(*picture, [seed, 2, number]) for number, picture in enumerate(pictures)]
    each(_work, jobs, processes, show_progress, _open_studio, (model,))


def make_folders(paths):
    """The folders of files that are to be written."""
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)


def _open_studio(model):
    global _studio
    _studio = scene.Studio(model)


def _work(job):
    path, shot, seed = job
    save(path, _studio.picture(shot, seed))


def save(path, picture):
    """Write a picture, RGB uint8, as a JPEG or PNG as its name says."""
    pictures.write(path, picture, _SETTINGS[path.suffix])
