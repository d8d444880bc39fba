import json

import pytest

from handlib.datasets import json_stream
from handlib.files import InputError

VALUE = {
    "images": [{"id": n, "name": 'é\\"[]{},' * (n % 5), "size": [n * 1.5, None, True]} for n in range(200)],
    "empty": [],
    "info": {"a": [1, 2], "b": {}},
    "numbers": [12345, -1.5e-3, 0],
    "text": "x",
}


@pytest.fixture(params=[1, 7, 64, 1 << 20], ids="window {}".format)
def window(request, monkeypatch):
    monkeypatch.setattr(json_stream, "WINDOW", request.param)


def expected(value):
    if isinstance(value, list):
        return [(None, item) for item in value]
    pairs = []
    for name, member in value.items():
        pairs += [(name, item) for item in member] if isinstance(member, list) else [(name, member)]
    return pairs


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "value", [VALUE, VALUE["images"], [1, 23, 456], {}, []], ids=["object", "list", "numbers", "{}", "[]"]
)
def test_items(tmp_path, window, value, indent):
    path = tmp_path / "data.json"
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
    assert list(json_stream.items(path)) == expected(value)


def test_cut_anywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "WINDOW", 32)
    text = json.dumps({"images": VALUE["images"][:3], "n": [1, 2]})
    path = tmp_path / "data.json"
    for end in range(len(text)):
        path.write_text(text[:end])
        with pytest.raises(InputError, match="not whole JSON"):
            list(json_stream.items(path))


@pytest.mark.parametrize("text", ["[1] 2", "[1 2]", '{"a" 1}', "7", "[1,]", '{"a": [1}', "\x00"])
def test_not_json(tmp_path, text):
    path = tmp_path / "data.json"
    path.write_text(text)
    with pytest.raises(InputError, match="data.json.*not whole JSON"):
        list(json_stream.items(path))


def test_not_utf8(tmp_path):
    path = tmp_path / "data.json"
    path.write_bytes(b'["\xff"]')
    with pytest.raises(InputError, match="not UTF-8"):
        list(json_stream.items(path))


def test_an_error_is_found_without_reading_on(tmp_path):
    path = tmp_path / "data.json"
    path.write_text('[{"a": }, ' + '"b", ' * 100_000 + "1]")
    with pytest.raises(InputError, match="at character 1"):
        list(json_stream.items(path))
