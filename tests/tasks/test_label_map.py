"""Shares of labels are those of all pixels, and rank the labels that have any."""

import numpy as np

from gauss_vit.batches import IGNORED
from gauss_vit.tasks.label_map import Label, LabelMap


def label_map(values: list[list[int]]) -> LabelMap:
    labels = tuple(Label(name=name, colour=(0, 0, 0)) for name in "abcd")
    return LabelMap(values=np.array(values, np.uint8), labels=labels)


def test_shares_are_of_all_pixels_labelled_or_not():
    found = label_map([[2, 2, 0, IGNORED], [2, 1, 1, IGNORED]])
    np.testing.assert_array_equal(found.shares(), [1 / 8, 2 / 8, 3 / 8, 0])


def test_labels_with_pixels_are_ranked_and_the_lower_index_wins_a_tie():
    assert label_map([[3, 1, 0], [3, 1, IGNORED]]).by_share() == (1, 3, 0)
    assert label_map([[IGNORED]]).by_share() == ()
