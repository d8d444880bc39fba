"""Meshes and joints of people given as SMPL-X or SMPL parameters, as AGORA's evaluator makes them from submissions.

The model files are read as `handlib.bodies.files` reads them, so nothing in them is run; the skinning is the smplx
package's (`smplx.lbs`), in float32 as there.
"""

import functools
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from handlib.bodies import files
from handlib.files import InputError, require
from handlib.metrics import as_array

BATCH = 32  # people at a time
_MANY_SHAPES = 300  # a file with as many shape directions has its expressions after them; a small one after 10
# name -> number of rotations; the order is that of the models' joints
ROTATIONS = {
    "smplx": {"global_orient": 1, "body_pose": 21, "jaw_pose": 1, "leye_pose": 1, "reye_pose": 1,
              "left_hand_pose": 15, "right_hand_pose": 15},
    "smpl": {"global_orient": 1, "body_pose": 23},
}  # fmt: skip
_MEND = "write the parameters as AGORA's prediction format says"


def meshes(people, model, bodies, names=None):
    """[(joints, verts), …] of ``people``, float32, metres in the camera frame; joints (127, 3) or (45, 3), in the smplx
    package's order, verts (10475, 3) or (6890, 3).

    people: mappings as in AGORA's pickles: ``params`` with ``transl`` (1, 3), ``betas`` (1, n), ``global_orient``,
    ``body_pose`` and for SMPL-X ``expression`` (1, 10), ``left_hand_pose``, ``right_hand_pose``, ``jaw_pose``,
    ``leye_pose``, ``reye_pose``; rotation vectors, or matrices where ``pose2rot`` is False; ``gender`` (neutral),
    ``num_betas`` (10), ``kid_flag`` (False). ``model``: "smplx" or "smpl", of which only the neutral files are used.
    ``bodies``: the folder of the official files, or a mapping whose "models" is that folder. ``names``: what messages
    call the people.

    Quirks: hand vectors are relative to the model's mean hand, which is added, hand matrices absolute. A child has an
    11th beta, which leads to (the child template centred on its mean) - (the adult template, not centred); a girl is
    made of the neutral model. Raises InputError naming the person and key, or the missing file.
    """
    folder = bodies.get("models") if isinstance(bodies, Mapping) else bodies
    if folder is None:
        mend = "give bodies=FOLDER with the SMPL-X or SMPL files (or a mapping with 'models': FOLDER)"
        raise InputError("bodies", "names no folder of body models, which parameter predictions need", mend, "models")
    require(folder, "give the folder of the SMPL-X or SMPL files")
    names = [f"person {number}" for number in range(len(people))] if names is None else names
    groups = defaultdict(list)
    for number, person in enumerate(people):
        groups[_kind(person, model, names[number])].append(number)
    made = [None] * len(people)
    for (gender, kid, num_betas, vectors), members in groups.items():
        layer = _layer(str(folder), model, gender, kid, num_betas)
        for start in range(0, len(members), BATCH):
            some = members[start : start + BATCH]
            arrays = [_arrays(people[number], model, num_betas, vectors, layer, names[number]) for number in some]
            joints, verts = layer({key: np.concatenate([one[key] for one in arrays]) for key in arrays[0]}, vectors)
            for number, mesh in zip(some, zip(joints, verts, strict=True), strict=True):
                made[number] = mesh
    return made


def _kind(person, model, where):
    """(gender of the file, kid, number of betas, rotations are vectors) of a person."""
    kid, gender = bool(person.get("kid_flag", False)), str(person.get("gender") or "neutral")
    if gender not in ("male", "female", "neutral"):
        raise InputError(where, f"is '{gender}'", "use male, female or neutral", field="gender")
    if model == "smpl" or (kid and gender == "female"):
        gender = "neutral"
    num_betas = int(person.get("num_betas", 10)) if model == "smplx" else 10
    return gender, kid, 11 if kid else num_betas, bool(person.get("pose2rot", True))


def _arrays(person, model, num_betas, vectors, layer, where):
    """The parameters of one person, each with a leading axis of 1, float32."""
    params = person["params"]
    shapes = {name: (count, 3) if vectors else (count, 3, 3) for name, count in ROTATIONS[model].items()}
    shapes |= {"transl": (3,), "betas": (layer.betas,)} | ({"expression": (10,)} if model == "smplx" else {})
    found = {}
    for name, shape in shapes.items():
        if name not in params:
            mend = f"add it; there is: {', '.join(map(str, params))}"
            raise InputError(where, "is missing from the parameters", mend, field=name)
        array = as_array(params[name])
        if name == "betas" and array.ndim == 2:
            array = array[:, :num_betas]
        if array.size != np.prod(shape) or array.dtype.kind not in "fiu":
            raise InputError(where, f"has shape {array.shape} for {shape}", _MEND, field=name)
        if not np.isfinite(array).all():
            raise InputError(where, "holds NaN or infinity", "leave the person out", field=name)
        found[name] = array.reshape(1, *shape).astype(np.float32)
    return found


