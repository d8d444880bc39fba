"""FreiHAND and HO-3D (v2, v3): ``pred.json``, ``[joints, vertices]`` of all evaluation images, at the top of a zip.

Each list has an entry per image, in the order of the evaluation set (FreiHAND: 3,960 images by number; HO-3D: 11,524
in v2 and 20,137 in v3, in the order of the lines of ``evaluation.txt``); 21 joints and MANO's 778 vertices, metres.
FreiHAND: wrist, thumb, index, middle, ring, little, each base to tip; x right, y down, z forward. HO-3D: wrist, then
index, middle, little, ring, thumb, each base outwards, then the tips of thumb, index, middle, ring, little
(`handlib.fields.HO3D21`); OpenGL axes, x right, y up, z backward.

A root-relative submission is legal, and only its aligned figures mean anything. The evaluators look at the first
entry only to see whether meshes have 778 vertices; with others there are no mesh errors. HO-3D's evaluator takes any
axes, but the template that writes its files refuses an entry whose joints, or vertices, all have z > 0.
"""

import dataclasses
import warnings

import numpy as np

from handlib import fields
from handlib.files import InputError
from handlib.protocols import arrays
from handlib.submissions import archives, batches, frames, json_lists
from handlib.submissions.problems import MISLEADING, REJECTED, Problem, of_entries, rejected

VERTICES = 778
_PER_SAMPLE = 256 << 10  # bytes: 100 for each number
_JOINTS = (("xyz", "xyz_pred", "joints"), "joints_cam")
_VERTICES = (("verts", "verts_pred"), "verts_cam")


@dataclasses.dataclass(frozen=True)
class Server:
    """A benchmark's server. ``template``: its own template refuses entries whose z are all positive."""

    name: str
    samples: int
    frame: frames.Frame
    template: bool = False


_HO3D = frames.Frame(fields.HO3D21, opengl=True)
SERVERS = {
    "freihand": Server("freihand", 3960, frames.Frame(fields.FREIHAND21, opengl=False)),
    "ho3d_v2": Server("ho3d_v2", 11524, _HO3D, template=True),
    "ho3d_v3": Server("ho3d_v3", 20137, _HO3D, template=True),
}


def write(predictions, path, server="freihand", frame=None, decimals=None, samples=None):
    """Write a submission -> number of samples.

    predictions: a mapping of arrays, or an iterable of such batches, in the order of the evaluation set. Names tell
    the frame: ``xyz`` (N, 21, 3) (also ``xyz_pred``, ``joints``) and ``verts`` (N, 778, 3) (``verts_pred``) are in the
    server's order and axes and are written as they are; ``joints_cam`` and ``verts_cam`` are the house's (wrist, thumb
    to little finger, base to tip; x right, y down, z forward) and are converted. frame: "official" or "house" says it
    whatever the names. Metres. path: .json, or else a zip with ``pred.json``. decimals: round to so many (6 is enough
    and halves the file); None writes numbers that read back equal. samples: how many there must be (default: as many
    as the server wants, and other numbers only warn).

    Raises InputError naming the field and the row of a NaN, and when there are not ``samples``; then nothing is
    written.
    """
    server, count = SERVERS[server], 0

    def parts():
        nonlocal count
        for start, batch in batches.batches(predictions, (_JOINTS[1], *_JOINTS[0], _VERTICES[1], *_VERTICES[0])):
            joints = batches.points(batch, start, server.frame, *_JOINTS, 21, frame)
            vertices = batches.points(batch, start, server.frame, *_VERTICES, None, frame)
            yield joints, vertices
            count += len(joints)
        if samples not in (None, count):
            mend = f"give a row for each of the {samples} samples, in their order"
            raise InputError(batches.WHERE, f"hold {count} samples", mend)

    json_lists.write(path, parts(), decimals)
    if samples is None and count != server.samples:
        warnings.warn(f"{path}: {count} samples; the server of {server.name} wants {server.samples}", stacklevel=3)
    return count


def read(path, server="freihand"):
    """A submission -> joints (N, 21, 3), vertices (N, P, 3) float64, as in the file; see `json_lists.read`."""
    return json_lists.read(path)


