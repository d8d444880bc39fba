"""Demo data in the layout of EHF, of the free body: one person before one camera, with a mesh for every picture."""

from pathlib import Path

import numpy as np

from handlib import bodies
from handlib.datasets import ehf
from handlib.demo import coco_people, folders, outfits, people, people_studio, places, pool, scene
from handlib.demo.materials import Solid
from handlib.files import InputError, write_json

VERSION = 1  # of what is drawn; another one makes the data anew
LEAST = 2
SIZE = (1200, 1600)  # of EHF's pictures, whose calibration the camera has
_POSES = ("t_pose", "waving", "open_arms", "thinking", "pointing", "hands_on_hips", "bowing", "typing", "running",
          "reaching_up", "walking", "squatting", "standing")  # fmt: skip
_FLIP = np.diag([1.0, -1.0, -1.0])  # the world's frame (y down, z from the camera) to one like the scanner's
_STAND = np.array([0.0, -1.48, -2.9])  # m, the camera in the world; the person stands at the origin


def make(root, pictures=7, seed=0, processes=None, show_progress=True):
    """Write demo data under ``root`` (e.g. data/demo/EHF); returns ``root`` as a Path.

    Arguments: ``pictures``, at least 2; ``seed``; ``processes`` (None: one per core). The same pictures and seed give
    the same bytes. Nothing is done where they are already there; the folder appears whole or not at all. Raises
    InputError rather than replace a folder that holds anything else.
    """
    if pictures < LEAST:
        raise InputError("make_ehf", f"{pictures} pictures are too few", f"ask for at least {LEAST}", "pictures")
    settings = {"layout": "EHF", "pictures": pictures, "seed": seed, "version": VERSION}
    with folders.made(root, settings) as folder:
        if folder:
            _fill(folder, pictures, seed, processes, show_progress)
    return Path(root)


def _fill(folder, count, seed, processes, show_progress):
    layer, data = bodies.load(None, "smplx_neutral"), folder / "data"
    names = [f"{number + 1:02d}_img.jpg" for number in range(count)]
    jobs = [(data / name, shot, [seed, 32, number])
            for number, (name, shot) in enumerate(zip(names, _shots(layer, count, seed), strict=True))]  # fmt: skip
    pool.make_folders(path for path, *_ in jobs)
    found = pool.each(people_studio.shoot, jobs, processes, show_progress)
    images, rows = [], []
    for number, (name, (_, shot, _), seen) in enumerate(zip(names, jobs, found, strict=True)):
        images.append(coco_people.image(number, name, SIZE))
        boxes = {f"{part}_bbox": seen["boxes"][0, row].tolist() for part, row in coco_people.PARTS.items()}
        rows.append({"id": number, "image_id": number, "body_bbox": seen["boxes"][0, 0].tolist(), **boxes})
        scan = (shot.people[0].verts - ehf.SHIFT) @ ehf.ROTATION
        write_mesh(data / f"{name[:2]}_align.ply", scan, layer.faces.numpy())
    write_json(data / "EHF.json", {"images": images, "annotations": rows})
    coco_people.write_marker(data)


def _shots(layer, count, seed):
    """The same person, light and room in all of them."""
    rng = np.random.default_rng([seed, 31])
    shape, outfit, look = rng.normal(0, 0.8, 10), outfits.draw(rng), scene.look(rng, chances=(0.0, 0.0, 1.0))
    camera = scene.Camera(ehf.K, ehf.ROTATION @ _FLIP, _STAND, SIZE)
    for number in range(count):
        rng = np.random.default_rng([seed, 33, number])
        doing = people.doing(rng, layer, _POSES[number % len(_POSES)], rng.normal(0, 0.25), 0.08, lively=True)
        standing, _ = people.on_floor(layer, doing | {"shape": shape}, rng.normal(0, 0.05), rng.normal(0, 0.05))
        yield people.shot(layer, [(standing, outfit)], look, camera, _room())


def _room():
    """Where people are scanned: a light floor and a curtain."""
    floor, curtain = Solid(np.full(3, 0.30), streaks=0.06), Solid(np.array([0.16, 0.17, 0.18]), streaks=0.35,
                                                                 fibre=(9, 0.15, 9), reflectance=0.01)  # fmt: skip
    return [places.box((-9, 0, -9), (9, 0.2, 1.5), floor), places.box((-9, -6, 1.5), (9, 0.2, 1.7), curtain)]


def write_mesh(path, verts, faces):
    """A binary PLY of verts (V, 3) m and faces (F, 3)."""
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(verts)}"]
    header += [f"property float {axis}" for axis in "xyz"]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    rows = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    rows["count"], rows["corners"] = 3, faces
    path.write_bytes("\n".join(header).encode() + b"\n" + verts.astype("<f4").tobytes() + rows.tobytes())
