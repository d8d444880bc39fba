"""The index files and regressors of the whole-body projects, read from folders of stand-ins."""

import pickle
import shutil

import numpy as np
import pytest
import python2_pickle
import scipy.sparse

from handlib.bodies import wholebody
from handlib.files import InputError
from handlib.verify import standin, standin_bodies, wholebody_metrics

FILES = ["MANO_SMPLX_vertex_ids.pkl", "SMPL-X__FLAME_vertex_ids.npy", "SMPLX_to_J14.pkl"]


@pytest.fixture
def folder(tmp_path):
    """A body folder that a test may spoil."""
    return shutil.copytree(wholebody_metrics.bodies(), tmp_path / "bodies")


def refused(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return caught.value


def test_index_files_are_what_the_official_files_hold(folder):
    found, extras = wholebody.index_files(folder), standin.smplx_extras()
    for side in ("left_hand", "right_hand"):
        np.testing.assert_array_equal(found[side], extras["MANO_SMPLX_vertex_ids"][side])
    np.testing.assert_array_equal(found["face"], extras["SMPL-X__FLAME_vertex_ids"])
    np.testing.assert_array_equal(found["j14"], extras["SMPLX_to_J14"])
    assert found["left_hand"].dtype == found["face"].dtype == np.int64


@pytest.mark.parametrize("place", ["", "models/smplx", "bodies/smplx"])
def test_files_are_found_in_the_layouts_that_people_have(folder, tmp_path, place):
    (tmp_path / "other" / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder / "smplx", tmp_path / "other" / place)
    assert set(wholebody.index_files(tmp_path / "other")) == {"left_hand", "right_hand", "face", "j14"}
    assert wholebody.joint_regressor(tmp_path / "other").shape == (55, 10475)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_with_its_place_and_its_site(folder, name):
    (folder / "smplx" / name).unlink()
    error = refused(wholebody.index_files, folder)
    assert error.file == folder and name in error.problem
    assert str(folder / "smplx") in error.mend and "https://" in error.mend
    assert ("expose" in error.mend) == (name == "SMPLX_to_J14.pkl")


def test_regressors_of_both_models(folder):
    for kind, shape in (("smplx", (55, 10475)), ("smpl", (24, 6890))):
        regressor = wholebody.joint_regressor(folder, kind)
        assert regressor.shape == shape
        np.testing.assert_array_equal(regressor, standin_bodies.template(kind)["J_regressor"])
        np.testing.assert_array_equal(wholebody.h36m_regressor(folder, kind), standin_bodies.h36m_regressor(kind))
    error = refused(wholebody.joint_regressor, folder / "nothing", "smpl")
    assert "SMPL_NEUTRAL.pkl or SMPL_NEUTRAL.npz" in error.problem and "smpl.is.tue.mpg.de" in error.mend


def test_human36m_regressor_is_found_where_the_projects_have_it(folder):
    home = folder.parent / "Human36M"
    home.mkdir()
    shutil.move(folder / "smpl" / "J_regressor_h36m_smpl.npy", home)
    assert wholebody.h36m_regressor(folder, "smpl").shape == (17, 6890)
    (home / "J_regressor_h36m_smpl.npy").unlink()
    error = refused(wholebody.h36m_regressor, folder, "smpl")
    assert "J_regressor_h36m_smpl.npy" in error.problem and str(home) in error.mend


def test_official_smpl_pickles_of_python_2_are_read(folder):
    regressor = wholebody.joint_regressor(folder, "smpl")
    (folder / "smpl" / "SMPL_NEUTRAL.npz").unlink()
    arrays = {"J_regressor": scipy.sparse.csc_matrix(regressor), "v_template": python2_pickle.chumpy(np.zeros((3, 3)))}
    (folder / "smpl" / "SMPL_NEUTRAL.pkl").write_bytes(python2_pickle.dumps(arrays))
    np.testing.assert_array_equal(wholebody.joint_regressor(folder, "smpl"), regressor)


def test_hand_joints_are_regressed_but_for_the_tips(folder):
    regressor = wholebody.joint_regressor(folder)
    hands = wholebody.hand_regressors(regressor)
    for side, wrist, thumb, tips in (
        ("left", 20, 37, (5361, 4933, 5058, 5169, 5286)),
        ("right", 21, 52, (8079, 7669, 7794, 7905, 8022)),
    ):
        rows = hands[side]
        np.testing.assert_array_equal(rows[[0, 1]], regressor[[wrist, thumb]])
        assert rows[[4, 8, 12, 16, 20]].argmax(1).tolist() == list(tips)
        np.testing.assert_allclose(rows.sum(1), 1)
        assert (
            np.count_nonzero(rows, axis=1) == [1 if joint in (4, 8, 12, 16, 20) else 12 for joint in range(21)]
        ).all()
    assert regressor[28].tolist() == hands["left"][9].tolist()  # middle before ring before little, unlike in the model
    assert regressor[34].tolist() == hands["left"][13].tolist() and regressor[31].tolist() == hands["left"][17].tolist()


def _write(path, value):
    if path.suffix == ".npy":
        np.save(path, value, allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(value))


class Harmful:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of a file was run')",)


@pytest.mark.parametrize(
    "name, value, words",
    [
        (FILES[0], {"left_hand": np.arange(778)}, "is missing"),
        (FILES[0], {"left_hand": np.arange(777), "right_hand": np.arange(778)}, "has shape (777,)"),
        (FILES[0], {"left_hand": np.arange(778), "right_hand": np.arange(778) + 10000}, "outside 0..10474"),
        (FILES[0], [1, 2], "no named arrays"),
        (FILES[0], Harmful(), "not known to be harmless"),
        (FILES[1], np.arange(100), "has shape (100,)"),
        (FILES[1], np.array([Harmful()], object), "Python objects"),
        (FILES[2], np.full((14, 10475), np.nan), "NaN"),
        (FILES[2], Harmful(), "not known to be harmless"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_runs_nothing(folder, name, value, words):
    _write(folder / "smplx" / name, value)
    error = refused(wholebody.index_files, folder)
    assert str(error.file).endswith(name) and words in error.problem


def test_a_cut_model_file_is_refused(folder):
    path = folder / "smplx" / "SMPLX_NEUTRAL.npz"
    path.write_bytes(path.read_bytes()[:1000])
    assert "is no whole .npz" in refused(wholebody.joint_regressor, folder).problem
    np.savez(path, v_template=np.zeros(3))
    assert refused(wholebody.joint_regressor, folder).field == "J_regressor"
