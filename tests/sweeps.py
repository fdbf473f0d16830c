"""Sweeps: many cases of one kind, of which `pytest --sweep=N` tries N."""

from collections.abc import Sequence
from typing import TypeVar

Case = TypeVar("Case")


def evenly(cases: Sequence[Case], count: int) -> list[Case]:
    """Chooses so many cases that are spread over all, or all if there are fewer.

    >>> evenly([1, 2, 3, 4, 5], 3)
    [1, 3, 5]
    """
    if len(cases) <= count:
        return list(cases)
    return [cases[round(place * (len(cases) - 1) / max(count - 1, 1))] for place in range(count)]
