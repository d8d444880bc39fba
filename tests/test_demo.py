"""The demo data: official layout, consistent with themselves, the same bytes each time."""

import cv2
import numpy as np
import pytest
import trimesh

from handlib import bodies, datasets, demo, fields, geometry, render
from handlib.bodies import free
from handlib.demo import contact, interhand, pool, scene
from handlib.files import InputError, read_json, sha256

FRAMES = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return demo.make_interhand(tmp_path_factory.mktemp("demo") / "InterHand", frames=FRAMES, show_progress=False)


def _annotations(data, split, kind):
    return read_json(data / "annotations" / split / f"InterHand2.6M_{split}_{kind}.json")


def _pictures(data):
    """(split, image record, annotation record) of every picture."""
    for split in ("train", "val", "test"):
        records = _annotations(data, split, "data")
        yield from ((split, *pair) for pair in zip(records["images"], records["annotations"], strict=True))


def test_every_picture_is_there(data):
    counts = {"train": 12, "val": 4, "test": 4}
    captures, ids = {}, set()
    for split, image, annotation in _pictures(data):
        counts[split] -= 1
        captures.setdefault(split, set()).add(image["capture"])
        ids.add(image["id"])
        assert annotation["id"] == annotation["image_id"] == image["id"]
        picture = cv2.imread(str(data / "images" / split / image["file_name"]))
        assert picture.shape[:2] == (image["height"], image["width"]) in ((512, 334), (334, 512))
        assert picture.std() > 10
    assert set(counts.values()) == {0} and len(ids) == FRAMES
    assert len(set.union(*captures.values())) == sum(len(one) for one in captures.values())  # no person in two splits
    for split in counts:
        kinds = {annotation["hand_type"] for where, _, annotation in _pictures(data) if where == split}
        assert kinds == {"right", "left", "interacting"}


def test_annotations_agree_with_each_other(data):
    layers = [bodies.load(None, f"mano_{side}") for side in ("right", "left")]
    for split, image, annotation in _pictures(data):
        capture, frame = str(image["capture"]), str(image["frame_idx"])
        joints = _annotations(data, split, "joint_3d")[capture][frame]
        cameras = _annotations(data, split, "camera")[capture]
        fits = _annotations(data, split, "MANO_NeuralAnnot")[capture][frame]
        world, there = np.array(joints["world_coord"]), np.array(joints["joint_valid"])[:, 0].astype(bool)
        for side, name in enumerate(("right", "left")):
            assert (fits[name] is not None) == there[21 * side] == (annotation["hand_type"] in (name, "interacting"))
            if fits[name]:
                out = layers[side](
                    pose=fits[name]["pose"], mean_added=False, shape=fits[name]["shape"], transl=fits[name]["trans"]
                )
                both = np.zeros((2, 21, 3))
                both[side] = bodies.joints21(out["verts"], out["joints"], "freihand").numpy()
                own = slice(21 * side, 21 * side + 21)
                np.testing.assert_allclose(1000 * fields.interhand42(both)[own], world[own], atol=0.01)
        name = image["camera"]
        rot, pos = (np.array(cameras[key][name]) for key in ("camrot", "campos"))
        np.testing.assert_allclose(rot @ rot.T, np.eye(3), atol=1e-9)
        local = geometry.world_to_camera(world, rot, pos)
        point = local[:, :2] / local[:, 2:] * cameras["focal"][name] + cameras["princpt"][name]
        limit = np.array([image["width"], image["height"]]) - 1
        seen = there & ((point >= 0) & (point <= limit)).all(1)
        np.testing.assert_array_equal(np.array(annotation["joint_valid"])[:, 0], seen)
        assert annotation["hand_type_valid"] == (annotation["hand_type"] != "interacting" or seen.sum() > 30)
        extent = point[seen].max(0) - point[seen].min(0)
        np.testing.assert_allclose(annotation["bbox"][2:], 1.2 * extent, rtol=1e-6)


def test_rootnet_is_nearly_right(data):
    assert [path.name for path in sorted((data / "rootnet_output").iterdir())] == [
        "rootnet_interhand2.6m_output_test.json",
        "rootnet_interhand2.6m_output_val.json",
    ]
    errors = []
    for split in ("val", "test"):
        found = {
            entry["annot_id"]: entry
            for entry in read_json(data / f"rootnet_output/rootnet_interhand2.6m_output_{split}.json")
        }
        for sample in datasets.read("interhand", data, split):
            entry = found[sample["image_id"]]
            side = 1.25 * sample["bbox"][2:].max()
            np.testing.assert_allclose(entry["bbox"][2:], side, rtol=1e-5)
            wrist = sample["joints_cam"][:, 0, 2] * 1000
            errors += list((np.array(entry["abs_depth"]) - wrist)[sample["hand_type"]])
    assert 2 < np.std(errors) < 40 and np.abs(errors).max() < 80


