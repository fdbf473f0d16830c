"""Which rows of a head are taken: by name where names are known, by shape where they are not."""

import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.weights.head_classes import HeadChoice, choose_head

GIVEN = ("crow", "gull", "wren")


def test_a_fresh_head_is_new_whatever_is_known():
    assert choose_head("fresh", given=GIVEN, wanted=GIVEN, fits=True) == HeadChoice(is_kept=False)


@pytest.mark.parametrize("head", ["file", "fitting"])
def test_equal_classes_are_taken_as_they_are(head):
    expected = HeadChoice(is_kept=True, class_names=GIVEN)
    assert choose_head(head, given=GIVEN, wanted=GIVEN, fits=True) == expected


@pytest.mark.parametrize("head", ["file", "fitting"])
@pytest.mark.parametrize(("wanted", "rows"), [(("wren", "crow", "gull"), (2, 0, 1)), (("wren", "crow"), (2, 0))])
def test_rows_are_found_by_name(head, wanted, rows):
    choice = choose_head(head, given=GIVEN, wanted=wanted, fits=False)
    assert (choice.is_kept, choice.rows, choice.class_names) == (True, rows, wanted)
    assert choice.remarks == (f"{len(wanted)} of the 3 classes of its head are taken, by name",)


def test_without_names_the_shape_decides():
    for given, wanted in (((), GIVEN), (GIVEN, ()), ((), ())):
        assert choose_head("fitting", given=given, wanted=wanted, fits=True).is_kept
        assert not choose_head("fitting", given=given, wanted=wanted, fits=False).is_kept
        assert choose_head("file", given=given, wanted=wanted, fits=False).is_kept
    assert choose_head("file", given=GIVEN, wanted=(), fits=True).class_names == GIVEN
    assert choose_head("fitting", given=GIVEN, wanted=(), fits=False).class_names == ()
    unknown = choose_head("file", given=(), wanted=GIVEN, fits=True)
    assert unknown.class_names == ()
    assert unknown.remarks == ("the classes of its head are not known and taken to be the model's in order",)


@pytest.mark.parametrize(
    ("given", "wanted", "reason"),
    [
        (GIVEN, ("crow", "gull", "tit"), "it has crow, gull, wren and not tit"),
        (("wren", "crow", "wren"), ("crow", "wren"), "several are named wren, in another order"),
    ],
)
def test_other_classes_are_refused_or_new(given, wanted, reason):
    choice = choose_head("fitting", given=given, wanted=wanted, fits=True)
    assert choice == HeadChoice(is_kept=False, remarks=(f"its head is for other classes: {reason}",))
    with pytest.raises(CheckpointError, match=reason) as caught:
        choose_head("file", given=given, wanted=wanted, fits=True)
    assert "--head=fresh" in caught.value.do
