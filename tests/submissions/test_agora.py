"""AGORA submissions: written and read back, what is refused, and what the check finds."""

import pickle
import pickletools
import zipfile

import numpy as np
import pytest
import torch

from handlib import submissions
from handlib.files import InputError
from handlib.submissions import agora, agora_format, agora_warnings
from handlib.verify import metrics_agora

CAMERA = np.array([[0.0, 0.0, 8.0]])


def mesh(rng, server="agora_smplx", people=24):
    """A person with a mesh whose 2D joints are the projection of its 3D ones."""
    counts = agora_format.POINTS[server]
    verts = (rng.uniform(-1, 1, (counts["verts"], 3)) * [0.5, 0.9, 0.2] + CAMERA).astype(np.float32)
    joints = verts[: counts["allSmplJoints3d"]]
    flat = joints[:people, :2] / joints[:people, 2:] * 3000 + [1920, 1080]
    return {"joints": flat, "verts": verts, "allSmplJoints3d": joints.copy()}


def parameters(rng, betas=10, matrices=False, server="agora_smplx"):
    params = {}
    for name, forms in agora_format.PARAMETERS[server].items():
        shape = [betas if length == "n" else length for length in forms[int(matrices)]]
        params[name] = rng.normal(0, 0.1, shape).astype(np.float32)
    given = {"joints": rng.uniform(0, 2000, (24, 2)), "params": params, "pose2rot": not matrices}
    return given | ({"kid_flag": True, "num_betas": 11} if betas == 11 else {})


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    return {
        "ag_bfh_00001.png": [mesh(rng), parameters(rng), parameters(rng, 11) | {"gender": "male"}],
        "ag_00002.png": [mesh(rng) for _ in range(12)],
    }


def same(first, second):
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            same(first[key], second[key])
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)
    else:
        assert first == second


@pytest.mark.parametrize(("name", "options"), [("p.zip", {}), ("p.zip", {"compress": True}), ("predictions", {})])
def test_what_is_written_is_read_back(predictions, tmp_path, name, options):
    path = submissions.write("agora_smplx", predictions, tmp_path / name, **options)
    found = submissions.read("agora_smplx", path)
    assert set(found) == set(predictions) and len(found) == 2
    order = sorted(range(12), key=str)  # the evaluator's: as text
    predictions["ag_00002.png"] = [predictions["ag_00002.png"][number] for number in order]
    for image, persons in predictions.items():
        assert len(found[image]) == len(persons)
        for mine, theirs in zip(found[image], persons, strict=True):
            same(mine, theirs)


def test_the_zip_holds_the_folder_that_the_server_wants(predictions, tmp_path):
    path = agora.write(predictions, tmp_path / "p.zip")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert all(name.startswith("predictions/") and name.endswith(".pkl") for name in names)
        assert "predictions/ag_bfh_00001_personId_0.pkl" in names and len(names) == 15
        whole = pickle.loads(archive.read("predictions/ag_bfh_00001_personId_2.pkl"))
    assert whole["gender"] == "male" and whole["params"]["betas"].shape == (1, 11)
    assert path.read_bytes() == agora.write(predictions, tmp_path / "again.zip").read_bytes()


def test_servers_with_numpy_1_can_read_the_pickles(predictions):
    for person in predictions["ag_bfh_00001.png"]:
        raw = agora.dumps(person)
        names = [(str(op.name), argument) for op, argument, _ in pickletools.genops(raw)]
        called = [argument for name, argument in names if name == "GLOBAL"]
        assert "numpy.core.multiarray _reconstruct" in called
        assert not [argument for _, argument in names if "_core" in str(argument)]
        same(pickle.loads(raw), person)


def test_batches_tensors_and_a_leading_axis(tmp_path):
    person = mesh(np.random.default_rng(0))
    given = {name: torch.tensor(array) for name, array in person.items()} | {"joints": person["joints"][None]}
    path = agora.write(((f"ag_{number}", [given]) for number in range(3)), tmp_path / "p.zip")
    found = agora.read(path)
    assert list(found) == ["ag_0.png", "ag_1.png", "ag_2.png"]
    same(found["ag_1.png"][0], {name: person[name] for name in given})


