"""Arrays in JSON read one element after another: the same values as at once, and little of a file that is damaged."""

import json
import resource
import time
from pathlib import Path

import pytest

from gauss_vit.data.sources.json_arrays import read_arrays

DOCUMENT = {
    "info": {"year": 2017, "url": "ü"},
    "a": [{"x": [1.5, -2e3, None, True]}, {"y": "]},{"}, []],
    "none": [],
    "count": 12345,
    "b": [1, 22, 333],
}


def elements(path: Path) -> list[tuple[str, list[object]]]:
    return [(key, list(array)) for key, array in read_arrays(path)]


def read(path: Path, text: str) -> list[tuple[str, list[object]]]:
    path.write_text(text, encoding="utf-8")
    return elements(path)


@pytest.mark.parametrize("indent", [None, 3])
@pytest.mark.parametrize("block", [1, 7, 2**20])
def test_elements_are_those_of_the_whole_however_it_is_cut(tmp_path, monkeypatch, indent, block):
    monkeypatch.setattr("gauss_vit.data.sources.json_arrays._BLOCK", block)
    expected = [(key, value) for key, value in DOCUMENT.items() if isinstance(value, list)]
    assert read(tmp_path / "a.json", json.dumps(DOCUMENT, indent=indent)) == expected
    assert read(tmp_path / "a.json", "\ufeff" + json.dumps(DOCUMENT, ensure_ascii=False)) == expected


def test_what_is_left_of_an_array_is_passed_over(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(DOCUMENT))
    assert [(key, next(array, None)) for key, array in read_arrays(path)] == [
        ("a", DOCUMENT["a"][0]),
        ("none", None),
        ("b", 1),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected '{' at character 1, found 'the end of the file'"),
        ("[1]", "expected '{' at character 1, found '\\['"),
        ('{"a": [1, 2', "expected ']' at character 12"),
        ('{"a": [{"b": 1', "delimiter at character 15"),
        ('{"a": 1} 2', "expected the end of the file"),
        ('{"a": [1 2]}', "expected ']' at character 10, found '2'"),
        ("{1: 2}", "expected a key"),
        ('{"a" 1}', "expected ':'"),
        ('{"a": [1,]}', "Expecting value at character 10"),
        ('{"a": ' + "[" * 10_000, "nested too deeply"),
        ('{"a": [' + "9" * 5000 + "]}", "too many digits"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.json", text)


def test_a_value_without_end_takes_little_memory_and_time(tmp_path: Path):
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.write(b'{"a": ["')
        file.truncate(3 * 2**30)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(ValueError, match="at character 8"):
        elements(path)
    assert time.monotonic() - start < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000
