"""Lists of the classes of masks, as text and JSON: what values and colours stand for, or what is wrong with a list."""

import json
from pathlib import Path

import pytest

from gauss_vit.batches import IGNORED
from gauss_vit.data.images.mask import packed
from gauss_vit.data.sources.class_list import read_classes
from gauss_vit.data.sources.mask_classes import MaskClasses
from gauss_vit.errors import DataError
from gauss_vit.palette import generated_palette

PLAIN = {0: 0, 1: 1, 255: IGNORED}


def of_text(root: Path, text: str) -> MaskClasses:
    (root / "classes.txt").write_bytes(text.encode())
    return read_classes(root)


def of_json(root: Path, content: object) -> MaskClasses:
    (root / "classes.json").write_text(json.dumps(content))
    return read_classes(root)


@pytest.mark.parametrize("text", ["sky\nbus stop", "sky\r\nbus stop\r\n\r\n", "\ufeffsky \n bus stop\n"])
def test_a_text_names_a_class_a_line(tmp_path: Path, text: str):
    classes = of_text(tmp_path, text)
    assert (classes.names, classes.palette) == (("sky", "bus stop"), generated_palette(2))
    assert (classes.class_of_value, classes.class_of_color) == (PLAIN, {})


def test_json_may_be_names_alone(tmp_path: Path):
    classes = of_json(tmp_path, ["sky", "road"])
    assert (classes.names, classes.class_of_value) == (("sky", "road"), PLAIN)


def test_json_may_give_values_and_colours(tmp_path: Path):
    road = {"name": "road", "value": 7, "color": [128, 64, 128]}
    classes = of_json(tmp_path, [road, {"name": "car", "value": 26, "color": [0, 0, 142]}])
    assert classes.class_of_value == {7: 0, 26: 1, 255: IGNORED}
    assert classes.palette == ((128, 64, 128), (0, 0, 142))
    assert classes.class_of_color == {packed((128, 64, 128)): 0, packed((0, 0, 142)): 1}


def test_json_may_say_what_is_ignored(tmp_path: Path):
    classes = of_json(
        tmp_path,
        {
            "classes": [{"name": "road", "color": [9, 9, 9]}],
            "ignored_values": [254, 65535],
            "ignored_colors": [[0, 0, 0]],
        },
    )
    assert classes.class_of_value == {0: 0, 254: IGNORED, 65535: IGNORED}
    assert classes.class_of_color == {packed((9, 9, 9)): 0, 0: IGNORED}
    assert of_json(tmp_path, {"classes": ["a", "b"], "ignored_values": []}).class_of_value == {0: 0, 1: 1}


def test_a_class_may_have_the_value_that_is_otherwise_ignored(tmp_path: Path):
    classes = of_json(tmp_path, ["background", {"name": "cell", "value": 255}])
    assert classes.class_of_value == {0: 0, 255: 1}


def test_a_mask_has_at_most_255_classes(tmp_path: Path):
    assert len(of_json(tmp_path, [f"{index}" for index in range(255)]).names) == 255
    with pytest.raises(DataError, match="1 to 255 classes, these are 256"):
        of_json(tmp_path, [f"{index}" for index in range(256)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "a mask has 1 to 255 classes, these are 0"),
        ("sky", "expected an object with the keys classes, ignored_values, ignored_colors and got 'sky'"),
        ({"names": ["sky"]}, "expected an object with the keys classes"),
        ({"classes": "sky"}, "classes is not an array"),
        ({"classes": ["sky"], "ignored": [3]}, "expected an object with the keys classes"),
        ({"classes": ["sky"], "ignored_values": 3}, "ignored_values is not an array"),
        ({"classes": ["sky"], "ignored_values": [0]}, "the value 0 is given twice"),
        ({"classes": ["sky"], "ignored_colors": [[0, 0, 0]]}, "ignored_colors is given, and no class has a color"),
        ([["sky", 3]], "expected an object with the keys name, value, color"),
        ([3], "expected an object with the keys name, value, color"),
        ([{"value": 3}], "expected an object with the keys name, value, color"),
        ([{"name": "sky", "id": 3}], "expected an object with the keys name, value, color"),
        (["sky", " "], "class 1 has no name"),
        ([{"name": 3}], "class 0 has no name"),
        (["sky", "sky"], "the name sky is given twice"),
        ([{"name": "sky", "value": 1}, "road"], "the value 1 is given twice"),
        ([{"name": "sky", "value": -1}], "a value is an integer in 0..65535, not -1"),
        ([{"name": "sky", "value": 65536}], "a value is an integer in 0..65535, not 65536"),
        ([{"name": "sky", "value": True}], "a value is an integer in 0..65535, not True"),
        ([{"name": "sky", "value": 1.0}], "a value is an integer in 0..65535, not 1.0"),
        ([{"name": "sky", "color": [1, 2]}], r"a color is \[red, green, blue\], not \[1, 2\]"),
        ([{"name": "sky", "color": "#ffffff"}], r"a color is \[red, green, blue\], not '#ffffff'"),
        ([{"name": "sky", "color": [1, 2, 256]}], r"red, green and blue are in 0..255, not \[1, 2, 256\]"),
        ([{"name": "sky", "color": [1, 2, 3]}, "road"], "1 of 2 classes have a color: give one to all, or to none"),
        (
            [{"name": "sky", "color": [1, 2, 3]}, {"name": "sea", "color": [1, 2, 3]}],
            r"the color \(1, 2, 3\) is given twice",
        ),
    ],
)
def test_a_wrong_list_is_refused_by_name(tmp_path: Path, content: object, message: str):
    with pytest.raises(DataError, match=f"^{tmp_path}/classes.json: {message}") as caught:
        of_json(tmp_path, content)
    assert caught.value.code == "DATA-LABEL"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "1 to 255 classes, these are 0"), (b"sky\n\nroad", "class 1 has no name"), (b"\xff\xfe", "can't decode")],
)
def test_a_wrong_text_is_refused_by_name(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(DataError, match=f"^{tmp_path}/classes.txt: .*{message}"):
        read_classes(tmp_path)


def test_exactly_one_list_is_wanted(tmp_path: Path):
    with pytest.raises(DataError, match=r"has no classes\.txt that names the classes of its masks") as caught:
        read_classes(tmp_path)
    assert caught.value.do == f"write {tmp_path}/classes.txt with one class a line, that of value 0 first"
    of_text(tmp_path, "sky")
    with pytest.raises(DataError, match=r"has both classes\.txt and classes\.json"):
        of_json(tmp_path, ["sky"])


@pytest.mark.parametrize("name", ["classes.txt", "classes.json"])
def test_a_list_that_is_no_file_or_of_gigabytes_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=f"{name} cannot be read: "):
        read_classes(tmp_path)
    (tmp_path / name).rmdir()
    with (tmp_path / name).open("wb") as file:  # sparse: takes no room on disk
        file.truncate(3 * 10**9)
    with pytest.raises(DataError, match=f"{name} cannot be read: larger than the limit"):
        read_classes(tmp_path)


def test_json_that_is_none_is_refused(tmp_path: Path):
    (tmp_path / "classes.json").write_text("[")
    with pytest.raises(DataError, match=r"classes\.json: "):
        read_classes(tmp_path)
