"""Parses parts of a split in TFDS's notation, `NAME[FROM:TO]` in counts or percentages, for other data sets."""

import re
from dataclasses import dataclass

from gauss_vit.errors import DataError

BOUND = r"-?\d+%?"
PATTERN = re.compile(rf"(?P<name>[\w-]+)(\[(?P<start>{BOUND})?:(?P<stop>{BOUND})?\])?")


@dataclass(frozen=True, kw_only=True)
class SplitSlice:
    """A split, or a part of it.

    Attributes:
      name: name of the split.
      start, stop: bounds as they are written: a count, negative from the end, or a percentage; None is the border.
    """

    name: str
    start: str | None
    stop: str | None

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole split."""
        return self.start is None and self.stop is None

    def indices(self, num_examples: int) -> range:
        """Computes the examples of a split of that size; percentages are rounded to the closest, as TFDS does."""
        stop = _place(self.stop, num_examples=num_examples, default=num_examples)
        return range(_place(self.start, num_examples=num_examples, default=0), stop)


def parse(split: str) -> SplitSlice:
    """Parses a split such as "train", "train[:90%]" or "test[10:20]".

    Raises:
      DataError: it is not in that form.
    """
    match = PATTERN.fullmatch(split)
    if match is None:
        raise DataError(f"split {split!r} is not of the form NAME or NAME[FROM:TO]", do="write it like train[:90%]")
    return SplitSlice(name=match["name"], start=match["start"], stop=match["stop"])


def _place(bound: str | None, *, num_examples: int, default: int) -> int:
    """Converts a bound to an index, cut to the split."""
    if bound is None:
        return default
    is_percentage = bound.endswith("%")
    place = round(num_examples * int(bound[:-1]) / 100) if is_percentage else int(bound)
    return min(max(place + num_examples if place < 0 else place, 0), num_examples)
