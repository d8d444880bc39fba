"""AGORA: the official figures on the reference, what its quirks do, streaming, ground-truth frames, bad input."""

import io
import pickle

import numpy as np
import pandas
import pytest

from handlib import protocols
from handlib.bodies import smplx_files
from handlib.datasets import agora_frames as frames
from handlib.files import InputError
from handlib.protocols import agora
from handlib.protocols.agora import matching
from handlib.submissions import agora as submission
from handlib.verify import metrics_agora, reference, standin

V, J = 6890, 24
BODY = np.arange(0, V, 7)
SMPL = {"bodies": {"body": BODY}}


# The official evaluator


def test_every_case_of_the_reference():
    results = list(metrics_agora.check_agora(reference.shipped("metrics")))
    assert len(results) == 61
    assert not [result for result in results if not result.ok]


def test_the_checks_can_fail():
    arrays, cases = reference.shipped("metrics").npz("agora.npz"), reference.shipped("metrics").json("agora.json")
    cases["matching"][3]["matching"][0] = [1, 0]
    (row,) = metrics_agora._matching(cases["matching"], arrays)
    assert row.deviation == 1 and row.quantity.endswith("wrong: 3")
    (row,) = metrics_agora._format_checker(cases["format_checker"] | {"no joints": "accepted"})
    assert not row.ok and "no joints" in row.quantity


def test_the_textbook_matcher_differs_in_some_scenes():
    cases, arrays = reference.shipped("metrics").json("agora.json"), reference.shipped("metrics").npz("agora.npz")
    people, predicted = iter(arrays["matching/gt"]), iter(arrays["matching/pred"])
    differ = 0
    for scene in cases["matching"]:
        true, given = [next(people) for _ in scene["valid"]], [next(predicted) for _ in range(scene["predictions"])]
        found = [matching.match(given, true, scene["valid"], rule).person_to_prediction for rule in matching.RULES]
        differ += (found[0] != found[1]).any()
    assert 0 < differ < 60


# Matching


def at(x, y, size=100.0):
    """24 joints in a square."""
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 1, 4)), -1).reshape(-1, 2)
    return grid * size + [x, y]


def test_the_cost_is_the_largest_singular_value():
    rng = np.random.default_rng(0)
    mine, theirs = rng.normal(size=(3, 24, 2)), rng.normal(size=(4, 30, 2))
    difference = mine[:, None] - theirs[None, :, :24]
    np.testing.assert_allclose(
        matching._costs(list(mine), list(theirs), "official"), np.linalg.norm(difference, 2, axis=(2, 3)), rtol=1e-12
    )
    np.testing.assert_allclose(
        matching._costs(list(mine), list(theirs), "textbook"), np.linalg.norm(difference, axis=(2, 3)), rtol=1e-12
    )


def test_boxes_are_one_pixel_longer_and_count_all_joints():
    left, right = at(0, 0, 9.0), at(10, 0, 9.0)  # they touch once a pixel is added on neither side
    np.testing.assert_allclose(matching._overlaps([left], [left, right]), [[1, 0]])
    np.testing.assert_allclose(matching._overlaps([left], [at(9, 0, 9.0)]), [[10 / 190]])
    longer = np.concatenate([left, [[19.0, 9.0]]])
    assert matching._overlaps([longer], [right])[0, 0] == pytest.approx(0.5)


def test_far_pairs_stop_the_official_search_early():
    true = [at(0, 0, 1000), at(2000, 0, 50), at(2000, 200, 50)]
    given = [at(300, 0, 1000), at(2000, 100, 50)]  # the second is near two people, but overlaps none
    assert matching.match(given, true, [True] * 3).pairs == []
    assert matching.match(given, true, [True] * 3, "textbook").pairs == [(0, 0)]
    assert matching.match([*given, at(5000, 0)], true, [True] * 3).pairs == [(0, 0)]  # one more to be found


def test_an_unusable_person_is_set_aside_and_the_prediction_stays_free():
    true = [at(0, 0), at(20, 0)]
    found = matching.match([at(2, 0)], true, [False, True])
    assert found.pairs == [(0, 1)] and found.set_aside == [0]
    alone = matching.match([at(2, 0)], true[:1], [False])
    assert alone.pairs == [] and alone.person_to_prediction.tolist() == [-1]


