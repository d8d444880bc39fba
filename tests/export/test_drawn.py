import dataclasses

import cv2
import numpy as np
import own_pictures
import pytest

from handlib import export, smoothing
from handlib.files import InputError

W, H = own_pictures.SIZE


@pytest.fixture(scope="module")
def layers():
    return own_pictures.layers()


@pytest.fixture(scope="module")
def pair(layers):
    return own_pictures.prediction(layers)


@pytest.fixture
def paper():
    return np.full((H, W, 3), 90, np.uint8)


def test_hands_are_drawn_where_their_joints_are(pair, paper):
    drawn = export.overlay(paper, pair)
    changed = (drawn != paper).any(-1)
    for joints in pair.joints_img:
        x, y = joints[1:].round().astype(int).T
        inside = (x >= 0) & (x < W)
        assert inside.sum() > 10 and changed[y[inside], x[inside]].mean() > 0.8
    assert 0.01 < changed.mean() < 0.3
    red, _, blue = drawn[changed].astype(int).T
    left = np.nonzero(changed)[1] > W / 2
    assert (red - blue)[~left].mean() > 15 and (blue - red)[left].mean() > 10, "each side in its colour"


def test_opacity_and_choice(pair, paper):
    assert np.array_equal(export.overlay(paper, pair, opacity=0), paper)
    whole, faint = (export.overlay(paper, pair, opacity).astype(int) - paper for opacity in (1.0, 0.5))
    assert np.abs(whole - 2 * faint).max() <= 2
    one = export.overlay(paper, pair, which=[1])
    assert (one != paper).any() and np.array_equal(one[:, : W // 2], paper[:, : W // 2])
    assert np.array_equal(export.overlay(paper, pair, which=[]), paper)


def test_other_pictures_and_opacities_are_refused(pair, paper):
    with pytest.raises(InputError, match="the prediction was made on 160 x 120"):
        export.overlay(paper[1:], pair)
    with pytest.raises(InputError, match="from 0 to 1"):
        export.overlay(paper, pair, opacity=1.5)


@pytest.mark.parametrize("end", ["mp4", "webm", "avi"])
def test_a_video_holds_its_frames(tmp_path, end):
    path = tmp_path / f"clip.{end}"
    with export.OverlayVideo(path, 12.5, (W, H)) as video:
        for level in (40, 120, 200):
            video.write(np.full((H, W, 3), (level, 60, 20), np.uint8))
        assert not path.exists(), "not before it is whole"
    reader = cv2.VideoCapture(str(path))
    frames = [reader.read()[1] for _ in range(3)]
    assert not reader.read()[0] and np.isclose(reader.get(cv2.CAP_PROP_FPS), 12.5)
    for frame, level in zip(frames, (40, 120, 200), strict=True):
        assert np.abs(frame[..., ::-1].mean((0, 1)) - (level, 60, 20)).max() < 12


def test_a_failed_video_leaves_the_old_one(tmp_path):
    path = tmp_path / "clip.avi"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=r"frame 1 is uint8 \(119, 160, 3\), the video 160 x 120"):
        with export.OverlayVideo(path, 10, (W, H)) as video:
            video.write(np.zeros((H, W, 3), np.uint8))
            video.write(np.zeros((H - 1, W, 3), np.uint8))
    with pytest.raises(InputError, match="no frame was written"), export.OverlayVideo(path, 10, (W, H)):
        pass
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_videos_that_cannot_be(tmp_path):
    for name, fps, size in (("a.gif", 10, (W, H)), ("a.mp4", 0, (W, H)), ("a.mp4", 10, (0, H))):
        with pytest.raises(InputError):
            export.OverlayVideo(tmp_path / name, fps, size)


@pytest.mark.parametrize("end", ["json", "npz"])
@pytest.mark.parametrize("sides", [(0, 1), ()])
def test_parameters_come_back(layers, tmp_path, end, sides):
    written = own_pictures.prediction(layers, sides)
    written = dataclasses.replace(written, verts_cam=written.verts_cam.astype(np.float32), skipped=((2, "outside"),))
    back = export.read_parameters(export.parameters(written, tmp_path / f"one.{end}"))
    for field in dataclasses.fields(written):
        one, other = (getattr(each, field.name) for each in (written, back))
        if isinstance(one, np.ndarray) and one.size:
            assert one.shape == other.shape and np.array_equal(one, other.astype(one.dtype), equal_nan=True), field.name
        elif not isinstance(one, np.ndarray):
            assert one == other, field.name
    assert len(back) == len(sides)


def test_parameters_that_are_none_are_refused(layers, tmp_path):
    pair = own_pictures.prediction(layers)
    with pytest.raises(InputError, match=".json or .npz"):
        export.parameters(pair, tmp_path / "one.pkl")
    path = export.parameters(pair, tmp_path / "one.json")
    text = path.read_text()
    for old, new, message in (
        ('"format": "handlib', '"format": "other', "not a prediction"),
        ('"version": 1', '"version": 2', "this handlib reads 1"),
        ('"side": [0, 1]', '"side": [0]', "field 'side'|field 'boxes'"),
        ('"transl"', '"somewhere"', "field 'transl': is not there"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(InputError, match=message):
            export.read_parameters(path)


def test_a_steady_clip_is_written_like_any_other(layers, paper, tmp_path):
    made = smoothing.smooth(own_pictures.clip(layers, 4, noise=0.02), 25, layers, "zero_lag")
    with export.OverlayVideo(tmp_path / "clip.avi", 25, (W, H)) as video:
        for one in made:
            video.write(export.overlay(paper, one))
    assert video.frames == 4
