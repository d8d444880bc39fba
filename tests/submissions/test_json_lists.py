import io
import json
import zipfile

import numpy as np
import pytest

from handlib.files import InputError
from handlib.submissions import json_lists

RNG = np.random.default_rng(0)


def arrays(n=7, points=11, dtype=np.float64):
    return RNG.normal(size=(n, 3, 3)).astype(dtype), RNG.normal(size=(n, points, 3)).astype(dtype)


def read(text):
    parts = ([], [])
    for which, _, entries in json_lists.blocks(io.BytesIO(text if isinstance(text, bytes) else text.encode()), "given"):
        parts[which].extend(np.asarray(entry) for entry in entries)
    return parts


@pytest.mark.parametrize("layout", [{}, {"separators": (",", ":")}, {"indent": 1}, {"separators": (" ,\t", ":")}])
@pytest.mark.parametrize("window", [7, 1000, 1 << 20])
def test_reads_what_the_json_module_reads_to_the_last_bit(layout, window, monkeypatch):
    monkeypatch.setattr(json_lists, "WINDOW", window)
    joints, vertices = arrays(5)
    bits = np.frombuffer(RNG.bytes(vertices.nbytes), np.float64).reshape(vertices.shape)
    vertices = np.where(np.isfinite(bits), bits, 0.1)  # every size of number there is
    text = json.dumps([joints.tolist(), vertices.tolist()], **layout)
    got = read(text)
    assert np.array_equal(got[0], joints) and np.array_equal(got[1], vertices)


def test_the_fast_way_is_taken_where_text_is_regular(monkeypatch):
    monkeypatch.setattr(json_lists._Text, "_slow", lambda *_: pytest.fail("went to the json module"))
    for layout in ({}, {"separators": (",", ":")}, {"indent": 2}):
        read(json.dumps([part.tolist() for part in arrays()], **layout))


NUMBERS = ["0", "-0", "-0.0", "10", "-12", "1e5", "1E+05", "1.5e-07", "-1.25E-3", "0.5", "1e400", "-1e-400", "9" * 30]
ODD = ["NaN", "Infinity", "-Infinity", "true", "null", '"1"', "01", "-01", "00", ".5", "-.5", "1.", "1.e5", "+1", "1e",
       "0x1", "nan", "inf", "1_0", "--1", "1-2", "", "-", "1 2", "[1]", "[]", "{}", "1]", "[1", "1,2", "1.2.3", "\x00",
       "9" * 400, "9" * 5000, "é", '"]]]"', '"],["']  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS + ODD)
@pytest.mark.parametrize("place", range(3))
def test_every_number_is_taken_or_refused_as_the_json_module_does(number, place):
    points = [["0.25", "-3", "7e-2"] for _ in range(4)]
    points[2][place] = number
    entry = "[" + ",".join("[" + ", ".join(point) + "]" for point in points) + "]"
    text = f"[[{entry}], [[[1,2,3]],{entry}]]"
    try:
        value = json.loads(text)
        expected = np.array(value[0][0], object)
        assert expected.shape == (4, 3) and all(type(one) in (int, float) for one in expected.ravel())
        expected = expected.astype(np.float64)
    except (ValueError, OverflowError, AssertionError, IndexError, KeyError):
        with pytest.raises(InputError, match="given: field 'joints'" if '"' not in number else "given"):
            read(text)
        return
    got = read(text)
    np.testing.assert_array_equal(got[0][0], expected)
    np.testing.assert_array_equal(got[1][1], expected)


def test_one_wrong_character_never_gives_other_numbers():
    joints, vertices = arrays(3, 4)
    text = json.dumps([joints.tolist(), vertices.tolist()])
    for _ in range(1500):
        place, kind = RNG.integers(len(text)), RNG.integers(3)
        new = "[],.-+e0 5\n"[RNG.integers(11)]
        changed = text[:place] + (new, "", new + text[place])[kind] + text[place + 1 :]
        try:
            expected = json.loads(changed)
        except ValueError:
            expected = None
        try:
            got = read(changed)
        except InputError:
            if expected is not None:  # JSON, but not two lists of entries of points of numbers
                assert not _is_submission(expected), changed
            continue
        assert expected is not None, changed
        for mine, theirs in zip(got, expected, strict=True):
            for one, other in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(one, other)


def _is_submission(value):
    try:
        arrays = [[np.array(entry, np.float64) for entry in part] for part in value]
    except (ValueError, TypeError):
        return False
    return len(arrays) == 2 and all(entry.ndim == 2 and entry.size for part in arrays for entry in part)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["pred.zip", "pred.json"])
def test_a_file_written_and_read_back_equals_the_arrays(dtype, name, tmp_path):
    joints, vertices = arrays(5, dtype=dtype)
    assert json_lists.write(tmp_path / name, [(joints, vertices)]) == 5
    for got, given in zip(json_lists.read(tmp_path / name), (joints, vertices), strict=True):
        assert got.dtype == np.float64 and np.array_equal(got, given)
    if name == "pred.zip":
        value = json.loads(zipfile.ZipFile(tmp_path / name).read("pred.json"))
    else:
        value = json.loads((tmp_path / name).read_text())
    assert np.array_equal(value[0], joints) and np.array_equal(value[1], vertices)