def test_matching_of_nobody_and_of_an_unknown_rule():
    assert matching.match([], [at(0, 0)], [True]).person_to_prediction.tolist() == [-1]
    assert matching.match([at(0, 0)], [], []).pairs == []
    with pytest.raises(InputError, match="no such rule"):
        matching.match([at(0, 0)], [at(0, 0)], [True], "frobenius")


# Figures by hand


def person(x, rng):
    """(2D joints, 3D joints, vertices) of somebody at column x of the picture."""
    verts = rng.normal(0, 0.3, (V, 3)) + [0, 0, 8]
    return at(x, 500), verts[:J], verts


def image(name, people, **lists):
    flat, joints, verts = (list(values) for values in zip(*people, strict=True))
    n = len(people)
    row = {"imgPath": name, "isValid": [True] * n, "occlusion": [10.0] * n, "kid": [False] * n}
    return row | {"gt_joints_2d": flat, "gt_joints_3d": joints, "gt_verts": verts} | lists


def predicted(person, shift=0.0, moved=(0.0, 0.0, 0.0)):
    """A prediction off by ``shift`` metres along x at every point but the hips, which are its root."""
    flat, joints, verts = person
    joints, verts = joints + moved, verts + moved
    joints[:, 0] += shift
    verts[:, 0] += shift
    joints[1:3, 0] -= shift
    return {"joints": flat, "allSmplJoints3d": joints, "verts": verts}


@pytest.fixture
def pair():
    """Two images: three people, of whom one is missed and one a child; a false positive. Then one person, unseen."""
    rng = np.random.default_rng(0)
    people = [person(x, rng) for x in (0, 500, 1000)]
    truth = [image("a_bfh.png", people, kid=[False, True, False]), image("b.png", [person(0, rng)])]
    predictions = {
        "a_bfh.png": [predicted(people[0], 0.022), predicted(people[1], 0.011), predicted(person(2000, rng))]
    }
    return predictions, truth


def evaluate(pair, **options):
    return protocols.evaluate("agora_smpl", *pair, **SMPL, **options)


@pytest.mark.filterwarnings("ignore:agora_smpl")
def test_figures_of_smpl_by_hand(pair):
    figures = evaluate(pair, rounding=False)
    assert figures["precision"] == pytest.approx(2 / 3) and figures["recall"] == 0.5
    assert figures["f1"] == pytest.approx(2 / (2 + 1.5))
    # every point but the two hips is off by the shift
    assert figures["body-MPJPE"] == pytest.approx(22 / 24 * (22 + 11) / 2)
    assert figures["body-MVE"] == pytest.approx((22 + 11) / 2)
    assert figures["body-NMVE"] == pytest.approx(16.5 * 3.5 / 2)
    assert figures["kid_precision"] == 0.5 and figures["kid_recall"] == 1  # everyone's false positive
    assert figures["kid-body-MVE"] == pytest.approx(11)
    rounded = evaluate(pair)
    assert rounded["body-MPJPE"] == 15.1 and rounded["f1"] == 0.57
    assert rounded["body-NMJE"] == pytest.approx(26.5) and figures["body-NMJE"] == pytest.approx(26.47, abs=0.01)


@pytest.mark.filterwarnings("ignore:agora_smpl")
def test_translation_is_forgiven_and_images_are_chosen_by_name(pair):
    predictions, truth = pair
    expected = evaluate(pair)
    for one in predictions["a_bfh.png"]:
        one["verts"] = one["verts"] + [1, 2, 3]
        one["allSmplJoints3d"] = one["allSmplJoints3d"] + [1, 2, 3]
    pandas.testing.assert_series_equal(evaluate(pair), expected)
    assert evaluate(pair, onlybfh=True)["recall"] == 0.67
    with pytest.warns(UserWarning, match="1 of 2 images have no prediction"):
        evaluate(pair)