@functools.lru_cache(maxsize=6)
def _layer(folder, model, gender, kid, num_betas):
    """`_Layer`; the last six are kept, which are all that a submission can need."""
    read = _find(folder, model, gender)
    template = None
    if kid:
        path = _named(folder, f"{model}_kid_template.npy", "get it from https://agora.is.tue.mpg.de (SMIL-X template)")
        template = np.load(path, allow_pickle=False)
        if template.shape != read.v_template.shape:
            problem = f"has shape {template.shape}, the model's template {read.v_template.shape}"
            raise InputError(path, problem, "use the child template of this body model")
    return _Layer(read, template, num_betas)


def _find(folder, model, gender):
    endings = (".npz", ".pkl") if model == "smplx" else (".pkl", ".npz")
    names = [f"{model.upper()}_{gender.upper()}{ending}" for ending in endings]
    site = dict(files.KINDS.values())[model]
    for name in names:
        try:
            path = files.find(folder, name, f"get the file from {site}")
        except InputError as error:
            missing = error
            continue
        return files.read(path, model)
    raise missing


def _named(folder, name, mend):
    kind = name.split("_")[0]
    places = [Path(folder) / place for place in ("", kind, "agora", f"models/{kind}", f"bodies/{kind}", "utils")]
    path = next((place / name for place in places if (place / name).is_file()), None)
    if path is None:
        raise InputError(folder, f"holds no {name}", mend)
    return path


class _Layer:
    """One body model on the smplx package's skinning."""

    def __init__(self, read, kid_template, num_betas):
        import torch
        from smplx.vertex_ids import vertex_ids

        shapes = read.shapedirs.shape[-1]
        few = shapes < _MANY_SHAPES
        self.betas = min(num_betas - (kid_template is not None), 10 if few else _MANY_SHAPES)
        directions = [read.shapedirs[:, :, : self.betas]]
        if kid_template is not None:
            directions.append((kid_template - kid_template.mean(0) - read.v_template)[..., None])
            self.betas += 1
        self.kind = read.kind
        if self.kind == "smplx":
            directions.append(read.shapedirs[:, :, 10:20] if few else read.shapedirs[:, :, 300:310])
            hands = [read.need(f"hands_mean{side}", (45,)) for side in "lr"]
            self._pose_mean = torch.tensor(np.concatenate([np.zeros(75), *hands]), dtype=torch.float32).view(-1, 3)
            corners = read.faces[read.need("lmk_faces_idx", (51,)).astype(np.int64)]
            self._landmarks = torch.tensor(corners), _float(read.need("lmk_bary_coords", (51, 3)))
        ids = vertex_ids[self.kind if self.kind == "smplx" else "smplh"]
        face, feet = ("nose", "reye", "leye", "rear", "lear"), ("BigToe", "SmallToe", "Heel")
        tips = [side + tip for side in "lr" for tip in ("thumb", "index", "middle", "ring", "pinky")]
        names = [*face, *(side + part for side in "LR" for part in feet), *tips]
        self._extra = torch.tensor([ids[name] for name in names])
        verts = len(read.v_template)
        self._arrays = {
            "v_template": _float(read.v_template),
            "shapedirs": _float(np.concatenate(directions, -1)),
            "posedirs": _float(read.posedirs.reshape(verts * 3, -1).T),
            "J_regressor": _float(read.J_regressor),
            "parents": torch.tensor(read.parents),
            "lbs_weights": _float(read.weights),
        }

    def __call__(self, parameters, vectors):
        """{name: (B, …) float32} -> joints (B, J, 3), verts (B, V, 3)."""
        import torch
        from smplx.lbs import lbs

        given = {name: torch.from_numpy(array) for name, array in parameters.items()}
        pose = torch.cat([given[name] for name in ROTATIONS[self.kind]], 1)
        shape = given["betas"]
        if self.kind == "smplx":
            shape = torch.cat([shape, given["expression"]], -1)
            pose = pose + self._pose_mean if vectors else pose
        with torch.no_grad():
            pose = pose.flatten(1) if vectors else pose
            verts, joints = lbs(shape, pose, **self._arrays, pose2rot=vectors)
            joints = [joints, verts[:, self._extra]]
            if self.kind == "smplx":
                corners, weights = self._landmarks
                joints.append(torch.einsum("blfi,lf->bli", verts[:, corners], weights))
            move = given["transl"][:, None]
            return (torch.cat(joints, 1) + move).numpy(), (verts + move).numpy()


def _float(array):
    import torch

    return torch.tensor(array, dtype=torch.float32)
