import json

import cv2
import numpy as np
import pytest
from predictor_toys import ToyMano, picture

from handlib import cli, export, networks, predict
from handlib.files import InputError
from handlib.predict import job, sources


@pytest.fixture
def folder(tmp_path):
    """Three pictures, one of them broken, one in a subfolder; and their boxes."""
    root = tmp_path / "pictures"
    (root / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.png", "sub/b.png")):
        cv2.imwrite(str(root / name), picture(seed=number))
    (root / "broken.jpg").write_bytes(b"\xff\xd8nothing")
    hands = [{"box": [60, 40, 50, 60], "side": "right"}, {"box": [900, 40, 50, 60], "side": "left"}]
    (tmp_path / "boxes.json").write_text(json.dumps({name: hands for name in ("a.png", "b.png", "broken.jpg")}))
    return root


def video(path, frames=8, size=(160, 120)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, size)
    for number in range(frames):
        writer.write(picture(*size, seed=1) // 2 + 5 * number)
    writer.release()
    return path


def boxes_of(path, frames):
    path.write_text("name,x,y,w,h,side\n" + "".join(f"{n},{50 + 2 * n},40,60,50,left\n" for n in frames))
    return path


def test_a_folder_is_done_once_and_gone_on_with(folder, tmp_path, monkeypatch):
    net = ToyMano()
    predictor = predict.Predictor(net, device="cpu")
    given = {"boxes": tmp_path / "boxes.json", "formats": ["json", "obj", "glb", "overlay"], "show": False}
    done = predict.run(predictor, folder, tmp_path / "out", **given)
    assert done.made == 2 and done.found.picture.tolist() == ["a.png", "sub/b.png"]
    assert sorted(zip(done.skipped.picture, done.skipped.box, strict=True)) == [
        ("a.png", 1), ("broken.jpg", -1), ("sub/b.png", 1),
    ]  # fmt: skip
    assert (tmp_path / "out" / "skipped.csv").read_text().count("outside the picture") == 2
    for path in ("predictions/a.png.npz", "json/sub/b.png.json", "obj/a.png.obj", "glb/a.png.glb", "overlay/a.png.png"):
        assert (tmp_path / "out" / path).is_file(), path
    kept = export.read_parameters(tmp_path / "out" / "json" / "a.png.json")
    again = predict.Prediction.load(job.path_of(tmp_path / "out", "a.png"))
    np.testing.assert_allclose(kept.verts_cam, again.verts_cam, atol=1e-6)

    calls = len(net.calls)
    assert predict.run(predictor, folder, tmp_path / "out", **given).made == 0 and len(net.calls) == calls
    job.path_of(tmp_path / "out", "a.png").unlink()
    cv2.imwrite(str(folder / "broken.jpg"), picture(seed=7))
    done = predict.run(predictor, folder, tmp_path / "out", **given)
    assert done.made == 2 and len(done.found) == 3 and len(done.skipped) == 3


def test_what_was_done_is_kept_when_a_job_breaks(folder, tmp_path, monkeypatch):
    net = ToyMano()
    predictor, forward = predict.Predictor(net, device="cpu", batch=1), net.forward

    def breaks(images, stages=False):
        if len(net.calls) == 1:
            raise RuntimeError("out of memory")
        return forward(images)

    net.forward = breaks
    with pytest.raises(RuntimeError, match="memory"):
        predict.run(predictor, folder, tmp_path / "out", tmp_path / "boxes.json", show=False)
    assert len(list((tmp_path / "out" / "predictions").rglob("*.npz"))) == 1
    net.forward = forward
    assert predict.run(predictor, folder, tmp_path / "out", tmp_path / "boxes.json", show=False).made == 1


@pytest.mark.parametrize(
    "change, named",
    [({"K": np.eye(3) * [[50], [50], [1]]}, "'K'"), ({"boxes": "whole", "sides": "left"}, "'boxes'")],
)
def test_other_settings_are_refused(folder, tmp_path, predictor, change, named):
    given = {"boxes": tmp_path / "boxes.json", "show": False}
    predict.run(predictor, folder, tmp_path / "out", **given)
    with pytest.raises(InputError, match=named):
        predict.run(predictor, folder, tmp_path / "out", **given | change)
    with pytest.raises(InputError, match="weights"):
        other = ToyMano()
        other.scale.data[:] = 2
        predict.run(predict.Predictor(other, device="cpu"), folder, tmp_path / "out", **given)


def test_other_folders_and_sources_are_refused(folder, tmp_path, predictor):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("keep me")
    (tmp_path / "others.json").write_text('{"x.png": []}')
    (tmp_path / "empty").mkdir()
    cases = {
        "not empty": (folder, tmp_path / "mine", {"boxes": "whole", "sides": "left"}),
        "no picture of the source": (folder, tmp_path / "o", {"boxes": tmp_path / "others.json"}),
        "holds no pictures": (tmp_path / "empty", tmp_path / "o", {"boxes": "whole", "sides": "left"}),
        "no detector": (folder, tmp_path / "o", {}),
        "for clips": (folder, tmp_path / "o", {"boxes": "whole", "sides": "left", "smooth": "none"}),
        "address": ("https://example.org/a.mp4", tmp_path / "o", {"boxes": "whole", "sides": "left"}),
        "format": (folder, tmp_path / "o", {"boxes": "whole", "sides": "left", "formats": ["fbx"]}),
        "sides": (folder, tmp_path / "o", {"boxes": "whole"}),
    }
    for named, (source, out, given) in cases.items():
        with pytest.raises(InputError, match=named):
            predict.run(predictor, source, out, show=False, **given)


def test_a_list_of_arrays_and_the_whole_picture(tmp_path, predictor):
    done = predict.run(predictor, [picture(seed=1), picture(seed=2)], tmp_path / "out", "whole", "left", show=False)
    assert done.found.picture.tolist() == ["000000", "000001"] and set(done.found.side) == {"left"}
    assert done.found.w.tolist() == [200, 200]


def test_a_video_becomes_a_clip(tmp_path, predictor):
    path = video(tmp_path / "clip.avi")
    boxes = boxes_of(tmp_path / "boxes.csv", [0, 1, 2, 3, 5, 6, 7])
    given = {"boxes": boxes, "formats": ["overlay", "glb"], "smooth": "zero_lag", "show": False}
    done = predict.run(predictor, path, tmp_path / "out", **given)
    assert done.made == 8 and len(done.found) == 7 and done.remarks == []
    assert done.skipped.picture.tolist() == ["000004"]
    reader = cv2.VideoCapture(str(tmp_path / "out" / "overlay_zero_lag.mp4"))
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == 8 and (tmp_path / "out" / "hands_zero_lag.glb").is_file()
    jitter = done.jitter[done.jitter.track == "all"].set_index("clip").jitter_mm_per_frame2
    assert jitter["after"] < jitter["before"] and (tmp_path / "out" / "jitter.csv").is_file()


def test_a_video_that_is_cut_short_says_so_and_its_frames_are_kept(tmp_path, predictor):
    path = video(tmp_path / "clip.avi", frames=12)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    done = predict.run(predictor, path, tmp_path / "out", "whole", "right", show=False)
    assert 3 <= done.made < 12 and "cut short" in done.remarks[-1] and f"after {done.made} of" in done.remarks[-1]
    path.write_bytes(data[:300])
    with pytest.raises(InputError, match="clip.avi"):
        predict.run(predictor, path, tmp_path / "other", "whole", "right", show=False)


def test_frames_of_another_size_are_said_and_fitted_in(tmp_path, predictor):
    frames = [picture(160, 120, seed=1), picture(160, 120, seed=2), picture(81, 90, seed=3)]
    given = {"boxes": "whole", "sides": "right", "formats": ["overlay"], "fps": 10, "show": False}
    done = predict.run(predictor, frames, tmp_path / "out", **given)
    assert done.made == 3 and done.found.h.tolist() == [120, 120, 90]
    reader = cv2.VideoCapture(str(tmp_path / "out" / "overlay.mp4"))
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == 3 and reader.get(cv2.CAP_PROP_FRAME_WIDTH) == 160


def test_frames_that_are_done_are_not_decoded(tmp_path):
    source = sources.open_source(video(tmp_path / "clip.avi"))
    assert source.fps == 10 and len(source) == 8
    assert [number for number, *_ in source.frames(lambda name: int(name) % 3 == 0)] == [0, 3, 6]


def test_on_the_command_line(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(networks, "load", lambda *given: ToyMano())
    words = ["predict", "weights", str(folder), str(tmp_path / "out"), "--boxes", str(tmp_path / "boxes.json")]
    assert cli.main([*words, "--focal", "300", "--formats", "npz,obj", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "2 hands of 2 pictures" in said and "3 left out" in said and "not MANO" in said
    assert predict.Prediction.load(job.path_of(tmp_path / "out", "a.png")).K[0, 0] == 300
    assert cli.main([*words, "--focal", "301", "--device", "cpu"]) == 2
    assert cli.main([*words, "--K", "1,2"]) == 2
    words[words.index("--boxes")] = "--detector"
    assert cli.main([*words[:-1], "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err


COCO = {
    "images": [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "b.png"}],
    "annotations": [
        {"image_id": 7, "bbox": [60, 10, 50, 130], "iscrowd": 0, "category_id": 1},
        {"image_id": 7, "bbox": [10, 10, 50, 130], "iscrowd": 1},
        {"image_id": 7, "bbox": [10, 10, 50, 130], "category_id": 18},
        {"image_id": 8, "bbox": [900, 10, 50, 130]},
    ],
}


def test_persons_of_a_folder_in_every_form(folder, tmp_path, person_predictor, monkeypatch, capsys):
    (tmp_path / "coco.json").write_text(json.dumps(COCO))
    monkeypatch.setattr(networks, "load", lambda *given: person_predictor.net)
    words = ["predict", "weights", str(folder), str(tmp_path / "out"), "--boxes", str(tmp_path / "coco.json")]
    assert cli.main([*words, "--formats", "json,obj,glb,overlay", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "1 person of 1 pictures" in said and "not SMPL-X" in said and "left out" in said
    for path in ("predictions/a.png.npz", "json/a.png.json", "obj/a.png.obj", "glb/a.png.glb", "overlay/a.png.png"):
        assert (tmp_path / "out" / path).is_file(), path
    head, line = (tmp_path / "out" / "persons.csv").read_text().splitlines()
    assert (
        head.startswith("picture,person,x,y,w,h") and "pelvis_z_m" in head and line.startswith("a.png,0,60,10,50,130")
    )
    assert "outside the picture" in (tmp_path / "out" / "skipped.csv").read_text()
    assert cli.main([*words, "--side", "left", "--device", "cpu"]) == 2 and "none" in capsys.readouterr().err


def test_a_video_of_a_person_becomes_a_clip(tmp_path, person_predictor):
    path = video(tmp_path / "clip.avi", frames=5)
    given = {"boxes": "whole", "formats": ["glb", "overlay"], "smooth": "zero_lag", "show": False}
    done = predict.run(person_predictor, path, tmp_path / "out", **given)
    assert done.made == 5 and len(done.found) == 5 and "side" not in done.found
    assert (tmp_path / "out" / "persons_zero_lag.glb").is_file()
    jitter = done.jitter[done.jitter.track == "all"].set_index("clip").jitter_mm_per_frame2_pelvis
    assert jitter["after"] <= jitter["before"]