@pytest.fixture
def whole(pair):
    """The same with SMPL-X's points."""
    rng = np.random.default_rng(1)
    verts = rng.normal(0, 0.3, (2, 10475, 3)) + [0, 0, 8]
    people = [(at(x, 500), points[:127], points) for x, points in zip((0, 1000), verts, strict=True)]
    bodies = {name: np.arange(k, 10475, 9) for k, name in enumerate(("body", "left_hand", "right_hand", "face"))}
    moved = verts[0] + [0.01, 0, 0]
    moved[[1, 2, 12, 20, 21]] -= [0.01, 0, 0]
    predictions = {"a.png": [{"joints": at(0, 500), "verts": moved, "allSmplJoints3d": moved[:127]}]}
    return predictions, [image("a.png", people)], {"bodies": bodies}


@pytest.mark.filterwarnings("ignore:agora_smplx")
def test_misses_lower_hands_and_face_as_officially(whole):
    predictions, truth, options = whole
    running = protocols.running("agora_smplx", **options).update(predictions, truth)
    assert any("1 missed persons enter the hand" in text for text in agora.remarks(running.totals()))
    official = running.figures()
    corrected = protocols.evaluate("agora_smplx", predictions, truth, misses_as_zero=False, **options)
    assert corrected["body-MVE"] == official["body-MVE"] == pytest.approx(10, abs=0.1)
    assert corrected["lhand-MPJPE"] == round(10 * 15 / 16, 1)  # the wrist itself is one of 16 and never off
    assert official["lhand-MPJPE"] == round(10 * 15 / 16 / 2, 1)
    assert corrected["face-MPJPE"] == round(10 * 51 / 52, 1)
    third = sum(official[f"{part}-MVE"] for part in ("lhand", "rhand", "face")) / 3
    assert official["fullbody-MVE"] == pytest.approx(round(official["body-MVE"] + third, 1))
    assert official["fullbody-NMVE"] == np.round(official["fullbody-MVE"] / official["f1"], 1)
    assert np.isnan(official["kid-fullbody-MVE"]) and np.isnan(official["kid_f1"])
    assert protocols.unit("agora_smplx", "kid-body-NMJE") == "mm" and protocols.unit("agora_smplx", "kid_f1") == ""


@pytest.mark.filterwarnings("ignore:agora_smpl")
def test_occlusion_outside_0_to_90_is_a_miss_and_a_false_positive(pair):
    predictions, truth = pair
    truth[0]["occlusion"] = [90.0, 90.1, 10.0]
    errors = protocols.per_sample("agora_smpl", *pair, **SMPL)
    assert errors["match"][0, :3].tolist() == [0, agora.MISS, agora.MISS] and errors["false_positives"][0] == 2
    truth[0]["isValid"] = [True, False, True]
    assert evaluate(pair)["recall"] == 0.33  # who is not valid is not counted


def test_people_is_a_row_per_person(pair):
    table = agora.people(protocols.per_sample("agora_smpl", *pair, **SMPL), "smpl")
    assert table["image"].tolist() == ["a_bfh.png"] * 3 + ["b.png"]
    assert table["miss"].tolist() == [False, False, True, True]
    np.testing.assert_allclose(table["body_mve_mm"], [22, 11, np.nan, np.nan])
    assert table.groupby("kid")["body_mve_mm"].mean()[True] == pytest.approx(11)


# Streaming


@pytest.mark.filterwarnings("ignore:agora_smpl")
def test_batches_order_and_merging_do_not_matter(pair, monkeypatch):
    predictions, truth = pair
    expected = evaluate(pair, rounding=False)
    monkeypatch.setattr(agora, "CHUNK", 1)
    pandas.testing.assert_series_equal(evaluate((predictions, truth[::-1]), rounding=False), expected, rtol=0)
    states = [protocols.running("agora_smpl", rounding=False, **SMPL) for _ in range(2)]
    states[0].update(predictions, truth[:1])
    states[1].update({}, truth[1:])
    pandas.testing.assert_series_equal(states[1].merge(states[0]).figures(), expected, rtol=0)


