"""Counts of what masks hold: those of NumPy, whatever the order of the masks."""

import numpy as np

from gauss_vit.batches import IGNORED, ClassTargets, Mask, MaskTargets
from gauss_vit.data.mask_counts import NO_MASKS, count_mask, count_targets

MASKS = [np.random.RandomState(seed).choice([0, 3, 254, IGNORED], (5, 7)).astype(np.uint8) for seed in range(3)]
EMPTY = np.full((2, 2), IGNORED, np.uint8)


def test_pixels_and_masks_of_each_class_are_counted():
    counts = sum(map(count_mask, [*MASKS, EMPTY]), start=NO_MASKS)
    assert (counts.num_masks, counts.num_empty) == (4, 1)
    for value in range(256):
        assert counts.num_pixels[value] == sum(int((mask == value).sum()) for mask in [*MASKS, EMPTY])
        assert counts.num_with[value] == sum(bool((mask == value).any()) for mask in [*MASKS, EMPTY])
    num_ignored = sum(int((mask == IGNORED).sum()) for mask in MASKS) + 4
    assert counts.num_labelled == 3 * 35 + 4 - num_ignored
    assert counts.ignored_share == num_ignored / (3 * 35 + 4)


def test_the_order_does_not_matter():
    first, second, third = map(count_mask, MASKS)
    assert first + (second + third) == third + first + second
    assert first + NO_MASKS == first


def test_what_is_no_mask_counts_as_none():
    assert count_targets(ClassTargets(label=np.int32(3))) == NO_MASKS
    assert count_targets(MaskTargets(mask=Mask(values=EMPTY))) == count_mask(EMPTY)
    assert NO_MASKS.ignored_share == 0
