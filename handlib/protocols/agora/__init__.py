"""AGORA (Patel et al., CVPR 2021) as its evaluation code computes it, for SMPL-X and SMPL: millimetres and ratios.

predictions: {image name: [person, ...]}, or the folder or zip of a submission (`handlib.submissions.agora`). A person
is a mapping as in the official pickles: ``joints`` (24 or more, 2) pixels of the 3840 x 2160 image, the first 24 in
SMPL-X / SMPL order; and either ``verts`` (10475 or 6890, 3) and ``allSmplJoints3d`` (127 or 24 at least, 3), metres in
the camera frame (x right, y down, z forward), or ``params``, of which `handlib.bodies.smplx_files` makes the mesh.
truth: a row per image (list of mappings, DataFrame, or the official pickled data frames: a file or folder) with
``imgPath`` and, one entry per person, ``isValid``, ``occlusion`` (%), ``kid``, ``gt_joints_2d`` (pixels at 3840 x
2160), ``gt_joints_3d``, ``gt_verts`` (metres). Predictions of images that truth lacks are not looked at, and there is
a warning.

Options. ``bodies``: the folder of the index files of hands, face and body (and of the body models, where predictions
are parameters), or their arrays (`handlib.protocols.agora.errors.vertex_sets`); it must be given. ``onlybfh``: keep
only the images named ``…bfh…`` or ``…smplx…``, whose hands and faces can be trusted. ``matching``: "official" or
"textbook" (`handlib.protocols.agora.matching.match`). ``misses_as_zero``, ``rounding``: see the quirks.

Figures: ``precision, recall, f1`` and ``kid_…``; ``body-MPJPE, body-NMJE, body-MVE, body-NMVE``, the same of lhand,
rhand, face (without the normalised ones) and fullbody, and ``kid-…``. SMPL has the body only.

Quirks, all of them the default:
- The matching cost is the largest singular value of the 24 x 2 differences, not their Frobenius norm, and the search
  may stop early and leave good pairs unmatched: ``matching="textbook"``.
- A person with ``isValid`` and an occlusion outside 0..90 cannot be matched but counts as a miss, and to detect that
  person is a false positive, unless the prediction fits someone else.
- Hand and face errors are means over all valid persons of images with at least one prediction, misses entering as 0,
  so misses lower them; persons of images without predictions do not enter. ``misses_as_zero=False``: the mean over
  matched persons, as for the body.
- A hand is 16 and the face 52 points, one of which, the root itself, always has error 0.
- fullbody is body + (left hand + right hand + face) / 3. NMJE and NMVE are MPJPE and MVE over F1.
- Errors are rounded to 0.1 mm and ratios to 0.01, and later figures are made of the rounded ones: ``rounding=False``.
- The children's precision and F1 use everyone's false positives; kid-fullbody-NMJE and -NMVE divide by everyone's F1.

Where this differs: the official code stops without any prediction of an image that has no annotated person, when no
image has a prediction, and when parameter predictions disagree in ``num_betas`` or in rotations as vectors or
matrices, because it builds its body models once, from the first person's; here each person's own are taken
(`handlib.submissions.check` names such files). Its Procrustes errors, which nothing reads, are not computed. Figures
without a child are the text 'nan' there, NaN here.
"""

import warnings

import numpy as np

from handlib.files import InputError
from handlib.protocols.agora import people as _people
from handlib.protocols.agora import summary
from handlib.protocols.agora.errors import JOINTS, PARTS, Measure, vertex_sets
from handlib.protocols.agora.matching import match

OPTIONS = {
    "model": "smplx",
    "bodies": None,
    "onlybfh": False,
    "matching": "official",
    "misses_as_zero": True,
    "rounding": True,
}
ALIGNMENT = "each part's root: the middle of the hips, the wrists, the neck"
OCCLUSION = (0, 90)  # per cent, both included: whoever lies outside cannot be matched
PEOPLE = 64  # of an image; a result has a column for each
MISS, NOBODY = -1, -2
CHUNK = 16  # images at a time: memory is flat in their number


def unit(figure):
    """ "mm", or "" of a ratio."""
    return "mm" if "-M" in figure or "-N" in figure else ""


def per_sample(predictions, truth, model="smplx", bodies=None, matching="official", **ignored):
    """Predictions and truth (see the module) -> named arrays, a row per image.

    ``image`` (N,) names; ``trusted`` (N,) whether onlybfh keeps it; ``predictions`` and ``false_positives`` (N,)
    counts; and a column per person (N, `PEOPLE`): ``valid``, ``kid``, ``occlusion`` (NaN where nobody is), ``match``
    the matched prediction's number, `MISS` or `NOBODY`; ``<part>_joints_m``, ``<part>_verts_m``, NaN without match.
    """
    predictions, measure = _people.images(predictions), Measure(model, vertex_sets(bodies, model))
    images = [_people.image(row, model) for row in _people.rows(truth)]
    if not images:
        raise InputError("truth", "holds no samples", "give at least one image")
    found = [_persons(predictions, image.name, model) for image in images]
    matches = [_match(persons, image, matching) for persons, image in zip(found, images, strict=True)]
    meshes = _meshes(images, found, matches, model, bodies)
    result = _empty(images, found, model)
    for row, (image, matched) in enumerate(zip(images, matches, strict=True)):
        n = len(matched)
        result["match"][row, :n] = matched
        result["valid"][row, :n], result["kid"][row, :n] = image.valid, image.kid
        result["occlusion"][row, :n] = image.occlusion
        result["false_positives"][row] = len(found[row]) - (matched >= 0).sum()
        for person in np.flatnonzero(matched >= 0):
            true = tuple(_people.finite(points[person], f"truth, image '{image.name}'", key) for points, key in
                         ((image.joints, "gt_joints_3d"), (image.verts, "gt_verts")))  # fmt: skip
            values = measure(meshes[row, matched[person]], true)
            for kind, parts in zip(summary.MEASURES.values(), values, strict=True):
                for part, value in zip(PARTS[model], parts, strict=True):
                    result[f"{part}_{kind}_m"][row, person] = value
    return result