@pytest.mark.filterwarnings("ignore:agora_smpl")
def test_a_submission_is_read_image_by_image(pair, tmp_path, monkeypatch):
    predictions, truth = pair
    expected = evaluate(pair)
    opened = []
    read = submission.Submission.person
    monkeypatch.setattr(submission.Submission, "person", lambda self, name: opened.append(name) or read(self, name))
    for path in ("predictions", "p.zip"):
        opened.clear()
        given = submission.write(predictions, tmp_path / path, server="agora_smpl")
        pandas.testing.assert_series_equal(evaluate((str(given), truth)), expected)
        assert len(opened) == 3, "every file is opened once"


# Forms of the ground truth


def old_columns(index):
    return pandas.Index(list(index), dtype=object)


def frame(truth):
    table = pandas.DataFrame({name: pandas.Series([row[name] for row in truth], dtype=object) for name in truth[0]})
    table["camX"] = 1.5
    table["n"] = np.arange(len(truth))
    table.columns = old_columns(table.columns)
    return table


@pytest.mark.filterwarnings("ignore:agora_smpl")
def test_forms_of_the_truth(pair, tmp_path):
    predictions, truth = pair
    expected, table = evaluate(pair), frame(truth)
    (tmp_path / "all").mkdir()
    for number in range(2):
        table.iloc[number : number + 1].to_pickle(tmp_path / "all" / f"{number}.pkl")
    table.to_pickle(tmp_path / "whole.pkl")
    columns = {name: table[name].tolist() for name in table}
    for given in (table, columns, tmp_path / "whole.pkl", str(tmp_path / "all"), iter(truth)):
        pandas.testing.assert_series_equal(evaluate((predictions, given)), expected)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_frames_are_read_as_pandas_reads_them(pair, tmp_path, protocol):
    table = frame(pair[1])
    (tmp_path / "frame.pkl").write_bytes(pickle.dumps(table, protocol))
    found = frames.read(tmp_path / "frame.pkl")
    assert list(found) == list(table.columns)
    assert found["imgPath"] == table["imgPath"].tolist() and found["n"] == [0, 1] and found["camX"] == [1.5, 1.5]
    np.testing.assert_array_equal(found["gt_verts"][0][1], table["gt_verts"][0][1])


def of_old_pandas(columns, rows):
    """Bytes of a frame as pandas 0.25 wrote it; ``columns``: {name: object array}, one block of objects."""

    names = np.array(list(columns), object)
    values = np.empty((len(columns), rows), object)
    for place, column in enumerate(columns.values()):
        values[place] = column
    axes = [("Index", {"data": names, "name": None}), ("RangeIndex", {"start": 0, "stop": rows, "step": 1})]
    stream = io.BytesIO()
    pickler = pickle._Pickler(stream, 2)

    def named(module, name):
        stream.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())

    stream.write(pickle.PROTO + b"\2")
    named("pandas.core.frame", "DataFrame")
    stream.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ + pickle.EMPTY_DICT + pickle.MARK)
    pickler.save("_data")
    named("pandas.core.internals.managers", "BlockManager")
    stream.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ + pickle.MARK)

    def write_axes():
        stream.write(pickle.EMPTY_LIST + pickle.MARK)
        for kind, state in axes:
            named("pandas.core.indexes.base", "_new_Index")
            named(f"pandas.core.indexes.{'base' if kind == 'Index' else 'range'}", kind)
            pickler.save(state)
            stream.write(pickle.TUPLE2 + pickle.REDUCE)
        stream.write(pickle.APPENDS)

    write_axes()
    pickler.save([values])
    pickler.save([names])
    stream.write(pickle.EMPTY_DICT + pickle.MARK)
    pickler.save("0.14.1")
    stream.write(pickle.EMPTY_DICT + pickle.MARK)
    pickler.save("axes")
    write_axes()
    pickler.save("blocks")
    pickler.save([{"values": values, "mgr_locs": slice(0, len(columns), 1)}])
    stream.write(pickle.SETITEMS + pickle.SETITEMS + pickle.TUPLE + pickle.BUILD)
    pickler.save("_typ")
    pickler.save("dataframe")
    stream.write(pickle.SETITEMS + pickle.BUILD + pickle.STOP)
    return stream.getvalue().replace(b"numpy._core.", b"numpy.core.")