def test_smpl(tmp_path):
    rng = np.random.default_rng(0)
    persons = [mesh(rng, "agora_smpl"), parameters(rng, server="agora_smpl")]
    path = submissions.write("agora_smpl", {"ag_1.png": persons}, tmp_path / "p.zip")
    same(submissions.read("agora_smpl", path)["ag_1.png"][1], persons[1])
    assert submissions.check("agora_smpl", path) == []
    found = submissions.check("agora_smplx", path)
    assert [problem.severity for problem in found] == ["rejected", "rejected"]
    assert "key 'verts' has shape (6890, 3): give (10475, 3)" in found[0].text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("verts", np.zeros((10474, 3))),
        ("verts", np.full((10475, 3), np.nan)),
        ("verts", [[0, 0, 0]]),
        ("allSmplJoints3d", np.zeros((126, 3))),
        ("joints", np.zeros((23, 2))),
        ("joints", np.zeros((0, 2))),
        ("joints", np.full((24, 2), np.inf)),
        ("joints", np.full((24, 2), "x")),
    ],
)
def test_what_the_server_would_reject_is_not_written(tmp_path, key, value):
    person = mesh(np.random.default_rng(0))
    with pytest.raises(InputError) as caught:
        agora.write({"ag_1.png": [person, person | {key: value}]}, tmp_path / "p.zip")
    assert caught.value.field == key and "ag_1, 1" in caught.value.file
    assert not list(tmp_path.iterdir()), "no half file"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "hold no person"),
        ({"a.png": ["me"]}, "not a mapping"),
        ({"train/a.png": []}, "no image name"),
        ([("a", []), ("a.png", [])], "is there twice"),
    ],
)
def test_other_things_that_are_not_written(tmp_path, given, text):
    with pytest.raises(InputError, match=text):
        agora.write(given, tmp_path / "p.zip")
    with pytest.raises(InputError, match="no such server"):
        agora.write(given, tmp_path / "p.zip", server="agora")


@pytest.mark.parametrize("name", ["p.zip", "predictions"])
def test_a_failing_write_keeps_the_old_file(predictions, tmp_path, name):
    path = agora.write(predictions, tmp_path / name)
    with pytest.raises(InputError):
        agora.write(predictions | {"a.png": ["me"]}, path)
    assert len(agora.read(path)) == 2
    assert [inside.name for inside in tmp_path.iterdir()] == [name]


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        agora.read(tmp_path / "none.zip")
    (tmp_path / "cut.zip").write_bytes(b"PK\3\4 cut")
    with pytest.raises(InputError, match="cannot be read as a zip"):
        agora.read(tmp_path / "cut.zip")
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        archive.writestr("ag_1_personId_0.pkl", b"")
    with pytest.raises(InputError, match="holds no person"):
        agora.read(tmp_path / "flat.zip")


# The check


def written(tmp_path, persons):
    """A folder of raw pickles, ``persons``: {file name: dict, or bytes}."""
    folder = tmp_path / "predictions"
    folder.mkdir()
    for name, person in persons.items():
        raw = person if isinstance(person, bytes) else pickle.dumps(person)
        (folder / name).write_bytes(raw)
    return tmp_path


def test_a_good_submission_has_no_problem(predictions, tmp_path):
    path = agora.write({"ag_00002.png": predictions["ag_00002.png"]}, tmp_path / "p.zip")
    assert submissions.check("agora_smplx", path) == []
    assert submissions.check("agora_smplx", path, images=["ag_00002.png"]) == []


def test_every_case_of_the_official_checker(tmp_path):
    cases = metrics_agora.format_cases()
    path = written(tmp_path, {f"ag_1_personId_{k}.pkl": person for k, person in enumerate(cases.values())})
    found = {problem.entry: problem.text for problem in agora.check(path) if problem.severity == "rejected"}
    keys = {
        "joints with a leading axis (1,24,2)": "joints",
        "verts without allSmplJoints3d": "allSmplJoints3d",
        "params, vectors, joints (1,137,2)": "joints",
        "params, vectors of shape (1,21,3) for body_pose": "body_pose",
        "params, matrices, pose2rot absent": "global_orient",
        "params without leye_pose": "leye_pose",
        "params with 11 betas and kid_flag True": "betas",
        "no joints": "joints",
    }
    for number, name in enumerate(cases):
        file = f"ag_1_personId_{number}.pkl"
        assert (file in found) == (name in keys), name
        if name in keys:
            assert found[file].startswith(f"{file}: key '{keys[name]}'")


@pytest.mark.parametrize(
    ("changes", "key", "error"),
    [
        ({"gender": "woman"}, "gender", "KeyError"),
        ({"kid_flag": "yes"}, "kid_flag", "KeyError"),
        ({"kid_flag": True}, "betas", "KeyError"),
        ({"num_betas": 9}, "num_betas", "KeyError"),
        ({"num_betas": 12}, "betas", "ValueError"),
        ({"params": [1]}, "params", "AttributeError"),
        ({"joints": [[0, 0]] * 24}, "joints", "TypeError"),
    ],
)
def test_flags_that_the_checker_rejects(changes, key, error):
    verdict = agora_format.reject(parameters(np.random.default_rng(0)) | changes, "agora_smplx")
    assert (verdict.key, verdict.error) == (key, error)


