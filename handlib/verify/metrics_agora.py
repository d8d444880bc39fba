"""AGORA: matching, per-image errors, result figures, meshes of parameter predictions, and the format checker."""

import contextlib
import functools
import pickle
import tempfile
from pathlib import Path

import numpy as np

from handlib import protocols
from handlib.bodies import smplx_files
from handlib.protocols.agora import MISS, matching
from handlib.protocols.agora.errors import PARTS
from handlib.submissions import agora_format
from handlib.verify import Row, Skip, standin
from handlib.verify.reference import deviation

ERROR_M, SUM, MESH_M = 5e-6, 1e-4, 5e-6
MODELS = {"smplx": standin.smplx, "smpl": standin.smpl}
MEASURES = {"MPJPE": "joints", "MVE": "verts"}
FOCAL, CENTRE = 28 / 36 * 3840, (1920, 1080)
KID_SCALE = 0.6  # of the stand-in for a child's template


def check_agora(reference):
    """Every case of agora.json / .npz."""
    if not reference.has("agora.json"):
        yield Skip("agora", f"there is no agora.json in {reference.folder}")
        return
    cases, arrays = reference.json("agora.json"), reference.npz("agora.npz")
    with contextlib.ExitStack() as stack:
        folder = None
        for case, entry in cases.items():
            if case == "matching":
                yield from _matching(entry, arrays)
            elif case == "format_checker":
                yield from _format_checker(entry)
            elif case.endswith("_direct"):
                yield from _direct(case, entry, arrays)
            elif "_params_" in case:
                folder = folder or write_bodies(stack.enter_context(tempfile.TemporaryDirectory()))
                yield from _params(case, entry, arrays, folder)
            else:
                yield Skip(f"agora/{case}", "is no known kind of case")


def index_arrays():
    """{model: the stand-in index arrays}, as `vertex_sets` takes them."""
    extras, r = standin.smplx_extras(), standin.rng("metrics:agora:body_verts")
    body = {model: np.sort(r.permutation(size)[:4010]) for model, size in (("smplx", 10475), ("smpl", 6890))}
    hands = extras["MANO_SMPLX_vertex_ids"]
    face = extras["SMPL-X__FLAME_vertex_ids"]
    return {"smplx": {"body": body["smplx"], "face": face, **hands}, "smpl": {"body": body["smpl"]}}


@functools.cache
def template(model):
    """The neutral stand-in's vertices at rest."""
    return MODELS[model]()["v_template"]


def write_bodies(folder, genders=("neutral", "male", "female")):
    """The stand-in SMPL-X models, child template and index files under their official names -> folder."""
    folder, extras, indices = Path(folder), standin.smplx_extras(), index_arrays()
    for gender in genders:
        np.savez(folder / f"SMPLX_{gender.upper()}.npz", **standin.smplx(gender))
    np.save(folder / "smplx_kid_template.npy", KID_SCALE * template("smplx"))
    np.save(folder / "SMPL-X__FLAME_vertex_ids.npy", extras["SMPL-X__FLAME_vertex_ids"])
    for name in ("MANO_SMPLX_vertex_ids", "SMPLX_to_J14"):
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(extras[name]))
    for model, found in indices.items():
        np.save(folder / f"body_verts_{model}.npy", found["body"].astype(np.uint32))
    return folder


# Cases whose predictions are meshes


