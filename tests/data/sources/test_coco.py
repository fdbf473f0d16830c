"""COCO and folders in its format: examples, what is learned from them, the truth, layouts and refusals."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as pycocotools_mask

from gauss_vit.batches import MAX_OBJECTS, no_objects
from gauss_vit.data.config import Data
from gauss_vit.data.examples import AnnotatedSource, SelectiveSource, learnable
from gauss_vit.data.sources import splits
from gauss_vit.data.sources.coco_source import CocoSource
from gauss_vit.errors import ConfigError, DataError
from tests.data.sources.coco_samples import CLASS_NAMES, IDS, SIZES, document, make_coco
from tests.data.test_config import DATA

ANNOTATIONS = "annotations/instances_train2017.json"


def data(root: Path, **changes) -> Data:
    """A config that reads a folder in COCO's layout."""
    return dataclasses.replace(DATA, **{"name": "coco", "targets": "objects", "data_dir": str(root)} | changes)


def opened(root: Path, split: str = "train", **changes) -> CocoSource:
    source = splits.open_split(data(root, **changes), split)
    assert isinstance(source, CocoSource)
    return source


def rewrite(root: Path, edit) -> Path:
    """Changes the annotations of a folder."""
    content = copy.deepcopy(document())
    edit(content)
    (root / ANNOTATIONS).write_text(json.dumps(content))
    return root


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    return make_coco(tmp_path)


def test_examples_hold_objects_without_crowds(root: Path):
    source = opened(root)
    assert isinstance(source, AnnotatedSource) and isinstance(source, SelectiveSource)
    assert (len(source), source.class_names, source.num_classes) == (3, CLASS_NAMES, 3)
    example = source[0]
    assert example.image == (root / "train2017/000000000139.png").read_bytes()
    assert example.name == f"{root}/train2017/000000000139.png (image 139)"
    objects = example.targets
    assert (objects.label.tolist(), objects.size.tolist(), int(objects.image_id)) == ([1, 2], [60, 80], 139)
    np.testing.assert_allclose(objects.boxes.yxyx, [[10, 15, 55, 70], [40, 5, 58, 25]])
    assert (objects.boxes.yxyx.dtype, objects.label.dtype) == (np.float32, np.int32)
    expected = pycocotools_mask.frPyObjects(document()["annotations"][0]["segmentation"], 60, 80)
    expected = pycocotools_mask.decode(pycocotools_mask.merge(expected))
    np.testing.assert_array_equal(objects.outlines[0].bitmap((60, 80)), expected)
    np.testing.assert_equal(source.padding_targets.boxes.yxyx, no_objects().boxes.yxyx)


def test_an_image_without_objects_has_none(root: Path):
    objects = opened(root)[2].targets
    assert (objects.boxes.yxyx.shape, objects.label.shape, objects.outlines) == ((0, 4), (0,), ())


def test_the_truth_is_what_the_file_says(root: Path):
    truth, expected = opened(root).truth(), document()
    assert truth["annotations"] == expected["annotations"]
    assert [(entry["id"], entry["name"]) for entry in truth["categories"]] == [(1, "dog"), (3, "cat"), (90, "bird")]
    assert [(entry["id"], entry["height"], entry["width"]) for entry in truth["images"]] == [
        (number, *size) for number, size in zip(IDS, SIZES, strict=True)
    ]
    part = opened(root, "train[1:]").truth()
    assert [entry["id"] for entry in part["images"]] == [25, 7]
    assert [entry["id"] for entry in part["annotations"]] == [13]


def test_without_any_mask_the_truth_has_boxes_alone(root: Path):
    def strip(content: dict[str, Any]) -> None:
        for entry in content["annotations"]:
            del entry["segmentation"]

    source = opened(rewrite(root, strip))
    assert not any("segmentation" in entry for entry in source.truth()["annotations"])
    bitmap = source[0].targets.outlines[1].bitmap((60, 80))
    assert bitmap.sum() == bitmap[40:58, 5:25].size


