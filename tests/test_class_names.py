"""Classes are compared by name, never by number."""

import pytest

from gauss_vit.class_names import ClassMatch, changes_of_classes, match_classes


def test_equal_lists_match_in_order_although_a_name_occurs_twice():
    names = ("crane", "wren", "crane")
    match = match_classes(names, names)
    assert match == ClassMatch(places=(0, 1, 2), unknown=(), absent=(), ambiguous=())
    assert match.is_clear


def test_another_order_and_a_subset_are_found_by_name():
    assert match_classes(("c", "a", "b"), ("a", "b", "c")).places == (2, 0, 1)
    match = match_classes(("c", "a"), ("a", "b", "c"))
    assert (match.places, match.absent, match.is_clear) == ((2, 0), ("b",), True)


def test_other_classes_are_named():
    match = match_classes(("x", "b", "z"), ("a", "b", "c"))
    assert (match.unknown, match.absent, match.is_clear) == (("x", "z"), ("a", "c"), False)


@pytest.mark.parametrize(
    ("names", "others"),
    [(("b", "a"), ("a", "b", "a")), (("a", "a"), ("a", "b")), (("b", "a", "a"), ("a", "a", "b"))],
)
def test_a_name_that_two_classes_have_is_ambiguous_in_another_order(names, others):
    match = match_classes(names, others)
    assert match.ambiguous == ("a",) and not match.is_clear


def test_a_name_that_two_absent_classes_have_is_no_matter():
    assert match_classes(("b",), ("a", "a", "b")).is_clear


@pytest.mark.parametrize(
    ("names", "recorded", "expected"),
    [
        (("a", "b"), ("a", "b"), ()),
        ((), ("a", "b"), ()),
        (("a", "b"), (), ()),
        (("b", "a"), ("a", "b"), ("classes in another order",)),
        (("a", "b", "x"), ("a", "b"), ("new classes: x",)),
        (("x", "y"), ("a", "b"), ("new classes: x, y", "missing classes: a, b")),
    ],
)
def test_changes_are_said_where_both_are_known(names, recorded, expected):
    assert changes_of_classes(names, recorded) == expected
