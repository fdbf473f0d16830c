"""The table of what masks hold: frequent classes first, nothing left unsaid."""

import numpy as np

from gauss_vit.batches import IGNORED
from gauss_vit.data.mask_counts import NO_MASKS, count_mask
from gauss_vit.inspect.mask_table import mask_lines

NAMES = ("sky", "road", "car", "ship")
COUNTS = count_mask(np.repeat([1, 0, 2, IGNORED], [60, 15, 5, 20]).astype(np.uint8)[None]) + count_mask(
    np.full((1, 10), 2, np.uint8)
)


def test_every_class_has_a_row_and_absent_ones_are_named():
    assert mask_lines(COUNTS, NAMES, limit=None) == [
        "2 masks with 3 of 4 classes; 18.2 % of the pixels ignored",
        "class  pixels                                  masks",
        f"road   66.7 %  {'#' * 30}      1",
        f"sky    16.7 %  {'#' * 8}{' ' * 22}      1",
        f"car    16.7 %  {'#' * 8}{' ' * 22}      2",
        "in no mask: ship",
    ]


def test_rare_classes_are_summed_up():
    assert mask_lines(COUNTS, NAMES, limit=1)[3] == "2 more classes have 33.3 % together"


def test_a_rare_class_does_not_look_absent():
    counts = count_mask(np.repeat([1, 0], [9999, 1]).astype(np.uint8)[None])
    assert mask_lines(counts, NAMES, limit=None)[3].startswith("sky    < 0.1 %")


def test_masks_that_are_ignored_everywhere_are_counted():
    lines = mask_lines(count_mask(np.full((2, 3), IGNORED, np.uint8)), NAMES, limit=None)
    assert lines == [
        "1 masks with 0 of 4 classes; 100.0 % of the pixels ignored, 1 masks ignored everywhere",
        "in no mask: sky, road, car, ship",
    ]
    assert mask_lines(NO_MASKS, ("sky",), limit=None)[0].startswith("0 masks with 0 of 1 classes; 0.0 %")
