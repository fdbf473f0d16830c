"""Annotation files: what they hold in columns, and one line about a file that contradicts itself or is no such file."""

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as pycocotools_mask

from gauss_vit.data.images.outlines import Polygons, Runs
from gauss_vit.data.sources import coco_annotations
from gauss_vit.data.sources.coco_annotations import NO_CLASS, Annotations, read_annotations
from gauss_vit.errors import DataError
from tests.data.sources.coco_samples import CLASS_NAMES, IDS, SIZES, document

Edit = Callable[[dict[str, Any]], object]


def read(folder: Path, edit: Edit = lambda content: None) -> Annotations:
    """Reads the drawn annotations after a change."""
    content = copy.deepcopy(document())
    edit(content)
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return read_annotations(path)


def refusal(folder: Path, edit: Edit) -> str:
    """What is said of annotations after a change: one line that names the file."""
    with pytest.raises(DataError) as caught:
        read(folder, edit)
    assert (caught.value.code, str(caught.value).count("\n")) == ("DATA-ANN", 0)
    assert caught.value.message.startswith(f"{folder}/instances.json")
    return caught.value.message


def change(index: int, **values: object) -> Edit:
    """Changes an annotation."""
    return lambda content: content["annotations"][index].update(values)


def test_columns_hold_what_the_file_says(tmp_path: Path):
    found, expected = read(tmp_path), document()
    assert found.class_names == CLASS_NAMES
    assert found.class_ids.tolist() == [1, 3, 90]
    assert (found.image_ids.tolist(), found.sizes.tolist()) == (list(IDS), [list(size) for size in SIZES])
    assert found.label.tolist() == [1, 2, 0, 1]
    assert found.image.tolist() == [0, 0, 1, 0]
    assert found.is_crowd.tolist() == [False, False, False, True]
    assert found.xywh.tolist() == [entry["bbox"] for entry in expected["annotations"]]
    assert found.area.tolist() == [entry["area"] for entry in expected["annotations"]]
    first, crowd = found.outlines[0], found.outlines[3]
    assert isinstance(first, Polygons) and isinstance(crowd, Runs)
    assert first.to_coco(SIZES[0]) == expected["annotations"][0]["segmentation"]
    assert crowd.to_coco(SIZES[0]) == expected["annotations"][3]["segmentation"]
    assert crowd.bitmap(SIZES[0]).sum() == 400


def test_there_may_be_no_annotations(tmp_path: Path):
    found = read(tmp_path, lambda content: content.update(annotations=[]))
    assert (found.xywh.shape, found.outlines.is_missing.shape, len(found.file_names)) == ((0, 4), (0,), 3)


def test_order_of_the_arrays_and_unknown_keys_do_not_matter(tmp_path: Path):
    def turn(content: dict[str, Any]) -> None:
        turned = dict(reversed(content.items()))
        content.clear()
        content.update({"extra": [{"a": 1}], **turned, "last": 1.5})

    np.testing.assert_equal(vars(read(tmp_path, turn))["xywh"], read(tmp_path).xywh)


def test_compressed_runs_are_as_good(tmp_path: Path):
    def compress(content: dict[str, Any]) -> None:
        crowd = content["annotations"][3]["segmentation"]
        encoded = pycocotools_mask.frPyObjects(crowd, *crowd["size"])
        content["annotations"][3]["segmentation"] = {"size": crowd["size"], "counts": encoded["counts"].decode()}

    np.testing.assert_array_equal(read(tmp_path, compress).outlines.runs, read(tmp_path).outlines.runs)


def test_what_is_optional_may_be_missing(tmp_path: Path):
    def strip(content: dict[str, Any]) -> None:
        for key in ("iscrowd", "area", "segmentation"):
            del content["annotations"][1][key]

    found = read(tmp_path, strip)
    assert (found.is_crowd[1], found.area[1], found.outlines[1]) == (False, 20 * 18, None)
    assert found.outlines.is_missing.tolist() == [False, True, False, False]


def test_polygons_of_two_corners_are_no_mask(tmp_path: Path):
    found = read(tmp_path, change(1, segmentation=[[5, 40, 25, 40]]))
    assert found.outlines[1] is None
    mixed = read(tmp_path, change(1, segmentation=[[5, 40, 25, 40], [5, 40, 25, 40, 25, 58]])).outlines[1]
    assert mixed is not None and mixed.to_coco(SIZES[0]) == [[5, 40, 25, 40, 25, 58]]