def test_batches_give_the_bytes_of_the_whole(tmp_path):
    joints, vertices = arrays(10)
    rows = [slice(0, 3), slice(3, 3), slice(3, 9), slice(9, 10)]
    for name in ("pred.zip", "pred.json"):
        json_lists.write(tmp_path / name, [(joints, vertices)])
        json_lists.write(tmp_path / f"parts.{name}", ((joints[row], vertices[row]) for row in rows))
        assert (tmp_path / name).read_bytes() == (tmp_path / f"parts.{name}").read_bytes()


def test_no_samples_and_rounding(tmp_path):
    json_lists.write(tmp_path / "none.json", [])
    assert json.loads((tmp_path / "none.json").read_text()) == [[], []]
    assert [part.shape for part in json_lists.read(tmp_path / "none.json")] == [(0, 0, 3)] * 2
    joints, vertices = arrays()
    json_lists.write(tmp_path / "six.json", [(joints, vertices)], decimals=6)
    got = json_lists.read(tmp_path / "six.json")
    assert np.array_equal(got[0], np.round(joints, 6)) and np.array_equal(got[1], np.round(vertices, 6))


def test_meshes_of_different_sizes_come_as_a_list():
    small, large = RNG.normal(size=(2, 5, 3)), RNG.normal(size=(3, 6, 3))
    text = json.dumps([np.zeros((5, 2, 3)).tolist(), small.tolist() + large.tolist()])
    got = read(text)[1]
    for one, other in zip(got, [*small, *large], strict=True):
        assert np.array_equal(one, other)


def test_nothing_stays_after_a_failure_in_the_middle(tmp_path):
    def batches():
        yield arrays()
        raise RuntimeError("the network stopped")

    (tmp_path / "pred.zip").write_bytes(b"the old file")
    with pytest.raises(RuntimeError, match="the network stopped"):
        json_lists.write(tmp_path / "pred.zip", batches())
    assert [path.name for path in tmp_path.iterdir()] == ["pred.zip"]
    assert (tmp_path / "pred.zip").read_bytes() == b"the old file"


# Bad files


def broken(text):
    with pytest.raises(InputError) as caught:
        read(text)
    return str(caught.value)


ONE = "[[1,2,3]]"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the text ends where '[' must be"),
        ('{"xyz": []}', "there is '{\"xyz\": []' where '['"),
        ("[[]]", "there is ']' where ',' must be (there are two lists"),
        (f"[[{ONE}],[{ONE}],[{ONE}]]", "there is ',[[[1,2,3]]]]' where ']' must be"),
        (f"[[{ONE}],[{ONE}]]x", "something follows the end: 'x'"),
        (f"[[{ONE},{ONE}],[{ONE},{ONE}", "'vertices': the text ends within entry 1"),
        (f"[[{ONE},{ONE}],[{ONE},[[1,2", "'vertices': the text ends within entry 1"),
        (f"[[{ONE},[[1,2,[3]]]],[{ONE}]]", "'joints': entry 1"),
        (f"[[{ONE},[[[1,2,3]]]],[{ONE}]]", "'joints': entry 1 has lists nested too deep"),
        (f"[[{ONE},[1,2,3]],[{ONE}]]", "'joints': entry 1"),
        ("[[[1,2,3],[4,5,6]],[[1,2,3]]]", "'joints': entry 0 is not a list of points"),
        (f"[[{ONE},[[1,2,3],[4,5]]],[{ONE}]]", "'joints': entry 1: point 1 is '[4, 5]', not three numbers"),
        (f"[[{ONE},[[1,null,3]]],[{ONE}]]", "'joints': entry 1: point 0 holds 'null', not a number"),
        (f'[[{ONE},[[1,"2",3]]],[{ONE}]]', "'joints': entry 1: point 0 holds '\"2\"', not a number"),
        (f"[[{ONE},[[1,2 3,4]]],[{ONE}]]", "two values without a comma between them: '2 3'"),
        (f"[[{ONE}],[{ONE},{ONE},[[1,2,03]]]]", "'vertices': entry 2 is not JSON"),
        (f"[[{ONE}],[[[1,2,3],]]]", "'vertices': entry 0 is not JSON"),
        (f"[[{ONE},],[{ONE}]]", "'joints': entry"),
    ],
)
def test_the_entry_and_the_place_are_named(text, says):
    assert says in broken(text)


@pytest.mark.parametrize("text", ["[" * 100000, "[[[" + "[1," * 100000, f"[[[[1,2,{'[' * 10**5}{']' * 10**5}]]],[]]"])
def test_endless_depth_is_refused(text):
    assert "joints" in broken(text)


def test_an_entry_without_end_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(json_lists, "LONGEST", 1 << 21)
    assert "longer than 2 MB" in broken("[[[[" + "1," * (3 << 20))
