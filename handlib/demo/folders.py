"""A folder of demo data: whole or not there, known again, and never in the place of anything else."""

import contextlib
from pathlib import Path

from handlib import __version__
from handlib.atomic import there
from handlib.bodies import free
from handlib.files import InputError, read_json, write_atomic, write_json, write_text

MANIFEST = "demo.json"
_MAKER = {"made_by": "handlib.demo"}


@contextlib.contextmanager
def made(root, settings):
    """Gives an empty folder to be filled, which takes the place of ``root`` at the end; None where the data of these
    ``settings`` (plain values) are there already. Raises InputError when ``root`` holds anything else than demo data.
    """
    root, settings = Path(root), {**_MAKER, **settings}
    if there(root) and _is_made(root, settings):
        yield None
        return
    with write_atomic(root) as folder:
        folder.mkdir()
        yield folder
        write_json(folder / MANIFEST, settings)


def _is_made(root, settings):
    if not (root / MANIFEST).exists():
        if any(root.iterdir()):
            raise InputError(root, "holds files that are not demo data", "choose another folder; it is not overwritten")
        return False
    found = read_json(root / MANIFEST)
    if found.get("made_by") != settings["made_by"]:
        raise InputError(root / MANIFEST, "was not written by handlib.demo", "choose another folder")
    return found == settings


def write_marker(folder):
    """Say beside the annotations which body model they are of."""
    marker = {"model": "handlib free hand", "version": __version__, "source": free.SOURCE}
    write_json(folder / "body_model.json", marker)


def write_mesh(path, thing):
    """An `objects.Object` as an OBJ file, metres."""
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in thing.verts]
    lines += [f"f {a} {b} {c}" for a, b, c in thing.faces + 1]
    write_text(path, "\n".join([f"# {thing.name}, made by handlib.demo (CC0)", *lines]) + "\n")
