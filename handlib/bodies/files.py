"""The official body model files (MANO, SMPL, SMPL-H, SMPL-X, FLAME; .pkl or .npz) as plain arrays, checked."""

import dataclasses
from pathlib import Path

import numpy as np

from handlib import npz
from handlib.files import InputError, require
from handlib.safe_pickle import read_pickle

# (vertices, joints) tell the models apart; the site is where the licensed file comes from.
KINDS = {
    (778, 16): ("mano", "https://mano.is.tue.mpg.de"),
    (6890, 24): ("smpl", "https://smpl.is.tue.mpg.de"),
    (6890, 52): ("smplh", "https://mano.is.tue.mpg.de"),
    (10475, 55): ("smplx", "https://smpl-x.is.tue.mpg.de"),
    (5023, 5): ("flame", "https://flame.is.tue.mpg.de"),
}
_ARRAYS = ("v_template", "f", "weights", "J_regressor", "kintree_table", "shapedirs", "posedirs")
_MEND = "use the file as the official site offers it"
_DAMAGED = "it is cut or damaged: copy it again"


@dataclasses.dataclass(frozen=True)
class BodyModel:
    """What every model of the SMPL family holds. V vertices, J joints, S shape directions; metres, float64.

    v_template (V, 3); faces (F, 3) int64; weights (V, J); J_regressor (J, V); parents (J,) int64, -1 for the root;
    shapedirs (V, 3, S); posedirs (V, 3, 9 (J - 1)); ``extra``: whatever else the file holds, by its official name.
    """

    kind: str
    source: str
    v_template: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    J_regressor: np.ndarray
    parents: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray
    extra: dict

    def need(self, name, shape):
        """The array ``extra[name]`` as float64; InputError when it is missing or has another shape."""
        return _checked(self.extra, name, shape, self.source)


def read(path, kind=None):
    """Read a body model file.

    Arguments: ``path`` (.pkl of Python 2 or 3, or .npz); ``kind`` what it must be ("mano", "smpl", "smplh", "smplx",
    "flame"), None for any. Returns a BodyModel. Raises InputError naming file, field and mend.
    """
    path = require(path, _sites(kind))
    arrays = npz.read(path, _DAMAGED, objects="skip") if path.suffix == ".npz" else read_pickle(path)
    if not isinstance(arrays, dict):
        raise InputError(path, "is not a body model: it holds no named arrays", _sites(kind))
    return model(arrays, str(path), kind)


def model(arrays, source, kind=None):
    """Check arrays with the official names (as ``read`` finds them in a file) and make a BodyModel of them."""
    for name in _ARRAYS:
        if name not in arrays:
            raise InputError(
                source, "is missing: this is not a body model file, or not a whole one", _sites(kind), name
            )
    size = np.shape(arrays["v_template"])[:1] + np.shape(arrays["kintree_table"])[1:]
    if size not in KINDS:
        known = ", ".join(f"{name} {v}/{j}" for (v, j), (name, _) in KINDS.items())
        raise InputError(source, f"has (vertices, joints) {size}, known are {known}", _sites(kind), "v_template")
    found = KINDS[size][0]
    if kind not in (None, found):
        raise InputError(source, f"is a file of {found}, not of {kind}", _sites(kind))
    v, j = size
    return BodyModel(
        kind=found,
        source=source,
        v_template=_checked(arrays, "v_template", (v, 3), source),
        faces=_faces(arrays["f"], v, source),
        weights=_checked(arrays, "weights", (v, j), source),
        J_regressor=_checked(arrays, "J_regressor", (j, v), source),
        parents=_parents(arrays["kintree_table"], source),
        shapedirs=_checked(arrays, "shapedirs", (v, 3, None), source),
        posedirs=_checked(arrays, "posedirs", (v, 3, 9 * (j - 1)), source),
        extra={name: value for name, value in arrays.items() if name not in _ARRAYS},
    )


def _sites(kind):
    sites = dict(KINDS.values())
    return f"get the file from {sites[kind]}" if kind in sites else "get the file from its official site"


def _checked(arrays, name, shape, source):
    """``arrays[name]`` as a float64 array of ``shape`` (None: any length) without NaN or infinity."""
    if name not in arrays:
        raise InputError(source, "is missing", _MEND, name)
    try:
        array = np.asarray(arrays[name])
    except (TypeError, ValueError) as error:
        raise InputError(source, f"holds no numbers ({error})", _MEND, name) from error
    if array.dtype.kind not in "biuf":  # numpy would read text, and drop imaginary parts
        raise InputError(source, f"holds {array.dtype}, no numbers", _MEND, name)
    array = array.astype(np.float64)
    if array.ndim != len(shape) or any(want not in (None, got) for got, want in zip(array.shape, shape, strict=True)):
        wanted = tuple("any" if want is None else want for want in shape)
        raise InputError(source, f"has shape {array.shape}, expected {wanted}", _MEND, name)
    if not np.isfinite(array).all():
        raise InputError(source, "holds NaN or infinite values", _MEND, name)
    return array


def _faces(array, vertices, source):
    faces = _checked({"f": array}, "f", (None, 3), source).astype(np.int64)
    if faces.size and not 0 <= faces.min() <= faces.max() < vertices:
        raise InputError(source, f"names vertices outside 0..{vertices - 1}", _MEND, "f")
    return faces


def _parents(kintree, source):
    """Row 0 of the kinematic tree; the root's parent, 2**32 - 1 in the files, becomes -1."""
    parents = _checked({"kintree_table": kintree}, "kintree_table", (2, None), source)[0].astype(np.int64)
    parents[0] = -1
    for joint, parent in enumerate(parents[1:], 1):
        if not 0 <= parent < joint:
            raise InputError(source, f"joint {joint} has parent {parent}; parents come first", _MEND, "kintree_table")
    return parents


def find(folder, name, mend):
    """The file ``name`` of a body model in the folder layouts people have: here, mano/, models/mano/, bodies/mano/…"""
    folder = Path(folder)
    kind = name.split("_")[0].lower()
    tried = [folder / place / name for place in ("", kind, f"models/{kind}", f"bodies/{kind}", "models")]
    for path in tried:
        if path.is_file():
            return path
    raise InputError(
        folder, f"holds no {name} (looked for {', '.join(str(p.relative_to(folder)) for p in tried)})", mend
    )