def test_frames_of_old_pandas(tmp_path):
    raw = of_old_pandas({"imgPath": ["a.png", "b.png"], "isValid": [[True], [True, False]]}, 2)
    (tmp_path / "old.pkl").write_bytes(raw)
    assert frames.read(tmp_path / "old.pkl") == {"imgPath": ["a.png", "b.png"], "isValid": [[True], [True, False]]}
    expected = pandas.DataFrame({"imgPath": ["a.png", "b.png"]})
    assert pickle.loads(raw)["imgPath"].tolist() == expected["imgPath"].tolist(), "pandas itself reads these bytes"


class Harm:
    def __reduce__(self):
        return print, ("harm",)


def test_frames_cannot_run_code(tmp_path):
    table = frame([{"imgPath": "a.png", "isValid": [Harm()]}])
    table.to_pickle(tmp_path / "frame.pkl")
    with pytest.raises(InputError, match="'builtins.print', which is not known to be harmless"):
        frames.read(tmp_path / "frame.pkl")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(InputError, match="not a data frame"):
        frames.read(tmp_path / "list.pkl")
    with pytest.raises(InputError, match="holds no .pkl file"):
        (tmp_path / "empty").mkdir()
        frames.files(tmp_path / "empty")


# Bodies


def test_indices_from_a_folder(tmp_path):
    (tmp_path / "agora").mkdir()
    np.save(tmp_path / "agora" / "body_verts_smpl.npy", BODY.astype(np.uint32))
    found = agora.vertex_sets(tmp_path, "smpl")
    np.testing.assert_array_equal(found["body"], BODY)
    extras = standin.smplx_extras()
    for name in ("MANO_SMPLX_vertex_ids", "SMPLX_to_J14"):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(extras[name]))
    np.save(tmp_path / "SMPL-X__FLAME_vertex_ids.npy", extras["SMPL-X__FLAME_vertex_ids"])
    np.save(tmp_path / "body_verts_smplx.npy", BODY)
    found = agora.vertex_sets(tmp_path, "smplx")
    np.testing.assert_array_equal(found["lhand"], extras["MANO_SMPLX_vertex_ids"]["left_hand"])
    np.testing.assert_array_equal(found["face"], extras["SMPL-X__FLAME_vertex_ids"])


@pytest.mark.parametrize(
    ("bodies", "text"),
    [
        (None, "needs the vertex indices"),
        ({}, "is missing"),
        ({"body": [0.5]}, "whole numbers"),
        ({"body": [V]}, "outside 0..6889"),
        ({"body": []}, "whole numbers"),
    ],
)
def test_indices_that_cannot_be_used(pair, bodies, text):
    with pytest.raises(InputError, match=text):
        protocols.evaluate("agora_smpl", *pair, bodies=bodies)


def test_a_folder_without_the_index_file(pair, tmp_path):
    with pytest.raises(InputError, match="body_verts_smpl.npy(.|\n)*AGORA evaluation"):
        protocols.evaluate("agora_smpl", *pair, bodies=tmp_path)


# SMPL parameters, beside the smplx package itself


@pytest.fixture(scope="module")
def smpl_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bodies")
    model = standin.smpl()
    (folder / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(model))
    np.save(folder / "smpl_kid_template.npy", 0.6 * model["v_template"])
    np.save(folder / "body_verts_smpl.npy", BODY)
    return folder


def smpl_parameters(rng, betas=10):
    rotations = {"global_orient": rng.normal(0, 0.3, (1, 1, 3)), "body_pose": rng.normal(0, 0.3, (1, 23, 3))}
    return rotations | {"betas": rng.normal(size=(1, betas)), "transl": np.array([[0.0, 0.0, 6.0]])}


@pytest.mark.parametrize("kid", [False, True])
def test_smpl_meshes_are_the_packages(smpl_folder, kid, capsys):
    import smplx
    import torch

    people = [smpl_parameters(np.random.default_rng(seed), 11 if kid else 10) for seed in range(3)]
    age = {"age": "kid", "kid_template_path": str(smpl_folder / "smpl_kid_template.npy")} if kid else {}
    layer = smplx.create(str(smpl_folder / "SMPL_NEUTRAL.pkl"), "smpl", **age)
    found = smplx_files.meshes([{"params": params, "kid_flag": kid} for params in people], "smpl", smpl_folder)
    for params, (joints, verts) in zip(people, found, strict=True):
        expected = layer(**{name: torch.tensor(array, dtype=torch.float32) for name, array in params.items()})
        np.testing.assert_allclose(verts, expected.vertices[0].detach(), atol=2e-6)
        np.testing.assert_allclose(joints, expected.joints[0].detach(), atol=2e-6)


