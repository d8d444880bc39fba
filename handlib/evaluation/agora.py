"""AGORA's submission (SMPL-X or SMPL) from predictions of a pack."""

import numpy as np
import pandas

from handlib import protocols, submissions
from handlib.datasets import agora_frames
from handlib.evaluation.finding import truth_known
from handlib.files import InputError

# AGORA's name of a parameter -> ours, and its shape for one person.
_SMPLX = {
    "transl": ("transl", (1, 3)), "global_orient": ("root_pose", (1, 3)), "body_pose": ("body_pose", (1, 63)),
    "left_hand_pose": ("lhand_pose", (1, 45)), "right_hand_pose": ("rhand_pose", (1, 45)),
    "jaw_pose": ("jaw_pose", (1, 3)), "expression": ("expr", (1, 10)), "betas": ("shape", (1, 10)),
}  # fmt: skip
_SMPL = {
    "transl": ("transl", (1, 3)), "global_orient": ("root_pose", (1, 1, 3)), "body_pose": ("body_pose", (1, 23, 3)),
    "betas": ("shape", (1, 10)),
}  # fmt: skip
_MODELS = {"agora_smplx": _SMPLX, "agora_smpl": _SMPL}


def submission(made, pack, path):
    """Write and check predictions.zip -> (list of `submissions.Problem`, in words what it is).

    The persons of a picture are numbered from 0 in the pack's order, in every split: the server finds out by their 2D
    joints who is who.
    """
    server = "agora_smplx" if "lhand_pose" in made.predictions else "agora_smpl"
    pictures = np.asarray(pack.index["picture"])[made.index]
    submissions.write(server, persons(made, pictures, server), path)
    problems = submissions.check(server, path, images=sorted(set(pictures)))
    words = f"{len(made)} persons in {len(set(pictures))} pictures, as {server.removeprefix('agora_').upper()}"
    skipped = pack.manifest["skipped"]["count"]
    words += f"; {skipped} more were skipped in packing" if skipped else ""
    return problems, words + ("" if truth_known(pack) else "; the truth is on the server")


def persons(made, pictures, server="agora_smplx"):
    """Yield (picture, its persons as the official checker takes them), a picture at a time.

    pictures (N,): the file name of the picture of each row. Joints are those of the pictures of 3840 x 2160.
    """
    if len(pictures) != len(made):
        problem = f"are {len(pictures)} for {len(made)} persons"
        raise InputError("pictures", problem, "give the picture of each row of the predictions")
    order = np.argsort(pictures, kind="stable")
    names, starts = np.unique(pictures[order], return_index=True)
    for name, rows in zip(names, np.split(order, starts[1:]), strict=True):
        yield str(name), [_person(made.predictions, row, _MODELS[server]) for row in rows]


def official(made, pack, root, bodies):
    """AGORA's own evaluation of the validation set, see `handlib.protocols.agora` -> (figures, as of
    `protocols.evaluate`; a row per annotated person, `protocols.agora.people`); None where the data frames are not.

    made: predictions of the whole pack, SMPL-X; root: the data set's folder; bodies: the folder of body models and
    index files, or "free".
    """
    _, frames = agora_frames.find(root, "validation")
    if not frames:
        return None
    server, pictures = "agora_smplx", np.asarray(pack.index["picture"])[made.index]
    state = protocols.running(server, bodies=bodies)
    found = state.per_sample(dict(persons(made, pictures, server)), frames[0].parent)
    totals = {name: values.sum(0) for name, values in protocols.sums(server, found, bodies=bodies).items()}
    figures = pandas.Series(protocols.figures(server, totals, bodies=bodies), dtype=float, name=server)
    figures.attrs = {
        "protocol": server,
        "alignment": state.module.ALIGNMENT,
        "options": {},
        "samples": len(found["image"]),
    }
    return figures, state.module.people(found)


def _person(arrays, row, model):
    params = {theirs: arrays[ours][row].reshape(shape) for theirs, (ours, shape) in model.items()}
    if model is _SMPLX:
        params |= {eye: np.zeros((1, 3)) for eye in ("leye_pose", "reye_pose")}  # they do not turn
    return {"params": params, "joints": arrays["joints_img"][row]}
