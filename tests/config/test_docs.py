"""Sentences from docstrings: those of attributes, of the whole, and nothing where there is none."""

from gauss_vit.config import docs


class Documented:
    """A class with
    two lines.

    More of it.

    Attributes:
      first: One line.
      second, third: A line
        and another: with a colon.

    Raises:
      ValueError: never.
    """


class Bare:
    pass


def test_attributes_are_read_up_to_the_next_section():
    assert docs.attribute_docs(Documented) == {
        "first": "One line.",
        "second": "A line and another: with a colon.",
        "third": "A line and another: with a colon.",
    }


def test_summary_is_the_first_paragraph():
    assert docs.summary(Documented) == "A class with two lines."


def test_class_without_docstring_says_nothing():
    assert docs.attribute_docs(Bare) == {}
    assert docs.summary(Bare) == ""
