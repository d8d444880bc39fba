"""A reference folder: its JSON and NPZ files, and the small notation they use for slices and stand-in pictures."""

import ast
import json
import re
from pathlib import Path

import numpy as np

from handlib import npz
from handlib.files import InputError, read_json
from handlib.verify import standin

SHIPPED = Path(__file__).resolve().parents[2] / "tests" / "reference"


class Reference:
    """One system's reference folder. Files that it lacks (keys, formats) are taken from the shipped folder.

    Arguments: ``folder`` (path of the system's folder, e.g. ``…/interhand``), ``system`` (its name).
    """

    def __init__(self, folder, system):
        self.folder, self.system = Path(folder), system
        if not self.folder.is_dir():
            raise InputError(
                self.folder, "is not a folder", f"give the reference folder of '{system}' with --reference"
            )

    def has(self, name):
        """Whether this folder itself has the file; cases exist only where the folder has them."""
        return (self.folder / name).exists()

    def path(self, name):
        """The file here, or else the shipped one. Raises InputError when neither exists."""
        own, shipped = self.folder / name, SHIPPED / self.system / name
        if own.exists() or not shipped.exists():
            return own
        return shipped

    def json(self, name):
        return read_json(self.path(name), mend="the reference folder is not whole: copy it again")

    def npz(self, name):
        """All arrays of an NPZ file as a dict; object arrays (which could run code) are refused."""
        return npz.read(self.path(name), "the reference folder is not whole: copy it again")


def shipped(system):
    """The reference folder that the repository carries."""
    return Reference(SHIPPED / system, system)


def parse_slice(text):
    """``"[:, ::8, 4::8]"`` -> a tuple of slices and integers. Nothing is evaluated."""
    return tuple(_parse_axis(part.strip()) for part in text.strip().strip("[]").split(",") if part.strip())


def _parse_axis(part):
    if part == "...":
        return Ellipsis
    if ":" not in part:
        return int(part)
    return slice(*(int(number) if number.strip() else None for number in part.split(":")))


def image(expression):
    """The stand-in picture that a reference JSON names.

    ``"blocky('name', 2)"`` -> (2, 3, 256, 256) with 32-pixel squares; ``"standin.image('name', (1, 3, 256, 256))"`` ->
    raw noise. float32 in [0, 1). Raises ValueError for any other expression.
    """
    match = re.fullmatch(r"\s*(blocky|standin\.image|image)\((.*)\)\s*", expression)
    if not match:
        raise ValueError(
            f"no stand-in picture is written {expression!r}: expected blocky(name, B) or standin.image(name, shape)"
        )
    name, size = ast.literal_eval(f"({match[2]})")
    if match[1] == "blocky":
        return np.kron(standin.image(name, (size, 3, 8, 8)), np.ones((1, 1, 32, 32), np.float32))
    return standin.image(name, tuple(size))


def deviation(value, expected):
    """Largest absolute difference; infinite where shapes differ or where one side only is NaN."""
    value, expected = np.asarray(value), np.asarray(expected)
    if value.shape != expected.shape:
        return float("inf")
    if value.size == 0:
        return 0.0
    value, expected = value.astype(np.float64), expected.astype(np.float64)
    if (np.isnan(value) != np.isnan(expected)).any():
        return float("inf")
    return float(np.abs(value - expected)[~np.isnan(expected)].max(initial=0.0))


def load_keys(path):
    """A keys_*.json file -> [(name, shape, dtype), ...]."""
    return [(name, tuple(shape), dtype) for name, shape, dtype in json.loads(Path(path).read_text())]
