"""Areas on the page are those of the label map, with the labels that have pixels alone."""

import numpy as np

from gauss_vit.batches import IGNORED
from gauss_vit.inspect.report.areas import report_areas
from gauss_vit.inspect.report.packing import unpack
from gauss_vit.tasks.label_map import Label, LabelledBox, LabelMap


def test_labels_are_ranked_by_share_and_pixels_point_to_them():
    values = np.array([[7, 7, 2, 2, 2], [7, IGNORED, 2, 2, 0]], np.uint8)
    labels = tuple(Label(name=f"class {index}", colour=(index, 0, 0)) for index in range(9))
    found = report_areas(LabelMap(values=values, labels=labels), title="predicted")
    assert found.labels == (("class 2", (2, 0, 0)), ("class 7", (7, 0, 0)), ("class 0", (0, 0, 0)))
    assert found.shares == (0.5, 0.3, 0.1)
    np.testing.assert_array_equal(unpack(found.values), [[1, 1, 0, 0, 0], [1, IGNORED, 0, 0, 2]])


def test_objects_of_one_class_have_one_label():
    labels = tuple(Label(name=name, colour=(9, 0, 0)) for name in ("dog", "cat", "dog"))
    found = report_areas(LabelMap(values=np.array([[0, 2, 1, IGNORED]], np.uint8), labels=labels), title="predicted")
    assert ([name for name, _ in found.labels], found.shares) == (["dog", "cat"], (0.5, 0.25))
    np.testing.assert_array_equal(unpack(found.values), [[0, 0, 1, IGNORED]])


def test_boxes_have_captions_and_colours():
    label = Label(name="dog, hound", colour=(200, 40, 40))
    boxes = (LabelledBox(yxyx=(0.26, 1.0, 2.0, 3.0), label=label, share=0.5),)
    label_map = LabelMap(values=np.full((2, 3), IGNORED, np.uint8), labels=(label,), boxes=boxes)
    assert report_areas(label_map, title="predicted").boxes == (("dog 50 %", (200, 40, 40), (0.3, 1, 2, 3)),)