def texts(path, **options):
    return "\n".join(str(problem) for problem in agora.check(path, **options))


def test_names_damage_and_code_are_found(tmp_path):
    good = mesh(np.random.default_rng(0))
    harm = b"cos\nsystem\n(S'true'\ntR."
    files = {"ag_1.pkl": good, "ag_1_personId_0.pkl": pickle.dumps(good)[:-900], "ag_2_personId_0.pkl": harm}
    found = agora.check(written(tmp_path, files | {"ag_3_personId_0.pkl": pickle.dumps([1])}))
    assert [problem.severity for problem in found] == ["rejected"] * 4
    assert [problem.entry for problem in found] == ["ag_1.pkl", *(f"ag_{k}_personId_0.pkl" for k in (1, 2, 3))]
    assert "no image" in found[0].text and "pickle" in found[1].text and "'os.system'" in found[2].text
    assert "holds list" in found[3].text


def test_empty_and_missing(tmp_path):
    assert "no file in the folder 'predictions'" in texts(written(tmp_path, {}))
    assert "does not exist" in texts(tmp_path / "none.zip")


def test_images_that_are_missing_unknown_or_misnamed(tmp_path):
    good = mesh(np.random.default_rng(0))
    path = written(tmp_path, {"ag_1_1280x720_personId_0.pkl": good, "ag_2_personId_0.pkl": good})
    found = texts(path, images=["ag_1.png", "ag_2", "ag_3.png"])
    assert "2 of 3 images have no person, such as 'ag_1.png'" in found
    assert "1 images are not in the set" in found and "keep '_1280x720' in their names" in found


def test_numbers_that_would_be_misjudged(tmp_path):
    good = mesh(np.random.default_rng(0))
    files = {
        "a_personId_0.pkl": good | {"verts": np.where(np.arange(10475)[:, None] == 3, np.nan, good["verts"])},
        "b_personId_0.pkl": good | {"verts": good["verts"] * 1000},
        "c_personId_0.pkl": good | {"verts": good["verts"] * [1, -1, -1]},
        "d_personId_0.pkl": good | {"joints": good["joints"] / 3840},
        "e_personId_0.pkl": good | {"age": "kid"},
        "f_personId_0.pkl": good | {"verts": good["verts"] - [0, 0, 8.1], "age": "adult"},  # root-relative is legal
    }
    found = {problem.entry[0]: problem.text for problem in agora.check(written(tmp_path, files))}
    assert "key 'verts' holds NaN" in found["a"] and "millimetres" in found["b"] and "behind the camera" in found["c"]
    assert "less than one pixel" in found["d"] and "'age' is not read" in found["e"]
    assert "f" not in found


@pytest.mark.parametrize("form", ["137 rows", "24 rows with a mesh"])
def test_the_projects_joint_order_is_recognised(tmp_path, form):
    person = mesh(np.random.default_rng(0), people=127)
    flat = np.resize(person["joints"], (137, 2))
    for number, row in agora_warnings._PROJECT_ROWS.items():
        flat[row] = person["joints"][number]
    changed = person | {"joints": flat if form == "137 rows" else flat[:24]}
    assert "137-joint order" in texts(written(tmp_path, {"a_personId_0.pkl": changed}))
    (tmp_path / "straight").mkdir()
    assert agora.check(written(tmp_path / "straight", {"a_personId_0.pkl": person})) == []


def test_pixels_of_the_small_images_are_recognised(tmp_path):
    rng = np.random.default_rng(0)
    small = {"joints": rng.uniform(0, 1, (24, 2)) * [1279, 719]}
    files = {f"a{k}_personId_0.pkl": mesh(rng) | small for k in range(10)}
    assert "1280 x 720 images; multiply them by 3" in texts(written(tmp_path, files))


def test_persons_that_do_not_agree(tmp_path):
    rng = np.random.default_rng(0)
    files = {
        "a_personId_0.pkl": parameters(rng, 11),
        "b_personId_0.pkl": parameters(rng),
        "c_personId_0.pkl": parameters(rng, matrices=True),
        "d_personId_0.pkl": parameters(rng, 12) | {"num_betas": 12},
    }
    found = texts(written(tmp_path, files))
    assert "a_personId_0.pkl, a child with num_betas 11, sorts before every adult" in found
    assert "vectors in a_personId_0.pkl and matrices in c_personId_0.pkl" in found
    assert "num_betas differs (10 in b_personId_0.pkl, 12 in d_personId_0.pkl)" in found
