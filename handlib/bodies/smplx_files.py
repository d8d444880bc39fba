"""Meshes and joints of people given as SMPL-X or SMPL parameters, as AGORA's evaluator makes them from submissions.

The model files are read as `handlib.bodies.files` reads them, so nothing in them is run; the layers are those of
`handlib.bodies.smplx`, in float32 as the evaluator's.
"""

import functools
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from handlib import npz
from handlib.bodies import free_body, smplx
from handlib.bodies.wholebody import FREE
from handlib.files import InputError, require
from handlib.metrics import as_array

BATCH = 32  # people at a time
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
    ``bodies``: the folder of the official files, or a mapping whose "models" is that folder; "free": the free body,
    which is every adult's, and not SMPL. ``names``: what messages call the people.

    Quirks: hand vectors are relative to the model's mean hand, which is added, hand matrices absolute. A child has an
    11th beta, which leads to (the child template centred on its mean) - (the adult template, not centred); a girl is
    made of the neutral model. Raises InputError naming the person and key, or the missing file.
    """
    folder = bodies.get("models") if isinstance(bodies, Mapping) else bodies
    if folder is None:
        mend = "give bodies=FOLDER with the SMPL-X or SMPL files (or a mapping with 'models': FOLDER)"
        raise InputError("bodies", "names no folder of body models, which parameter predictions need", mend, "models")
    if str(folder) != FREE:
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
            together = {key: np.concatenate([one[key] for one in arrays]) for key in arrays[0]}
            joints, verts = _meshes(layer, together, vectors)
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
    shapes |= {"transl": (3,), "betas": (layer.shape_size,)} | ({"expression": (10,)} if model == "smplx" else {})
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
    """The layer with as many betas; the last six are kept, which are all that a submission can need."""
    free = folder == FREE and model == "smplx"
    read, template = free_body.model() if free else smplx.read(folder, model, gender), None
    if kid:
        path = _named(folder, f"{model}_kid_template.npy", "get it from https://agora.is.tue.mpg.de (SMIL-X template)")
        template = npz.read_array(path, "use the child template as the official site offers it")
        if template.shape != read.v_template.shape:
            problem = f"has shape {template.shape}, the model's template {read.v_template.shape}"
            raise InputError(path, problem, "use the child template of this body model")
    betas = min(num_betas - kid, smplx.most_shapes(read))
    return smplx.BodyLayer(smplx.select(read, betas, child=template))


def _meshes(layer, parameters, vectors):
    """{name: (B, …) float32} -> joints (B, J, 3), verts (B, V, 3); numpy."""
    import torch

    given = {name: torch.from_numpy(array) for name, array in parameters.items()}
    poses = {part: given[name] for name, part in zip(ROTATIONS[layer.kind], layer.parts, strict=True)}
    rest = {"shape": given["betas"], "expression": given.get("expression"), "transl": given["transl"]}
    with torch.no_grad():
        out = layer(**poses, **rest, mean_added=not vectors, pose_kind="rotvec" if vectors else "matrix")
    return out["joints"].numpy(), out["verts"].numpy()


def _named(folder, name, mend):
    kind = name.split("_")[0]
    places = [Path(folder) / place for place in ("", kind, "agora", f"models/{kind}", f"bodies/{kind}", "utils")]
    path = next((place / name for place in places if (place / name).is_file()), None)
    if path is None:
        raise InputError(folder, f"holds no {name}", mend)
    return path
