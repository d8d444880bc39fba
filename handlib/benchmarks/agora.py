"""AGORA's SMPL-X figures of 300 predicted persons, six per image, files included, beside the official evaluator's cost.

The official 1.23 CPU seconds include 0.474 for loading six body models, which meshes do not need and we do not load;
the row "computing" leaves them out of its published ratio. The yardstick, as for the other protocols: one 778 x 778
matrix of point distances with row minima, 0.0176 CPU seconds where the official evaluator was timed.
"""

import statistics
import tempfile
import time
import warnings

import numpy as np

from handlib import protocols
from handlib.benchmarks import Row
from handlib.protocols.agora.errors import VERTICES
from handlib.submissions import agora

YARDSTICK, YARDSTICK_SECONDS = "778 x 778 distances", 0.0176
IMAGES, PEOPLE = 50, 6
OFFICIAL = {"whole": 1.23, "reading": 0.051, "models": 0.474}
FASTER = 5
SIZES = {"body": 4010, "left_hand": 778, "right_hand": 778, "face": 5023}


def scenes(rng):
    """(predictions, truth rows): people side by side before the camera; predictions float32, truth float64."""
    shape = rng.uniform(-1, 1, (VERTICES["smplx"], 3)) * [0.5, 0.9, 0.2]
    chosen = rng.permutation(len(shape))[:127]
    predictions, truth = {}, []
    for number in range(IMAGES):
        verts = [shape + [2 * k - 5, 0, 10] + rng.normal(0, 0.02, shape.shape) for k in range(PEOPLE)]
        joints = [points[chosen] for points in verts]
        flat = [points[:, :2] / points[:, 2:] * 3000 + [1920, 1080] for points in joints]
        name = f"ag_bfh_{number:05d}.png"
        given = {"isValid": [True] * PEOPLE, "occlusion": [10.0] * PEOPLE, "kid": [False] * PEOPLE}
        truth.append(given | {"imgPath": name, "gt_joints_2d": flat, "gt_joints_3d": joints, "gt_verts": verts})
        moved = [(points + rng.normal(0, 0.03, points.shape)).astype(np.float32) for points in verts]
        predictions[name] = [
            {"joints": pixels[:24], "verts": points, "allSmplJoints3d": points[chosen]}
            for pixels, points in zip(flat, moved, strict=True)
        ]
    return predictions, truth


def _distances():
    points = np.random.default_rng(0).normal(size=(2, 778, 3))
    np.linalg.norm(points[0][:, None] - points[1][None], axis=-1).min(1)


def _cpu_medians(functions, repeats=7):
    """Median CPU seconds of each, taken in turns."""
    times = [[] for _ in functions]
    for _ in range(repeats):
        for function, kept in zip(functions, times, strict=True):
            start = time.process_time()
            function()
            kept.append(time.process_time() - start)
    return [statistics.median(kept) for kept in times]


def bench_agora():
    """Reading a submission's files, the figures from arrays, and both."""
    rng = np.random.default_rng(0)
    predictions, truth = scenes(rng)
    bodies = {name: np.sort(rng.permutation(VERTICES["smplx"])[:size]) for name, size in SIZES.items()}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there are no children
        path = agora.write(predictions, f"{folder}/predictions")

        def figures(given):
            return lambda: protocols.evaluate("agora_smplx", given, truth, bodies=bodies)

        work = [_distances, lambda: dict(agora.read(path)), figures(predictions), figures(path)]
        unit, reading, computing, whole = _cpu_medians(work)
    official = {part: seconds / YARDSTICK_SECONDS for part, seconds in OFFICIAL.items()}
    bare = official["whole"] - official["reading"] - official["models"]
    return [
        Row("AGORA, reading files", reading, YARDSTICK, unit, official["reading"]),
        Row("AGORA, computing", computing, YARDSTICK, unit, bare),
        Row("AGORA, end to end", whole, YARDSTICK, unit, official["whole"], official["whole"] / FASTER),
    ]


BENCHES = [bench_agora]
