"""Tables are aligned by what a terminal shows."""

from gauss_vit.command_line.table import aligned, aligned_row, width


def test_columns_are_as_wide_as_their_widest_cell():
    rows = [("file", "share", "class"), ("a.jpg", "100.0 %", "tench"), ("", "0.1 %", "crane bird")]
    assert aligned(rows, ("left", "right", "left")) == [
        "file     share  class",
        "a.jpg  100.0 %  tench",
        "         0.1 %  crane bird",
    ]


def test_wide_characters_take_two_columns_and_combining_ones_none():
    rows = [("猫", "1"), ("cafe\u0301", "2")]
    assert width("cafe\u0301") == 4
    assert aligned(rows, ("left", "right")) == ["猫    1", "cafe\u0301  2"]


def test_cell_that_is_too_wide_is_not_cut():
    assert aligned_row(("long name", "1"), (4, 3), ("left", "right")) == "long name    1"
