"""Whole evaluations as their official evaluators do them, files included: FreiHAND, HO-3D v2 and DexYCB at full size.

The yardstick is one 778 x 778 matrix of point distances with row minima in plain numpy; it took 0.0176 CPU seconds
where the official evaluators were timed (one thread of an AMD EPYC core, Python 3.11, numpy 1.26), which gives the
published ratios. Here too it is CPU seconds, of all threads together, the yardstick's taken between the others.
"""

import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from handlib import protocols
from handlib.benchmarks import Row
from handlib.submissions import dexycb, json_lists
from handlib.verify import reference

YARDSTICK, YARDSTICK_SECONDS = "778 x 778 distances", 0.0176
FREIHAND = {"samples": 3960, "files": 1, "whole": 46.97, "reading": 8.384}
HO3D = {"samples": 11524, "files": 4, "whole": 107.728 * 11.524, "reading": 1.754 * 11.524}  # measured on 1000
DEXYCB = {"samples": 20000, "whole": 4.08, "reading": 0.118}
BARS = {"FreiHAND": 10, "HO-3D v2": 40, "DexYCB": 5}  # times faster than the official evaluator


class _Clock:
    """CPU seconds by part of the work; the yardstick runs before each part."""

    def __init__(self):
        self.seconds, self.yardstick = {"reading": 0.0, "computing": 0.0}, []
        self._points = np.random.default_rng(0).normal(size=(2, 778, 3))

    def run(self, part, function):
        for _ in range(5):
            self.yardstick.append(_cpu_seconds(self._distances)[0])
        seconds, result = _cpu_seconds(function)
        self.seconds[part] += seconds
        return result

    def _distances(self):
        np.linalg.norm(self._points[0][:, None] - self._points[1][None], axis=-1).min(1)

    def rows(self, name, official):
        """A row per part and one for the whole, which has a bar."""
        ours = self.seconds | {"whole": sum(self.seconds.values())}
        times = {part: official[part] / YARDSTICK_SECONDS for part in ("reading", "whole")}
        times["computing"] = times["whole"] - times["reading"]
        unit, bars = statistics.median(self.yardstick), {"whole": times["whole"] / BARS[name]}
        words = {"reading": "reading files", "computing": "computing", "whole": "end to end"}
        return [
            Row(f"{name}, {words[part]}", ours[part], YARDSTICK, unit, times[part], bars.get(part)) for part in words
        ]


def _cpu_seconds(function):
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def _like(points, count, seed):
    """``count`` samples like the few that are given, each moved by an amount of its own; float32."""
    moves = np.random.default_rng(seed).normal(size=(count, 1, 3)) * 0.001
    return (points[np.arange(count) % len(points)] + moves).astype(np.float32)


def _of_case(stem):
    return {name.rpartition("plain/")[2]: array for name, array in reference.shipped("metrics").npz(stem).items()}


def _mesh_bench(name, protocol, official):
    """Prediction and truth as official JSON of full float text, the set in a few equal files."""
    arrays, count = _of_case("freihand.npz"), official["samples"] // official["files"]
    given = {
        file: [(_like(arrays[joints], count, seed), _like(arrays[verts], count, seed))]
        for seed, (file, joints, verts) in enumerate([("pred", "xyz_pred", "verts_pred"), ("true", "xyz", "verts")])
    }
    clock, running = _Clock(), protocols.running(protocol)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{file}.json" for file in given]
        for path, batches in zip(paths, given.values(), strict=True):
            json_lists.write(path, batches)
        for _ in range(official["files"]):
            pair = [
                dict(zip(("xyz", "verts"), clock.run("reading", partial(json_lists.read, path)), strict=True))
                for path in paths
            ]
            clock.run("computing", partial(running.update, *pair))
        clock.run("computing", partial(running.figures, warn=False))
    return clock.rows(name, official)


def bench_freihand():
    """3,960 samples with meshes and F-scores; 2 x 206 MB of JSON."""
    return _mesh_bench("FreiHAND", "freihand", FREIHAND)


def bench_ho3d():
    """11,524 samples with meshes and F-scores, in four files of 2,881 that are read one after another."""
    return _mesh_bench("HO-3D v2", "ho3d_v2", HO3D)


def bench_dexycb():
    """20,000 samples, the predictions from a result file."""
    arrays, count = _of_case("dexycb.npz"), DEXYCB["samples"]
    rows = np.arange(count) % len(arrays["joint_3d"])
    truth = {"joint_3d": arrays["joint_3d"][rows], "id": np.arange(count)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.txt"
        dexycb.write({"id": truth["id"], "joint_3d": arrays["pred_mm"][rows]}, path, decimals=4)

        clock = _Clock()
        ids, joints = clock.run("reading", partial(dexycb.read, path))
        predictions = {"id": ids, "joint_3d": joints}
        clock.run("computing", partial(protocols.evaluate, "dexycb", predictions, truth))
    return clock.rows("DexYCB", DEXYCB)


BENCHES = [bench_freihand, bench_ho3d, bench_dexycb]
