"""Root-relative errors of AGORA's matched persons: whole body, hands and face, each about its own root."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from handlib import npz
from handlib.files import InputError, require
from handlib.metrics import as_array

VERTICES = {"smplx": 10475, "smpl": 6890}
JOINTS = {"smplx": 127, "smpl": 24}
# part -> the joints that count (SMPL-X's or SMPL's order) and those whose mean is its root
_HAND_FACE = {
    "lhand": ([20, *range(25, 40)], [20]),
    "rhand": ([21, *range(40, 55)], [21]),
    "face": ([12, *range(76, 127)], [12]),
}
_HIPS = [1, 2]
PARTS = {
    "smplx": {"body": (list(range(22)), _HIPS), **_HAND_FACE},
    "smpl": {"body": (list(range(24)), _HIPS)},
}
_FILES = {"body": "body_verts_{model}.npy"}
_PLACES = ("", "agora", "smplx", "smpl", "utils", "models", "models/smplx", "bodies/smplx", "bodies")


def vertex_sets(bodies, model):
    """{part: vertex indices}, for each part of `PARTS`.

    ``bodies``: a folder with the official index files (``body_verts_smplx.npy``, ``body_verts_smpl.npy`` of the AGORA
    evaluation; for SMPL-X also ``MANO_SMPLX_vertex_ids.pkl`` and ``SMPL-X__FLAME_vertex_ids.npy``), or a mapping of
    arrays ``body``, ``left_hand``, ``right_hand``, ``face``; "free": those of the free body, whose ``body`` is all that
    is neither hand nor face. Raises InputError naming what is missing or outside.
    """
    if bodies is None:
        mend = f"give bodies=FOLDER with {_FILES['body'].format(model=model)} of the AGORA evaluation, or its arrays"
        raise InputError(f"protocol 'agora_{model}'", "needs the vertex indices of the parts", mend, field="bodies")
    named = dict(bodies) if isinstance(bodies, Mapping) else _of_folder(Path(bodies), model)
    names = {"body": "body", "lhand": "left_hand", "rhand": "right_hand", "face": "face"}
    return {part: _indices(named, names[part], model) for part in PARTS[model]}


def _of_folder(folder, model):
    from handlib.bodies import wholebody

    if str(folder) == wholebody.FREE:
        if model != "smplx":
            raise InputError("bodies", f"there is no free {model}", "give a folder, or arrays by name", "bodies")
        parts = {name: array for name, array in wholebody.index_files(folder).items() if name != "j14"}
        return parts | {"body": np.setdiff1d(np.arange(VERTICES[model]), np.concatenate(list(parts.values())))}
    require(folder, "give the folder of the body models and index files")
    name = _FILES["body"].format(model=model)
    path = next((folder / place / name for place in _PLACES if (folder / place / name).is_file()), None)
    if path is None:
        mend = "it comes with the AGORA evaluation code (folder utils): put it there or into its sub-folder agora"
        raise InputError(folder, f"holds no {name}", mend)
    body = {"body": npz.read_array(path, "get it again with the AGORA evaluation code")}
    if model == "smpl":
        return body
    return body | wholebody.index_files(folder, j14=False)


def _indices(named, name, model):
    if name not in named:
        raise InputError("bodies", "is missing", f"there is: {', '.join(map(str, named)) or 'nothing'}", field=name)
    array = as_array(named[name])
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iu":
        raise InputError("bodies", f"has shape {array.shape} of {array.dtype}", "give whole numbers (n,)", field=name)
    if not 0 <= int(array.min()) <= int(array.max()) < VERTICES[model]:
        raise InputError("bodies", f"names vertices outside 0..{VERTICES[model] - 1}", "use the official file", name)
    return array.astype(np.int64)


class Measure:
    """Errors of pairs of people, in metres.

    ``model``: "smplx" or "smpl"; ``sets``: what `vertex_sets` gives.
    """

    def __init__(self, model, sets):
        self.parts = PARTS[model]
        self._joints = _Points(JOINTS[model], [joints for joints, _ in self.parts.values()])
        self._vertices = _Points(VERTICES[model], [sets[part] for part in self.parts])

    def __call__(self, predicted, true):
        """(joints (J, 3), vertices (V, 3)) of a prediction and of its person -> (2, parts): MPJPE and MVE, each the
        mean distance after the part's root was put on the true one. Metres.
        """
        joints = self._joints.difference(predicted[0], true[0])
        roots = [joints[root].mean(0) for _, root in self.parts.values()]
        self._vertices.difference(predicted[1], true[1])
        return np.stack([self._joints.means(roots), self._vertices.means(roots)])


class _Points:
    """Differences of ``count`` points, and the mean lengths of their parts; the memory is used again and again."""

    def __init__(self, count, parts):
        self._indices = np.concatenate(parts)
        self._starts = np.cumsum([0, *map(len, parts)])
        self._all, self._chosen = np.empty((count, 3)), np.empty((len(self._indices), 3))

    def difference(self, predicted, true):
        """(count, 3) each -> prediction - truth, float64; valid until the next call."""
        return np.subtract(predicted.astype(np.float64), true, out=self._all)

    def means(self, roots):
        """Mean length of each part's differences, its root's (3,) taken off."""
        chosen = self._all.take(self._indices, axis=0, out=self._chosen, mode="clip")  # checked before; no buffer
        for root, start, stop in zip(roots, self._starts[:-1], self._starts[1:], strict=True):
            chosen[start:stop] -= root
        np.multiply(chosen, chosen, out=chosen)
        lengths = np.sqrt(chosen[:, 0] + chosen[:, 1] + chosen[:, 2])
        return np.add.reduceat(lengths, self._starts[:-1]) / np.diff(self._starts)
