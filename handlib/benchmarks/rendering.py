"""Speed of the CPU renderer."""

import functools

import numpy as np

from handlib import render
from handlib.benchmarks import Row, interleaved

BAR_SECONDS = 0.015  # for one part mask of 256 x 256


def two_hands():
    """Two sealed free hands in DIGIT's classes that fill a 256 x 256 crop, and its camera: (meshes, K)."""
    from handlib import bodies
    from handlib.bodies import free

    meshes = []
    for side, place in (("right", [-0.05, 0.0, 0.80]), ("left", [0.05, 0.01, 0.86])):
        layer = bodies.load(None, f"mano_{side}")
        upright = 1.2092 * np.array([-1, -1, 1] if side == "right" else [-1, 1, -1])  # fingers up, back to the camera
        pose = np.concatenate([upright, free.demo_poses(side)["spread"]])
        verts = layer(pose=pose, mean_added=True)["verts"].numpy()
        verts, faces = render.seal(verts - verts.mean(0) + place, layer.faces.numpy())
        labels = layer.part_classes("faces")
        meshes.append(render.Mesh(verts, faces, np.pad(labels, (0, len(faces) - len(labels)), mode="edge")))
    return meshes, np.array([[800.0, 0, 127.5], [0, 800.0, 127.5], [0, 0, 1]])


def bench_part_mask():
    """A 256 x 256 part mask of two hands, the whole call; held against the 15 ms that it may take."""
    meshes, K = two_hands()
    (seconds,) = interleaved([functools.partial(render.part_mask, meshes, K, (256, 256))], repeats=15)
    yield Row("part mask 256 x 256, two hands", seconds, "15 ms", BAR_SECONDS, bar=1.0)


BENCHES = [bench_part_mask]
