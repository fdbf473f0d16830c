"""The lists are whole: 200 rising classes of 1,000 each, with a few that are known from the papers."""

import pytest

from gauss_vit.metrics.class_subsets import CLASS_SUBSETS


@pytest.mark.parametrize("name", ["imagenet_a", "imagenet_r"])
def test_two_hundred_classes_rise_within_a_thousand(name: str):
    indices = CLASS_SUBSETS[name]
    assert len(set(indices)) == 200
    assert list(indices) == sorted(indices)
    assert indices[0] >= 0 and indices[-1] < 1000


def test_lists_differ_and_begin_as_published():
    # n01498041 stingray, n01531178 goldfinch, n01534433 junco; n01443537 goldfish, n01484850 great white shark.
    assert CLASS_SUBSETS["imagenet_a"][:3] == (6, 11, 13)
    assert CLASS_SUBSETS["imagenet_r"][:3] == (1, 2, 4)