def direct_case(case, entry, arrays):
    """(predictions, truth rows, vertex sums of people and of predictions), made by the formula of the README."""
    model = case.removesuffix("_direct")
    shape, joints = template(model), arrays[f"{case}/joint_vertex_ids"]
    mine, theirs = ({name.split("/")[-1]: array for name, array in arrays.items() if f"{case}/{side}/" in name}
                    for side in ("pred", "gt"))  # fmt: skip
    predictions, truth, sums = {}, [], {"gt": {}, "pred": {}}
    for scene in entry["scenes"]:
        people = []
        for i, noise in zip(scene["gt_people"], scene["gt_noise_names"], strict=True):
            turned = shape * theirs["scale"][i] @ yaw(theirs["yaw"][i]).T + theirs["t"][i]
            people.append(turned + 0.01 * standin.rng(noise).standard_normal(shape.shape))
            sums["gt"][i] = people[-1].sum(0)
        flat = [theirs["joints_2d"][i] for i in scene["gt_people"]]
        truth.append(_row(scene, people, [verts[joints] for verts in people], flat))
        if scene["predictions"]:
            predictions[scene["imgPath"]] = []
        for person in sorted(scene["predictions"], key=lambda person: person["file"]):
            verts = _moved(people, person, mine)
            sums["pred"][person["index"]] = verts.sum(0, dtype=np.float64)
            given = {"verts": verts, "allSmplJoints3d": verts[joints], "joints": _flat(person["index"], mine)}
            predictions[scene["imgPath"]].append(given)
    return predictions, truth, sums


def yaw(angle):
    """Rotation about the y axis (3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _moved(people, person, mine):
    j = person["index"]
    verts = people[0] + [-3.2, 0, 9] if person["moved_from"] < 0 else people[person["moved_from"]]
    centre = verts.mean(0)
    noise = standin.rng(person["noise_name"]).standard_normal(verts.shape)
    turned = (verts - centre) * mine["scale"][j] @ yaw(mine["yaw"][j]).T + centre + mine["t"][j]
    return (turned + mine["sigma"][j] * noise).astype(np.float32)


def _flat(j, mine):
    flat = mine["joints_2d"][j, : mine["joints_2d_count"][j]]
    return flat[None] if mine["joints_2d_has_batch_axis"][j] else flat


def _row(scene, verts, joints, flat):
    row = {name: scene[name] for name in ("imgPath", "isValid", "occlusion", "kid")}
    return row | {"gt_joints_2d": flat, "gt_joints_3d": joints, "gt_verts": verts}


def _direct(case, entry, arrays):
    model = case.removesuffix("_direct")
    predictions, truth, sums = direct_case(case, entry, arrays)
    for side, found in sums.items():
        order = sorted(found)
        expected = arrays[f"{case}/{side}/vertex_sum"][order]
        yield Row(f"agora/{case}", f"vertex sums, {side}", deviation([found[i] for i in order], expected), SUM)
    bodies = index_arrays()[model]
    for variant, expected in entry["results"].items():
        options = {"bodies": bodies, "onlybfh": variant == "onlybfh"}
        yield from _results(f"agora/{case}, {variant}", predictions, truth, model, options, expected)


def _results(case, predictions, truth, model, options, expected):
    """Rows of the figures, and of the images where they are given."""
    running = protocols.running(f"agora_{model}", **options).update(predictions, truth)
    figures = running.figures(warn=False)
    wrong = [name for name, value in expected["result"].items() if deviation(figures.get(name), float(value)) != 0]
    wrong += sorted(set(figures.index) - set(expected["result"]))
    quantity = f"{len(expected['result'])} figures" + (f": {', '.join(wrong[:3])}" if wrong else "")
    yield Row(case, quantity, float(len(wrong)), 0.0)
    if "per_image" not in expected:
        return
    errors = protocols.per_sample(f"agora_{model}", predictions, truth, **options)
    rows = {name: row for row, name in enumerate(errors["image"])}
    matched = {"matching, persons": 0, "miss flags": 0, "false positives": 0}
    worst = {f"{part}-{measure}": 0.0 for part in PARTS[model] for measure in MEASURES}
    for image in expected["per_image"]:
        row, people = rows[image["image"]], len(image["miss_flag"])
        found = errors["match"][row, :people]
        pairs = [[int(k), person] for person, k in enumerate(found) if k >= 0]
        matched["matching, persons"] += sorted(pairs) != sorted(map(list, _pairs(image["matching"])))
        matched["miss flags"] += (found == MISS).astype(int).tolist() != image["miss_flag"]
        matched["false positives"] += errors["false_positives"][row] != image["false_positives"]
        for name in worst:
            part, measure = name.split("-")
            mine = np.nan_to_num(errors[f"{part}_{MEASURES[measure]}_m"][row, :people])
            worst[name] = max(worst[name], deviation(mine, image[f"{name}_m"]))
    images = f"of {len(expected['per_image'])} images"
    yield from (Row(case, f"{name} {images}", float(count), 0.0) for name, count in matched.items())
    yield from (Row(case, f"{name} of persons, m", value, ERROR_M) for name, value in worst.items())


def _pairs(official):
    return [pair for pair in official if isinstance(pair[0], int) and isinstance(pair[1], int)]


# Cases whose predictions are parameters


def params_case(entry, arrays, matrices, bodies):
    """(predictions, truth rows, meshes of people and of predictions). The truth's meshes are made as the official ones
    were, of rotation vectors.
    """
    people = [person for scene in entry["scenes"] for person in scene["people"]]
    given = [_person(arrays, f"params/gt/{i}/", person, False) for i, person in enumerate(people)]
    true = smplx_files.meshes(given, "smplx", bodies)
    predicted = [_person(arrays, f"params/pred/{j}/", person, matrices)
                 for j, person in enumerate(entry["predictions"])]  # fmt: skip
    made = smplx_files.meshes(predicted, "smplx", bodies)
    predictions, truth, start = {}, [], 0
    for person, mesh, listed in zip(predicted, made, entry["predictions"], strict=True):
        image = listed["file"].rpartition("_personId_")[0] + ".png"
        predictions.setdefault(image, []).append(person | {"joints": project(mesh[0][:24])})
    for scene in entry["scenes"]:
        meshes = true[start : start + len(scene["people"])]
        start += len(meshes)
        scene = scene | {"isValid": [1] * len(meshes), "occlusion": [10.0] * len(meshes)}
        scene["kid"] = [person["kid"] for person in scene["people"]]
        joints, verts = zip(*meshes, strict=True)
        truth.append(_row(scene, verts, joints, [project(points[:127]) for points in joints]))
    return predictions, truth, true, made


def project(points):
    """(K, 3) metres -> (K, 2) pixels by the scenes' camera."""
    points = points.astype(np.float64)
    return points[:, :2] / points[:, 2:] * FOCAL + CENTRE


