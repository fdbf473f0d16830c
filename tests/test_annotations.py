"""Which sources have annotations."""

from gauss_vit.annotations import Annotations, annotated


class Shelf:
    """A source with annotations."""

    def truth(self) -> Annotations:
        return {"images": [], "categories": [], "annotations": []}


def test_a_source_is_annotated_if_it_says_what_is_true():
    shelf = Shelf()
    assert annotated(shelf) is shelf
    assert annotated(object()) is None