def test_images_without_annotations_are_not_learned_from(root: Path):
    source = opened(root)
    learned = learnable(source)
    assert (len(source), len(learned)) == (3, 2)
    assert [int(learned[index].targets.image_id) for index in range(2)] == [139, 25]
    assert "images: 1 without annotations" in " ".join(source.summary())
    assert repr(learned) != repr(source)


def test_narrow_images_are_not_learned_from_and_crowds_alone_are(root: Path):
    def edit(content: dict[str, Any]) -> None:
        content["images"][1].update(height=31, width=200)
        content["annotations"] = content["annotations"][2:]

    source = opened(rewrite(root, edit))
    learned = source.learnable()
    assert [int(number) for number in learned.annotations.image_ids[learned.indices]] == [139]
    assert learned[0].targets.label.tolist() == []
    assert "1 without annotations, 1 narrower than 32 px" in " ".join(source.summary())


def test_what_is_left_out_is_counted_by_reason(root: Path):
    def edit(content: dict[str, Any]) -> None:
        first = content["annotations"][0]
        flaws = (
            {"area": 0},
            {"bbox": [1, 2, 0.5, 3]},
            {"bbox": [90, 2, 5, 3]},
            {"category_id": 4},
            {"segmentation": []},
        )
        content["annotations"] += [{**first, "id": 100 + place, **flaw} for place, flaw in enumerate(flaws)]

    source = opened(rewrite(root, edit))
    said = "\n".join(source.summary())
    assert "instances_train2017.json: 3 images, 9 annotations of 3 classes, 1 of crowds" in said
    assert "learned from: 4 objects, 2 images" in said
    reasons = ("of a class that the file does not list", "without area", "less than a pixel wide or high")
    assert all(f"1 {reason}" in said for reason in (*reasons, "outside their image"))
    assert "objects without a mask, for which the box stands: 1" in said
    bitmap = source[0].targets.outlines[2].bitmap((60, 80))
    assert bitmap.sum() == bitmap[10:55, 15:70].size
    assert [entry["id"] for entry in source.truth()["annotations"]] == [11, 12, 13, 14, 100, 101, 102, 104]


def test_of_many_objects_the_largest_are_kept(root: Path):
    def edit(content: dict[str, Any]) -> None:
        first = content["annotations"][0]
        sides = np.random.default_rng(0).permutation(130)
        content["annotations"] = [
            {**first, "id": 1000 + place, "bbox": [0, 0, 2 + side / 10, 20]}
            for place, side in enumerate(sides.tolist())
        ]

    source = opened(rewrite(root, edit))
    boxes = source[0].targets.boxes.yxyx
    assert boxes.shape == (MAX_OBJECTS, 4)
    assert boxes[:, 3].min() == pytest.approx(5)
    assert "30 beyond the 100 largest of an image" in " ".join(source.summary())
    assert len(source.truth()["annotations"]) == 130


@pytest.mark.parametrize(
    ("annotations", "images", "split"),
    [
        ("annotations/instances_train2017.json", "train2017", "train"),
        ("annotations/val.json", "images/val", "validation"),
        ("train/_annotations.coco.json", "train", "train"),
        ("valid/annotations.json", "valid/images", "validation"),
        ("annotations.json", "images", "all"),
        ("labels.json", ".", "all"),
    ],
)
def test_layouts_of_a_folder(tmp_path: Path, annotations: str, images: str, split: str):
    make_coco(tmp_path, annotations, images)
    assert splits.known_splits(data(tmp_path, name="coco_folder")) == (split,)
    source = opened(tmp_path, split, name="coco_folder")
    assert source[1].image == (tmp_path / images / "000000000025.png").read_bytes()
    assert len(opened(tmp_path, f"{split}[:67%]", name="coco_folder")) == 2
    assert source.file_set().num_files == 4