def test_the_reader_reads_it_and_masks_lie_on_the_hands(data):
    for split in ("train", "val", "test"):
        reader = datasets.read("interhand", data, split)
        assert len(reader) == len(_annotations(data, split, "data")["images"])
        sample = reader.complete(next(iter(reader)))
        assert sample["part_mask_valid"] and 0.01 < (sample["part_mask"] > 0).mean() < 0.5
        inside = sample["joints_valid"]
        points = geometry.project(sample["joints_cam"], sample["K"])[inside].round().astype(int)
        near = cv2.dilate((sample["part_mask"] > 0).astype(np.uint8), np.ones((7, 7)))
        assert near[points[:, 1], points[:, 0]].mean() > 0.95


def test_pictures_show_the_annotated_mesh():
    """The mesh that is annotated and the finer one that is drawn cover the same pixels, but for their outlines."""
    hands = interhand.Hands()
    studio = scene.Studio(hands.model)
    record = interhand._capture(hands, 2, seed=0)[1]
    posed, camera = record.moment.posed[0], record.camera
    verts, faces = render.seal(posed.verts, hands.model.faces)
    mesh = geometry.world_to_camera(verts, camera.rot, camera.pos), faces, np.ones(len(faces), int)
    mask = render.part_mask([mesh], camera.K, camera.size).astype(bool)
    drawing = list(studio._dressed(posed, record.look))
    alone = [(geometry.world_to_camera(part.verts, camera.rot, camera.pos), part.faces) for part in drawing]
    drawn = np.isfinite(render.depth_map(alone, camera.K, camera.size))
    assert (mask & ~drawn).sum() < 0.002 * mask.sum()
    fine = posed.verts.shape[0]
    np.testing.assert_allclose(drawing[0].verts[:fine], posed.verts, atol=1e-9)


def test_pairs_touch_at_most():
    hands = interhand.Hands()
    for capture in range(3):
        for record in interhand._capture(hands, capture, seed=0):
            if record.kind != "interacting":
                continue
            verts, faces = render.seal(record.moment.posed[0].verts, hands.model.faces)
            right = trimesh.Trimesh(verts, faces, process=False)
            left = record.moment.posed[1].verts
            left = left - 0.003 * render.vertex_normals(left, hands.model.faces[:, ::-1])
            assert right.contains(left).sum() == 0  # nothing deeper than 3 mm


def test_apart_of_two_balls():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.05)
    mirrored = ball.vertices * [-1, 1, 1]
    distance = contact.apart(ball.vertices, mirrored, np.array([1.0, 0, 0]), ball.faces)
    assert distance == pytest.approx(0.1 - contact._SKIN, abs=0.0012)


def test_same_bytes_in_two_processes(data, tmp_path):
    again = demo.make_interhand(tmp_path / "InterHand", frames=FRAMES, processes=2, show_progress=False)
    files = sorted(path.relative_to(data) for path in data.rglob("*") if path.is_file())
    assert len(files) > FRAMES
    assert [sha256(data / path) for path in files] == [sha256(again / path) for path in files]
    assert len(files) == sum(path.is_file() for path in again.rglob("*"))


def test_what_is_there_is_left_alone(data, monkeypatch):
    monkeypatch.setattr(pool, "render", lambda *_: pytest.fail("rendered again"))
    assert demo.make_interhand(data, frames=FRAMES) == data


def test_other_settings_are_made_anew_and_failure_leaves_the_old(data, monkeypatch):
    before = sha256(data / "annotations" / "val" / "InterHand2.6M_val_data.json")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "render", killed)
    with pytest.raises(KeyboardInterrupt):
        demo.make_interhand(data, frames=FRAMES, seed=1)
    assert sha256(data / "annotations" / "val" / "InterHand2.6M_val_data.json") == before
    assert [path.name for path in data.parent.iterdir()] == ["InterHand"]


def test_foreign_folders_are_not_touched(tmp_path):
    (tmp_path / "InterHand").mkdir()
    (tmp_path / "InterHand" / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="not overwritten"):
        demo.make_interhand(tmp_path / "InterHand", frames=FRAMES)
    assert [path.name for path in tmp_path.rglob("*")] == ["InterHand", "mine.txt"]


def test_too_few_pictures():
    with pytest.raises(InputError, match="at least 20"):
        demo.make_interhand("nowhere", frames=3)


def test_it_says_that_it_is_not_mano(data):
    marker = read_json(data / "annotations" / "body_model.json")
    assert marker["model"] == "handlib free hand" and marker["source"] == free.SOURCE
