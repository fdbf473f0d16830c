"""Objects at the size of the file: boxes and masks, as records, as a label map and as COCO results."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.batches import IGNORED, Batch, Boxes, ObjectTargets
from gauss_vit.heads.detections import FoundObjects
from gauss_vit.metrics.coco import encode
from gauss_vit.ops.detection.selection import Detections
from gauss_vit.tasks.detected_objects import DetectedObjects, in_original_pixels, object_records
from gauss_vit.tasks.label_map import Drawable, class_labels

CLASSES = class_labels(3, class_names=("cat", "dog, hound", "cup"), palette=())
FILLED = np.ones((2, 2), np.float32)
# A dog, behind it a cat to the left, a cup that is too unlikely to be drawn, and padding.
OBJECTS = DetectedObjects(
    yxyx=np.array([[2, 3, 6, 8], [2, 0, 6, 5], [0, 0, 2, 2.4], [0, 0, 0, 0]], np.float32),
    score=np.array([0.9, 0.4, 0.1, 0], np.float32),
    label=np.array([1, 0, 2, 0], np.int32),
    is_real=np.array([True, True, True, False]),
    masks=np.stack([FILLED] * 4),
    size=np.array([6, 10], np.int32),
    num_dropped=np.int32(0),
)


def scaled(targets: ObjectTargets | None) -> DetectedObjects:
    """The first two objects in a batch of two images of 12 x 20, of the second of which nothing is real."""
    found = Detections(
        yxyx=np.stack([2 * OBJECTS.yxyx[:2], np.zeros((2, 4), np.float32)]),
        score=np.stack([OBJECTS.score[:2], np.zeros(2, np.float32)]),
        label=np.stack([OBJECTS.label[:2], np.zeros(2, np.int32)]),
        is_real=np.array([[True, True], [False, False]]),
        num_dropped=np.zeros(2, np.int32),
    )
    batch = Batch(image=np.zeros((2, 12, 20, 3), np.uint8), is_real=np.array([True, False]), targets=targets)
    outputs = FoundObjects(objects=found, masks=np.ones((2, 2, 2, 2), np.float32))
    return jax.tree.map(np.asarray, in_original_pixels(*jax.tree.map(jnp.asarray, (outputs, batch))))


def test_boxes_are_scaled_to_the_file_and_clipped_to_it():
    targets = ObjectTargets(
        boxes=Boxes(yxyx=np.zeros((2, 1, 4), np.float32)),
        label=np.zeros((2, 1), np.int32),
        masks=np.zeros((2, 1, 1, 1), np.uint8),
        size=np.array([[12, 10], [0, 0]], np.int32),
        original_size=np.array([[6, 15], [0, 0]], np.int32),
        image_id=np.array([5, -1], np.int32),
    )
    found = scaled(targets)
    np.testing.assert_allclose(found.yxyx[0], [[2, 9, 6, 15], [2, 0, 6, 15]])
    assert not found.yxyx[1].any()
    assert found.size.tolist() == [[6, 15], [0, 0]]


def test_images_without_targets_are_as_large_as_their_files():
    found = scaled(None)
    np.testing.assert_array_equal(found.yxyx[0], 2 * OBJECTS.yxyx[:2])
    assert found.size.tolist() == [[12, 20]] * 2


def test_records_have_whole_pixels_and_no_padding():
    records = object_records(OBJECTS, class_names=("cat", "dog", "cup"), limit=9)
    assert records.name == "boxes"
    assert records.items[0] == {
        "index": 1, "name": "dog", "probability": 0.9, "x": 3, "y": 2, "width": 5, "height": 4,
    }  # fmt: skip
    assert [item["name"] for item in records.items] == ["dog", "cat", "cup"]
    assert len(object_records(OBJECTS, class_names=(), limit=1).items) == 1
    assert object_records(OBJECTS, class_names=(), limit=1).items[0]["name"] is None


@pytest.mark.parametrize("masks", [OBJECTS.masks, None])
def test_label_map_shows_the_better_of_two_objects_that_overlap(masks: np.ndarray | None):
    objects = dataclasses.replace(OBJECTS, masks=masks)
    assert isinstance(objects, Drawable)
    drawn = objects.label_map(CLASSES)
    expected = np.full((6, 10), IGNORED, np.uint8)
    expected[2:6, 0:5] = 1
    expected[2:6, 3:8] = 0
    np.testing.assert_array_equal(drawn.values, expected)
    assert [label.name for label in drawn.labels] == ["dog, hound", "cat"]
    assert [box.caption for box in drawn.boxes] == ["dog 90 %", "cat 40 %"]
    assert drawn.boxes[0].yxyx == (2, 3, 6, 8)


def test_entries_have_the_ids_of_the_data_and_exact_boxes():
    entries = OBJECTS.entries(image_id=7, category_ids=(1, 18, 47))
    assert [entry["category_id"] for entry in entries] == [18, 1, 47]
    assert {entry["image_id"] for entry in entries} == {7}
    assert (entries[2]["bbox"], entries[2]["score"]) == ([0, 0, 2.4, 2], 0.1)
    mask = np.zeros((6, 10), bool)
    mask[2:6, 3:8] = True
    assert entries[0]["segmentation"] == encode(mask)
    boxes = dataclasses.replace(OBJECTS, masks=None).entries(image_id=7, category_ids=(1, 18, 47))
    assert all("segmentation" not in entry for entry in boxes)


def test_no_more_objects_are_drawn_than_there_are_labels():
    many = {name: np.repeat(getattr(OBJECTS, name)[:1], 300, axis=0) for name in ("yxyx", "score", "label", "is_real")}
    drawn = dataclasses.replace(OBJECTS, masks=None, **many).label_map(CLASSES)
    assert len(drawn.labels) == len(drawn.boxes) == IGNORED
    assert drawn.values[3, 4] == 0


def test_nothing_found_is_an_empty_picture():
    nothing = dataclasses.replace(OBJECTS, is_real=np.zeros(4, bool))
    drawn = nothing.label_map(CLASSES)
    assert (drawn.values == IGNORED).all()
    assert drawn.labels == drawn.boxes == ()
    assert nothing.entries(image_id=1, category_ids=(1, 2, 3)) == []