def test_captions_beside_the_objects_are_not_meant(root: Path):
    (root / "annotations/captions_train2017.json").write_text("{}")
    assert len(opened(root, name="coco_folder")) == 3
    (root / "annotations/train.json").write_text("{}")
    (root / ANNOTATIONS).rename(root / "annotations/train2.json")
    with pytest.raises(DataError, match="several annotation files"):
        opened(root, name="coco_folder")


def test_what_is_not_there_is_explained(root: Path, tmp_path: Path):
    with pytest.raises(DataError, match="has no annotations for the split val: it has train"):
        opened(root, "val")
    with pytest.raises(DataError, match="has no annotation file in COCO's format"):
        opened(tmp_path / "none")
    with pytest.raises(DataError, match="has no images in the split"):
        opened(root, "train[3:]")
    with pytest.raises(DataError, match="not divided at random"):
        opened(root, split_protocol="paper")
    (root / "train2017").rename(root / "elsewhere")
    with pytest.raises(DataError, match=r"lists 000000000139.png, which is not in"):
        opened(root)


def test_a_missing_image_is_named(root: Path):
    (root / "train2017/000000000025.png").unlink()
    source = opened(root)
    with pytest.raises(DataError, match=r"000000000025\.png: No such file"):
        source[1]
    with pytest.raises(DataError, match=r"000000000025\.png"):
        source.file_set()


def test_a_folder_of_images_that_is_a_link_out_of_the_root_needs_leave(root: Path, tmp_path_factory):
    elsewhere = (root / "train2017").rename(tmp_path_factory.mktemp("other") / "images")
    (root / "train2017").symlink_to(elsewhere)
    with pytest.raises(DataError, match=r"train2017 leads out of the data folder") as caught:
        opened(root)
    assert "data.follow_links" in caught.value.do
    assert opened(root, follow_links=True)[0].image == (elsewhere / "000000000139.png").read_bytes()


def test_an_image_that_is_a_link_out_of_the_root_needs_leave(root: Path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("other") / "secret.png"
    outside.write_bytes(b"secret")
    (root / "train2017/000000000025.png").unlink()
    (root / "train2017/000000000025.png").symlink_to(outside)
    source = opened(root)
    assert len(source[0].image) > 0
    with pytest.raises(DataError, match=r"000000000025\.png leads out of the data folder, to .*secret\.png"):
        source[1]
    assert opened(root, follow_links=True)[1].image == b"secret"


def test_a_large_image_is_refused_by_its_annotations(root: Path):
    source = opened(root, max_pixels=4500)
    assert source.image_size(1, max_pixels=4500) == (90, 50)
    with pytest.raises(DataError, match="60 x 80 px") as caught:
        source[0]
    assert (caught.value.code, caught.value.do) == ("DATA-BOMB", "set data.max_pixels to 4800 or more")
    rewrite(root, lambda content: content["images"][2].update(height=20_000, width=20_000))
    with pytest.raises(DataError, match="20000 x 20000 px") as caught:
        opened(root)[2]
    assert caught.value.do == "make it smaller or remove it"


def test_its_name_tells_annotations_apart(root: Path, tmp_path: Path):
    other = make_coco(tmp_path / "other")
    assert repr(opened(root)) == repr(opened(other))
    before = repr(opened(root))
    rewrite(root, lambda content: content["annotations"][0].update(area=7.0))
    assert repr(opened(root)) != before


def test_the_config_belongs_to_objects():
    with pytest.raises(ConfigError, match="has objects as targets"):
        dataclasses.replace(DATA, name="coco", targets="masks")
    with pytest.raises(ConfigError, match=r"data\.buckets is for objects"):
        dataclasses.replace(DATA, buckets=((64, 96),))
    with pytest.raises(ConfigError, match="multiples of 32"):
        dataclasses.replace(DATA, name="coco", targets="objects", buckets=((64, 90),))
