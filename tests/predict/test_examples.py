import cv2
import numpy as np
import pytest

from handlib import datasets, predict
from handlib.files import InputError
from handlib.predict import examples


class TinyReader(list):
    """Samples as a reader gives them, with their pictures on disk."""

    def __init__(self, folder, side):
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(3):
            path = folder / f"{number}.png"
            cv2.imwrite(str(path), np.full((40, 60, 3), 50 * number, np.uint8))
            K = np.diag([100.0 + number, 100, 1])
            box = np.float32([5, 6, 20, 25 + number])
            self.append({"image_path": str(path), "side": np.array([side]), "bbox": box, "K": K})


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A data root with HO3D's two splits."""
    (tmp_path / "HO3D").mkdir()
    readers = {"train": TinyReader(tmp_path / "a", 0), "evaluation": TinyReader(tmp_path / "b", 1)}
    monkeypatch.setattr(datasets, "splits", lambda name, root: list(readers))
    monkeypatch.setattr(datasets, "read", lambda name, root, split: readers[split])
    return tmp_path


def test_pictures_come_with_their_boxes_in_order(root, tmp_path):
    made = examples.write(root, tmp_path / "out")
    names = sorted(path.name for path in made.folder.iterdir())
    assert names == [f"0{i + 1}_ho3d_{split}_{j}.png" for i, (split, j) in enumerate(
        [("train", 0), ("train", 2), ("evaluation", 0), ("evaluation", 2)]
    )]  # fmt: skip
    assert made.focal == 101
    boxes, sides, _ = predict.BoxFile(made.boxes).of(names[3], 3)
    assert boxes.tolist() == [[5, 6, 20, 27]] and sides.tolist() == [1]
    assert (predict.read(made.folder / names[1]).image == 100).all()


def test_a_root_without_the_data_sets_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither HO3D/ nor DexYCB/"):
        examples.write(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out" / "pictures").exists()


def test_the_window_moves_and_the_box_stays_on_its_hand(tmp_path):
    y, x = np.indices((480, 640))
    picture = np.stack([x // 3, y // 2, 0 * x], -1).astype(np.uint8)
    made = examples.pan(picture, [300, 200, 60, 80], "left", tmp_path, frames=5, tremble=0.0)
    file, places = predict.BoxFile(made.boxes), []
    for number, path in enumerate(sorted(made.folder.iterdir())):
        image = predict.read(path).image
        assert image.shape == (*examples.PAN, 3)
        ((left, top, w, h),), sides, _ = file.of(path.name, number)
        assert (w, h) == (60, 80) and sides.tolist() == [1]
        assert image[round(top), round(left)].tolist() == picture[200, 300].tolist()
        places.append((left, top))
    assert len(set(places)) == 5


def test_boxes_tremble_the_same_way_every_time(tmp_path):
    picture = np.zeros((400, 500, 3), np.uint8)
    found = [examples.pan(picture, [300, 200, 60, 80], "right", tmp_path / name, frames=3) for name in "ab"]
    assert found[0].boxes.read_text() == found[1].boxes.read_text()
    assert len({tuple(hands[0]["box"][2:]) for hands in predict.BoxFile(found[0].boxes).hands.values()}) == 3


def test_persons_of_one_picture_come_together(tmp_path, monkeypatch):
    (tmp_path / "MSCOCO").mkdir()
    reader = TinyReader(tmp_path / "a", 0)
    people = [sample | {"smplx_valid": np.array([number < 2] + [False] * 3)} for number, sample in enumerate(reader)]
    people = [{name: value for name, value in one.items() if name != "side"} for one in people]
    people[1]["image_path"] = people[0]["image_path"]
    people[1]["bbox"] = np.float32([30, 6, 20, 25])
    monkeypatch.setattr(datasets, "splits", lambda name, root: ["train"])
    monkeypatch.setattr(datasets, "read", lambda name, root, split: people)
    made = examples.write(tmp_path, tmp_path / "out", subject=predict.PERSON)
    names = sorted(path.name for path in made.folder.iterdir())
    file = predict.BoxFile(made.boxes, predict.PERSON)
    found, sides, _ = file.of(names[0], 0)
    assert found.tolist() == [[5, 6, 20, 25], [30, 6, 20, 25]] and sides is None
    assert made.focal == 100.5 and len(file.of(names[1], 1)[0]) == 1


def test_networks_where_no_checkpoint_is_given(tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(examples.networks, "load", lambda path, bodies=None: loaded.append(str(path)) or "loaded")
    monkeypatch.setattr(
        examples.networks, "create", lambda name, bodies: type("Net", (), {"eval": lambda self: name})()
    )
    monkeypatch.setattr(examples.runs, "data_outputs", lambda data: tmp_path)
    assert examples.network("data", "persons", "mine.pt") == ("loaded", "") and loaded == ["mine.pt"]
    net, words = examples.network("data", "persons")
    assert net == "hand4whole" and "fresh weights of hand4whole, which know nothing" in words
    (tmp_path / "06_train_wholebody" / "checkpoints" / "last").mkdir(parents=True)
    net, words = examples.network("data", "persons")
    assert net == "loaded" and loaded[-1].endswith("06_train_wholebody/checkpoints/last") and "notebook 06" in words
    with pytest.raises(InputError, match="notebook 04"):
        examples.network("data")
    with pytest.raises(InputError, match="'hands' or 'persons'"):
        examples.network("data", "dogs")


def test_the_window_holds_most_of_a_person(tmp_path):
    made = examples.pan(np.zeros((800, 900, 3), np.uint8), [200, 50, 250, 700], "person", tmp_path, frames=2)
    images = [predict.read(path).image for path in sorted(made.folder.iterdir())]
    assert {image.shape for image in images} == {(680, 480, 3)}
    found, sides, _ = predict.BoxFile(made.boxes, predict.PERSON).of("0000.png", 0)
    assert sides is None and len(found) == 1
