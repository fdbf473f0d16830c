"""Objects of TFDS data sets: the things of drawn panoptic records and of real ones, and what is refused."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from pycocotools import mask as pycocotools_mask

from gauss_vit.data.examples import AnnotatedSource, SelectiveSource
from gauss_vit.data.sources import splits
from gauss_vit.data.sources.coco_source import CocoSource
from gauss_vit.data.sources.tfds import open_source
from gauss_vit.errors import DataError
from tests.data.samples import encode
from tests.data.sources.tfds_samples import OneRecord, build_quietly
from tests.data.test_config import DATA

HEIGHT, WIDTH = 40, 60
NAMES = ["person", "toothbrush", "sky"]
PLACES = {5: (4, 10, 24, 31), 256: (30, 0, 40, 60), 7 + 65536 * 9: (0, 40, 20, 55)}
"""Boxes (y0, x0, y1, x1) that segments fill, by their numbers: a toothbrush, sky, and a crowd of persons."""
LABELS, CROWDS = (1, 2, 0), (False, False, True)


def written(root: Path, places: dict[int, tuple[int, int, int, int]] = PLACES, names: list[str] = NAMES) -> CocoSource:
    """A data set of one panoptic record, whose mask shows the segments at these places."""
    numbers = np.zeros((HEIGHT, WIDTH), np.int64)
    for number, (y0, x0, y1, x1) in places.items():
        numbers[y0:y1, x0:x1] = number
    channels = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=2).astype(np.uint8)
    image, listed = (
        tfds.features.Image,
        tfds.features.FeaturesDict(
            {
                "id": np.int64,
                "area": np.int64,
                "is_crowd": np.bool_,
                "bbox": tfds.features.BBoxFeature(),
                "label": tfds.features.ClassLabel(names=names),
            }
        ),
    )
    features = {
        "image": image(encoding_format="png"),
        "image/id": np.int64,
        "image/filename": tfds.features.Text(),
        "panoptic_image": image(encoding_format="png"),
        "panoptic_objects": tfds.features.Sequence(listed),
    }
    objects = [
        {
            "id": number,
            "area": (y1 - y0) * (x1 - x0),
            "is_crowd": is_crowd,
            "bbox": tfds.features.BBox(ymin=y0 / HEIGHT, xmin=x0 / WIDTH, ymax=y1 / HEIGHT, xmax=x1 / WIDTH),
            "label": label,
        }
        for (number, (y0, x0, y1, x1)), label, is_crowd in zip(PLACES.items(), LABELS, CROWDS, strict=True)
    ]
    values = {
        "image": io.BytesIO(encode(channels)),
        "image/id": 139,
        "image/filename": "000000000139.png",
        "panoptic_image": io.BytesIO(encode(channels)),
        "panoptic_objects": objects,
    }
    build_quietly(OneRecord("coco", features=features, values=values, data_dir=root))
    source = open_source(str(root), "coco", "test", targets="objects")
    assert isinstance(source, CocoSource)
    return source


def test_things_become_objects_without_crowds(tmp_path: Path):
    source = written(tmp_path)
    assert isinstance(source, AnnotatedSource) and isinstance(source, SelectiveSource)
    assert (len(source), source.class_names) == (1, ("person", "toothbrush"))
    example = source[0]
    assert example.name == "coco/1.0.0 test record 0 (image 139)"
    objects = example.targets
    assert (objects.label.tolist(), objects.size.tolist(), int(objects.image_id)) == ([1], [HEIGHT, WIDTH], 139)
    np.testing.assert_array_equal(objects.boxes.yxyx, [PLACES[5]])
    expected = np.zeros((HEIGHT, WIDTH), np.bool_)
    expected[4:24, 10:31] = True
    np.testing.assert_array_equal(objects.outlines[0].bitmap((HEIGHT, WIDTH)), expected)
    assert source.summary() == (
        "coco/1.0.0 test: 1 image, 2 annotations of 2 classes, 1 of crowds",
        "learned from: 1 object, 1 image",
        "classes without objects: person",
    )


def test_the_truth_has_crowds_and_no_stuff(tmp_path: Path):
    truth = written(tmp_path).truth()
    assert truth["images"] == [{"id": 139, "file_name": "000000000139.png", "height": HEIGHT, "width": WIDTH}]
    assert truth["categories"] == [{"id": 1, "name": "person"}, {"id": 2, "name": "toothbrush"}]
    found = [(each["category_id"], each["iscrowd"], each["bbox"], each["area"]) for each in truth["annotations"]]
    assert found == [(2, 0, [10, 4, 21, 20], 420), (1, 1, [40, 0, 15, 20], 300)]
    assert [pycocotools_mask.area(each["segmentation"]) for each in truth["annotations"]] == [420, 300]


def test_a_listed_segment_without_pixels_is_refused(tmp_path: Path):
    source = written(tmp_path, {256: PLACES[256]})
    with pytest.raises(
        DataError, match=r"record 0 .*panoptic_image: the segment 5 is listed and has no pixels"
    ) as caught:
        source[0]
    assert caught.value.code == "DATA-ANN"


def test_other_classes_than_those_of_coco_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="has no objects that are known"):
        written(tmp_path, names=["person", "car", "sky"])


def test_real_things_fill_their_boxes(real_data: Path):
    data = dataclasses.replace(DATA, name="coco/2017_panoptic", targets="objects", data_dir=str(real_data / "tfds"))
    source = splits.open_split(data, "train[:3]")
    assert isinstance(source, CocoSource)
    assert (source.num_classes, source.class_names[0], source.class_names[-1]) == (80, "person", "toothbrush")
    for example in (source[index] for index in range(3)):
        objects = example.targets
        for outline, box in zip(objects.outlines, objects.boxes.yxyx, strict=True):
            y, x = outline.bitmap(tuple(objects.size.tolist())).nonzero()
            np.testing.assert_array_equal([y.min(), x.min(), y.max() + 1, x.max() + 1], box)