@pytest.mark.parametrize(
    ("edit", "flaw"),
    [
        (change(0, category_id=2), "of a class that the file does not list"),
        (change(0, area=0), "without area"),
        (change(0, bbox=[5, 5, 0.5, 20]), "less than a pixel wide or high"),
        (change(0, bbox=[5, 5, -3, 20]), "less than a pixel wide or high"),
        (change(0, bbox=[80, 5, 10, 20]), "outside their image"),
        (change(0, bbox=[5, -20, 10, 20]), "outside their image"),
    ],
)
def test_useless_annotations_are_kept_and_told_apart(tmp_path: Path, edit: Edit, flaw: str):
    found = read(tmp_path, edit)
    assert len(found.ids) == 4
    assert {name: int(has.sum()) for name, has in found.flaws().items() if has[0]}.get(flaw) == 1
    assert not any(has.any() for has in read(tmp_path).flaws().values())
    assert (found.label[0] == NO_CLASS) == (flaw == "of a class that the file does not list")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change(0, bbox=[1, 2, float("nan"), 4]), "annotation 11 has the bbox"),
        (change(0, bbox=[1, 2, 3]), "annotation 11 has the bbox"),
        (change(0, bbox=["1", 2, 3, 4]), "annotation 11 has the bbox"),
        (change(0, area=float("inf")), "annotation 11 has the area inf"),
        (change(0, id=12), "two annotations have the id 12"),
        (change(0, id="11"), "annotation '11' has '11' as id"),
        (change(0, id=2**70), "as id, which must be an integer"),
        (change(0, image_id=8), "annotation 11 is of the image 8, which is not listed"),
        (change(0, segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "annotation 11: a polygon has 7 numbers"),
        (change(0, segmentation=[1, 2, 3, 4, 5, 6]), "annotation 11: its polygons are not lists"),
        (change(0, segmentation=[[1, 2, 3, 4, 5, "6"]]), "annotation 11: its polygons are not lists of numbers"),
        (change(1, segmentation=[[1, 2, 3, 4, 5, float("nan")]]), "annotation 12: a polygon has the coordinate nan"),
        (change(2, segmentation=[[1, 2, 3, 4, 5, 1e9]]), "annotation 13: a polygon has the coordinate 1000000000.0"),
        (change(0, segmentation="x"), "neither polygons nor run lengths"),
        (change(0, segmentation={"counts": [4800]}), "the size of its run lengths"),
        (change(0, segmentation={"size": [60, 80], "counts": [9]}), "are 9 pixels together, its image is 60 x 80 px"),
        (change(0, segmentation={"size": [80, 60], "counts": [4800]}), "are for 80 x 60 px, its image is 60 x 80 px"),
        (change(0, segmentation={"size": [60, 80], "counts": [-1, 4801]}), "its counts are no run lengths"),
        (change(0, segmentation={"size": [60, 80], "counts": "P"}), "no compressed run lengths"),
        (lambda content: content["images"].append(content["images"][0]), "two images have the id 139"),
        (lambda content: content["images"][0].pop("file_name"), "image 139 has no file_name"),
        (lambda content: content["images"][0].update(file_name="../a.png"), "leaves the folder of images"),
        (lambda content: content["images"][0].update(file_name="/etc/a.png"), "leaves the folder of images"),
        (lambda content: content["images"][0].update(height=0), "image 139 has the height 0"),
        (lambda content: content["images"][0].update(width=1.5), "image 139 has 1.5 as width"),
        (lambda content: content["images"][0].update(id=2**31), "image 2147483648 has an id beyond"),
        (lambda content: content["categories"].append({"id": 3, "name": "x"}), "two categories have the id 3"),
        (lambda content: content["categories"][0].pop("name"), "category 3 has no name"),
        (lambda content: content["annotations"].append(7), "an element of annotations is 7, not an object"),
        (lambda content: content["annotations"][0].pop("category_id"), "annotation 11 has no category_id"),
        (lambda content: content.pop("annotations"), "it has no array annotations"),
        (lambda content: content.update(images={"a": 1}), "it has no array images"),
    ],
)
def test_contradictions_are_named(tmp_path: Path, edit: Edit, message: str):
    assert message in refusal(tmp_path, edit)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda text: text[: len(text) // 2], "at character"),
        (lambda text: text.replace('"annotations": [', '"annotations": ' + "[" * 10_000), "nested too deeply"),
        (lambda text: "\x00\xff" + text, "expected '{'"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: Callable[[str], str], message: str):
    path = tmp_path / "instances.json"
    path.write_text(content(json.dumps(document())))
    with pytest.raises(DataError, match=message):
        read_annotations(path)


def test_a_file_that_is_too_large_is_refused_at_once(tmp_path: Path):
    path, start = tmp_path / "instances.json", time.monotonic()
    with path.open("wb") as file:
        file.truncate(3 * 2**30)
    with pytest.raises(DataError, match=r"it has 3\.0 GiB, the limit is 2 GiB"):
        read_annotations(path)
    assert time.monotonic() - start < 1


def test_what_is_no_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="No such file"):
        read_annotations(tmp_path / "instances.json")
    with pytest.raises(DataError, match="not a regular file"):
        read_annotations(tmp_path)


def test_polygons_take_sixteen_bytes_a_corner(tmp_path: Path):
    def many(content: dict[str, Any]) -> None:
        content["annotations"][0]["segmentation"] = [[1.0, 2.0, 3.0, 4.0] * 5000] * 4

    outlines = read(tmp_path, many).outlines
    assert outlines.numbers.nbytes < 16 * 40_000 + 1000
    assert coco_annotations.LARGEST_FILE > 470_000_000
