"""Objects of the data are drawn where they are annotated, the smaller one on top."""

import numpy as np

from gauss_vit.batches import IGNORED, OBJECT_MASK_SIZE, Boxes, ObjectTargets
from gauss_vit.tasks.label_map import Label
from gauss_vit.tasks.labelled_objects import labelled_objects

CLASSES = tuple(Label(name=name, colour=(index, 0, 0)) for index, name in enumerate(("dog", "cat")))


def targets(yxyx: list[list[float]], label: list[int], *, size: tuple[int, int]) -> ObjectTargets:
    """Objects that fill their boxes."""
    masks = np.full((len(yxyx), OBJECT_MASK_SIZE, OBJECT_MASK_SIZE), 255, np.uint8)
    return ObjectTargets(
        boxes=Boxes(yxyx=np.array(yxyx, np.float32).reshape(-1, 4)),
        label=np.array(label, np.int32),
        masks=masks,
        size=np.array(size, np.int32),
        original_size=np.array(size, np.int32),
        image_id=np.int32(0),
    )


def test_the_smaller_object_is_on_top_and_first():
    padding = [0.0, 0.0, 0.0, 0.0]
    found = labelled_objects(targets([[1, 2, 9, 12], padding, [3, 4, 6, 8]], [1, 0, 0], size=(10, 16)), CLASSES)
    expected = np.full((10, 16), IGNORED, np.uint8)
    expected[1:9, 2:12], expected[3:6, 4:8] = 1, 0
    np.testing.assert_array_equal(found.values, expected)
    assert [label.name for label in found.labels] == ["dog", "cat"]
    assert [box.yxyx for box in found.boxes] == [(3, 4, 6, 8), (1, 2, 9, 12)]
    assert [box.caption for box in found.boxes] == ["dog", "cat"]


def test_a_mask_is_drawn_in_its_box():
    known = targets([[0, 0, 8, 8]], [0], size=(8, 12))
    known.masks[0, OBJECT_MASK_SIZE // 2 :] = 0
    found = labelled_objects(known, CLASSES)
    np.testing.assert_array_equal(found.values[:4, :8], 0)
    assert set(found.values[4:].ravel()) | set(found.values[:, 8:].ravel()) == {IGNORED}


def test_an_image_without_objects_has_none():
    found = labelled_objects(targets([], [], size=(3, 5)), CLASSES)
    assert (found.labels, found.boxes) == ((), ())
    assert set(found.values.ravel()) == {IGNORED}