def check(path, server="freihand", samples=None, truth=None):
    """What the server would reject, and what it takes although the figures will be wrong -> [Problem].

    samples: how many there must be (default: as many as the server wants; give the size of a subset of one's own);
    truth: a mapping with ``xyz`` (samples, 21, 3) as the official evaluator takes it, to see more. Memory is flat.
    """
    server = SERVERS[server]
    samples = samples or server.samples
    parts, wrong = ([], []), []
    try:
        with archives.opened(path, samples * _PER_SAMPLE + (1 << 20)) as (stream, name):
            for which, first, entries in json_lists.blocks(stream, name):
                part, shapes = (_joints, _boxes)[which](entries, first)
                parts[which].append(part)
                wrong += shapes
    except InputError as error:
        return _merged(wrong) + rejected(error)
    joints = np.concatenate([np.zeros((0, 21, 3)), *parts[0]])
    boxes = np.concatenate([np.zeros((0, 2, 3)), *parts[1]])
    for array, what in ((joints, "joints"), (boxes, "vertices")):
        if len(array) != samples:
            text = f"{what}: {len(array)} entries, the server wants {samples}, in the order of its evaluation list"
            wrong.append(Problem(REJECTED, None, text))
    wrong = _merged(wrong)
    if server.template:
        wrong += frames.template(joints[..., 2].min(1), "joints") + frames.template(boxes[:, 0, 2], "vertices")
    wrong += frames.problems(server.frame, joints, boxes if len(boxes) == len(joints) else None)
    if truth is not None:
        true = arrays.numbers(arrays.take(truth, "truth", "xyz", (samples, 21, 3)), "truth", "xyz")
        wrong += frames.against_truth(server.frame, joints, true) if len(joints) == samples else []
    return wrong


def _joints(entries, first):
    """A block of joints -> ((n, 21, 3), NaN where an entry has another shape; [Problem])."""
    if isinstance(entries, np.ndarray) and entries.shape[1:] == (21, 3):
        return entries, _not_numbers(entries, first, "joints")
    part, wrong = np.full((len(entries), 21, 3), np.nan), []
    for number, entry in enumerate(entries, first):
        if entry.shape == (21, 3):
            part[number - first] = entry
            wrong += _not_numbers(entry[None], number, "joints")
        else:
            wrong.append(Problem(REJECTED, number, f"joints have shape {entry.shape}, not (21, 3)"))
    return part, wrong


def _boxes(entries, first):
    """A block of meshes -> ((n, 2, 3) their lowest and highest corners, [Problem])."""
    if isinstance(entries, np.ndarray) and entries.shape[1:] == (VERTICES, 3):
        part = np.stack([entries.min(1), entries.max(1)], 1)
        return part, _not_numbers(part, first, "vertices")
    part, wrong = np.full((len(entries), 2, 3), np.nan), []
    for number, entry in enumerate(entries, first):
        if entry.shape[1:] != (3,):
            wrong.append(Problem(REJECTED, number, f"vertices have shape {entry.shape}, not ({VERTICES}, 3)"))
            continue
        part[number - first] = entry.min(0), entry.max(0)
        wrong += _not_numbers(entry[None], number, "vertices")
        if len(entry) != VERTICES:
            text = f"{len(entry)} vertices, not {VERTICES}: no mesh errors (-100 cm), and F-scores without meaning"
            wrong.append(Problem(MISLEADING, number, text))
    return part, wrong


def _not_numbers(entries, first, what):
    text = f"{what} hold NaN or infinity: the evaluator stops or every figure becomes NaN"
    return [Problem(REJECTED, first + row, text) for row in np.flatnonzero(~np.isfinite(entries).all((1, 2)))]


def _merged(problems):
    """One problem for all entries that have the same."""
    alike = {}
    for problem in problems:
        alike.setdefault((problem.severity, problem.text), []).append(problem.entry)
    merged = []
    for (severity, text), entries in alike.items():
        merged += [Problem(severity, None, text)] if entries == [None] else of_entries(severity, entries, text)
    return merged
