"""Keys: every place of a config, with what may stand there."""

from dataclasses import dataclass

from gauss_vit.config.keys import Key, keys_of


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A part."""

    size: int
    rate: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A root."""

    name: str = "oak"
    leaves: tuple[Leaf, ...] = (Leaf(size=1),)
    crown: Leaf | None = None
    grid: tuple[int, int] = (1, 2)


def test_groups_come_before_what_is_in_them():
    keys = keys_of(Tree())
    assert [key.path for key in keys] == [
        "name",
        "leaves",
        "leaves[0]",
        "leaves[0].size",
        "leaves[0].rate",
        "crown",
        "crown.size",
        "crown.rate",
        "grid",
    ]
    assert [key.path for key in keys if key.is_group] == ["leaves", "leaves[0]", "crown"]


def test_key_knows_its_value_its_type_and_who_documents_it():
    keys = {key.path: key for key in keys_of(Tree())}
    assert keys["leaves[0].size"] == Key(path="leaves[0].size", annotation=int, value=1, owner=Leaf, is_group=False)
    assert keys["leaves[0]"].owner is None
    assert (keys["leaves[0]"].name, keys["crown.rate"].name) == ("0", "rate")


def test_part_that_is_missing_has_the_keys_of_what_it_could_be():
    keys = {key.path: key for key in keys_of(Tree())}
    assert (keys["crown.rate"].value, keys["crown.rate"].owner) == (0.5, Leaf)
    assert keys["crown.size"].value is None, "it has no default"