def _persons(predictions, name, model):
    given = _people.of_image(predictions, name)
    return [_people.person(one, _called(name, k), model) for k, one in enumerate(given)]


def _called(name, k):
    return f"predictions of '{name}', person {k}"


def _match(persons, image, matching):
    """(people,) the prediction of each, `MISS` where there is none."""
    if len(image.valid) > PEOPLE:
        raise InputError(f"truth, image '{image.name}'", f"has more than {PEOPLE} people", "leave some out")
    usable = image.valid & (image.occlusion >= OCCLUSION[0]) & (image.occlusion <= OCCLUSION[1])
    flat = [one.joints_2d for one in persons]
    return match(flat, image.joints_2d, usable, matching).person_to_prediction


def _meshes(images, found, matches, model, bodies):
    """{(row, prediction): (joints, verts)} of the matched predictions; those given as parameters are built at once."""
    wanted = {(row, k): found[row][k] for row, matched in enumerate(matches) for k in matched[matched >= 0].tolist()}
    built = {key: person for key, person in wanted.items() if person.params is not None}
    made = {}
    if built:
        from handlib.bodies import smplx_files

        names = [_called(images[row].name, k) for row, k in built]
        meshes = smplx_files.meshes([person.params for person in built.values()], model, bodies, names)
        made = {key: (joints[: JOINTS[model]], verts) for key, (joints, verts) in zip(built, meshes, strict=True)}
    return {key: _mesh(person, made.get(key)) for key, person in wanted.items()}


def _mesh(person, made):
    """(joints, verts) as given, and where they are not given as made of the parameters."""
    given = (person.joints, person.verts)
    if made is None:
        return given
    return tuple(built if points is None else points for points, built in zip(given, made, strict=True))


def _empty(images, found, model):
    n = len(images)
    result = {
        "image": np.array([image.name for image in images]),
        "trusted": np.array(["bfh" in image.name or "smplx" in image.name for image in images]),
        "predictions": np.array([len(persons) for persons in found]),
        "false_positives": np.zeros(n, int),
        "match": np.full((n, PEOPLE), NOBODY),
        "valid": np.zeros((n, PEOPLE), bool),
        "kid": np.zeros((n, PEOPLE), bool),
        "occlusion": np.full((n, PEOPLE), np.nan),
    }
    names = [f"{part}_{kind}_m" for part in PARTS[model] for kind in summary.MEASURES.values()]
    return result | {name: np.full((n, PEOPLE), np.nan) for name in names}


def sums(errors, model="smplx", onlybfh=False, **ignored):
    """`per_sample`'s result -> what adds up over images, see `handlib.protocols.agora.summary.sums`."""
    return summary.sums(errors, onlybfh, model)


def figures(totals, model="smplx", misses_as_zero=True, rounding=True, **ignored):
    """Added `sums` -> the official figures by name."""
    return summary.figures(totals, model, misses_as_zero, rounding)


def remarks(totals, model="smplx", misses_as_zero=True, **ignored):
    """What the figures hide."""
    return list(summary.remarks(totals, misses_as_zero, model))


def chunks(predictions, truth):
    """(predictions, rows) for `CHUNK` images after another. Raises InputError when no image has a prediction though
    there are some, and when an image comes twice.
    """
    predictions, part, seen, hits = _people.images(predictions), [], set(), set()
    for row in _people.rows(truth):
        name = str(row.get("imgPath"))
        if name in seen:
            raise InputError("truth", f"image '{name}' is there twice", "give every image once", field="imgPath")
        seen.add(name)
        hits.add(_people.named(predictions, name))
        part.append(row)
        if len(part) == CHUNK:
            yield predictions, part
            part = []
    if part:
        yield predictions, part
    if not seen:
        raise InputError("truth", "holds no samples", "give at least one image")
    unknown = [name for name in predictions if name not in hits]
    if unknown and len(unknown) == len(predictions):
        mend = "name them as imgPath does; at 1280 x 720 leave '_1280x720' out of the names"
        raise InputError("predictions", f"are of other images than truth: '{unknown[0]}', but '{min(seen)}'", mend)
    if unknown:
        text = (
            f"agora_smpl(x): {len(unknown)} of {len(predictions)} predicted images are not in this truth and are not "
        )
        warnings.warn(f"{text}looked at, such as '{unknown[0]}'", stacklevel=2)


def people(errors, model="smplx"):
    """`per_sample`'s result -> pandas.DataFrame, a row per annotated person: for breakdowns by occlusion or age.

    Columns image, person, valid, kid, occlusion, match, miss, and ``<part>_mpjpe_mm``, ``<part>_mve_mm``.
    """
    import pandas

    row, person = np.nonzero(errors["match"] != NOBODY)
    table = {"image": errors["image"][row], "person": person}
    table |= {name: errors[name][row, person] for name in ("valid", "kid", "occlusion", "match")}
    table["miss"] = table["match"] == MISS
    for part in PARTS[model]:
        for measure, kind in summary.MEASURES.items():
            table[f"{part}_{measure.lower()}_mm"] = 1000 * errors[f"{part}_{kind}_m"][row, person]
    return pandas.DataFrame(table)
