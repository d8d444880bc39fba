import json
import os
import pickle
import subprocess
import sys

import pytest

from handlib import doctor
from handlib.doctor import environment, official, own
from handlib.doctor.rows import reason
from handlib.files import InputError
from handlib.verify import standin

TORCH_SAYS = json.dumps(["2.13.0", []])


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty project; the looks that start processes are answered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "_ask", lambda code: (TORCH_SAYS, None))
    return tmp_path


def rows(data="data"):
    return {row.what: row for row in reversed(doctor.report(data))}  # the first of a name


def put(path, content=b"{}"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def statuses(found):
    return {row.status for row in found.values()}


def test_an_empty_project_names_every_place_and_site(home, capsys):
    found = rows()
    assert statuses(found) <= {doctor.PRESENT, doctor.MISSING, doctor.OLD}
    expected = {
        "MANO right hand": ("bodies/mano/MANO_RIGHT.pkl", "https://mano.is.tue.mpg.de"),
        "MANO left hand": ("bodies/mano/MANO_LEFT.pkl", "https://mano.is.tue.mpg.de"),
        "SMPL-X": ("bodies/smplx/SMPLX_NEUTRAL.npz", "https://smpl-x.is.tue.mpg.de"),
        "skeleton.txt": ("InterHand/annotations/skeleton.txt", official.INTERHAND_SITE),
        "boxes": ("EHF/data/EHF.json", official.HAND4WHOLE_SITE),
        "hand4whole": ("checkpoints/hand4whole", own.ZOOS["hand4whole"]),
        "val camera": ("InterHand/annotations/val/InterHand2.6M_val_camera.json", official.INTERHAND_SITE),
        "test RootNet output": (
            "InterHand/rootnet_output/rootnet_interhand2.6m_output_test.json",
            official.INTERHAND_SITE,
        ),
        "train pictures": ("InterHand/images/train", official.INTERHAND_SITE),
        "digit/db7cba8c1.pt": ("checkpoints/digit/db7cba8c1.pt", own.DIGIT_SITE),
        "hrnet_w32-36af842e.pth": ("checkpoints/hrnet_w32-36af842e.pth", own.HRNET_SITE),
        "demo data": ("demo", "`make demo`"),
    }
    for what, (place, source) in expected.items():
        assert (found[what].status, found[what].place) == (doctor.MISSING, str(home / "data" / place))
        assert found[what].source == source
    assert found["packs of this data root"].place == str(home / "outputs" / "data" / "packs")
    assert doctor.main() == 0
    printed = capsys.readouterr().out
    for what, (place, source) in expected.items():
        assert what in printed and str(home / "data" / place) in printed and source in printed


def test_what_was_put_in_its_place_is_present(home):
    for row in doctor.report():
        if row.place.endswith(".json"):
            put(home / row.place, b'{"a": [1, 2]}\n')
    put(home / "data/InterHand/images/train/Capture0/image.jpg")
    put(home / "data/checkpoints/digit/mine.ckpt", b"x")
    put(home / "data/checkpoints/hrnet_w32-36af842e.pt", b"x")
    found = rows()
    for what in ("train data", "test joint_3d", "val RootNet output", "train pictures", "digit/mine.ckpt"):
        assert found[what].status == doctor.PRESENT, found[what]
    assert found["hrnet_w32-36af842e.pt"].status == doctor.PRESENT
    assert found["train pictures"].detail == "captures: 1"


@pytest.mark.parametrize(("content", "detail"), [(b"", "empty"), (b'{"images": [{"id": 1}, ', "cut short")])
def test_an_empty_or_cut_annotation_file_is_broken(home, content, detail):
    put(home / "data/InterHand/annotations/val/InterHand2.6M_val_data.json", content)
    row = rows()["val data"]
    assert row.status == doctor.BROKEN and detail in row.detail


def test_body_models_are_read(home):
    mano = home / "data" / "bodies" / "mano"
    put(mano / "MANO_RIGHT.pkl", pickle.dumps(standin.mano("right")))
    put(mano / "MANO_LEFT.pkl", b"not a pickle")
    found = rows()
    assert found["MANO right hand"].status == doctor.PRESENT
    assert found["MANO left hand"].status == doctor.BROKEN and found["MANO left hand"].detail
    assert found["free hand"].status == doctor.PRESENT


def test_the_free_hand_in_manos_place_is_named(home):
    from handlib.bodies import free

    free.write_official(home / "data" / "bodies")
    assert "the free hand, written in MANO's format" in rows()["MANO right hand"].detail


def test_packs_whole_half_and_old(home, monkeypatch):
    folder = home / "outputs" / "data" / "packs"
    put(folder / "interhand_half" / "plan.json")
    put(folder / "interhand_old" / "manifest.json", json.dumps({"format": 0}).encode())
    found = rows()
    assert found["interhand_half"].status == doctor.BROKEN and "half written" in found["interhand_half"].detail
    assert found["interhand_old"].status == doctor.OLD and "anew" in found["interhand_old"].source
    monkeypatch.setattr("handlib.packs.open", lambda path: range(7))
    assert rows()["interhand_old"].detail == "7 samples"


def test_the_last_epoch_of_a_training_is_found(home):
    folder = home / "outputs" / "data" / "05_train_interacting" / "checkpoints"
    put(folder / "epoch_0002" / "weights.safetensors", b"x" * 10)
    (folder / "last").symlink_to("epoch_0002")
    row = rows()["trained in 05_train_interacting"]
    assert row.status == doctor.PRESENT and row.place == str(folder / "epoch_0002")
    (folder / "epoch_0002" / "weights.safetensors").unlink()
    assert rows()["trained in 05_train_interacting"].status == doctor.MISSING


def test_versions_that_differ_from_the_lock(home, monkeypatch):
    lock = put(home / "requirements.lock", b"# text\npytest==0.0.1\nno-such-package==1\n")
    monkeypatch.setattr(environment, "LOCK", lock)
    found = rows()
    drift = found["versions as in requirements.lock"]
    assert drift.status == doctor.OLD and drift.detail == f"pytest {pytest.__version__} (lock: 0.0.1)"
    assert found["packages of requirements.lock"].detail == "no-such-package"
    lock.write_text(f"pytest=={pytest.__version__}\n")
    assert rows()["versions as in requirements.lock"].status == doctor.PRESENT


def test_an_old_python_is_said_and_fails(home, monkeypatch, capsys):
    monkeypatch.setattr(environment, "OLDEST_PYTHON", (99, 0))
    assert rows()["Python"].status == doctor.OLD
    assert doctor.main() == 1
    assert "99.0 is the oldest that works" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "said"),
    [("raise ImportError('libtorch.so is gone')", "libtorch.so is gone"), ("import os; os._exit(9)", "9")],
)
def test_a_torch_that_breaks_or_crashes_on_import(tmp_path, monkeypatch, capsys, code, said):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "fake" / "torch.py", code.encode())
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    assert doctor.main() == 1
    printed = capsys.readouterr().out
    assert said in printed and "Traceback" not in printed
    assert "MANO right hand" in printed and "demo data" in printed


