"""Comparison of classes by name: equal numbers of classes do not make two lists of classes the same."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_NUM_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class ClassMatch:
    """The classes of one list among those of another.

    Attributes:
      places: Index among the other classes of each class that is found there, in the order of the list.
      unknown: Classes that are not among the others.
      absent: Other classes that are not in the list.
      ambiguous: Names that several classes have, so that they cannot be told apart by name.
    """

    places: tuple[int, ...]
    unknown: tuple[str, ...]
    absent: tuple[str, ...]
    ambiguous: tuple[str, ...]

    @property
    def is_clear(self) -> bool:
        """Whether every class of the list is exactly one of the others."""
        return not (self.unknown or self.ambiguous)


def match_classes(names: Sequence[str], others: Sequence[str]) -> ClassMatch:
    """Finds the classes of a list among others by name; equal lists match although names may occur twice.

    >>> match_classes(("c", "a"), ("a", "b", "c"))
    ClassMatch(places=(2, 0), unknown=(), absent=('b',), ambiguous=())
    >>> match_classes(("a", "x"), ("a", "b")).unknown
    ('x',)
    """
    if tuple(names) == tuple(others):
        return ClassMatch(places=tuple(range(len(names))), unknown=(), absent=(), ambiguous=())
    place_of = {name: place for place, name in enumerate(others)}
    counts, other_counts = Counter(names), Counter(others)
    return ClassMatch(
        places=tuple(place_of[name] for name in names if name in place_of),
        unknown=tuple(name for name in counts if name not in place_of),
        absent=tuple(name for name in other_counts if name not in counts),
        ambiguous=tuple(name for name in counts if max(counts[name], other_counts[name]) > 1),
    )


def changes_of_classes(names: Sequence[str], recorded: Sequence[str]) -> tuple[str, ...]:
    """Says how classes differ from those that were recorded; empty if they do not, or if either are not known.

    >>> changes_of_classes(("a", "x"), ("a", "b"))
    ('new classes: x', 'missing classes: b')
    """
    if not names or not recorded or tuple(names) == tuple(recorded):
        return ()
    match = match_classes(names, recorded)
    parts = (("new classes", match.unknown), ("missing classes", match.absent))
    changes = tuple(f"{kind}: {listed(concerned)}" for kind, concerned in parts if concerned)
    return changes or ("classes in another order",)


def listed(names: Sequence[str]) -> str:
    """Lists the first few of many names and counts the rest.

    >>> listed(("a", "b", "c", "d", "e", "f", "g"))
    'a, b, c, d, e and 2 more'
    """
    rest = f" and {len(names) - _NUM_SHOWN} more" if len(names) > _NUM_SHOWN else ""
    return ", ".join(names[:_NUM_SHOWN]) + rest