@pytest.mark.filterwarnings("ignore:agora_smpl")
def test_parameters_and_meshes_give_the_same_figures(smpl_folder):
    rng = np.random.default_rng(0)
    params = [smpl_parameters(rng) for _ in range(2)]
    built = smplx_files.meshes([{"params": one} for one in params], "smpl", {"models": smpl_folder})
    truth = [image("a.png", [(at(0, 0), *(built[0][0][:24], built[0][1]))])]
    given = {"a.png": [{"joints": at(3, 0), "params": params[1]}]}
    meshes = {"a.png": [{"joints": at(3, 0), "allSmplJoints3d": built[1][0], "verts": built[1][1]}]}
    first, second = (protocols.evaluate("agora_smpl", one, truth, bodies=smpl_folder) for one in (given, meshes))
    pandas.testing.assert_series_equal(first, second)
    assert first["body-MVE"] > 10


def test_parameters_that_cannot_be_used(smpl_folder):
    def refused(bodies=smpl_folder, **changes):
        given = {"params": smpl_parameters(np.random.default_rng(0))} | changes
        with pytest.raises(InputError) as caught:
            smplx_files.meshes([given], "smpl", bodies)
        return caught.value

    params = smpl_parameters(np.random.default_rng(0))
    assert refused(bodies={"body": BODY}).field == "models"
    assert refused(gender="woman").field == "gender"
    assert refused(params={name: params[name] for name in params if name != "betas"}).field == "betas"
    assert refused(pose2rot=False).field == "global_orient"
    assert refused(kid_flag=True).field == "betas"
    assert "NaN" in refused(params=params | {"transl": np.full((1, 3), np.nan)}).problem
    truth = [image("a.png", [person(0, np.random.default_rng(0))])]
    given = {"a.png": [{"joints": at(0, 500), "params": params | {"betas": np.zeros((1, 9))}}]}
    with pytest.raises(InputError, match="of 'a.png', person 0: field 'betas'"):
        protocols.evaluate("agora_smpl", given, truth, bodies=smpl_folder)
    with pytest.raises(InputError, match="holds no SMPLX_NEUTRAL"):
        smplx_files.meshes([{"params": {}}], "smplx", smpl_folder)


# Bad input


def refused(predictions, truth, **options):
    with pytest.raises(InputError) as caught:
        protocols.evaluate("agora_smpl", predictions, truth, **SMPL | options)
    return caught.value


def changed(pair, key, value):
    predictions, truth = pair
    persons = [dict(one) for one in predictions["a_bfh.png"]]
    persons[1] |= {key: value}
    return {"a_bfh.png": persons}, truth


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("joints", np.zeros((23, 2))),
        ("joints", np.full((24, 2), np.nan)),
        ("joints", np.full((24, 2), "x")),
        ("verts", np.zeros((10475, 3))),
        ("verts", np.full((V, 3), np.nan)),
        ("allSmplJoints3d", np.zeros((22, 3))),
        ("allSmplJoints3d", np.full((24, 3), np.inf)),
    ],
)
def test_a_person_that_cannot_be_used_is_named(pair, key, value):
    error = refused(*changed(pair, key, value))
    assert error.field == key and "'a_bfh.png', person 1" in str(error.file)


@pytest.mark.parametrize("key", ["joints", "verts", "allSmplJoints3d"])
def test_a_missing_key_is_named(pair, key):
    del pair[0]["a_bfh.png"][1][key]
    error = refused(*pair)
    assert error.field == key and error.problem == "is missing"


@pytest.mark.parametrize("key", ["isValid", "occlusion", "kid", "gt_joints_2d", "gt_joints_3d", "gt_verts"])
def test_truth_that_cannot_be_used_is_named(pair, key):
    predictions, truth = pair
    kept = truth[0].pop(key)
    assert refused(predictions, truth).field == key
    truth[0][key] = kept[:2]
    error = refused(predictions, truth)
    assert key in (error.field, "isValid") and "a_bfh.png" in str(error.file)