def test_the_real_torch_is_asked(tmp_path):
    import torch

    found = {row.what: row for row in environment.torch(tmp_path)}
    assert found["torch"].detail == torch.__version__
    assert (found["GPU"].status == doctor.PRESENT) == torch.cuda.is_available()


@pytest.mark.parametrize("function", ["stat", "scandir", "listdir"])
def test_folders_that_may_not_be_read(home, monkeypatch, capsys, function):
    real = getattr(os, function)

    def refuses(path=".", *args, **options):
        if str(path).startswith((str(home / "data"), str(home / "outputs"))):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(os, function, refuses)
    assert doctor.main() == 0
    printed = capsys.readouterr().out
    assert "broken" in printed and "PermissionError" in printed and "Traceback" not in printed


def test_a_look_that_fails_does_not_hide_the_others(home, monkeypatch):
    def interhand(root):
        yield doctor.Row("InterHand2.6M", "first", doctor.PRESENT)
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(doctor, "LOOKS", (interhand, own.demo))
    found = rows()
    assert found["first"].status == doctor.PRESENT
    assert found["interhand"].status == doctor.BROKEN and "the disk is gone" in found["interhand"].detail
    assert "demo data" in found


def test_a_data_root_that_is_a_file(home):
    put(home / "data", b"oops")
    assert rows()["MANO right hand"].status == doctor.MISSING


def test_the_demo_root_is_not_looked_for_below_itself(home):
    put(home / "data/demo/InterHand/images/test/Capture0/a.jpg")
    for data in ("data", "data/demo"):
        row = rows(data)["demo data"]
        assert (row.status, row.place, row.detail) == (doctor.PRESENT, str(home / "data" / "demo"), "splits: 1")


def test_reasons_are_one_line():
    assert reason(InputError("file", "is bad", "mend it")) == "is bad"
    assert reason(ValueError("two\nlines")) == "ValueError: two"
    assert reason(ValueError()) == "ValueError: no message"


def test_the_doctor_needs_only_the_standard_library():
    code = "import sys, handlib.doctor; print([n for n in ('numpy', 'torch', 'cv2', 'pandas') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_says_where_oakink_goes_and_what_is_there(tmp_path):
    rows = {row.what: row for row in doctor.report(tmp_path / "data") if row.group == "OakInk-Image"}
    assert {row.status for row in rows.values()} == {"missing"}
    place = tmp_path / "data" / "OakInk" / "image" / "anno" / "split" / "split1" / "seq_test.json"
    assert rows["SP1 (subject) test list"].place == str(place) and "oakink.net" in rows["hand_v"].source
    place.parent.mkdir(parents=True)
    place.write_text("[]")
    rows = {row.what: row for row in doctor.report(tmp_path / "data") if row.group == "OakInk-Image"}
    assert rows["SP1 (subject) test list"].status == "present"


def test_says_which_of_dexycb_is_there(tmp_path):
    def rows():
        return {row.what: row for row in doctor.report(tmp_path / "data") if row.group == "DexYCB"}

    folder = tmp_path / "data" / "DexYCB"
    assert {row.status for row in rows().values()} == {"missing"} and rows()["subjects"].place == str(folder)
    (folder / "20200820-subject-03").mkdir(parents=True)
    (folder / "calibration" / "intrinsics").mkdir(parents=True)
    assert (rows()["subjects"].status, rows()["subjects"].detail) == ("present", "1 of 10")
    assert (rows()["calibration/"].status, rows()["calibration/intrinsics"].status) == ("present", "missing")
