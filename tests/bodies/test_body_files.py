import numpy as np
import pytest
import scipy.sparse as sp
from python2_pickle import chumpy, dumps, foreign

from handlib.bodies import files
from handlib.files import InputError
from handlib.verify import standin

EQUAL = ("v_template", "weights", "shapedirs", "posedirs", "J_regressor")


def official(arrays):
    """The arrays as the official Python 2 files hold them, with chumpy and scipy.sparse inside."""
    arrays = dict(arrays)
    wide = np.concatenate([arrays["shapedirs"], np.ones((*arrays["shapedirs"].shape[:2], 2))], 2)
    picked = np.arange(wide.size).reshape(wide.shape)[:, :, :-2]
    arrays["shapedirs"] = foreign(
        "chumpy.reordering", "Select", a=chumpy(wide), idxs=picked.ravel(), preferred_shape=picked.shape
    )
    arrays["v_template"] = chumpy(arrays["v_template"])
    arrays["J"] = foreign("chumpy.ch", "MatVecMult", mtx=np.eye(3), vec=chumpy(np.ones(3)))
    arrays["J_regressor"] = sp.csc_matrix(arrays["J_regressor"])
    return arrays


def test_an_official_mano_file(tmp_path):
    arrays = standin.mano("right")
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(dumps(official(arrays)))
    model = files.read(path, "mano")
    assert model.kind == "mano" and model.source == str(path)
    assert model.parents.tolist() == standin.MANO_PARENTS
    for name in EQUAL:
        np.testing.assert_allclose(getattr(model, name), arrays[name], rtol=0, atol=1e-15, err_msg=name)
    np.testing.assert_array_equal(model.faces, arrays["f"])
    np.testing.assert_array_equal(model.need("hands_components", (45, 45)), arrays["hands_components"])
    assert model.faces.dtype == np.int64


def blank(vertices, parents, shapes):
    """A model file of full size but for its contents, so that the test stays quick."""
    joints = len(parents)
    sizes = {"weights": (vertices, joints), "J_regressor": (joints, vertices), "shapedirs": (vertices, 3, shapes)}
    arrays = {name: np.zeros(size, np.float16) for name, size in sizes.items()}
    arrays["posedirs"] = np.zeros((vertices, 3, 9 * (joints - 1)), np.float16)
    arrays["v_template"] = np.arange(vertices * 3.0).reshape(vertices, 3)
    arrays["f"] = np.array([[0, 1, 2]], np.uint32)
    arrays["kintree_table"] = np.stack([np.array(parents), np.arange(joints)]).astype(np.uint32)
    return arrays


def test_an_smplx_npz_file(tmp_path):
    """The official .npz also holds tables of names as object arrays, which are left alone."""
    arrays = blank(10475, standin.SMPLX_PARENTS, 20) | {"lmk_bary_coords": np.ones((51, 3))}
    path = tmp_path / "SMPLX_NEUTRAL.npz"
    np.savez(path, **arrays, part2num=np.array({"wrist": 20}, object), joint2num=np.array({"neck": 12}, object))
    model = files.read(path)
    assert model.kind == "smplx" and model.parents.tolist() == standin.SMPLX_PARENTS
    np.testing.assert_array_equal(model.v_template, arrays["v_template"])
    np.testing.assert_array_equal(model.extra["lmk_bary_coords"], arrays["lmk_bary_coords"])
    assert "part2num" not in model.extra


@pytest.mark.parametrize(
    "kind, vertices, parents, shapes",
    [
        ("smplx", 10475, standin.SMPLX_PARENTS, 20),
        ("smpl", 6890, standin.SMPL_PARENTS, 10),
        ("flame", 5023, [-1, 0, 1, 1, 1], 400),
    ],
)
def test_pickles_of_the_other_models(tmp_path, kind, vertices, parents, shapes):
    arrays = blank(vertices, parents, shapes)
    path = tmp_path / f"{kind}.pkl"
    path.write_bytes(dumps(arrays | {"v_template": chumpy(arrays["v_template"])}))
    model = files.read(path, kind)
    assert model.kind == kind and model.parents.tolist() == list(parents)
    np.testing.assert_array_equal(model.v_template, arrays["v_template"])


def broken(change):
    arrays = standin.mano("right")
    change(arrays)
    return arrays


@pytest.mark.parametrize(
    "change, field, problem",
    [
        (lambda a: a.pop("weights"), "weights", "missing"),
        (lambda a: a.update(weights=a["weights"][:, :-1]), "weights", r"shape \(778, 15\), expected \(778, 16\)"),
        (lambda a: a["posedirs"].__setitem__((5, 1, 7), np.nan), "posedirs", "NaN"),
        (lambda a: a.update(v_template="text"), "v_template", "vertices, joints"),
        (lambda a: a.update(shapedirs=[["x"]]), "shapedirs", "no numbers"),
        (lambda a: a["f"].__setitem__((3, 0), 778), "f", r"outside 0\.\.777"),
        (lambda a: a["kintree_table"].__setitem__((0, 4), 9), "kintree_table", "joint 4 has parent 9"),
        (lambda a: a.update(v_template=np.ones((700, 3))), "v_template", r"\(700, 16\)"),
    ],
)
def test_wrong_contents_name_file_field_and_problem(change, field, problem):
    with pytest.raises(InputError, match=problem) as error:
        files.model(broken(change), "MANO_RIGHT.pkl", "mano")
    assert error.value.field == field and error.value.file == "MANO_RIGHT.pkl"
    assert "mano.is.tue.mpg.de" in error.value.mend or "official site" in error.value.mend


def test_a_file_of_another_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="file of smpl, not of mano"):
        files.model(blank(6890, standin.SMPL_PARENTS, 10), "MANO_RIGHT.pkl", "mano")
    path = tmp_path / "list.pkl"
    path.write_bytes(dumps([1, 2]))
    with pytest.raises(InputError, match="holds no named arrays"):
        files.read(path)
    with pytest.raises(InputError, match="does not exist") as error:
        files.read(tmp_path / "MANO_LEFT.pkl", "mano")
    assert "https://mano.is.tue.mpg.de" in error.value.mend
    hands = files.model(broken(lambda a: a.pop("hands_mean")), "MANO_RIGHT.pkl", "mano")
    with pytest.raises(InputError, match="hands_mean"):
        hands.need("hands_mean", (45,))


def test_a_cut_npz_is_an_error(tmp_path):
    path = tmp_path / "SMPLX_NEUTRAL.npz"
    np.savez_compressed(path, **standin.mano("right"))
    raw = path.read_bytes()
    for length in (0, 3, 100, len(raw) // 2, len(raw) - 1):
        path.write_bytes(raw[:length])
        with pytest.raises(InputError, match="SMPLX_NEUTRAL.npz"):
            files.read(path)
    damaged = bytearray(raw)
    damaged[len(raw) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="SMPLX_NEUTRAL.npz"):
        files.read(path)


@pytest.mark.parametrize("place", ["", "mano", "models/mano", "bodies/mano", "models"])
def test_the_layouts_in_which_files_are_found(tmp_path, place):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "MANO_LEFT.pkl").touch()
    assert files.find(tmp_path, "MANO_LEFT.pkl", "get it") == tmp_path / place / "MANO_LEFT.pkl"
    with pytest.raises(InputError, match="holds no MANO_RIGHT.pkl"):
        files.find(tmp_path, "MANO_RIGHT.pkl", "get it")