def _person(arrays, prefix, person, matrices):
    params = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    params = {name: array for name, array in params.items() if not name.startswith("out_")}
    if matrices:
        rotations = smplx_files.ROTATIONS["smplx"]
        params |= {name: _matrices(params[name]) for name in rotations}
    given = {"params": params, "pose2rot": not matrices, "kid_flag": bool(person.get("kid_flag", person.get("kid")))}
    if given["kid_flag"]:
        given["num_betas"] = 11
    return given | ({"gender": person["gender"]} if person["gender"] else {})


def _matrices(vectors):
    """(1, 3 n) rotation vectors -> (1, n, 3, 3) float32."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(vectors.reshape(-1, 3).astype(np.float64)).as_matrix()[None].astype(np.float32)


def _params(case, entry, arrays, folder):
    matrices = case.endswith("matrix")
    bodies = index_arrays()["smplx"] | {"models": str(folder)}
    predictions, truth, true, made = params_case(entry, arrays, matrices, bodies)
    ending = "_matrix" if matrices else "_vector"
    yield from _mesh_rows(f"agora/{case}, people", arrays, true, "params/gt", "")
    yield from _mesh_rows(f"agora/{case}, predictions", arrays, made, "params/pred", ending)
    yield from _results(f"agora/{case}", predictions, truth, "smplx", {"bodies": bodies}, entry)


def _mesh_rows(case, arrays, meshes, prefix, ending):
    """What of the meshes was kept: the mean vertex, every 500th vertex and every 6th joint."""
    worst = {"out_vertex_sum": 0.0, "out_vertices_every_500": 0.0, "out_joints_every_6": 0.0}
    for number, (joints, verts) in enumerate(meshes):
        found = {"out_vertex_sum": verts.sum(0, dtype=np.float64) / len(verts)}
        found |= {"out_vertices_every_500": verts[::500], "out_joints_every_6": joints[::6]}
        for name, value in found.items():
            expected = arrays[f"{prefix}/{number}/{name}{ending}"]
            expected = expected / len(verts) if name == "out_vertex_sum" else expected
            worst[name] = max(worst[name], deviation(value, expected))
    yield from (Row(case, f"{name}, m", value, MESH_M) for name, value in worst.items())


# The matcher alone, and the format checker


def _matching(scenes, arrays):
    people, predicted = iter(arrays["matching/gt"]), iter(arrays["matching/pred"])
    wrong = []
    for number, scene in enumerate(scenes):
        true = [next(people) for _ in scene["valid"]]
        given = [next(predicted) for _ in range(scene["predictions"])]
        found = official_notation(matching.match(given, true, scene["valid"]), scene["valid"], len(given))
        if found != scene["matching"]:
            wrong.append(str(number))
    quantity = f"{len(scenes)} scenes" + (f", wrong: {', '.join(wrong[:8])}" if wrong else "")
    yield Row("agora/matching", quantity, float(len(wrong)), 0.0)


def official_notation(found, usable, predictions):
    """A `Matching` as the official list: pairs, then false positives, misses, and persons set aside."""
    taken = {prediction for prediction, _ in found.pairs}
    free = [person for person in range(len(usable)) if found.person_to_prediction[person] < 0]
    listed = [list(pair) for pair in found.pairs]
    listed += [[prediction, "falsePositive"] for prediction in range(predictions) if prediction not in taken]
    listed += [["miss", person] for person in free if usable[person]]
    aside = found.set_aside + [person for person in free if not usable[person]]
    return listed + [["invalid", person] for person in aside]


def format_cases():
    """The official checker's cases by their names, as dicts of one person."""
    zeros = np.zeros
    joints = {"joints": zeros((24, 2))}
    mesh = {"verts": zeros((10475, 3)), "allSmplJoints3d": zeros((127, 3))}
    vectors, matrices = (
        {name: zeros([10 if length == "n" else length for length in forms[form]])
         for name, forms in agora_format.PARAMETERS["agora_smplx"].items()}
        for form in (0, 1)
    )  # fmt: skip
    child = vectors | {"betas": zeros((1, 11))}
    without = {name: array for name, array in vectors.items() if name != "leye_pose"}
    return {
        "verts + allSmplJoints3d (127) + joints (24,2)": mesh | joints,
        "joints with a leading axis (1,24,2)": mesh | {"joints": zeros((1, 24, 2))},
        "allSmplJoints3d of 144": mesh | joints | {"allSmplJoints3d": zeros((144, 3))},
        "verts without allSmplJoints3d": {"verts": mesh["verts"]} | joints,
        "params, vectors (1,n)": {"params": vectors} | joints,
        "params, vectors, joints (1,137,2)": {"params": vectors, "joints": zeros((1, 137, 2))},
        "params, vectors of shape (1,21,3) for body_pose": joints
        | {"params": vectors | {"body_pose": zeros((1, 21, 3))}},
        "params, matrices, pose2rot False": {"params": matrices, "pose2rot": False} | joints,
        "params, matrices, pose2rot absent": {"params": matrices} | joints,
        "params without leye_pose": {"params": without} | joints,
        "params with 11 betas and kid_flag True": {"params": child, "kid_flag": True} | joints,
        "params with 11 betas, kid_flag True and num_betas 11": {"params": child, "kid_flag": True, "num_betas": 11}
        | joints,
        "params with 10 betas and age kid": {"params": vectors, "age": "kid"} | joints,
        "no joints": mesh,
    }


def _format_checker(entry):
    known, wrong = format_cases(), []
    for name, expected in entry.items():
        if name not in known:
            yield Skip("agora/format_checker", f"'{name}' is no known case")
            continue
        verdict = agora_format.reject(known[name], "agora_smplx")
        if expected != (f"rejected ({verdict.error})" if verdict else "accepted"):
            wrong.append(name)
    quantity = f"{len(set(entry) & set(known))} verdicts" + (f", wrong: {'; '.join(wrong)}" if wrong else "")
    yield Row("agora/format_checker", quantity, float(len(wrong)), 0.0)


CHECKS = [check_agora]
