import numpy as np
import pytest
from PIL import Image, ImageOps
from predictor_toys import picture

from handlib.files import InputError
from handlib.predict import intrinsics, read


@pytest.fixture
def image():
    return picture(40, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied(tmp_path, image, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(image).save(path, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_array_equal(read(path).image, expected)
    np.testing.assert_array_equal(read(Image.open(path)).image, expected)
    assert read(path).size == (expected.shape[1], expected.shape[0])


def test_kinds_of_pictures_become_the_same_rgb(tmp_path, image):
    grey = image[..., 0]
    sixteen = grey.astype(np.uint16) * 257
    opaque = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    cases = {
        "colour": (image, image),
        "grey": (grey, np.repeat(grey[..., None], 3, 2)),
        "sixteen": (sixteen, np.repeat(grey[..., None], 3, 2)),
        "opaque": (opaque, image),
    }
    for name, (given, expected) in cases.items():
        np.testing.assert_array_equal(read(given).image, expected, err_msg=name)
        Image.fromarray(given).save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(read(tmp_path / f"{name}.png").image, expected, err_msg=name)
    np.testing.assert_array_equal(read(image / 255).image, image)
    np.testing.assert_array_equal(read(image.astype(np.uint16) * 257).image, image)


def test_what_is_transparent_is_black_as_outside_the_picture(image):
    half = np.dstack([image, np.zeros(image.shape[:2], np.uint8)])
    half[:, :20, 3] = 255
    found = read(half).image
    np.testing.assert_array_equal(found[:, :20], image[:, :20])
    assert not found[:, 20:].any()


def test_cmyk_and_palettes_have_their_colours(tmp_path, image):
    flat = np.zeros_like(image)
    flat[:, :20], flat[:, 20:] = (200, 30, 40), (20, 30, 180)
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(flat).quantize(4).save(tmp_path / "a.gif")
    for name in ("a.jpg", "a.gif"):
        found = read(tmp_path / name).image.astype(int)
        assert np.abs(found[:, 2:18] - (200, 30, 40)).max() < 12 and np.abs(found[:, 22:] - (20, 30, 180)).max() < 12


@pytest.mark.parametrize(
    "given, named",
    [
        ("https://example.org/hand.jpg", "address"),
        ("nowhere.jpg", "does not exist"),
        (np.zeros((4, 5, 2), np.uint8), "shape"),
        (np.full((4, 5, 3), 200.0), "0..1"),
        (np.zeros((4, 5, 3), np.int64), "int64"),
        (np.full((4, 5), np.nan), "nan"),
        (7, "int"),
    ],
)
def test_what_is_no_picture_is_refused(given, named):
    with pytest.raises(InputError, match=named):
        read(given)


def test_broken_files_are_refused(tmp_path, image):
    Image.fromarray(image).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    for name, part in {"cut.jpg": data[: len(data) // 2], "empty.jpg": b"", "text.jpg": b"no picture at all"}.items():
        (tmp_path / name).write_bytes(part)
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)
    with pytest.raises(InputError, match="folder"):
        read(tmp_path)


def _with_lens(path, image, tags):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update(tags)
    Image.fromarray(image).save(path, exif=exif)
    return read(path)


def test_the_lens_of_exif_is_used_and_said(tmp_path, image):
    film = _with_lens(tmp_path / "a.jpg", image, {0xA405: 26})
    K, words = intrinsics(film)
    assert K[0, 0] == K[1, 1] == pytest.approx(26 / np.hypot(36, 24) * 50) and "26 mm" in words and "EXIF" in words
    np.testing.assert_allclose(K[:2, 2], [19.5, 14.5])
    sensor = _with_lens(tmp_path / "b.jpg", image, {0x920A: 5.0, 0xA20E: 200.0, 0xA210: 3, 0xA002: 80, 0xA003: 60})
    assert intrinsics(sensor)[0][0, 0] == pytest.approx(5.0 * 20 * 40 / 80)


def test_cameras_say_what_is_assumed(image):
    shown = read(image)
    K, words = intrinsics(shown)
    assert K[0, 0] == pytest.approx(50) and words.startswith("assumed") and "diagonal" in words
    K, words = intrinsics(shown, focal="published")
    assert K.tolist() == [[500, 0, 20], [0, 500, 15], [0, 0, 1]] and "500 px" in words
    K, words = intrinsics(shown, focal=70)
    assert K[0, 0] == 70 and "given" in words
    given = [[60, 0, 20], [0, 61, 14], [0, 0, 1]]
    assert intrinsics(shown, given)[0].tolist() == given and intrinsics(shown, given)[1] == "given"
    for bad in (np.eye(2), np.zeros((3, 3)), [[60, 1, 20], [0, 61, 14], [0, 0, 1]], "x"):
        with pytest.raises(InputError, match="K"):
            intrinsics(shown, bad)
    with pytest.raises(InputError, match="focal"):
        intrinsics(shown, focal=-3)