def test_truth_with_nan_where_it_counts(pair):
    predictions, truth = pair
    truth[0]["gt_verts"][0][50] = np.nan
    assert refused(predictions, truth).field == "gt_verts"
    truth[0]["gt_verts"][0][50] = 0
    truth[0]["occlusion"][2] = np.nan
    assert refused(predictions, truth).field == "occlusion"
    truth[0]["isValid"][2] = False  # then it does not count
    assert agora.per_sample(predictions, truth, "smpl", **SMPL)["match"][0, 0] == 0


def test_other_bad_input(pair):
    predictions, truth = pair
    assert "holds no samples" in refused(predictions, []).problem
    assert "is there twice" in refused(predictions, truth + truth[:1]).problem
    assert "other images" in refused({"c.png": predictions["a_bfh.png"]}, truth).problem
    assert "not a mapping" in refused([predictions], truth).problem
    assert "not a mapping" in refused({"a_bfh.png": ["person"]}, truth).problem
    assert "is int" in refused(predictions, 3).problem
    assert "holds int" in refused(predictions, [3]).problem
    many = image("a_bfh.png", [person(0, np.random.default_rng(0))] * (agora.PEOPLE + 1))
    assert "more than 64" in refused(predictions, [many]).problem
    assert refused(predictions, truth, matching="best").file == "matching"
    with pytest.raises(InputError, match="is not an option"):
        protocols.evaluate("agora_smpl", predictions, truth, model="smplx", **SMPL)
    with pytest.raises(InputError, match="metres of this body model"):
        protocols.evaluate("agora_smplx", predictions, truth, bodies=metrics_agora.index_arrays()["smplx"])


@pytest.mark.filterwarnings("ignore:agora_smpl. 1 of 2 images")
def test_predicted_images_that_truth_lacks_are_told(pair):
    predictions, truth = pair
    expected = evaluate(pair)
    with pytest.warns(UserWarning, match="1 of [0-9]+ predicted images are not in this truth(.|\n)*'c.png'"):
        found = evaluate((predictions | {"c.png": predictions["a_bfh.png"]}, truth))
    pandas.testing.assert_series_equal(found, expected)


def test_parts_of_the_free_body():
    found = agora.vertex_sets("free", "smplx")
    assert {name: len(part) for name, part in found.items() if name != "body"} == {
        "lhand": 778,
        "rhand": 778,
        "face": 5023,
    }
    everything = np.concatenate(list(found.values()))
    assert len(np.unique(everything)) == 10475 and not np.isin(found["body"], found["face"]).any()
    with pytest.raises(InputError, match="no free smpl"):
        agora.vertex_sets("free", "smpl")


def test_nothing_given_is_changed(pair):
    before = pickle.dumps(pair)
    with pytest.warns(UserWarning):
        evaluate(pair)
    assert pickle.dumps(pair) == before


@pytest.mark.filterwarnings("ignore:agora_smpl")
def test_names_may_lack_png_and_joints_may_have_a_leading_axis(pair):
    predictions, truth = pair
    expected = evaluate(pair)
    bare = {"a_bfh": [one | {"joints": one["joints"][None]} for one in predictions["a_bfh.png"]]}
    pandas.testing.assert_series_equal(evaluate((bare, truth)), expected)


@pytest.mark.filterwarnings("ignore:agora_smpl. 2 of 2 images")
def test_no_prediction_at_all_and_no_valid_person(pair):
    _, truth = pair
    with pytest.warns(UserWarning, match="none of 4 persons is matched"):
        figures = evaluate(({}, truth))
    assert figures["recall"] == 0 and np.isnan(figures["precision"]) and np.isnan(figures["body-MVE"])
    for row in truth:
        row["isValid"] = [False] * len(row["isValid"])
    with pytest.warns(UserWarning, match="no valid person"):
        figures = evaluate(({}, truth))
    assert figures["f1"] == 0 and np.isnan(figures["body-MVE"])
